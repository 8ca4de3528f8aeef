package bearer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/weburl"
)

// The bounds of a registry, beside those of its options.
const (
	maxRegisteredName = 512              // bytes of an issuer's name
	maxUnknownIssuers = 4096             // issuers that the lookup does not know, and is not asked for again
	unknownLifetime   = 30 * time.Second // for how long not, if answers do not count for less

	lookupTimeout = 5 * time.Second
	maxLookups    = 128 // that run at a time

	// An issuer that the lookup found makes room for another one when none of its tokens was
	// verified for idleIssuer, or none at all in newIssuer, which is longer than most fetches of keys
	// take. So an attacker who names issuers cannot displace one that is in use.
	idleIssuer = 5 * time.Minute
	newIssuer  = 10 * time.Second

	// knownShare is the part of the calls, one in so many, that is kept for issuers that the lookup
	// found before: made-up names cannot use it up. It is a part of those in a second, and of those
	// that run at a time.
	knownShare = 4
)

// roster is the issuers of a [Registry]: added, looked up, and removed.
type roster struct {
	most     int           // issuers
	rate     int           // calls of the lookup in a second
	lifetime time.Duration // of its answers

	// lookup returns the issuer of this name, or nil if there is none. It returns known if that is
	// what it would make again. It is nil if there is no lookup.
	lookup func(ctx context.Context, name string, known *issuer) (*issuer, error)

	epoch   time.Time
	ctx     context.Context // of every lookup; it ends with close, never with a request
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.RWMutex // guards everything below
	closed  bool
	members map[string]*issuer       // each has a live.member
	removed map[string]struct{}      // and not added again, if there is a lookup
	unknown map[string]time.Duration // to the lookup, until then
	calls   map[string]*inquiry      // of the lookup, under way
	busy    int                      // calls that have not returned
	asked   []time.Duration          // when calls began, in the last second
	failure error                    // of the last call, if it failed
}

// inquiry is one call of the lookup, with all who wait for it.
type inquiry struct {
	*flight.Call[verdict]
	known *issuer // whose answer is too old, or nil
}

// verdict is what a lookup led to: an issuer or a refusal.
type verdict struct {
	issuer  *issuer
	refusal *Error
}

var (
	refusedNotFound = fixed(ReasonUnknownIssuer, ruleLookup,
		"the lookup does not know the token's issuer", "have it find the issuer, or add it to the registry")
	refusedNotAsked = fixed(ReasonUnknownIssuer, ruleLookup,
		"the token's issuer is not in the registry now, and Explain does not call the lookup",
		"send a request with a token of the issuer, and explain it again")
	refusedOverRate = fixed(ReasonUnknownIssuer, ruleLookupBounded,
		"the token's issuer is not known, and the lookup was called as often as it may be",
		"add the issuers in use to the registry, or raise WithLookupRate")
	refusedNoURL = fixed(ReasonUnknownIssuer, ruleLookupBounded,
		"the token's issuer is not known, and is no https URL that the lookup could be asked for",
		"add it to the registry if its tokens are to pass")
	refusedOldAnswer = fixed(ReasonPolicyUnavailable, ruleLookupBounded,
		"what the lookup said of the issuer is too old, and it was called as often as it may be",
		"raise WithLookupRate or WithLookupLifetime")
	refusedFull = fixed(ReasonPolicyUnavailable, ruleLookupBounded,
		"the registry has as many issuers as it may have, all of them in use", "raise WithMaxIssuers")
)

func newRoster() *roster {
	r := &roster{
		epoch: time.Now(), members: make(map[string]*issuer), removed: make(map[string]struct{}),
		unknown: make(map[string]time.Duration), calls: make(map[string]*inquiry),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// bound sets the bounds, before the first request.
func (r *roster) bound(most, rate int, lifetime time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most, r.rate, r.lifetime = most, rate, lifetime
}

func (r *roster) now() time.Duration { return time.Since(r.epoch) }

// find returns the issuer with this name, and asks the lookup if there is none. It returns neither
// an issuer nor a refusal if there is no lookup.
func (r *roster) find(ctx context.Context, name []byte) (*issuer, *Error) {
	r.mu.RLock()
	iss := r.members[string(name)]
	_, removed := r.removed[string(name)]
	closed := r.closed
	r.mu.RUnlock()
	switch {
	case closed: // while the token was read, and that is no fault of its issuer
		return nil, refuse(ReasonClosed)
	case iss != nil && iss.live.member.counts(time.Now()):
		return iss, nil
	case removed:
		return nil, refusedRemoved
	case r.lookup == nil:
		return nil, nil
	case !keyset.Searches(ctx):
		return nil, refusedNotAsked
	}
	call, now := r.ask(name)
	if call == nil {
		return now.issuer, now.refusal
	}
	if !call.Wait(ctx, time.Time{}) {
		return nil, lookupFailed(context.Cause(ctx))
	}
	result, _ := call.Result() // a verdict has the error
	return result.issuer, result.refusal
}

// ask returns the call of the lookup for a name, which it starts if it may. Or it returns what is
// known without one.
func (r *roster) ask(name []byte) (*inquiry, verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.closed {
		return nil, verdict{refusal: refuse(ReasonClosed)}
	}
	known := r.members[string(name)]
	if known != nil && known.live.member.counts(r.epoch.Add(now)) {
		return nil, verdict{issuer: known}
	}
	if _, removed := r.removed[string(name)]; removed {
		return nil, verdict{refusal: refusedRemoved}
	}
	if until, unknown := r.unknown[string(name)]; unknown && now < until {
		return nil, verdict{refusal: refusedNotFound}
	}
	if call := r.calls[string(name)]; call != nil {
		return call, verdict{}
	}
	if known == nil && !canBeLookedUp(name) {
		return nil, verdict{refusal: refusedNoURL}
	}
	if !r.mayCall(now, known != nil) {
		switch {
		case known != nil && r.busy < maxLookups:
			return nil, verdict{refusal: refusedOldAnswer}
		case r.failure != nil: // an outage, and not a fault of the token
			return nil, verdict{refusal: lookupFailed(r.failure)}
		case known != nil:
			return nil, verdict{refusal: refusedOldAnswer}
		}
		return nil, verdict{refusal: refusedOverRate}
	}
	r.asked = append(r.asked, now)
	return r.start(string(name), known), verdict{}
}

// start starts a call of the lookup.
func (r *roster) start(name string, known *issuer) *inquiry {
	call := &inquiry{flight.NewCall[verdict](), known}
	r.calls[name] = call
	r.busy++
	r.running.Go(func() { r.call(name, call) })
	return call
}

// canBeLookedUp reports whether a name that a token brings, which is not verified, can be given to
// the lookup.
func canBeLookedUp(name []byte) bool {
	return len(name) <= maxRegisteredName && grammar.IsScopeToken(string(name)) &&
		weburl.CheckIssuer(string(name), false) == nil
}

// mayCall reports whether the lookup may be called now: for a name that it found before, or for any
// other.
func (r *roster) mayCall(now time.Duration, known bool) bool {
	old := 0
	for old < len(r.asked) && now-r.asked[old] >= time.Second {
		old++
	}
	r.asked = slices.Delete(r.asked, 0, old)
	limit, most := r.rate, maxLookups
	if !known {
		limit -= min((r.rate+knownShare-1)/knownShare, r.rate-1) // one at least, unless the rate is 1
		most -= maxLookups / knownShare
	}
	return len(r.asked) < limit && r.busy < most
}

// call calls the lookup. A panic is a failure. A call that does not return in time has failed, and
// counts as running until it does return.
func (r *roster) call(name string, call *inquiry) {
	ctx, cancel := context.WithTimeout(r.ctx, lookupTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { r.settle(name, call, nil, context.Cause(ctx)) })
	var found *issuer
	flight.Recover("the lookup", func() (err error) {
		found, err = r.lookup(ctx, name, call.known)
		return err
	}, func(err error) {
		stop()
		r.settle(name, call, found, err)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy--
	})
}

// settle ends a call with what it found. A call that is no longer under way has no effect: it was
// too late, or the issuer was added or removed since.
func (r *roster) settle(name string, call *inquiry, found *issuer, err error) {
	r.mu.Lock()
	var left []*issuer
	switch {
	case r.calls[name] != call:
		if found != call.known {
			left = append(left, found)
		}
	case err != nil:
		r.failure = err
		delete(r.calls, name)
		call.Finish(verdict{refusal: lookupFailed(err)}, nil)
	default:
		r.failure = nil
		delete(r.calls, name)
		var result verdict
		result, left = r.learn(name, call.known, found)
		call.Finish(result, nil)
	}
	r.mu.Unlock()
	closeAll(left)
}

// learn takes over what the lookup said of a name. It returns the issuers that are no longer used.
func (r *roster) learn(name string, known, found *issuer) (result verdict, left []*issuer) {
	now := r.now()
	if known != nil && r.members[name] != known { // it made room in the meantime
		if found == known {
			return verdict{refusal: refusedOldAnswer}, nil
		}
		known = nil
	}
	if found == nil {
		if known != nil {
			left = append(left, r.drop(name, true))
		}
		r.forgetUnknown(now)
		r.unknown[name] = now + min(unknownLifetime, r.lifetime)
		return verdict{refusal: refusedNotFound}, left
	}
	found.live.member.until.Store(int64(now + r.lifetime))
	if found == known {
		return verdict{issuer: found}, nil
	}
	if known != nil {
		left = append(left, r.drop(name, false))
	}
	room, evicted := r.makeRoom(now)
	if !room {
		return verdict{refusal: refusedFull}, append(left, found)
	}
	r.enter(name, found, now)
	return verdict{issuer: found}, append(left, evicted)
}

// enter makes an issuer one of the registry's. There is room for it.
func (r *roster) enter(name string, iss *issuer, now time.Duration) {
	delete(r.unknown, name)
	delete(r.removed, name)
	iss.live.member.since.Store(int64(now))
	r.members[name] = iss
}

// drop takes an issuer out of the registry and returns it, or nil if it is not there. Decisions
// that began before may still let a token pass, unless the issuer was removed.
func (r *roster) drop(name string, removed bool) *issuer {
	iss := r.members[name]
	if iss != nil {
		iss.live.member.removed.Store(removed)
		iss.live.member.gone.Store(true)
		delete(r.members, name)
	}
	return iss
}

// makeRoom reports whether there is room for one more issuer, for which it may evict one.
func (r *roster) makeRoom(now time.Duration) (room bool, evicted *issuer) {
	if len(r.members) < r.most {
		return true, nil
	}
	var longest string
	var unused time.Duration
	for name, iss := range r.members {
		m := iss.live.member
		if m.until.Load() == 0 {
			continue // the application added it
		}
		last, limit := time.Duration(m.used.Load()), idleIssuer
		if last == 0 {
			last, limit = time.Duration(m.since.Load()), newIssuer
		}
		if idle := now - last; idle >= limit && idle > unused {
			longest, unused = name, idle
		}
	}
	if unused == 0 {
		return false, nil
	}
	return true, r.drop(longest, false)
}

// forgetUnknown makes room for one more name that the lookup does not know.
func (r *roster) forgetUnknown(now time.Duration) {
	if len(r.unknown) < maxUnknownIssuers {
		return
	}
	maps.DeleteFunc(r.unknown, func(_ string, until time.Duration) bool { return until <= now })
	for name := range r.unknown {
		if len(r.unknown) < maxUnknownIssuers {
			return
		}
		delete(r.unknown, name)
	}
}

// The mistakes in a call of Add that depend on what the registry has.
var (
	errRegistered   = errors.New("is registered already; remove it first")
	errRegistryFull = errors.New("finds no room: the registry has as many issuers as WithMaxIssuers allows")
	errClosed       = errors.New("comes too late: the Middleware was closed")
)

// add takes in an issuer that the application gives. It replaces one that the lookup found. It
// returns the issuers that are no longer used.
func (r *roster) add(name string, iss *issuer) (left []*issuer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.closed {
		return nil, errClosed
	}
	if known := r.members[name]; known != nil {
		if known.live.member.until.Load() == 0 {
			return nil, errRegistered
		}
		left = append(left, r.drop(name, false))
	}
	room, evicted := r.makeRoom(now)
	if !room {
		return left, errRegistryFull
	}
	r.enter(name, iss, now)
	r.endCall(name, verdict{issuer: iss})
	return append(left, evicted), nil
}

// remove takes an issuer out, and reports whether it was there. When it returns, no decision that
// begins later lets a token of the issuer pass.
func (r *roster) remove(name string) bool {
	r.mu.Lock()
	iss := r.drop(name, true)
	if r.lookup != nil {
		r.removed[name] = struct{}{}
	}
	delete(r.unknown, name)
	r.endCall(name, verdict{refusal: refusedRemoved})
	r.mu.Unlock()
	closeAll([]*issuer{iss})
	return iss != nil
}

// endCall ends a call of the lookup, whose answer then counts for nothing.
func (r *roster) endCall(name string, result verdict) {
	if call := r.calls[name]; call != nil {
		delete(r.calls, name)
		call.Finish(result, nil)
	}
}

// ready never waits: a service with many tenants starts although one of their issuers is down.
func (r *roster) ready(context.Context) error { return nil }

// report adds what the issuers' key sets are doing, in the order of their names.
func (r *roster) report(all *Stats) {
	r.mu.RLock()
	members := maps.Clone(r.members)
	r.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		members[name].report(all)
	}
}

// close ends every lookup and every fetch, and takes in no more issuers.
func (r *roster) close() {
	r.mu.Lock()
	r.closed = true
	var left []*issuer
	for name := range r.members {
		left = append(left, r.drop(name, false))
	}
	for name := range r.calls {
		r.endCall(name, verdict{refusal: refuse(ReasonClosed)})
	}
	r.mu.Unlock()
	r.cancel()
	closeAll(left)
	r.running.Wait()
}

// closeAll closes issuers that are no longer used, without the lock: it waits for fetches to end.
func closeAll(issuers []*issuer) {
	for _, iss := range issuers {
		if iss != nil {
			iss.close()
		}
	}
}

package jwks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
)

// How long a request waits for a fetch, when there are keys at hand; see [WithColdWait] for when there are not. Its own deadline
// counts too, if that is sooner.
const idleWait = 2 * time.Second // for keys newer than the stale ones, counted from the start of the fetch

// A refresh starts somewhere between these parts of the lifetime: ahead of its end, and not in a whole fleet at once.
const refreshFrom, refreshTo = 0.8, 0.9

// How often the issuer is asked.
const (
	coldBackoff  = 4 * time.Second // longest pause after failures while there are no usable keys
	staleBackoff = time.Minute     // longest pause after failures while there are

	// hopeless is how long no request waits for newer keys than stale ones after a failure. A set that nobody used for so long
	// knows nothing of its issuer any more.
	hopeless = 10 * time.Minute

	// retrySoon is what a client is told while a fetch is under way.
	retrySoon = time.Second
)

var (
	errFetchUnderWay = errors.New("the keys are still being fetched")
	errGoexit        = errors.New("the fetch ended its goroutine") // as a test's transport does that calls FailNow
)

// A State says what the keys at hand are good for.
type State string

// The states. Each but the first follows from the age of the keys at hand.
const (
	StateCold    State = "cold"    // no keys were ever loaded: requests wait for the first ones
	StateFresh   State = "fresh"   // requests are served from the keys at hand, without a lock
	StateStale   State = "stale"   // the keys are past their lifetime: they are served while they are being refreshed, or cannot be
	StateExpired State = "expired" // the keys are too old to be trusted: requests wait as when cold
)

// usable reports whether requests are served from the keys at hand.
func (s State) usable() bool { return s == StateFresh || s == StateStale }

// snapshot is a key set and its place in time. Once stored it never changes.
type snapshot struct {
	keySet
	document string // what the keys were read from; "" when there is no file to write
	loaded   time.Time
	restored bool // from the file of last known good keys

	// Ages, in ascending order. From the first on a request starts a refresh and does not wait.
	refreshAfter, staleAfter, expiresAfter time.Duration
}

// age is how long ago the keys were asked for.
func (s *snapshot) age(now time.Time) time.Duration { return elapsed(s.loaded, now) }

// state is the state of a set whose last loaded keys are these: nil for none.
func (s *snapshot) state(now time.Time) State {
	if s == nil {
		return StateCold
	}
	if s.pinned {
		return StateFresh
	}
	switch age := s.age(now); {
	case age >= s.expiresAfter:
		return StateExpired
	case age >= s.staleAfter:
		return StateStale
	default:
		return StateFresh
	}
}

// due reports whether a refresh is to be started. Keys that are not are fresh. It is age without what
// that does for times that are far apart, because every request asks.
func (s *snapshot) due(now time.Time) bool {
	return !s.pinned &&
		(now.Sub(s.loaded) >= s.refreshAfter || time.Duration(now.UnixNano()-s.loaded.UnixNano()) >= s.refreshAfter)
}

// snapshot places an answer in time. The older one is what it follows on, or nil.
func (p *policy) snapshot(a answer, asked time.Time, older *snapshot) *snapshot {
	lifetime := a.lifetime
	if lifetime < 0 {
		lifetime = defaultLifetime
	}
	lifetime = min(max(lifetime, p.shortest), p.longest)
	part := refreshFrom + (refreshTo-refreshFrom)*rand.Float64()
	return &snapshot{
		keySet:       a.keys.adopt(older),
		document:     a.document,
		loaded:       asked,
		refreshAfter: time.Duration(part * float64(lifetime)),
		staleAfter:   lifetime,
		expiresAfter: p.maxStaleness,
	}
}

// restored places keys out of a file in time. They are stale from the beginning, and no clock that is set back makes them younger.
func (p *policy) restored(k kept, now time.Time) *snapshot {
	loaded := now.Add(-now.Sub(k.loaded)) // the same time, with the monotonic clock's reading of now
	return &snapshot{keySet: k.keys, loaded: loaded, expiresAfter: p.maxFileAge, restored: true}
}

// A flight is one fetch that any number of requests wait for. It belongs to the set: no request can cancel it.
type flight struct {
	started time.Time
	retry   bool // soon after a failure: there is little hope
	done    chan struct{}

	// One of the two is set before done is closed, and neither changes afterwards.
	result *snapshot
	err    error
}

// landed is a flight that is over and brought a snapshot.
func landed(result *snapshot) *flight {
	f := &flight{done: make(chan struct{}), result: result}
	close(f.done)
	return f
}

// wait returns what the flight brings, or an [UnavailableError] if that takes longer than the request can wait.
func (f *flight) wait(ctx context.Context, until time.Time) (*snapshot, error) {
	select {
	case <-f.done: // even if it is too late, or the request is over
		return f.result, f.err
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-f.done:
		return f.result, f.err
	case <-timer.C:
		return nil, &UnavailableError{RetryAfter: retrySoon, cause: errFetchUnderWay}
	case <-ctx.Done():
		return nil, &UnavailableError{RetryAfter: retrySoon, cause: context.Cause(ctx)}
	}
}

// A Set holds the keys of one issuer, fetches them when they are first needed, and keeps them fresh. Make it with [New],
// once for each issuer, and share it: all methods are safe for concurrent use. The zero value is of no use. It prints a fixed text.
type Set struct{ *keeperPointer }

// keeperPointer is one more pointer to the content, for package fmt follows one where it is given a verb that does not fit, and
// would read what others are changing.
type keeperPointer struct{ *keeper }

// keeper is what a Set works with.
type keeper struct {
	name   string // of the source, for the log
	logger *slog.Logger
	policy policy
	fetch  func(ctx context.Context, anew bool) (answer, error) // nil when the keys are pinned, and never needed then

	current atomic.Pointer[snapshot] // nil while cold, and after Close

	toldOfOther atomic.Bool // of tokens whose key is for other issuers

	ctx     context.Context // of every fetch; it ends with Close, never with a request
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards everything below, and every change of current
	closed   bool
	flight   *flight // under way, or nil
	failures failures
	unknown  unknown
	counts   counts
	unread   bool // there is a file of last known good keys, and nobody has read it yet

	file       *file                    // of the last known good keys, or nil
	unsaved    atomic.Pointer[snapshot] // the last one, until somebody writes it to the file
	saving     sync.Mutex               // held while the file is written; guards unwritable
	unwritable bool                     // the file could not be written the last time
}

// Keys returns the keys that may have signed a token with this key id and this algorithm in its header; kid is "" for
// a token without one. They fit the algorithm in type, curve and size and are not marked for another use or algorithm.
// There are several when the set has several such keys under one key id: the caller tries each. There are at most 4,
// at most one of them on P-521 or of more than 4096 bits, for those cost the most, and never none
// without an error.
//
// A token without a key id gets a key only when exactly one of the whole set fits its algorithm. Keys that were pinned
// without a key id (from [PEM], [PublicKeys], and such entries of [Static]) also answer to every key id, for the
// operator chose them by hand and a key id is only a hint (RFC 7515 section 4.1.4).
//
// Keys does not know the token's iss. A key with a member issuer is only for some issuers: ask
// [Key.SignsFor] before a key is used. Keys for other issuers count towards the 4, and as keys that
// fit.
//
// The error is [ErrKeyNotFound] when no key fits, also when the algorithm is not a known asymmetric
// one, and an [*UnavailableError] when that cannot be told now. The context limits how long this
// request waits for keys that are being fetched; its end does not stop the fetch. Without it that is
// [WithColdWait], or 2 seconds if that is longer and there are keys already.
func (s *Set) Keys(ctx context.Context, kid, alg string) ([]Key, error) {
	found, _, err := s.candidates(ctx, nil, kid, alg)
	if err != nil {
		return nil, err
	}
	return found.list(), nil
}

// candidates returns one key at least, or an error, and the time at which that is so. The iss is
// nil for keys of any issuer.
func (s *Set) candidates(
	ctx context.Context, iss *string, kid, alg string,
) (found candidates, at time.Time, err error) {
	arrived := time.Now()
	at = arrived
	algorithm, ok := jws.Lookup(alg)
	if !ok || algorithm.Symmetric() {
		return found, at, ErrKeyNotFound // and no reason to fetch anything
	}
	seen := s.current.Load()
	snap := seen
	if seen == nil || seen.due(arrived) {
		snap, err = s.refresh(ctx, seen, arrived)
		if at = time.Now(); err != nil {
			return found, at, err
		}
	}
	if found = snap.candidates(kid, algorithm, iss); found.n > 0 {
		return found, at, nil
	}
	snap, err = s.search(ctx, seen, snap, kid, arrived)
	if at = time.Now(); err != nil {
		return found, at, err
	}
	if found = snap.candidates(kid, algorithm, iss); found.n > 0 {
		return found, at, nil
	}
	if iss != nil {
		if others := snap.candidates(kid, algorithm, nil); others.n > 0 {
			s.warnOfOther(others.keys[0])
			return found, at, errKeyOfOther
		}
	}
	return found, at, ErrKeyNotFound
}

// warnOfOther tells the operator once that tokens are refused because of a key's member issuer.
// With the key set of another version of an issuer that is all of them, and a client learns no more
// than that the key is not known. Anyone can send such a token, so it is told once, and nothing of
// the token.
func (s *Set) warnOfOther(key *key) {
	if s.toldOfOther.Load() || s.toldOfOther.Swap(true) {
		return
	}
	s.logger.Warn("a token is refused because its key is published for another issuer",
		"source", s.name, "kid", excerpt(key.ID, maxLoggedID),
		"issuer", excerpt(key.issuer.published(), maxLoggedError))
}

// view returns the keys to judge a token by that names this key id, after waiting for a fetch where one is needed.
func (s *Set) view(ctx context.Context, kid string) (*snapshot, error) {
	now, seen := time.Now(), s.current.Load()
	snap, err := s.refresh(ctx, seen, now)
	if err != nil {
		return nil, err
	}
	return s.search(ctx, seen, snap, kid, now)
}

// refresh returns the keys to use instead of those at hand, after waiting for a fetch where one is
// needed, and starts one where no request needs to wait. It looks at what it waited for as at any
// other keys: a fetch that was under way when the machine fell asleep brings old ones.
func (s *Set) refresh(ctx context.Context, seen *snapshot, now time.Time) (*snapshot, error) {
	for {
		switch seen.state(now) {
		case StateFresh:
			if seen.due(now) {
				_, _ = s.attempt(seen, now) // in the background
			}
			return seen, nil
		case StateStale:
			newer := s.revalidate(ctx, seen, now)
			if newer == seen {
				return seen, nil
			}
			seen = newer
		default:
			f, err := s.attempt(seen, now)
			if err != nil {
				return nil, err
			}
			if seen, err = f.wait(ctx, now.Add(s.policy.coldWait)); err != nil {
				return nil, err
			}
		}
	}
}

// revalidate returns keys newer than the stale ones if they can be had soon. Keys become stale because nobody needed
// them for a while, or are because they come out of a file: then a short wait is well spent, as some may have been withdrawn. Or
// because the issuer is failing: then nobody waits.
func (s *Set) revalidate(ctx context.Context, seen *snapshot, now time.Time) *snapshot {
	f, err := s.attempt(seen, now)
	if err != nil || f.retry {
		return seen
	}
	wait := idleWait
	if seen.restored { // they may be many days old
		wait = max(idleWait, s.policy.coldWait)
	}
	snap, err := f.wait(ctx, f.started.Add(wait))
	if err != nil {
		return seen
	}
	return snap
}

// attempt returns the fetch under way, and starts one if there is none. It fails when the set is closed, and during the
// pause after a failure.
func (s *Set) attempt(seen *snapshot, now time.Time) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.join(seen)
	if f != nil || err != nil {
		return f, err
	}
	if pause := s.failures.pause(seen.state(now), now); pause > 0 {
		return nil, &UnavailableError{RetryAfter: pause, cause: s.failures.last}
	}
	return s.start(now), nil
}

// join returns the fetch that a request can wait for, or why there can be none, or neither: then it
// may start one, unless there is a pause. The caller holds the lock.
func (s *Set) join(seen *snapshot) (*flight, error) {
	if s.closed {
		return nil, &UnavailableError{cause: ErrClosed}
	}
	if snap := s.current.Load(); snap != seen {
		return landed(snap), nil // another request's fetch ended since this one looked
	}
	return s.flight, nil
}

// start starts a fetch. The caller holds the lock, and join returned nothing.
func (s *Set) start(now time.Time) *flight {
	f := &flight{started: now, retry: s.failures.recent(now), done: make(chan struct{})}
	unread, anew := s.unread, !s.current.Load().state(now).usable()
	s.unread, s.flight = false, f
	s.running.Go(func() {
		if unread && s.restore(f) {
			return
		}
		a, err := answer{}, errGoexit
		defer func() { s.land(f, a, err) }()
		a, err = s.fetchOrFail(anew)
	})
	return f
}

// fetchOrFail makes a panic, be it of a client's own transport, a failed fetch: no server stands above this goroutine that
// would recover it, as one does for a handler's, and it would end the process.
func (s *Set) fetchOrFail(anew bool) (a answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the fetch panicked: %v", p)
		}
	}()
	return s.fetch(s.ctx, anew)
}

// land ends a flight and lets the waiting requests go on. The log and the file are written last, so that nobody waits for them.
func (s *Set) land(f *flight, a answer, err error) {
	report := s.settle(f, a, err)
	close(f.done)
	defer s.save()
	report()
}

// settle stores what a flight fetched, or counts its failure, and returns what the log is to say: a failure once for
// each state that it lasts through, and the end of failures.
func (s *Set) settle(f *flight, a answer, err error) (report func()) {
	now, old := time.Now(), s.current.Load()
	var result *snapshot
	if err == nil {
		result = s.policy.snapshot(a, f.started, old) // without the lock: it compares many keys with many
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	st, failed := old.state(now), s.failures

	if s.closed {
		f.err = &UnavailableError{cause: ErrClosed}
		return func() {}
	}
	s.counts.fetches++
	if err != nil {
		s.counts.failures++
		s.failures.add(err, st, now)
		pause := s.failures.pause(st, now)
		if st.usable() { // who waited for it searches for a key id; all others use the current keys
			pause = s.untilSearch(now)
		}
		f.err = &UnavailableError{RetryAfter: pause, cause: err}
		return func() {
			if failed.count == 0 || failed.state != st {
				s.logger.Warn("fetching keys fails", "source", s.name, "keys", string(st), "error", excerpt(err.Error(), maxLoggedError))
			}
		}
	}
	s.failures = failures{}
	f.result = result
	s.current.Store(result)
	s.unknown.missing.forget(f.result.ids)
	if s.file != nil {
		s.unsaved.Store(f.result)
	}
	return func() {
		if failed.count > 0 {
			s.logger.Warn("fetching keys works again", "source", s.name, "failures", failed.count)
		}
		logRefused(s.logger, s.name, f.result.refused, old)
	}
}

// restore lands a flight with the keys of the file, and reports whether it did: the flight goes on to the issuer if there are
// none that can be used.
func (s *Set) restore(f *flight) bool {
	kept, err := s.readOrFail()
	if errors.Is(err, fs.ErrNotExist) {
		return false // as when the service is started for the first time
	}
	now := time.Now()
	if err == nil {
		err = kept.judge(now, s.policy.maxFileAge)
	}
	if err != nil {
		s.running.Go(func() { // the requests wait for the issuer, not for the log
			s.logger.Warn("the file of the last known good keys is not used", "source", s.name, "file", s.file.path, "error", err)
		})
		return false
	}
	s.mu.Lock()
	s.flight = nil
	if s.closed {
		f.err = &UnavailableError{cause: ErrClosed}
	} else {
		f.result = s.policy.restored(kept, now)
		s.current.Store(f.result)
	}
	s.mu.Unlock()
	close(f.done)
	s.logger.Info("the last known good keys were read from a file", "source", s.name, "file", s.file.path, "age", now.Sub(kept.loaded))
	logRefused(s.logger, s.name, kept.keys.refused, nil)
	return true
}

// readOrFail does for the file what fetchOrFail does for the issuer.
func (s *Set) readOrFail() (k kept, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading it panicked: %v", p)
		}
	}()
	return s.file.read()
}

// save writes the last snapshot to the file, unless another goroutine is at it: that one then sees to it when it is done, so
// that a disk which hangs holds up one goroutine, and an older snapshot never comes after a newer one. The log hears of a failure
// once, and of its end.
func (s *Set) save() {
	for s.unsaved.Load() != nil && s.saving.TryLock() {
		s.saveLast()
	}
}

// saveLast writes the last snapshot. The caller has locked saving, which this unlocks.
func (s *Set) saveLast() {
	defer s.saving.Unlock()
	snap := s.unsaved.Swap(nil)
	if snap == nil {
		return
	}
	failed := s.unwritable
	err := s.file.write(snap.document, snap.loaded)
	s.unwritable = err != nil
	switch {
	case err != nil && !failed:
		s.logger.Warn("the last known good keys cannot be written to a file",
			"source", s.name, "file", s.file.path, "error", err)
	case err == nil && failed:
		s.logger.Warn("the last known good keys can be written to a file again",
			"source", s.name, "file", s.file.path)
	}
}

// failures counts the fetches that failed since the last one that did not.
type failures struct {
	count  int
	last   error
	at     time.Time
	state  State   // of the keys at that time
	jitter float64 // of the pause after it, from 0 to 1
}

func (f *failures) add(err error, st State, now time.Time) {
	*f = failures{count: f.count + 1, last: err, at: now, state: st, jitter: rand.Float64()}
}

// recent reports whether the issuer was failing not long ago.
func (f *failures) recent(now time.Time) bool {
	return f.count > 0 && elapsed(f.at, now) <= hopeless
}

// pause is what remains of the pause after the last failure. It depends on the state of the keys now: a set that expires
// during a long pause becomes as eager as a cold one.
func (f *failures) pause(st State, now time.Time) time.Duration {
	if f.count == 0 {
		return 0
	}
	return max(0, backoff(st, f.count, f.jitter)-elapsed(f.at, now))
}

// backoff is the pause after so many failures. Without usable keys every request is refused meanwhile, so the pause
// stays short, and never so short that a struggling issuer is hit again at once (equal jitter: 1 to 2, then 2 to 4
// seconds). With usable keys nobody suffers, so the attempts of a fleet are spread out as far as they go (full jitter:
// 0 to 2, 4, 8 ... 60 seconds).
func backoff(st State, count int, jitter float64) time.Duration {
	limit := time.Second << min(count, 6)
	if !st.usable() {
		half := min(limit, coldBackoff) / 2
		return half + time.Duration(jitter*float64(half))
	}
	return time.Duration(jitter * float64(min(limit, staleBackoff)))
}

// Ready starts the first fetch if nothing has, and returns nil once the set can verify tokens, fresh or stale: an
// issuer's short outage must not take a whole fleet out of service. Until then it waits, through failures and the pauses
// after them, for the context to end; the error is then an [*UnavailableError] that wraps the context's and the last
// failure. A set of pinned keys is always ready.
//
// Like a request, it also starts the refresh of keys at hand when that is due, and does not wait for it.
func (s *Set) Ready(ctx context.Context) error {
	for {
		now := time.Now()
		seen := s.current.Load()
		if seen.state(now).usable() {
			if seen.due(now) {
				_, _ = s.attempt(seen, now)
			}
			return nil
		}
		f, err := s.attempt(seen, now)
		if err == nil {
			_, err = f.wait(ctx, now.Add(mostColdWait)) // ColdWait is for requests
		}
		if err == nil || errors.Is(err, ErrClosed) {
			return err
		}
		if !s.sleep(ctx, retryAfter(err)) {
			return s.notReady(ctx)
		}
	}
}

// sleep waits until the context ends and returns false, or until the time has passed or the set was closed.
func (s *Set) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.ctx.Done():
		return true
	case <-timer.C:
		return true
	}
}

func (s *Set) notReady(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := &UnavailableError{RetryAfter: retrySoon, cause: context.Cause(ctx)}
	if s.failures.count > 0 {
		err.cause = fmt.Errorf("%w; before that, %w", err.cause, s.failures.last)
	}
	if now := time.Now(); s.flight == nil {
		err.RetryAfter = s.failures.pause(s.current.Load().state(now), now)
	}
	return err
}

// Close stops the fetch under way and waits for its end, which comes at once unless a client's own transport ignores the
// context of its requests. Afterwards every answer of the set is an [*UnavailableError]
// whose cause is [ErrClosed]. It always returns nil, and may be called again.
func (s *Set) Close() error {
	s.mu.Lock()
	s.closed = true
	s.current.Store(nil)
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	return nil
}

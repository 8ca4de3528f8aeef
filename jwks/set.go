package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/jwa"
)

// How long a request waits for a fetch. Its own deadline counts too, if that is sooner.
const (
	coldWait   = 5 * time.Second // without any usable keys, counted from the request's arrival
	idleWait   = 2 * time.Second // for keys newer than the stale ones at hand, counted from the start of the fetch
	searchWait = 2 * time.Second // for a key id that the set does not have, counted from the request's arrival
)

// How old keys become. The lifetime is the issuer's to choose (Cache-Control), within bounds.
const (
	minLifetime     = time.Minute
	defaultLifetime = 10 * time.Minute
	maxLifetime     = time.Hour
	maxStaleness    = 24 * time.Hour

	// A refresh starts somewhere between these parts of the lifetime: ahead of its end, and not in a whole fleet at once.
	refreshFrom, refreshTo = 0.8, 0.9
)

// How often the issuer is asked.
const (
	coldBackoff  = 4 * time.Second // longest pause after failures while there are no usable keys
	staleBackoff = time.Minute     // longest pause after failures while there are

	searchBudget = 2                // fetches for unknown key ids at once,
	searchRefill = 30 * time.Second // and one more each time this has passed

	// retrySoon is what a client is told while a fetch is under way.
	retrySoon = time.Second
)

var errFetchUnderWay = errors.New("the keys are still being fetched")

// A state says what the keys at hand are good for.
type state int

const (
	cold    state = iota // No keys were ever loaded: requests wait for the first ones.
	fresh                // Requests are served from the keys at hand, without a lock.
	stale                // The keys are past their lifetime: they are served while they are being refreshed, or cannot be.
	expired              // The keys are too old to be trusted: requests wait as when cold.
)

func (s state) String() string { return [...]string{"cold", "fresh", "stale", "expired"}[s] }

// snapshot is a key set and its place in time. Once stored it never changes.
type snapshot struct {
	keySet
	refreshAt time.Time // from here on a request starts a refresh, which nobody waits for
	staleAt   time.Time
	expiresAt time.Time
}

func newSnapshot(keys keySet, loaded time.Time, lifetime time.Duration) *snapshot {
	part := refreshFrom + (refreshTo-refreshFrom)*rand.Float64()
	return &snapshot{
		keySet:    keys,
		refreshAt: loaded.Add(time.Duration(part * float64(lifetime))),
		staleAt:   loaded.Add(lifetime),
		expiresAt: loaded.Add(maxStaleness),
	}
}

// state is the state of a set whose last loaded keys are these: nil for none.
func (s *snapshot) state(now time.Time) state {
	switch {
	case s == nil:
		return cold
	case s.pinned, now.Before(s.staleAt):
		return fresh
	case now.Before(s.expiresAt):
		return stale
	default:
		return expired
	}
}

func (s *snapshot) due(now time.Time) bool { return !s.pinned && !now.Before(s.refreshAt) }

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
// once for each issuer, and share it: all methods are safe for concurrent use.
type Set struct {
	name   string // of the source, for the log
	logger *slog.Logger
	fetch  func(context.Context) (keySet, time.Duration, error) // nil when the keys are pinned, and never needed then

	current atomic.Pointer[snapshot] // nil while cold, and after Close

	ctx     context.Context // of every fetch; it ends with Close, never with a request
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards everything below, and every change of current
	closed   bool
	flight   *flight // under way, or nil
	failures failures
	searches budget
}

// Keys returns the keys that may have signed a token with this key id and this algorithm in its header; kid is "" for
// a token without one. They fit the algorithm in type, curve and size and are not marked for another use or algorithm.
// There are several when the set has several such keys under one key id: the caller tries each. There are at most 4,
// and never none without an error.
//
// A token without a key id gets a key only when exactly one of the whole set fits its algorithm. Keys that were pinned
// without a key id (from [PEM], [PublicKeys], and such entries of [Static]) also answer to every key id, for the
// operator chose them by hand and a key id is only a hint (RFC 7515 section 4.1.4).
//
// The error is [ErrKeyNotFound] when no key fits, also when the algorithm is not a known asymmetric one, and an
// [*UnavailableError] when that cannot be told now. The context bounds how long this request waits for keys that are
// being fetched (never longer than 5 seconds without it); its end does not stop the fetch.
func (s *Set) Keys(ctx context.Context, kid, alg string) ([]Key, error) {
	algorithm, ok := jwa.Lookup(alg)
	if !ok || algorithm.Symmetric() {
		return nil, ErrKeyNotFound // and no reason to fetch anything
	}
	snap, err := s.view(ctx, kid)
	if err != nil {
		return nil, err
	}
	keys := snap.candidates(kid, func(k Key) bool { return k.fits(algorithm) })
	if len(keys) == 0 {
		return nil, ErrKeyNotFound
	}
	return keys, nil
}

// view returns the keys to judge a token by that names this key id, after waiting for a fetch where one is needed.
func (s *Set) view(ctx context.Context, kid string) (*snapshot, error) {
	now := time.Now()
	seen := s.current.Load()
	snap := seen
	switch seen.state(now) {
	case cold, expired:
		return s.load(ctx, seen, now)
	case stale:
		snap = s.revalidate(ctx, seen, now)
	case fresh:
		if seen.due(now) {
			_, _ = s.attempt(seen, now) // in the background
		}
	}
	if snap.knows(kid) {
		return snap, nil
	}
	return s.search(ctx, seen, now) // which fetches nothing if this request has just waited for newer keys
}

// load waits for the first keys, or the first after the last ones expired.
func (s *Set) load(ctx context.Context, seen *snapshot, now time.Time) (*snapshot, error) {
	f, err := s.attempt(seen, now)
	if err != nil {
		return nil, err
	}
	return f.wait(ctx, now.Add(coldWait))
}

// revalidate returns keys newer than the stale ones if they can be had soon. Keys become stale because nobody needed
// them for a while: then a short wait is well spent, as some may have been withdrawn. Or because the issuer is failing:
// then nobody waits.
func (s *Set) revalidate(ctx context.Context, seen *snapshot, now time.Time) *snapshot {
	f, err := s.attempt(seen, now)
	if err != nil || f.retry {
		return seen
	}
	snap, err := f.wait(ctx, f.started.Add(idleWait))
	if err != nil {
		return seen
	}
	return snap
}

// search looks for a key id that the set does not have by fetching the set again: the issuer may have begun to sign with
// a new key. Anyone can make up key ids, so the fetch is shared by all who arrive meanwhile, and there is a budget.
// When that is spent, the keys at hand are the answer, unless the issuer was failing when it was last asked.
func (s *Set) search(ctx context.Context, seen *snapshot, now time.Time) (*snapshot, error) {
	s.mu.Lock()
	f, err := s.join(seen, now)
	if f == nil && err == nil {
		pause := s.searches.take(now)
		switch {
		case pause == 0:
			f = s.start(now)
		case s.failures.count > 0:
			err = &UnavailableError{RetryAfter: pause, cause: s.failures.last}
		}
	}
	s.mu.Unlock()

	if f == nil {
		return seen, err
	}
	return f.wait(ctx, now.Add(searchWait))
}

// attempt returns the fetch under way, and starts one if there is none. It fails when the set is closed, and during the
// pause after a failure.
func (s *Set) attempt(seen *snapshot, now time.Time) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := s.join(seen, now)
	if f == nil && err == nil {
		f = s.start(now)
	}
	return f, err
}

// join returns the fetch that a request can wait for, or why there can be none, or neither: then it may start one.
// The caller holds the lock.
func (s *Set) join(seen *snapshot, now time.Time) (*flight, error) {
	if s.closed {
		return nil, &UnavailableError{cause: ErrClosed}
	}
	if snap := s.current.Load(); snap != seen {
		return landed(snap), nil // another request's fetch ended since this one looked
	}
	if s.flight != nil {
		return s.flight, nil
	}
	if pause := s.failures.pause(seen.state(now), now); pause > 0 {
		return nil, &UnavailableError{RetryAfter: pause, cause: s.failures.last}
	}
	return nil, nil
}

// start starts a fetch. The caller holds the lock, and join returned nothing.
func (s *Set) start(now time.Time) *flight {
	f := &flight{started: now, retry: s.failures.recent(now), done: make(chan struct{})}
	s.flight = f
	s.running.Go(func() {
		keys, lifetime, err := s.fetchOrFail()
		s.land(f, keys, lifetime, err)
	})
	return f
}

// fetchOrFail makes a panic, be it of a client's own transport, a failed fetch: no server stands above this goroutine that
// would recover it, as one does for a handler's, and it would end the process.
func (s *Set) fetchOrFail() (keys keySet, lifetime time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the fetch panicked: %v", p)
		}
	}()
	return s.fetch(s.ctx)
}

// land ends a flight and lets the waiting requests go on. The log is written last, so that nobody waits for it.
func (s *Set) land(f *flight, keys keySet, lifetime time.Duration, err error) {
	report := s.settle(f, keys, lifetime, err)
	close(f.done)
	report()
}

// settle stores what a flight fetched, or counts its failure, and returns what the log is to say: a failure once for
// each state that it lasts through, and the end of failures.
func (s *Set) settle(f *flight, keys keySet, lifetime time.Duration, err error) (report func()) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	old := s.current.Load()
	st, failed := old.state(now), s.failures

	if s.closed {
		f.err = &UnavailableError{cause: ErrClosed}
		return func() {}
	}
	if err != nil {
		s.failures.add(err, st, now)
		f.err = &UnavailableError{RetryAfter: s.failures.pause(st, now), cause: err}
		return func() {
			if failed.count == 0 || failed.state != st {
				s.logger.Warn("fetching keys fails", "source", s.name, "keys", st.String(), "error", excerpt(err.Error(), maxLoggedError))
			}
		}
	}
	s.failures = failures{}
	f.result = newSnapshot(keys, f.started, lifetime)
	s.current.Store(f.result)
	return func() {
		if failed.count > 0 {
			s.logger.Warn("fetching keys works again", "source", s.name, "failures", failed.count)
		}
		logRefused(s.logger, s.name, f.result.refused, old)
	}
}

// failures counts the fetches that failed since the last one that did not.
type failures struct {
	count  int
	last   error
	at     time.Time
	state  state   // of the keys at that time
	jitter float64 // of the pause after it, from 0 to 1
}

func (f *failures) add(err error, st state, now time.Time) {
	*f = failures{count: f.count + 1, last: err, at: now, state: st, jitter: rand.Float64()}
}

// recent reports whether the issuer was failing a moment ago: under traffic, no pause between attempts is longer.
func (f *failures) recent(now time.Time) bool { return f.count > 0 && now.Sub(f.at) <= staleBackoff }

// pause is what remains of the pause after the last failure. It depends on the state of the keys now: a set that expires
// during a long pause becomes as eager as a cold one.
func (f *failures) pause(st state, now time.Time) time.Duration {
	if f.count == 0 {
		return 0
	}
	return max(0, backoff(st, f.count, f.jitter)-now.Sub(f.at))
}

// backoff is the pause after so many failures. Without usable keys every request is refused meanwhile, so the pause
// stays short, and never so short that a struggling issuer is hit again at once (equal jitter: 1 to 2, then 2 to 4
// seconds). With usable keys nobody suffers, so the attempts of a fleet are spread out as far as they go (full jitter:
// 0 to 2, 4, 8 ... 60 seconds).
func backoff(st state, count int, jitter float64) time.Duration {
	limit := time.Second << min(count, 6)
	if st == cold || st == expired {
		half := min(limit, coldBackoff) / 2
		return half + time.Duration(jitter*float64(half))
	}
	return time.Duration(jitter * float64(min(limit, staleBackoff)))
}

// budget is a token bucket of searchBudget fetches, kept as the time when it will be full again.
type budget struct{ full time.Time }

// take takes one out, or returns how long it will be until there is one.
func (b *budget) take(now time.Time) (pause time.Duration) {
	full := b.full
	if full.Before(now) {
		full = now
	}
	if pause = full.Sub(now) - (searchBudget-1)*searchRefill; pause > 0 {
		return pause
	}
	b.full = full.Add(searchRefill)
	return 0
}

// Ready starts the first fetch if nothing has, and returns nil once the set can verify tokens, fresh or stale: an
// issuer's short outage must not take a whole fleet out of service. Until then it waits, through failures and the pauses
// after them, for the context to end; the error is then an [*UnavailableError] that wraps the context's and the last
// failure. A set of pinned keys is always ready.
func (s *Set) Ready(ctx context.Context) error {
	for {
		now := time.Now()
		seen := s.current.Load()
		if st := seen.state(now); st == fresh || st == stale {
			return nil
		}
		_, err := s.load(ctx, seen, now)
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

package jwks

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
)

const (
	// staleWait is how long a request waits for newer keys than the stale ones, counted from the
	// start of the fetch. See [WithColdWait] for when there are none. Its own deadline counts too,
	// if that is sooner.
	staleWait = 2 * time.Second

	// failingFor is for how long after a failure no request waits for newer keys than stale ones. A
	// set that was not used for so long no longer knows anything of its issuer.
	failingFor = 10 * time.Minute

	// retrySoon is what a client is told while a fetch is under way.
	retrySoon = time.Second
)

// The bounds of the pause after failures, without and with usable keys.
var (
	coldBackoff  = flight.Backoff{First: 2 * time.Second, Max: 4 * time.Second}
	staleBackoff = flight.Backoff{First: 2 * time.Second, Max: time.Minute}
)

var errFetchUnderWay = errors.New("the keys are still being fetched")

// A fetch brings newer keys to any number of requests that wait for it. It belongs to the set: no
// request can cancel it.
type fetch struct {
	*flight.Call[*snapshot]
	began   time.Time
	failing bool // the issuer failed not long ago: there is little hope
}

// wait returns what the fetch brings, or an [UnavailableError] if that takes longer than the
// request can wait.
func (f *fetch) wait(ctx context.Context, until time.Time) (*snapshot, error) {
	if f.Wait(ctx, until) {
		return f.Result()
	}
	cause := errFetchUnderWay
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	return nil, &UnavailableError{RetryAfter: retrySoon, cause: cause}
}

// refresh returns the keys to use instead of the cached ones, after waiting for a fetch where one
// is needed, and starts one where no request needs to wait. It judges what it waited for as it
// judges any other keys: a fetch that was under way when the machine fell asleep brings old ones.
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

// revalidate returns newer keys than the stale ones if they come soon. Keys become stale when no
// request needed them for a while, and keys from a file are stale: then a short wait is well spent,
// because some may have been withdrawn. Keys also become stale when the issuer fails: then no
// request waits.
func (s *Set) revalidate(ctx context.Context, seen *snapshot, now time.Time) *snapshot {
	f, err := s.attempt(seen, now)
	if err != nil || f.failing {
		return seen
	}
	wait := staleWait
	if seen.restored { // they may be many days old
		wait = max(staleWait, s.policy.coldWait)
	}
	snap, err := f.wait(ctx, f.began.Add(wait))
	if err != nil {
		return seen
	}
	return snap
}

// attempt returns the fetch under way, and starts one if there is none. It fails when the set is
// closed, and during the pause after a failure.
func (s *Set) attempt(seen *snapshot, now time.Time) (*fetch, error) {
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
func (s *Set) join(seen *snapshot) (*fetch, error) {
	if s.closed {
		return nil, &UnavailableError{cause: ErrClosed}
	}
	if snap := s.current.Load(); snap != seen {
		// Another request's fetch ended since this one looked.
		return &fetch{Call: flight.FinishedCall(snap)}, nil
	}
	return s.fetch, nil
}

// start starts a fetch. The caller holds the lock, and join returned nothing.
func (s *Set) start(now time.Time) *fetch {
	f := &fetch{
		Call: flight.NewCall[*snapshot](), began: now, failing: s.failures.recent(now),
	}
	unread, discoverFirst := s.unread, !s.current.Load().state(now).usable()
	s.unread, s.fetch = false, f
	s.running.Go(func() {
		if unread && s.restore(f) {
			return
		}
		var a answer
		flight.Recover("the fetch", func() (err error) {
			a, err = s.download(s.ctx, discoverFirst)
			return err
		}, func(err error) { s.finish(f, a, err) })
	})
	return f
}

// finish ends a fetch and lets the waiting requests go on. The log and the file are written last,
// so that no request waits for them.
func (s *Set) finish(f *fetch, a answer, err error) {
	result, report, failure := s.accept(f, a, err)
	f.Finish(result, failure)
	defer s.save()
	report()
}

// accept stores what a fetch brought, or counts its failure. It returns what the waiting requests
// receive, and a function that writes the log: a failure once for each state that it lasts through,
// and the end of failures.
func (s *Set) accept(f *fetch, a answer, err error) (result *snapshot, report func(), failure error) {
	now, old := time.Now(), s.current.Load()
	if err == nil {
		result = s.policy.snapshot(a, f.began, old) // without the lock: it compares many keys with many
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetch = nil
	st, failed := old.state(now), s.failures

	if s.closed {
		return nil, func() {}, &UnavailableError{cause: ErrClosed}
	}
	s.counts.fetches++
	if err != nil {
		s.counts.failures++
		s.failures.add(err, st, now)
		pause := s.failures.pause(st, now)
		if st.usable() { // who waited for it searches for a key id; all others use the current keys
			pause = s.untilSearch(now)
		}
		return nil, func() {
			if failed.count == 0 || failed.state != st {
				s.logger.Warn("fetching keys fails", "source", s.name, "keys", string(st),
					"error", excerpt(err.Error(), maxLoggedError))
			}
		}, &UnavailableError{RetryAfter: pause, cause: err}
	}
	s.failures = failures{}
	s.current.Store(result)
	s.unknown.missing.forget(&result.keySet)
	if s.file != nil {
		s.unsaved.Store(result)
	}
	return result, func() {
		if failed.count > 0 {
			s.logger.Warn("fetching keys works again", "source", s.name, "failures", failed.count)
		}
		if result.withdrawn && (old == nil || !old.withdrawn) {
			s.logger.Warn("the issuer has withdrawn all its keys", "source", s.name)
		}
		logRefused(s.logger, s.name, result.refused, old)
	}, nil
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

// recent reports whether the issuer failed not long ago.
func (f *failures) recent(now time.Time) bool {
	return f.count > 0 && elapsed(f.at, now) <= failingFor
}

// pause is what remains of the pause after the last failure. It depends on the state of the keys
// now: when a set expires during a long pause, the pause becomes as short as that of a cold set.
func (f *failures) pause(st State, now time.Time) time.Duration {
	if f.count == 0 {
		return 0
	}
	return max(0, backoff(st, f.count, f.jitter)-elapsed(f.at, now))
}

// backoff is the pause after so many failures. Without usable keys every request is refused
// meanwhile, so the pause stays short, but long enough that a struggling issuer is not asked again
// at once (equal jitter: 1 to 2, then 2 to 4 seconds). With usable keys no request suffers, so the
// attempts of a fleet are spread as widely as possible (full jitter: 0 to 2, 4, 8 ... 60 seconds).
func backoff(st State, count int, jitter float64) time.Duration {
	if !st.usable() {
		half := coldBackoff.Bound(count) / 2
		return half + time.Duration(jitter*float64(half))
	}
	return time.Duration(jitter * float64(staleBackoff.Bound(count)))
}

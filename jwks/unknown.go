package jwks

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/keyset"
)

// How often the issuer is asked about key ids that the set does not have. Anyone can make up key
// ids, so this is also what outsiders can make a set do: searchBudget fetches at once, and 900 more
// in an hour.
//
// The refill is shorter than the default [WithColdWait], so that a request which finds the budget
// spent gets its answer from the next search: that starts after 4 seconds at most, and the issuer
// then has a second to answer.
const (
	searchBudget = 5               // searches at once,
	searchRefill = 4 * time.Second // and one more each time this has passed

	// searchWait is how long a request waits for a search, counted from its arrival. One that has
	// to wait for its turn waits for as long as [WithColdWait] in all, if that is longer.
	searchWait = 2 * time.Second
	// maxWaiting requests wait for their turn at the same time; more are unavailable at once.
	maxWaiting = 1 << 14
)

// How key ids that a search did not find are remembered.
const (
	maxMissing = 512 // key ids; about 40 KiB

	// How old the current keys are when such a key id is searched for again: the shortest at first,
	// doubled with each search up to the longest.
	shortestMiss = 10 * time.Second
	longestMiss  = 2 * time.Minute
)

var errSearchesSpent = errors.New("the next search for unknown key ids is not due yet")

// unknown is what a set knows of key ids that it does not have. The lock of the set guards it.
type unknown struct {
	searches budget
	waiting  int // requests that wait for their turn
	missing  missing
}

// search looks for a key id, or for the thumbprint of a token without one, that the set does not
// have by fetching the set again: the issuer may
// have begun to sign with a new key. Keys that were requested before this request arrived may lack
// that key, both those that it has seen and those that it has waited for: then there is another
// fetch. All requests that wait for one share it, whatever key ids they look for.
func (s *Set) search(
	ctx context.Context, seen, snap *snapshot, q *query, arrived time.Time,
) (*snapshot, error) {
	if snap.knows(q) || !keyset.Searches(ctx) {
		return snap, nil
	}
	id, until := q.searchID(), arrived.Add(searchWait)
	for !snap.knows(q) {
		if snap != seen && !snap.restored && !snap.loaded.Before(arrived) {
			s.remember(id, snap)
			return snap, nil
		}
		f, turn, err := s.searching(ctx, snap, id, arrived)
		switch {
		case err != nil:
			return nil, err
		case f != nil:
			if snap, err = f.wait(ctx, until); err != nil {
				return nil, err
			}
		case turn > 0:
			until = arrived.Add(max(searchWait, s.policy.coldWait))
			if err := s.awaitTurn(ctx, turn); err != nil {
				return nil, err
			}
		default:
			return snap, nil
		}
	}
	return snap, nil
}

// searching returns what a request does that looks for a key id which the current keys lack:
//   - a fetch: it waits for that one, which was under way or has just started;
//   - a turn above zero: the budget is spent, and the request waits that long for the next search.
//     It has one of the places of waiting requests, and the caller must call awaitTurn;
//   - an error: the key id is unavailable;
//   - none of them: a search has not found the key id lately, and the current keys are the answer.
//
// While the issuer fails nothing is known of any key id, and no request waits for its turn.
func (s *Set) searching(
	ctx context.Context, snap *snapshot, id uint64, arrived time.Time,
) (f *fetch, turn time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.current.Load() == snap && s.failures.count == 0 && s.unknown.missing.holds(id, snap.loaded, now) {
		return nil, 0, nil
	}
	f, err = s.join(snap)
	if f != nil || err != nil {
		return f, 0, err
	}
	turn = s.untilSearch(now)
	switch {
	case turn == 0:
		s.unknown.searches.take(now)
		return s.start(now), 0, nil
	case s.failures.count > 0:
		return nil, 0, &UnavailableError{RetryAfter: turn, cause: s.failures.last}
	case s.unknown.waiting >= maxWaiting || now.Add(turn).After(s.patience(ctx, arrived)):
		return nil, 0, &UnavailableError{RetryAfter: turn, cause: errSearchesSpent}
	default:
		s.unknown.waiting++
		return nil, turn, nil
	}
}

// patience is until when a request can wait for its turn.
func (s *Set) patience(ctx context.Context, arrived time.Time) time.Time {
	until := arrived.Add(s.policy.coldWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		return deadline
	}
	return until
}

// awaitTurn waits for the next search, in the place that searching gave to the request. Many
// requests have the same turn: the first of them starts the search, and the others join it.
func (s *Set) awaitTurn(ctx context.Context, turn time.Duration) error {
	began := time.Now()
	came := flight.Sleep(ctx, turn, s.ctx.Done())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown.waiting--
	if !came {
		return &UnavailableError{RetryAfter: max(0, turn-time.Since(began)), cause: context.Cause(ctx)}
	}
	return nil
}

// untilSearch is how long it will be until there can be another search. The pause after failures is
// that of a set without keys: here, too, requests are refused meanwhile. The caller holds the lock.
func (s *Set) untilSearch(now time.Time) time.Duration {
	return max(s.failures.pause(StateCold, now), s.unknown.searches.pause(now))
}

// remember notes that these keys were fetched in a search for a key id, and do not have it.
func (s *Set) remember(id uint64, snap *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown.missing == nil {
		s.unknown.missing = make(missing)
	}
	s.unknown.missing.add(id, snap.loaded)
}

// missing remembers key ids that a search did not find. It keeps hashes of them: a key id may be 1
// KiB long. A newcomer takes the place of any other when it is full. Nothing is lost with that: a
// key id that is not remembered is searched for.
type missing map[uint64]miss

// miss is a key id that was not found.
type miss struct {
	asked time.Time     // when the issuer was asked for the keys that did not have it
	pause time.Duration // how old the current keys may be to be an answer
}

// missingSeed keeps others from making up a key id with the hash of another one.
var missingSeed = maphash.MakeSeed()

func missingID(kid string) uint64 { return maphash.String(missingSeed, kid) }

// holds reports whether the current keys, which do not have the key id, are answer enough; they may
// have been another search for it. Their age is negative when the clock was set back: then they are
// not enough.
func (m missing) holds(id uint64, loaded, now time.Time) bool {
	if _, known := m[id]; !known {
		return false
	}
	m.add(id, loaded)
	age := elapsed(loaded, now)
	return age >= 0 && age < m[id].pause
}

// add notes that keys which were asked for at that time do not have the key id. It makes no
// difference what they were fetched for: each fetch after the pause has shown that the key id is
// still missing, and doubles the pause.
func (m missing) add(id uint64, asked time.Time) {
	before, known := m[id]
	switch {
	case !known:
		if len(m) >= maxMissing {
			for other := range m {
				delete(m, other)
				break
			}
		}
		m[id] = miss{asked, shortestMiss}
	case elapsed(before.asked, asked) >= before.pause:
		m[id] = miss{asked, min(2*before.pause, longestMiss)}
	}
}

// forget forgets key ids and thumbprints that are published now.
func (m missing) forget(published *keySet) {
	for kid := range published.ids {
		delete(m, missingID(kid))
	}
	for _, key := range published.keys {
		delete(m, missingThumbprint(key.thumbprint))
	}
}

// budget is a token bucket of searchBudget fetches, kept as the time when it will be full again.
type budget struct{ full time.Time }

// pause returns how long it will be until there is one to take out.
func (b *budget) pause(now time.Time) time.Duration {
	return max(0, -elapsed(b.full.Add(-(searchBudget-1)*searchRefill), now))
}

// take spends one search. The caller has checked that the pause is 0.
func (b *budget) take(now time.Time) {
	if elapsed(b.full, now) > 0 {
		b.full = now
	}
	b.full = b.full.Add(searchRefill)
}

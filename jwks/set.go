package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
)

// A Set holds the keys of one issuer, fetches them when they are first needed, and keeps them
// fresh. Make it with [New], once for each issuer, and share it: all methods are safe for
// concurrent use. The zero value cannot be used. It prints a fixed text.
type Set struct{ *setHandle }

// setHandle is one more pointer to the content. Package fmt follows one pointer when a verb does
// not fit, and would read what other goroutines change.
type setHandle struct{ *setState }

// setState is the content of a Set.
type setState struct {
	name   string // of the source, for the log
	logger *slog.Logger
	policy policy

	// download fetches the keys; see [remote.fetch]. It is nil when the keys are pinned, and never
	// needed then.
	download func(ctx context.Context, discoverFirst bool) (answer, error)

	observe func(failure error) // or nil; see [keyset.Set]

	current atomic.Pointer[snapshot] // nil while cold, and after Close

	toldOfOther atomic.Bool // of tokens whose key is for other issuers
	toldOfMany  atomic.Bool // of tokens without a key id that more than one key fits

	// parts are the sets of several sources, which do all the work then; see [AnyOf].
	parts []*Set

	ctx     context.Context // of every fetch; it ends with Close, never with a request
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards everything below, and every change of current
	closed   bool
	fetch    *fetch // under way, or nil
	failures failures
	unknown  unknown
	counts   counts
	unread   bool // there is a file of last known good keys that was not read yet

	file       *file                    // of the last known good keys, or nil
	unsaved    atomic.Pointer[snapshot] // the last one, until it is written to the file
	saving     sync.Mutex               // held while the file is written; guards unwritable
	unwritable bool                     // the file could not be written the last time
}

// Keys returns the keys that may have signed a token with this key id and this algorithm in its
// header; kid is "" for a token without one. They fit the algorithm in type, curve and size and are
// not marked for another use or algorithm. There are several when the set has several such keys
// under one key id: the caller tries each. There are at most 4, at most one of them on P-521 or of
// more than 4096 bits, because those cost the most, and never none without an error.
//
// A token without a key id gets a key only when exactly one of the whole set fits its algorithm;
// copies of one key count once. Keys that the operator chose, those of [PEM], [PublicKeys],
// [Static] and [File], are different: a token without a key id gets all that fit its algorithm, if
// those are at most 4, and otherwise none. And those of them without a key id answer to every key
// id, because a key id is only a hint (RFC 7515 section 4.1.4).
//
// With several sources ([AnyOf]) each is asked by these rules, and together they give at most 4.
//
// Keys does not know the token's iss. A key with a member issuer is only for some issuers: ask
// [Key.SignsFor] before a key is used. Keys for other issuers count towards the 4, and as keys that
// fit.
//
// The error wraps [ErrKeyNotFound] when no key fits, also when the algorithm is not a known
// asymmetric one, and an [*UnavailableError] when that cannot be told now. The context limits how
// long this request waits for keys that are being fetched; its end does not stop the fetch. Without
// it that is [WithColdWait], or 2 seconds if that is longer and there are keys already.
func (s *Set) Keys(ctx context.Context, kid, alg string) ([]Key, error) {
	q := query{hint: keyset.Hint{KeyID: kid}, anyIssuer: true}
	var found candidates
	if _, err := s.candidates(ctx, &q, alg, &found); err != nil {
		return nil, err
	}
	return found.list(), nil
}

// candidates finds one key at least, or returns an error, and the time at which that is so. The
// query lacks the algorithm.
func (s *Set) candidates(ctx context.Context, q *query, alg string, found *candidates) (at time.Time, err error) {
	algorithm, ok := jws.Lookup(alg)
	if !ok || algorithm.Symmetric() {
		return time.Now(), errSymmetric // and no reason to fetch anything
	}
	q.algorithm = algorithm
	if at, err = s.find(ctx, q, found); err != nil {
		s.warnOfMiss(q, err)
	}
	return at, err
}

// find is candidates for a query that is complete. In that an algorithm of nil stands for any.
func (s *Set) find(ctx context.Context, q *query, found *candidates) (at time.Time, err error) {
	if s.parts != nil {
		return s.findInAny(ctx, q, found)
	}
	arrived := time.Now()
	at = arrived
	seen := s.current.Load()
	snap := seen
	if seen == nil || seen.due(arrived) {
		snap, err = s.refresh(ctx, seen, arrived)
		if at = time.Now(); err != nil {
			return at, err
		}
	}
	if *found = snap.candidates(q); found.n > 0 {
		return at, nil
	}
	snap, err = s.search(ctx, seen, snap, q, arrived)
	if at = time.Now(); err != nil {
		return at, err
	}
	if *found = snap.candidates(q); found.n > 0 {
		return at, nil
	}
	return at, snap.miss(q)
}

// warnOfMiss tells the operator of two reasons for which good tokens are refused: the member issuer
// of a key, which with the key set of another version of an issuer refuses all of them, and keys of
// which a token without a kid does not say which one. A client learns only that the key is not
// known. Anyone can send such a token, so each is told once, and nothing of the token.
func (s *Set) warnOfMiss(q *query, err error) {
	switch err {
	case errKeyOfOther: //nolint:errorlint // there is one of each, and errors.Is would cost every such token 150 ns
		if s.toldOfOther.Load() || s.toldOfOther.Swap(true) {
			return
		}
		for _, source := range s.sources() {
			others := *q
			others.anyIssuer = true
			if snap := source.current.Load(); snap != nil {
				if found := snap.candidates(&others); found.n > 0 {
					key := found.keys[0]
					s.logger.Warn("a token is refused because its key is published for another issuer",
						"source", source.name, "kid", excerpt(key.ID, maxLoggedID),
						"issuer", excerpt(key.issuer.published(), maxLoggedError))
					return
				}
			}
		}
	case errAmbiguous, errCrowded:
		if !s.toldOfMany.Load() && !s.toldOfMany.Swap(true) {
			s.logger.Warn("a token is refused because it does not say which key it was signed with",
				"source", s.name, "reason", err.Error())
		}
	}
}

// view returns all keys, after waiting for a fetch where one is needed.
func (s *Set) view(ctx context.Context) (*snapshot, error) {
	return s.refresh(ctx, s.current.Load(), time.Now())
}

// Ready starts the first fetch if nothing has, and returns nil once the set can verify tokens,
// fresh or stale: an issuer's short outage must not take a whole fleet out of service. Until then
// it waits, through failures and the pauses after them, for the context to end; the error is then
// an [*UnavailableError] that wraps the context's and the last failure. A set of pinned keys is
// always ready.
//
// Like a request, it also starts a refresh that is due, and does not wait for it. With several
// sources it starts the first fetch of each, and returns nil once one of them has keys.
func (s *Set) Ready(ctx context.Context) error {
	if s.parts != nil {
		return s.readyAny(ctx)
	}
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
		if !flight.Sleep(ctx, retryAfter(err), s.ctx.Done()) {
			return s.notReady(ctx)
		}
	}
}

func (s *Set) notReady(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := &UnavailableError{RetryAfter: retrySoon, cause: context.Cause(ctx)}
	if s.failures.count > 0 {
		err.cause = fmt.Errorf("%w; before that, %w", err.cause, s.failures.last)
	}
	if now := time.Now(); s.fetch == nil {
		err.RetryAfter = s.failures.pause(s.current.Load().state(now), now)
	}
	return err
}

// Close stops the fetch under way and waits for its end, which comes at once unless a client's own
// transport ignores the context of its requests. Afterwards every answer of the set is an
// [*UnavailableError] whose cause is [ErrClosed]. It always returns nil, and may be called again.
func (s *Set) Close() error {
	for _, source := range s.sources() {
		source.mu.Lock()
		source.closed = true
		source.current.Store(nil)
		source.mu.Unlock()
		source.cancel()
	}
	for _, source := range s.sources() {
		source.running.Wait()
	}
	return nil
}

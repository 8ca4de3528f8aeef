package tokens

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/callertoken"
	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/internal/webclient"
)

const (
	// forcedPause is the time between two renewals of a token that is not stale, because a server
	// refused it.
	forcedPause = 30 * time.Second

	// refusedWait is how long a caller waits for another token while there is one that a server
	// refused.
	refusedWait = time.Second
)

// Source hands out the token of one [Key]. [Manager.Source] returns it. It is safe for concurrent
// use, and prints as "[secret]".
type Source struct {
	opaque
	*hiddenSource
}

type hiddenSource struct{ *sourceState }

func newSource(state *sourceState) *Source {
	state.source = &Source{hiddenSource: &hiddenSource{state}}
	return state.source
}

type sourceState struct {
	m   *Manager
	key Key

	// A source whose callers bring tokens of their own has none: each of those has a source of its
	// own, with the same key.
	providers  atomic.Pointer[[]*callertoken.Provider] // what asks them; nil for none
	parent     *Source                                 // of such a source the one for all callers; nil for any other
	callerHash string                                  // of such a source that of the callers' tokens; "" for any other

	fresh atomic.Pointer[Token] // the token that has nothing against it but, perhaps, its times; or nil

	mu       sync.Mutex // guards what follows, and every change of fresh
	token    *Token     // the last one; nil before the first
	refused  bool       // by a server: it is handed out only while there is no other
	fetch    *fetch     // the one under way, or nil
	begun    int        // fetches so far
	late     int        // calls of the Fetcher that have not returned in time, and not since
	newest   int        // of the fetches that brought a token, or all of them when the source was reset
	err      error      // of the last fetch; nil if it brought a token
	told     error      // the same for the log, which a Reset does not change
	failures int        // in a row
	next     time.Time  // no fetch begins before, unless there is neither a token nor a failure
	forced   time.Time  // when one last began because a server refused the token
	stats    Stats

	source *Source // that has this state
}

// Key returns the key that the tokens are for, with its scopes in the order that [Key] describes.
func (s *Source) Key() Key { return s.key }

func (s *sourceState) id() sourceID { return sourceID{s.key, s.callerHash} }

// Token returns a token that is not expired. It returns at once while there is one; a stale one is
// renewed in the background meanwhile. Otherwise it waits for one fetch, which it shares with all
// others, until the context ends.
//
// The error is an [*UnavailableError], or has the context's error and its cause in it. A token that
// a server refused is returned while there is no other; see [Source.Invalidate].
//
// If the Fetcher needs tokens of the caller, as those of package oauth for Exchange and JWTBearer
// do, the functions for them are called first, each time, with this context and in this goroutine.
// All the rest is then about callers with equal tokens alone.
func (s *Source) Token(ctx context.Context) (*Token, error) {
	now := time.Now()
	if t := s.fresh.Load(); t != nil && t.isFresh(now) {
		return t, nil
	}
	at, given, asked := s, []callertoken.Set(nil), 0
	for {
		if all := s.callerProviders(); !match(all, given) {
			if asked++; asked > 2*maxProviders {
				return nil, &UnavailableError{Err: badRequest(errProviders)}
			}
			var err error
			if at, given, err = s.forCaller(ctx, all); err != nil {
				return nil, err
			}
			now = time.Now()
		}
		t, f, err := at.join(ctx, now, given)
		if f == nil {
			return t, err
		}
		var until time.Time
		if t != nil {
			until = time.Now().Add(refusedWait)
		}
		switch finished := f.Wait(ctx, until); {
		case !finished && ctx.Err() != nil:
			return nil, fmt.Errorf("tokens: waiting for a token: %w", webclient.Ended(ctx))
		case !finished:
			return t, nil
		}
		if token, err := f.Result(); token != nil || err != nil {
			return token, err
		}
		now = time.Now()
	}
}

// join returns the token that is to be handed out now, or the fetch to wait for, or why there is
// neither. With a fetch, a token is what there is if that takes long.
func (s *Source) join(ctx context.Context, now time.Time, given []callertoken.Set) (*Token, *fetch, error) {
	s.mu.Lock()
	t := s.usable(now)
	if t == nil && ctx.Err() != nil {
		s.mu.Unlock()
		return nil, nil, fmt.Errorf("tokens: no token: %w", webclient.Ended(ctx))
	}
	wanted := t == nil || s.refused || !t.isFresh(now)
	if wanted && s.fetch == nil && (!now.Before(s.next) || t == nil && s.err == nil) {
		s.begin(ctx, now, given)
	}
	f := s.fetch
	switch {
	case s.m.ctx.Err() != nil:
		s.mu.Unlock()
		return nil, nil, &UnavailableError{Err: ErrClosed}
	case f != nil && (t == nil || s.refused && s.failures == 0): // after a failure it is not worth waiting for
		s.mu.Unlock()
		return t, f, nil
	case t != nil:
		s.mu.Unlock()
		return t, nil, nil
	}
	err := &UnavailableError{RetryAfter: s.next.Sub(now), Err: s.err}
	s.stats.TurnedAway++
	s.mu.Unlock()
	s.m.report(ctx, Event{Kind: eventBackoff, Key: s.key, Err: err})
	return nil, nil, err
}

// usable returns the token if it can be handed out. The caller holds the lock.
func (s *Source) usable(now time.Time) *Token {
	if s.token == nil || !s.token.isUsable(now) || s.refused && errors.Is(s.err, ErrLoginRequired) {
		return nil
	}
	return s.token
}

// Invalidate says that a server refused a token as invalid (RFC 6750 section 3.1), and reports
// whether it makes sense to ask for another with [Source.Token], and to try again.
//
// If it is still the current token, it is renewed: Token waits for another, and returns it again
// only if there is none, because otherwise one server could keep a good token from all others. A
// server that refuses whatever it gets causes one renewal in 30 seconds; in between, the token
// stays in use and the answer is false. It is true when another token has taken its place already.
// After [ErrLoginRequired] Token does not return it: so one server ends a login without a refresh
// token in this process, see [Response.Final], by refusing the token that is all there is.
//
// All keys of a Manager, and all Sessions of one client, share the renewals of tokens that are
// refused within 10 minutes after they replaced a refused one: 10 at once, and another every 10
// seconds.
func (s *Source) Invalidate(t *Token) bool {
	now := time.Now()
	if t != nil && t.callerHash != nil && *t.callerHash != s.callerHash {
		s.m.mu.Lock()
		at := s.m.find(sourceID{s.key, *t.callerHash})
		s.m.mu.Unlock()
		if at == nil {
			return false
		}
		s = at
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t == nil || s.token == nil:
		return false
	case t.Authorization() != s.token.Authorization():
		return true
	case s.refused:
		return s.fetch != nil || !now.Before(s.next)
	case !s.forced.IsZero() && now.Sub(s.forced) < forcedPause || s.failures > 0 && now.Before(s.next):
		return false
	case !s.forced.IsZero() && now.Sub(s.forced) < pacing.RepeatedAfter && !s.m.renewals.Take(now):
		return false
	}
	s.refused = true
	s.fresh.Store(nil)
	if s.failures == 0 {
		s.next = time.Time{}
	}
	return true
}

// Reset forgets the token, the last failure and the pause after it. The next [Source.Token] fetches
// one, and what a fetch under way brings is dropped. It is for after a login or a logout.
func (s *Source) Reset() {
	s.reset()
	for _, other := range s.m.all() {
		if other.parent != nil && other.key == s.key {
			other.reset()
		}
	}
}

// reset is Reset for this source, and no other of its key.
func (s *sourceState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.refused, s.err, s.failures, s.next, s.forced = nil, false, nil, 0, time.Time{}, time.Time{}
	s.newest = s.begun
	s.fresh.Store(nil)
	if s.fetch != nil {
		s.release(s.fetch, nil, nil)
	}
}

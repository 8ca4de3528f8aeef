package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	// After failures in a row nothing is asked for a random time within a bound that doubles from the first to the second.
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 30 * time.Second

	// The same after a failure that no repetition mends, which takes at least the first of these.
	minPermanentBackoff = 30 * time.Second
	maxPermanentBackoff = 5 * time.Minute

	maxRetryAfter = 5 * time.Minute  // that a server is granted
	maxLateSpread = 10 * time.Second // over which those come back who were told shortly before its end

	// forcedPause is the time between two renewals of a token that is not stale, because a server refused it.
	forcedPause = 30 * time.Second

	// renewalPause is the time between two fetches that succeed, unless the token's life is over before.
	renewalPause = 500 * time.Millisecond

	// refusedWait is how long somebody waits for another token while there is one that a server refused.
	refusedWait = time.Second

	// maxLate is how many calls of the Fetcher for one key may be late before no other is made.
	maxLate = 2
)

var (
	errTimeout   = fmt.Errorf("the Fetcher did not return in time: %w", context.DeadlineExceeded)
	errStuck     = errors.New("the Fetcher has not returned from earlier calls")
	errStillborn = errors.New("the token's life was over when it came")
)

// Source hands out the token of one [Key]. [Manager.Source] returns it. It is safe for concurrent
// use, and prints as "[secret]".
type Source struct {
	opaque
	*hiddenSource
}

type hiddenSource struct{ *sourceState }

func newSource(state *sourceState) *Source {
	return &Source{hiddenSource: &hiddenSource{state}}
}

type sourceState struct {
	m   *Manager
	key Key

	// A source whose callers bring tokens of their own has none: each of those has a source of its
	// own, with the same key.
	presenters atomic.Pointer[[]*presenter] // what asks them; nil for none
	whole      *Source                      // of such a source the one for all callers; nil for any other
	hash       string                       // of such a source that of the callers' tokens; "" for any other

	fresh atomic.Pointer[Token] // the token that has nothing against it but, perhaps, its times; or nil

	mu       sync.Mutex // guards what follows, and every change of fresh
	token    *Token     // the last one; nil before the first
	refused  bool       // by a server: it is handed out only while no other can be had
	flight   *flight    // the fetch under way, or nil
	flights  int        // that have begun
	late     int        // calls of the Fetcher that have not returned in time, and not since
	newest   int        // of the flights that brought a token, or all of them when the source was reset
	err      error      // of the last flight; nil if it brought a token
	failures int        // in a row
	next     time.Time  // no flight begins before, unless there is neither a token nor a failure
	forced   time.Time  // when one last began because a server refused the token
	stats    Stats
}

// flight is one call of the Fetcher, and those who wait for it.
type flight struct {
	number   int
	began    time.Time
	previous *Token
	given    []presented // the tokens of the caller who caused it

	landed bool          // guarded by the source's mutex
	done   chan struct{} // closed when it has landed, and what follows is known
	token  *Token
	err    error
	again  bool // neither: who waits looks anew
}

// Key returns the key that the tokens are for.
func (s *Source) Key() Key { return s.key }

func (s *Source) entry() entry { return entry{s.key, s.hash} }

// Token returns a token that is not expired. It returns at once while there is one; a stale one is renewed in the background
// meanwhile. Otherwise it waits for one fetch, which it shares with all others, until the context ends.
//
// The error is an [*UnavailableError], or has the context's error and its cause in it. A token that a server refused is returned
// while no other can be had; see [Source.Invalidate].
//
// With [Client.Exchange] and [Client.JWTBearer] the functions for the caller's tokens are called
// first, each time, with this context and in this goroutine. All the rest is then about callers with
// equal tokens alone.
func (s *Source) Token(ctx context.Context) (*Token, error) {
	now := time.Now()
	if t := s.fresh.Load(); t != nil && t.isFresh(now) {
		return t, nil
	}
	at, given, asked := s, []presented(nil), 0
	for {
		if all := s.learned(); !match(all, given) {
			if asked++; asked > 2*maxPresenters {
				return nil, &UnavailableError{Err: badRequest(errPresenters)}
			}
			var err error
			if at, given, err = s.variant(ctx, all); err != nil {
				return nil, err
			}
			now = time.Now()
			if at.whole != s { // one for this key that was forgotten: what is asked for at counts
				s = at.whole
				continue
			}
		}
		t, f, err := at.join(ctx, now, given)
		if f == nil {
			return t, err
		}
		var enough <-chan time.Time
		if t != nil {
			enough = time.After(refusedWait)
		}
		select {
		case <-f.done:
		case <-enough:
			return t, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("tokens: waiting for a token: %w", ended(ctx))
		}
		if !f.again {
			return f.token, f.err
		}
		now = time.Now()
	}
}

// join returns the token that is to be handed out now, or the flight to wait for, or why there is neither. With a flight a token is
// what there is if that takes long.
func (s *Source) join(ctx context.Context, now time.Time, given []presented) (*Token, *flight, error) {
	s.mu.Lock()
	t := s.usable(now)
	if t == nil && ctx.Err() != nil {
		s.mu.Unlock()
		return nil, nil, fmt.Errorf("tokens: no token: %w", ended(ctx))
	}
	wanted := t == nil || s.refused || !t.isFresh(now)
	if wanted && s.flight == nil && (!now.Before(s.next) || t == nil && s.err == nil) {
		s.begin(ctx, now, given)
	}
	f := s.flight
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
	s.m.report(ctx, Event{Kind: EventBackoff, Key: s.key, Err: err})
	return nil, nil, err
}

// usable returns the token if it can be handed out. The caller holds the lock.
func (s *Source) usable(now time.Time) *Token {
	if s.token == nil || !s.token.isUsable(now) || s.refused && errors.Is(s.err, ErrLoginRequired) {
		return nil
	}
	return s.token
}

// begin starts a flight, unless the Manager is closed or the Fetcher is stuck. The caller holds the lock.
func (s *Source) begin(ctx context.Context, now time.Time, given []presented) {
	if s.late == maxLate {
		s.failures++
		s.err, s.next = errStuck, now.Add(pause(s.failures, errStuck))
		return
	}
	if !s.m.begin(s) {
		return
	}
	s.flights++
	s.flight = &flight{number: s.flights, began: now, previous: s.token, given: given, done: make(chan struct{})}
	if s.refused {
		s.forced = now
	}
	go s.fly(context.WithoutCancel(ctx), s.flight)
}

// fly makes a flight. It has the values of whoever caused it, such as a trace, but none of the hooks
// for that one's own requests, and a time of its own.
func (s *Source) fly(ctx context.Context, f *flight) {
	defer s.m.flying.Done()
	ctx, cancel := context.WithTimeoutCause(context.WithValue(withoutTrace(ctx), flightContext{}, true), s.m.timeout, errTimeout)
	defer cancel()
	defer context.AfterFunc(s.m.ctx, cancel)()

	// Who waits is let go in time even if the Fetcher does not heed its context.
	letGo := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(letGo)
		s.addLate(1)
		s.land(ctx, f, nil, context.Cause(ctx))
	})
	var response *Response
	contain(ctx, s.m.logger, "the Fetcher", func() (err error) { // or else one bad subject of an exchange ends the whole service
		response, err = s.m.fetcher.Fetch(ctx, Request{Key: s.key, Previous: f.previous, source: s, given: f.given})
		return err
	}, func(err error) {
		if !stop() {
			<-letGo
			s.addLate(-1)
		}
		s.land(ctx, f, response, err)
	})
}

func (s *Source) addLate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late += n
}

// land takes in what came of a flight. It may be called twice: a Fetcher that did not return in time may bring a token
// nevertheless, which is welcome if no later flight has brought one.
func (s *Source) land(ctx context.Context, f *flight, response *Response, err error) {
	now := time.Now()
	var token *Token
	if err == nil && response != nil {
		err = s.checkCaller(f, response.obtained)
	}
	if err == nil {
		if token, err = newToken(response, s.key, f.began); err == nil {
			hash := s.hash
			token.hash = &hash
			token.endBy(f.given, now)
			if !token.isUsable(now) {
				token, err = nil, errStillborn
			}
		}
	}
	if err != nil && s.m.ctx.Err() != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !f.landed {
			f.err = &UnavailableError{Err: ErrClosed}
			s.settle(f)
		}
		return
	}
	ev := Event{Kind: EventFetch, Key: s.key, Duration: now.Sub(f.began), Err: err}

	s.mu.Lock()
	if !match(s.learned(), f.given) { // whatever came: it is not known whose it is
		s.settle(f)
		s.mu.Unlock()
		return
	}
	before := s.failures
	switch {
	case f.number <= s.newest: // overtaken
		s.settle(f)
		s.mu.Unlock()
		return
	case token != nil:
		if f.previous != nil {
			ev.Kind = EventRefresh
		}
		if response.Reused {
			ev.Kind = EventReuse
		}
		s.token, s.refused, s.newest = token, false, f.number
		s.err, s.failures, s.next = nil, 0, now.Add(renewalPause)
		s.fresh.Store(token)
		switch {
		case !f.landed:
			f.token = token
		case s.flight != nil: // a later one: who waits for it need not
			s.settle(s.flight)
		}
	case f.landed:
		s.mu.Unlock()
		return
	default:
		ev.Kind = EventFailure
		s.failures++
		ev.RetryAfter = pause(s.failures, err)
		s.err, s.next = err, now.Add(ev.RetryAfter)
		if f.token = s.usable(now); f.token == nil { // which only a refused one can be, or nobody waits
			f.err = &UnavailableError{RetryAfter: ev.RetryAfter, Err: err}
		}
	}
	s.stats.count(ev, now)
	s.settle(f)
	s.mu.Unlock()

	tell(ctx, s.m.logger, "the log handler", func() { s.log(ctx, ev, before) })
	s.m.report(ctx, ev)
}

// settle lets go who waits for a flight. Without a token or an error they look anew. The caller holds the lock.
func (s *Source) settle(f *flight) {
	if f.landed {
		return
	}
	f.landed, f.again = true, f.token == nil && f.err == nil
	close(f.done)
	if s.flight == f {
		s.flight = nil
	}
}

// pause is for how long nothing is asked for after so many failures in a row. It is random all the way down to nothing ("full
// jitter"), so that those who failed together do not come back together, on top of what the server asks for.
//
// A server that says when it will be back says so to a whole fleet. So the random part is at least
// twice what it asked for, up to maxBackoff: of a fleet that was told 15 seconds or more, one in
// sixty comes back in any half second. Those who are told in the last moments of a pause, and so
// have little left of it, spread over half of the whole of it, up to maxLateSpread.
func pause(failures int, err error) time.Duration {
	e, isError := errors.AsType[*Error](err)
	// With ErrLoginRequired another process may have logged in. To find out asks a Store alone, unless
	// it is about one key: then it asks the server.
	if isError && e.Permanent() && !e.held && !errors.Is(err, ErrLoginRequired) {
		return minPermanentBackoff + rand.N(maxPermanentBackoff-minPermanentBackoff)
	}
	bound := maxBackoff
	if doublings := failures - 1; doublings < 6 { // 2^6 times the first is more than the bound
		bound = min(firstBackoff<<doublings, maxBackoff)
	}
	var asked, late time.Duration
	if isError {
		asked, late = min(max(e.RetryAfter, 0), maxRetryAfter), min(e.whole/2, maxLateSpread)
	}
	return asked + 1 + rand.N(max(bound, min(2*asked, maxBackoff), late))
}

// Invalidate says that a server refused a token as invalid (RFC 6750 section 3.1), and reports whether it makes sense to ask for
// another with [Source.Token], and to try again.
//
// If it is still the current token it is to be renewed: Token waits for another, and returns it again only if none can be had, for
// otherwise one server could keep a good token from all others. A server that refuses whatever it gets causes one renewal in 30
// seconds; in between, the token stays in use and the answer is false. It is true when another token has taken its place already.
//
// All keys of a Manager, and all Sessions of a [Client], share the renewals of tokens that are refused
// within 10 minutes after they replaced a refused one: 10 at once, and another every 10 seconds.
func (s *Source) Invalidate(t *Token) bool {
	now := time.Now()
	if t != nil && t.hash != nil && *t.hash != s.hash {
		s.m.mu.Lock()
		at := s.m.find(entry{s.key, *t.hash})
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
		return s.flight != nil || !now.Before(s.next)
	case !s.forced.IsZero() && now.Sub(s.forced) < forcedPause || s.failures > 0 && now.Before(s.next):
		return false
	case !s.forced.IsZero() && now.Sub(s.forced) < repeatedAfter && !s.m.repeated.take(now):
		return false
	}
	s.refused = true
	s.fresh.Store(nil)
	if s.failures == 0 {
		s.next = time.Time{}
	}
	return true
}

// Reset forgets the token, the last failure and the pause after it: the next [Source.Token] fetches anew, and what a fetch under
// way brings is dropped. It is for after a login or a logout.
func (s *Source) Reset() {
	s.reset()
	for _, other := range s.m.all() { // also of a Source for this key that was forgotten
		if other.whole != nil && other.key == s.key {
			other.reset()
		}
	}
}

// reset is Reset for this source, and no other of its key.
func (s *Source) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.refused, s.err, s.failures, s.next, s.forced = nil, false, nil, 0, time.Time{}, time.Time{}
	s.newest = s.flights
	s.fresh.Store(nil)
	if s.flight != nil {
		s.settle(s.flight)
	}
}

// log reports a failure after a success, and a success after a failure, and at Debug all else. Nothing of the key is logged that says
// whom it is about.
func (s *Source) log(ctx context.Context, ev Event, failuresBefore int) {
	level := slog.LevelDebug
	switch {
	case ev.Err != nil && failuresBefore == 0:
		level = slog.LevelWarn
	case ev.Err == nil && failuresBefore > 0:
		level = slog.LevelInfo
	}
	if !s.m.logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("event", string(ev.Kind)), slog.Duration("duration", ev.Duration)}
	for _, a := range []slog.Attr{
		slog.String("issuer", s.key.Issuer), slog.String("client", s.key.Client), slog.String("resource", weburl.Redacted(s.key.Resource)),
		slog.String("audience", s.key.Audience), slog.String("scope", s.key.Scope),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if ev.Err != nil {
		attrs = append(attrs, slog.Duration("retry_after", ev.RetryAfter), slog.Any("error", ev.Err))
		s.m.logger.LogAttrs(ctx, level, "tokens: a token cannot be had", attrs...)
		return
	}
	s.m.logger.LogAttrs(ctx, level, "tokens: a token was obtained", attrs...)
}

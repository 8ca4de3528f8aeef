package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bearer-go/bearer/internal/callertoken"
	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	// renewalPause is the time between two fetches that succeed, unless the token's life is over
	// before.
	renewalPause = 500 * time.Millisecond

	// maxLate is how many calls of the Fetcher for one key may be late before no other is made.
	maxLate = 2
)

var (
	errTimeout        = fmt.Errorf("the Fetcher did not return in time: %w", context.DeadlineExceeded)
	errStuck          = errors.New("the Fetcher has not returned from earlier calls")
	errAlreadyExpired = errors.New("the token's life was over when it came")
)

// fetch is one call of the Fetcher. Callers wait for it; if it finishes with neither a token nor an
// error, they ask again.
type fetch struct {
	*flight.Call[*Token] // finished with the source's mutex held

	number   int
	began    time.Time
	previous *Token
	given    []callertoken.Set // the tokens of the caller who caused it
}

// begin starts a fetch, unless the Manager is closed or the Fetcher is stuck. The caller holds the
// lock.
func (s *Source) begin(ctx context.Context, now time.Time, given []callertoken.Set) {
	if s.late == maxLate {
		s.failures++
		s.err, s.next = errStuck, now.Add(backoff(s.failures, errStuck))
		return
	}
	if !s.m.begin(s) {
		return
	}
	s.begun++
	s.fetch = &fetch{
		Call: flight.NewCall[*Token](), number: s.begun, began: now, previous: s.token, given: given,
	}
	if s.refused {
		s.forced = now
	}
	go s.run(context.WithoutCancel(ctx), s.fetch)
}

// run calls the Fetcher. The context has the values of the caller that caused the fetch, such as a
// trace, but none of the hooks for the caller's own requests, and a deadline of its own.
func (s *Source) run(ctx context.Context, f *fetch) {
	defer s.m.running.Done()
	ctx, cancel := context.WithTimeoutCause(context.WithValue(webclient.WithoutTrace(ctx), fetchContext{}, true), s.m.timeout, errTimeout)
	defer cancel()
	defer context.AfterFunc(s.m.ctx, cancel)()

	var response *Response
	flight.Run(ctx, s.m.logger, "the Fetcher", func() (err error) {
		response, err = s.m.fetcher.Fetch(ctx, Request{
			Key: s.key, Previous: f.previous, source: s, given: f.given,
		})
		askMethods(err)
		return err
	}, func() {
		s.addLate(1)
		s.finish(ctx, f, nil, context.Cause(ctx))
	}, func(err error, wasLate bool) {
		if wasLate {
			s.addLate(-1)
		}
		s.finish(ctx, f, response, err)
	})
}

// askMethods calls the methods of a Fetcher's error that a Source calls later, with its lock held.
// One that panics, as those of a nil pointer do, is a failure of the Fetcher.
func askMethods(err error) {
	_ = backoff(1, err)
	_ = errors.Is(err, ErrLoginRequired)
}

func (s *Source) addLate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late += n
}

// finish takes in what came of a fetch. It may be called twice: a Fetcher that did not return in
// time may bring a token nevertheless, which is used if no later fetch has brought one.
func (s *Source) finish(ctx context.Context, f *fetch, response *Response, err error) {
	now := time.Now()
	var token *Token
	if err == nil && response != nil {
		err = s.checkCaller(f, response.obtained)
	}
	if err == nil {
		if token, err = newToken(response, s.key, f.began); err == nil {
			hash := s.callerHash
			token.callerHash = &hash
			token.endWith(f.given, now)
			if !token.isUsable(now) {
				token, err = nil, errAlreadyExpired
			}
		}
	}
	if err != nil && s.m.ctx.Err() != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.release(f, nil, &UnavailableError{Err: ErrClosed})
		return
	}
	ev := Event{Kind: eventFetch, Key: s.key, Duration: now.Sub(f.began), Err: err}

	s.mu.Lock()
	if !match(s.callerProviders(), f.given) { // whatever came: it is not known whose it is
		s.release(f, nil, nil)
		s.mu.Unlock()
		return
	}
	before, result, failure := s.told, token, error(nil)
	switch {
	case f.number <= s.newest: // overtaken
		s.release(f, nil, nil)
		s.mu.Unlock()
		return
	case token != nil:
		if f.previous != nil {
			ev.Kind = eventRefresh
		}
		if response.Reused {
			ev.Kind = eventReuse
		}
		s.token, s.refused, s.newest = token, false, f.number
		s.err, s.told, s.failures, s.next = nil, nil, 0, now.Add(renewalPause)
		s.fresh.Store(token)
		if f.Finished() && s.fetch != nil { // a later one, which need not be waited for
			s.release(s.fetch, nil, nil)
		}
	case f.Finished():
		s.mu.Unlock()
		return
	default:
		ev.Kind = eventFailure
		s.failures++
		ev.RetryAfter = backoff(s.failures, err)
		s.err, s.told, s.next = err, err, now.Add(ev.RetryAfter)
		if result = s.usable(now); result == nil { // which only a refused one can be, or no caller waits
			failure = &UnavailableError{RetryAfter: ev.RetryAfter, Err: err}
		}
	}
	s.stats.count(ev, now)
	s.release(f, result, failure)
	s.mu.Unlock()

	flight.Tell(ctx, s.m.logger, "the log handler", func() { s.log(ctx, ev, before) })
	s.m.report(ctx, ev)
}

// release finishes a fetch, unless it has finished before. The caller holds the lock.
func (s *sourceState) release(f *fetch, token *Token, err error) {
	if f.Finished() {
		return
	}
	f.Finish(token, err)
	if s.fetch == f {
		s.fetch = nil
	}
}

// backoff is for how long nothing is asked for after so many failures in a row. A permanent one
// that repeats an earlier answer has had its pause. After ErrLoginRequired another process may log
// in. To find out asks only a Store, unless the error is about one key: then it asks the server.
func backoff(failures int, err error) time.Duration {
	var last pacing.Failure
	if e, ok := errors.AsType[*Error](err); ok {
		last = pacing.Failure{
			Permanent:  e.Permanent() && e.Pause == 0 && !errors.Is(err, ErrLoginRequired),
			RetryAfter: e.RetryAfter, Pause: e.Pause,
		}
	}
	return pacing.Pause(failures, last)
}

// logLevel is the level for what came of a fetch, by what came of the one before: nil for a token,
// or for none. What has changed is for an operator, and all else for Debug. That a person has to
// log in is a change and no fault.
func logLevel(before, now error) slog.Level {
	loggedOut, wasLoggedOut := errors.Is(now, ErrLoginRequired), errors.Is(before, ErrLoginRequired)
	switch {
	case (now == nil) == (before == nil) && loggedOut == wasLoggedOut:
		return slog.LevelDebug
	case now == nil || loggedOut:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// log reports what came of a fetch, at a level that depends on what came of the one before. Nothing
// of the key is logged that says whom it is about.
func (s *Source) log(ctx context.Context, ev Event, before error) {
	level := logLevel(before, ev.Err)
	if !s.m.logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("event", ev.Kind), slog.Duration("duration", ev.Duration)}
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
		if e, ok := errors.AsType[*Error](ev.Err); ok && s.m.descriptions && e.Description != "" {
			attrs = append(attrs, slog.String("description", e.Description))
		}
		s.m.logger.LogAttrs(ctx, level, "tokens: no token was obtained", attrs...)
		return
	}
	s.m.logger.LogAttrs(ctx, level, "tokens: a token was obtained", attrs...)
}

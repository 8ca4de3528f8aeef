package tokens

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/callertoken"
	"github.com/bearer-go/bearer/internal/flight"
)

// maxProviders is how many Fetchers with functions of their own may serve one Key by turns, behind
// a Fetcher that chooses one.
const maxProviders = 4

// ErrAskCaller is what a Fetcher of package oauth that needs the caller's own tokens returns the
// first time that a [Manager] calls it for a [Key]. It needs tokens that only the caller of
// [Source.Token] has, and has sent nothing. The Manager asks the caller's functions, and calls
// Fetch again. It does so for whatever a Fetcher in between makes of this error, so that one that
// counts failures may leave it out.
var ErrAskCaller = errors.New("tokens: the Manager has to ask its caller for a token first")

var (
	errNotPassedOn   = errors.New("the Request of the Manager was not passed on; give Fetch the Request that came, with another Key if need be")
	errInFetch       = errors.New("the context is that of a fetch, which others share; ask in the function for the caller's token, or pass the Request on")
	errProviders     = fmt.Errorf("more than %d Fetchers that ask for the caller's tokens serve one key", maxProviders)
	errOtherCaller   = errors.New("the Response is for another caller's token; keep none by the Key alone")
	errProviderPanic = errors.New("the function for the caller's token panicked")
)

// badRequest is a request that is not made, because no server can grant it. It is
// [Error.Permanent].
func badRequest(err error) error { return &Error{Op: "token", Code: "invalid_request", Err: err} }

var _ = callertoken.Register(callertoken.Hooks{
	Of: func(ctx context.Context, request any, p *callertoken.Provider) (callertoken.Set, error) {
		return request.(Request).callerTokens(ctx, p)
	},
	Mark: func(response, request any, s callertoken.Set) {
		if r := request.(Request); r.source != nil {
			response.(*Response).obtained = &s
		}
	},
})

// fetchContext is the key of a value that the context of each fetch of a Manager has.
type fetchContext struct{}

// callerTokens returns the tokens of the caller of [Source.Token]. For a Request that no Manager
// made it calls the functions itself.
//
// Within a fetch of a Manager it never does: what comes of that fetch is handed out to all whose
// tokens equal the ones in the Request.
func (r Request) callerTokens(ctx context.Context, p *callertoken.Provider) (callertoken.Set, error) {
	if r.source == nil {
		if ctx.Value(fetchContext{}) != nil {
			return callertoken.Set{}, badRequest(errNotPassedOn)
		}
		return callertoken.Ask(ctx, p, r.Key)
	}
	for _, given := range r.given {
		if given.From == p {
			return given, given.Err
		}
	}
	return callertoken.Set{}, r.source.learnProvider(p)
}

// callerProviders returns those whose tokens tell the callers of this key apart; none for a key
// whose callers all share one token.
func (s *Source) callerProviders() []*callertoken.Provider {
	if s.parent != nil {
		s = s.parent
	}
	if all := s.providers.Load(); all != nil {
		return *all
	}
	return nil
}

// match reports whether these are the tokens that these providers give.
func match(all []*callertoken.Provider, given []callertoken.Set) bool {
	return slices.EqualFunc(all, given, func(p *callertoken.Provider, s callertoken.Set) bool { return p == s.From })
}

// learnProvider adds a provider, in place of the oldest if there are too many.
func (s *Source) learnProvider(p *callertoken.Provider) error {
	if s.parent != nil {
		s = s.parent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.callerProviders()
	switch {
	case slices.Contains(all, p): // since the fetch began
		return ErrAskCaller
	case len(all) == maxProviders:
		all = all[1:] // as when a Fetcher has been replaced by another behind a decorator
	}
	all = append(slices.Clip(all), p)
	s.providers.Store(&all)
	s.token = nil
	s.fresh.Store(nil)
	return ErrAskCaller
}

// forCaller calls the functions, in the goroutine and with the context of the caller of Token, and
// returns the source of the token for what they returned.
//
// Within a fetch of a Manager, such as one whose Fetcher asks another Manager, it never does; see
// [Request.callerTokens].
//
// Where several Fetchers serve by turns, one of them may do without what another cannot have. That
// is an error of the fetch then, if it is asked for there.
func (s *Source) forCaller(
	ctx context.Context, all []*callertoken.Provider,
) (at *Source, given []callertoken.Set, err error) {
	if s.m.ctx.Err() != nil {
		return nil, nil, &UnavailableError{Err: ErrClosed}
	}
	if ctx.Value(fetchContext{}) != nil {
		return nil, nil, &UnavailableError{Err: badRequest(errInFetch)}
	}
	mac := hmac.New(sha256.New, s.m.hashKey[:])
	var errs []error
	for _, p := range all {
		set, err := s.askProvider(ctx, p)
		if err != nil {
			errs = append(errs, err)
			set = callertoken.Set{From: p, Err: err}
		}
		set.Hash(mac)
		given = append(given, set)
	}
	if len(errs) == len(all) {
		return nil, nil, &UnavailableError{Err: errors.Join(errs...)}
	}
	return s.m.callerSource(s, string(mac.Sum(nil))), given, nil
}

// askProvider calls the functions of one provider. A panic of them is an error.
//
// They are asked with the Source's key, whatever key a Fetcher in between has asked with. That key
// may have come from another caller's context, and stand for that caller.
func (s *Source) askProvider(
	ctx context.Context, p *callertoken.Provider,
) (set callertoken.Set, err error) {
	defer func() {
		if recover() != nil {
			err = errProviderPanic
			flight.LogPanic(ctx, s.m.logger, "the function for the caller's token")
		}
	}()
	return callertoken.Ask(ctx, p, s.key)
}

// checkCaller returns an error for a Response that is not for the caller of a fetch, because a
// Fetcher in between has kept it. If it is for a token that the caller was not asked for, whose it
// is turns out when the caller has been.
func (s *Source) checkCaller(f *fetch, o *callertoken.Set) error {
	if o == nil {
		return nil
	}
	for _, given := range f.given {
		if given.From == o.From {
			if !given.Equal(*o) {
				return badRequest(errOtherCaller)
			}
			return nil
		}
	}
	return s.learnProvider(o.From)
}

// endWith makes the token end with those that it was obtained for, as far as their ends are known.
func (t *Token) endWith(given []callertoken.Set, now time.Time) {
	for _, set := range given {
		for _, token := range set.Tokens {
			if token.Expiry.IsZero() || !token.Expiry.Before(t.expiry) {
				continue
			}
			end := now.Add(token.Expiry.Sub(now)) // which has the monotonic clock
			t.expiry = end.Round(0)
			if end.Before(t.over) {
				t.over, t.overWall = end, t.expiry
			}
			if end.Before(t.due) {
				t.due, t.dueWall = end, t.expiry
			}
		}
	}
}

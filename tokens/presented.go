package tokens

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"slices"
	"time"
)

// maxPresenters is how many Fetchers with functions of their own may serve one Key by turns, behind
// a Fetcher that chooses one.
const maxPresenters = 4

// ErrAskCaller is what the Fetcher of [Client.Exchange] or [Client.JWTBearer] returns the first time
// that a [Manager] calls it for a [Key]. It needs tokens that only the caller of [Source.Token] has,
// and has sent nothing. The Manager asks the caller's functions, and calls Fetch again. It does so
// for whatever a Fetcher in between makes of this error, so that one that counts failures may leave
// it out.
var ErrAskCaller = errors.New("tokens: the Manager has to ask its caller for a token first")

var (
	errNotPassedOn    = errors.New("the Request of the Manager was not passed on; give Fetch the Request that came, with another Key if need be")
	errPresenters     = fmt.Errorf("more than %d Fetchers that ask for the caller's tokens serve one key", maxPresenters)
	errOtherCaller    = errors.New("the Response is for another caller's token; keep none by the Key alone")
	errTokenSize      = fmt.Errorf("the token that was given for it is longer than %d bytes", maxTokenSize)
	errPresenterPanic = errors.New("the function for the caller's token panicked")
	errTokenEnded     = errors.New("the token that was given for it has ended, by its Expiry")
)

// A presenter knows the functions that return the tokens of a caller.
type presenter []presentedName

// presentedName is the name of a form's parameter, and the function for its value.
type presentedName struct {
	name string
	get  func(context.Context, Key) (SecurityToken, error)
}

// presented are the tokens of one caller, in the order of the presenter's functions, or why there
// are none.
type presented struct {
	by     *presenter
	tokens []SecurityToken
	err    error
}

// present calls the functions.
func (p *presenter) present(ctx context.Context, key Key) (presented, error) {
	all := presented{by: p}
	for _, n := range *p {
		token, err := n.get(ctx, key)
		if err != nil {
			return presented{}, fmt.Errorf("tokens: the %s is not available: %w", n.name, err)
		}
		if token.Type == "" {
			token.Type = TypeAccessToken
		}
		switch {
		case token.Token.Reveal() == "" || !isURI(token.Type):
			err = errEmpty
		case len(token.Token.Reveal()) > maxTokenSize:
			err = errTokenSize
		case !token.Expiry.IsZero() && !time.Now().Before(token.Expiry):
			err = errTokenEnded
		}
		if err != nil {
			return presented{}, badRequest(err)
		}
		all.tokens = append(all.tokens, token)
	}
	return all, nil
}

// hash adds the tokens and their types to a hash, each preceded by its length. Their number is 0 if
// they are not available.
func (p presented) hash(h hash.Hash) {
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p.tokens))))
	for _, token := range p.tokens {
		for _, text := range []string{token.Token.Reveal(), token.Type} {
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
			_, _ = io.WriteString(h, text)
		}
	}
}

// fill puts the tokens into a form.
func (p presented) fill(form url.Values) {
	for i, n := range *p.by {
		form.Set(n.name, p.tokens[i].Token.Reveal())
	}
}

// fillTypes puts their types there (RFC 8693 section 2.1).
func (p presented) fillTypes(form url.Values) {
	for i, n := range *p.by {
		form.Set(n.name+"_type", p.tokens[i].Type)
	}
}

// flightContext is the key of a value that the context of each fetch of a Manager has.
type flightContext struct{}

// present returns the tokens of the caller of [Source.Token]. For a Request that no Manager made
// it calls the functions itself.
//
// Within a fetch of a Manager it never does: what comes of that fetch is handed out to all whose
// tokens equal the ones in the Request.
func (r Request) present(ctx context.Context, p *presenter) (presented, error) {
	if r.source == nil {
		if ctx.Value(flightContext{}) != nil {
			return presented{}, badRequest(errNotPassedOn)
		}
		return p.present(ctx, r.Key)
	}
	for _, given := range r.given {
		if given.by == p {
			return given, given.err
		}
	}
	return presented{}, r.source.learn(p)
}

// learned returns the presenters whose tokens tell the callers of this key apart; none for a key
// whose callers all share one token.
func (s *Source) learned() []*presenter {
	if s.whole != nil {
		s = s.whole
	}
	if all := s.presenters.Load(); all != nil {
		return *all
	}
	return nil
}

// match reports whether these are the tokens that these presenters give.
func match(all []*presenter, given []presented) bool {
	return slices.EqualFunc(all, given, func(p *presenter, g presented) bool { return p == g.by })
}

// learn adds a presenter, in place of the oldest if there are too many.
func (s *Source) learn(p *presenter) error {
	if s.whole != nil {
		s = s.whole
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.learned()
	switch {
	case slices.Contains(all, p): // since the fetch began
		return ErrAskCaller
	case len(all) == maxPresenters:
		all = all[1:] // as when a Fetcher has been replaced by another behind a decorator
	}
	all = append(slices.Clip(all), p)
	s.presenters.Store(&all)
	s.token = nil
	s.fresh.Store(nil)
	return ErrAskCaller
}

// variant calls the functions, in the goroutine and with the context of the caller of Token, and
// returns the source of the token for what they returned.
//
// Where several Fetchers serve by turns, one of them may do without what another cannot have. That
// is an error of the fetch then, if it is asked for there.
func (s *Source) variant(ctx context.Context, all []*presenter) (
	at *Source, given []presented, err error,
) {
	if s.m.ctx.Err() != nil {
		return nil, nil, &UnavailableError{Err: ErrClosed}
	}
	mac := hmac.New(sha256.New, s.m.hashKey[:])
	var errs []error
	for _, p := range all {
		one, err := s.ask(ctx, p)
		if err != nil {
			errs = append(errs, err)
			one = presented{by: p, err: err}
		}
		one.hash(mac)
		given = append(given, one)
	}
	if len(errs) == len(all) {
		return nil, nil, &UnavailableError{Err: errors.Join(errs...)}
	}
	return s.m.variant(s, string(mac.Sum(nil))), given, nil
}

// ask calls the functions of one presenter. A panic of them is an error.
//
// They are asked with the Source's key, whatever key a Fetcher in between has asked with. That one
// may have come of another caller's context, and stand for that caller.
func (s *Source) ask(ctx context.Context, p *presenter) (one presented, err error) {
	defer func() {
		if recover() != nil {
			err = errPresenterPanic
			logPanic(ctx, s.m.logger, "the function for the caller's token")
		}
	}()
	return p.present(ctx, s.key)
}

// obtained returns what a [Response] was obtained for, if a Manager made the Request, and nil for
// any other.
func (r Request) obtained(given presented) *presented {
	if r.source == nil {
		return nil
	}
	return &given
}

// checkCaller returns an error for a Response that is not for the caller of a flight, because a
// Fetcher in between has kept it. If it is for a token that the caller was not asked for, whose it
// is turns out when the caller has been.
func (s *Source) checkCaller(f *flight, o *presented) error {
	if o == nil {
		return nil
	}
	for _, given := range f.given {
		if given.by == o.by {
			if given.err != nil || !slices.EqualFunc(given.tokens, o.tokens, SecurityToken.isSame) {
				return badRequest(errOtherCaller)
			}
			return nil
		}
	}
	return s.learn(o.by)
}

// isSame reports whether two tokens are one, as far as a server can tell.
func (t SecurityToken) isSame(other SecurityToken) bool {
	return t.Token == other.Token && t.Type == other.Type
}

// endBy makes the token end with those that it was obtained for, as far as their ends are known.
func (t *Token) endBy(given []presented, now time.Time) {
	for _, p := range given {
		for _, token := range p.tokens {
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

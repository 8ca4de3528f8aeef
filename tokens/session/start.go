package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// Login begins a login, as [NewLogin] does, that no session with another name can finish. It
// changes nothing about the session before [Session.Finish].
func (s *Session) Login(ctx context.Context, redirectURI string, opts ...LoginOption) (*Login, error) {
	if s.closed.Load() {
		return nil, tokens.ErrClosed
	}
	l, err := NewLogin(ctx, s.client, redirectURI, opts...)
	if err != nil {
		return nil, err
	}
	l.session = s.name
	return l, nil
}

// Finish takes what the browser came back with, for a login that [Session.Login] or [NewLogin]
// began, as [Login.Finish] does, and saves what came of it. It takes the place of whatever the
// session was before: the tokens of a login before it are not revoked, because servers revoke the
// new ones with them. It returns who logged in, or nil when the scope has no "openid": see
// [Login.Finish]. Who that is is not compared with the session's name. Where the name stands for a
// person compare the two, and call [Session.Logout] when another one has logged in.
//
// Once the code is sent the login is finished even if the context ends, as it does when the browser
// goes away.
//
// The errors are those of Login.Finish, [tokens.ErrClosed] and [*StoreError]. After one the session
// is what it was before, and the person has to log in again, unless the error is [ErrLoginState] or
// says that the session could not be locked or loaded, or the code was not sent, see Login.Finish:
// then the Login can still be finished. Nothing is saved of a login whose ID token is refused,
// [oauth.ErrIDToken]. When the Store cannot save the session, what came is revoked; then the
// session may have ended, if the Store saved it nevertheless, or if the record before could not be
// opened any more, [ErrCannotUnseal], and was deleted for this one.
func (s *Session) Finish(ctx context.Context, login *Login, answer url.Values) (*oauth.Identity, error) {
	switch {
	case s.closed.Load():
		return nil, tokens.ErrClosed
	case login == nil || login.hiddenLogin == nil || login.client != s.wire || login.session != "" && login.session != s.name:
		return nil, errors.New("session: Finish: the Login is nil or another Session's; give the one that this session began")
	}
	l, err := s.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer l.end()
	slot, err := l.currentSlot() // while the login can still be finished another time
	if err != nil {
		return nil, err
	}
	response, identity, err := login.Finish(l.ctx, answer)
	if err != nil {
		return nil, err
	}
	if err := s.keep(l, login.key, login.resources, response, slot); err != nil {
		return nil, err
	}
	return identity, nil
}

// keep saves what a login for this key brought. What cannot be saved is revoked. Without a refresh
// token it is the access token alone.
func (s *Session) keep(l *lease, asked tokens.Key, resources []string, response *tokens.Response, at slot) error {
	response.Final = response.RefreshToken.Reveal() == ""
	scope := cmp.Or(response.Scope, asked.Scope)
	response.Scope = scope
	// A refresh without a scope gives what was granted at the login (RFC 6749 section 6), so that
	// this token is for that key.
	key := tokens.Key{Resource: asked.Resource, Audience: asked.Audience}
	saved := false
	defer func() { // also when the Store panics
		if !saved {
			l.abandon(revocable(response))
		}
	}()
	err := s.replace(l, record{Scope: scope, Resources: resources}.with(key, response, time.Now()), at)
	saved = err == nil
	return err
}

// revocable is the token of a response that is to be revoked, and the hint for it. Servers revoke
// the access token along with the refresh token.
func revocable(response *tokens.Response) (token, hint string) {
	if refresh := response.RefreshToken.Reveal(); refresh != "" {
		return refresh, hintRefreshToken
	}
	return response.AccessToken.Reveal(), hintAccessToken
}

// Adopt makes a refresh token from elsewhere that of this session, in place of whatever the session
// was before. The token must be of this session's client, and must not be used anywhere else from
// then on. The server is not asked. Like [Session.Finish] it also replaces a record that cannot be
// opened any more, [ErrCannotUnseal].
//
// After a [*StoreError] that says save the Store may have the token nevertheless, and a refresh may
// have replaced it since. To adopt the same one again would put it in place of the newer one, and
// the server takes its second use for a theft: call Logout, and let the person log in.
func (s *Session) Adopt(ctx context.Context, refreshToken tokens.Secret) error {
	switch {
	case s.closed.Load():
		return tokens.ErrClosed
	case !grammar.IsVSCHAR(refreshToken.Reveal()):
		return errors.New("session: Adopt: the refresh token is empty or not printable ASCII (RFC 6749 appendix A.17)")
	}
	l, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.end()
	slot, err := l.currentSlot()
	if err != nil {
		return err
	}
	return s.replace(l, record{RefreshToken: refreshToken.Reveal()}, slot)
}

// replace saves the first record of a session, over the one that is stored.
func (s *Session) replace(l *lease, first record, at slot) error {
	if s.closed.Load() { // since
		return tokens.ErrClosed
	}
	if at.sealed {
		if err := l.f.store.Delete(l.saving, l.name); err != nil {
			return &StoreError{"delete", err}
		}
	}
	if _, err := l.save(storedSession{first, at.version}); err != nil {
		if errors.Is(err, errRecordSize) {
			err = fmt.Errorf("session: %w", err)
		}
		return err
	}
	s.refresher.forget(l.name)
	s.reset()
	return nil
}

// slot is where a first record goes: over the version that is stored, 0 if none is.
type slot struct {
	version int64
	sealed  bool // what is stored cannot be opened, and has to be deleted first
}

// currentSlot is the slot of the record, whatever is in it.
func (l *lease) currentSlot() (slot, error) {
	_, version, err := l.f.store.Load(l.ctx, l.name)
	switch {
	case errors.Is(err, ErrNotFound):
		return slot{}, nil
	case errors.Is(err, ErrCannotUnseal):
		return slot{sealed: true}, nil
	case err != nil:
		return slot{}, &StoreError{"load", err}
	}
	return slot{version: version}, nil
}

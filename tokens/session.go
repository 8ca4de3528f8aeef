package tokens

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/pacing"
)

// The token_type_hint of a revocation (RFC 7009 section 2.1).
const (
	hintRefreshToken = "refresh_token"
	hintAccessToken  = "access_token"
)

var (
	// ErrNoRefreshToken means that a login brought none, so that there is nothing to keep a [Session] going with.
	ErrNoRefreshToken = errors.New("tokens: the login brought no refresh token; ask for the scope that your server gives one for, " +
		"such as offline_access, or let the server register the client for the refresh_token grant")

	// ErrNotRevoked means that a [Session] was logged out here, but that the server may go on accepting its tokens.
	ErrNotRevoked = errors.New("tokens: logged out here, but the tokens were not revoked at the server")
)

var errOtherSession = errors.New("the key's Subject is not the name of this Session; leave it empty")

// Session is a person's login that goes on: its refresh token is in a [Store], and access tokens are renewed until it is logged out
// or the server ends it. It survives the process: a Session with the same client, Store and name, made by another process or
// after a restart, is the same session. Several processes may use one at a time; see [Client.RefreshToken].
//
//	session, err := tokens.NewSession(client, store, "alice")
//	login, err := session.Login(ctx, "https://app.example.com/callback", tokens.LoginScope("offline_access", "billing:read"))
//	http.Redirect(w, r, login.URL(), http.StatusFound)             // and when the browser is back at /callback:
//	err = session.Complete(r.Context(), login, r.URL.Query())
//	token, err := session.Token(ctx)
//
// Make one Session of a name for a process, and close it in the end: what could not be saved is kept in it, and lost with one that
// is made for a request and dropped. It is safe for concurrent use and prints as "[secret]".
type Session struct {
	opaque
	*hiddenSession
}

type hiddenSession struct{ *sessionState }

type sessionState struct {
	client    *Client
	name      string
	refresher *refresher
	manager   *Manager
	plain     *Source // of the key without resource, audience and scope
	closed    atomic.Bool
}

// NewSession returns the session with this name. The name is whatever the application tells its sessions apart by, such as a
// user's id; it is not sent, and is in the Store as a hash. The options are those of a [Manager]. NewSession does no I/O and starts
// nothing. When several things are wrong the error says all of them.
func NewSession(client *Client, store Store, name string, opts ...Option) (*Session, error) {
	var errs []error
	if client == nil {
		errs = append(errs, errors.New("tokens: NewSession: the Client is nil"))
	}
	if store == nil {
		errs = append(errs, errors.New("tokens: NewSession: the Store is nil; give one, such as NewMemoryStore()"))
	}
	if name == "" {
		errs = append(errs, errors.New("tokens: NewSession: the name is empty; give one that tells this session from others"))
	}
	s := &Session{hiddenSession: &hiddenSession{&sessionState{client: client, name: name, refresher: newRefresher(client, store)}}}
	var err error
	if s.manager, err = NewManager(sessionFetcher{s.refresher, name}, opts...); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.plain = s.manager.Source(s.key(Key{}))
	return s, nil
}

// sessionFetcher is a refresher for one session alone.
type sessionFetcher struct {
	*refresher
	name string
}

// Allowance is what all Sessions of a Client share.
func (f sessionFetcher) Allowance() *pacing.Allowance {
	if f.client == nil { // which is an error of NewSession
		return new(pacing.Allowance)
	}
	return &f.client.renewals
}

// Fetch implements [Fetcher].
func (f sessionFetcher) Fetch(ctx context.Context, q Request) (*Response, error) {
	if q.Key.Subject != f.name {
		return nil, badRequest(errOtherSession)
	}
	return f.refresher.Fetch(ctx, q)
}

// Source returns the source of access tokens for a key, as [Manager.Source] does. Its Issuer, Client and Subject are this session's
// and may be left out. Another there is an error of [Source.Token], [Error.Permanent].
func (s *Session) Source(key Key) *Source {
	key = s.key(key)
	if key == s.plain.key {
		return s.plain
	}
	return s.manager.Source(key)
}

// key is a key with what is this session's.
func (s *Session) key(key Key) Key {
	key.Issuer = cmp.Or(key.Issuer, s.client.issuer)
	key.Client = cmp.Or(key.Client, s.client.id)
	key.Subject = cmp.Or(key.Subject, s.name)
	return key
}

// reset resets all sources.
func (s *Session) reset() {
	s.manager.Reset()
	s.plain.Reset() // which the Manager may have forgotten
}

// Token returns an access token for the key without resource, audience and scope; see [Session.Source] for others and [Source.Token]
// for the errors, of which [ErrLoginRequired] is one.
func (s *Session) Token(ctx context.Context) (*Token, error) { return s.plain.Token(ctx) }

// Login begins a login, as [Client.NewLogin] does. It changes nothing about the session before [Session.Complete].
func (s *Session) Login(ctx context.Context, redirectURI string, opts ...LoginOption) (*Login, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	l, err := s.client.NewLogin(ctx, redirectURI, opts...)
	if err != nil {
		return nil, err
	}
	l.session = s.name
	return l, nil
}

// Complete finishes a login that [Session.Login] began, or one of [Client.NewLogin], as [Login.Finish] does, and saves what came. It
// takes the place of whatever the session was before: the tokens of a login before it are not revoked, because servers revoke the
// new ones with them. The ID token is dropped; who needs it uses [Login.Finish] and [Session.Adopt].
//
// Once the code is sent the login is completed even if the context ends, as it does when the browser goes away.
//
// The errors are those of Finish, [ErrNoRefreshToken], [ErrClosed] and [*StoreError]. After one the session is what it was
// before, and the person has to log in again, unless the error is [ErrLoginState] or says that the session could not be locked
// or loaded, or the code was not sent, see [Login.Finish]: then the Login can still be completed. When the Store cannot save the session, what came is revoked; then the
// session may have ended, if the Store saved it nevertheless, or if the record before could not be opened any more,
// [ErrSealed], and was deleted for this one.
func (s *Session) Complete(ctx context.Context, login *Login, answer url.Values) error {
	switch {
	case s.closed.Load():
		return ErrClosed
	case login == nil || login.hiddenLogin == nil || login.client != s.client || login.session != "" && login.session != s.name:
		return errors.New("tokens: Complete: the Login is nil or another Session's; give the one that this session began")
	}
	t, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	there, err := t.there() // while the login can still be finished another time
	if err != nil {
		return err
	}
	response, err := login.Finish(t.ctx, answer)
	if err != nil {
		if e, ok := errors.AsType[*refusedAnswer](err); ok && e.refreshToken.Reveal() != "" {
			t.abandon(e.refreshToken.Reveal())
		}
		return err
	}
	if response.RefreshToken.Reveal() == "" {
		return ErrNoRefreshToken
	}
	scope := cmp.Or(response.Scope, login.key.Scope)
	response.Scope = scope
	// A refresh without a scope gives what was granted at the login (RFC 6749 section 6), so that this token is for that key.
	key := Key{Resource: login.key.Resource, Audience: login.key.Audience}
	saved := false
	defer func() { // also when the Store panics
		if !saved {
			t.abandon(response.RefreshToken.Reveal())
		}
	}()
	err = s.begin(t, record{Scope: scope, Resources: login.resources}.with(key, response, time.Now()), there)
	saved = err == nil
	return err
}

// Adopt makes a refresh token from elsewhere that of this session, in place of whatever the session was before. The
// token must be of this session's client, and must not be used anywhere else from then on. The server is not asked. Like
// [Session.Complete] it also replaces a record that cannot be opened any more, [ErrSealed].
func (s *Session) Adopt(ctx context.Context, refreshToken Secret) error {
	switch {
	case s.closed.Load():
		return ErrClosed
	case refreshToken.Reveal() == "" || !isPrintable(refreshToken.Reveal()):
		return errors.New("tokens: Adopt: the refresh token is empty or not printable ASCII (RFC 6749 appendix A.17)")
	}
	t, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	there, err := t.there()
	if err != nil {
		return err
	}
	return s.begin(t, record{RefreshToken: refreshToken.Reveal()}, there)
}

// begin saves the first record of a session, over the one that is there.
func (s *Session) begin(t *turn, first record, there place) error {
	if s.closed.Load() { // since
		return ErrClosed
	}
	if there.sealed {
		if err := t.f.store.Delete(t.late, t.name); err != nil {
			return &StoreError{"delete", err}
		}
	}
	if _, err := t.save(held{first, there.version}); err != nil {
		if errors.Is(err, errRecordSize) {
			err = fmt.Errorf("tokens: %w", err)
		}
		return err
	}
	s.refresher.forget(t.name)
	s.reset()
	return nil
}

// LoggedIn reports that there is a refresh token which the server has not refused yet. The server is not asked. The error is
// [ErrClosed], or a [*StoreError]; one that is [ErrSealed] as well stays until there is a new login or a logout.
func (s *Session) LoggedIn(ctx context.Context) (bool, error) {
	if s.closed.Load() {
		return false, ErrClosed
	}
	data, _, err := s.refresher.store.Load(ctx, s.recordName())
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, &StoreError{"load", err}
	}
	r, err := decodeRecord(data)
	if err != nil {
		return false, &StoreError{"load", err}
	}
	return !r.Ended, nil
}

// Logout ends the session: the refresh token is revoked (RFC 7009), and the access tokens at hand as well as may be; the record is
// deleted, and [Session.Token] gives [ErrLoginRequired] from then on, in this process at once and in others when the tokens that they
// have are renewed. No token is handed out here while the server is asked. Only the [Source] of a key that was forgotten
// ([MaxKeys]) hands out what it has until that is stale.
//
// When the server cannot be reached or does not do it, the record is deleted all the same and the error is [ErrNotRevoked] and
// why: [ErrNoRevocation] for a server that has no such endpoint, [ErrSealed] for a record that cannot be opened any more. A
// [*StoreError] means that the session was not logged out here; call Logout again. When it could not be locked or loaded nothing has
// changed. A session that is not logged in is no error.
func (s *Session) Logout(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	t, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	data, version, err := s.refresher.store.Load(t.ctx, t.name)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrSealed) {
		return &StoreError{"load", err}
	}
	if s.closed.Load() { // since
		return ErrClosed
	}
	s.reset() // nobody gets a token while the server is asked
	notRevoked := s.revoke(t, data, version, err)
	// Whoever asked may be gone by now; the record must be, too.
	if err := s.refresher.store.Delete(t.late, t.name); err != nil {
		return errors.Join(&StoreError{"delete", err}, notRevoked)
	}
	s.refresher.forget(t.name)
	s.reset() // of those who waited meanwhile
	return notRevoked
}

// revoke revokes what is in a record, or was to replace it. Without a record that can be read there may be only the latter.
func (s *Session) revoke(t *turn, data []byte, version int64, loadErr error) error {
	next, unsaved := s.refresher.kept(t.name)
	var r record
	err := loadErr
	if err == nil {
		r, err = decodeRecord(data)
		unsaved = unsaved && next.version == version
	}
	switch {
	case unsaved:
		r, err = next.record, nil
	case errors.Is(err, ErrNotFound):
		return nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotRevoked, err)
	case r.Ended: // the server refused it
		return nil
	}
	var errs []error
	for _, token := range r.refreshTokens() {
		errs = append(errs, s.client.Revoke(t.ctx, NewSecret(token), hintRefreshToken))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRevoked, err)
	}
	// Servers revoke the access tokens along with it, or need not be able to at all (RFC 7009 section 2.1), and they end soon.
	for _, token := range r.Tokens {
		if s.client.Revoke(t.ctx, NewSecret(token.AccessToken), hintAccessToken) != nil {
			break
		}
	}
	return nil //nolint:nilerr // of the access tokens: see above
}

// Close ends the session in this process, and in no other; it is not logged out. It waits for the refresh under way, and then saves
// what could not be saved before: the error is that this failed and that a login will be required. With a server and a
// Store that do not answer this takes up to 35 seconds. Afterwards everything gives [ErrClosed]. It may be called more than
// once, and tries again then.
func (s *Session) Close() error {
	s.closed.Store(true)
	err := s.manager.Close()
	s.reset()
	return err
}

func (s *Session) recordName() string { return s.client.recordName(s.name) }

func (s *Session) lock(ctx context.Context) (*turn, error) {
	return s.refresher.lock(ctx, context.WithoutCancel(ctx), s.recordName())
}

// place is where a first record goes: over the version that is there, 0 if none is.
type place struct {
	version int64
	sealed  bool // what is there cannot be opened, and has to be deleted first
}

// there is the place of the record, whatever is in it.
func (t *turn) there() (place, error) {
	_, version, err := t.f.store.Load(t.ctx, t.name)
	switch {
	case errors.Is(err, ErrNotFound):
		return place{}, nil
	case errors.Is(err, ErrSealed):
		return place{sealed: true}, nil
	case err != nil:
		return place{}, &StoreError{"load", err}
	}
	return place{version: version}, nil
}

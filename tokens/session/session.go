package session

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

var (
	// ErrNoRefreshToken means that a login brought none, without which a [Session] cannot obtain
	// another access token. It is the cause of [tokens.ErrLoginRequired] then.
	ErrNoRefreshToken = errors.New("session: the login brought no refresh token; ask for the scope that your server gives one for, " +
		"such as offline_access, or let the server register the client for the refresh_token grant")

	// ErrNotRevoked means that a [Session] was logged out here, but that the server may go on
	// accepting its tokens.
	ErrNotRevoked = errors.New("session: logged out here, but the tokens were not revoked at the server")
)

var errOtherSession = errors.New("the key's Subject is not the name of this Session; leave it empty")

// Session is a person's login that goes on: its refresh token is in a [Store], and access tokens
// are renewed until it is logged out or the server ends it. It survives the process: a Session with
// the same client, Store and name, made by another process or after a restart, is the same session.
// Several processes may use one at a time; see [RefreshToken].
//
// Make one Session of a name for a process, and close it in the end: what could not be saved is
// kept in it, and lost with one that is made for a request and dropped. It is safe for concurrent
// use and prints as "[secret]".
type Session struct {
	opaque
	*hiddenSession
}

type hiddenSession struct{ *sessionState }

type sessionState struct {
	client    *oauth.Client
	wire      *oauthwire.Client // of the client
	name      string
	refresher *refresher
	manager   *tokens.Manager
	plain     *tokens.Source // of the key without resource, audience and scope
	closed    atomic.Bool
}

// New returns the session with this name. The name is whatever the application tells its sessions
// apart by, such as a user's id; it is not sent, and is in the Store as a hash. The options are
// those of a [tokens.Manager]. New does no I/O and starts nothing. The error is every mistake in
// the configuration, each a [*ConfigError], or a [*tokens.ConfigError] if it is in one of the
// options.
func New(client *oauth.Client, store Store, name string, opts ...tokens.ManagerOption) (*Session, error) {
	var m optional.Mistakes
	if oauthwire.Of(client) == nil {
		m.Add("New", "nil", "the Client is nil; make one with oauth.NewClient")
	}
	if store == nil {
		m.Add("New", "nil", "the Store is nil; give one, such as NewMemoryStore()")
	}
	if name == "" {
		m.Add("New", `""`, "the name is empty; give one that tells this session from others")
	}
	s := &Session{hiddenSession: &hiddenSession{&sessionState{
		client: client, wire: oauthwire.Of(client), name: name, refresher: newRefresher(client, store),
	}}}
	var err error
	s.manager, err = tokens.NewManager(sessionFetcher{s.refresher, name}, opts...)
	if err := errors.Join(configErrors(m.All), err); err != nil {
		return nil, err
	}
	s.plain = s.manager.Source(s.key(tokens.Key{}))
	return s, nil
}

// sessionFetcher is a refresher for one session alone.
type sessionFetcher struct {
	*refresher
	name string
}

// Allowance is what all Sessions of a Client share.
func (f sessionFetcher) Allowance() *pacing.Allowance {
	if f.wire == nil { // which is an error of New
		return new(pacing.Allowance)
	}
	return &f.wire.Renewals
}

// Fetch implements [tokens.Fetcher].
func (f sessionFetcher) Fetch(ctx context.Context, q tokens.Request) (*tokens.Response, error) {
	if q.Key.Subject != f.name {
		return nil, oauthwire.BadRequest(errOtherSession)
	}
	return f.refresher.Fetch(ctx, q)
}

// Source returns the source of access tokens for a key, as [tokens.Manager.Source] does. Its
// Issuer, Client and Subject are this session's and may be left out. Another there is an error of
// [tokens.Source.Token], [tokens.Error.Permanent].
func (s *Session) Source(key tokens.Key) *tokens.Source {
	key = s.key(key)
	if key == s.plain.Key() {
		return s.plain
	}
	return s.manager.Source(key)
}

// key is a key with what is this session's.
func (s *Session) key(key tokens.Key) tokens.Key {
	key.Issuer = cmp.Or(key.Issuer, s.wire.Issuer)
	key.Client = cmp.Or(key.Client, s.wire.ID)
	key.Subject = cmp.Or(key.Subject, s.name)
	return key
}

// reset resets all sources.
func (s *Session) reset() {
	s.manager.Reset()
	s.plain.Reset() // which the Manager may have forgotten
}

// Token returns an access token for the key without resource, audience and scope; see
// [Session.Source] for others and [tokens.Source.Token] for the errors, of which
// [tokens.ErrLoginRequired] is one.
func (s *Session) Token(ctx context.Context) (*tokens.Token, error) { return s.plain.Token(ctx) }

// LoggedIn reports whether there is a refresh token which the server has not refused yet, or after a
// login without one whether its access token is not over. The server is not asked. The error is [tokens.ErrClosed], or a [*StoreError]; one that is
// [ErrCannotUnseal] as well stays until there is a new login or a logout.
func (s *Session) LoggedIn(ctx context.Context) (bool, error) {
	if s.closed.Load() {
		return false, tokens.ErrClosed
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
	return r.goesOn(time.Now()), nil
}

// Close ends the session in this process, and in no other; it is not logged out. It waits for the
// refresh under way, and then saves what could not be saved before: the error is that this failed
// and that a login will be required. With a server and a Store that do not answer this takes up to
// 35 seconds. Afterwards everything gives [tokens.ErrClosed]. It may be called more than once, and
// tries again then.
func (s *Session) Close() error {
	s.closed.Store(true)
	err := s.manager.Close()
	s.reset()
	return err
}

func (s *Session) recordName() string { return recordName(s.wire, s.name) }

func (s *Session) acquire(ctx context.Context) (*lease, error) {
	return s.refresher.acquire(ctx, context.WithoutCancel(ctx), s.recordName())
}

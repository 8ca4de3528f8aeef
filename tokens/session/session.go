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
// kept in it, and lost with one that is made for a request and dropped. [Sessions] does that for
// many names. It is safe for concurrent use and prints as "[secret]".
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

	session  *Session       // that has this state
	among    *sessionsState // nil for one that New made; its lock guards what follows
	underWay int            // what is being done
	used     time.Time      // last, or looked at since
}

// New returns the session with this name. The name is whatever the application tells its sessions
// apart by, such as a user's id; it is not sent, and is in the Store as a hash. The options are
// those of a [tokens.Manager]. New does no I/O and starts nothing. The error is every mistake in
// the configuration, each a [*ConfigError], or a [*tokens.ConfigError] if it is in one of the
// options.
//
// It is for a program with one session or a few, such as a command-line tool. A server with many
// users has [NewSessions].
func New(client *oauth.Client, store Store, name string, opts ...tokens.ManagerOption) (*Session, error) {
	var m optional.Mistakes
	judgeParts(&m, "New", client, store)
	if name == "" {
		m.Add("New", `""`, "the name is empty; give one that tells this session from others")
	}
	r := newRefresher(client, store)
	if len(m.All) > 0 {
		_, err := tokens.NewManager(r, opts...)
		return nil, errors.Join(configErrors(m.All), err)
	}
	return newSession(client, r, name, opts)
}

// newSession returns a session whose refresh tokens a refresher keeps, which may have others. The
// error is a mistake in the options.
func newSession(client *oauth.Client, r *refresher, name string, opts []tokens.ManagerOption) (*Session, error) {
	state := &sessionState{client: client, wire: r.wire, name: name, refresher: r}
	state.session = &Session{hiddenSession: &hiddenSession{state}}
	var err error
	if state.manager, err = tokens.NewManager(sessionFetcher{state}, opts...); err != nil {
		return nil, err
	}
	s := state.session
	s.plain = s.manager.Source(s.key(tokens.Key{}))
	return s, nil
}

// sessionFetcher is a refresher for one session alone. Each Source leads to it by its Manager, so
// that a session lives as long as a caller holds one of its Sources.
type sessionFetcher struct{ of *sessionState }

// Allowance is what all Sessions of a Client share.
func (f sessionFetcher) Allowance() *pacing.Allowance { return &f.of.wire.Renewals }

// Fetch implements [tokens.Fetcher].
func (f sessionFetcher) Fetch(ctx context.Context, q tokens.Request) (*tokens.Response, error) {
	if q.Key.Subject != f.of.name {
		return nil, oauthwire.BadRequest(errOtherSession)
	}
	defer f.of.use()()
	return f.of.refresher.obtain(ctx, q)
}

// use notes that something is under way, until done is called for the first time.
func (s *sessionState) use() (done func()) {
	if s.among == nil {
		return func() {}
	}
	return s.among.use(s)
}

// Source returns the source of access tokens for a key, as [tokens.Manager.Source] does. Its
// Issuer, Client and Subject are this session's and may be left out. Another there is an error of
// [tokens.Source.Token], [tokens.Error.Permanent].
func (s *Session) Source(key tokens.Key) *tokens.Source { return s.manager.Source(s.key(key)) }

// key is a key with what is this session's.
func (s *Session) key(key tokens.Key) tokens.Key {
	key.Issuer = cmp.Or(key.Issuer, s.wire.Issuer)
	key.Client = cmp.Or(key.Client, s.wire.ID)
	key.Subject = cmp.Or(key.Subject, s.name)
	return key
}

// reset resets all sources.
func (s *Session) reset() { s.manager.Reset() }

// Token returns an access token for the key without resource, audience and scope; see
// [Session.Source] for others and [tokens.Source.Token] for the errors, of which
// [tokens.ErrLoginRequired] is one.
func (s *Session) Token(ctx context.Context) (*tokens.Token, error) { return s.plain.Token(ctx) }

// LoggedIn reports whether there is a refresh token which the server has not refused yet, or after
// a login without one whether its access token is not over. The server is not asked. The error is
// [tokens.ErrClosed], or a [*StoreError]; one that is [ErrCannotUnseal] as well stays until there
// is a new login or a logout.
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
//
// Of a session that [Sessions] handed out, what could not be saved is kept and tried again until
// [Sessions.Close], which closes all of them. After Close there is another session with the name.
func (s *Session) Close() error {
	if s.among != nil {
		s.among.remove(s.sessionState)
		return errors.Join(s.manager.Close(), s.refresher.saveNow(s.recordName()))
	}
	s.closed.Store(true)
	return errors.Join(s.manager.Close(), s.refresher.Close())
}

func (s *sessionState) recordName() string { return recordName(s.wire, s.name) }

// acquire waits for the session's lock. The caller ends the lease.
func (s *Session) acquire(ctx context.Context) (l *lease, err error) {
	done := s.use()
	defer func() {
		if l == nil { // also when the Store panics
			done()
		}
	}()
	l, err = s.refresher.acquire(ctx, context.WithoutCancel(ctx), s.recordName())
	if err != nil {
		return nil, err
	}
	end := l.end
	l.end = func() {
		end()
		done()
	}
	return l, nil
}

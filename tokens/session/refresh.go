package session

import (
	"context"
	"errors"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// A refresh goes through these phases, each a type with the steps that lead out of it:
//
//	          acquire            load             answer
//	Fetch ------------> lease ----------> loaded --------> a token that is in the record
//	                      ^                 | ^
//	                      |            send | | next: the server refused the refresh token, and the record
//	     suspended: the   |                 | | has another, a process's that was faster or the one before
//	     machine slept    |                 v |
//	                      +-------------- renewed -------> the session ends: refused, and there is no other
//	                                        |
//	                                   save |
//	                                        v
//	                  a new token, saved, or unsaved and tried again; or overtaken, and what is stored stands
//
// A lease (lease.go) is the time in which this process has the session to itself. What is loaded
// (loaded.go) is the record of a session that goes on. What is renewed (renewed.go) is the server's
// answer before it is saved: from then on the old refresh token may be used up, and the caller's
// context counts no more. What could not be saved waits in unsaved.go.

// maxLeases is how often a fetch locks the session when the machine is suspended each time.
const maxLeases = 3

var (
	errClientless = errors.New("session: RefreshToken: the Client is nil; make one with oauth.NewClient")
	errStoreless  = errors.New("session: RefreshToken: the Store is nil; give one, such as NewMemoryStore()")
)

// RefreshToken returns a Fetcher for the refresh token grant (RFC 6749 section 6).
// [tokens.Key].Subject names the session whose refresh token it is, and must not be "". [Session]
// is the way to put one into the Store; one refresh token serves all keys that differ in resource,
// audience and scope.
//
// Several processes that share a Store share the refresh token and the access tokens that came of
// it. A fetch locks the session, and returns an access token that another process has left there,
// unless its time to be renewed has come. Otherwise it asks the server, and saves what came before
// it returns. Several keys of one session wait for each other: with many of them and a slow server
// the first fetches may take longer than [tokens.WithFetchTimeout].
//
// When the Store cannot lock the session, as on a file system that has become read-only, an access
// token in it is handed out until it ends, and the refresh token is not used.
//
// What cannot be saved is kept in this Fetcher, for at most 1024 sessions. The access token is
// handed out, and the refresh token is not used before it is saved. Saving is tried again by every
// fetch of the session, and in the background: after a pause, which doubles up to a minute, one
// session after the other is tried in random order, until one cannot be saved.
// [tokens.Manager.Close] tries all of them once more. Meanwhile the error is a [*StoreError] when
// another access token is needed. So it is lost only if the process ends without that or the Store
// stays as it is, or if another process uses the old refresh token meanwhile. For the same reason
// make one such Fetcher for a process, not one for each request.
//
// The Fetcher is an [io.Closer]. Its Close saves what is left, and may be called again; the error
// is the [*StoreError] of what could not be saved. A [tokens.Manager] calls it, also when another
// Fetcher is wrapped around this one; see [tokens.Request.AtClose]. Without a Manager the caller of
// Fetch does.
//
// The clocks of the processes may differ by 5 seconds, and by a minute for the access token of a
// login without a refresh token, which no other can replace. An access token from further in the
// future is not handed out, and the next save drops it. A process whose clock is behind finds that
// out when another process has obtained an access token for any key of the session later than it
// says. Until then it hands out a stored one for as long after its end as its clock is behind.
//
// The server has replaced the refresh token also when something else is wrong with its answer, such
// as a byte that is not UTF-8. So a new one is taken from every answer that is a success and
// complete, and is a JSON object or a form, unless it says error. The old one is kept beside it
// until the server has accepted the new one, and used when the server refuses that: what answered
// may not have been the server. After several such answers in a row the last seven and the one
// before all of them are kept.
//
// A request that has been sent is not given up when the context ends, but after 10 seconds, and
// saving what came has 13 more: the server may have replaced the refresh token already, and takes a
// second use of the old one for a theft.
//
// Without a refresh token, and when the server refuses it and no other process has renewed it, the
// error is [tokens.ErrLoginRequired], which wraps the [*tokens.Error] if there is one, and the
// session has ended. A server refuses it as invalid_grant, or with one of the codes that GitHub,
// Slack and Atlassian have in its place; [oauth.WithLoginRequiredCodes] adds others. Servers also
// say invalid_grant of a resource or a scope that the person has yet to consent to: when no access
// token of the session is for such a key, it is an error of that key alone. All other errors leave
// the session as it was here; a server may have used the refresh token up before it refused
// something else about the request, and then ends the session the next time. So a resource that the
// login was not for is refused without asking, as invalid_target, where [WithResource] has said
// which ones it is for.
func RefreshToken(client *oauth.Client, store Store) tokens.Fetcher {
	return newRefresher(client, store)
}

// refresher is a Fetcher over the refresh tokens in a Store.
type refresher struct {
	opaque
	*hiddenRefresher
}

type hiddenRefresher struct{ *refresherState }

type refresherState struct {
	client *oauth.Client
	wire   *oauthwire.Client // of the client; nil if there is none
	store  Store
	wall   func() time.Time // wallNow, but in tests

	logouts logouts

	unsaved
}

func newRefresher(c *oauth.Client, store Store) *refresher {
	state := &refresherState{client: c, wire: oauthwire.Of(c), store: store, wall: wallNow}
	state.sessions = make(map[string]storedSession)
	return &refresher{hiddenRefresher: &hiddenRefresher{state}}
}

// Fetch implements [tokens.Fetcher].
func (f *refresher) Fetch(ctx context.Context, q tokens.Request) (*tokens.Response, error) {
	if f.wire == nil {
		return nil, errClientless
	}
	q.AtClose(f)
	return f.obtain(ctx, q)
}

// obtain is Fetch for a caller that closes the refresher.
func (f *refresher) obtain(ctx context.Context, q tokens.Request) (*tokens.Response, error) {
	if err := f.wire.CheckKey(q.Key, true); err != nil {
		return nil, err
	}
	name := recordName(f.wire, q.Key.Subject)
	response, err := f.fetch(ctx, name, q)
	if _, ok := errors.AsType[*StoreError](err); ok && !errors.Is(err, ErrConflict) {
		// A Store that does not lock or save takes nothing away that is good. Only the refresh
		// token must wait.
		if known, ok := f.known(ctx, name); ok {
			if response := known.find(q, time.Now(), (*storedToken).over); response != nil {
				return response, nil
			}
		}
	}
	return response, err
}

// known returns what is known of a session without its lease, for its access tokens alone. It is
// nothing while the lease is that of a logout, which it may be in another process if the context
// has ended.
func (f *refresher) known(ctx context.Context, name string) (storedSession, bool) {
	if ctx.Err() != nil || f.logouts.has(name) {
		return storedSession{}, false
	}
	if next, ok := f.unsavedOf(name); ok {
		return next, true
	}
	data, version, err := f.store.Load(ctx, name)
	if err != nil {
		return storedSession{}, false
	}
	r, err := decodeRecord(data)
	return storedSession{r, version}, err == nil
}

// fetch is underLease, repeated after a suspension.
func (f *refresher) fetch(ctx context.Context, name string, q tokens.Request) (response *tokens.Response, err error) {
	for range maxLeases {
		response, err = f.underLease(ctx, name, q)
		if !errors.Is(err, errSuspended) {
			break
		}
	}
	return response, err
}

// underLease locks the session, and returns a token out of the record or from the server.
func (f *refresher) underLease(ctx context.Context, name string, q tokens.Request) (*tokens.Response, error) {
	l, err := f.acquire(ctx, context.WithoutCancel(ctx), name)
	if err != nil {
		return nil, err
	}
	defer l.end()
	current, err := l.load(l.ctx)
	if err != nil {
		return nil, err
	}
	for {
		response, err := current.answer(q)
		if !isRefused(err) {
			return response, err
		}
		if current, err = current.next(q.Key, err); err != nil {
			return nil, err
		}
	}
}

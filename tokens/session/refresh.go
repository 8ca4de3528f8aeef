package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/contain"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const (
	// A process that has the lock begins to ask the server within maxAhead, and in less if its context says so. From then on
	// its context is not heeded: a refresh token whose answer nobody waits for is lost. There is requestTimeout for the answer,
	// saveTime for saving what came, and lookTime for finding out whether that took place. The lease ends leaseSlack after all of it.
	maxAhead   = 30 * time.Second
	saveTime   = 10 * time.Second
	lookTime   = 3 * time.Second
	leaseSlack = 5 * time.Second

	saveAttempts = 4                      // at one record
	attemptTime  = 3 * time.Second        // of each, so that a Store that hangs once is asked again
	savePause    = 100 * time.Millisecond // after the first of them; it doubles

	revokeTime = 10 * time.Second // for revoking a refresh token that nobody is to have

	// What could not be saved is tried again after a pause that doubles from the first to the second, each time for flushTime.
	firstFlush = time.Second
	maxFlush   = time.Minute
	flushTime  = 10 * time.Second
	closeTime  = 10 * time.Second // for the last time, when the Manager is closed
	maxUnsaved = 1024             // sessions that are kept because they could not be saved

	maxSkew = 5 * time.Second // that the clock of another process may be ahead

	recordFormat     = 1  // of the bytes in the Store
	maxRecordsTokens = 16 // access tokens in one record
)

var (
	errClientless    = errors.New("session: RefreshToken: the Client is nil; make one with oauth.NewClient")
	errStoreless     = errors.New("session: RefreshToken: the Store is nil; give one, such as NewMemoryStore()")
	errRecord        = errors.New("the record cannot be read by this version of the library; log out or log in to replace it")
	errOtherResource = errors.New("the login was not for this resource; name it with WithResource")
	errUnsaved       = fmt.Errorf("%d sessions wait to be saved already; repair the Store, which is tried again all the while", maxUnsaved)
	errRecordSize    = fmt.Errorf("the refresh token does not fit into a record of %d bytes; let the server give shorter ones", maxData)
)

// StoreError is what came of a [Store] that could not do its part. It is a matter of trying again.
type StoreError struct {
	Op  string // what was asked for: "lock", "load", "save" or "delete"
	Err error  // what the Store said; [ErrConflict] when somebody else was faster although this process had the lock
}

// Error names the operation and what the Store said.
func (e *StoreError) Error() string {
	return fmt.Sprintf("session: the store cannot %s the session: %v", e.Op, e.Err)
}

// Unwrap returns Err.
func (e *StoreError) Unwrap() error { return e.Err }

// RefreshToken returns a Fetcher for the refresh token grant (RFC 6749 section 6). [tokens.Key].Subject names the session whose
// refresh token it is, and must not be "". [Session] is the way to put one into the Store; one refresh token serves all keys
// that differ in resource, audience and scope.
//
// Several processes that share a Store share the refresh token and the access tokens that came of it. A fetch locks the session, and
// returns an access token that another process has left there, unless its time to be renewed has come. Otherwise it asks the
// server, and saves what came before it returns. Several keys of one session wait for each other: with many of them and a slow
// server the first fetches may take longer than [tokens.WithFetchTimeout].
//
// When the Store cannot lock the session, as on a file system that has become read-only, an access
// token in it is handed out until it ends, and the refresh token is not used.
//
// What cannot be saved is kept in this Fetcher, for at most 1024 sessions. The access token is handed out, and the refresh token is
// not used before it is saved, which is tried at each fetch and every minute or oftener besides, until [tokens.Manager.Close], which tries
// it once more. Meanwhile the error is a [*StoreError] when another access token is needed. So it is lost only if the process ends
// without that or the Store stays as it is, or if another process uses the old refresh token meanwhile. For the same reason
// make one such Fetcher for a process, not one for each request.
//
// The Fetcher is an [io.Closer]. Its Close saves what is left, and may be called again; the error
// is the [*StoreError] of what could not be saved. A [tokens.Manager] calls it, also when another Fetcher
// is wrapped around this one; see [tokens.Request.AtClose]. Without a Manager the caller of Fetch does.
//
// The clocks of the processes may differ by 5 seconds. An access token from further in the future
// is not handed out, and the next save drops it. A process whose clock is behind finds that out
// when another process has obtained an access token for any key of the session later than it says.
// Until then it hands out a stored one for as long after its end as its clock is behind.
//
// The server has replaced the refresh token also when something else is wrong with its answer, such
// as a byte that is not UTF-8. So a new one is taken from every answer that is a success and
// complete, and is a JSON object or a form, unless it says error. The old one is kept beside it
// until the server has accepted the new one, and used when the server refuses that as
// invalid_grant: what answered may not have been the server. After several such answers in a row
// the last seven and the one before all of them are kept.
//
// A request that has been sent is not given up when the context ends, but after 10 seconds, and saving what came has 13 more: the
// server may have replaced the refresh token already, and takes a second use of the old one for a theft.
//
// Without a refresh token, and when the server refuses it as invalid_grant and no other process has renewed it, the error is
// [tokens.ErrLoginRequired], which wraps the [*tokens.Error] if there is one, and the session has ended. Servers also say invalid_grant of
// a resource or a scope that the person has yet to consent to: when no access token of the session is for such a key, it is an error
// of that key alone. All other errors leave the session as it was here; a server may have used the refresh token up before it refused
// something else about the request, and then ends the session the next time. So a resource that the login was not for is refused
// without asking, as invalid_target, where [WithResource] has said which ones it is for.
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

	mu      sync.Mutex      // guards what follows
	unsaved map[string]held // by name: what is to replace the version it has, or is just doing so
	pause   time.Duration   // before the next flush
	next    *flush          // the one that waits or is under way, or nil
}

func newRefresher(c *oauth.Client, store Store) *refresher {
	state := &refresherState{client: c, wire: oauthwire.Of(c), store: store, wall: wallNow, unsaved: make(map[string]held)}
	return &refresher{hiddenRefresher: &hiddenRefresher{state}}
}

// record is what a Store has of one session. It is for encoding/json.
type record struct {
	Format       int           `json:"v"`
	RefreshToken string        `json:"refresh_token,omitempty"`
	Replaced     []string      `json:"replaced_refresh_tokens,omitempty"` // see fallback.go
	Scope        string        `json:"scope,omitempty"`                   // that was granted at the login, "" if that is not known
	Resources    []string      `json:"resources,omitempty"`               // that the login was for, none if that is not known
	Ended        bool          `json:"ended,omitempty"`                   // the server refused the refresh token
	Tokens       []storedToken `json:"tokens,omitempty"`
}

// storedToken is an access token, and the key that it was granted for.
type storedToken struct {
	Resource string `json:"resource,omitempty"`
	Audience string `json:"audience,omitempty"`
	Scope    string `json:"scope,omitempty"`

	AccessToken string        `json:"access_token"`
	Type        string        `json:"type"`
	Granted     string        `json:"granted,omitempty"`
	Requested   time.Time     `json:"requested"`
	ExpiresIn   time.Duration `json:"expires_in,omitempty"` // nanoseconds
	RefreshIn   time.Duration `json:"refresh_in,omitempty"` // nanoseconds
}

// held is a record and the version that it has, or that it is to replace.
type held struct {
	record
	version int64
}

// recordName is the name of a session's record. It is a hash: the names in a Store do not tell who its users are. Each part is
// preceded by its length, so that no two sessions have the same text.
func recordName(c *oauthwire.Client, subject string) string {
	h := sha256.New()
	for _, part := range []string{"bearer session", c.Issuer, c.ID, subject} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return "session-" + hex.EncodeToString(h.Sum(nil))
}

// over is its age from when on it is not handed out.
func (t *storedToken) over() time.Duration {
	return accesstoken.AgesOf(t.ExpiresIn, t.RefreshIn).Over
}

// due is its age from when on it is renewed. It is the earliest that a Manager chooses: a process
// that comes later renews it anyway.
func (t *storedToken) due() time.Duration {
	ages := accesstoken.AgesOf(t.ExpiresIn, t.RefreshIn)
	if ages.Due == 0 {
		return time.Duration(accesstoken.EarliestRefresh * float64(ages.Life))
	}
	return ages.Due
}

func (t *storedToken) isFor(key tokens.Key) bool {
	return t.Resource == key.Resource && t.Audience == key.Audience && t.Scope == key.Scope
}

// with returns the record as it is after a response.
func (r record) with(key tokens.Key, response *tokens.Response, now time.Time) record {
	if next := response.RefreshToken.Reveal(); next != "" { // otherwise the old one stays good (RFC 6749 section 6)
		r.RefreshToken = next
	}
	r.Replaced = nil
	tokens := []storedToken{{
		Resource: key.Resource, Audience: key.Audience, Scope: key.Scope,
		AccessToken: response.AccessToken.Reveal(), Type: response.TokenType, Granted: response.Scope,
		Requested: response.Requested.Round(0).UTC(), ExpiresIn: response.ExpiresIn, RefreshIn: response.RefreshIn,
	}}
	latest := r.latest(now)
	for _, t := range r.Tokens { // the newest first
		if !t.isFor(key) && !t.isFromFuture(now) && t.age(latest) < t.over() && len(tokens) < maxRecordsTokens {
			tokens = append(tokens, t)
		}
	}
	r.Tokens = tokens
	return r
}

// encode returns the bytes for the Store. Access tokens that do not fit are left out, the oldest first; they can be had again.
// A refresh token is never left out.
func (r record) encode() ([]byte, error) {
	r.Format = recordFormat
	for {
		data, err := json.Marshal(r) //nolint:gosec // secrets are what a Store is for
		switch {
		case err != nil:
			return nil, err
		case len(data) <= maxData:
			return data, nil
		case len(r.Tokens) > 0:
			r.Tokens = r.Tokens[:len(r.Tokens)-1]
		default:
			return nil, errRecordSize
		}
	}
}

func decodeRecord(data []byte) (record, error) {
	var r record
	if err := strictjson.Unmarshal(data, &r); err != nil || r.Format != recordFormat || (r.RefreshToken == "") != r.Ended {
		return record{}, errRecord // and not what encoding/json says, which quotes
	}
	return r, nil
}

// turn is the time in which this process has a session to itself.
type turn struct {
	f       *refresher
	name    string
	lasting context.Context // for what comes after the turn
	ctx     context.Context // for what can be given up: it ends with the caller's
	late    context.Context // for saving what came of a request, whatever becomes of the caller
	last    context.Context // for finding out whether that took place
	end     func()          // may be called more than once

	ahead      time.Duration // for what can be given up
	lockedWall time.Time     // see overslept

	// flushing says that no caller waits. A Store that has lost a record then revokes nothing that
	// is good.
	flushing bool
}

// lock waits for a session's turn. The caller ends it. What is not to be given up has the time that it needs, unless the
// lasting context ends.
func (f *refresher) lock(ctx, lasting context.Context, name string) (*turn, error) {
	if f.store == nil {
		return nil, errStoreless
	}
	ahead := maxAhead
	if deadline, ok := ctx.Deadline(); ok {
		ahead = max(0, min(ahead, time.Until(deadline)))
	}
	late := ahead + oauthwire.RequestTimeout + saveTime
	asked, askedWall := time.Now(), f.wall()
	unlock, err := f.store.Lock(ctx, name, late+lookTime+leaseSlack)
	if err != nil {
		return nil, &StoreError{"lock", err}
	}
	t := &turn{f: f, name: name, lasting: lasting, ahead: ahead, lockedWall: askedWall.Add(time.Since(asked))}
	var cancel, cancelLate, cancelLast context.CancelFunc
	t.ctx, cancel = context.WithTimeout(ctx, ahead)
	t.late, cancelLate = context.WithTimeout(lasting, late)
	t.last, cancelLast = context.WithTimeout(lasting, late+lookTime)
	t.end = func() {
		cancel()
		cancelLate()
		cancelLast()
		unlock()
	}
	return t, nil
}

// Fetch implements [tokens.Fetcher].
func (f *refresher) Fetch(ctx context.Context, q tokens.Request) (*tokens.Response, error) {
	if f.wire == nil {
		return nil, errClientless
	}
	if err := f.wire.CheckKey(q.Key, true); err != nil {
		return nil, err
	}
	q.AtClose(f)
	name := recordName(f.wire, q.Key.Subject)
	response, err := f.fetch(ctx, name, q)
	if _, ok := errors.AsType[*StoreError](err); ok && !errors.Is(err, ErrConflict) {
		// A Store that does not lock or save takes nothing away that is good. Only the refresh
		// token must wait.
		if h, ok := f.known(ctx, name); ok {
			if response := h.find(q, time.Now(), (*storedToken).over); response != nil {
				return response, nil
			}
		}
	}
	return response, err
}

// inTurn locks the session, and returns a token out of the record or from the server.
func (f *refresher) inTurn(ctx context.Context, name string, q tokens.Request) (*tokens.Response, error) {
	t, err := f.lock(ctx, context.WithoutCancel(ctx), name)
	if err != nil {
		return nil, err
	}
	defer t.end()
	h, err := t.load(t.ctx)
	if err != nil {
		return nil, err
	}
	response, err := t.renew(q, h)
	for isRefused(err) {
		there, loadErr := t.load(t.late)
		switch {
		case errors.Is(loadErr, tokens.ErrLoginRequired):
			return nil, fmt.Errorf("%w: %w", tokens.ErrLoginRequired, err)
		case loadErr != nil:
			return nil, loadErr
		case there.RefreshToken != h.RefreshToken: // another process renewed it, because the lease ran out
			h = there
		case len(there.Replaced) > 0:
			if h, err = t.fallBack(q.Key, there, err); err != nil {
				return nil, err
			}
		default:
			return nil, t.refused(q.Key, there, err)
		}
		response, err = t.renew(q, h)
	}
	return response, err
}

// renew returns a token out of the record, or from the server. Then the record is saved first.
func (t *turn) renew(q tokens.Request, h held) (*tokens.Response, error) {
	if response := h.find(q, time.Now(), (*storedToken).due); response != nil {
		return response, nil
	}
	if len(h.Resources) > 0 && q.Key.Resource != "" && !slices.Contains(h.Resources, q.Key.Resource) {
		return nil, &tokens.Error{Op: oauthwire.OpToken, Code: "invalid_target", Err: errOtherResource} // a server that says so may have used the token up
	}
	if !t.f.hasRoom() {
		if response := h.find(q, time.Now(), (*storedToken).over); response != nil {
			return response, nil
		}
		return nil, &StoreError{"save", errUnsaved} // what came could not be kept
	}
	response, err := t.send(q, h)
	// After a restart the server need not be there before the token ends.
	if e, ok := errors.AsType[*tokens.Error](err); ok && !e.Permanent() && !errors.Is(err, errRecordSize) && !errors.Is(err, errOverslept) {
		if response := h.find(q, time.Now(), (*storedToken).over); response != nil {
			return response, nil
		}
	}
	return response, err
}

// overtaken is for when the record has changed while the server was asked, although this process had the lock: what is there now
// stands.
func (t *turn) overtaken(q tokens.Request, before, next held) (*tokens.Response, error) {
	h, err := t.load(t.late)
	if errors.Is(err, tokens.ErrLoginRequired) {
		if next.RefreshToken != before.RefreshToken { // somebody logged out; nobody is to have what came after that
			t.abandon(next.RefreshToken)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if response := h.find(q, time.Now(), (*storedToken).due); response != nil {
		return response, nil
	}
	return nil, &StoreError{"save", ErrConflict}
}

// abandon ends the turn, and revokes a refresh token that nobody is to have. No lock is needed for it.
func (t *turn) abandon(refreshToken string) {
	t.end()
	ctx, cancel := context.WithTimeout(t.lasting, revokeTime)
	defer cancel()
	_ = t.f.client.Revoke(ctx, tokens.NewSecret(refreshToken), hintRefreshToken)
}

// refused ends the session whose refresh token the server does not accept, and returns why. Servers also say so of a resource or a
// scope that needs more than a refresh token, such as the person's consent. So what was never granted does not end it.
func (t *turn) refused(key tokens.Key, h held, reason error) error {
	reason = fmt.Errorf("%w: %w", tokens.ErrLoginRequired, reason)
	if h.mayRefuse(key) {
		return reason
	}
	_, err := t.save(held{record{Ended: true}, h.version})
	if errors.Is(err, ErrConflict) {
		return err // somebody was faster, and may have a better one
	}
	if err != nil { // then the next fetch hears the same from the server
		return fmt.Errorf("%w; %w", reason, err)
	}
	return reason
}

// load returns the record of a session that goes on, or [tokens.ErrLoginRequired]. What could not be saved before is saved first, if
// the record is still the one that it is to replace.
func (t *turn) load(ctx context.Context) (held, error) {
	data, version, err := t.f.store.Load(ctx, t.name)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return held{}, &StoreError{"load", err}
	}
	next, unsaved := t.f.kept(t.name)
	if unsaved && !missing && next.version == version {
		next, err := t.save(next)
		if err != nil {
			return held{}, err
		}
		t.f.forget(t.name)
		return next, nil
	}
	t.f.forget(t.name)
	if missing {
		if unsaved && !t.flushing { // another process logged out, and could not revoke it
			t.abandon(next.RefreshToken)
		}
		return held{}, tokens.ErrLoginRequired
	}
	r, err := decodeRecord(data)
	switch {
	case err != nil:
		return held{}, &StoreError{"load", err}
	case r.Ended:
		return held{}, tokens.ErrLoginRequired
	}
	return held{r, version}, nil
}

// save replaces the version that h has, and returns h with the new one. The error is a [*StoreError], or errRecordSize.
func (t *turn) save(h held) (held, error) {
	data, err := h.encode()
	if err != nil {
		return held{}, err
	}
	pause := savePause
	for attempt := 1; ; attempt++ {
		saved, err := t.attempt(data, h.version)
		if err == nil {
			h.version = saved
			return h, nil
		}
		if errors.Is(err, ErrConflict) || attempt == saveAttempts || !wait(t.late, pause) {
			// Of a Save that failed nobody knows whether it took place.
			there, version, loadErr := t.f.store.Load(t.last, t.name)
			if loadErr == nil && bytes.Equal(there, data) {
				h.version = version
				return h, nil
			}
			return held{}, &StoreError{"save", err}
		}
		pause *= 2
	}
}

// attempt is one at saving.
func (t *turn) attempt(data []byte, version int64) (saved int64, err error) {
	ctx, cancel := context.WithTimeout(t.late, attemptTime)
	defer cancel()
	return t.f.store.Save(ctx, t.name, data, version)
}

// wait returns false when the context ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep sees to it that what is held and could not be saved is. It does nothing if a later turn has
// done that, or something else.
func (f *refresher) keep(name string, h held) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unsaved[name].RefreshToken == h.RefreshToken && f.next == nil {
		f.begin(firstFlush)
	}
}

// hold keeps what is being saved: a Save may hang, as a slow disk does, until the lock has ended.
// The next turn in this process saves the same, and does not use the old refresh token.
func (f *refresher) hold(name string, h held) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsaved[name] = h
}

// release is for what need not be saved any more, unless something else is kept by now.
func (f *refresher) release(name string, h held) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unsaved[name].RefreshToken == h.RefreshToken {
		delete(f.unsaved, name)
	}
}

func (f *refresher) kept(name string) (held, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := f.unsaved[name]
	return h, ok
}

func (f *refresher) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.unsaved, name)
}

// known returns what is known of a session without its turn, for its access tokens alone.
func (f *refresher) known(ctx context.Context, name string) (held, bool) {
	if h, ok := f.kept(name); ok {
		return h, true
	}
	data, version, err := f.store.Load(ctx, name)
	if err != nil {
		return held{}, false
	}
	r, err := decodeRecord(data)
	return held{r, version}, err == nil
}

// hasRoom reports that another session can be kept.
func (f *refresher) hasRoom() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.unsaved) < maxUnsaved
}

// left returns the names of what is unsaved, in random order.
func (f *refresher) left() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.unsaved))
}

// flush saves what could not be saved before. There is one at a time, and none when nothing is unsaved.
type flush struct {
	timer  *time.Timer
	cancel context.CancelFunc
	done   chan struct{} // closed when it is over
}

// begin lets a flush begin after a pause. The caller holds the lock.
func (f *refresher) begin(pause time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	next := &flush{cancel: cancel, done: make(chan struct{})}
	f.next, f.pause = next, pause
	next.timer = time.AfterFunc(pause, func() {
		defer close(next.done)
		defer cancel()
		f.flush(ctx)
	})
}

// flush is what a flush does. It ends with the first failure; who comes after that comes first another time.
func (f *refresher) flush(ctx context.Context) {
	defer func() { // also when the Store ends the goroutine
		f.mu.Lock()
		defer f.mu.Unlock()
		f.next = nil
		if len(f.unsaved) > 0 && ctx.Err() == nil {
			f.begin(min(2*f.pause, maxFlush))
		}
	}()
	for _, name := range f.left() {
		if f.settle(ctx, name, flushTime) != nil {
			break
		}
	}
}

// settle saves what is kept of a session, unless somebody else saw to it.
func (f *refresher) settle(ctx context.Context, name string, limit time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	contain.Call(ctx, slog.Default(), "the Store", func() error {
		t, err := f.lock(ctx, ctx, name)
		if err != nil {
			return err
		}
		defer t.end()
		t.flushing = true
		if _, err = t.load(t.ctx); errors.Is(err, tokens.ErrLoginRequired) {
			return nil
		}
		return err
	}, func(failure error) {
		if err = failure; err == nil {
			return
		}
		if _, ok := errors.AsType[*StoreError](err); !ok {
			err = &StoreError{"save", err}
		}
	})
	return err
}

// Close ends the flush under way and saves what is left, all in closeTime. A [tokens.Manager] calls it when it is closed, and when all fetches
// have ended. What a Fetch keeps afterwards, because another Manager has this Fetcher, is saved as ever.
func (f *refresher) Close() error {
	f.mu.Lock()
	next := f.next
	if next != nil {
		next.cancel() // under the lock, or it may let another one begin
		if next.timer.Stop() {
			f.next = nil
			close(next.done)
		}
	}
	f.mu.Unlock()
	if next != nil {
		<-next.done
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	var errs []error
	for _, name := range f.left() {
		errs = append(errs, f.settle(ctx, name, closeTime))
	}
	return errors.Join(errs...)
}

package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
)

const (
	sessionClientID = "app"
	sessionRedirect = "https://app.test/callback"
	sessionName     = "alice@example.com"
)

// sessionWire is the way to an issuer. It notes what is sent, and does as it is told with requests to the token endpoint.
type sessionWire struct {
	next http.RoundTripper

	mu      sync.Mutex
	tokens  []url.Values // forms that came to the token endpoint
	revokes []url.Values // and to the revocation endpoint
	all     int

	onToken  func(r *http.Request, pass func() (*http.Response, error)) (*http.Response, error) // nil passes
	onRevoke func(r *http.Request, pass func() (*http.Response, error)) (*http.Response, error)
}

func (w *sessionWire) RoundTrip(r *http.Request) (*http.Response, error) {
	var form url.Values
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		form, _ = url.ParseQuery(string(body))
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	w.mu.Lock()
	w.all++
	var hook func(*http.Request, func() (*http.Response, error)) (*http.Response, error)
	switch path.Base(r.URL.Path) {
	case "token":
		w.tokens = append(w.tokens, form)
		hook = w.onToken
	case "revoke":
		w.revokes = append(w.revokes, form)
		hook = w.onRevoke
	}
	w.mu.Unlock()
	pass := func() (*http.Response, error) { return w.next.RoundTrip(r) }
	if hook != nil {
		return hook(r, pass)
	}
	return pass()
}

func (w *sessionWire) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.tokens)
}

func (w *sessionWire) revoked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, form := range w.revokes {
		all = append(all, form.Get("token"))
	}
	return all
}

func (w *sessionWire) last() url.Values {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tokens[len(w.tokens)-1]
}

func (w *sessionWire) hook(onToken func(*http.Request, func() (*http.Response, error)) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onToken = onToken
}

func sessionResponse(status int, body any) *http.Response {
	text, _ := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(text)),
	}
}

// sessionAnswer makes the token endpoint answer so, without the issuer.
func (w *sessionWire) answer(status int, body map[string]any) {
	w.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
		return sessionResponse(status, body), nil
	})
}

// sessionStore is a Store that does as it is told.
type sessionStore struct {
	tokens.Store

	mu     sync.Mutex
	names  map[string]bool
	leases []time.Duration
	onLoad func(ctx context.Context, name string) error                                      // nil passes, as does a nil error
	onSave func(ctx context.Context, pass func() (int64, error)) (int64, error)              // nil passes
	onDel  func(ctx context.Context) error                                                   // nil passes, as does a nil error
	onLock func(ctx context.Context, pass func() (func(), error)) (unlock func(), err error) // nil passes
}

func newSessionStore() *sessionStore {
	return &sessionStore{Store: tokens.NewMemoryStore(), names: make(map[string]bool)}
}

// beside is another process's view of the same records: with locks of its own, as after the end of a lease.
func (s *sessionStore) beside() *sessionStore {
	other := &sessionStore{Store: s.Store, names: make(map[string]bool)}
	other.onLock = func(context.Context, func() (func(), error)) (func(), error) { return func() {}, nil }
	return other
}

func (s *sessionStore) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *sessionStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	s.mu.Lock()
	s.names[name] = true
	hook := s.onLoad
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, name); err != nil {
			return nil, 0, err
		}
	}
	return s.Store.Load(ctx, name)
}

func (s *sessionStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	s.mu.Lock()
	hook := s.onSave
	s.mu.Unlock()
	pass := func() (int64, error) { return s.Store.Save(ctx, name, data, version) }
	if hook != nil {
		return hook(ctx, pass)
	}
	return pass()
}

func (s *sessionStore) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	hook := s.onDel
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return s.Store.Delete(ctx, name)
}

func (s *sessionStore) Lock(ctx context.Context, name string, lease time.Duration) (func(), error) {
	s.mu.Lock()
	s.leases = append(s.leases, lease)
	hook := s.onLock
	s.mu.Unlock()
	pass := func() (func(), error) { return s.Store.Lock(ctx, name, lease) }
	if hook != nil {
		return hook(ctx, pass)
	}
	return pass()
}

// name returns the name of the one record that was asked for.
func (s *sessionStore) name(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) != 1 {
		t.Fatalf("%d names were asked for, want 1", len(s.names))
	}
	for name := range s.names {
		return name
	}
	return ""
}

// record returns the members of the one record, or nil if there is none.
func (s *sessionStore) record(t *testing.T) map[string]any {
	t.Helper()
	data, _, err := s.Store.Load(context.Background(), s.name(t))
	if errors.Is(err, tokens.ErrNotFound) {
		return nil
	}
	var members map[string]any
	if err != nil || json.Unmarshal(data, &members) != nil {
		t.Fatalf("the record cannot be read: %v", err)
	}
	return members
}

// fail makes every Save fail, until it is given nil.
func (s *sessionStore) fail(err error) {
	s.set(func() {
		s.onSave = nil
		if err != nil {
			s.onSave = func(context.Context, func() (int64, error)) (int64, error) { return 0, err }
		}
	})
}

// sessionWorld is an issuer and one process that is its client.
type sessionWorld struct {
	issuer  *bearertest.Issuer
	wire    *sessionWire
	store   *sessionStore
	client  *tokens.Client
	session *tokens.Session
}

func newSessionWorld(t *testing.T, opts ...bearertest.Option) *sessionWorld {
	t.Helper()
	issuer := bearertest.NewIssuer(append([]bearertest.Option{bearertest.PublicClient(sessionClientID, sessionRedirect)}, opts...)...)
	return newSessionProcess(t, issuer, newSessionStore())
}

// newSessionProcess is another process.
func newSessionProcess(t *testing.T, issuer *bearertest.Issuer, store *sessionStore) *sessionWorld {
	t.Helper()
	w := &sessionWorld{issuer: issuer, wire: &sessionWire{next: issuer.Client().Transport}, store: store}
	var err error
	w.client, err = tokens.NewClient(issuer.URL(), sessionClientID, tokens.NoClientAuth(), tokens.HTTPClient(&http.Client{Transport: w.wire}))
	if err != nil {
		t.Fatal(err)
	}
	w.session, err = tokens.NewSession(w.client, store, sessionName, tokens.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.session.Close() })
	return w
}

// adopted is a world whose session goes on.
func adoptedWorld(t *testing.T, opts ...bearertest.Option) *sessionWorld {
	t.Helper()
	w := newSessionWorld(t, opts...)
	w.adopt(t)
	return w
}

func (w *sessionWorld) adopt(t *testing.T) {
	t.Helper()
	refresh := w.issuer.NewSession(sessionClientID, "alice", "read", "write")
	if err := w.session.Adopt(t.Context(), tokens.NewSecret(refresh)); err != nil {
		t.Fatal(err)
	}
}

var sessionKey = tokens.Key{Subject: sessionName}

func (w *sessionWorld) fetch(key tokens.Key, previous *tokens.Token) (*tokens.Response, error) {
	return w.client.RefreshToken(w.store).Fetch(context.Background(), tokens.Request{Key: key, Previous: previous})
}

// mustFetch is for a fetch that has to work.
func mustFetch(t *testing.T, f tokens.Fetcher, q tokens.Request) *tokens.Response {
	t.Helper()
	g, err := f.Fetch(context.Background(), q)
	if err != nil {
		t.Errorf("Fetch: %v", err)
		return &tokens.Response{}
	}
	return g
}

// sessionToken makes a Token of a grant, as a Manager does.
func sessionToken(t *testing.T, g *tokens.Response) *tokens.Token {
	t.Helper()
	m, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) { return g, nil }))
	if err != nil {
		t.Fatal(err)
	}
	token, err := m.Source(tokens.Key{}).Token(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRefreshTokenIsRotatedSavedAndShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		before := w.store.record(t)["refresh_token"]
		first := mustFetch(t, f, tokens.Request{Key: sessionKey})
		if first.Reused || first.RefreshToken.Reveal() != "" || w.wire.asked() != 1 {
			t.Errorf("the first: reused %t, refresh token given out %t, %d requests", first.Reused, first.RefreshToken.Reveal() != "", w.wire.asked())
		}
		if form := w.wire.last(); form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != before {
			t.Errorf("sent %v", form)
		}
		after := w.store.record(t)["refresh_token"]
		if after == before || after == nil {
			t.Error("the next refresh token was not saved")
		}

		// Another process, by way of the Store.
		other := newSessionProcess(t, w.issuer, w.store)
		second := mustFetch(t, other.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
		if !second.Reused || second.AccessToken != first.AccessToken || other.wire.all != 0 {
			t.Errorf("reused %t, the same %t, %d requests", second.Reused, second.AccessToken == first.AccessToken, other.wire.all)
		}
		if !second.Requested.Equal(first.Requested) || second.ExpiresIn != first.ExpiresIn || second.TokenType != "Bearer" {
			t.Errorf("%v, %v, %q", second.Requested, second.ExpiresIn, second.TokenType)
		}

		// The token that is to be replaced is not returned again, and the one that replaced it is found.
		third := mustFetch(t, other.client.RefreshToken(w.store), tokens.Request{Key: sessionKey, Previous: sessionToken(t, first)})
		if third.Reused || third.AccessToken == first.AccessToken || other.wire.asked() != 1 {
			t.Error("the token was not replaced")
		}
		if g := mustFetch(t, f, tokens.Request{Key: sessionKey, Previous: sessionToken(t, first)}); !g.Reused || g.AccessToken != third.AccessToken {
			t.Error("what the other process fetched was not found")
		}
		if w.issuer.Sessions() != 1 {
			t.Error("a refresh token was used twice")
		}
	})
}

func TestRefreshTokenThatDoesNotRotateStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t, bearertest.FixedRefreshTokens())
		before := w.store.record(t)["refresh_token"]
		g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
		mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey, Previous: sessionToken(t, g)})
		if after := w.store.record(t)["refresh_token"]; after != before || w.wire.asked() != 2 {
			t.Errorf("it has changed: %t, %d requests", after != before, w.wire.asked())
		}
	})
}

func TestRefreshSendsWhatTheKeySays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		key := sessionKey
		key.Resource, key.Scope = "https://billing.test", "read"
		g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: key})
		if form := w.wire.last(); form.Get("resource") != key.Resource || form.Get("scope") != "read" || form.Has("audience") {
			t.Errorf("sent %v", form)
		}
		if g.Scope != "read" {
			t.Errorf("scope %q", g.Scope)
		}
		// Each key has a token of its own.
		if g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey}); g.Reused || g.Scope != "read write" {
			t.Errorf("reused %t, scope %q", g.Reused, g.Scope)
		}
		for _, k := range []tokens.Key{key, sessionKey} {
			if g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: k}); !g.Reused {
				t.Errorf("%+v was fetched again", k)
			}
		}
		if w.issuer.Sessions() != 1 {
			t.Error("a refresh token was used twice")
		}
	})
}

func TestRefreshRefusesKeysThatItCannotServe(t *testing.T) {
	w := newSessionWorld(t)
	for name, key := range map[string]tokens.Key{
		"no subject":    {},
		"other issuer":  {Subject: sessionName, Issuer: "https://other.test"},
		"other client":  {Subject: sessionName, Client: "other"},
		"bad resource":  {Subject: sessionName, Resource: "billing"},
		"double spaces": {Subject: sessionName, Scope: "a  b"},
	} {
		_, err := w.fetch(key, nil)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.client.RefreshToken(nil).Fetch(t.Context(), tokens.Request{Key: sessionKey}); err == nil {
		t.Error("without a Store there is no error")
	}
	if len(w.store.leases) != 0 || w.wire.all != 0 {
		t.Error("the Store or the server was asked")
	}
}

func TestRefreshWithoutALoginAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) || w.wire.all != 0 {
			t.Errorf("%v, %d requests", err, w.wire.all)
		}
	})
}

func TestRefreshThatIsRefusedEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		key := sessionKey
		key.Scope = "read"
		g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: key})
		w.issuer.EndSessions()
		_, err := w.fetch(key, sessionToken(t, g))
		if e, ok := errors.AsType[*tokens.Error](err); !errors.Is(err, tokens.ErrLoginRequired) || !ok || e.Code != "invalid_grant" {
			t.Fatalf("error %v", err)
		}
		record := w.store.record(t)
		if record["ended"] != true || record["refresh_token"] != nil || record["tokens"] != nil {
			t.Errorf("the record has %d members, ended %v", len(record), record["ended"])
		}
		asked := w.wire.asked()
		for _, k := range []tokens.Key{key, sessionKey} {
			if _, err := w.fetch(k, nil); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("the next error: %v", err)
			}
		}
		if w.wire.asked() != asked {
			t.Error("the server was asked once more")
		}
		if in, err := w.session.LoggedIn(t.Context()); in || err != nil {
			t.Errorf("LoggedIn: %t, %v", in, err)
		}
	})
}

// Servers say invalid_grant of a resource or a scope that needs more than a refresh token. What was never granted ends nothing.
func TestRefusalOfWhatWasNeverGrantedEndsNothing(t *testing.T) {
	for name, change := range map[string]func(*tokens.Key){
		"scope":    func(k *tokens.Key) { k.Scope = "mail.read" },
		"resource": func(k *tokens.Key) { k.Resource = "https://mail.test" },
		"audience": func(k *tokens.Key) { k.Audience = "mail" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				before := fmt.Sprint(w.store.record(t))
				w.wire.answer(400, map[string]any{"error": "invalid_grant", "suberror": "consent_required"})
				key := sessionKey
				change(&key)
				_, err := w.fetch(key, nil)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_grant" || !errors.Is(err, tokens.ErrLoginRequired) {
					t.Errorf("error %v", err)
				}
				if fmt.Sprint(w.store.record(t)) != before || !w.loggedIn(t) {
					t.Error("the session has ended")
				}
				w.wire.hook(nil)
				if _, err := w.fetch(sessionKey, nil); err != nil {
					t.Errorf("the plain key: %v", err)
				}
			})
		})
	}
}

// An answer that is refused for something else may have brought the only refresh token that is good from then on.
func TestRefusedAnswerDoesNotLoseTheRefreshToken(t *testing.T) {
	for name, spoil := range map[string]func(answer map[string]any){
		"scope is a list": func(a map[string]any) { a["scope"] = []string{"a"} },
		"a life of 0":     func(a map[string]any) { a["expires_in"] = 0 },
		"a negative life": func(a map[string]any) { a["expires_in"] = -1 },
		"no token_type":   func(a map[string]any) { delete(a, "token_type") },
		"no access_token": func(a map[string]any) { delete(a, "access_token") },
	} {
		for _, saved := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, saved %t", name, saved), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := adoptedWorld(t)
					f := w.client.RefreshToken(w.store)
					w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
						response, err := pass()
						var body map[string]any
						if err != nil || json.NewDecoder(response.Body).Decode(&body) != nil {
							t.Error(err)
						}
						spoil(body)
						return sessionResponse(200, body), nil
					})
					if !saved {
						w.store.fail(errDiskFull)
					}
					if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); err == nil {
						t.Error("the answer was not refused")
					}
					w.store.fail(nil)
					w.wire.hook(nil)
					if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); err != nil || w.issuer.Sessions() != 1 {
						t.Errorf("the next: %v, %d sessions", err, w.issuer.Sessions())
					}
				})
			})
		}
	}
}

// With a lease that ran out two processes are at it. One of them is told that what it has is not good any more.
func TestRefusalLooksWhetherAnotherProcessRenewed(t *testing.T) {
	other := sessionKey
	other.Scope = "read"
	for name, test := range map[string]struct {
		key   tokens.Key // of the other process
		asked int
	}{
		"the same key":  {sessionKey, 1},
		"a key besides": {other, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				beside := newSessionProcess(t, w.issuer, w.store.beside())
				w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
					w.wire.hook(nil)
					if _, err := beside.fetch(test.key, nil); err != nil {
						t.Error(err)
					}
					return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
				})
				g, err := w.fetch(sessionKey, nil)
				if err != nil || w.wire.asked() != test.asked || g.Reused != (test.asked == 1) {
					t.Errorf("%v, %d requests", err, w.wire.asked())
				}
				if w.issuer.Sessions() != 1 || w.store.record(t)["ended"] != nil {
					t.Error("the session has ended")
				}
			})
		})
	}

	t.Run("and is refused again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			beside := newSessionProcess(t, w.issuer, w.store.beside())
			w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				if w.wire.asked() == 1 {
					if _, err := beside.fetch(other, nil); err != nil {
						t.Error(err)
					}
				}
				return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
			})
			if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) || w.wire.asked() != 2 {
				t.Errorf("%v, %d requests", err, w.wire.asked())
			}
			if w.store.record(t)["ended"] != true {
				t.Error("the session has not ended")
			}
		})
	})

	t.Run("and the store does not say", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				w.store.set(func() { w.store.onLoad = func(context.Context, string) error { return errors.New("disk") } })
				return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
			})
			_, err := w.fetch(sessionKey, nil)
			if e, ok := errors.AsType[*tokens.StoreError](err); !ok || e.Op != "load" || errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			if w.store.record(t)["ended"] != nil {
				t.Error("the session has ended")
			}
		})
	})

	t.Run("and somebody logs in", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			beside := newSessionProcess(t, w.issuer, w.store.beside())
			w.store.set(func() {
				w.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
					w.store.fail(nil)
					beside.adopt(t)
					return pass()
				}
			})
			w.issuer.EndSessions()
			_, err := w.fetch(sessionKey, nil)
			if !errors.Is(err, tokens.ErrConflict) || errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			if _, err := w.fetch(sessionKey, nil); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	})
}

func TestRefreshFailuresLeaveTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		fault  func(*sessionWorld)
		status int
		code   string
	}{
		"down":                      {func(w *sessionWorld) { w.issuer.Down() }, 503, ""},
		"invalid_scope":             {func(w *sessionWorld) { w.issuer.Refuse("invalid_scope") }, 400, "invalid_scope"},
		"invalid_client":            {func(w *sessionWorld) { w.issuer.Refuse("invalid_client") }, 401, "invalid_client"},
		"no answer":                 {func(w *sessionWorld) { w.issuer.Hang() }, 0, ""},
		"invalid_grant, but busy":   {func(w *sessionWorld) { w.wire.answer(503, map[string]any{"error": "invalid_grant"}) }, 503, "invalid_grant"},
		"invalid_grant, but slower": {func(w *sessionWorld) { w.wire.answer(429, map[string]any{"error": "invalid_grant"}) }, 429, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
				before := fmt.Sprint(w.store.record(t))
				test.fault(w)
				previous := sessionToken(t, g)
				_, err := w.fetch(sessionKey, previous)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != test.status || e.Code != test.code {
					t.Errorf("error %v", err)
				}
				if errors.Is(err, tokens.ErrLoginRequired) || fmt.Sprint(w.store.record(t)) != before {
					t.Errorf("error %v, or the record has changed", err)
				}
				w.issuer.Restore()
				w.wire.hook(nil)
				if test.code == "invalid_client" { // which holds for the whole client
					pass(5 * time.Minute)
				}
				if _, err := w.fetch(sessionKey, previous); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

// A service that is restarted while the server is down goes on with what it has.
func TestStoredTokenBridgesAnOutage(t *testing.T) {
	for name, test := range map[string]struct {
		at   time.Duration // 300 s of life, 10 s margin
		good bool
	}{
		"before its end":         {290*time.Second - 1, true},
		"within its margin":      {290 * time.Second, false},
		"when it is not yet due": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
				previous := sessionToken(t, g)
				<-time.After(max(1, test.at))
				w.issuer.Down()
				again, err := w.fetch(sessionKey, nil)
				if test.good && (err != nil || !again.Reused || again.AccessToken != g.AccessToken) || !test.good && err == nil {
					t.Errorf("error %v", err)
				}
				if _, err := w.fetch(sessionKey, previous); err == nil {
					t.Error("the token that is to be replaced came back")
				}
				w.issuer.Refuse("invalid_client")
				if _, err := w.fetch(sessionKey, nil); test.at > 0 && err == nil {
					t.Error("a failure that no repetition mends was bridged")
				}
			})
		})
	}
}

// Until when a token that is in the Store is good enough for another process.
func TestStoredTokenIsReusedUntilItIsDue(t *testing.T) {
	for name, test := range map[string]struct {
		opts  []bearertest.Option
		until time.Duration
	}{
		"70 % of its life":      {nil, 210 * time.Second},
		"what the server says":  {[]bearertest.Option{bearertest.RefreshIn(280 * time.Second)}, 280 * time.Second},
		"not within its margin": {[]bearertest.Option{bearertest.RefreshIn(290 * time.Second)}, 210 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t, test.opts...)
				mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
				<-time.After(test.until - 1)
				if g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey}); !g.Reused {
					t.Error("it was not reused before")
				}
				<-time.After(1)
				if g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey}); g.Reused {
					t.Error("it was reused then")
				}
			})
		})
	}

	t.Run("five minutes when the server does not say", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "bearer"})
			mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
			<-time.After(210*time.Second - 1)
			g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
			if !g.Reused || g.ExpiresIn != 0 {
				t.Errorf("reused %t, expires in %s", g.Reused, g.ExpiresIn)
			}
			<-time.After(1)
			if g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey}); g.Reused {
				t.Error("it was reused then")
			}
		})
	})
}

// The clock of another machine that is ahead by 5 seconds at most, and one that was set back.
func TestStoredTokenFromTheFuture(t *testing.T) {
	for ahead, reused := range map[time.Duration]bool{5 * time.Second: true, 5*time.Second + 1: false, 1000 * time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
			data, version, err := w.store.Store.Load(t.Context(), w.store.name(t))
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			stamp := func(at time.Time) string { return fmt.Sprintf("%q:%q", "requested", at.UTC().Format(time.RFC3339Nano)) }
			future := strings.Replace(string(data), stamp(now), stamp(now.Add(ahead)), 1)
			if future == string(data) {
				t.Fatal("the record is not as this test expects it")
			}
			if _, err := w.store.Store.Save(t.Context(), w.store.name(t), []byte(future), version); err != nil {
				t.Fatal(err)
			}
			g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
			if g.Reused != reused || g.Requested.After(now) {
				t.Errorf("%s ahead: reused %t, requested in the future %t", ahead, g.Reused, g.Requested.After(now))
			}
		})
	}
}

var errDiskFull = errors.New("disk full")

// Its access token is good, and the refresh token is not used before it is saved.
func TestRefreshThatCannotBeSavedIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		before := w.store.record(t)["refresh_token"]
		w.store.fail(errDiskFull)
		g := mustFetch(t, f, tokens.Request{Key: sessionKey})
		if g.RefreshToken.Reveal() != "" || mustFetch(t, f, tokens.Request{Key: sessionKey}).AccessToken != g.AccessToken {
			t.Error("the refresh token is given out, or the access token is not kept")
		}
		other := sessionKey
		other.Scope = "read"
		for name, q := range map[string]tokens.Request{
			"to be replaced": {Key: sessionKey, Previous: sessionToken(t, g)}, "another key": {Key: other},
		} {
			g, err := f.Fetch(t.Context(), q)
			e, ok := errors.AsType[*tokens.StoreError](err)
			if g != nil || !ok || e.Op != "save" || !errors.Is(err, errDiskFull) || errors.Is(err, tokens.ErrLoginRequired) {
				t.Fatalf("%s: error %v", name, err)
			}
		}
		if w.wire.asked() != 1 || w.store.record(t)["refresh_token"] != before {
			t.Fatalf("%d requests", w.wire.asked())
		}
		w.store.fail(nil)
		if mustFetch(t, f, tokens.Request{Key: sessionKey}).AccessToken != g.AccessToken || w.store.record(t)["refresh_token"] == before {
			t.Fatal("it was not saved")
		}
		mustFetch(t, f, tokens.Request{Key: sessionKey, Previous: sessionToken(t, g)})
		if w.wire.asked() != 2 || w.issuer.Sessions() != 1 {
			t.Errorf("%d requests, %d sessions", w.wire.asked(), w.issuer.Sessions())
		}
	})
}

// It is saved even if nobody asks again: after 1, 2, 4 seconds and so on up to a minute.
func TestUnsavedIsSavedByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := w.store.record(t)["refresh_token"]
		var mu sync.Mutex
		var at []time.Time
		w.store.set(func() {
			w.store.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
				return pass()
			}
		})
		w.store.fail(errDiskFull)
		mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
		<-time.After(10 * time.Minute)
		mu.Lock()
		tried := len(at)
		for i, bound := 1, time.Second; i < len(at); i, bound = i+1, min(2*bound, time.Minute) {
			if gap := at[i].Sub(at[i-1]); gap < bound || gap > bound+time.Second { // a failed attempt takes 0.7 s
				t.Errorf("attempt %d came after %s, want %s", i, gap, bound)
			}
		}
		mu.Unlock()
		if tried < 14 || tried > 18 {
			t.Errorf("%d attempts in 10 minutes", tried)
		}
		w.store.fail(nil)
		<-time.After(time.Minute + time.Second)
		if w.store.record(t)["refresh_token"] == before {
			t.Error("it was not saved")
		}
		mu.Lock()
		tried = len(at)
		mu.Unlock()
		<-time.After(time.Hour)
		if mu.Lock(); len(at) != tried {
			t.Error("it goes on although nothing is left")
		}
		mu.Unlock()
	})
}

// A Manager that is closed saves what is left, or says that it did not, in bounded time.
func TestManagerCloseSavesWhatIsLeft(t *testing.T) {
	hang := func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
	for name, test := range map[string]struct {
		onSave func(context.Context, func() (int64, error)) (int64, error)
		onLock func(context.Context, func() (func(), error)) (func(), error)
		good   bool
	}{
		"saved":     {nil, nil, true},
		"not saved": {func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull }, nil, false},
		"hangs":     {hang, nil, false},
		"is locked": {nil, func(ctx context.Context, _ func() (func(), error)) (func(), error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				m, err := tokens.NewManager(w.client.RefreshToken(w.store), tokens.Logger(slog.New(slog.DiscardHandler)))
				if err != nil {
					t.Fatal(err)
				}
				before := w.store.record(t)["refresh_token"]
				w.store.fail(errDiskFull)
				if _, err := m.Source(sessionKey).Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.store.set(func() { w.store.onSave, w.store.onLock = test.onSave, test.onLock })
				began := time.Now()
				err = m.Close()
				if _, ok := errors.AsType[*tokens.StoreError](err); (err == nil) != test.good || !ok && !test.good {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
				if (w.store.record(t)["refresh_token"] != before) != test.good {
					t.Errorf("saved %t", !test.good)
				}
				w.store.set(func() { w.store.onSave, w.store.onLock = nil, nil })
				locks := len(w.store.leases)
				<-time.After(time.Hour)
				if len(w.store.leases) != locks {
					t.Error("something goes on after Close")
				}
			})
		})
	}
}

// A Save that hangs, as a slow disk does, outlives the lock. The next turn in this process does not
// use the old refresh token.
func TestSaveThatHangsUsesNoRefreshTokenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		hangs := atomic.Bool{}
		hangs.Store(true)
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, pass func() (int64, error)) (int64, error) {
				if !hangs.CompareAndSwap(true, false) {
					return pass()
				}
				<-time.After(3 * time.Minute)
				return 0, ctx.Err()
			}
		})
		first := make(chan error, 1)
		go func() {
			_, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey})
			first <- err
		}()
		<-time.After(time.Second)
		key := sessionKey
		key.Scope = "read"
		mustFetch(t, f, tokens.Request{Key: key})
		if err := <-first; err != nil {
			t.Errorf("the first fetch: %v", err)
		}
		<-time.After(time.Hour) // of flushes
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		sent := w.wire.sentRefreshTokens()
		slices.Sort(sent)
		if w.issuer.Sessions() != 1 || len(slices.Compact(slices.Clone(sent))) != len(sent) {
			t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), sent)
		}
	})
}

// The first of two turns is over last, after a Save that hung, and what came of the second could not
// be saved either. What came of the second stays.
func TestSaveThatHangsTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		var saves atomic.Int32
		full := atomic.Bool{}
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, pass func() (int64, error)) (int64, error) {
				switch n := saves.Add(1); {
				case n == 1: // what came of the first
					<-time.After(2 * time.Minute)
					return 0, ctx.Err()
				case n == 2: // the same, by the second
					full.Store(true)
					return pass()
				case full.Load():
					return 0, errDiskFull
				}
				return pass()
			}
		})
		first := make(chan error, 1)
		go func() {
			_, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey})
			first <- err
		}()
		<-time.After(time.Second)
		key := sessionKey
		key.Scope = "read"
		mustFetch(t, f, tokens.Request{Key: key})
		if err := <-first; err != nil {
			t.Errorf("the first fetch: %v", err)
		}
		full.Store(false)
		key.Scope = "write"
		mustFetch(t, f, tokens.Request{Key: key})
		if sent := w.wire.sentRefreshTokens(); w.issuer.Sessions() != 1 || len(sent) != 3 {
			t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), sent)
		}
	})
}

// When 1,024 sessions could not be saved no other refresh token is used, for what would come could not be kept.
func TestUnsavedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		var keys []tokens.Key
		for i := range 1025 {
			key := tokens.Key{Subject: fmt.Sprint(i)}
			s, err := tokens.NewSession(w.client, w.store, key.Subject)
			if err == nil {
				err = s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, key.Subject)))
			}
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		w.store.fail(errDiskFull)
		for _, key := range keys[:1024] {
			mustFetch(t, f, tokens.Request{Key: key})
		}
		asked := w.wire.asked()
		_, err := f.Fetch(t.Context(), tokens.Request{Key: keys[1024]})
		if e, ok := errors.AsType[*tokens.StoreError](err); !ok || e.Op != "save" || w.wire.asked() != asked {
			t.Errorf("%v, %d requests more", err, w.wire.asked()-asked)
		}
		w.store.fail(nil)
		<-time.After(2 * time.Minute)
		mustFetch(t, f, tokens.Request{Key: keys[1024]})
	})
}

// A refresh token that did not change is in the Store already: nothing has to be kept, and other keys are served.
func TestUnchangedRefreshTokenNeedsNoSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t, bearertest.FixedRefreshTokens())
		f := w.client.RefreshToken(w.store)
		w.store.fail(errDiskFull)
		for _, key := range sessionKeys(3) {
			mustFetch(t, f, tokens.Request{Key: key})
		}
	})
}

// What could not be saved gives way to what somebody else has saved since.
func TestUnsavedRefreshGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		w.store.fail(errDiskFull)
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		w.store.fail(nil)
		w.adopt(t) // a new login
		adopted := w.store.record(t)["refresh_token"]
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		if w.wire.last().Get("refresh_token") != adopted {
			t.Error("the new login was written over")
		}

		w.store.fail(errDiskFull)
		other := sessionKey
		other.Scope = "read"
		mustFetch(t, f, tokens.Request{Key: other})
		w.store.fail(nil)
		if err := w.store.Delete(t.Context(), w.store.name(t)); err != nil { // a logout
			t.Fatal(err)
		}
		sessions := w.issuer.Sessions()
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: other}); !errors.Is(err, tokens.ErrLoginRequired) || w.store.record(t) != nil {
			t.Errorf("after the logout: %v", err)
		}
		if len(w.wire.revoked()) != 1 || w.issuer.Sessions() != sessions-1 {
			t.Error("what was kept was not revoked")
		}
	})
}

// Save is tried again, and of one that failed nobody knows whether it took place.
func TestSaveIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		failures  int
		tookPlace bool
		good      bool
	}{
		"three failures":                {3, false, true},
		"four failures":                 {4, false, false},
		"one that took place all along": {1, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				calls := 0
				w.store.set(func() {
					w.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
						calls++
						if calls > test.failures {
							return pass()
						}
						if test.tookPlace {
							if _, err := pass(); err != nil {
								t.Error(err)
							}
						}
						return 0, errDiskFull
					}
				})
				before := w.store.record(t)["refresh_token"]
				mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey})
				if saved := w.store.record(t)["refresh_token"] != before; saved != test.good || calls != min(test.failures+1, 4) {
					t.Errorf("saved %t, %d calls", saved, calls)
				}
				if test.good {
					w.store.fail(nil)
					key := sessionKey
					key.Scope = "read"
					if _, err := w.fetch(key, nil); err != nil {
						t.Errorf("the next: %v", err)
					}
				}
			})
		})
	}
}

// A process that was so slow that its lock ended finds another's record when it saves.
func TestRefreshThatWasOvertaken(t *testing.T) {
	overtake := func(t *testing.T, w *sessionWorld, by func(beside *sessionWorld)) {
		beside := newSessionProcess(t, w.issuer, w.store.beside())
		w.store.set(func() {
			w.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
				w.store.fail(nil)
				by(beside)
				return pass()
			}
		})
	}
	adopt := func(beside *sessionWorld, refresh string, fetch tokens.Key) {
		if err := beside.session.Adopt(context.Background(), tokens.NewSecret(refresh)); err != nil {
			panic(err)
		}
		if _, err := beside.fetch(fetch, nil); err != nil {
			panic(err)
		}
	}
	other := sessionKey
	other.Scope = "read"

	t.Run("uses the other's token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			overtake(t, w, func(beside *sessionWorld) {
				adopt(beside, w.issuer.NewSession(sessionClientID, "alice"), sessionKey)
			})
			if g, err := w.fetch(sessionKey, nil); err != nil || !g.Reused {
				t.Errorf("error %v", err)
			}
		})
	})
	t.Run("tries again without one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			var stands string
			overtake(t, w, func(beside *sessionWorld) {
				adopt(beside, w.issuer.NewSession(sessionClientID, "alice", "read"), other)
				stands = fmt.Sprint(w.store.record(t))
			})
			_, err := w.fetch(sessionKey, nil)
			if e, ok := errors.AsType[*tokens.StoreError](err); !ok || e.Op != "save" || !errors.Is(err, tokens.ErrConflict) {
				t.Errorf("error %v", err)
			}
			if fmt.Sprint(w.store.record(t)) != stands {
				t.Error("the other's record was written over")
			}
			if _, err := w.fetch(sessionKey, nil); err != nil {
				t.Errorf("the next: %v", err)
			}
		})
	})
	t.Run("by a logout, which stands", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			overtake(t, w, func(beside *sessionWorld) {
				if err := beside.store.Delete(context.Background(), w.store.name(t)); err != nil {
					t.Error(err)
				}
			})
			if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			if w.store.record(t) != nil {
				t.Error("the session has risen from the dead")
			}
			if w.issuer.Sessions() != 0 || len(w.wire.revoked()) != 1 {
				t.Error("what came after the logout was not revoked")
			}
		})
	})
}

// A refresh token whose answer nobody waits for would be lost. What comes before the request is given up.
func TestRefreshOnItsWayIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := w.store.record(t)["refresh_token"]
		f := w.client.RefreshToken(w.store)
		fetch := func() (*tokens.Response, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			g, err := f.Fetch(ctx, tokens.Request{Key: sessionKey})
			if err != nil && time.Since(began) != time.Second {
				t.Errorf("it took %s", time.Since(began))
			}
			return g, err
		}
		w.issuer.Slow(5 * time.Second)
		if _, err := fetch(); !errors.Is(err, context.DeadlineExceeded) || w.wire.asked() != 0 {
			t.Fatalf("during discovery: %v, %d requests", err, w.wire.asked())
		}
		<-time.After(5 * time.Second)
		if g, err := fetch(); err != nil || g == nil || w.wire.asked() != 1 {
			t.Fatalf("during the request: %v", err)
		}
		if w.store.record(t)["refresh_token"] == before {
			t.Error("it was not saved")
		}
	})
}

func TestRefreshEndedBeforeItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.store.set(func() { w.store.onLoad = func(context.Context, string) error { cancel(); return nil } })
		_, err := w.client.RefreshToken(w.store).Fetch(ctx, tokens.Request{Key: sessionKey})
		if !errors.Is(err, context.Canceled) || w.wire.asked() != 0 {
			t.Errorf("%v, %d requests", err, w.wire.asked())
		}
	})
}

// The lease is longer than everything that is done under the lock.
func TestLockOutlastsWhatIsDoneUnderIt(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration // of the caller; 0 for none
		lease   time.Duration
	}{
		"with a deadline":    {15 * time.Second, 43 * time.Second},
		"without a deadline": {0, 58 * time.Second},
		"with a far one":     {time.Hour, 58 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				ctx := t.Context()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				w.issuer.Slow(9 * time.Second)
				loads := 0
				w.store.set(func() { // the slowest there is
					w.store.onLoad = func(ctx context.Context, _ string) error {
						if loads++; loads == 1 {
							return nil
						}
						<-ctx.Done()
						return ctx.Err()
					}
					w.store.onSave = func(ctx context.Context, _ func() (int64, error)) (int64, error) {
						<-ctx.Done()
						return 0, ctx.Err()
					}
				})
				began := time.Now()
				if _, err := w.client.RefreshToken(w.store).Fetch(ctx, tokens.Request{Key: sessionKey}); err != nil || loads != 2 {
					t.Errorf("error %v, %d times loaded", err, loads)
				}
				lease := w.store.leases[len(w.store.leases)-1]
				if took := time.Since(began); lease != test.lease || took > lease-5*time.Second {
					t.Errorf("a lease of %s, and it took %s", lease, took)
				}
			})
		})
	}
}

func TestLockThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		unlock, err := w.store.Store.Lock(t.Context(), w.store.name(t), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = w.client.RefreshToken(w.store).Fetch(ctx, tokens.Request{Key: sessionKey})
		if e, ok := errors.AsType[*tokens.StoreError](err); !ok || e.Op != "lock" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if w.wire.all != 0 {
			t.Error("the server was asked")
		}
	})
}

// sessionKeys are keys that differ in their resource.
func sessionKeys(n int) []tokens.Key {
	var keys []tokens.Key
	for i := range n {
		keys = append(keys, tokens.Key{Subject: sessionName, Resource: fmt.Sprintf("https://r%d.test", i)})
	}
	return keys
}

func TestRecordHasSixteenTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		keys := sessionKeys(17)
		for _, key := range keys[:16] {
			mustFetch(t, f, tokens.Request{Key: key})
		}
		for i, key := range keys[:16] {
			if !mustFetch(t, f, tokens.Request{Key: key}).Reused {
				t.Errorf("the token of key %d is not there", i)
			}
		}
		mustFetch(t, f, tokens.Request{Key: keys[16]})
		for i, key := range keys[1:] {
			if !mustFetch(t, f, tokens.Request{Key: key}).Reused {
				t.Errorf("the token of key %d is not there", i+1)
			}
		}
		if mustFetch(t, f, tokens.Request{Key: keys[0]}).Reused {
			t.Error("the oldest was not left out")
		}

		// Expired ones do not take up room.
		<-time.After(5 * time.Minute)
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		if left := w.store.record(t)["tokens"].([]any); len(left) != 1 {
			t.Errorf("%d tokens are left", len(left))
		}
	})
}

func TestRecordStaysWithinTheStore(t *testing.T) {
	const most = 64 << 10
	size := func(w *sessionWorld) int {
		data, _, err := w.store.Store.Load(context.Background(), w.store.name(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(data)
	}
	t.Run("access tokens give way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			f := w.client.RefreshToken(w.store)
			keys := sessionKeys(8)
			for i, key := range keys {
				w.wire.answer(200, map[string]any{
					"access_token": strings.Repeat("a", 15<<10), "token_type": "Bearer", "expires_in": 300,
					"refresh_token": fmt.Sprintf("next-%d", i),
				})
				mustFetch(t, f, tokens.Request{Key: key})
			}
			if n := size(w); n > most || n < 60<<10 {
				t.Errorf("the record has %d bytes", n)
			}
			if w.store.record(t)["refresh_token"] != "next-7" || !mustFetch(t, f, tokens.Request{Key: keys[7]}).Reused {
				t.Error("what came last is not there")
			}
		})
	})
	t.Run("a refresh token fills it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newSessionWorld(t)
			if err := w.session.Adopt(t.Context(), tokens.NewSecret("r")); err != nil {
				t.Fatal(err)
			}
			room := most - size(w)
			if err := w.session.Adopt(t.Context(), tokens.NewSecret(strings.Repeat("r", room+1))); err != nil || size(w) != most {
				t.Errorf("%v, %d bytes", err, size(w))
			}
			before := fmt.Sprint(w.store.record(t))
			err := w.session.Adopt(t.Context(), tokens.NewSecret(strings.Repeat("r", room+2)))
			if err == nil || fmt.Sprint(w.store.record(t)) != before {
				t.Errorf("%v, or the record has changed", err)
			}
			w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": strings.Repeat("s", room+2)})
			_, err = w.fetch(sessionKey, nil)
			if _, ok := errors.AsType[*tokens.Error](err); !ok || fmt.Sprint(w.store.record(t)) != before {
				t.Errorf("%v, or the record has changed", err)
			}
		})
	})
}

// A record of a later version, or of somebody else, is left alone.
func TestRecordThatCannotBeReadIsNotWrittenOver(t *testing.T) {
	for name, data := range map[string]string{
		"garbage":                 "garbage",
		"another version":         `{"v":2,"refresh_token":"secret-in-it"}`,
		"no version":              `{"refresh_token":"secret-in-it"}`,
		"no refresh token":        `{"v":1}`,
		"ended and not":           `{"v":1,"ended":true,"refresh_token":"secret-in-it"}`,
		"twice":                   `{"v":1,"refresh_token":"secret-in-it","refresh_token":"b"}`,
		"wrong type":              `{"v":1,"refresh_token":["secret-in-it"]}`,
		"resources that are none": `{"v":1,"refresh_token":"secret-in-it","resources":"secret-in-it"}`,
		"empty":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) {
					t.Fatal(err)
				}
				if _, err := w.store.Store.Save(t.Context(), w.store.name(t), []byte(data), 0); err != nil {
					t.Fatal(err)
				}
				_, err := w.fetch(sessionKey, nil)
				e, ok := errors.AsType[*tokens.StoreError](err)
				if !ok || e.Op != "load" || errors.Is(err, tokens.ErrLoginRequired) || strings.Contains(err.Error(), "secret-in-it") {
					t.Errorf("error %v", err)
				}
				if _, err := w.session.LoggedIn(t.Context()); err == nil {
					t.Error("LoggedIn has no error")
				}
				if now, _, err := w.store.Store.Load(t.Context(), w.store.name(t)); err != nil || string(now) != data {
					t.Error("it was written over")
				}
				w.adopt(t) // which is a login
				if _, err := w.fetch(sessionKey, nil); err != nil {
					t.Errorf("after a login: %v", err)
				}
			})
		})
	}
}

// The name of a record tells nobody whose it is, and is another for another session.
func TestRecordNames(t *testing.T) {
	names := make(map[string]string)
	for _, who := range [][3]string{
		{"https://a.test", "app", "alice"},
		{"https://a.test", "app", "alicf"},
		{"https://a.test", "ap", "palice"},
		{"https://a.test", "app", "Alice"},
		{"https://a.test", "appalice", " "},
		{"https://a.test/", "app", "alice"},
		{"https://b.test", "app", "alice"},
		{"https://a.test", "app", "alice\x00"},
		{"https://a.test", "app", strings.Repeat("alice", 1000)},
	} {
		store := newSessionStore()
		client, err := tokens.NewClient(who[0], who[1], tokens.NoClientAuth())
		if err != nil {
			t.Fatal(err)
		}
		f := client.RefreshToken(store)
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: who[2]}}); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Fatalf("%q: %v", who, err)
		}
		name := store.name(t)
		if before, ok := names[name]; ok {
			t.Errorf("%q and %s have the same name", who, before)
		}
		names[name] = fmt.Sprint(who)
		if len(name) != 72 || strings.ToLower(name) != name || strings.Contains(name, who[2]) {
			t.Errorf("%q has the name %q", who, name)
		}
	}
}

// Two processes, one refresh token that changes each time, 1,000 renewals that both want at once.
func TestProcessesShareOneRotatingRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := adoptedWorld(t)
		processes := []*sessionWorld{first, newSessionProcess(t, first.issuer, first.store)}
		var previous *tokens.Token
		for round := range 1000 {
			var grants [2]*tokens.Response
			var wg sync.WaitGroup
			for i, w := range processes {
				wg.Go(func() {
					<-time.After(time.Duration(1+(round*(i+1))%3) * time.Millisecond) // who comes first changes, or both do at once
					grants[i] = mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: sessionKey, Previous: previous})
				})
			}
			wg.Wait()
			if t.Failed() || grants[0].AccessToken != grants[1].AccessToken || grants[0].Reused == grants[1].Reused {
				t.Fatalf("round %d: the processes do not have one token, fetched by one of them", round)
			}
			previous = sessionToken(t, grants[0])
		}
		a, b := processes[0].wire.asked(), processes[1].wire.asked()
		if a+b != 1000 || a < 100 || b < 100 || first.issuer.Sessions() != 1 {
			t.Errorf("%d and %d renewals, %d sessions are left", a, b, first.issuer.Sessions())
		}
	})
}

// What is left behind when a process dies at any point of a refresh: either the session goes on or a login is asked for.
func TestProcessDiesDuringARefresh(t *testing.T) {
	for name, test := range map[string]struct {
		die  func(dying *sessionWorld, dead chan struct{})
		lost bool
	}{
		"with the lock": {func(dying *sessionWorld, dead chan struct{}) {
			dying.store.onLoad = func(context.Context, string) error { <-dead; return nil }
		}, false},
		"before the request arrives": {func(dying *sessionWorld, dead chan struct{}) {
			dying.wire.onToken = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
				<-dead
				return nil, errors.New("dead")
			}
		}, false},
		"before the answer": {func(dying *sessionWorld, dead chan struct{}) {
			dying.wire.onToken = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
				_, _ = pass()
				<-dead
				return nil, errors.New("dead")
			}
		}, true},
		"before it is saved": {func(dying *sessionWorld, dead chan struct{}) {
			dying.store.onSave = func(context.Context, func() (int64, error)) (int64, error) { <-dead; return 0, errDiskFull }
		}, true},
		"after it was saved": {func(dying *sessionWorld, dead chan struct{}) {
			dying.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
				version, err := pass()
				<-dead
				return version, err
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				dying := newSessionProcess(t, w.issuer, &sessionStore{Store: w.store.Store, names: make(map[string]bool)})
				dead := make(chan struct{}) // it does nothing any more; the memory store's lock ends with the lease
				test.die(dying, dead)
				var wg sync.WaitGroup
				defer wg.Wait()
				defer close(dead)
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
					defer cancel()
					_, _ = dying.client.RefreshToken(dying.store).Fetch(ctx, tokens.Request{Key: sessionKey})
				})
				synctest.Wait()

				began := time.Now()
				g, err := w.fetch(sessionKey, nil)
				if took := time.Since(began); took != 43*time.Second {
					t.Errorf("the lock was had after %s", took)
				}
				switch {
				case test.lost && !errors.Is(err, tokens.ErrLoginRequired), !test.lost && err != nil:
					t.Fatalf("error %v", err)
				case test.lost && w.store.record(t)["ended"] != true:
					t.Error("the session is not known to have ended")
				case !test.lost && (w.issuer.Sessions() != 1 || g == nil):
					t.Error("the session was lost")
				}
			})
		})
	}
}

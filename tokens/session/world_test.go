package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

const (
	sessionClientID = "app"
	sessionRedirect = "https://app.test/callback"
	sessionName     = "alice@example.com"
)

// sessionWorld is an issuer and one process that is its client.
type sessionWorld struct {
	issuer  *oauthtest.Server
	wire    *sessionWire
	store   *sessionStore
	client  *oauth.Client
	session *session.Session
}

func newSessionWorld(t *testing.T, opts ...oauthtest.Option) *sessionWorld {
	t.Helper()
	issuer := oauthtest.NewServer(bearertest.NewIssuer(), append([]oauthtest.Option{oauthtest.WithPublicClient(sessionClientID, sessionRedirect)}, opts...)...)
	return newSessionProcess(t, issuer, newSessionStore())
}

// newSessionProcess is another process.
func newSessionProcess(t *testing.T, issuer *oauthtest.Server, store *sessionStore) *sessionWorld {
	t.Helper()
	w := &sessionWorld{issuer: issuer, wire: &sessionWire{next: issuer.Client().Transport}, store: store}
	var err error
	w.client, err = oauth.NewClient(issuer.URL(), sessionClientID, oauth.NoClientAuth(), oauth.WithHTTPClient(&http.Client{Transport: w.wire}))
	if err != nil {
		t.Fatal(err)
	}
	w.session, err = session.New(w.client, store, sessionName, tokens.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.session.Close() })
	return w
}

// adopted is a world whose session goes on.
func adoptedWorld(t *testing.T, opts ...oauthtest.Option) *sessionWorld {
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
	return session.RefreshToken(w.client, w.store).Fetch(context.Background(), tokens.Request{Key: key, Previous: previous})
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

// loginQuery is the query of a login's URL.
func loginQuery(t *testing.T, l *session.Login) url.Values {
	t.Helper()
	u, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	return query
}

// startLogin starts a login of the session and sends the browser along. It returns the login and
// what the browser comes back with.
func (w *sessionWorld) startLogin(t *testing.T) (*session.Login, url.Values) {
	t.Helper()
	l, err := w.session.Login(t.Context(), sessionRedirect)
	if err != nil {
		t.Fatal(err)
	}
	return l, w.loginAnswer(t, l)
}

// loginAnswer sends the browser along, and returns what it comes back with.
func (w *sessionWorld) loginAnswer(t *testing.T, l *session.Login) url.Values {
	t.Helper()
	browser := w.issuer.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.URL(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	back, err := response.Location()
	if err != nil {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	if got := back.Scheme + "://" + back.Host + back.Path; got != sessionRedirect {
		t.Fatalf("the browser is sent to %s", got)
	}
	return back.Query()
}

func (w *sessionWorld) login(t *testing.T, opts ...session.LoginOption) *session.Login {
	t.Helper()
	l, err := session.NewLogin(t.Context(), w.client, sessionRedirect, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sessionPrinted is a value in every way that it may end up in a log.
func sessionPrinted(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		fmt.Fprintf(&b, verb+"\n", []any{v})
	}
	text, _ := json.Marshal(v)
	b.Write(text)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("a", "v", v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("a", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("a", "v", &v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("a", "v", [1]any{v})
	return b.String()
}

// logIn logs a session in.
func (w *sessionWorld) logIn(t *testing.T, opts ...session.LoginOption) {
	t.Helper()
	l, err := w.session.Login(t.Context(), sessionRedirect, opts...)
	if err == nil {
		_, err = w.session.Finish(t.Context(), l, w.loginAnswer(t, l))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *sessionWorld) loggedIn(t *testing.T) bool {
	t.Helper()
	in, err := w.session.LoggedIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// sessionKeys are keys that differ in their resource.
func sessionKeys(n int) []tokens.Key {
	var keys []tokens.Key
	for i := range n {
		keys = append(keys, tokens.Key{Subject: sessionName, Resource: fmt.Sprintf("https://r%d.test", i)})
	}
	return keys
}

// mustToken is for a token that has to be there.
func (w *sessionWorld) mustToken(t *testing.T) *tokens.Token {
	t.Helper()
	token, err := w.session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

// world is an issuer, an API, and a site of two replicas with one database. The site has one name,
// and its proxy sends each request to one replica or the other.
type world struct {
	issuer   *oauthtest.Server
	site     *httptest.Server
	replicas [2]*app
	turn     func(path string) int // the replica that a request goes to
	api      atomic.Int32          // requests that the API has taken
}

func newWorld(t *testing.T) *world {
	w := &world{turn: func(string) int { return 0 }}
	var atIssuer http.ServeMux
	issuer := httptest.NewServer(&atIssuer)
	t.Cleanup(issuer.Close)
	w.site = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.replicas[w.turn(r.URL.Path)].routes().ServeHTTP(rw, r)
	}))
	t.Cleanup(w.site.Close)
	w.issuer = oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL(issuer.URL), bearertest.WithAudience("orders")),
		oauthtest.WithClient("app", "for trying out", w.site.URL+"/callback"))
	atIssuer.Handle("/", w.issuer)

	guard, err := bearer.New(bearer.WithIssuer(issuer.URL, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(guard.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.api.Add(1)
		claims, _ := bearer.FromContext(r.Context())
		fmt.Fprintf(rw, "one <espresso machine> for %s", claims.Subject())
	}), bearer.Scopes("orders.read")))
	t.Cleanup(func() { api.Close(); _ = guard.Close() })

	dir := t.TempDir()
	for _, name := range []string{"store.key", "login.key"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{
		"ISSUER": issuer.URL, "CLIENT_ID": "app", "CLIENT_SECRET": "for trying out",
		"SCOPE": "orders.read", "API": api.URL, "SELF": w.site.URL,
		"STORE_KEYS": filepath.Join(dir, "store.key"), "LOGIN_KEYS": filepath.Join(dir, "login.key"),
		"DATABASE": "file:" + filepath.Join(dir, "app.db") + "?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_txlock=immediate",
	}
	for i := range w.replicas {
		if w.replicas[i], err = newApp(t.Context(), func(name string) string { return env[name] }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := w.replicas[i].close(); err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

// browser keeps cookies and follows redirects. It takes notes of the cookies that it was given.
type browser struct {
	http.Client
	given []*http.Cookie
}

func (w *world) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{}
	b.Jar = jar
	b.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := w.site.Client().Transport.RoundTrip(r)
		if err == nil {
			b.given = append(b.given, response.Cookies()...)
		}
		return response, err
	})
	return b
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// opens returns what a page shows.
func (b *browser) opens(t *testing.T, method, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := b.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(response.StatusCode, " ", string(text))
}

const (
	loggedIn  = "<p>alice has: one &lt;espresso machine&gt; for alice<form"
	loggedOut = `<a href="/login">Log in</a>`
)

func wantPage(t *testing.T, what, page, want string) {
	t.Helper()
	if !strings.HasPrefix(page, "200 ") || !strings.Contains(page, want) {
		t.Errorf("%s: the page is\n%s\nwant one with %s", what, page, want)
	}
}

func TestReplicasShareLoginsAndLogouts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, other := w.browser(t), w.browser(t)
	w.turn = func(path string) int {
		if path == "/callback" {
			return 1
		}
		return 0
	}
	wantPage(t, "before the login", one.opens(t, "GET", w.site.URL), loggedOut)
	wantPage(t, "a login begun at one replica and finished at the other", one.opens(t, "GET", w.site.URL+"/login"), loggedIn)
	wantPage(t, "another browser", other.opens(t, "GET", w.site.URL), loggedOut)
	wantPage(t, "a login of another browser", other.opens(t, "GET", w.site.URL+"/login"), loggedIn)
	w.turn = func(string) int { return 1 }
	wantPage(t, "the other replica", one.opens(t, "GET", w.site.URL), loggedIn)
	if n := w.issuer.TokenRequests(); n != 2 {
		t.Errorf("%d token requests for two logins", n)
	}

	w.turn = func(string) int { return 0 }
	if page := one.opens(t, "GET", w.site.URL+"/logout"); !strings.HasPrefix(page, "405 ") {
		t.Errorf("a logout by a link: %s", page)
	}
	wantPage(t, "the logout", one.opens(t, "POST", w.site.URL+"/logout"), loggedOut)
	w.turn = func(string) int { return 1 }
	calls := w.api.Load()
	wantPage(t, "after it, at the other replica", one.opens(t, "GET", w.site.URL), loggedOut)
	if w.api.Load() != calls {
		t.Error("the API was called for a person who has logged out")
	}
	if n := w.issuer.Sessions(); n != 1 {
		t.Errorf("%d sessions at the issuer, want that of the other browser", n)
	}
	wantPage(t, "the other browser", other.opens(t, "GET", w.site.URL), loggedIn)

	for _, c := range other.given {
		if c.Name != cookie {
			continue
		}
		s, err := w.replicas[1].sessions.Session(c.Value)
		if err == nil {
			err = s.Logout(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wantPage(t, "a session that has ended", other.opens(t, "GET", w.site.URL), loggedOut)
}

func TestCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	ids := make(map[string]bool)
	for range 2 {
		wantPage(t, "a login", b.opens(t, "GET", w.site.URL+"/login"), loggedIn)
	}
	for _, c := range b.given {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("a cookie is not for this host alone: %s", c.Raw)
		}
		if c.Name == cookie {
			ids[c.Value] = true
		}
	}
	if site, err := url.Parse(w.site.URL); err != nil || len(b.Jar.Cookies(site)) != 1 {
		t.Errorf("the browser keeps the cookies %v", b.Jar.Cookies(site))
	}
	if len(ids) != 2 {
		t.Errorf("two logins have the ids %v", ids)
	}
	for id := range ids {
		if !regexp.MustCompile(`^[A-Z2-7]{26,}$`).MatchString(id) {
			t.Errorf("the id %s has not the bits that make it unknowable", id)
		}
	}
}

// An attacker makes up ids, or names other records of the Store.
func TestForgedCookies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	wantPage(t, "a login", b.opens(t, "GET", w.site.URL+"/login"), loggedIn)
	attacked := w.replicas[0]
	before := attacked.sessions.Stats().Remembered
	for _, record := range w.records(t) {
		request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		request.AddCookie(&http.Cookie{Name: cookie, Value: record})
		answer := httptest.NewRecorder()
		attacked.routes().ServeHTTP(answer, request)
		wantPage(t, record, fmt.Sprint(answer.Code, " ", answer.Body), loggedOut)
	}
	if n := attacked.sessions.Stats().Remembered; n != before {
		t.Errorf("%d sessions are remembered, %d before", n, before)
	}
}

// records are the names of all records, and some of none.
func (w *world) records(t *testing.T) []string {
	t.Helper()
	rows, err := w.replicas[0].db.QueryContext(context.Background(), "SELECT name FROM bearer_records")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names := []string{"", "alice", rand.Text()}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil || len(names) < 5 {
		t.Fatalf("the records are %q: %v", names, err)
	}
	return names
}

// What goes wrong is one page, and no one is logged in by it.
func TestFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	const sorry = "503 This did not work."
	w.issuer.Refuse("access_denied")
	if page := b.opens(t, "GET", w.site.URL+"/login"); !strings.HasPrefix(page, sorry) {
		t.Errorf("a person who does not agree: %s", page)
	}
	w.issuer.Refuse("")
	wantPage(t, "afterwards", b.opens(t, "GET", w.site.URL), loggedOut)
	wantPage(t, "an answer that this browser has not asked for",
		b.opens(t, "GET", w.site.URL+"/callback?state=x&code=y"), loggedOut)
	wantPage(t, "a login", b.opens(t, "GET", w.site.URL+"/login"), loggedIn)
	if err := w.replicas[0].db.Close(); err != nil {
		t.Fatal(err)
	}
	if page := b.opens(t, "GET", w.site.URL); !strings.HasPrefix(page, sorry) {
		t.Errorf("without a database: %s", page)
	}
	w.turn = func(string) int { return 1 }
	wantPage(t, "the other replica", b.opens(t, "GET", w.site.URL), loggedIn)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), func(string) string { return "" }); err == nil {
		t.Error("a program without a configuration starts")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for database, name := range map[string]string{"postgres://127.0.0.1:1/app": "PostgreSQL", "file:app.db?mode=memory": "SQLite"} {
		env := map[string]string{"ISSUER": "https://login.example.com", "CLIENT_ID": "app", "CLIENT_SECRET": "x", "DATABASE": database}
		if err := run(ctx, func(name string) string { return env[name] }); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", database, err)
		}
	}
}

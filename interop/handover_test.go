package interop_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// replica is one of several processes of a web application that people log in to. A login of it is
// in a cookie between two requests, or in a Store.
type replica struct {
	App       string // the base URL of the application
	LoginKeys string // the file of the keys that logins are sealed with
}

// The kinds of lines of a replica.
const (
	listening = "listening" // Text is its own base URL
	finished  = "finished"  // a login; Text is who logged in
	unknown   = "unknown"   // the login of a browser
)

// Where the application keeps its logins: the first element of the paths of its requests.
const (
	inCookie = "/cookie"
	inStore  = "/store"
)

// browserCookie names the browser in which a login of the Store was begun.
const browserCookie = "__Host-browser"

// serve is the application until the process is killed.
func (j job) serve(say func(line)) error {
	client, err := j.client()
	if err != nil {
		return err
	}
	alice, err := j.sessionOf(client)
	if err != nil {
		return err
	}
	keys := session.SealKeysFromFile(j.Replica.LoginKeys)
	logins, err := session.NewFileStore(filepath.Join(j.Dir, "logins"), keys)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	handleLogin := func(kept string, keep func(context.Context, http.ResponseWriter, *session.Login) error) {
		mux.HandleFunc("GET "+kept+"/login", func(w http.ResponseWriter, r *http.Request) {
			opts := []session.LoginOption{
				session.WithScope("openid", "offline_access", "orders:read"), session.WithResource(orders), session.WithParameter("prompt", "consent"),
			}
			if r.URL.Query().Has("form_post") {
				opts = append(opts, session.WithFormPost())
			}
			login, err := alice.Login(r.Context(), j.Replica.App+kept+"/callback", opts...)
			if err == nil {
				err = keep(r.Context(), w, login)
			}
			if err != nil {
				refuse(w, say, err)
				return
			}
			http.Redirect(w, r, login.URL(), http.StatusFound)
		})
	}
	handleCallback := func(kept string, find func(*http.Request) (*session.Login, url.Values, error)) {
		mux.HandleFunc(kept+"/callback", func(w http.ResponseWriter, r *http.Request) {
			var identity *oauth.Identity
			login, back, err := find(r)
			if err == nil {
				login.ClearCookie(w)
				identity, err = alice.Finish(r.Context(), login, back)
			}
			if err != nil {
				refuse(w, say, err)
				return
			}
			say(line{Kind: finished, Text: identity.Subject()})
			_, _ = io.WriteString(w, "logged in")
		})
	}
	handleLogin(inCookie, func(ctx context.Context, w http.ResponseWriter, login *session.Login) error {
		return login.SetCookie(ctx, w, keys)
	})
	handleCallback(inCookie, func(r *http.Request) (*session.Login, url.Values, error) {
		return session.LoginFromCookie(r, client, keys)
	})
	handleLogin(inStore, func(ctx context.Context, w http.ResponseWriter, login *session.Login) error {
		browser := rand.Text()
		http.SetCookie(w, &http.Cookie{
			Name: browserCookie, Value: browser, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
		return login.Save(ctx, logins, browser)
	})
	handleCallback(inStore, func(r *http.Request) (*session.Login, url.Values, error) {
		browser, err := r.Cookie(browserCookie)
		if err != nil {
			return nil, nil, session.ErrNotFound
		}
		login, err := session.LoadLogin(r.Context(), client, logins, browser.Value, r.URL.Query().Get("state"))
		if err != nil {
			return nil, nil, err
		}
		back, err := login.Answer(r)
		return login, back, err
	})

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	say(line{Kind: listening, Text: "http://" + listener.Addr().String()})
	return (&http.Server{Handler: mux, ReadHeaderTimeout: childLimit}).Serve(listener)
}

func refuse(w http.ResponseWriter, say func(line), err error) {
	l := line{Kind: failed, Err: err.Error()}
	if errors.Is(err, session.ErrNotFound) {
		l.Kind = unknown
	}
	say(l)
	http.Error(w, "the login is refused", http.StatusForbidden)
}

// application is a web application of two replicas: one begins all logins, and the other finishes
// them.
type application struct {
	job
	url           string
	front         *httptest.Server // not started before its callbacks are registered
	first, second *child
}

func newApplication(t *testing.T, host string) *application {
	t.Helper()
	app := &application{front: httptest.NewUnstartedServer(nil)}
	t.Cleanup(app.front.Close)
	_, port, err := net.SplitHostPort(app.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	app.url = host + ":" + port
	return app
}

// start starts the replicas, and what distributes the requests to them. The first one is killed as
// soon as it has begun a login, before the browser has its answer.
func (a *application) start(t *testing.T, issuer string) {
	t.Helper()
	t.Setenv(sealVariable, newSealKeyFile(t))
	a.job = job{Issuer: issuer, Dir: t.TempDir(), Replica: &replica{App: a.url, LoginKeys: newSealKeyFile(t)}}
	distribute := func(to *child) *httputil.ReverseProxy {
		l := to.next(t)
		target, err := url.Parse(l.Text)
		if l.Kind != listening || err != nil {
			t.Fatalf("a replica said %+v", l)
		}
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		}}
	}
	a.first, a.second = a.job.start(t), a.job.start(t)
	first, second := distribute(a.first), distribute(a.second)
	a.front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/login") {
			second.ServeHTTP(w, r)
			return
		}
		first.ServeHTTP(w, r)
		a.first.kill()
	})
	if strings.HasPrefix(a.url, "https:") {
		a.front.StartTLS()
	} else {
		a.front.Start()
	}
}

// wantFinished checks that the second replica has finished alice's login, by what it said of that,
// ends it, and has a third process go on with what is left: the session in the Store.
func (a *application) wantFinished(t *testing.T, issuer string, l line) {
	t.Helper()
	if l.Kind != finished || l.Text != personName {
		t.Fatalf("the second process said %+v, want that %s has logged in", l, personName)
	}
	a.second.kill()
	before := reportOf(t, issuer)
	third := job{Issuer: issuer, Dir: a.Dir, Renewals: 1}
	if l := third.start(t).next(t); l.Kind != done || l.Asked != 1 {
		t.Errorf("the third process said %+v, want that it has used and renewed a token", l)
	}
	report := reportOf(t, issuer)
	if report.Refreshed-before.Refreshed != 1 || len(report.Refused) > 0 {
		t.Errorf("%d tokens were renewed, want 1; refused: %v", report.Refreshed-before.Refreshed, report.Refused)
	}
}

// wantRefused checks that the second replica does not know the login of a browser.
func (a *application) wantRefused(t *testing.T, what string, browser *http.Client, address string) {
	t.Helper()
	response, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if l := a.second.next(t); response.StatusCode != http.StatusForbidden || l.Kind != unknown {
		t.Errorf("%s: status %d, %+v; want 403, and that the login is unknown", what, response.StatusCode, l)
	}
}

func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// A process begins a login and is killed. Another one finishes it, when the browser comes back with
// the provider's answer, and is killed, too. A third one goes on with the session. Between the
// first two the login is in a cookie, or in a Store. No other browser can finish it, and this one
// only once.
func TestLoginThatAnotherProcessFinishes(t *testing.T) {
	chromium := requireBrowser(t)
	apps := map[string]*application{
		inCookie: newApplication(t, "https://127.0.0.1"), inStore: newApplication(t, "https://127.0.0.1"),
	}
	posted := newApplication(t, "http://localhost") // where Chromium keeps cookies that are Secure
	web := webClient
	web.RedirectURIs = []string{posted.url + inCookie + "/callback"}
	for kept, app := range apps {
		web.RedirectURIs = append(web.RedirectURIs, app.url+kept+"/callback")
	}
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{web}})

	for kept, app := range apps {
		t.Run(strings.TrimPrefix(kept, "/"), func(t *testing.T) {
			app.start(t, issuer)
			back, browser := "", app.front.Client()
			browser.CheckRedirect = func(request *http.Request, _ []*http.Request) error {
				if strings.HasPrefix(request.URL.String(), app.url+kept+"/callback") {
					back = request.URL.String()
					return http.ErrUseLastResponse
				}
				return nil
			}
			thief := *browser
			browser.Jar, thief.Jar = newJar(t), newJar(t)
			thief.Jar.SetCookies(&url.URL{Scheme: "https", Host: "127.0.0.1"}, []*http.Cookie{{Name: browserCookie, Value: rand.Text()}})
			response, err := browser.Get(app.url + kept + "/login")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if back == "" {
				t.Fatalf("the browser was not sent back, but ended with %s", response.Status)
			}
			app.wantRefused(t, "another browser with the answer", &thief, back)
			if response, err = browser.Get(back); err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("status %d, want 200", response.StatusCode)
			}
			finishing := app.second.next(t)
			app.wantRefused(t, "the page loaded again", browser, back)
			app.wantFinished(t, issuer, finishing)
		})
	}

	// A browser's own rules for cookies: __Host- and SameSite=None, with a POST from another site.
	t.Run("form_post in Chromium", func(t *testing.T) {
		posted.start(t, issuer)
		wrote, closeIt := openBrowser(t, chromium, posted.url+inCookie+"/login?form_post")
		finishing := posted.second.next(t)
		closeIt()
		if finishing.Kind != finished {
			t.Logf("Chromium: %s", wrote)
		}
		posted.wantFinished(t, issuer, finishing)
	})
}

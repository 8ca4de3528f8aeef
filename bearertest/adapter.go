package bearertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
)

// App is what [TestAdapter] asks an adapter's author to build with a framework: one path behind the adapter's guard, with a
// middleware outside the guard and one inside it. Every function in it is set.
type App struct {
	// Path is the path to serve, for every method. It has no parameters.
	Path string

	// Recover is the outermost middleware, where an application has one that recovers panics. It is
	// registered in the way that the framework has for middleware. It calls next once, which runs
	// the rest of the chain as the framework does, and may return normally after a panic in it.
	// Then the framework's middleware returns too, and does nothing else: it does not end the
	// chain. A wrapper around the framework's whole handler will not do, because it does not show
	// what the framework calls after a panic.
	Recover func(w http.ResponseWriter, next func())

	// Before is a middleware outside all guards, inside Recover, where one for CORS belongs. When
	// it returns true, the request is answered and nothing further runs; w and r are the
	// framework's own.
	Before func(w http.ResponseWriter, r *http.Request) (done bool)

	// Group holds the requirements of a guard on a group of routes that Path is in. nil: no guard there. Empty but not nil: a
	// guard that any token satisfies.
	Group []bearer.RouteOption

	// Route holds the requirements of the guard on the route itself, inside the group's. That guard is always there; empty:
	// any token satisfies it.
	Route []bearer.RouteOption

	// After is a middleware inside all guards, registered after them. It is called with the request as a middleware sees it
	// there, and what follows runs when it returns.
	After func(r *http.Request)

	// Handler is the protected handler. claims and ok are what the adapter's accessor gives in the framework's handler; w and r
	// are the response and the request as that handler has them. An error goes where the framework's handlers put theirs: it
	// is returned, or added to the framework's context.
	Handler func(claims *bearer.Claims, ok bool, w http.ResponseWriter, r *http.Request) error

	// OnError is called with every error that reaches the framework's own error handler. It writes nothing. An adapter may
	// hand refusals to the framework as well, but no other error.
	OnError func(err error)
}

// TestAdapter tests an adapter that makes package bearer's guard a middleware of some framework. Each rule of an adapter is a
// subtest, named after the rule.
//
// mount builds an [App] with the framework and the adapter, and nothing else: in particular nothing
// that recovers panics but the App's Recover. It is called for each App. With net/http in place of
// a framework, all of it is:
//
//	func TestAdapter(t *testing.T) {
//		bearertest.TestAdapter(t, func(auth *bearer.Middleware, app bearertest.App) http.Handler {
//			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//				app.After(r)
//				claims, ok := bearer.FromContext(r.Context())
//				if err := app.Handler(claims, ok, w, r); err != nil {
//					app.OnError(err)
//				}
//			})
//			guarded := auth.Handler(handler, app.Route...)
//			if app.Group != nil {
//				guarded = auth.Handler(guarded, app.Group...)
//			}
//			mux := http.NewServeMux()
//			mux.Handle(app.Path, guarded)
//			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//				app.Recover(w, func() {
//					if !app.Before(w, r) {
//						mux.ServeHTTP(w, r)
//					}
//				})
//			})
//		})
//	}
func TestAdapter(t *testing.T, mount func(auth *bearer.Middleware, app App) http.Handler) {
	t.Helper()
	for _, c := range adapterCases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, mount) })
	}
}

type mountFunc = func(*bearer.Middleware, App) http.Handler

type adapterCase struct {
	name string
	run  func(tb testing.TB, mount mountFunc)
}

func adapterCases() []adapterCase {
	var cases []adapterCase
	for _, r := range refusals {
		cases = append(cases, adapterCase{r.name, r.isHeard})
	}
	cases = append(cases, panicCases()...)
	return append(cases, []adapterCase{
		{"nothing inside the guard runs after a refusal", refusalEndsTheChain},
		{"a refusal is written exactly once", refusalIsWrittenOnce},
		{"a refusal has Cache-Control no-store and a problem+json body", refusalHasProblemBody},
		{"a body of WithErrorHandler is sent", errorHandlerIsHeard},
		{"claims are in the accessor and in the request's context", claimsAreVisible},
		{"every method is guarded and served", everyMethod},
		{"an optional route passes anonymous requests", optionalRoute},
		{"a group's guard and a route's guard verify once", groupAndRoute},
		{"the handler gets the request that Authenticate returned", wholeRequest},
		{"parallel requests never mix claims", parallelRequests},
		{"an error of the handler reaches the framework's error handler", handlerError},
		{"a panic of the handler passes through", handlerPanic},
		{"CORS outside the guard answers preflights and marks refusals", corsOutside},
	}...)
}

// refusal is one way to be refused by a guard that demands the scope orders:read, and what the client hears (RFC 6750 section 3).
type refusal struct {
	name          string
	authorization func(*Issuer) []string // the lines of the Authorization header
	down          bool                   // the issuer is
	status        int
	code          string
	challenge     []string // what stands in WWW-Authenticate; nil: no such header
}

const adapterScope = "orders:read"

var refusals = []refusal{
	{
		name:          "no token is 401 with a bare challenge",
		authorization: func(*Issuer) []string { return nil },
		status:        401, code: "missing_token", challenge: []string{`Bearer scope="orders:read"`},
	},
	{
		name: "a bad token is 401",
		authorization: func(i *Issuer) []string {
			return []string{"Bearer " + i.Token(Claims{"scope": adapterScope, "exp": time.Now().Add(-time.Hour)})}
		},
		status: 401, code: "token_expired", challenge: []string{`error="invalid_token"`},
	},
	{
		name:          "a token without the scope is 403 and the challenge names it",
		authorization: func(i *Issuer) []string { return []string{"Bearer " + i.Token()} },
		status:        403, code: "insufficient_scope",
		challenge: []string{`error="insufficient_scope"`, `scope="orders:read"`},
	},
	{
		name: "two Authorization headers are 400",
		authorization: func(i *Issuer) []string {
			good := "Bearer " + i.Token(Claims{"scope": adapterScope})
			return []string{good, good}
		},
		status: 400, code: "multiple_tokens", challenge: []string{`error="invalid_request"`},
	},
	{
		name: "an issuer that is down is 503 with Retry-After",
		authorization: func(i *Issuer) []string {
			return []string{"Bearer " + i.Token(Claims{"scope": adapterScope})}
		},
		down: true, status: 503, code: "keys_unavailable",
	},
}

// provoke has the request refused by a route's guard and by a group's, and hands each answer on.
func (r refusal) provoke(tb testing.TB, mount mountFunc, check func(guard string, v *visit), opts ...bearer.Option) {
	tb.Helper()
	demand := []bearer.RouteOption{bearer.Scopes(adapterScope)}
	for _, by := range []struct {
		guard string
		app   App
	}{{"the route's guard", App{Route: demand}}, {"the group's guard", App{Group: demand}}} {
		p := newProbe(tb, mount, by.app, opts...)
		if r.down {
			p.issuer.SetFault(Down)
		}
		v := p.do(http.MethodGet, r.authorization(p.issuer)...)
		if v.panicked != nil {
			tb.Fatalf("%s, by %s: panic: %v", r.name, by.guard, v.panicked)
		}
		check(by.guard, v)
	}
}

func (r refusal) isHeard(tb testing.TB, mount mountFunc) {
	tb.Helper()
	r.provoke(tb, mount, func(guard string, v *visit) {
		if got := v.status(); got != r.status {
			tb.Errorf("%s: status %d, want %d", guard, got, r.status)
		}
		challenges := v.header()["Www-Authenticate"]
		switch {
		case r.challenge == nil && len(challenges) > 0:
			tb.Errorf("%s: WWW-Authenticate is %q, want none: the client's token is not at fault", guard, challenges)
		case r.challenge != nil && len(challenges) != 1:
			tb.Errorf("%s: WWW-Authenticate is %q, want one challenge", guard, challenges)
		}
		for _, part := range r.challenge {
			if got := v.header().Get("WWW-Authenticate"); !strings.Contains(got, part) {
				tb.Errorf("%s: WWW-Authenticate is %q, want %s in it", guard, got, part)
			}
		}
		seconds, err := strconv.Atoi(v.header().Get("Retry-After"))
		if r.status == http.StatusServiceUnavailable && (err != nil || seconds < 1) {
			tb.Errorf("%s: Retry-After is %q, want seconds", guard, v.header().Get("Retry-After"))
		}
	})
}

func refusalEndsTheChain(tb testing.TB, mount mountFunc) {
	tb.Helper()
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			v.ended(tb, r.name+", by "+guard)
		})
	}
}

func refusalIsWrittenOnce(tb testing.TB, mount mountFunc) {
	tb.Helper()
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			var document json.RawMessage
			if err := json.Unmarshal(v.body(), &document); v.heads != 1 || err != nil {
				tb.Errorf("%s, by %s: WriteHeader was called %d times and the body is %q (%v), want one call and one JSON document",
					r.name, guard, v.heads, v.body(), err)
			}
		})
	}
}

func refusalHasProblemBody(tb testing.TB, mount mountFunc) {
	tb.Helper()
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			if got := v.header().Get("Cache-Control"); got != "no-store" {
				tb.Errorf("%s, by %s: Cache-Control is %q, want no-store", r.name, guard, got)
			}
			if got := v.header().Get("Content-Type"); got != "application/problem+json" {
				tb.Errorf("%s, by %s: Content-Type is %q, want application/problem+json", r.name, guard, got)
			}
			var problem struct {
				Status int
				Code   string
			}
			if err := json.Unmarshal(v.body(), &problem); err != nil || problem.Status != r.status || problem.Code != r.code {
				tb.Errorf("%s, by %s: the body is %q, want status %d and code %s", r.name, guard, v.body(), r.status, r.code)
			}
		})
	}
}

// errorHandlerIsHeard finds adapters that write refusals themselves and not with WriteError.
func errorHandlerIsHeard(tb testing.TB, mount mountFunc) {
	tb.Helper()
	const page = "<h1>Sign in</h1>"
	opt := bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	for _, r := range refusals {
		r.provoke(tb, mount, func(guard string, v *visit) {
			if v.status() != r.status || v.header().Get("Content-Type") != "text/html" || string(v.body()) != page {
				tb.Errorf("%s, by %s: status %d, Content-Type %q and body %q, want %d, text/html and %q",
					r.name, guard, v.status(), v.header().Get("Content-Type"), v.body(), r.status, page)
			}
		}, opt)
	}
}

func claimsAreVisible(tb testing.TB, mount mountFunc) {
	tb.Helper()
	var inMiddleware *bearer.Claims
	p := newProbe(tb, mount, App{
		After: func(r *http.Request) { inMiddleware, _ = bearer.FromContext(r.Context()) },
		Handler: func(claims *bearer.Claims, ok bool, w http.ResponseWriter, r *http.Request) error {
			inContext, okContext := bearer.FromContext(r.Context())
			switch {
			case !okContext:
				tb.Errorf("the handler's request has no claims in its context; the framework's request must be replaced " +
					"by the one that Authenticate returned")
			case !ok:
				tb.Errorf("the framework's accessor has no claims")
			case claims != inContext:
				tb.Errorf("the framework's accessor and the request's context have different claims")
			case claims != inMiddleware:
				tb.Errorf("the middleware behind the guard has other claims than the handler, or none")
			case claims.Subject() != "carol":
				tb.Errorf("the subject is %q, want carol", claims.Subject())
			}
			return done(w)
		},
	})
	p.do(http.MethodGet, p.bearer(Claims{"sub": "carol"})).passed(tb, "a good token")
}

// everyMethod finds adapters and mounts that exempt OPTIONS: a preflight is answered outside the guard, never inside it.
func everyMethod(tb testing.TB, mount mountFunc) {
	tb.Helper()
	p := newProbe(tb, mount, App{})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		p.do(method, p.bearer()).passed(tb, method+" with a good token")
		refused := p.do(method)
		refused.ended(tb, method+" without a token")
		if got, challenge := refused.status(), refused.header().Get("WWW-Authenticate"); got != 401 || challenge != "Bearer" {
			tb.Errorf("%s without a token: status %d and WWW-Authenticate %q, want 401 and Bearer", method, got, challenge)
		}
	}
}

func optionalRoute(tb testing.TB, mount mountFunc) {
	tb.Helper()
	var seen *bearer.Claims
	var seenOK bool
	p := newProbe(tb, mount, App{
		Route: []bearer.RouteOption{bearer.Optional()},
		Handler: func(claims *bearer.Claims, ok bool, w http.ResponseWriter, _ *http.Request) error {
			seen, seenOK = claims, ok
			return done(w)
		},
	})
	// The request with a token comes first: what the framework reuses for the next must not carry its claims over.
	p.do(http.MethodGet, p.bearer()).passed(tb, "a good token")
	if seen == nil || !seenOK {
		tb.Errorf("a good token: the accessor has no claims")
	}
	p.do(http.MethodGet).passed(tb, "no token")
	if seen != nil || seenOK {
		tb.Errorf("no token: the accessor gives claims (nil: %t) and ok %t, want nil and false", seen == nil, seenOK)
	}
	bad := p.do(http.MethodGet, p.bearer(Claims{"aud": "https://other.test"}))
	bad.ended(tb, "a bad token")
	if bad.status() != 401 {
		tb.Errorf("a bad token: status %d, want 401", bad.status())
	}
}

func groupAndRoute(tb testing.TB, mount mountFunc) {
	tb.Helper()
	var outcomes []bearer.Outcome
	p := newProbe(tb, mount,
		App{Group: []bearer.RouteOption{}, Route: []bearer.RouteOption{bearer.Scopes(adapterScope)}},
		bearer.WithObserver(func(_ context.Context, ev bearer.Event) { outcomes = append(outcomes, ev.Outcome) }))

	p.do(http.MethodGet, p.bearer(Claims{"scope": adapterScope})).passed(tb, "a token with the scope")
	if want := []bearer.Outcome{bearer.OutcomeAllowed}; !slices.Equal(outcomes, want) {
		tb.Errorf("a token with the scope: the decisions are %q, want %q: the route's guard must see that the group's has "+
			"verified the token", outcomes, want)
	}

	outcomes = nil
	v := p.do(http.MethodGet, p.bearer())
	v.ended(tb, "a token without the scope")
	if v.status() != 403 {
		tb.Errorf("a token without the scope: status %d, want 403", v.status())
	}
	if want := []bearer.Outcome{bearer.OutcomeAllowed, bearer.OutcomeRefused}; !slices.Equal(outcomes, want) {
		tb.Errorf("a token without the scope: the decisions are %q, want %q: the group's guard passes any token and the "+
			"route's does not", outcomes, want)
	}
}

// wholeRequest finds adapters that take only the context from the request that Authenticate returns: a form that was read for
// its token has a body to be read again.
func wholeRequest(tb testing.TB, mount mountFunc) {
	tb.Helper()
	var line, body string
	p := newProbe(tb, mount, App{
		Route: []bearer.RouteOption{bearer.TokensFrom(bearer.FromForm())},
		Handler: func(_ *bearer.Claims, _ bool, w http.ResponseWriter, r *http.Request) error {
			data, err := io.ReadAll(r.Body)
			line, body = fmt.Sprintf("%s %s X-Trace=%s", r.Method, r.URL, r.Header.Get("X-Trace")), string(data)
			return errors.Join(err, done(w))
		},
	})
	form := url.Values{"access_token": {p.issuer.Token()}, "amount": {"7"}}.Encode()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, adapterPath+"?page=2", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Trace", "1f")
	p.serve(r).passed(tb, "a form with a token")
	if want := "POST " + adapterPath + "?page=2 X-Trace=1f"; line != want {
		tb.Errorf("a form with a token: the handler saw %q, want %q", line, want)
	}
	if body != form { // which holds a token, so it is not printed
		tb.Errorf("a form with a token: the handler read %d bytes of body, want the %d that were sent", len(body), len(form))
	}
}

// parallelRequests has many requests meet between the guard and the handler, so that claims kept anywhere but with their
// request are overwritten before they are read.
func parallelRequests(tb testing.TB, mount mountFunc) {
	tb.Helper()
	const requests = 100
	issuer := NewIssuer()
	var meeting sync.WaitGroup
	meeting.Add(requests)
	arrive := make([]sync.Once, requests)
	number := func(r *http.Request) int {
		n, _ := strconv.Atoi(r.Header.Get("X-Number"))
		return n
	}
	handler := mount(newAuth(tb, issuer, slog.DiscardHandler), App{
		Path:    adapterPath,
		Recover: func(_ http.ResponseWriter, next func()) { next() },
		Before:  func(http.ResponseWriter, *http.Request) bool { return false },
		After: func(r *http.Request) {
			arrive[number(r)].Do(meeting.Done)
			meeting.Wait()
		},
		Handler: func(claims *bearer.Claims, ok bool, w http.ResponseWriter, r *http.Request) error {
			inContext, okContext := bearer.FromContext(r.Context())
			if !ok || !okContext {
				return errors.New("no claims")
			}
			_, err := io.WriteString(w, claims.Subject()+" "+inContext.Subject())
			return err
		},
		OnError: func(error) {},
	})

	recorders := make([]*recorder, requests)
	var wg sync.WaitGroup
	for n := range requests {
		r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, adapterPath, nil)
		r.Header.Set("X-Number", strconv.Itoa(n))
		r.Header.Set("Authorization", "Bearer "+issuer.Token(Claims{"sub": fmt.Sprintf("user-%d", n)}))
		recorders[n] = newRecorder()
		wg.Go(func() {
			// A request that ends before the meeting is not waited for.
			defer arrive[n].Do(meeting.Done)
			recorders[n].exchange(handler, r)
		})
	}
	wg.Wait()
	for n, rec := range recorders {
		want := fmt.Sprintf("user-%d user-%d", n, n)
		if got := string(rec.body()); rec.status() != 200 || got != want {
			tb.Fatalf("request %d of %d: status %d, the handler saw %q, want %q", n, requests, rec.status(), got, want)
		}
	}
}

func handlerError(tb testing.TB, mount mountFunc) {
	tb.Helper()
	want := errors.New("the orders cannot be read")
	p := newProbe(tb, mount, App{
		Handler: func(*bearer.Claims, bool, http.ResponseWriter, *http.Request) error { return want },
	})
	v := p.do(http.MethodGet, p.bearer())
	if !slices.Equal(v.calls, []string{"before", "after", "handler", "error"}) || !errors.Is(v.errs[0], want) {
		tb.Errorf("the calls are %q with the errors %v, want before, after, handler, error with %q", v.calls, v.errs, want)
	}
}

// corsOutside shows that a browser can read a refusal (Fetch section 3.2: also a 401 needs the headers, and a preflight never
// carries a token).
func corsOutside(tb testing.TB, mount mountFunc) {
	tb.Helper()
	const origin = "https://app.test"
	p := newProbe(tb, mount, App{
		Before: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
			if preflight {
				w.WriteHeader(http.StatusNoContent)
			}
			return preflight
		},
	})
	send := func(method, wantedMethod string) *visit {
		r := httptest.NewRequestWithContext(tb.Context(), method, adapterPath, nil)
		r.Header.Set("Origin", origin)
		if wantedMethod != "" {
			r.Header.Set("Access-Control-Request-Method", wantedMethod)
		}
		return p.serve(r)
	}
	for _, c := range []struct {
		name   string
		v      *visit
		status int
	}{
		{"a preflight", send(http.MethodOptions, http.MethodPost), 204},
		{"a request without a token", send(http.MethodPost, ""), 401},
	} {
		c.v.ended(tb, c.name)
		if got := c.v.status(); got != c.status {
			tb.Errorf("%s: status %d, want %d", c.name, got, c.status)
		}
		if got := c.v.header()["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{origin}) {
			tb.Errorf("%s: Access-Control-Allow-Origin is %q, want %q", c.name, got, origin)
		}
	}
}

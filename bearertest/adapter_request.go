package bearertest

import (
	"context"
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

	"github.com/bearer-go/bearer"
)

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

// everyMethod finds adapters and mounts that exempt OPTIONS: a preflight is answered outside the
// guard, never inside it.
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
	// The request with a token comes first: what the framework reuses for the next must not carry its
	// claims over.
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

// wholeRequest finds adapters that take only the context from the request that Authenticate
// returns: a form that was read for its token has a body to be read again.
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

// pathValues finds adapters whose guard decides before it knows the route's parameters, by the
// group's guard and by the route's.
func pathValues(tb testing.TB, mount mountFunc) {
	tb.Helper()
	const parameter = "tenant"
	mine := bearer.Func("tenant", func(r *http.Request, c *bearer.Claims) error {
		if r.PathValue(parameter) != c.ClientID() {
			return errors.New("another tenant")
		}
		return nil
	})
	for _, by := range []struct {
		guard string
		app   App
	}{{"the route's guard", App{Route: []bearer.RouteOption{mine}}}, {"the group's guard", App{Group: []bearer.RouteOption{mine}}}} {
		var seen string
		by.app.Parameter = parameter
		by.app.Handler = func(_ *bearer.Claims, _ bool, w http.ResponseWriter, r *http.Request) error {
			seen = r.PathValue(parameter)
			return done(w)
		}
		p := newProbe(tb, mount, by.app)
		send := func(tenant string) *visit {
			r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, adapterPath+"/"+tenant, nil)
			r.Header.Set("Authorization", p.bearer(Claims{"client_id": "acme"}))
			return p.serve(r)
		}
		// The tenants alternate: what a framework reuses for the next request must not carry over.
		for range 2 {
			send("acme").passed(tb, by.guard+": the tenant of the path")
			if seen != "acme" {
				tb.Errorf("%s: the handler sees the tenant %q, want acme", by.guard, seen)
			}
			other := send("umbrella")
			other.ended(tb, by.guard+": another tenant")
			if other.status() != 403 {
				tb.Errorf("%s: another tenant: status %d, want 403", by.guard, other.status())
			}
		}
	}
}

// parallelRequests has many requests meet between the guard and the handler, so that claims kept
// anywhere but with their request are overwritten before they are read.
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

// corsOutside shows that a browser can read a refusal (Fetch section 3.2: also a 401 needs the
// headers, and a preflight never carries a token).
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

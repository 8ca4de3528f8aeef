package bearer_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// The handler finds the claims in the request that it gets, and not in the request that came in.
func TestHandlerAttachesClaims(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	r := get("Bearer " + issuer.Token(c{"sub": "bob"}))
	_, inner := serve(t, auth, r)
	if inner.claims == nil || inner.claims.Subject() != "bob" {
		t.Errorf("the handler sees %v", inner.claims)
	}
	if _, ok := bearer.FromContext(r.Context()); ok {
		t.Error("the caller's request carries claims")
	}
}

// Require is Handler for chains.
func TestRequireWrapsAHandler(t *testing.T) {
	issuer := bearertest.NewIssuer()
	inner := &spy{}
	h := newAuth(t, issuer).Require(bearer.Scopes("a"))(inner)
	for token, status := range map[string]int{issuer.Token(c{"scope": "a"}): 204, issuer.Token(): 403} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, get("Bearer "+token))
		if w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
	}
}

// OPTIONS is never exempt, nor is any other method.
// Rules: guard.every-method.
func TestNoMethodIsExempt(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	for _, method := range []string{"OPTIONS", "HEAD", "GET", "CONNECT", "TRACE", "", "X"} {
		r := get("")
		r.Method = method
		r.Header.Set("Origin", "https://example.com")
		r.Header.Set("Access-Control-Request-Method", "GET")
		if w, _ := serve(t, auth, r); w.Code != 401 {
			t.Errorf("%q: status %d", method, w.Code)
		}
	}
}

// A second guard of the same Middleware checks only its requirements. A guard of another Middleware
// verifies the token again.
// Rules: guard.nested.
func TestInnerGuardChecksOnlyItsOwnRequirements(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"scope": "a"}))
	var events []bearer.Event
	auth := newAuth(t, issuer, observing(func(e bearer.Event) { events = append(events, e) }))
	other := newAuth(t, bearertest.NewIssuer(bearertest.WithURL("https://other.example")))
	run := func(guards ...func(http.Handler) http.Handler) (int, *spy) {
		events = nil
		inner, w := &spy{}, httptest.NewRecorder()
		var h http.Handler = inner
		for i := len(guards) - 1; i >= 0; i-- {
			h = guards[i](h)
		}
		h.ServeHTTP(w, get("Bearer "+issuer.Token()))
		return w.Code, inner
	}
	forget := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.Header.Del("Authorization")
			next.ServeHTTP(w, r)
		})
	}
	// Without the token in the request, the second guard can only pass by the mark of the first.
	if status, inner := run(auth.Require(), forget, auth.Require(bearer.Scopes("a"))); status != 204 || inner.claims.Subject() != "alice" || len(events) != 1 {
		t.Errorf("status %d, events %v", status, events)
	}
	if status, _ := run(auth.Require(), forget, auth.Require(bearer.Scopes("b"))); status != 403 || len(events) != 2 || events[1].Reason != bearer.ReasonScope || events[1].Issuer != issuer.URL() {
		t.Errorf("status %d, events %v", status, events)
	}
	if status, _ := run(auth.Require(), forget, other.Require()); status != 401 {
		t.Errorf("another Middleware: status %d", status)
	}
	if status, _ := run(auth.Require(bearer.Optional()), auth.Require(bearer.Scopes("b"))); status != 403 {
		t.Errorf("optional outside: status %d", status)
	}
	if status, _ := run(forget, auth.Require(bearer.Optional()), auth.Require()); status != 401 {
		t.Errorf("anonymous outside, a token required inside: status %d", status)
	}
}

// A context can be passed on to another request, such as one of a batch. A request with its own
// credential is verified.
func TestContextOfAnotherRequestDoesNotReplaceACredential(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	outer, err := auth.Guard().Authenticate(inHeader(issuer.Token()))
	if err != nil {
		t.Fatal(err)
	}
	for authorization, want := range map[string]struct {
		status  int
		subject string
	}{
		"Bearer " + issuer.Token(c{"sub": "bob"}): {204, "bob"},
		"Bearer forged": {401, ""},
		"Basic x":       {401, ""},
		"":              {204, "alice"},
	} {
		w, inner := serve(t, auth, get(authorization).WithContext(outer.Context()))
		if w.Code != want.status || inner.ran && inner.claims.Subject() != want.subject {
			t.Errorf("status %d, claims of %v; want %v", w.Code, inner.claims, want)
		}
	}
	twice := get("Bearer x").WithContext(outer.Context())
	twice.Header.Add("Authorization", "Bearer y")
	if w, _ := serve(t, auth, twice); w.Code != 400 {
		t.Errorf("two headers: status %d", w.Code)
	}
}

// A Func gets the request that the handler gets: with a readable form, and a handshake without its
// token.
func TestFuncSeesTheHandlersRequest(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, token := newAuth(t, issuer), issuer.Token()
	tenant := bearer.Func("tenant", func(r *http.Request, _ *bearer.Claims) error {
		if r.PostFormValue("tenant") != "acme" {
			return fmt.Errorf("another tenant")
		}
		return nil
	})
	form := bearer.TokensFrom(bearer.FromForm())
	if w, _ := serve(t, auth, inForm(token+"&tenant=evil"), form, tenant); w.Code != 403 {
		t.Errorf("another tenant: status %d", w.Code)
	}
	w, inner := serve(t, auth, inForm(token+"&tenant=acme"), form, tenant)
	if w.Code != 204 || inner.request.PostFormValue("tenant") != "acme" {
		t.Errorf("status %d, and the handler sees %q", w.Code, inner.request.PostFormValue("tenant"))
	}
	if body, _ := io.ReadAll(inner.request.Body); !strings.HasSuffix(string(body), "&tenant=acme") {
		t.Errorf("the handler reads %q", body)
	}
	stripped := bearer.Func("stripped", func(r *http.Request, _ *bearer.Claims) error {
		if strings.Contains(r.Header.Get("Sec-WebSocket-Protocol"), "authorization") {
			return fmt.Errorf("the token is there")
		}
		return nil
	})
	if w, _ := serve(t, auth, inWebSocket(token), bearer.TokensFrom(bearer.FromWebSocket()), stripped); w.Code != 204 {
		t.Errorf("handshake: status %d", w.Code)
	}
}

// An anonymous request carries no claims, also if its context had some.
func TestAnonymousRequestCarriesNoClaims(t *testing.T) {
	issuer := bearertest.NewIssuer()
	one, other := newAuth(t, issuer), newAuth(t, bearertest.NewIssuer(bearertest.WithURL("https://other.example")))
	claims := verified(t, one, issuer.Token())
	byHand := get("")
	byHand = byHand.WithContext(bearer.NewContext(byHand.Context(), claims))
	byAnother, err := one.Guard().Authenticate(inHeader(issuer.Token()))
	if err != nil {
		t.Fatal(err)
	}
	byAnother.Header.Del("Authorization")
	for _, r := range []*http.Request{byHand, byAnother} {
		if w, inner := serve(t, other, r, bearer.Optional()); w.Code != 204 || inner.claims != nil {
			t.Errorf("status %d with claims %v", w.Code, inner.claims)
		}
	}
}

// Claims put into a context by hand never satisfy a guard.
func TestNewContextIsNoCredential(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	claims := verified(t, auth, issuer.Token())
	r := get("")
	r = r.WithContext(bearer.NewContext(r.Context(), claims))
	if _, ok := bearer.FromContext(r.Context()); !ok {
		t.Error("FromContext does not find what NewContext put there")
	}
	if w, _ := serve(t, auth, r); w.Code != 401 {
		t.Errorf("status %d", w.Code)
	}
	if _, ok := bearer.FromContext(bearer.NewContext(t.Context(), nil)); ok {
		t.Error("nil claims were found")
	}
	// It also takes a guard's mark away, and not only the claims.
	relabel := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(bearer.NewContext(r.Context(), claims))
		r.Header.Del("Authorization")
		auth.Handler(&spy{}).ServeHTTP(w, r)
	})
	w := httptest.NewRecorder()
	auth.Handler(relabel).ServeHTTP(w, get("Bearer "+issuer.Token()))
	if w.Code != 401 {
		t.Errorf("after NewContext inside: status %d", w.Code)
	}
}

// There is one event for each request, and every field is a value that this service knew before.
func TestObserverGetsOneEventPerRequest(t *testing.T) {
	issuer := bearertest.NewIssuer()
	down := bearertest.NewIssuer()
	var events []bearer.Event
	observer := observing(func(e bearer.Event) { events = append(events, e) })
	auth := newAuth(t, issuer, observer)
	down.SetFault(bearertest.Down)
	cold := newAuth(t, down, observer)
	full := bearer.Event{
		Issuer: issuer.URL(), KeyID: issuer.KeyID(), Algorithm: "ES256", Subject: "alice", ClientID: "test-client",
	}
	unread := full // the token is refused before its claims count
	unread.Subject, unread.ClientID = "", ""
	with := func(o bearer.Outcome, reason bearer.Reason, e bearer.Event) bearer.Event {
		e.Outcome, e.Reason = o, reason
		return e
	}
	tests := []struct {
		name string
		auth *bearer.Middleware
		r    *http.Request
		reqs []bearer.RouteOption
		want bearer.Event
	}{
		{"allowed", auth, inHeader(issuer.Token()), nil, with(bearer.OutcomeAllowed, "", full)},
		{"anonymous", auth, get(""), []bearer.RouteOption{bearer.Optional()}, bearer.Event{Outcome: bearer.OutcomeAnonymous}},
		{"no token", auth, get(""), nil, with(bearer.OutcomeRefused, bearer.ReasonMissingToken, bearer.Event{})},
		{"unknown issuer", auth, inHeader(issuer.Token(c{"iss": "evil"})), nil, with(bearer.OutcomeRefused, bearer.ReasonUnknownIssuer, bearer.Event{})},
		{"algorithm not on the list", auth, inHeader(issuer.Sign(c{"alg": "evil"})), nil, with(bearer.OutcomeRefused, bearer.ReasonAlgorithm, bearer.Event{Issuer: issuer.URL()})},
		{"unknown key", auth, inHeader(issuer.Sign(c{"kid": "evil"})), nil, with(bearer.OutcomeRefused, bearer.ReasonUnknownKey, bearer.Event{Issuer: issuer.URL(), Algorithm: "ES256"})},
		{"bad signature", auth, inHeader(edit(issuer.Token(), 2, func(s string) string { return "AAAA" + s[4:] })), nil, with(bearer.OutcomeRefused, bearer.ReasonSignature, bearer.Event{Issuer: issuer.URL(), Algorithm: "ES256"})},
		{"expired", auth, inHeader(issuer.Token(c{"exp": 1})), nil, with(bearer.OutcomeRefused, bearer.ReasonExpired, unread)},
		{"scope", auth, inHeader(issuer.Token()), []bearer.RouteOption{bearer.Scopes("x")}, with(bearer.OutcomeRefused, bearer.ReasonScope, full)},
		{"issuer down", cold, inHeader(down.Token()), nil, with(bearer.OutcomeUnavailable, bearer.ReasonKeysUnavailable, bearer.Event{Issuer: down.URL(), Algorithm: "ES256"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			events = nil
			serve(t, tt.auth, tt.r, tt.reqs...)
			if len(events) != 1 {
				t.Fatalf("events %v", events)
			}
			if events[0].Duration <= 0 {
				t.Errorf("duration %v", events[0].Duration)
			}
			events[0].Duration = 0
			events[0].Cause = nil // see TestObserverGetsTheCause
			if events[0] != tt.want {
				t.Errorf("event %+v, want %+v", events[0], tt.want)
			}
		})
	}
	events = nil
	if _, err := auth.Guard().Verify(t.Context(), issuer.Token()); err != nil || len(events) != 1 || events[0].Outcome != bearer.OutcomeAllowed {
		t.Errorf("Verify: %v, events %v", err, events)
	}
}

// Refusals are logged with the reason and the cause, and without anything of the token.
// Rules: guard.quiet-log.
func TestLogCarriesNothingOfTheToken(t *testing.T) {
	issuer := bearertest.NewIssuer()
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	auth := newAuth(t, issuer, bearer.WithLogger(logger), bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromQuery(), bearer.FromForm()))
	canary := c{"sub": "canary", "scope": "canary", "jti": "canary", "x": "canary"}
	refused := func(r *http.Request, reqs ...bearer.RouteOption) {
		t.Helper()
		log.Reset()
		serve(t, auth, r, reqs...)
		if !strings.Contains(log.String(), "reason=") {
			t.Errorf("log %s", &log)
		}
		if strings.Contains(strings.ToLower(log.String()), "canary") {
			t.Errorf("log %s", &log)
		}
	}
	refused(inHeader(issuer.Sign(nil, canary, c{"iss": "canary"})))
	refused(inHeader(issuer.Sign(c{"alg": "canary"}, canary)))
	refused(inHeader(issuer.Sign(c{"typ": "canary"}, canary)))
	refused(inHeader(issuer.Sign(c{"kid": "canary"}, canary)))
	refused(inHeader(issuer.Sign(nil, canary, c{"aud": "another"}))) // the cause may name it: it is signed
	refused(inHeader(issuer.Sign(nil, canary, c{"exp": "canary"})))
	refused(inHeader(issuer.Sign(nil, canary)), bearer.Scopes("x"))
	refused(inHeader("canary"))
	refused(get("Canary canary"))
	refused(httptest.NewRequest("GET", "/?access_token=canary%zz", nil))
	form := inForm("canary%zz")
	refused(form)

	cause := fmt.Errorf("tenant acme is locked")
	log.Reset()
	serve(t, auth, inHeader(issuer.Token()), bearer.Func("tenant", func(*http.Request, *bearer.Claims) error { return cause }))
	if !strings.Contains(log.String(), cause.Error()) || !strings.Contains(log.String(), `\"tenant\"`) {
		t.Errorf("the operator does not see the cause: %s", &log)
	}
}

// New fetches nothing, the first request fetches, and many requests at once fetch once. No request
// gets the claims of another.
func TestParallelFirstRequestsShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := newAuth(t, issuer)
		if issuer.Requests() != 0 {
			t.Fatal("New made a request")
		}
		var wg sync.WaitGroup
		for i := range 100 {
			subject := fmt.Sprint("user-", i)
			wg.Go(func() {
				w, inner := serve(t, auth, inHeader(issuer.Token(c{"sub": subject})))
				if w.Code != 204 || inner.claims.Subject() != subject {
					t.Errorf("%s: status %d, claims of %v", subject, w.Code, inner.claims.Subject())
				}
			})
		}
		wg.Wait()
		if issuer.Fetches() != 1 {
			t.Errorf("%d fetches", issuer.Fetches())
		}
	})
}

// An issuer's outage is 503 with the time to the next attempt, and never 401. The service recovers
// with the issuer.
// Rules: key.available.
func TestIssuerOutageIsAnsweredWith503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := newAuth(t, issuer)
		issuer.SetFault(bearertest.Down)
		for range 3 {
			w, _ := serve(t, auth, inHeader(issuer.Token()))
			checkProblem(t, w, 503, "keys_unavailable")
			if retry := w.Header().Get("Retry-After"); retry < "1" || retry > "4" {
				t.Errorf("Retry-After %q", retry)
			}
		}
		if err := readyWithin(t, auth, time.Second); err == nil {
			t.Error("ready without keys")
		}
		issuer.SetFault(bearertest.NoFault)
		if err := readyWithin(t, auth, 5*time.Second); err != nil {
			t.Errorf("not ready one backoff step after the issuer's return: %v", err)
		}
		if w, _ := serve(t, auth, inHeader(issuer.Token())); w.Code != 204 {
			t.Errorf("status %d", w.Code)
		}
	})
}

func readyWithin(t *testing.T, auth *bearer.Middleware, d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return auth.Ready(ctx)
}

// Ready starts the fetches of all issuers at once: an issuer that is down does not delay the
// others.
func TestReadyAsksEveryIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := bearertest.NewIssuer(bearertest.WithURL("https://one.example"))
		two := bearertest.NewIssuer(bearertest.WithURL("https://two.example"))
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "one.example" {
				return one.Client().Transport.RoundTrip(r)
			}
			return two.Client().Transport.RoundTrip(r)
		})}
		auth := mustNew(t, bearer.WithIssuer(one.URL(), "a"), bearer.WithIssuer(two.URL(), "a"), bearer.WithHTTPClient(client))
		one.SetFault(bearertest.Down)
		err := readyWithin(t, auth, 2*time.Second)
		if err == nil || !strings.Contains(err.Error(), `issuer "https://one.example"`) || strings.Contains(err.Error(), "two.example") || two.Fetches() != 1 {
			t.Errorf("error %v; the other issuer was asked %d times", err, two.Fetches())
		}
		one.SetFault(bearertest.NoFault)
		if err := readyWithin(t, auth, 5*time.Second); err != nil {
			t.Error(err)
		}
	})
}

// After Close every answer is 503, also for a request whose token would be good, and also on an optional route.
// Rules: guard.closed.
func TestClosedMiddlewareLetsNothingPass(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	good := inHeader(issuer.Token())
	authenticated, err := auth.Guard().Authenticate(good)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := auth.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*http.Request{good, authenticated, get(""), get("Basic x")} {
		w, _ := serve(t, auth, r, bearer.Optional())
		checkProblem(t, w, 503, "closed")
	}
	wantReason(t, auth, issuer.Token(), bearer.ReasonClosed)
	if err := auth.Ready(t.Context()); reasonOf(t, err) != bearer.ReasonClosed {
		t.Errorf("Ready: %v", err)
	}
}

// Verify has no request: an empty token is none, and Optional does not let it pass.
func TestVerifyRefusesAnEmptyToken(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	wantReason(t, auth, "", bearer.ReasonMissingToken)
	wantReason(t, auth, "", bearer.ReasonMissingToken, bearer.Optional())
}

// The guard does not hide a panic of the handler.
func TestPanicPassesThrough(t *testing.T) {
	issuer := bearertest.NewIssuer()
	h := newAuth(t, issuer).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer func() {
		if r := recover(); r != http.ErrAbortHandler {
			t.Errorf("recovered %v", r)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), inHeader(issuer.Token()))
}

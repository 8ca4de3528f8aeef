package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// audienceOfHost is the function that the documentation recommends: it looks the host up.
func audienceOfHost(r *http.Request) string {
	return map[string]string{"one.example": "tenant-one", "two.example": "tenant-two"}[r.Host]
}

// trustByHost trusts the issuer's tokens for the audience that f knows.
func trustByHost(issuer *bearertest.Issuer, f func(*http.Request) string, opts ...bearer.IssuerOption) bearer.Option {
	opts = append(opts, bearer.AudienceFunc(f), bearer.Keys(jwks.Static(issuer.KeySet())))
	return bearer.WithIssuer(issuer.URL(), "", opts...)
}

// toHost is a request to a host.
func toHost(host, token string) *http.Request {
	r := get("Bearer " + token)
	r.Host = host
	return r
}

// Each request has its audience: cached or not, on every route, and on each pass of a nested guard.
// Rules: claims.aud-request.
func TestAudienceFuncDecidesOnEveryRequest(t *testing.T) {
	issuer := bearertest.NewIssuer()
	one, two := issuer.Token(c{"aud": "tenant-one"}), issuer.Token(c{"aud": []string{"tenant-two", "other"}})
	both, none := issuer.Token(c{"aud": []string{"tenant-one", "tenant-two"}}), issuer.Token(c{"aud": nil})
	for how, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
		t.Run(how, func(t *testing.T) {
			calls := 0
			var last bearer.Event
			auth := mustNew(t, cache, seen(&last), trustByHost(issuer, func(r *http.Request) string { calls++; return audienceOfHost(r) }))
			routes := []*bearer.Guard{auth.Guard(), auth.Guard(bearer.Optional()), auth.Guard(bearer.HasClaim("sub", "alice"))}
			for range 2 {
				for _, test := range []struct {
					host, token string
					passes      bool
				}{
					{"one.example", one, true},
					{"two.example", one, false},
					{"two.example", two, true},
					{"one.example", two, false},
					{"one.example", both, true},
					{"two.example", both, true},
					{"one.example", none, false},
					{"other.example", one, false},
					{"other.example", both, false},
					{"", both, false},
					{"ONE.example", one, false},
				} {
					for _, guard := range routes {
						calls = 0
						passed, err := guard.Authenticate(toHost(test.host, test.token))
						if (err == nil) != test.passes || err != nil && reasonOf(t, err) != bearer.ReasonAudience || calls != 1 {
							t.Errorf("%s: %v after %d calls", test.host, err, calls)
						}
						if err != nil {
							if causeOf(err) == "" || last.Issuer != issuer.URL() {
								t.Errorf("cause %q, event %+v", causeOf(err), last)
							}
							continue
						}
						calls = 0
						if _, err := routes[0].Authenticate(passed); err != nil || calls != 1 {
							t.Errorf("an inner guard: %v after %d calls", err, calls)
						}
						passed.Host = "other.example"
						if _, err := routes[0].Authenticate(passed); reasonOf(t, err) != bearer.ReasonAudience {
							t.Errorf("an inner guard, and another host: %v", err)
						}
					}
				}
			}
		})
	}
}

// Without a request, and for one without an audience, no token passes.
// Rules: claims.aud-request.
func TestAudienceFuncWithoutAnAudienceRefuses(t *testing.T) {
	issuer := bearertest.NewIssuer()
	calls := 0
	auth := mustNew(t, trustByHost(issuer, func(r *http.Request) string { calls++; return audienceOfHost(r) }))
	for _, token := range []string{issuer.Token(c{"aud": "tenant-one"}), issuer.Token(c{"aud": ""}), issuer.Token(c{"aud": []string{""}})} {
		for range 2 {
			_, err := auth.Guard().Verify(t.Context(), token)
			if reasonOf(t, err) != bearer.ReasonAudience || !strings.Contains(causeOf(err), "Verify has no request") {
				t.Errorf("Verify: %v, cause %q", err, causeOf(err))
			}
		}
	}
	if calls != 0 {
		t.Error("the function was called without a request")
	}
	for _, token := range []string{issuer.Token(c{"aud": ""}), issuer.Token(c{"aud": []string{"", "tenant-one"}})} {
		_, err := auth.Guard().Authenticate(toHost("other.example", token))
		if reasonOf(t, err) != bearer.ReasonAudience || !strings.Contains(causeOf(err), "knows no audience") {
			t.Errorf("an empty audience: %v, cause %q", err, causeOf(err))
		}
	}
}

// The cause names what the issuer signed, cut and quoted, and nothing of the request.
func TestCauseOfAnAudienceOfARequest(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := mustNew(t, trustByHost(issuer, func(r *http.Request) string { return r.Host }))
	for audience, want := range map[string]string{
		"other":                      `the token is for "other"`,
		strings.Repeat("\x01", 1024): strings.Repeat(`\x01`, 16) + `"...`,
	} {
		_, err := auth.Guard().Authenticate(toHost("canary.example", issuer.Token(c{"aud": audience})))
		if got := causeOf(err); !strings.Contains(got, want) || strings.Contains(got, "canary") || len(got) > 500 {
			t.Errorf("cause %q, want %q", got, want)
		}
	}
	_, err := auth.Guard().Authenticate(toHost("canary.example", issuer.Token(c{"aud": nil})))
	if !strings.Contains(causeOf(err), "for nothing") {
		t.Errorf("cause %q", causeOf(err))
	}
}

// An aud beside another audience claim must name the request's audience, too (RFC 7519 section
// 4.1.3).
// Rules: claims.aud-request.
func TestAudienceFuncWithAnotherClaim(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := mustNew(t, trustByHost(issuer, audienceOfHost, bearer.AudienceClaim("client_id")))
	for range 2 { // the second time from the cache
		for _, test := range []struct {
			claims c
			cause  string // of the refusal, or ""
		}{
			{c{"client_id": "tenant-one", "aud": nil}, ""},
			{c{"client_id": "tenant-two", "aud": nil}, `for "tenant-two", and`},
			{c{"client_id": "tenant-one", "aud": "tenant-one"}, ""},
			{c{"client_id": "tenant-one", "aud": "tenant-two"}, `for "tenant-two", and`},
			{c{"client_id": "tenant-one", "aud": []string{"x", "y"}}, `for "x", "y", and`},
			{c{"client_id": "tenant-one", "aud": []string{"x", "tenant-one"}}, ""},
			{c{"client_id": "x", "aud": "tenant-one"}, `for "x", and`},
		} {
			_, err := auth.Guard().Authenticate(toHost("one.example", issuer.Token(test.claims, c{"jti": "1"})))
			if (err == nil) != (test.cause == "") ||
				err != nil && (reasonOf(t, err) != bearer.ReasonAudience || !strings.Contains(causeOf(err), test.cause)) {
				t.Errorf("%v: %v, cause %q", test.claims, err, causeOf(err))
			}
		}
	}
}

// A token that fails another check is refused without a call, and one of another issuer has that
// issuer's audience.
// Rules: claims.aud-request.
func TestAudienceFuncIsAskedAboutVerifiedTokensAlone(t *testing.T) {
	issuer, other := bearertest.NewIssuer(bearertest.WithURL("https://by-host.test")), bearertest.NewIssuer()
	calls := 0
	auth := newAuth(t, other, trustByHost(issuer, func(*http.Request) string { calls++; return "tenant-one" }))
	for token, want := range map[string]bearer.Reason{
		forged(issuer.Token(c{"aud": "tenant-one"})):        bearer.ReasonSignature,
		issuer.Token(c{"aud": "tenant-one", "exp": 1}):      bearer.ReasonExpired,
		issuer.Token(c{"aud": "tenant-one", "cnf": c{}}):    bearer.ReasonSenderConstrained,
		other.Token(c{"aud": "tenant-one"}):                 bearer.ReasonAudience,
		other.Token():                                       "",
		issuer.Token(c{"aud": "tenant-one", "events": c{}}): "",
	} {
		_, err := auth.Guard().Authenticate(get("Bearer " + token))
		if got := reasonOf(t, err); got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls, want that for the good token", calls)
	}
}

// A function that panics lets nothing pass.
// Rules: claims.aud-request.
func TestAudienceFuncThatPanicsOpensNothing(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := mustNew(t, trustByHost(issuer, func(*http.Request) string { panic("canary") }))
	token := issuer.Token(c{"aud": "tenant-one"})
	for range 2 {
		inner, value := &spy{}, any(nil)
		func() {
			defer func() { value = recover() }()
			auth.Handler(inner).ServeHTTP(httptest.NewRecorder(), get("Bearer "+token))
		}()
		if inner.ran || value == nil {
			t.Errorf("the handler ran: %v, panic %v", inner.ran, value)
		}
	}
}

// The function, the template and the route decide together, each on every request.
// Rules: claims.aud-request, issuer.template-accept.
func TestAudienceFuncOfATemplate(t *testing.T) {
	issuer := bearertest.NewIssuer()
	verdict := error(nil)
	auth := mustNew(t, bearer.WithIssuer(tenants, "", bearer.AudienceFunc(audienceOfHost), bearer.Keys(jwks.Static(issuer.KeySet())),
		bearer.IssuerTemplate("tid", func(context.Context, string) error { return verdict })))
	token := ofTenant(issuer, "acme", c{"aud": "tenant-one"})
	for range 2 {
		for _, test := range []struct {
			host    string
			verdict error
			want    bearer.Reason
		}{
			{"one.example", nil, ""},
			{"two.example", nil, bearer.ReasonAudience},
			{"one.example", errors.New("no"), bearer.ReasonUnknownIssuer},
			{"two.example", errors.New("no"), bearer.ReasonAudience},
		} {
			verdict = test.verdict
			_, err := auth.Guard().Authenticate(toHost(test.host, token))
			if got := reasonOf(t, err); got != test.want {
				t.Errorf("%s, %v: reason %q, want %q", test.host, test.verdict, got, test.want)
			}
		}
	}
}

func TestMistakesInAudienceFunc(t *testing.T) {
	one := bearer.AudienceFunc(audienceOfHost)
	for name, test := range map[string]struct {
		audience string
		opts     []bearer.IssuerOption
		text     string
	}{
		"nil":           {"", []bearer.IssuerOption{bearer.AudienceFunc(nil)}, "give a function"},
		"twice":         {"", []bearer.IssuerOption{one, one}, "set more than once"},
		"an audience":   {"api", []bearer.IssuerOption{one}, "an audience is given as well"},
		"audiences":     {"", []bearer.IssuerOption{one, bearer.Audiences("api")}, "an audience is given as well"},
		"any audience":  {"", []bearer.IssuerOption{one, bearer.InsecureAnyAudience()}, "contradicts InsecureAnyAudience"},
		"no audiences":  {"", []bearer.IssuerOption{one, bearer.Audiences()}, "an audience is given as well"},
		"nil, audience": {"api", []bearer.IssuerOption{bearer.AudienceFunc(nil)}, "an audience is given as well"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bearer.New(bearer.WithIssuer(iss, test.audience, test.opts...))
			wantProblem(t, err, "AudienceFunc", test.text)
		})
	}
}

// Neither a function of the request nor a template costs a known token an allocation.
func TestLiveChecksAllocateNothing(t *testing.T) {
	if raceDetector() {
		t.Skip("the race detector changes what pools keep")
	}
	issuer := bearertest.NewIssuer()
	plain := pinned(t, issuer)
	want, _ := allocations(authenticating(t, plain, get("Bearer "+issuer.Token()), ""))
	auth := mustNew(t, bearer.WithIssuer(tenants, "", bearer.Keys(jwks.Static(issuer.KeySet())), bearer.IssuerTemplate("tid", acceptAll),
		bearer.AudienceFunc(func(*http.Request) string { return "tenant-one" })))
	token := ofTenant(issuer, "acme", c{"aud": "tenant-one"})
	if got, _ := allocations(authenticating(t, auth, get("Bearer "+token), "")); got != want {
		t.Errorf("%v allocations, want %v", got, want)
	}
	unknown := get("Bearer " + issuer.Token(c{"iss": issuer.URL() + "/"}))
	want, _ = allocations(authenticating(t, plain, get("Bearer "+issuer.Token(c{"iss": "https://other.test"})), bearer.ReasonUnknownIssuer))
	if got, _ := allocations(authenticating(t, plain, unknown, bearer.ReasonUnknownIssuer)); got != want {
		t.Errorf("a cause costs %v allocations, want %v", got, want)
	}
}

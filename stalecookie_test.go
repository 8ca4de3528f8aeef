package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// A stale cookie counts as anonymous on a route that says so, and nothing else does.
// Rules: request.stale-cookie.
func TestStaleCookieIsAnonymousWhereTheRouteSaysSo(t *testing.T) {
	t.Parallel()
	issuer, down := bearertest.NewIssuer(), bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	stranger := bearertest.NewIssuer(bearertest.WithURL("https://stranger.example"))
	var event bearer.Event
	observe := observing(func(e bearer.Event) { event = e })
	auth := newAuth(t, issuer, quiet(), observe, bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie(), bearer.FromQuery()))
	unavailable := newAuth(t, down, quiet(), observe, bearer.WithTokensFrom(bearer.FromCookie()))
	token, expired := issuer.Token(), issuer.Token(c{"exp": 1})
	stale := []bearer.RouteOption{bearer.Optional(), bearer.StaleCookieIsAnonymous()}
	unsure := bearer.Func("unsure", func(*http.Request, *bearer.Claims) error { return bearer.ErrUnavailable })
	beside := func(r *http.Request, authorization string) *http.Request {
		r.Header.Set("Authorization", authorization)
		return r
	}
	query := func(r *http.Request, token string) *http.Request {
		r.URL.RawQuery = "access_token=" + token
		return r
	}
	const anonymous = "anonymous"
	for name, test := range map[string]struct {
		auth *bearer.Middleware
		opts []bearer.RouteOption
		r    *http.Request
		want bearer.Reason // of a refusal, or
		as   string        // whose token was ignored with this reason
		why  bearer.Reason
	}{
		"an expired one":                 {auth, stale, inCookie(expired), "", anonymous, bearer.ReasonExpired},
		"a forged one":                   {auth, stale, inCookie(forged(token)), "", anonymous, bearer.ReasonSignature},
		"no token":                       {auth, stale, inCookie("x"), "", anonymous, bearer.ReasonMalformedToken},
		"a large one":                    {auth, stale, inCookie(strings.Repeat("x", 17<<10)), "", anonymous, bearer.ReasonTokenTooLarge},
		"of another issuer":              {auth, stale, inCookie(stranger.Token()), "", anonymous, bearer.ReasonUnknownIssuer},
		"for another audience":           {auth, stale, inCookie(issuer.Token(c{"aud": "other"})), "", anonymous, bearer.ReasonAudience},
		"none":                           {auth, stale, get(""), "", anonymous, ""},
		"an empty one":                   {auth, stale, inCookie(""), "", anonymous, ""},
		"a good one":                     {auth, stale, inCookie(token), "", "alice", ""},
		"two":                            {auth, stale, fields("Cookie", "access_token="+expired+"; access_token="+expired), bearer.ReasonMultipleTokens, "", ""},
		"an unreadable one":              {auth, stale, fields("Cookie", `access_token=a\b`), bearer.ReasonMalformedRequest, "", ""},
		"beside Basic":                   {auth, stale, beside(inCookie(expired), "Basic YTpi"), bearer.ReasonExpired, "", ""},
		"beside an empty header":         {auth, stale, beside(inCookie(expired), ""), bearer.ReasonMalformedRequest, "", ""},
		"beside a good token":            {auth, stale, beside(inCookie(expired), "Bearer "+token), bearer.ReasonMultipleTokens, "", ""},
		"in the header":                  {auth, stale, inHeader(expired), bearer.ReasonExpired, "", ""},
		"in the query":                   {auth, stale, query(get(""), expired), bearer.ReasonExpired, "", ""},
		"the issuer is down":             {unavailable, stale, inCookie(down.Token()), bearer.ReasonKeysUnavailable, "", ""},
		"without the option":             {auth, []bearer.RouteOption{bearer.Optional()}, inCookie(expired), bearer.ReasonExpired, "", ""},
		"a requirement":                  {auth, append(stale[:2:2], bearer.Scopes("a")), inCookie(expired), bearer.ReasonExpired, "", ""},
		"a requirement of a good one":    {auth, append(stale[:2:2], bearer.Scopes("a")), inCookie(token), bearer.ReasonScope, "", ""},
		"a requirement that is unsure":   {auth, append(stale[:2:2], unsure), inCookie(token), bearer.ReasonPolicyUnavailable, "", ""},
		"first of two places":            {auth, append(stale[:2:2], bearer.TokensFrom(bearer.FirstOf(bearer.FromCookie(), bearer.FromHeader()))), inCookie(expired), "", anonymous, bearer.ReasonExpired},
		"first of two, with the second":  {auth, append(stale[:2:2], bearer.TokensFrom(bearer.FirstOf(bearer.FromCookie(), bearer.FromHeader()))), beside(inCookie(expired), "Bearer "+token), bearer.ReasonExpired, "", ""},
		"second of two, the first stale": {auth, append(stale[:2:2], bearer.TokensFrom(bearer.FirstOf(bearer.FromHeader(), bearer.FromCookie()))), beside(inCookie(token), "Bearer "+expired), bearer.ReasonExpired, "", ""},
	} {
		event = bearer.Event{}
		passed, err := test.auth.Guard(test.opts...).Authenticate(test.r)
		if got := reasonOf(t, err); got != test.want {
			t.Errorf("%s: reason %q, want %q", name, got, test.want)
			continue
		}
		if err != nil {
			continue
		}
		claims, ok := bearer.FromContext(passed.Context())
		_, token := bearer.TokenFromContext(passed.Context())
		if known := test.as != anonymous; ok != known || token != known || known && claims.Subject() != test.as {
			t.Errorf("%s: the handler sees %v and a token: %v", name, claims, token)
		}
		outcome := bearer.OutcomeAllowed
		if test.as == anonymous {
			outcome = bearer.OutcomeAnonymous
		}
		if event.Outcome != outcome || event.Reason != test.why {
			t.Errorf("%s: the event is %+v, want %s with the reason %q", name, event, outcome, test.why)
		}
	}
	_ = auth.Close()
	if _, err := auth.Guard(stale...).Authenticate(inCookie(expired)); reasonOf(t, err) != bearer.ReasonClosed {
		t.Errorf("closed: %v", err)
	}
}

// A cookie that becomes stale between two guards is judged as it is by one, cached or not.
// Rules: request.stale-cookie, guard.nested.
func TestCookieThatBecomesStaleBetweenGuards(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				var events []bearer.Event
				auth := newAuth(t, issuer, quiet(), cache, bearer.WithTokensFrom(bearer.FromCookie()),
					observing(func(e bearer.Event) { events = append(events, e) }))
				verified, err := auth.Guard().Authenticate(inCookie(issuer.Token(c{"exp": time.Now().Add(time.Minute).Unix()})))
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(2 * time.Minute)
				stale := auth.Guard(bearer.Optional(), bearer.StaleCookieIsAnonymous())
				passed, err := stale.Authenticate(verified)
				if err != nil {
					t.Fatal(err)
				}
				if _, found := bearer.FromContext(passed.Context()); found {
					t.Error("the handler sees claims")
				}
				if n := len(events); n != 2 || events[1].Outcome != bearer.OutcomeAnonymous || events[1].Reason != bearer.ReasonExpired {
					t.Errorf("the events are %+v", events)
				}
				for what, guard := range map[string]*bearer.Guard{"strict": auth.Guard(), "optional": auth.Guard(bearer.Optional())} {
					for _, r := range []*http.Request{verified, passed} {
						if _, err := guard.Authenticate(r); reasonOf(t, err) != bearer.ReasonExpired {
							t.Errorf("%s: %v", what, err)
						}
					}
				}
			})
		})
	}
}

// The option is for routes that let requests without a token pass, and take tokens from cookies.
// Rules: request.stale-cookie, config.all-mistakes.
func TestMistakesWithStaleCookieIsAnonymous(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	plain, cookies := newAuth(t, issuer), newAuth(t, issuer, bearer.WithTokensFrom(bearer.FirstOf(bearer.FromCookie(), bearer.FromHeader())))
	stale, optional := bearer.StaleCookieIsAnonymous(), bearer.Optional()
	for name, test := range map[string]struct {
		auth  *bearer.Middleware
		opts  []bearer.RouteOption
		wants []string
	}{
		"alone":               {plain, []bearer.RouteOption{stale}, []string{"needs Optional", "needs FromCookie"}},
		"no cookie":           {plain, []bearer.RouteOption{stale, optional}, []string{"needs FromCookie"}},
		"not optional":        {cookies, []bearer.RouteOption{stale}, []string{"needs Optional"}},
		"no cookie there":     {cookies, []bearer.RouteOption{stale, optional, bearer.TokensFrom(bearer.FromQuery())}, []string{"needs FromCookie"}},
		"another mistake":     {plain, []bearer.RouteOption{stale, bearer.TokensFrom(bearer.FromCookie(), bearer.FromQuery(""))}, []string{"needs Optional", "not empty"}},
		"sound":               {cookies, []bearer.RouteOption{stale, optional}, nil},
		"sound, of the route": {plain, []bearer.RouteOption{optional, bearer.TokensFrom(bearer.FromCookie("a")), stale}, nil},
	} {
		_, err := test.auth.NewGuard(test.opts...)
		if (err == nil) != (test.wants == nil) || err != nil && strings.Count(err.Error(), "bearer:") != len(test.wants) {
			t.Errorf("%s: %v, want %q", name, err, test.wants)
		}
		for _, want := range test.wants {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// What the application decides on a request counts like the rest: a cookie of another tenant, on the
// domain that tenants share, is no credential here.
// Rules: request.stale-cookie.
func TestStaleCookieOfAnotherTenantIsAnonymous(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	var event bearer.Event
	answer := error(nil)
	auth := mustNew(t, quiet(), bearer.WithTokensFrom(bearer.FromCookie()),
		observing(func(e bearer.Event) { event = e }),
		bearer.WithIssuer(issuer.URL(), "", bearer.Keys(jwks.Static(issuer.KeySet())),
			bearer.AudienceFunc(func(r *http.Request) string { return r.Host })),
		bearer.WithIssuer("https://login.test/{tenant}", "api", bearer.Keys(jwks.Static(issuer.KeySet())),
			bearer.IssuerTemplate("tid", func(context.Context, string) error { return answer })))
	to := func(host, token string) *http.Request {
		r := inCookie(token)
		r.Host = host
		return r
	}
	stale := []bearer.RouteOption{bearer.Optional(), bearer.StaleCookieIsAnonymous()}
	one := issuer.Token(c{"aud": "one.example"})
	tenant := issuer.Token(c{"iss": "https://login.test/acme", "tid": "acme", "aud": "api"})
	for _, test := range []struct {
		name    string
		r       *http.Request
		answer  error
		code    int
		outcome bearer.Outcome
		reason  bearer.Reason
	}{
		{"its own tenant", to("one.example", one), nil, 204, bearer.OutcomeAllowed, ""},
		{"another tenant", to("two.example", one), nil, 204, bearer.OutcomeAnonymous, bearer.ReasonAudience},
		{"a trusted value", to("any", tenant), nil, 204, bearer.OutcomeAllowed, ""},
		{"a value that is refused", to("any", tenant), errors.New("no"), 204, bearer.OutcomeAnonymous, bearer.ReasonUnknownIssuer},
		{"a value that is not known now", to("any", tenant), bearer.ErrUnavailable, 503, bearer.OutcomeUnavailable, bearer.ReasonPolicyUnavailable},
	} {
		answer = test.answer
		w, inner := serve(t, auth, test.r, stale...)
		if w.Code != test.code || event.Outcome != test.outcome || event.Reason != test.reason {
			t.Errorf("%s: status %d, event %+v", test.name, w.Code, event)
		}
		if anonymous := inner.claims == nil; test.code == 204 && anonymous != (test.outcome == bearer.OutcomeAnonymous) {
			t.Errorf("%s: claims %v", test.name, inner.claims)
		}
		if test.outcome == bearer.OutcomeAnonymous && event.Subject != "" {
			t.Errorf("%s: the event has the subject %q", test.name, event.Subject)
		}
	}
}

// A stale cookie is no reason to overlook another credential, in whatever place.
// Rules: request.stale-cookie.
func TestStaleCookieBesideAnotherCredentialIsRefused(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	first := bearer.FirstOf(bearer.FromCookie(), bearer.FromHeader("X-Token"), bearer.FromQuery("t"), bearer.FromWebSocket(), bearer.FromForm())
	auth := newAuth(t, issuer, quiet(), bearer.WithTokensFrom(first))
	stale := []bearer.RouteOption{bearer.Optional(), bearer.StaleCookieIsAnonymous()}
	expired, good := issuer.Token(c{"exp": 1}), issuer.Token()
	for name, change := range map[string]func(*http.Request){
		"a header":  func(r *http.Request) { r.Header.Set("X-Token", good) },
		"the query": func(r *http.Request) { r.URL.RawQuery = "t=" + good },
		"a form": func(r *http.Request) {
			r.Method = "POST"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		},
		"a handshake": func(r *http.Request) {
			r.Header.Set("Sec-WebSocket-Protocol", "chat, base64url.bearer.authorization."+b64(good))
		},
	} {
		r := inCookie(expired)
		change(r)
		if w, _ := serve(t, auth, r, stale...); w.Code != 401 {
			t.Errorf("beside %s: status %d", name, w.Code)
		}
	}
	if w, inner := serve(t, auth, inCookie(expired), stale...); w.Code != 204 || inner.claims != nil {
		t.Errorf("alone: status %d", w.Code)
	}
}

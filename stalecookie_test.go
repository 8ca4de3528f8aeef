package bearer_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// A stale cookie counts as anonymous on a route that says so, and nothing else does.
// Rules: request.stale-cookie.
func TestStaleCookieIsAnonymousWhereTheRouteSaysSo(t *testing.T) {
	t.Parallel()
	issuer, down := bearertest.NewIssuer(), bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	stranger := bearertest.NewIssuer(bearertest.WithURL("https://stranger.example"))
	var event bearer.Event
	observe := bearer.WithObserver(func(_ context.Context, e bearer.Event) { event = e })
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
					bearer.WithObserver(func(_ context.Context, e bearer.Event) { events = append(events, e) }))
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

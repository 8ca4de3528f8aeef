package bearer_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// Authenticate: a request made with the context of a verified one counts as verified, unless it has
// another Authorization header than the verified one. The observer gets no event for a request that
// counts as verified, so the events show which ones do.
// Rules: guard.nested.
func TestRequestCountsAsVerifiedOnlyWithItsCredential(t *testing.T) {
	issuer := bearertest.NewIssuer()
	events := 0
	auth := newAuth(
		t, issuer, bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie()),
		observing(func(bearer.Event) { events++ }),
	)
	stranger := newAuth(t, issuer)
	token, another := issuer.Token(c{"sub": "alice"}), issuer.Token(c{"sub": "bob"})
	expired := issuer.Token(c{"exp": 1})

	verified := func(auth *bearer.Middleware, change func(*http.Request), reqs ...bearer.RouteOption) context.Context {
		r := get("")
		change(r)
		r, err := auth.Guard(reqs...).Authenticate(r)
		if err != nil {
			t.Fatal(err)
		}
		return r.Context()
	}
	lines := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	cookie := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "access_token", Value: value}) }
	}
	both := func(changes ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, change := range changes {
				change(r)
			}
		}
	}
	none := func(*http.Request) {}
	header := verified(auth, lines("Bearer "+token))
	byCookie := verified(auth, cookie(token))
	basic := lines("Basic " + forged(token) + "=") // as long as the usual spelling of the token
	besideBasic := verified(auth, both(basic, cookie(token)))
	foreign := verified(stranger, lines("Bearer "+token))
	anonymous := verified(auth, none, bearer.Optional())
	claims, _ := bearer.FromContext(header)
	given := bearer.NewContext(context.Background(), claims)
	replaced := bearer.NewContext(header, claims)

	for name, test := range map[string]struct {
		context context.Context
		change  func(*http.Request)
		covered bool
		want    bearer.Reason
		subject string
	}{
		"the same header":                {header, lines("Bearer " + token), true, "", "alice"},
		"no header":                      {header, none, true, "", "alice"},
		"the scheme in another case":     {header, lines("bEARER " + token), true, "", "alice"},
		"another token":                  {header, lines("Bearer " + another), false, "", "bob"},
		"a bad token":                    {header, lines("Bearer " + expired), false, bearer.ReasonExpired, ""},
		"a forged token":                 {header, lines("Bearer " + forged(token)), false, bearer.ReasonSignature, ""},
		"a part of the token":            {header, lines("Bearer " + token[:len(token)-1]), false, bearer.ReasonMalformedToken, ""},
		"more than the token":            {header, lines("Bearer " + token + "A"), false, "", ""},
		"two spaces":                     {header, lines("Bearer  " + token), false, "", "alice"},
		"a space at the end":             {header, lines("Bearer " + token + " "), false, bearer.ReasonMalformedRequest, ""},
		"a tab":                          {header, lines("Bearer\t" + token), false, bearer.ReasonMalformedRequest, ""},
		"no scheme":                      {header, lines(token), false, bearer.ReasonOtherScheme, ""},
		"no token":                       {header, lines("Bearer"), false, bearer.ReasonMalformedRequest, ""},
		"an empty header":                {header, lines(""), false, bearer.ReasonMalformedRequest, ""},
		"two headers":                    {header, lines("Bearer "+token, "Bearer "+token), false, bearer.ReasonMultipleTokens, ""},
		"two headers, one empty":         {header, lines("Bearer "+token, ""), false, bearer.ReasonMultipleTokens, ""},
		"another scheme":                 {header, lines("Basic " + token), false, bearer.ReasonOtherScheme, ""},
		"a scheme like Bearer":           {header, lines("Bearew " + token), false, bearer.ReasonOtherScheme, ""},
		"a scheme that folds to Bearer":  {header, lines("\x02earer " + token), false, bearer.ReasonMalformedRequest, ""},
		"by cookie, and no header":       {byCookie, cookie(token), true, "", "alice"},
		"by cookie, and its token":       {byCookie, lines("Bearer " + token), true, "", "alice"},
		"by cookie, and another token":   {byCookie, lines("Bearer " + another), false, "", "bob"},
		"by cookie, and Basic":           {byCookie, lines("Basic abc"), false, bearer.ReasonOtherScheme, ""},
		"by cookie beside Basic":         {besideBasic, both(basic, cookie(token)), true, "", "alice"},
		"by cookie, both and different":  {byCookie, both(cookie(token), lines("Bearer "+another)), false, bearer.ReasonMultipleTokens, ""},
		"given claims, no header":        {given, none, false, bearer.ReasonMissingToken, ""},
		"given claims, the token":        {given, lines("Bearer " + token), false, "", "alice"},
		"given claims over verified":     {replaced, none, false, bearer.ReasonMissingToken, ""},
		"anonymous, no header":           {anonymous, none, false, bearer.ReasonMissingToken, ""},
		"anonymous, a token":             {anonymous, lines("Bearer " + token), false, "", "alice"},
		"anonymous, an empty token":      {anonymous, lines("Bearer "), false, bearer.ReasonMalformedRequest, ""},
		"another Middleware's":           {foreign, none, false, bearer.ReasonMissingToken, ""},
		"another Middleware's, a header": {foreign, lines("Bearer " + token), false, "", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			r := get("").WithContext(test.context)
			test.change(r)
			events = 0
			passed, err := auth.Guard().Authenticate(r)
			if name == "more than the token" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if got := reasonOf(t, err); got != test.want {
				t.Fatalf("reason %q, want %q", got, test.want)
			}
			if covered := events == 0; covered != test.covered {
				t.Errorf("counts as verified: %v, want %v", covered, test.covered)
			}
			if err != nil {
				return
			}
			if claims, ok := bearer.FromContext(passed.Context()); !ok || claims.Subject() != test.subject {
				t.Errorf("the handler sees %v", claims)
			}
			events = 0
			if _, err := auth.Guard(bearer.Scopes("a")).Authenticate(r); reasonOf(t, err) != bearer.ReasonScope || events != 1 {
				t.Errorf("a route's requirement: %v, %d events", err, events)
			}
		})
	}

	t.Run("closed", func(t *testing.T) {
		if err := auth.Close(); err != nil {
			t.Error(err)
		}
		if _, err := auth.Guard().Authenticate(get("Bearer " + token).WithContext(header)); reasonOf(t, err) != bearer.ReasonClosed {
			t.Errorf("error %v", err)
		}
	})
}

// A request counts as verified, wherever its token was, as long as its Authorization header does
// not change.
func TestRequestStaysVerifiedWithAnUnchangedHeader(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	cookie := get("Basic dXNlcjpwYXNz")
	cookie.AddCookie(&http.Cookie{Name: "access_token", Value: issuer.Token()})
	for name, test := range map[string]struct {
		request      *http.Request
		outer, inner bearer.TokenLocation
	}{
		"a cookie beside another scheme": {cookie, bearer.FromCookie(), bearer.FromHeader()},
		"two spaces":                     {get("Bearer  " + issuer.Token()), bearer.FromHeader(), bearer.FromCookie()},
		"another case":                   {get("bEARER " + issuer.Token()), bearer.FromHeader(), bearer.FromCookie()},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time out of the cache
				verified, err := auth.Guard(bearer.TokensFrom(test.outer)).Authenticate(test.request)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := auth.Guard(bearer.TokensFrom(test.inner)).Authenticate(verified); err != nil {
					t.Errorf("the inner guard: %v", err)
				}
				other := verified.Clone(verified.Context())
				other.Header.Set("Authorization", "Basic b3RoZXI6cGFzcw==")
				if _, err := auth.Guard(bearer.TokensFrom(bearer.FromHeader())).Authenticate(other); err == nil {
					t.Error("another header passes")
				}
			}
		})
	}
}

// A header that a Func puts in place of the verified one was not verified. The next guard verifies
// it.
func TestHeaderThatAFuncChangesIsVerifiedAgain(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie()))
	token := issuer.Token()
	for name, sent := range map[string]string{"the usual spelling": "Bearer " + token, "an unusual one": "Bearer  " + token, "beside a cookie": "Basic abc"} {
		for how, change := range map[string]func(*http.Request, string){
			"set":      func(r *http.Request, value string) { r.Header.Set("Authorization", value) },
			"in place": func(r *http.Request, value string) { r.Header["Authorization"][0] = value },
		} {
			for value, want := range map[string]bearer.Reason{
				"Bearer " + forged(token): bearer.ReasonSignature, "Bearer x": bearer.ReasonMalformedToken, "Digest abc": bearer.ReasonOtherScheme,
			} {
				r := get(sent)
				if sent == "Basic abc" {
					r.AddCookie(&http.Cookie{Name: "access_token", Value: token})
				}
				r, err := auth.Guard(bearer.Func("swap", func(r *http.Request, _ *bearer.Claims) error {
					change(r, value)
					r.Header.Del("Cookie")
					return nil
				})).Authenticate(r)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if _, err := auth.Guard().Authenticate(r); reasonOf(t, err) != want {
					t.Errorf("%s, %s to %s: %v, want %s", name, how, value, err, want)
				}
			}
		}
	}
}

// What can change is checked again on every pass: a long stream that asks again learns that its token
// has expired, or that its key was withdrawn. The cache makes no difference.
// Rules: guard.nested.
func TestNestedGuardsRecheckWhatCanChange(t *testing.T) {
	const name = "https://one.example"
	key := pairs()[3]
	for how, cache := range map[string]bearer.Option{"cached": bearer.WithCache(10, 1<<20), "uncached": bearer.WithoutCache()} {
		for what, test := range map[string]struct {
			change func(*keyServer)
			after  time.Duration
			want   bearer.Reason
		}{
			"nothing changes":                              {func(*keyServer) {}, time.Minute, ""},
			"the token expires":                            {func(*keyServer) {}, time.Hour, bearer.ReasonExpired},
			"the key is withdrawn":                         {func(s *keyServer) { s.publish(merged(pairs()[4].jwk, c{"kid": "b"})) }, 11 * time.Minute, bearer.ReasonUnknownKey},
			"another key has its id":                       {func(s *keyServer) { s.publish(merged(pairs()[4].jwk, c{"kid": "a"})) }, 11 * time.Minute, bearer.ReasonSignature},
			"the same key is published otherwise":          {func(s *keyServer) { s.publish(merged(key.jwk, c{"kid": "a", "use": "sig"})) }, 11 * time.Minute, ""},
			"the key is published again for its algorithm": {func(s *keyServer) { s.publish(merged(key.jwk, c{"kid": "a", "alg": "EdDSA"})) }, 11 * time.Minute, ""},
		} {
			t.Run(what+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := &keyServer{}
					server.publish(merged(key.jwk, c{"kid": "a"}))
					source := jwks.Remote(name+"/keys", jwks.WithHTTPClient(server.client()), jwks.WithLifetime(10*time.Minute, 10*time.Minute))
					events := 0
					auth := mustNew(t, bearer.WithIssuer(name, "api", bearer.Leeway(0), bearer.Keys(source)), quiet(), cache,
						observing(func(bearer.Event) { events++ }))
					claims := c{"iss": name, "aud": "api", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
					token := signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", key.private)
					guard := auth.Guard()
					passed, err := guard.Authenticate(get("Bearer " + token))
					if err != nil {
						t.Fatal(err)
					}
					test.change(server)
					<-time.After(test.after)
					for pass := range 3 {
						again, err := guard.Authenticate(passed)
						if got := reasonOf(t, err); got != test.want {
							t.Fatalf("pass %d: reason %q, want %q", pass, got, test.want)
						}
						if err != nil {
							if events != 2+pass {
								t.Errorf("pass %d: %d events", pass, events)
							}
							continue
						}
						if claims, ok := bearer.FromContext(again.Context()); !ok || claims.Subject() != "alice" {
							t.Errorf("pass %d: the handler sees %v", pass, claims)
						}
						passed = again
					}
				})
			})
		}
	}
}

// A token that an inner guard has to verify from the start again, because its key was published
// otherwise, is bound to the header as it was before a Func changed it.
// Rules: guard.nested.
func TestHeaderThatAFuncChangesInANestedGuard(t *testing.T) {
	const name = "https://one.example"
	key := pairs()[3]
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		server.publish(merged(key.jwk, c{"kid": "a"}))
		source := jwks.Remote(name+"/keys", jwks.WithHTTPClient(server.client()),
			jwks.WithLifetime(10*time.Minute, 10*time.Minute))
		auth := mustNew(t, bearer.WithIssuer(name, "api", bearer.Keys(source)), quiet())
		claims := c{"iss": name, "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
		token := signedBy(c{"alg": "EdDSA", "kid": "a"}, claims, "EdDSA", key.private)
		passed, err := auth.Guard().Authenticate(get("Bearer " + token))
		if err != nil {
			t.Fatal(err)
		}
		server.publish(merged(key.jwk, c{"kid": "a", "alg": "EdDSA"}))
		<-time.After(11 * time.Minute)
		swap := bearer.Func("swap", func(r *http.Request, _ *bearer.Claims) error {
			r.Header.Set("Authorization", "Bearer "+forged(token))
			return nil
		})
		passed, err = auth.Guard(swap).Authenticate(passed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := auth.Guard().Authenticate(passed); reasonOf(t, err) != bearer.ReasonSignature {
			t.Errorf("error %v, want a refusal of the header that was put in its place", err)
		}
	})
}

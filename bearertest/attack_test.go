package bearertest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/reference"
	"github.com/bearer-go/bearer/jwks"
)

// The complete reference withstands every attack, and one that lacks a single rule falls to each of
// that rule's variants.
func TestEveryAttackSucceedsWhereOnlyItsRuleIsMissing(t *testing.T) {
	t.Parallel()
	const leastVariants = 3
	succeeded := map[[2]string]bool{} // under one algorithm at least
	for _, algorithm := range attackedAlgorithms {
		issuer := attackedIssuer(algorithm)
		complete := newReference(issuer)
		attack := bearertest.NewAttack(t, issuer)
		t.Run(algorithm+", complete", func(t *testing.T) {
			withstands(t, attack, complete.Handler(protected))
		})
		for _, rule := range reference.Rules() {
			if rule == reference.KeyID && len(issuer.Secrets()) > 0 {
				continue // a secret has no id
			}
			t.Run(algorithm+", without "+string(rule), func(t *testing.T) {
				if n := len(attack.Variants(string(rule))); n < leastVariants {
					t.Errorf("%d variants, want at least %d", n, leastVariants)
				}
				for _, variant := range fallsToAll(t, attack, complete.Without(rule).Handler(protected), string(rule)) {
					succeeded[[2]string{string(rule), variant}] = true
				}
			})
		}
	}
	t.Run("ES256 after a rotation, without key.kid", func(t *testing.T) {
		issuer := attackedIssuer("ES256")
		before := reference.Key{ID: issuer.KeyID(), Public: issuer.PublicKey()}
		issuer.Rotate()
		complete := newReference(issuer, before)
		attack := bearertest.NewAttack(t, issuer)
		withstands(t, attack, complete.Handler(protected))
		for _, variant := range fallsToAll(t, attack, complete.Without(reference.KeyID).Handler(protected), string(reference.KeyID)) {
			succeeded[[2]string{string(reference.KeyID), variant}] = true
		}
	})
	var rules []string
	for _, rule := range reference.Rules() {
		rules = append(rules, string(rule))
	}
	if all := bearertest.AttackRules(); !slices.Equal(all, rules) {
		t.Errorf("the rules attacked are %q, those of the reference %q", all, rules)
	}
	for _, rule := range rules {
		for _, variant := range bearertest.AttackVariants(rule) {
			if !succeeded[[2]string{rule, variant}] {
				t.Errorf("%s/%s was never tried", rule, variant)
			}
		}
	}
}

// The middleware withstands all attacks, with every algorithm, in a bubble and outside, and however
// it is set up.
func TestAttackPassesTheMiddleware(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := attackedIssuer(algorithm)
				auth := newMiddleware(t, issuer, bearer.Algorithms(algorithm))
				bearertest.Attack(t, auth.Handler(protected, bearer.Scopes(attackedScope)), issuer)
			})
		})
	}
	everySource := []bearer.TokenLocation{
		bearer.FromHeader(), bearer.FromCookie(), bearer.FromQuery(), bearer.FromForm(), bearer.FromWebSocket(),
	}
	post := bearertest.WithRequest(func() *http.Request {
		return httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/orders?page=2", strings.NewReader("{}"))
	})
	for name, test := range map[string]struct {
		claims  bearertest.Claims
		issuer  []bearer.IssuerOption
		route   []bearer.RouteOption
		options []bearertest.AttackOption
	}{
		"as few options as can be": {},
		"as strict as can be": {issuer: []bearer.IssuerOption{
			bearer.RFC9068(), bearer.MaxLifetime(5 * time.Minute), bearer.Leeway(0), bearer.Algorithms("ES256"),
		}},
		"all leeway, and no scope demanded": {
			claims: bearertest.Claims{"scope": attackedScope},
			issuer: []bearer.IssuerOption{bearer.Leeway(5 * time.Minute)},
		},
		"any of two scopes": {
			claims: bearertest.Claims{"scope": attackedScope},
			route:  []bearer.RouteOption{bearer.Any(bearer.Scopes("admin"), bearer.Scopes(attackedScope))},
		},
		"a scope in scp": {
			claims: bearertest.Claims{"scp": []string{attackedScope}},
			route:  []bearer.RouteOption{bearer.Scopes(attackedScope)},
		},
		"several audiences": {claims: bearertest.Claims{"aud": []string{"https://api.test", "another"}}},
		"another claim for the audience": {
			claims: bearertest.Claims{"aud": nil, "client_id": "https://api.test"},
			issuer: []bearer.IssuerOption{bearer.AudienceClaim("client_id")},
		},
		"a method other than GET": {options: []bearertest.AttackOption{post}},
		"every source, and a body": {
			route:   []bearer.RouteOption{bearer.TokensFrom(everySource...)},
			options: []bearertest.AttackOption{post, bearertest.WithTokensFrom(everySource...)},
		},
		"every source, and no body": {
			route:   []bearer.RouteOption{bearer.TokensFrom(everySource...)},
			options: []bearertest.AttackOption{bearertest.WithTokensFrom(everySource...)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(test.claims))
				bearertest.Attack(t, newMiddleware(t, issuer, test.issuer...).Handler(protected, test.route...), issuer, test.options...)
			})
		})
	}
	t.Run("an issuer on a socket", func(t *testing.T) {
		issuer := bearertest.NewServer(t)
		bearertest.Attack(t, newMiddleware(t, issuer).Handler(protected), issuer)
	})
	for _, address := range []string{"http://[::1]:8443/realms/a", "https://login.example.com:8443/a%2Fb/", "https://127.0.0.1"} {
		t.Run("an issuer at "+address, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithURL(address))
			bearertest.Attack(t, newMiddleware(t, issuer).Handler(protected), issuer)
		})
	}
	t.Run("after a rotation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer := bearertest.NewIssuer()
			issuer.Rotate()
			bearertest.Attack(t, newMiddleware(t, issuer).Handler(protected), issuer)
		})
	})
	t.Run("keys without ids", func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := newMiddleware(t, issuer, bearer.Keys(jwks.PublicKeys(issuer.PublicKey())))
		bearertest.Attack(t, auth.Handler(protected), issuer, bearertest.WithoutKeyIDs())
	})
}

// What a handler accepts beyond the rules is found, each time by the attacks that were made for it and by no other.
// TestMatrixWithstandsAttacks does the same for the options whose names begin with Insecure.
func TestAttackFindsWhatAHandlerAcceptsBeyondTheRules(t *testing.T) {
	issuer := bearertest.NewIssuer()
	sources := []bearer.TokenLocation{bearer.FromHeader(), bearer.FromCookie(), bearer.FromQuery()}
	all := func(rule string) (names []string) {
		for _, variant := range bearertest.NewAttack(t, issuer).Variants(rule) {
			names = append(names, rule+"/"+variant)
		}
		return names
	}
	for name, test := range map[string]struct {
		options []bearer.IssuerOption
		route   []bearer.RouteOption
		want    []string
	}{
		"other sources": {
			route: []bearer.RouteOption{bearer.TokensFrom(sources...)},
			want:  []string{"request.single-credential/a cookie", "request.single-credential/the query"},
		},
		"keys without ids": {
			options: []bearer.IssuerOption{bearer.Keys(jwks.PublicKeys(issuer.PublicKey()))},
			want: append([]string{
				"jws.header/Kid after an unknown kid", "jws.header/kid with a Kelvin sign after an unknown kid",
			}, all("key.kid")...),
		},
		"another type": {
			options: []bearer.IssuerOption{bearer.TokenTypes("at+jwt", "JWT", "dpop+jwt")},
			want:    []string{"jws.typ-allowed/a DPoP proof"},
		},
		"another audience":       {[]bearer.IssuerOption{bearer.Audiences(issuer.URL())}, nil, []string{"claims.aud/the issuer"}},
		"nothing out of the way": {},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for _, attack := range test.want {
				want = append(want, "bearertest: Attack: "+attack+": is let through with 200")
			}
			synctest.Test(t, func(t *testing.T) {
				handler := newMiddleware(t, issuer, test.options...).Handler(protected, test.route...)
				if got := attacked(t, handler, issuer); !slices.Equal(got, want) {
					t.Errorf("it fails with %q, want %q", got, want)
				}
			})
		})
	}
}

// Every part of a refusal is looked at.
func TestAttackFailsWrongRefusals(t *testing.T) {
	t.Parallel()
	issuer := attackedIssuer("ES256")
	sound := func(t *testing.T) http.Handler {
		return newMiddleware(t, issuer, bearer.Leeway(0)).Handler(protected, bearer.Scopes(attackedScope))
	}
	challenge := func(value string) func(*httptest.ResponseRecorder, *http.Request) {
		return func(got *httptest.ResponseRecorder, _ *http.Request) { got.Header().Set("WWW-Authenticate", value) }
	}
	header := func(name, value string) func(*httptest.ResponseRecorder, *http.Request) {
		return func(got *httptest.ResponseRecorder, _ *http.Request) { got.Header().Set(name, value) }
	}
	status := func(from, to int) func(*httptest.ResponseRecorder, *http.Request) {
		return func(got *httptest.ResponseRecorder, _ *http.Request) {
			if got.Code == from {
				got.Code = to
			}
		}
	}
	body := func(text func(r *http.Request) string) func(*httptest.ResponseRecorder, *http.Request) {
		return func(got *httptest.ResponseRecorder, r *http.Request) {
			got.Header().Set("Content-Type", "text/plain")
			got.Body = bytes.NewBufferString(text(r))
		}
	}
	// said is what a part of the token says, for handlers that talk about it.
	said := func(part int) func(*http.Request) string {
		return func(r *http.Request) string {
			_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			encoded := strings.Split(token, ".")
			if len(encoded) != 3 {
				return ""
			}
			text, _ := base64.RawURLEncoding.DecodeString(encoded[part])
			return string(text)
		}
	}
	var bad atomic.Int32
	for name, test := range map[string]struct {
		change func(got *httptest.ResponseRecorder, r *http.Request)
		want   string
	}{
		"200 with a body that says no":     {status(401, 200), "is let through with 200"},
		"204":                              {status(401, 204), "is let through with 204"},
		"500":                              {status(401, 500), "is answered with 500, want 401 invalid_token"},
		"a way to the login page":          {status(401, 302), "is answered with 302, want 401 invalid_token"},
		"403 for a bad token":              {status(401, 403), "is answered with 403, want 401 invalid_token"},
		"401 for a bad request":            {status(400, 401), "is answered with 401, want 400 invalid_request"},
		"401 for a missing scope":          {status(403, 401), "is answered with 401, want 403 insufficient_scope"},
		"503 while the issuer is up":       {status(401, 503), "is answered with 503, want 401 invalid_token"},
		"no challenge":                     {func(got *httptest.ResponseRecorder, _ *http.Request) { got.Header().Del("WWW-Authenticate") }, "has 0 challenges of the scheme Bearer"},
		"a challenge of another scheme":    {challenge(`Basic realm="x"`), "has 0 challenges of the scheme Bearer"},
		"two challenges":                   {challenge(`Bearer realm="x", Bearer error="invalid_token"`), "has 2 challenges of the scheme Bearer"},
		"no error code":                    {challenge(`Bearer realm="x"`), `the challenge's error is "", want "invalid_token"`},
		"another error code":               {challenge(`Bearer error="invalid_request"`), `error is "invalid_request", want "invalid_token"`},
		"an error code for no token":       {challenge(`Bearer error="invalid_token"`), `error is "invalid_token", want ""`},
		"an empty error code for no token": {challenge(`Bearer error=""`), "the challenge has an error although no token was sent"},
		"a description for no token":       {challenge(`Bearer error_description="x"`), "the challenge has an error_description although no token was sent"},
		"a parameter twice":                {challenge(`Bearer error="invalid_token", ERROR="invalid_token"`), "is malformed"},
		"an open quotation":                {challenge(`Bearer error="invalid_token`), "is malformed"},
		"a quotation mark inside":          {challenge(`Bearer error="invalid_token", error_description="the "token""`), "is malformed"},
		"a line break inside":              {challenge("Bearer error=\"invalid_token\", error_description=\"a\r\nb\""), "is malformed"},
		"no comma":                         {challenge(`Bearer error="invalid_token" realm="x"`), "is malformed"},
		"a comma at the end":               {challenge(`Bearer error="invalid_token",`), "is malformed"},
		"letters that are not ASCII":       {challenge(`Bearer error="invalid_token", error_description="abgelaufen für immer"`), "is malformed"},
		"an escape in the description":     {challenge(`Bearer error="invalid_token", error_description="a\"b"`), "the challenge's error_description has characters that it must not"},
		"a space in the URI":               {challenge(`Bearer error="invalid_token", error_uri="https://a b"`), "the challenge's error_uri has characters that it must not"},
		"two spaces between scopes":        {challenge(`Bearer error="insufficient_scope", scope="a  b"`), "the challenge's scope has characters that it must not"},
		"an answer that may be stored":     {header("Cache-Control", "private, max-age=60"), "lacks Cache-Control: no-store"},
		"no Cache-Control":                 {header("Cache-Control", ""), "lacks Cache-Control: no-store"},
		"a problem that is no JSON":        {func(got *httptest.ResponseRecorder, _ *http.Request) { got.Body.WriteString("oops") }, "is not the JSON object"},
		"a problem with another status": {func(got *httptest.ResponseRecorder, _ *http.Request) {
			got.Body = bytes.NewBufferString(`{"status":400}`)
		}, "the body says status 400, the answer has 401"},
		"the credential in the body":      {body(func(r *http.Request) string { return r.Header.Get("Authorization") }), "the body repeats something of the token"},
		"the beginning of it in the body": {body(func(r *http.Request) string { return fmt.Sprintf("%.30s", r.Header.Get("Authorization")) }), "the body repeats something of the token"},
		"the end of it in the body":       {body(func(r *http.Request) string { s := r.Header.Get("Authorization"); return s[max(0, len(s)-20):] }), "the body repeats something of the token"},
		"the header of it in the body":    {body(said(0)), "the body repeats something of the token"},
		"the claims in the body":          {body(said(1)), "the body repeats something of the token"},
		"the credential in a header": {func(got *httptest.ResponseRecorder, r *http.Request) {
			got.Header().Set("X-Debug", r.Header.Get("Authorization"))
		}, "the header X-Debug repeats something of the token"},
		"the kid or issuer in the challenge":  {func(got *httptest.ResponseRecorder, r *http.Request) { sayInChallenge(got, said(0)(r)+said(1)(r)) }, "the header Www-Authenticate repeats something of the token"},
		"everybody locked out after an error": {func(*httptest.ResponseRecorder, *http.Request) { bad.Add(1) }, "a good token afterwards: is not let through"},
		"a panic":                             {func(*httptest.ResponseRecorder, *http.Request) { panic("oops") }, "the handler panics: oops"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad.Store(0)
				sound := sound(t)
				handler := refusing(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if bad.Load() > 1 {
						http.Error(w, "locked", http.StatusTooManyRequests)
						return
					}
					sound.ServeHTTP(w, r)
				}), test.change)
				var problems []string
				for _, f := range bearertest.NewAttack(t, issuer).On(handler) {
					problems = append(problems, f.Variant+": "+f.Problem)
				}
				if !strings.Contains(strings.Join(problems, "\n"), test.want) {
					t.Errorf("it does not fail with %q but with %.3q", test.want, problems)
				}
			})
		})
	}
	t.Run("nothing changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bearertest.Attack(t, refusing(sound(t), func(*httptest.ResponseRecorder, *http.Request) {}), issuer)
		})
	})
	t.Run("as it may also be said", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bearertest.Attack(t, refusing(sound(t), func(got *httptest.ResponseRecorder, _ *http.Request) {
				h := got.Header()
				value, _ := strings.CutPrefix(h.Get("WWW-Authenticate"), "Bearer")
				value = strings.Replace(value, `error="invalid_token"`, `Error = invalid_token`, 1)
				value = strings.Replace(value, "error_description", "ERROR_DESCRIPTION", 1)
				h["Www-Authenticate"] = []string{`Negotiate, Basic realm="a \"b\"", bearer` + value}
				h.Set("Cache-Control", "No-Store, max-age=0")
				h.Set("Content-Type", "text/html")
				got.Body = bytes.NewBufferString("<p>No.</p>")
			}), issuer)
		})
	})
}

// While the issuer is down, a token whose key would have to be fetched is answered with 503, and in full.
func TestAttackAcceptsUnavailabilityOnlyWhileTheIssuerIsDown(t *testing.T) {
	for name, test := range map[string]struct {
		change func(got *httptest.ResponseRecorder)
		want   string
	}{
		"as it is":            {func(*httptest.ResponseRecorder) {}, ""},
		"no Retry-After":      {func(got *httptest.ResponseRecorder) { got.Header().Del("Retry-After") }, `Retry-After is ""`},
		"Retry-After of zero": {func(got *httptest.ResponseRecorder) { got.Header().Set("Retry-After", "0") }, `Retry-After is "0"`},
		"a challenge":         {func(got *httptest.ResponseRecorder) { got.Header().Set("WWW-Authenticate", "Bearer") }, "which 503 must not"},
		"stored":              {func(got *httptest.ResponseRecorder) { got.Header().Del("Cache-Control") }, "lacks Cache-Control"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := bearertest.NewIssuer()
			auth := newMiddleware(t, issuer)
			if err := auth.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			issuer.SetFault(bearertest.Down)
			var unavailable atomic.Int32
			handler := refusing(auth.Handler(protected), func(got *httptest.ResponseRecorder, _ *http.Request) {
				if got.Code == http.StatusServiceUnavailable {
					unavailable.Add(1)
					test.change(got)
				}
			})
			failures := attacked(t, handler, issuer)
			if unavailable.Load() == 0 {
				t.Error("there was no 503 to look at")
			}
			if got := strings.Join(failures, "\n"); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("it fails with %q, want %q", got, test.want)
			}
		})
	}
}

// What Attack needs is said before anything else, and as the first and only failure.
func TestAttackStopsWhenAGoodTokenIsNotLetThrough(t *testing.T) {
	issuer := bearertest.NewIssuer()
	sound := newMiddleware(t, issuer).Handler(protected)
	mux := http.NewServeMux()
	mux.Handle("GET /orders", sound)
	other := bearertest.NewIssuer(bearertest.WithURL("https://other.test"))
	down := bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	onlyBearer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Authorization"), "bearer") {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		sound.ServeHTTP(w, r)
	})
	known := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		var all map[string]any
		if err := claims.Decode(&all); err != nil || len(all) > 7 {
			http.Error(w, "no", http.StatusBadRequest)
		}
	})
	for name, test := range map[string]struct {
		handler http.Handler
		issuer  *bearertest.Issuer
		want    []string
	}{
		"another issuer":      {sound, other, []string{"a good token is not let through", "answers 401", `trust the issuer "https://other.test" for the audience "https://api.test"`}},
		"a scope is missing":  {newMiddleware(t, issuer).Handler(protected, bearer.Scopes("a")), issuer, []string{"answers 403", "WithDefaultClaims"}},
		"another path":        {mux, issuer, []string{"answers 404", "WithRequest"}},
		"the issuer is down":  {newMiddleware(t, down).Handler(protected), down, []string{"answers 503", "is the issuer up"}},
		"a panic":             {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") }), issuer, []string{"panics: oops"}},
		"no protection":       {protected, issuer, []string{"a request without a token: is let through with 200"}},
		"an optional token":   {newMiddleware(t, issuer).Handler(protected, bearer.Optional()), issuer, []string{"a request without a token: is let through"}},
		"a case-exact scheme": {onlyBearer, issuer, []string{`the scheme is written "bearer"`}},
		"no unknown claims":   {newMiddleware(t, issuer).Handler(known), issuer, []string{`a good token with a claim "canary" is not let through`}},
		"no handler":          {nil, issuer, []string{"is nil"}},
		"no issuer":           {sound, nil, []string{"is nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := attacked(t, test.handler, test.issuer)
			if len(got) != 1 || !strings.HasPrefix(got[0], "bearertest: Attack: ") {
				t.Fatalf("it fails with %q, want one failure", got)
			}
			for _, want := range test.want {
				if !strings.Contains(got[0], want) {
					t.Errorf("it fails with %q, want %q", got[0], want)
				}
			}
		})
	}
}

// A route that demands no scope is not attacked for one, although the tokens have it.
func TestAttackAsksForScopesOnlyWhereTheyAreDemanded(t *testing.T) {
	issuer := attackedIssuer("ES256")
	unscoped := reference.New(reference.Config{
		Issuer: issuer.URL(), Audience: issuer.Audience(),
		Keys: []reference.Key{{ID: issuer.KeyID(), Public: issuer.PublicKey()}},
	})
	bearertest.Attack(t, unscoped.Handler(protected), issuer)
}

func TestAttackOptionsThatMeanNothingPanic(t *testing.T) {
	for name, misuse := range map[string]func(){
		"WithRequest":    func() { bearertest.WithRequest(nil) },
		"WithTokensFrom": func() { bearertest.WithTokensFrom(bearer.FromCookie()) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "bearertest: "+name) {
					t.Errorf("the panic says %q", text)
				}
			}()
			misuse()
		})
	}
}

// Attack makes the issuer slow for a moment. A fault that another test begins meanwhile is not
// ended with that.
func TestAttackLeavesAFaultThatBeganMeanwhile(t *testing.T) {
	t.Parallel()
	issuer := attackedIssuer("ES256")
	auth := newMiddleware(t, issuer)
	guarded := auth.Handler(protected, bearer.Scopes(attackedScope))
	var waiting atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if waiting.Add(1) > 1 {
			issuer.SetFault(bearertest.Down) // while Attack has requests come at the same time
		}
		defer waiting.Add(-1)
		guarded.ServeHTTP(w, r)
	})
	_ = attacked(t, handler, issuer) // what it finds depends on when the fault began
	answer := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, issuer.URL()+"/jwks", nil)
	issuer.ServeHTTP(answer, r)
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("the issuer answers %d, want 503: it is down", answer.Code)
	}
}

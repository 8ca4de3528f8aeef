package oauthtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

func TestDiscoveryNamesTheEndpoints(t *testing.T) {
	for _, test := range []struct{ url, base string }{
		{"https://issuer.test", "https://issuer.test"}, {"https://issuer.test/realms/shop/", "https://issuer.test/realms/shop"},
	} {
		issuer := oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL(test.url)), oauthtest.WithClient("orders", "s3cret"))
		_, _, body := get(t, issuer.Client(), test.base+discoveryPath)
		var document map[string]any
		if err := json.Unmarshal(body, &document); err != nil {
			t.Fatal(err)
		}
		methods := []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}
		has(t, test.url, document, map[string]any{
			"issuer":                                         test.url,
			"authorization_endpoint":                         test.base + "/authorize",
			"token_endpoint":                                 test.base + "/token",
			"revocation_endpoint":                            test.base + "/revoke",
			"device_authorization_endpoint":                  test.base + "/device_authorization",
			"token_endpoint_auth_methods_supported":          methods,
			"revocation_endpoint_auth_methods_supported":     methods,
			"code_challenge_methods_supported":               []any{"S256"},
			"authorization_response_iss_parameter_supported": true,
			"grant_types_supported": []any{
				"client_credentials", "authorization_code", "refresh_token", deviceGrant, exchangeGrant, assertionGrant,
			},
		})
		if algorithms, _ := document["token_endpoint_auth_signing_alg_values_supported"].([]any); len(algorithms) != 10 {
			t.Errorf("the algorithms are %v", algorithms)
		}
		got, err := issuertest.Exchange(issuer.Client(), formRequest(t.Context(), test.base+"/token", "grant_type=client_credentials", asOrders))
		if err != nil || got.StatusCode != http.StatusOK {
			t.Errorf("the token endpoint says %d, %v", got.StatusCode, err)
		}
	}
}

func TestDiscoveryIsReadAlone(t *testing.T) {
	server := newServer()
	got, err := issuertest.Exchange(server.Client(), formRequest(t.Context(), server.URL()+discoveryPath, ""))
	if err != nil || got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST answers %d, Allow %q, %v", got.StatusCode, got.Header.Get("Allow"), err)
	}
}

func TestTokenIsGoodForItsService(t *testing.T) {
	for name, issuer := range map[string]*oauthtest.Server{
		"in the process": newServer(), "over a socket": oauthtest.NewServer(bearertest.NewServer(t), oauthtest.WithClient("orders", "s3cret")),
	} {
		t.Run(name, func(t *testing.T) {
			const billing = "https://billing.test"
			form := fields("grant_type", "client_credentials", "scope", "billing:write", "resource", billing)
			got, _ := token(t, issuer, form, asOrders)
			auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), billing, bearer.RFC9068()), bearer.WithHTTPClient(issuer.Client()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = auth.Close() }()
			claims, err := auth.Guard(bearer.Scopes("billing:write")).Verify(t.Context(), got.text("access_token"))
			if err != nil {
				t.Fatal(err)
			}
			if claims.Subject() != "orders" || claims.ClientID() != "orders" {
				t.Errorf("sub %q, client_id %q", claims.Subject(), claims.ClientID())
			}
		})
	}
}

func TestTokenHasTheTermsOfItsRequest(t *testing.T) {
	form := fields("grant_type", "client_credentials")
	scoped := bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read", "sub": "mallory", "tenant": "shop"})
	for _, test := range []struct {
		name   string
		issuer []bearertest.IssuerOption
		opts   []oauthtest.Option
		form   url.Values
		answer map[string]any
		claims map[string]any
	}{
		{
			"nothing asked for", nil, nil, form,
			map[string]any{"expires_in": 300.0, "scope": nil, "refresh_in": nil, "refresh_token": nil, "id_token": nil, "issued_token_type": nil},
			map[string]any{"sub": "orders", "client_id": "orders", "aud": "https://api.test", "scope": nil},
		},
		{
			"scope and resource", nil, nil, with(form, "scope", "a b", "resource", "https://a.test/x?y"),
			map[string]any{"scope": "a b"},
			map[string]any{"scope": "a b", "aud": "https://a.test/x?y"},
		},
		{"resources and an audience", nil, nil, url.Values{
			"grant_type": {"client_credentials"}, "resource": {"https://a.test", "urn:b"}, "audience": {"c"},
		}, nil, map[string]any{"aud": []any{"https://a.test", "urn:b", "c"}}},
		{
			"empty values", nil, nil,
			url.Values{"grant_type": {"client_credentials"}, "scope": {""}, "resource": {""}},
			map[string]any{"scope": nil},
			map[string]any{"aud": "https://api.test", "scope": nil},
		},
		{
			"default claims",
			[]bearertest.IssuerOption{scoped},
			nil,
			form,
			map[string]any{"scope": "orders:read"},
			map[string]any{"scope": "orders:read", "sub": "orders", "tenant": "shop"},
		},
		{
			"scope over default claims",
			[]bearertest.IssuerOption{scoped},
			nil,
			with(form, "scope", "a"),
			map[string]any{"scope": "a"},
			map[string]any{"scope": "a"},
		},
		{
			"lifetime", nil,
			[]oauthtest.Option{oauthtest.WithTokenLifetime(time.Hour), oauthtest.WithRefreshIn(30 * time.Minute)},
			form,
			map[string]any{"expires_in": 3600.0, "refresh_in": 1800.0},
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, claims := token(t, newServerOf(bearertest.NewIssuer(test.issuer...), test.opts...), test.form, asOrders)
			has(t, "the answer", got.members, test.answer)
			has(t, "the token", claims, test.claims)
			exp, _ := claims["exp"].(float64)
			iat, _ := claims["iat"].(float64)
			if lifetime, _ := got.members["expires_in"].(float64); exp-iat < lifetime-1 || exp-iat > lifetime+1 {
				t.Errorf("expires_in is %v; the token lives for %v", lifetime, exp-iat)
			}
		})
	}
}

// What RFC 6749 section 3.2 demands of every request to the endpoint, whatever the grant.
func TestEndpointsRefuseMalformedRequests(t *testing.T) {
	contentType := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", value) }
	}
	const good = "grant_type=client_credentials&token=x"
	for _, test := range []struct {
		name, body string
		change     func(*http.Request)
		want       string
	}{
		{"a good one", good, nil, "200"},
		{"a charset", good, contentType("application/x-www-form-urlencoded; charset=UTF-8"), "200"},
		{"JSON", good, contentType("application/json"), "400 invalid_request"},
		{"no content type", good, func(r *http.Request) { r.Header.Del("Content-Type") }, "400 invalid_request"},
		{"parameters in the URL", good, func(r *http.Request) { r.URL.RawQuery = "scope=a" }, "400 invalid_request"},
		{"a parameter twice", good + "&scope=a&scope=b", nil, "400 invalid_request"},
		{"a parameter twice, once empty", good + "&scope=a&scope=", nil, "400 invalid_request"},
		{"an unknown parameter twice", good + "&x=a&x=a", nil, "400 invalid_request"},
		{"a broken escape", good + "&scope=%zz", nil, "400 invalid_request"},
		{"a body of 1 MiB", good + "&x=" + strings.Repeat("x", 1<<20-len(good)-3), nil, "200"},
		{"a longer body", good + "&x=" + strings.Repeat("x", 1<<20-len(good)-2), nil, "400 invalid_request"},
	} {
		for _, path := range []string{"/token", "/revoke"} {
			t.Run(test.name+" "+path, func(t *testing.T) {
				issuer := newServer()
				r := formRequest(t.Context(), issuer.URL()+path, test.body, asOrders)
				if test.change != nil {
					test.change(r)
				}
				got, err := issuertest.Exchange(issuer.Client(), r)
				if err != nil {
					t.Fatal(err)
				}
				if outcome := read(t, got).outcome(); outcome != test.want {
					t.Errorf("it answers %s, want %s", outcome, test.want)
				}
			})
		}
	}
	for path, allowed := range map[string]string{"/token": "POST", "/revoke": "POST", "/authorize": "GET"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
			if method == allowed {
				continue
			}
			issuer := newServer()
			got, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), method, issuer.URL()+path+"?"+loginForm().Encode(), nil))
			if err != nil || got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != allowed {
				t.Errorf("%s %s: %d, Allow %q, %v", method, path, got.StatusCode, got.Header.Get("Allow"), err)
			}
		}
	}
}

func TestTokenEndpointRefusesAsRFC6749Says(t *testing.T) {
	form := fields("grant_type", "client_credentials")
	for _, test := range []struct {
		name string
		form url.Values
		as   func(*http.Request)
		want string
	}{
		{"no grant_type", url.Values{}, asOrders, "400 invalid_request"},
		{"an unknown grant_type", fields("grant_type", "password"), asOrders, "400 unsupported_grant_type"},
		{"two spaces", with(form, "scope", "a  b"), asOrders, "400 invalid_scope"},
		{"a space at the end", with(form, "scope", "a "), asOrders, "400 invalid_scope"},
		{"a quote", with(form, "scope", `a"`), asOrders, "400 invalid_scope"},
		{"a letter that is not ASCII", with(form, "scope", "\u00e4"), asOrders, "400 invalid_scope"},
		{"a relative resource", with(form, "resource", "/billing"), asOrders, "400 invalid_target"},
		{"a resource with a fragment", with(form, "resource", "https://billing.test/#"), asOrders, "400 invalid_target"},
		{"a public client by itself", with(form, "client_id", "spa"), func(*http.Request) {}, "400 unauthorized_client"},
		{
			"no code", fields("grant_type", "authorization_code", "redirect_uri", "a:b", "code_verifier", verifier), asOrders,
			"400 invalid_request",
		},
		{
			"no redirect_uri", fields("grant_type", "authorization_code", "code", "x", "code_verifier", verifier), asOrders,
			"400 invalid_request",
		},
		{
			"no code_verifier", fields("grant_type", "authorization_code", "code", "x", "redirect_uri", "a:b"), asOrders,
			"400 invalid_request",
		},
		{
			"an unknown code", fields("grant_type", "authorization_code", "code", "x", "redirect_uri", "a:b", "code_verifier", verifier),
			asOrders, "400 invalid_grant",
		},
		{"no refresh_token", fields("grant_type", "refresh_token"), asOrders, "400 invalid_request"},
		{"an unknown refresh_token", refreshForm("x"), asOrders, "400 invalid_grant"},
		{"no subject_token", fields("grant_type", exchangeGrant, "subject_token_type", accessTokenURN), asOrders, "400 invalid_request"},
		{"no assertion", fields("grant_type", assertionGrant), asOrders, "400 invalid_request"},
		{"an assertion that is none", fields("grant_type", assertionGrant, "assertion", "x"), asOrders, "400 invalid_grant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := post(t, newServer(), "/token", test.form, test.as); got.outcome() != test.want {
				t.Errorf("it answers %s, want %s", got.outcome(), test.want)
			}
		})
	}
}

func TestExchangeKeepsTheSubject(t *testing.T) {
	issuer := newServer()
	user := issuer.Token(bearertest.Claims{"sub": "bob", "scope": "everything"})
	form := fields("grant_type", exchangeGrant, "subject_token", user, "subject_token_type", accessTokenURN)
	got, claims := token(t, issuer, with(form, "scope", "billing:read", "audience", "billing"), asOrders)
	has(t, "the answer", got.members, map[string]any{"issued_token_type": accessTokenURN, "refresh_token": nil})
	has(t, "the token", claims, map[string]any{
		"sub": "bob", "client_id": "orders", "scope": "billing:read", "aud": "billing", "act": nil,
	})
	actor := issuer.Token(bearertest.Claims{"sub": "orders"})
	_, claims = token(t, issuer, with(form, "subject_token_type", jwtURN, "requested_token_type", accessTokenURN,
		"actor_token", actor, "actor_token_type", accessTokenURN), asOrders)
	has(t, "the token", claims, map[string]any{"sub": "bob", "act": map[string]any{"sub": "orders"}, "scope": nil})
	issuer.Rotate()
	token(t, issuer, form, asOrders) // the previous key is published still

	issuer = newServer()
	user = issuer.Token()
	form = fields("grant_type", exchangeGrant, "subject_token", user, "subject_token_type", accessTokenURN)
	revoked := issuer.Token(bearertest.Claims{"client_id": "orders"})
	post(t, issuer, "/revoke", fields("token", revoked), asOrders)
	for name, form := range map[string]url.Values{
		"no type":                 with(form, "subject_token_type", ""),
		"a type that is not here": with(form, "subject_token_type", refreshURN),
		"no token at all":         with(form, "subject_token", ""),
		"a text":                  with(form, "subject_token", "x.y.z"),
		"another issuer's":        with(form, "subject_token", newServer().Token()),
		"an expired one":          with(form, "subject_token", issuer.Token(bearertest.Claims{"exp": time.Now()})),
		"one that never expires":  with(form, "subject_token", issuer.Token(bearertest.Claims{"exp": nil})),
		"one without a subject":   with(form, "subject_token", issuer.Token(bearertest.Claims{"sub": nil})),
		"one with another iss":    with(form, "subject_token", issuer.Token(bearertest.Claims{"iss": "https://issuer.test/"})),
		"one that is not at+jwt":  with(form, "subject_token", issuer.Sign(bearertest.Claims{"typ": "JWT"})),
		"one with crit":           with(form, "subject_token", issuer.Sign(bearertest.Claims{"crit": []string{"x"}})),
		"a revoked one":           with(form, "subject_token", revoked),
		"a wish for a JWT":        with(form, "requested_token_type", jwtURN),
		"a wish for a refresh":    with(form, "requested_token_type", refreshURN),
		"an actor without a type": with(form, "actor_token", user),
		"a type without an actor": with(form, "actor_token_type", accessTokenURN),
		"a bad actor":             with(form, "actor_token", "x", "actor_token_type", accessTokenURN),
	} {
		if got := post(t, issuer, "/token", form, asOrders); got.outcome() != "400 invalid_request" {
			t.Errorf("%s: it answers %s", name, got.outcome())
		}
	}
	if got := post(t, issuer, "/token", with(form, "resource", "x"), asOrders); got.outcome() != "400 invalid_target" {
		t.Errorf("a bad resource: it answers %s", got.outcome())
	}
	issuer.RotateWithoutOverlap()
	if got := post(t, issuer, "/token", form, asOrders); got.outcome() != "400 invalid_request" {
		t.Errorf("a key that is withdrawn: it answers %s", got.outcome())
	}
}

func TestErrorShowsNothingOfTheRequest(t *testing.T) {
	issuer := newServer()
	for _, form := range []url.Values{
		fields("grant_type", "canary"),
		fields("grant_type", "refresh_token", "refresh_token", "canary"),
		fields("grant_type", "authorization_code", "code", "canary", "redirect_uri", "canary", "code_verifier", "canary"),
		fields("grant_type", exchangeGrant, "subject_token", "canary", "subject_token_type", "canary"),
		fields("grant_type", assertionGrant, "assertion", "canary"),
		fields("grant_type", "client_credentials", "scope", `canary"`),
		fields("grant_type", "client_credentials", "client_secret", "canary"),
		fields("grant_type", "client_credentials", "canary", "a", "canary", "b"),
	} {
		if got := post(t, issuer, "/token", form, asOrders); got.StatusCode < 400 || bytes.Contains(got.Content, []byte("canary")) {
			t.Errorf("%v: it answers %s", form, got.Content)
		}
	}
}

// A test may log its server while requests are under way: nothing that changes is looked at, and no
// private key is printed.
func TestServerPrintsAsItsURL(t *testing.T) {
	server := oauthtest.NewServer(bearertest.NewIssuer(), oauthtest.WithClient("orders", "the client's secret"))
	server.NewSession("orders", "alice")
	const want = "bearertest.Issuer(https://issuer.test)"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if got := fmt.Sprintf(verb, server); got != want {
			t.Errorf("%s prints %.60q, want %q", verb, got, want)
		}
	}
	if got := fmt.Sprintf("%v", struct{ Server *oauthtest.Server }{server}); got != "{"+want+"}" {
		t.Errorf("a struct with a server prints %.60q", got)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			server.NewSession("orders", "alice")
		}
	})
	for range 100 {
		_ = fmt.Sprint(server)
	}
	stop.Store(true)
	wg.Wait()
}

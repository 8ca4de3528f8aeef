package bearertest_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

const (
	exchangeGrant  = "urn:ietf:params:oauth:grant-type:token-exchange"
	assertionGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	accessTokenURN = "urn:ietf:params:oauth:token-type:access_token"
	jwtURN         = "urn:ietf:params:oauth:token-type:jwt"
	refreshURN     = "urn:ietf:params:oauth:token-type:refresh_token"
)

// fields makes a form of names and values that take turns.
func fields(pairs ...string) url.Values {
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	return form
}

// with is a form with further fields in place of those of the same name; an empty value takes one away.
func with(form url.Values, pairs ...string) url.Values {
	form = maps.Clone(form)
	for pair := range slices.Chunk(pairs, 2) {
		form.Set(pair[0], pair[1])
		if pair[1] == "" {
			form.Del(pair[0])
		}
	}
	return form
}

// basic makes a request that of a client which proves itself by RFC 6749 section 2.3.1.
func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

// asOrders is the client of these tests.
var asOrders = basic("orders", "s3cret")

func newAuthServer(opts ...bearertest.IssuerOption) *bearertest.Issuer {
	return bearertest.NewIssuer(slices.Concat([]bearertest.IssuerOption{
		bearertest.Client("orders", "s3cret"), bearertest.Client("billing", "another"), bearertest.PublicClient("spa"),
	}, opts)...)
}

// reply is an answer of an endpoint.
type reply struct {
	answer
	members map[string]any
}

func (r reply) text(member string) string {
	text, _ := r.members[member].(string)
	return text
}

// outcome is "200", or the status and the error code.
func (r reply) outcome() string {
	return strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", r.text("error")))
}

// formRequest is a POST of a form.
func formRequest(ctx context.Context, address, body string, changes ...func(*http.Request)) *http.Request {
	r := request(ctx, http.MethodPost, address, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, change := range changes {
		change(r)
	}
	return r
}

// post sends a form to a path below the issuer's URL.
func post(tb testing.TB, issuer *bearertest.Issuer, path string, form url.Values, changes ...func(*http.Request)) reply {
	tb.Helper()
	got, err := exchange(issuer.Client(), formRequest(tb.Context(), issuer.URL()+path, form.Encode(), changes...))
	if err != nil {
		tb.Fatal(err)
	}
	return read(tb, got)
}

// read checks what every answer of an endpoint has to have, and decodes it.
func read(tb testing.TB, got answer) reply {
	tb.Helper()
	r := reply{answer: got}
	if got.Header.Get("Cache-Control") != "no-store" {
		tb.Errorf("Cache-Control is %q", got.Header.Get("Cache-Control"))
	}
	if challenge := got.Header.Get("WWW-Authenticate"); (got.StatusCode == http.StatusUnauthorized) != (challenge == "Basic") {
		tb.Errorf("the status is %d, WWW-Authenticate is %q", got.StatusCode, challenge)
	}
	if len(got.body) == 0 {
		return r
	}
	if err := json.Unmarshal(got.body, &r.members); err != nil || got.Header.Get("Content-Type") != "application/json" {
		tb.Errorf("the body is %q, %q", got.Header.Get("Content-Type"), got.body)
	}
	return r
}

// token asks for a token that has to be given, and returns its claims as well.
func token(tb testing.TB, issuer *bearertest.Issuer, form url.Values, changes ...func(*http.Request)) (reply, map[string]any) {
	tb.Helper()
	got := post(tb, issuer, "/token", form, changes...)
	if got.outcome() != "200" || got.text("token_type") != "Bearer" {
		tb.Fatalf("the token endpoint says %s: %s", got.outcome(), got.body)
	}
	if err := verify(issuer.KeySet(), got.text("access_token")); err != nil {
		tb.Errorf("the token is refused: %v", err)
	}
	_, members := parts(tb, got.text("access_token"))
	return got, members[1]
}

// has compares some members with what they should be; nil is for one that is not there.
func has(tb testing.TB, what string, members map[string]any, want map[string]any) {
	tb.Helper()
	for name, value := range want {
		if !reflect.DeepEqual(members[name], value) {
			tb.Errorf("%s: %s is %v, want %v", what, name, members[name], value)
		}
	}
}

var verifier = strings.Repeat("v", 43)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loginForm is a good request for an authorization.
func loginForm(pairs ...string) url.Values {
	return with(fields("response_type", "code", "client_id", "orders", "redirect_uri", "https://app.test/callback",
		"code_challenge", challenge(verifier), "code_challenge_method", "S256", "state", "xyz"), pairs...)
}

// visit sends a query to the authorization endpoint and returns where it leads.
func visit(tb testing.TB, issuer *bearertest.Issuer, query string) (status int, target string, back url.Values) {
	tb.Helper()
	client := issuer.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got, err := exchange(client, request(tb.Context(), http.MethodGet, issuer.URL()+"/authorize?"+query, nil))
	if err != nil {
		tb.Fatal(err)
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		tb.Errorf("Cache-Control is %q", got.Header.Get("Cache-Control"))
	}
	location, err := url.Parse(got.Header.Get("Location"))
	if err != nil {
		tb.Fatal(err)
	}
	target, _, _ = strings.Cut(location.String(), "?")
	return got.StatusCode, target, location.Query()
}

// login returns a request that redeems a new code.
func login(tb testing.TB, issuer *bearertest.Issuer, pairs ...string) url.Values {
	tb.Helper()
	form := loginForm(pairs...)
	_, _, back := visit(tb, issuer, form.Encode())
	if back.Get("code") == "" {
		tb.Fatalf("there is no code: %v", back)
	}
	return fields("grant_type", "authorization_code", "code", back.Get("code"), "redirect_uri", form.Get("redirect_uri"),
		"code_verifier", verifier)
}

func refreshForm(refreshToken string, pairs ...string) url.Values {
	return with(fields("grant_type", "refresh_token", "refresh_token", refreshToken), pairs...)
}

func TestDiscoveryNamesTheEndpoints(t *testing.T) {
	for _, test := range []struct{ url, base string }{
		{"https://issuer.test", "https://issuer.test"}, {"https://issuer.test/realms/shop/", "https://issuer.test/realms/shop"},
	} {
		issuer := bearertest.NewIssuer(bearertest.WithURL(test.url), bearertest.Client("orders", "s3cret"))
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
			"token_endpoint_auth_methods_supported":          methods,
			"revocation_endpoint_auth_methods_supported":     methods,
			"code_challenge_methods_supported":               []any{"S256"},
			"authorization_response_iss_parameter_supported": true,
			"grant_types_supported": []any{
				"client_credentials", "authorization_code", "refresh_token", exchangeGrant, assertionGrant,
			},
		})
		if algorithms, _ := document["token_endpoint_auth_signing_alg_values_supported"].([]any); len(algorithms) != 10 {
			t.Errorf("the algorithms are %v", algorithms)
		}
		got, err := exchange(issuer.Client(), formRequest(t.Context(), test.base+"/token", "grant_type=client_credentials", asOrders))
		if err != nil || got.StatusCode != http.StatusOK {
			t.Errorf("the token endpoint says %d, %v", got.StatusCode, err)
		}
	}
}

func TestATokenIsGoodForTheServiceItIsFor(t *testing.T) {
	for name, issuer := range map[string]*bearertest.Issuer{
		"in the process": newAuthServer(), "over a socket": bearertest.NewServer(t, bearertest.Client("orders", "s3cret")),
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

func TestTheTermsOfATokenAreTheRequests(t *testing.T) {
	form := fields("grant_type", "client_credentials")
	scoped := bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read", "sub": "nobody", "tenant": "shop"})
	for _, test := range []struct {
		name   string
		opts   []bearertest.IssuerOption
		form   url.Values
		answer map[string]any
		claims map[string]any
	}{
		{
			"nothing asked for", nil, form,
			map[string]any{"expires_in": 300.0, "scope": nil, "refresh_in": nil, "refresh_token": nil, "id_token": nil, "issued_token_type": nil},
			map[string]any{"sub": "orders", "client_id": "orders", "aud": "https://api.test", "scope": nil},
		},
		{
			"scope and resource", nil, with(form, "scope", "a b", "resource", "https://a.test/x?y"),
			map[string]any{"scope": "a b"},
			map[string]any{"scope": "a b", "aud": "https://a.test/x?y"},
		},
		{"resources and an audience", nil, url.Values{
			"grant_type": {"client_credentials"}, "resource": {"https://a.test", "urn:b"}, "audience": {"c"},
		}, nil, map[string]any{"aud": []any{"https://a.test", "urn:b", "c"}}},
		{
			"empty values", nil,
			url.Values{"grant_type": {"client_credentials"}, "scope": {""}, "resource": {""}},
			map[string]any{"scope": nil},
			map[string]any{"aud": "https://api.test", "scope": nil},
		},
		{
			"default claims",
			[]bearertest.IssuerOption{scoped},
			form,
			map[string]any{"scope": "orders:read"},
			map[string]any{"scope": "orders:read", "sub": "orders", "tenant": "shop"},
		},
		{
			"scope over default claims",
			[]bearertest.IssuerOption{scoped},
			with(form, "scope", "a"),
			map[string]any{"scope": "a"},
			map[string]any{"scope": "a"},
		},
		{
			"lifetime",
			[]bearertest.IssuerOption{bearertest.TokenLifetime(time.Hour), bearertest.RefreshIn(30 * time.Minute)},
			form,
			map[string]any{"expires_in": 3600.0, "refresh_in": 1800.0},
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, claims := token(t, newAuthServer(test.opts...), test.form, asOrders)
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
func TestTheEndpointsAreStrict(t *testing.T) {
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
				issuer := newAuthServer()
				r := formRequest(t.Context(), issuer.URL()+path, test.body, asOrders)
				if test.change != nil {
					test.change(r)
				}
				got, err := exchange(issuer.Client(), r)
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
			issuer := newAuthServer()
			got, err := exchange(issuer.Client(), request(t.Context(), method, issuer.URL()+path+"?"+loginForm().Encode(), nil))
			if err != nil || got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != allowed {
				t.Errorf("%s %s: %d, Allow %q, %v", method, path, got.StatusCode, got.Header.Get("Allow"), err)
			}
		}
	}
}

func TestATokenIsRefusedByTheBook(t *testing.T) {
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
			if got := post(t, newAuthServer(), "/token", test.form, test.as); got.outcome() != test.want {
				t.Errorf("it answers %s, want %s", got.outcome(), test.want)
			}
		})
	}
}

func TestALoginFromItsStartToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newAuthServer()
		query := loginForm("scope", "openid orders:read", "resource", "https://api.test", "nonce", "n-0", "prompt", "login")
		status, target, back := visit(t, issuer, query.Encode())
		if status != http.StatusFound || target != "https://app.test/callback" ||
			back.Get("state") != "xyz" || back.Get("iss") != issuer.URL() || len(back) != 3 {
			t.Fatalf("it leads to %s with %v, status %d", target, back, status)
		}
		if issuer.Sessions() != 0 {
			t.Error("there is a session before the code was used")
		}
		got, claims := token(t, issuer, fields("grant_type", "authorization_code", "code", back.Get("code"),
			"redirect_uri", "https://app.test/callback", "code_verifier", verifier), asOrders)
		has(t, "the token", claims, map[string]any{
			"sub": "alice", "client_id": "orders", "scope": "openid orders:read", "aud": "https://api.test",
		})
		if err := verify(issuer.KeySet(), got.text("id_token")); err != nil {
			t.Error(err)
		}
		raw, members := parts(t, got.text("id_token"))
		if !strings.Contains(raw[0], `"typ":"JWT"`) {
			t.Errorf("the ID token's header is %s", raw[0])
		}
		has(t, "the ID token", members[1], map[string]any{
			"sub": "alice", "aud": "orders", "nonce": "n-0", "iss": issuer.URL(), "client_id": nil, "scope": nil,
			"auth_time": float64(time.Now().Unix()),
		})
		if issuer.Sessions() != 1 || got.text("refresh_token") == "" {
			t.Errorf("there are %d sessions", issuer.Sessions())
		}
		got, claims = token(t, issuer, refreshForm(got.text("refresh_token")), asOrders)
		has(t, "the next token", claims, map[string]any{
			"sub": "alice", "client_id": "orders", "scope": "openid orders:read", "aud": "https://api.test",
		})
		has(t, "the next answer", got.members, map[string]any{"id_token": nil})
	})
}

func TestALoginIsAsItsRequestSays(t *testing.T) {
	issuer := newAuthServer(bearertest.PublicClient("app", "https://app.test/callback", "com.example.app:/back"))
	t.Run("somebody else, without state and openid", func(t *testing.T) {
		form := login(t, issuer, "login_hint", "bob", "state", "", "scope", "a")
		got, claims := token(t, issuer, form, asOrders)
		has(t, "the token", claims, map[string]any{"sub": "bob", "scope": "a"})
		has(t, "the answer", got.members, map[string]any{"id_token": nil})
		if _, _, back := visit(t, issuer, loginForm("state", "").Encode()); back.Has("state") {
			t.Error("there is a state that nobody sent")
		}
	})
	t.Run("a public client", func(t *testing.T) {
		form := login(t, issuer, "client_id", "app", "redirect_uri", "com.example.app:/back")
		got, _ := token(t, issuer, with(form, "client_id", "app"))
		token(t, issuer, refreshForm(got.text("refresh_token"), "client_id", "app"))
	})
	t.Run("a redirect URI with a query", func(t *testing.T) {
		_, target, back := visit(t, issuer, loginForm("redirect_uri", "https://app.test/cb?tenant=a%20b").Encode())
		if target != "https://app.test/cb" || back.Get("tenant") != "a b" || back.Get("code") == "" {
			t.Errorf("it leads to %s with %v", target, back)
		}
	})
	t.Run("no nonce", func(t *testing.T) {
		got, _ := token(t, issuer, login(t, issuer, "scope", "openid"), asOrders)
		_, members := parts(t, got.text("id_token"))
		has(t, "the ID token", members[1], map[string]any{"nonce": nil, "sub": "alice"})
	})
}

func TestABadLoginIsToldToTheClientOrToTheUser(t *testing.T) {
	issuer := newAuthServer(bearertest.Client("app", "x", "https://app.test/callback"))
	for name, query := range map[string]string{
		"no client":               loginForm("client_id", "").Encode(),
		"an unknown client":       loginForm("client_id", "nobody").Encode(),
		"no redirect_uri":         loginForm("redirect_uri", "").Encode(),
		"a relative redirect_uri": loginForm("redirect_uri", "/callback").Encode(),
		"a fragment":              loginForm("redirect_uri", "https://app.test/#a").Encode(),
		"another redirect_uri":    loginForm("client_id", "app", "redirect_uri", "https://app.test/callback/").Encode(),
		"two redirect_uris":       loginForm().Encode() + "&redirect_uri=https://evil.test",
		"two clients":             loginForm().Encode() + "&client_id=app",
		"a broken escape":         loginForm().Encode() + "&x=%zz",
	} {
		if status, target, _ := visit(t, issuer, query); status != http.StatusBadRequest || target != "" {
			t.Errorf("%s: %d, and it leads to %q", name, status, target)
		}
	}
	for name, test := range map[string]struct{ query, want string }{
		"no response_type":      {loginForm("response_type", "").Encode(), "invalid_request"},
		"the implicit grant":    {loginForm("response_type", "token").Encode(), "unsupported_response_type"},
		"no challenge":          {loginForm("code_challenge", "").Encode(), "invalid_request"},
		"a challenge too short": {loginForm("code_challenge", strings.Repeat("c", 42)).Encode(), "invalid_request"},
		"a challenge too long":  {loginForm("code_challenge", strings.Repeat("c", 44)).Encode(), "invalid_request"},
		"a challenge with a +":  {loginForm("code_challenge", strings.Repeat("+", 43)).Encode(), "invalid_request"},
		"no method":             {loginForm("code_challenge_method", "").Encode(), "invalid_request"},
		"the method plain":      {loginForm("code_challenge_method", "plain").Encode(), "invalid_request"},
		"a scope that is none":  {loginForm("scope", `"`).Encode(), "invalid_scope"},
		"a bad resource":        {loginForm("resource", "billing").Encode(), "invalid_target"},
		"a parameter twice":     {loginForm().Encode() + "&scope=a&scope=a", "invalid_request"},
	} {
		status, target, back := visit(t, issuer, test.query)
		if status != http.StatusFound || target != "https://app.test/callback" || back.Get("error") != test.want ||
			back.Has("code") || back.Get("state") != "xyz" || back.Get("iss") != issuer.URL() {
			t.Errorf("%s: %d, it leads to %s with %v", name, status, target, back)
		}
	}
	if _, _, back := visit(t, issuer, loginForm().Encode()+"&state=abc"); back.Has("state") || back.Get("error") != "invalid_request" {
		t.Errorf("two states: it leads back with %v", back)
	}
}

func TestACodeIsGoodForWhomAndWhatItWasMadeFor(t *testing.T) {
	for _, test := range []struct {
		name    string
		wait    time.Duration
		changes []string
		as      func(*http.Request)
		want    string
	}{
		{"as it should be", time.Minute - time.Nanosecond, nil, asOrders, "200"},
		{"after a minute", time.Minute, nil, asOrders, "400 invalid_grant"},
		{"another client", 0, nil, basic("billing", "another"), "400 invalid_grant"},
		{"another redirect_uri", 0, []string{"redirect_uri", "https://app.test/callback/"}, asOrders, "400 invalid_grant"},
		{"another verifier", 0, []string{"code_verifier", strings.Repeat("w", 43)}, asOrders, "400 invalid_grant"},
		{"the challenge for a verifier", 0, []string{"code_verifier", challenge(verifier)}, asOrders, "400 invalid_grant"},
		{"a wider scope", 0, []string{"scope", "a c"}, asOrders, "400 invalid_scope"},
		{"another resource", 0, []string{"resource", "https://other.test"}, asOrders, "400 invalid_target"},
		{"a part of it", 0, []string{"resource", "https://a.test"}, asOrders, "200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := newAuthServer()
				query := loginForm("scope", "a b")
				query["resource"] = []string{"https://a.test", "https://b.test"}
				_, _, back := visit(t, issuer, query.Encode())
				<-time.After(max(1, test.wait))
				form := fields("grant_type", "authorization_code", "code", back.Get("code"),
					"redirect_uri", "https://app.test/callback", "code_verifier", verifier)
				got := post(t, issuer, "/token", with(form, test.changes...), test.as)
				if got.outcome() != test.want {
					t.Errorf("it answers %s, want %s", got.outcome(), test.want)
				}
				if issuer.Sessions() != map[bool]int{true: 1}[test.want == "200"] {
					t.Errorf("there are %d sessions", issuer.Sessions())
				}
			})
		})
	}
}

// A verifier may have from 43 to 128 characters, of those that a URL need not escape (RFC 7636 section 4.1).
func TestAVerifierHasTheFormOfOne(t *testing.T) {
	for name, test := range map[string]struct {
		verifier string
		want     string
	}{
		"42":        {strings.Repeat("v", 42), "400 invalid_grant"},
		"43":        {strings.Repeat("v", 39) + "-._~", "200"},
		"128":       {strings.Repeat("v", 128), "200"},
		"129":       {strings.Repeat("v", 129), "400 invalid_grant"},
		"a space":   {strings.Repeat("v", 50) + " ", "400 invalid_grant"},
		"a plus":    {strings.Repeat("v", 50) + "+", "400 invalid_grant"},
		"non-ASCII": {strings.Repeat("\u00e4", 50), "400 invalid_grant"},
	} {
		issuer := newAuthServer()
		form := login(t, issuer, "code_challenge", challenge(test.verifier))
		if got := post(t, issuer, "/token", with(form, "code_verifier", test.verifier), asOrders); got.outcome() != test.want {
			t.Errorf("%s: it answers %s, want %s", name, got.outcome(), test.want)
		}
	}
}

func TestASecondUseOfACodeEndsWhatTheFirstBegan(t *testing.T) {
	issuer := newAuthServer()
	form := login(t, issuer)
	got, _ := token(t, issuer, form, asOrders)
	if again := post(t, issuer, "/token", form, basic("billing", "another")); again.outcome() != "400 invalid_grant" || issuer.Sessions() != 1 {
		t.Errorf("another client's use answers %s, %d sessions are left", again.outcome(), issuer.Sessions())
	}
	if again := post(t, issuer, "/token", form, asOrders); again.outcome() != "400 invalid_grant" || issuer.Sessions() != 0 {
		t.Errorf("the second use answers %s, %d sessions are left", again.outcome(), issuer.Sessions())
	}
	if again := post(t, issuer, "/token", refreshForm(got.text("refresh_token")), asOrders); again.outcome() != "400 invalid_grant" {
		t.Errorf("its refresh token answers %s", again.outcome())
	}
}

func TestARefreshTokenIsGoodForOneUse(t *testing.T) {
	issuer := newAuthServer()
	first := issuer.NewSession("orders", "alice", "a", "b")
	other := issuer.NewSession("orders", "bob")
	got, claims := token(t, issuer, refreshForm(first), asOrders)
	has(t, "the token", claims, map[string]any{"sub": "alice", "client_id": "orders", "scope": "a b"})
	second := got.text("refresh_token")
	got, _ = token(t, issuer, refreshForm(second), asOrders)
	third := got.text("refresh_token")
	if second == first || third == second || third == "" {
		t.Error("a refresh token did not change")
	}
	for name, token := range map[string]string{"the first": first, "the second": second, "the third": third} {
		if issuer.Revoked(token) {
			t.Errorf("%s is revoked", name)
		}
	}
	if again := post(t, issuer, "/token", refreshForm(first), asOrders); again.outcome() != "400 invalid_grant" {
		t.Errorf("a second use answers %s", again.outcome())
	}
	if again := post(t, issuer, "/token", refreshForm(third), asOrders); again.outcome() != "400 invalid_grant" {
		t.Errorf("the session goes on after a second use: %s", again.outcome())
	}
	if !issuer.Revoked(third) || issuer.Sessions() != 1 {
		t.Errorf("the session has not ended; there are %d", issuer.Sessions())
	}
	token(t, issuer, refreshForm(other), asOrders)
}

func TestAFixedRefreshTokenStays(t *testing.T) {
	issuer := newAuthServer(bearertest.FixedRefreshTokens())
	refresh := issuer.NewSession("orders", "alice")
	for range 3 {
		got, _ := token(t, issuer, refreshForm(refresh), asOrders)
		has(t, "the answer", got.members, map[string]any{"refresh_token": nil})
	}
	if got, _ := token(t, issuer, login(t, issuer), asOrders); got.text("refresh_token") == "" {
		t.Error("a login gives no refresh token")
	}
}

// What a refused request leaves as it was: the refresh token is good for the next.
func TestARefusedRefreshUsesNothingUp(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes []string
		as      func(*http.Request)
		want    string
	}{
		{"another client", nil, basic("billing", "another"), "400 invalid_grant"},
		{"a wider scope", []string{"scope", "a b c"}, asOrders, "400 invalid_scope"},
		{"a scope that is none", []string{"scope", `a"`}, asOrders, "400 invalid_scope"},
		{"a bad resource", []string{"resource", "billing"}, asOrders, "400 invalid_target"},
		{"a wrong secret", nil, basic("orders", "wrong"), "401 invalid_client"},
	} {
		t.Run(test.name, func(t *testing.T) {
			issuer := newAuthServer()
			refresh := issuer.NewSession("orders", "alice", "a", "b")
			if got := post(t, issuer, "/token", refreshForm(refresh, test.changes...), test.as); got.outcome() != test.want {
				t.Errorf("it answers %s, want %s", got.outcome(), test.want)
			}
			token(t, issuer, refreshForm(refresh), asOrders)
		})
	}
}

// One use can ask for less than was granted, and the next has all of it again (RFC 6749 section 6).
func TestARefreshCanAskForLess(t *testing.T) {
	issuer := newAuthServer()
	refresh := issuer.NewSession("orders", "alice", "a", "b")
	got, claims := token(t, issuer, refreshForm(refresh, "scope", "b", "resource", "https://x.test"), asOrders)
	has(t, "the token", claims, map[string]any{"scope": "b", "aud": "https://x.test"})
	_, claims = token(t, issuer, refreshForm(got.text("refresh_token")), asOrders)
	has(t, "the next token", claims, map[string]any{"scope": "a b", "aud": "https://api.test"})
}

func TestSessionsAreMadeCountedAndEnded(t *testing.T) {
	issuer := newAuthServer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"}))
	alice, bob, carol := issuer.NewSession("orders", "alice"), issuer.NewSession("spa", "bob"), issuer.NewSession("orders", "carol")
	if issuer.Sessions() != 3 {
		t.Errorf("there are %d sessions, want 3", issuer.Sessions())
	}
	got, claims := token(t, issuer, refreshForm(alice), asOrders)
	has(t, "the token", claims, map[string]any{"scope": "orders:read"})
	issuer.EndSessions("alice", "nobody")
	if issuer.Sessions() != 2 || !issuer.Revoked(got.text("refresh_token")) || issuer.Revoked(bob) {
		t.Errorf("there are %d sessions, want 2", issuer.Sessions())
	}
	if again := post(t, issuer, "/token", refreshForm(got.text("refresh_token")), asOrders); again.outcome() != "400 invalid_grant" {
		t.Errorf("an ended session answers %s", again.outcome())
	}
	token(t, issuer, refreshForm(bob, "client_id", "spa"))
	issuer.EndSessions()
	if issuer.Sessions() != 0 || !issuer.Revoked(carol) || issuer.Revoked("unknown") {
		t.Errorf("there are %d sessions, want none", issuer.Sessions())
	}
}

func TestAnExchangeKeepsTheSubject(t *testing.T) {
	issuer := newAuthServer()
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

	issuer = newAuthServer()
	user = issuer.Token()
	form = fields("grant_type", exchangeGrant, "subject_token", user, "subject_token_type", accessTokenURN)
	revoked := issuer.Token(bearertest.Claims{"client_id": "orders"})
	post(t, issuer, "/revoke", fields("token", revoked), asOrders)
	for name, form := range map[string]url.Values{
		"no type":                 with(form, "subject_token_type", ""),
		"a type that is not here": with(form, "subject_token_type", refreshURN),
		"no token at all":         with(form, "subject_token", ""),
		"a text":                  with(form, "subject_token", "x.y.z"),
		"another issuer's":        with(form, "subject_token", newAuthServer().Token()),
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

func TestRevocation(t *testing.T) {
	issuer := newAuthServer()
	refresh, kept := issuer.NewSession("orders", "alice"), issuer.NewSession("orders", "bob")
	public := issuer.NewSession("spa", "carol")
	got, _ := token(t, issuer, refreshForm(refresh), asOrders)
	access, next := got.text("access_token"), got.text("refresh_token")
	for _, test := range []struct {
		name    string
		form    url.Values
		as      func(*http.Request)
		want    string
		revoked string
		live    int
	}{
		{"nothing", url.Values{}, asOrders, "400 invalid_request", "", 3},
		{"an unknown token", fields("token", "unknown"), asOrders, "200", "", 3},
		{"nobody", fields("token", next), func(*http.Request) {}, "401 invalid_client", "", 3},
		{"another's refresh token", fields("token", next), basic("billing", "another"), "400 invalid_grant", "", 3},
		{"another's access token", fields("token", access), basic("billing", "another"), "400 invalid_grant", "", 3},
		{"an access token", fields("token", access, "token_type_hint", "refresh_token"), asOrders, "200", access, 3},
		{"a used refresh token", fields("token", refresh), asOrders, "200", next, 2},
		{"once more", fields("token", next, "token_type_hint", "refresh_token"), asOrders, "200", next, 2},
		{"an unknown type", fields("token", kept, "token_type_hint", "x"), asOrders, "200", kept, 1},
		{"a public client", fields("token", public, "client_id", "spa"), func(*http.Request) {}, "200", public, 0},
	} {
		got := post(t, issuer, "/revoke", test.form, test.as)
		if got.outcome() != test.want || issuer.Sessions() != test.live || test.revoked != "" && !issuer.Revoked(test.revoked) {
			t.Errorf("%s: it answers %s, %d sessions are left", test.name, got.outcome(), issuer.Sessions())
		}
		if test.name == "another's access token" && issuer.Revoked(access) {
			t.Error("another client's access token is revoked")
		}
	}
	if got := post(t, issuer, "/token", refreshForm(next), asOrders); got.outcome() != "400 invalid_grant" {
		t.Errorf("a revoked session answers %s", got.outcome())
	}
}

func TestRefuse(t *testing.T) {
	for code, want := range map[string]string{
		"invalid_client":          "401 invalid_client",
		"invalid_grant":           "400 invalid_grant",
		"temporarily_unavailable": "503 temporarily_unavailable",
		"server_error":            "500 server_error",
		"consent required!":       "400 consent required!",
	} {
		issuer := newAuthServer()
		refresh, redeem := issuer.NewSession("orders", "alice"), login(t, issuer)
		issuer.Refuse(code)
		for _, form := range []url.Values{refreshForm(refresh), redeem} {
			if got := post(t, issuer, "/token", form, asOrders); got.outcome() != want {
				t.Errorf("the token endpoint answers %s, want %s", got.outcome(), want)
			}
		}
		if got := post(t, issuer, "/revoke", fields("token", refresh), asOrders); got.outcome() != want {
			t.Errorf("the revocation endpoint answers %s, want %s", got.outcome(), want)
		}
		if _, target, back := visit(t, issuer, loginForm().Encode()); target != "https://app.test/callback" ||
			back.Get("error") != code || back.Has("code") {
			t.Errorf("the user is sent to %s with %v", target, back)
		}
		if status, _, _ := visit(t, issuer, loginForm("client_id", "nobody").Encode()); status != http.StatusBadRequest {
			t.Errorf("an unknown client gets %d", status)
		}
		if err := verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
			t.Errorf("the keys have suffered: %v", err)
		}
		issuer.SetFault(bearertest.NoFault)
		token(t, issuer, refreshForm(refresh), asOrders)
		token(t, issuer, redeem, asOrders)
	}
}

// What each fault makes of a request for a token, how long that takes, and whether the refresh token in it was used up.
func TestEveryFaultAtTheTokenEndpoint(t *testing.T) {
	const gone, right = "no answer", "200"
	for fault, test := range map[bearertest.Fault]struct {
		want  string
		after time.Duration
		used  bool
	}{
		bearertest.NoFault:                {right, 0, true},
		bearertest.Down:                   {"503", 0, false},
		bearertest.Busy(90 * time.Second): {"429", 0, false},
		bearertest.Slow(7 * time.Second):  {right, 7 * time.Second, true},
		bearertest.Hang:                   {gone, time.Minute, false},
		bearertest.Mute:                   {gone, 0, true},
		bearertest.Drip:                   {gone, time.Minute, true},
		bearertest.HTML200:                {"200 text/html", 0, false},
		bearertest.Redirect:               {"307", 0, false},
		bearertest.EmptyKeys:              {right, 0, true},
	} {
		t.Run(cmp.Or(string(fault), "none"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := newAuthServer()
				refresh := issuer.NewSession("orders", "alice")
				issuer.SetFault(fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				client := issuer.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				got, err := exchange(client, formRequest(ctx, issuer.URL()+"/token", refreshForm(refresh).Encode(), asOrders))
				outcome := fmt.Sprint(got.StatusCode)
				if strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") && got.StatusCode == http.StatusOK {
					outcome = "200 text/html"
				}
				if err != nil {
					outcome = gone
				}
				if outcome != test.want || time.Since(start) != test.after {
					t.Errorf("the outcome is %s after %v", outcome, time.Since(start))
				}
				if after := got.Header.Get("Retry-After"); (after == "90") != (fault == bearertest.Busy(90*time.Second)) {
					t.Errorf("Retry-After is %q", after)
				}
				if issuer.TokenRequests() != 1 {
					t.Errorf("%d requests are counted", issuer.TokenRequests())
				}
				issuer.SetFault(bearertest.NoFault)
				want := map[bool]string{true: "400 invalid_grant", false: "200"}[test.used]
				if next := post(t, issuer, "/token", refreshForm(refresh), asOrders); next.outcome() != want {
					t.Errorf("the next use answers %s, want %s", next.outcome(), want)
				}
				if issuer.TokenRequests() != 2 {
					t.Errorf("%d requests are counted", issuer.TokenRequests())
				}
			})
		})
	}
}

// Huge is a case of its own: the right answer is in front.
func TestHugeAtTheTokenEndpoint(t *testing.T) {
	issuer := newAuthServer()
	issuer.SetFault(bearertest.Huge)
	response, err := issuer.Client().Do(formRequest(t.Context(), issuer.URL()+"/token", "grant_type=client_credentials", asOrders))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || len(body) != 1<<20 || !json.Valid(bytes.TrimSpace(body)) || !bytes.Contains(body, []byte("access_token")) {
		t.Errorf("the body begins with %.100q, %v", body, err)
	}
}

// A client that follows hands its secret to another origin: it is found out by the counter.
func TestRedirectKeepsAPost(t *testing.T) {
	issuer := newAuthServer()
	issuer.SetFault(bearertest.Redirect)
	form := fields("grant_type", "client_credentials", "client_id", "orders", "client_secret", "s3cret")
	got, _ := token(t, issuer, form)
	if got.Request.URL.Host != "elsewhere.test" || issuer.TokenRequests() != 2 {
		t.Errorf("%s answered; %d requests are counted", got.Request.URL.Host, issuer.TokenRequests())
	}
}

// Many who use one refresh token at once are as good as a thief: one gets a token, and the session ends.
func TestConcurrentUsesOfARefreshToken(t *testing.T) {
	issuer := newAuthServer()
	refresh := issuer.NewSession("orders", "alice")
	var group sync.WaitGroup
	outcomes := make(chan string, 20)
	for range cap(outcomes) {
		group.Go(func() {
			outcomes <- post(t, issuer, "/token", refreshForm(refresh), asOrders).outcome()
			_, _ = issuer.Sessions(), issuer.TokenRequests()
		})
	}
	group.Wait()
	close(outcomes)
	count := make(map[string]int)
	for outcome := range outcomes {
		count[outcome]++
	}
	if count["200"] != 1 || count["400 invalid_grant"] != 19 || issuer.Sessions() != 0 || issuer.TokenRequests() != 20 {
		t.Errorf("the outcomes are %v, %d sessions are left, %d requests are counted", count, issuer.Sessions(), issuer.TokenRequests())
	}
}

func TestAnErrorShowsNothingOfTheRequest(t *testing.T) {
	issuer := newAuthServer()
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
		if got := post(t, issuer, "/token", form, asOrders); got.StatusCode < 400 || bytes.Contains(got.body, []byte("canary")) {
			t.Errorf("%v: it answers %s", form, got.body)
		}
	}
}

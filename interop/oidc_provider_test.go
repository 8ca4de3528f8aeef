package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/bearer-go/bearer"
)

const (
	orders   = "https://api.example.com/orders"   // the API that the handlers protect
	invoices = "https://api.example.com/invoices" // another one of the same provider
)

// The provider has a client for each of these, named after the algorithm that signs its tokens.
// EdDSA (RFC 8037) and Ed25519 (RFC 9864) are two names of one algorithm.
var algorithms = []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519"}

func TestTokensOfARealProvider(t *testing.T) {
	issuer := startProvider(t)
	for name, mount := range frameworks {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(mount(newMiddleware(t, issuer)))
			t.Cleanup(api.Close)
			for _, algorithm := range algorithms {
				t.Run(algorithm, func(t *testing.T) { testTokens(t, api.URL, client{issuer, algorithm}) })
			}
		})
	}
}

func testTokens(t *testing.T, api string, from client) {
	good := from.token(t, "orders:read", orders)
	if got := part(t, good, header)["alg"]; got != from.id {
		t.Fatalf("the provider signed with %v", got)
	}
	for _, path := range []string{"/me", "/orders"} {
		if got := expect(t, "a good token", api+path, good, http.StatusOK); got.Subject != from.id || !slices.Contains(got.Scopes, "orders:read") {
			t.Errorf("GET %s answered %+v", path, got)
		}
	}

	withoutScope := from.token(t, "", orders)
	expect(t, "no scope", api+"/me", withoutScope, http.StatusOK)
	expect(t, "no scope", api+"/orders", withoutScope, http.StatusForbidden, `error="insufficient_scope"`, `scope="orders:read"`)

	for name, bad := range map[string]string{
		"another subject":              rewrite(t, good, payload, "sub", "admin"),
		"a scope added":                rewrite(t, withoutScope, payload, "scope", "orders:read"),
		"another key":                  rewrite(t, good, header, "kid", "another"),
		"alg none":                     unsigned(rewrite(t, good, header, "alg", "none")),
		"no signature":                 unsigned(good),
		"the signature of another one": unsigned(good) + strings.TrimPrefix(withoutScope, unsigned(withoutScope)),
		"for another API":              from.token(t, "orders:read", invoices),
		"opaque":                       from.token(t, "orders:read", ""),
	} {
		expect(t, name, api+"/me", bad, http.StatusUnauthorized, `error="invalid_token"`)
		expect(t, name, api+"/orders", bad, http.StatusUnauthorized, `error="invalid_token"`)
	}
}

// A client of golang.org/x/oauth2 needs no code for this library: it sends the token as RFC 6750
// says.
func TestOAuth2ClientIsServed(t *testing.T) {
	issuer := startProvider(t)
	for name, mount := range frameworks {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(mount(newMiddleware(t, issuer)))
			t.Cleanup(api.Close)

			config := client{issuer, "ES256"}.config("orders:read", orders)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := config.Client(t.Context()).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK {
				t.Errorf("status %d, want 200", response.StatusCode)
			}
		})
	}
}

// newMiddleware asks for RFC 9068 in full, because the provider claims to follow it.
func newMiddleware(t *testing.T, issuer string) *bearer.Middleware {
	t.Helper()
	auth, err := bearer.New(bearer.WithIssuer(issuer, orders, bearer.RFC9068()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	if err := auth.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return auth
}

// client is one of the provider's clients.
type client struct{ issuer, id string }

// config asks for a scope and a resource (RFC 8707); without a resource the provider issues opaque
// tokens.
func (c client) config(scope, resource string) *clientcredentials.Config {
	config := &clientcredentials.Config{ClientID: c.id, ClientSecret: "secret", TokenURL: c.issuer + "/token"}
	if scope != "" {
		config.Scopes = []string{scope}
	}
	if resource != "" {
		config.EndpointParams = url.Values{"resource": {resource}}
	}
	return config
}

func (c client) token(t *testing.T, scope, resource string) string {
	t.Helper()
	token, err := c.config(scope, resource).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

// expect sends the token and compares the status and the challenge: it has every part given, or is
// absent if none is.
func expect(t *testing.T, what, target, token string, status int, challenge ...string) (answer me) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()

	if response.StatusCode != status {
		t.Errorf("%s: GET %s: status %d, want %d", what, request.URL.Path, response.StatusCode, status)
	}
	got := response.Header.Get("WWW-Authenticate")
	if (got != "") != (len(challenge) > 0) {
		t.Errorf("%s: GET %s: WWW-Authenticate: %s", what, request.URL.Path, got)
	}
	for _, want := range challenge {
		if !strings.Contains(got, want) {
			t.Errorf("%s: GET %s: WWW-Authenticate: %s, want %s in it", what, request.URL.Path, got, want)
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Errorf("%s: GET %s: the body: %v", what, request.URL.Path, err)
	}
	return answer
}

// The parts of a JWT that hold JSON.
const (
	header  = 0
	payload = 1
)

// part decodes one part of a JWT.
func part(t *testing.T, token string, index int) (members map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts, want 3", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[index])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// rewrite gives one member of a part another value and leaves the signature as it is.
func rewrite(t *testing.T, token string, index int, member, value string) string {
	t.Helper()
	members := part(t, token, index)
	members[member] = value
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	parts[index] = base64.RawURLEncoding.EncodeToString(text)
	return strings.Join(parts, ".")
}

// unsigned returns a JWT up to its second dot: with an empty signature.
func unsigned(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }

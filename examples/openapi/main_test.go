package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func newService(t *testing.T, issuer *bearertest.Issuer) http.Handler {
	t.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
		bearer.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	handler, err := newHandler(auth, document)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func send(service http.Handler, method, path, token, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response := httptest.NewRecorder()
	service.ServeHTTP(response, request)
	return response
}

func TestOperationsDemandTheScopesOfTheDocument(t *testing.T) {
	issuer := bearertest.NewIssuer()
	service := newService(t, issuer)
	plain := issuer.Token()
	reader := issuer.Token(bearertest.Claims{"scope": "orders:read"})
	writer := issuer.Token(bearertest.Claims{"scope": "orders:read orders:write"})
	expired := issuer.Token(bearertest.Claims{"exp": time.Now().Add(-time.Hour)})
	for _, test := range []struct {
		name, method, path, token, body string
		status                          int
		want, challenge                 string // parts of them
	}{
		{"a public operation", http.MethodGet, "/version", "", "", http.StatusOK, "version 1", ""},
		{"the document's own requirement", http.MethodGet, "/me", plain, "", http.StatusOK, "You are alice.", ""},
		{"no token", http.MethodGet, "/me", "", "", http.StatusUnauthorized, "missing_token", "Bearer"},
		{"an expired token", http.MethodGet, "/me", expired, "", http.StatusUnauthorized, "token_expired", `error="invalid_token"`},
		{"the scope", http.MethodGet, "/orders/7", reader, "", http.StatusOK, "an order", ""},
		{"no token, and the scope in the challenge", http.MethodGet, "/orders/7", "", "", http.StatusUnauthorized, "missing_token", `Bearer scope="orders:read"`},
		{"without the scope", http.MethodGet, "/orders/7", plain, "", http.StatusForbidden, "insufficient_scope", `error="insufficient_scope"`},
		{"one of two scopes", http.MethodPut, "/orders/7", reader, `{"beans":1}`, http.StatusForbidden, "insufficient_scope", `scope="orders:read orders:write"`},
		{"both scopes", http.MethodPut, "/orders/7", writer, `{"beans":1}`, http.StatusOK, "changed", ""},
		{"an invalid body", http.MethodPut, "/orders/7", writer, `{"beans":"many"}`, http.StatusBadRequest, `"status":400`, ""},
		{"an invalid parameter", http.MethodGet, "/orders/seven", reader, "", http.StatusBadRequest, `"status":400`, ""},
		{"an invalid body without a token", http.MethodPut, "/orders/7", "", `{"beans":"many"}`, http.StatusUnauthorized, "missing_token", "Bearer"},
		{"a route that is not in the document", http.MethodGet, "/debug", writer, "", http.StatusNotFound, "", ""},
		{"a method that is not in the document", http.MethodDelete, "/orders/7", writer, "", http.StatusMethodNotAllowed, "", ""},
		{"a body that is too large", http.MethodPut, "/orders/7", writer, `{"beans":1` + strings.Repeat(" ", maxBodyBytes) + "}", http.StatusRequestEntityTooLarge, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := send(service, test.method, test.path, test.token, test.body)
			if response.Code != test.status || !strings.Contains(response.Body.String(), test.want) {
				t.Errorf("status %d, want %d with %q: %s", response.Code, test.status, test.want, response.Body)
			}
			challenge := response.Header().Get("WWW-Authenticate")
			if (challenge != "") != (test.challenge != "") || !strings.Contains(challenge, test.challenge) {
				t.Errorf("challenge %q, want %q", challenge, test.challenge)
			}
			if strings.Contains(response.Body.String(), "many") || strings.Contains(response.Body.String(), "seven") {
				t.Errorf("it quotes the request: %s", response.Body)
			}
		})
	}
}

func TestIssuerDown(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.SetFault(bearertest.Down)
	response := send(newService(t, issuer), http.MethodGet, "/me", issuer.Token(), "")
	if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, header %v", response.Code, response.Header())
	}
}

// A document that leaves the question open serves nothing.
func TestDocumentsThatLeaveSecurityOpen(t *testing.T) {
	auth, err := bearer.New(bearer.WithIssuer("https://login.example.com", "orders"))
	if err != nil {
		t.Fatal(err)
	}
	const asked = `security: [{oauth: ["orders:read"]}]`
	for name, change := range map[string][2]string{
		"no requirement anywhere": {"security:\n  - oauth: []", "x-nothing: true"},
		"alternatives":            {asked, `security: [{oauth: ["orders:read"]}, {oauth: ["orders:write"]}]`},
		"an optional token":       {asked, `security: [{}]`},
		"another scheme":          {"type: oauth2\n      flows:", "type: apiKey\n      in: header\n      name: X-Key\n      x-flows:"},
	} {
		changed := strings.Replace(document, change[0], change[1], 1)
		if changed == document {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := newHandler(auth, changed); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// The validator alone lets nothing through.
func TestValidatorWithoutGuard(t *testing.T) {
	issuer := bearertest.NewIssuer()
	parsed, err := parse(document)
	if err != nil {
		t.Fatal(err)
	}
	handler := validator(parsed)(newAPI())
	if response := send(handler, http.MethodGet, "/me", issuer.Token(), ""); response.Code != http.StatusUnauthorized {
		t.Errorf("status %d", response.Code)
	}
}

func TestServiceWithstandsAttacks(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"}))
	bearertest.Attack(t, newService(t, issuer), issuer, bearertest.WithRequest(func() *http.Request {
		return httptest.NewRequest(http.MethodGet, "/orders/7", nil)
	}))
}

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// newService is the program's own handler, trusting an issuer of the test's own. No socket is
// opened for either.
func newService(t *testing.T, issuer *bearertest.Issuer) http.Handler {
	t.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		t.Fatal(err)
	}
	return newHandler(auth)
}

func TestServiceAdmitsWhoMayAndNobodyElse(t *testing.T) {
	issuer := bearertest.NewIssuer()
	service := newService(t, issuer)
	reader := issuer.Token(bearertest.Claims{"scope": "orders:read"})
	writer := issuer.Token(bearertest.Claims{"scope": "orders:write"})
	for _, test := range []struct {
		name, path, token string
		status            int
		body              string
	}{
		{"who you are", "/me", writer, http.StatusOK, "You are alice.\n"},
		{"orders with the scope", "/orders", reader, http.StatusOK, "espresso machine, coffee beans\n"},
		{"orders with another scope", "/orders", writer, http.StatusForbidden, ""},
		{"orders without a token", "/orders", "", http.StatusUnauthorized, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, test.path, nil)
			if test.token != "" {
				request.Header.Set("Authorization", "Bearer "+test.token)
			}
			response := httptest.NewRecorder()
			service.ServeHTTP(response, request)
			if response.Code != test.status {
				t.Errorf("GET %s: status %d, want %d: %s", test.path, response.Code, test.status, response.Body)
			}
			if test.body != "" && response.Body.String() != test.body {
				t.Errorf("GET %s: body %q, want %q", test.path, response.Body, test.body)
			}
		})
	}
}

// Attack tries what attackers try. It needs tokens that are good on the route: those of this issuer
// carry the scope.
func TestServiceWithstandsAttacks(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"}))
	bearertest.Attack(t, newService(t, issuer), issuer, bearertest.WithRequest(func() *http.Request {
		return httptest.NewRequest(http.MethodGet, "/orders", nil)
	}))
}

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func TestCORSStandsOutsideTheGuard(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"}))
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		t.Fatal(err)
	}
	const app = "https://app.example.com"
	handler := newHandler(auth, app)

	const other = "https://evil.example"
	for _, test := range []struct {
		name, method, origin, token string
		preflight                   bool
		status                      int
		allowed                     string // Access-Control-Allow-Origin
	}{
		{"a preflight request carries no token and passes", http.MethodOptions, app, "", true, http.StatusNoContent, app},
		{"an answer", http.MethodGet, app, issuer.Token(), false, http.StatusOK, app},
		{"a refusal carries the headers as well", http.MethodGet, app, "", false, http.StatusUnauthorized, app},
		{"another origin gets none", http.MethodGet, other, issuer.Token(), false, http.StatusOK, ""},
		{"another origin's preflight neither", http.MethodOptions, other, "", true, http.StatusMethodNotAllowed, ""},
		{"OPTIONS that is no preflight", http.MethodOptions, app, "", false, http.StatusMethodNotAllowed, app},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, "/orders", nil)
			request.Header.Set("Origin", test.origin)
			if test.token != "" {
				request.Header.Set("Authorization", "Bearer "+test.token)
			}
			if test.preflight {
				request.Header.Set("Access-Control-Request-Method", http.MethodGet)
				request.Header.Set("Access-Control-Request-Headers", "authorization")
			}
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, request)
			if response.Code != test.status {
				t.Errorf("status %d, want %d: %s", response.Code, test.status, response.Body)
			}
			if got := response.Header().Get("Access-Control-Allow-Origin"); got != test.allowed {
				t.Errorf("Access-Control-Allow-Origin %q, want %q", got, test.allowed)
			}
		})
	}
}

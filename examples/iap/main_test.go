package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

const audience = "/projects/123456789/global/backendServices/987654321"

// proxy signs as the proxy does, and publishes its keys at their place.
type proxy struct {
	*bearertest.Issuer
	down bool
}

func newProxy() *proxy {
	return &proxy{Issuer: bearertest.NewIssuer(
		bearertest.WithURL("https://cloud.google.com/iap"),
		bearertest.WithAudience(audience),
		bearertest.WithDefaultClaims(bearertest.Claims{
			"sub": "accounts.google.com:1000", "client_id": nil, "email": "ada@example.com", "hd": "example.com",
		}),
	)}
}

func (p *proxy) assertion(claims ...bearertest.Claims) string {
	return p.Sign(bearertest.Claims{"typ": "JWT"}, claims...)
}

func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Header: make(http.Header), Request: r}
	switch {
	case p.down:
		answer.StatusCode = http.StatusServiceUnavailable
	case r.URL.String() == "https://www.gstatic.com/iap/verify/public_key-jwk":
		answer.StatusCode = http.StatusOK
		answer.Body = io.NopCloser(bytes.NewReader(p.KeySet()))
	}
	return answer, nil
}

func newService(t *testing.T, p *proxy) http.Handler {
	t.Helper()
	auth, err := newAuth(audience, bearer.WithHTTPClient(&http.Client{Transport: p}), bearer.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	handler, err := newHandler(auth, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func get(service http.Handler, path string, header http.Header) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header = header
	response := httptest.NewRecorder()
	service.ServeHTTP(response, request)
	return response
}

func TestServiceAdmitsWhomTheProxyLoggedIn(t *testing.T) {
	p := newProxy()
	service := newService(t, p)
	assertions := func(values ...string) http.Header { return http.Header{"X-Goog-Iap-Jwt-Assertion": values} }
	good := p.assertion()
	for _, test := range []struct {
		name   string
		header http.Header
		status int
		body   string // a part of it
	}{
		{"a person of the domain", assertions(good), http.StatusOK, "You are ada@example.com."},
		{"with an Authorization header of the application's", http.Header{"X-Goog-Iap-Jwt-Assertion": {good}, "Authorization": {"Basic YTpi"}}, http.StatusOK, "You are ada"},
		{"around the proxy", nil, http.StatusUnauthorized, "missing_token"},
		{"around the proxy, with the other headers", http.Header{"X-Goog-Authenticated-User-Email": {"accounts.google.com:ada@example.com"}}, http.StatusUnauthorized, "missing_token"},
		{"the token elsewhere", http.Header{"Authorization": {"Bearer " + good}}, http.StatusUnauthorized, ""},
		{"twice", assertions(good, good), http.StatusBadRequest, "multiple_tokens"},
		{"expired", assertions(p.assertion(bearertest.Claims{"exp": time.Now().Add(-time.Hour)})), http.StatusUnauthorized, "token_expired"},
		{"for another service behind the proxy", assertions(p.assertion(bearertest.Claims{"aud": "/projects/123456789/apps/other"})), http.StatusUnauthorized, "wrong_audience"},
		{"of another domain", assertions(p.assertion(bearertest.Claims{"hd": "example.net"})), http.StatusForbidden, "claim_mismatch"},
		{"of no domain", assertions(p.assertion(bearertest.Claims{"hd": nil})), http.StatusForbidden, "claim_mismatch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := get(service, "/", test.header)
			if response.Code != test.status || !strings.Contains(response.Body.String(), test.body) {
				t.Errorf("status %d, want %d with %q: %s", response.Code, test.status, test.body, response.Body)
			}
		})
	}
	if response := get(service, "/readyz", nil); response.Code != http.StatusOK {
		t.Errorf("status %d for a probe", response.Code)
	}
}

func TestIssuerDown(t *testing.T) {
	p := newProxy()
	p.down = true
	response := get(newService(t, p), "/", http.Header{"X-Goog-Iap-Jwt-Assertion": {p.assertion()}})
	if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, header %v", response.Code, response.Header())
	}
}

// An unset DOMAIN is a mistake, and lets no one in.
func TestNoDomain(t *testing.T) {
	auth, err := newAuth(audience)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newHandler(auth, ""); err == nil {
		t.Error("a service for no domain")
	}
}

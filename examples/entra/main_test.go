package main

import (
	"encoding/json"
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

const (
	contoso  = "11111111-2222-4333-8444-555555555555"
	fabrikam = "99999999-2222-4333-8444-555555555555"
	stranger = "77777777-2222-4333-8444-555555555555"
	personal = "9188040d-6c67-4c5b-b112-36a304b66dad" // the tenant of personal accounts
)

func issuerOf(tenant string) string { return "https://login.microsoftonline.com/" + tenant + "/v2.0" }

// entra publishes one key set for all tenants. One of its keys is for personal accounts alone.
type entra struct {
	shared, personal *bearertest.Issuer
	down             bool
}

func newEntra() *entra {
	opts := []bearertest.IssuerOption{
		bearertest.WithAlgorithm("RS256"), bearertest.WithAudience("orders"),
		bearertest.WithDefaultClaims(bearertest.Claims{"client_id": nil, "oid": "ada", "ver": "2.0", "scp": "Orders.Read"}),
	}
	return &entra{shared: bearertest.NewIssuer(opts...), personal: bearertest.NewIssuer(opts...)}
}

func token(issuer *bearertest.Issuer, tenant string, claims ...bearertest.Claims) string {
	claims = append([]bearertest.Claims{{"iss": issuerOf(tenant), "tid": tenant}}, claims...)
	return issuer.Sign(bearertest.Claims{"typ": "JWT"}, claims...)
}

func (e *entra) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.down {
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
	}
	var keys []map[string]any
	for tenant, issuer := range map[string]*bearertest.Issuer{"{tenantid}": e.shared, personal: e.personal} {
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(issuer.KeySet(), &set); err != nil {
			return nil, err
		}
		for _, key := range set.Keys {
			key["issuer"] = issuerOf(tenant)
			keys = append(keys, key)
		}
	}
	body, err := json.Marshal(map[string]any{"keys": keys})
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(body))), Request: r,
	}, err
}

func newService(t *testing.T, e *entra, tenants *customers) http.Handler {
	t.Helper()
	auth, err := newAuth("orders", tenants, bearer.WithHTTPClient(&http.Client{Transport: e}),
		bearer.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return newHandler(auth)
}

func get(service http.Handler, path, token string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response := httptest.NewRecorder()
	service.ServeHTTP(response, request)
	return response
}

func TestServiceAdmitsTheTenantsOfCustomers(t *testing.T) {
	e := newEntra()
	tenants := new(customers)
	tenants.set([]string{contoso, fabrikam, personal})
	service := newService(t, e, tenants)
	program := bearertest.Claims{"scp": nil, "roles": []string{"Orders.Read.All"}}
	for _, test := range []struct {
		name, path, token string
		status            int
		body              string // a part of it
	}{
		{"a person", "/orders", token(e.shared, contoso), http.StatusOK, "the orders of ada in " + contoso},
		{"another customer's person", "/orders", token(e.shared, fabrikam), http.StatusOK, "in " + fabrikam},
		{"a program", "/export", token(e.shared, contoso, program), http.StatusOK, "in " + contoso},
		{"a personal account", "/orders", token(e.personal, personal), http.StatusOK, "in " + personal},
		{"none", "/orders", "", http.StatusUnauthorized, "missing_token"},
		{"expired", "/orders", token(e.shared, contoso, bearertest.Claims{"exp": time.Now().Add(-time.Hour)}), http.StatusUnauthorized, "token_expired"},
		{"a person for programs", "/export", token(e.shared, contoso), http.StatusForbidden, "insufficient_role"},
		{"a program for people", "/orders", token(e.shared, contoso, program), http.StatusForbidden, "insufficient_scope"},
		{"an ID token", "/orders", token(e.shared, contoso, bearertest.Claims{"scp": nil}), http.StatusUnauthorized, "not_an_access_token"},
		{"a tenant that is no customer", "/orders", token(e.shared, stranger), http.StatusUnauthorized, "unknown_issuer"},
		{"a tenant with a customer's tid", "/orders", token(e.shared, stranger, bearertest.Claims{"tid": contoso}), http.StatusUnauthorized, "unknown_issuer"},
		{"the key of personal accounts", "/orders", token(e.personal, contoso), http.StatusUnauthorized, "unknown_key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := get(service, test.path, test.token)
			if response.Code != test.status || !strings.Contains(response.Body.String(), test.body) {
				t.Errorf("status %d, want %d with %q: %s", response.Code, test.status, test.body, response.Body)
			}
		})
	}
}

// A tenant that is removed is refused at once, also with a token that was let through before. Before
// the tenants are known, nothing is decided.
func TestCustomersComeAndGo(t *testing.T) {
	e := newEntra()
	tenants := new(customers)
	service := newService(t, e, tenants)
	credential := token(e.shared, contoso)
	for _, step := range []struct {
		name    string
		tenants []string
		status  int
	}{
		{"not known yet", nil, http.StatusServiceUnavailable},
		{"a customer", []string{contoso, fabrikam}, http.StatusOK},
		{"no longer", []string{fabrikam}, http.StatusUnauthorized},
		{"again", []string{contoso}, http.StatusOK},
	} {
		if step.tenants != nil {
			tenants.set(step.tenants)
		}
		if response := get(service, "/orders", credential); response.Code != step.status {
			t.Errorf("%s: status %d, want %d: %s", step.name, response.Code, step.status, response.Body)
		}
	}
}

func TestIssuerDown(t *testing.T) {
	e := newEntra()
	e.down = true
	tenants := new(customers)
	tenants.set([]string{contoso})
	response := get(newService(t, e, tenants), "/orders", token(e.shared, contoso))
	if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, header %v", response.Code, response.Header())
	}
}

package oauthtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
)

// The parameters are those that Microsoft Entra ID documents for its on-behalf-of flow.
func TestOnBehalfOfGetsATokenOfTheCaller(t *testing.T) {
	issuer := newServer()
	caller := func(changes bearertest.Claims) string {
		return issuer.Token(bearertest.Claims{"sub": "bob", "aud": "orders"}, changes)
	}
	form := fields("grant_type", assertionGrant, "requested_token_use", "on_behalf_of", "assertion", caller(nil), "scope", "api://billing/read api://billing/write")
	for range 2 { // with one token as often as is needed
		_, claims := token(t, issuer, form, asOrders)
		has(t, "on behalf of bob", claims, map[string]any{"sub": "bob", "client_id": "orders", "aud": "api://billing", "scope": "read write"})
	}
	for name, test := range map[string]struct {
		pairs []string
		as    func(*http.Request)
		want  string
	}{
		"a token for another":     {[]string{"assertion", caller(bearertest.Claims{"aud": "billing"})}, asOrders, "400 invalid_grant"},
		"an expired one":          {[]string{"assertion", caller(bearertest.Claims{"exp": time.Now().Add(-time.Second)})}, asOrders, "400 invalid_grant"},
		"without a subject":       {[]string{"assertion", caller(bearertest.Claims{"sub": nil})}, asOrders, "400 invalid_grant"},
		"no token":                {[]string{"assertion", "a.b.c"}, asOrders, "400 invalid_grant"},
		"nothing":                 {[]string{"assertion", ""}, asOrders, "400 invalid_request"},
		"a scope of no service":   {[]string{"scope", "read"}, asOrders, "400 invalid_scope"},
		"scopes of two services":  {[]string{"scope", "a/read b/read"}, asOrders, "400 invalid_scope"},
		"no scope":                {[]string{"scope", ""}, asOrders, "400 invalid_scope"},
		"no client":               {nil, func(*http.Request) {}, "401 invalid_client"},
		"a public one":            {[]string{"client_id", "spa"}, func(*http.Request) {}, "401 invalid_client"},
		"another use of the name": {[]string{"requested_token_use", "none"}, asOrders, "400 invalid_grant"},
	} {
		if got := post(t, issuer, "/token", with(form, test.pairs...), test.as); got.outcome() != test.want {
			t.Errorf("%s: %s, want %s", name, got.outcome(), test.want)
		}
	}
	revoked := caller(bearertest.Claims{"client_id": "orders"})
	post(t, issuer, "/revoke", fields("token", revoked), asOrders)
	if got := post(t, issuer, "/token", with(form, "assertion", revoked), asOrders); got.outcome() != "400 invalid_grant" {
		t.Errorf("a revoked one: %s", got.outcome())
	}
}

package oauthtest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/internal/jws"
)

// An ID token has the hash of the access token that it came with, and the claims of the option.
func TestIDTokenHasItsHashAndMoreClaims(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		issuer := newServerOf(bearertest.NewIssuer(bearertest.WithAlgorithm(algorithm)),
			oauthtest.WithIDTokenClaims(bearertest.Claims{"email": "a@example.com", "auth_time": nil}))
		got, _ := token(t, issuer, login(t, issuer, "scope", "openid"), asOrders)
		_, members := issuertest.Parts(t, got.text("id_token"))
		named, _ := jws.Lookup(algorithm)
		has(t, "the ID token", members[1], map[string]any{
			"email": "a@example.com", "auth_time": nil, "sub": "alice", "at_hash": named.HalfHash(got.text("access_token")),
		})
	}
}

// The userinfo endpoint answers for access tokens of the server that are good, and for no others.
func TestUserInfoEndpoint(t *testing.T) {
	issuer := newServer(oauthtest.WithUserInfo(bearertest.Claims{"email": "a@example.com"}))
	got, _ := token(t, issuer, login(t, issuer, "scope", "openid"), asOrders)
	other := bearertest.NewIssuer()
	ask := func(method, authorization string) issuertest.Answer {
		request := issuertest.Request(t.Context(), method, issuer.URL()+"/userinfo", http.NoBody)
		request.Header.Set("Authorization", authorization)
		got, err := issuertest.Exchange(issuer.Client(), request)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	access := got.text("access_token")
	good := ask(http.MethodGet, "Bearer "+access)
	if good.StatusCode != http.StatusOK || !strings.Contains(string(good.Content), `"sub":"alice"`) || !strings.Contains(string(good.Content), `"email":"a@example.com"`) {
		t.Errorf("status %d, %s", good.StatusCode, good.Content)
	}
	for name, authorization := range map[string]string{
		"none": "", "another scheme": "Basic " + access, "an ID token": "Bearer " + got.text("id_token"), "another issuer's": "Bearer " + other.Token(),
		"expired": "Bearer " + issuer.Token(bearertest.Claims{"exp": 1}),
	} {
		if refused := ask(http.MethodGet, authorization); refused.StatusCode != http.StatusUnauthorized || refused.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: status %d", name, refused.StatusCode)
		}
	}
	if posted := ask(http.MethodPost, "Bearer "+access); posted.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", posted.StatusCode)
	}
}

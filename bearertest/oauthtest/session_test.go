package oauthtest_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

func TestRefreshTokenIsGoodForOneUse(t *testing.T) {
	issuer := newServer()
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

func TestFixedRefreshTokenStaysTheSame(t *testing.T) {
	issuer := newServer(oauthtest.WithFixedRefreshTokens())
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
func TestRefusedRefreshKeepsItsToken(t *testing.T) {
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
			issuer := newServer()
			refresh := issuer.NewSession("orders", "alice", "a", "b")
			if got := post(t, issuer, "/token", refreshForm(refresh, test.changes...), test.as); got.outcome() != test.want {
				t.Errorf("it answers %s, want %s", got.outcome(), test.want)
			}
			token(t, issuer, refreshForm(refresh), asOrders)
		})
	}
}

// One use can ask for less than was granted, and the next has all of it again (RFC 6749 section 6).
func TestRefreshCanAskForFewerScopes(t *testing.T) {
	issuer := newServer()
	refresh := issuer.NewSession("orders", "alice", "a", "b")
	got, claims := token(t, issuer, refreshForm(refresh, "scope", "b", "resource", "https://x.test"), asOrders)
	has(t, "the token", claims, map[string]any{"scope": "b", "aud": "https://x.test"})
	_, claims = token(t, issuer, refreshForm(got.text("refresh_token")), asOrders)
	has(t, "the next token", claims, map[string]any{"scope": "a b", "aud": "https://api.test"})
}

func TestSessionsAreCountedUntilTheyEnd(t *testing.T) {
	issuer := newServerOf(bearertest.NewIssuer(bearertest.WithDefaultClaims(bearertest.Claims{"scope": "orders:read"})))
	alice, bob, carol := issuer.NewSession("orders", "alice"), issuer.NewSession("spa", "bob"), issuer.NewSession("orders", "carol")
	if issuer.Sessions() != 3 {
		t.Errorf("there are %d sessions, want 3", issuer.Sessions())
	}
	got, claims := token(t, issuer, refreshForm(alice), asOrders)
	has(t, "the token", claims, map[string]any{"scope": "orders:read"})
	issuer.EndSessions("alice", "mallory")
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

func TestRevocationEndsTheSession(t *testing.T) {
	issuer := newServer()
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
		{"no client", fields("token", next), func(*http.Request) {}, "401 invalid_client", "", 3},
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

// Many who use one refresh token at once are as good as a thief: one gets a token, and the session
// ends.
func TestConcurrentUsesOfARefreshTokenEndTheSession(t *testing.T) {
	issuer := newServer()
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

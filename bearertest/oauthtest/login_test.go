package oauthtest_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

func TestLoginLeadsToTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newServer()
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
		if err := issuertest.Verify(issuer.KeySet(), got.text("id_token")); err != nil {
			t.Error(err)
		}
		raw, members := issuertest.Parts(t, got.text("id_token"))
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

func TestLoginFollowsItsRequest(t *testing.T) {
	issuer := newServer(oauthtest.WithPublicClient("app", "https://app.test/callback", "com.example.app:/back"))
	t.Run("another user, without state and openid", func(t *testing.T) {
		form := login(t, issuer, "login_hint", "bob", "state", "", "scope", "a")
		got, claims := token(t, issuer, form, asOrders)
		has(t, "the token", claims, map[string]any{"sub": "bob", "scope": "a"})
		has(t, "the answer", got.members, map[string]any{"id_token": nil})
		if _, _, back := visit(t, issuer, loginForm("state", "").Encode()); back.Has("state") {
			t.Error("there is a state that the client did not send")
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
		_, members := issuertest.Parts(t, got.text("id_token"))
		has(t, "the ID token", members[1], map[string]any{"nonce": nil, "sub": "alice"})
	})
}

func TestBadLoginIsReportedToTheClientOrTheUser(t *testing.T) {
	issuer := newServer(oauthtest.WithClient("app", "x", "https://app.test/callback"))
	for name, query := range map[string]string{
		"no client":               loginForm("client_id", "").Encode(),
		"an unknown client":       loginForm("client_id", "unknown").Encode(),
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

func TestCodeIsBoundToItsClientAndRequest(t *testing.T) {
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
				issuer := newServer()
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

// A verifier may have from 43 to 128 characters, of those that a URL need not escape (RFC 7636
// section 4.1).
func TestVerifierHas43To128Characters(t *testing.T) {
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
		issuer := newServer()
		form := login(t, issuer, "code_challenge", challenge(test.verifier))
		if got := post(t, issuer, "/token", with(form, "code_verifier", test.verifier), asOrders); got.outcome() != test.want {
			t.Errorf("%s: it answers %s, want %s", name, got.outcome(), test.want)
		}
	}
}

func TestSecondUseOfACodeEndsItsSession(t *testing.T) {
	issuer := newServer()
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

package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// newAuthorizationServer stands for your authorization server. It accepts any code.
func newAuthorizationServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/.well-known/openid-configuration" {
			_, _ = fmt.Fprintf(w, `{"issuer":"http://%s","token_endpoint":"http://%[1]s/token",`+
				`"authorization_endpoint":"http://%[1]s/authorize","revocation_endpoint":"http://%[1]s/revoke"}`, r.Host)
			return
		}
		_, _ = fmt.Fprint(w, `{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":3600,`+
			`"refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA"}`)
	}))
}

// A person logs in with the browser, and stays logged in until the logout.
func ExampleSession() {
	server := newAuthorizationServer()
	defer server.Close()
	ctx := context.Background()

	client, err := oauth.NewClient(server.URL, "app", oauth.NoClientAuth())
	if err != nil {
		fmt.Println(err)
		return
	}
	alice, err := session.New(client, session.NewMemoryStore(), "alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()

	login, err := alice.Login(ctx, "http://127.0.0.1/callback", session.WithScope("offline_access"))
	if err != nil {
		fmt.Println(err)
		return
	}
	// Send the browser to login.URL(). What it comes back with is the query of the redirect URI.
	back := browse(login.URL())
	if _, err := alice.Finish(ctx, login, back); err != nil {
		fmt.Println(err)
		return
	}
	token, err := alice.Token(ctx)
	fmt.Println(token, err)

	fmt.Println("logged out:", alice.Logout(ctx))
	_, err = alice.Token(ctx)
	fmt.Println(err)
	// Output:
	// [secret] <nil>
	// logged out: <nil>
	// tokens: no token is available: tokens: a new login is required
}

// browse stands for the person and the browser.
func browse(location string) url.Values {
	u, err := url.Parse(location)
	if err != nil {
		return nil
	}
	return url.Values{"state": {u.Query().Get("state")}, "code": {"SplxlOBeZQQYbYS6WxSbIA"}}
}

// One Manager serves the tokens of many people: the Subject of a key is the name of a session.
func ExampleRefreshToken() {
	server := newAuthorizationServer()
	defer server.Close()
	ctx := context.Background()

	client, err := oauth.NewClient(server.URL, "app", oauth.NoClientAuth())
	if err != nil {
		fmt.Println(err)
		return
	}
	store := session.NewMemoryStore()
	alice, err := session.New(client, store, "alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer alice.Close()
	if err := alice.Adopt(ctx, tokens.NewSecret("8xLOxBtZp8")); err != nil { // or a login
		fmt.Println(err)
		return
	}

	manager, err := tokens.NewManager(session.RefreshToken(client, store))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()
	for _, person := range []string{"alice", "bob"} {
		_, err := manager.Source(tokens.Key{Subject: person}).Token(ctx)
		fmt.Println(person+":", err)
	}
	// Output:
	// alice: <nil>
	// bob: tokens: no token is available: tokens: a new login is required
}

package tokenstest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// NewClient makes a client of a Server.
func NewClient(t testing.TB, server *Server, auth oauth.ClientAuth, opts ...oauth.ClientOption) *oauth.Client {
	t.Helper()
	opts = append([]oauth.ClientOption{oauth.WithHTTPClient(&http.Client{Transport: server})}, opts...)
	c, err := oauth.NewClient(Issuer, "orders", auth, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Login begins a login at a Server that takes any code, and returns the browser's answer to it.
func Login(t testing.TB, c *oauth.Client) (*session.Login, url.Values) {
	t.Helper()
	l, err := session.NewLogin(t.Context(), c, "https://app.example.com/callback")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	return l, url.Values{"state": {u.Query().Get("state")}, "code": {"a-code"}, "iss": {Issuer}}
}

package oauth_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// The caller's trace is of the caller's own request: this one has the secret in a header.
func TestTraceOfTheCallerSeesNothing(t *testing.T) {
	server := tokenstest.NewServer()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) {}})
	server.On("/token", func(r *http.Request, _ url.Values) (*http.Response, error) {
		if httptrace.ContextClientTrace(r.Context()) != nil {
			t.Error("a trace")
		}
		return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, nil)
	})
	if _, err := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials().Fetch(ctx, tokens.Request{}); err != nil {
		t.Error(err)
	}
}

// The hooks of a caller are for the caller's own requests. Another Fetcher, such as that of
// beareroauth2, makes requests with the client's secret, which a hook is shown.
func TestFetcherHasNoHooksOfACallersTrace(t *testing.T) {
	type name struct{}
	called := false
	source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, _ tokens.Request) (*tokens.Response, error) {
		called = true
		if httptrace.ContextClientTrace(ctx) != nil || ctx.Value(name{}) != "trace" {
			t.Error("the context has the hooks, or not the other values")
		}
		return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer"}, nil
	})).Source(tokens.Key{})
	ctx := context.WithValue(t.Context(), name{}, "trace")
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) {}})
	if _, err := source.Token(ctx); err != nil || !called {
		t.Error(err)
	}
}

// Nor are those hooks called that package net finds by a key of its own: the caller may be gone.
func TestTraceOfTheCallerIsNotCalled(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close() // the connection is refused, after the hooks
	var mu sync.Mutex
	var called []string
	call := func(hook string) {
		mu.Lock()
		defer mu.Unlock()
		called = append(called, hook)
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GetConn:      func(string) { call("GetConn") },
		DNSStart:     func(httptrace.DNSStartInfo) { call("DNSStart") },
		DNSDone:      func(httptrace.DNSDoneInfo) { call("DNSDone") },
		ConnectStart: func(string, string) { call("ConnectStart") },
		ConnectDone:  func(string, string, error) { call("ConnectDone") },
	})
	for name, opts := range map[string][]oauth.ClientOption{
		"the endpoint": {oauth.WithTokenEndpoint("http://" + listener.Addr().String() + "/token")}, "discovery": nil,
	} {
		c, err := oauth.NewClient("http://"+listener.Addr().String(), "orders", oauth.NoClientAuth(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.JWTBearer(grantsSign(tokens.NewSecret("a.b.c"))).Fetch(ctx, tokens.Request{}); err == nil {
			t.Error("no error")
		}
		if len(called) != 0 {
			t.Errorf("%s: called %q", name, called)
		}
	}
}

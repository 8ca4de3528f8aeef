package oauth_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// fetchFrom asks a server for a token with client credentials.
func fetchFrom(t testing.TB, server *tokenstest.Server, opts ...oauth.ClientOption) (*tokens.Response, error) {
	t.Helper()
	c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), opts...)
	return c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
}

// clientKey is a private key for an assertion.
func clientKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

type callerKey struct{}

// callerWith is the context of a caller who brings a subject token, and perhaps an actor token.
func callerWith(t testing.TB, subject oauth.SecurityToken, actor ...oauth.SecurityToken) context.Context {
	return context.WithValue(t.Context(), callerKey{}, append([]oauth.SecurityToken{subject}, actor...))
}

func subjectToken(text string) oauth.SecurityToken {
	return oauth.SecurityToken{Token: tokens.NewSecret(text)}
}

// tokenFromContext takes token i of the caller from the context, as a service does that serves
// requests.
func tokenFromContext(i int) func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
	return func(ctx context.Context, _ tokens.Key) (oauth.SecurityToken, error) {
		brought, _ := ctx.Value(callerKey{}).([]oauth.SecurityToken)
		if i >= len(brought) {
			return oauth.SecurityToken{}, errors.New("the caller brought no token")
		}
		return brought[i], nil
	}
}

// echoServer gives a token that names the one it was obtained for, and refuses those that begin
// with "bad".
func echoServer() *tokenstest.Server {
	server := tokenstest.NewServer()
	server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
		subject := cmp.Or(form.Get("subject_token"), form.Get("assertion"))
		if strings.HasPrefix(subject, "bad") {
			return tokenstest.JSON(http.StatusBadRequest, `{"error":"invalid_request"}`)(r, form)
		}
		kind := form.Get("subject_token_type")
		name := fmt.Sprintf("for-%s-%s-%s", subject, kind[strings.LastIndex(kind, ":")+1:], form.Get("actor_token"))
		return tokenstest.JSON(http.StatusOK, `{"access_token":"`+name+`","token_type":"Bearer","expires_in":3600,
			"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`)(r, form)
	})
	return server
}

func wantFor(ctx context.Context, t *testing.T, source *tokens.Source, want string) {
	t.Helper()
	token, err := source.Token(ctx)
	if err != nil {
		t.Errorf("error %v, want %q", err, want)
		return
	}
	if token.AccessToken() != want {
		t.Errorf("token %q, want %q", token.AccessToken(), want)
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

package oauth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// What is obtained for an assertion is not handed out after its end, as with an exchange.
func TestTokenForAnAssertionEndsWithIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, c := grantsClient(t)
		server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good)) // for an hour
		end := time.Now().Add(10 * time.Minute)
		source := tokenstest.NewManager(t, c.JWTBearer(func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
			return oauth.SecurityToken{Token: tokens.NewSecret("a.b.c"), Expiry: end}, nil
		})).Source(tokens.Key{})
		if got := tokenstest.MustToken(t, source).Expiry(); !got.Equal(end) {
			t.Errorf("it ends at %v, want %v", got, end)
		}
		tokenstest.Pass(10*time.Minute - 1)
		tokenstest.MustToken(t, source)
		tokenstest.Pass(1)
		if err := tokenstest.WantUnavailable(t, source); !strings.Contains(err.Error(), "has ended") {
			t.Errorf("after its end: %v", err)
		}
		if n := len(server.Seen("/token")); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// The Type of an assertion is not sent, and so does not tell callers apart.
func TestTypeOfAnAssertionDoesNotMatter(t *testing.T) {
	t.Parallel()
	server := echoServer()
	c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
	source := tokenstest.NewManager(t, c.JWTBearer(tokenFromContext(0))).Source(tokens.Key{})
	for _, kind := range []string{"", oauth.TypeJWT, oauth.TypeAccessToken, "no URI"} {
		wantFor(callerWith(t, oauth.SecurityToken{Token: tokens.NewSecret("a.b.c"), Type: kind}), t, source, "for-a.b.c--")
	}
	if n := len(server.Seen("/token")); n != 1 {
		t.Errorf("%d requests", n)
	}
}

package oauth_test

import (
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// Without a Manager the scopes are sent in the same order as with one.
func TestScopesAreSentInOneOrder(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"a b c", "c b a", "b a c a"} {
		server := tokenstest.NewServer()
		c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{Key: tokens.Key{Scope: scope}}); err != nil {
			t.Fatal(err)
		}
		if got := server.Seen("/token")[0].Form.Get("scope"); got != "a b c" {
			t.Errorf("for %q %q was sent", scope, got)
		}
	}
}

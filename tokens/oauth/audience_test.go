package oauth_test

import (
	"net/http"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// audiences are those of the assertions that came to URLs with this in them.
func audiences(t testing.TB, server *tokenstest.Server, part string) (all []any) {
	t.Helper()
	for _, r := range server.Seen(part) {
		if _, claims, _, _ := assertionParts(t, r.Form.Get("client_assertion")); claims != nil {
			all = append(all, claims["aud"])
		}
	}
	return all
}

func TestAudienceOfAnAssertion(t *testing.T) {
	t.Parallel()
	key := assertionKeys()["Ed25519"]
	for name, tt := range map[string]struct {
		assertion     []oauth.AssertionOption
		client        []oauth.ClientOption
		token, revoke any
	}{
		"the issuer":   {nil, nil, tokenstest.Issuer, tokenstest.Issuer},
		"a text":       {[]oauth.AssertionOption{oauth.WithAssertionAudience("urn:x é")}, nil, "urn:x é", "urn:x é"},
		"the endpoint": {[]oauth.AssertionOption{oauth.WithEndpointAudience()}, nil, tokenstest.TokenURL, tokenstest.Issuer + "/revoke"},
		"an endpoint that is given": {
			[]oauth.AssertionOption{oauth.WithEndpointAudience()},
			[]oauth.ClientOption{oauth.WithTokenEndpoint(tokenstest.TokenURL + "?p=policy")},
			tokenstest.TokenURL + "?p=policy", tokenstest.Issuer + "/revoke",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, auth := range []oauth.ClientAuth{
				oauth.PrivateKeyJWT(key, "", tt.assertion...), oauth.CertificateJWT(clientCertificate(t, key), tt.assertion...),
			} {
				server := tokenstest.NewServer()
				c := tokenstest.NewClient(t, server, auth, tt.client...)
				if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Fatal(err)
				}
				if err := c.Revoke(t.Context(), tokens.NewSecret("45ghiukldjahdnhzdauz"), ""); err != nil {
					t.Fatal(err)
				}
				if got := audiences(t, server, "/token"); len(got) != 1 || got[0] != tt.token {
					t.Errorf("for a token: %q, want %q", got, tt.token)
				}
				if got := audiences(t, server, "/revoke"); len(got) != 1 || got[0] != tt.revoke {
					t.Errorf("to revoke: %q, want %q", got, tt.revoke)
				}
			}
		})
	}
}

// An endpoint that has moved gets an assertion for where it is now.
func TestEndpointAudienceMovesWithTheEndpoint(t *testing.T) {
	t.Parallel()
	const moved = tokenstest.Issuer + "/moved/token"
	server := tokenstest.NewServer()
	c := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(assertionKeys()["Ed25519"], "", oauth.WithEndpointAudience()))
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Fatal(err)
	}
	server.On("/token", tokenstest.Gives(http.StatusNotFound, "text/html", "gone"))
	server.On("/moved/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
	server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": moved})))
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Fatal(err)
	}
	got := audiences(t, server, "/token")
	if len(got) != 3 || got[0] != tokenstest.TokenURL || got[1] != tokenstest.TokenURL || got[2] != moved {
		t.Errorf("audiences %q", got)
	}
}

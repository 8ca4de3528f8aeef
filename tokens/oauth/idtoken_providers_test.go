package oauth_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// The ID tokens of providers, in the shapes that theirs have, are accepted.
func TestIDTokensOfProvidersAreAccepted(t *testing.T) {
	t.Parallel()
	now := time.Now()
	const entraTenant = "11111111-2222-4333-8444-555555555555"
	for name, test := range map[string]struct {
		issuer, keysURL string
		algorithms      []string
		keys            map[string]any // members of each key; nil removes one
		header          bearertest.Claims
		claims          bearertest.Claims
	}{
		"Google": {
			issuer: "https://accounts.google.example", keysURL: "https://www.googleapis.example/oauth2/v3/certs", algorithms: []string{"RS256"},
			header: bearertest.Claims{"typ": "JWT"},
			claims: bearertest.Claims{"azp": "orders", "sub": "118363561738753879481", "hd": "acme.example", "email_verified": true},
		},
		"Auth0": {
			issuer: "https://acme.eu.auth0.example/", keysURL: "https://acme.eu.auth0.example/.well-known/jwks.json",
			algorithms: []string{"HS256", "RS256", "PS256"},
			header:     bearertest.Claims{"typ": "JWT"},
			claims:     bearertest.Claims{"sub": "auth0|6553da60", "sid": "s1", "https://acme.example/roles": []string{"admin", "läufer"}, "updated_at": "2026-01-01T00:00:00Z"},
		},
		"Okta": {
			issuer: "https://dev.okta.example/oauth2/default", keysURL: "https://dev.okta.example/oauth2/default/v1/keys", algorithms: []string{"RS256"},
			header: bearertest.Claims{"typ": nil},
			claims: bearertest.Claims{"sub": "00u1", "ver": 1, "jti": "ID.1", "amr": []string{"pwd"}, "idp": "00o1", "auth_time": now.Unix()},
		},
		"Entra": {
			issuer:     "https://login.microsoftonline.example/" + entraTenant + "/v2.0",
			keysURL:    "https://login.microsoftonline.example/" + entraTenant + "/discovery/v2.0/keys",
			algorithms: []string{"RS256"},
			keys:       map[string]any{"alg": nil, "issuer": "https://login.microsoftonline.example/{tenantid}/v2.0"},
			header:     bearertest.Claims{"typ": "JWT"},
			claims:     bearertest.Claims{"sub": "AAAA", "oid": "1", "tid": entraTenant, "ver": "2.0", "nbf": now.Unix(), "rh": "0.A", "uti": "x"},
		},
		"Keycloak": {
			issuer: "https://id.example/realms/acme", keysURL: "https://id.example/realms/acme/protocol/openid-connect/certs",
			algorithms: []string{"PS384", "RS384", "EdDSA", "ES384", "HS256", "HS512", "ES256", "RS256", "HS384", "ES512", "PS256", "PS512", "RS512"},
			header:     bearertest.Claims{"typ": "JWT"},
			claims:     bearertest.Claims{"typ": "ID", "azp": "orders", "acr": "1", "sid": "s1", "jti": "j"},
		},
		"Cognito": {
			issuer: "https://cognito-idp.eu-west-1.amazonaws.example/eu-west-1_abc", keysURL: "https://cognito-idp.eu-west-1.amazonaws.example/eu-west-1_abc/keys",
			algorithms: []string{"RS256"},
			header:     bearertest.Claims{"typ": nil},
			claims:     bearertest.Claims{"token_use": "id", "cognito:groups": []string{"a"}, "event_id": "e"},
		},
		"several audiences, with azp": {
			issuer: "https://login.example", keysURL: "https://login.example/keys",
			header: bearertest.Claims{"typ": "application/jwt"},
			claims: bearertest.Claims{"aud": []string{"https://api.example", "orders"}, "azp": "orders", "exp": float64(now.Unix()) + 3600.5},
		},
		"one audience in an array, without kid": {
			issuer: "https://login.example", keysURL: "https://login.example/keys",
			header: bearertest.Claims{"kid": nil},
			claims: bearertest.Claims{"aud": []string{"orders"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := bearertest.NewIssuer(bearertest.WithURL(test.issuer), bearertest.WithAlgorithm("RS256"))
			var set struct {
				Keys []map[string]any `json:"keys"`
			}
			if err := json.Unmarshal(issuer.KeySet(), &set); err != nil {
				t.Fatal(err)
			}
			for _, key := range set.Keys {
				idOverlay(key, test.keys)
			}
			members := map[string]any{"issuer": test.issuer, "jwks_uri": test.keysURL, "token_endpoint": "https://token.example/token"}
			if test.algorithms != nil {
				members["id_token_signing_alg_values_supported"] = test.algorithms
			}
			server := tokenstest.NewServer()
			server.On(strings.TrimSuffix(test.issuer, "/")+tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, string(idJSON(t, members))))
			server.On(test.keysURL, tokenstest.JSON(http.StatusOK, string(idJSON(t, set))))
			c, err := oauth.NewClient(test.issuer, "orders", oauth.NoClientAuth(), oauth.WithHTTPClient(&http.Client{Transport: server}))
			if err != nil {
				t.Fatal(err)
			}
			header := bearertest.Claims{"typ": "JWT"}
			maps.Copy(header, test.header)
			token := issuer.Sign(header, bearertest.Claims{
				"aud": "orders", "nonce": idNonce, "jti": nil, "client_id": nil, "iat": now, "exp": now.Add(time.Hour),
			}, test.claims)
			identity, err := c.VerifyIDToken(t.Context(), tokens.NewSecret(token), idNonce, oauth.WithAccessToken(tokens.NewSecret(idAccessToken)))
			if err != nil {
				t.Fatal(err)
			}
			if identity.Issuer() != test.issuer || identity.Subject() == "" {
				t.Errorf("issuer %q, subject %q", identity.Issuer(), identity.Subject())
			}
		})
	}
}

package interop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// A client whose key is in a file signs for the issuer, or for the endpoint that it asks, and the
// provider takes either. A key that is put in the place of the old one is used at once. What
// cannot be tested here is CertificateJWT: oidc-provider knows no client by the thumbprint of a
// certificate.
func TestPrivateKeyJWTFromAFile(t *testing.T) {
	const id = "file"
	first, second, another := newSigner(t, "ES256"), newSigner(t, "ES256"), newSigner(t, "ES256")
	registered := &jwks{}
	for keyID, signer := range map[string]crypto.Signer{"first": first, "second": second} {
		jwk := publicJWK(t, signer.Public())
		jwk["kid"] = keyID
		registered.Keys = append(registered.Keys, jwk)
	}
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{{
		ID: id, AuthMethod: "private_key_jwt", SigningAlg: "ES256", JWKS: registered,
		GrantTypes: []string{"client_credentials"}, ResponseTypes: []string{}, RedirectURIs: []string{},
	}}})

	for name, c := range map[string]struct {
		opts               []oauth.AssertionOption
		ofToken, ofRevoked string // the audience of an assertion for a token, and of one to revoke it
	}{
		"the issuer as the audience":   {nil, issuer, issuer},
		"the endpoint as the audience": {[]oauth.AssertionOption{oauth.WithEndpointAudience()}, issuer + "/token", issuer + "/token/revocation"},
	} {
		for format, write := range map[string]func(t *testing.T, path, keyID string, signer crypto.Signer){
			"PEM": writePEM, "JWK": writeJWK,
		} {
			t.Run(name+"/"+format, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "key")
				client, err := oauth.NewClient(issuer, id, oauth.PrivateKeyJWTFile(path, "", c.opts...))
				if err != nil {
					t.Fatal(err)
				}
				wantSigned := func(audience, keyID string) {
					t.Helper()
					if format == "PEM" {
						keyID = "" // there is none in the file
					}
					if got := reportOf(t, issuer).Assertions[id]; got.Audience != audience || got.KeyID != keyID {
						t.Errorf("an assertion for %q by the key %q, want %q and %q", got.Audience, got.KeyID, audience, keyID)
					}
				}
				for keyID, signer := range map[string]crypto.Signer{"first": first, "second": second} {
					write(t, path, keyID, signer)
					token, err := tokenOf(t, client, tokens.Key{})
					if err != nil {
						t.Fatal(err)
					}
					wantSigned(c.ofToken, keyID)
					before := reportOf(t, issuer).Revoked
					if err := client.Revoke(t.Context(), tokens.NewSecret(token.AccessToken()), "access_token"); err != nil {
						t.Errorf("revocation: %v", err)
					}
					wantSigned(c.ofRevoked, keyID)
					if got := reportOf(t, issuer).Revoked - before; got != 1 {
						t.Errorf("%d tokens were revoked, want 1", got)
					}
				}
				write(t, path, "first", another)
				_, err = tokenOf(t, client, tokens.Key{})
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_client" {
					t.Errorf("a key that the provider does not know: %v, want invalid_client", err)
				}
			})
		}
	}
}

func writePEM(t *testing.T, path, _ string, signer crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func writeJWK(t *testing.T, path, keyID string, signer crypto.Signer) {
	t.Helper()
	private, err := signer.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := publicJWK(t, signer.Public())
	maps.Copy(jwk, map[string]any{"kid": keyID, "alg": "ES256", "use": "sig", "d": base64.RawURLEncoding.EncodeToString(private)})
	text, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, path, text)
}

// replaceFile puts a file in the place of another, as a whole.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

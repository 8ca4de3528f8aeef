package bearertest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// secretAlgorithms are those of an issuer that signs with a secret.
var secretAlgorithms = []string{"HS256", "HS384", "HS512"}

// An issuer with a secret publishes no key, and its tokens name none.
func TestIssuerWithASecretPublishesNothing(t *testing.T) {
	t.Parallel()
	for _, algorithm := range secretAlgorithms {
		t.Run(algorithm, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(algorithm))
			issuer.Rotate()
			token, secrets := issuer.Token(), issuer.Secrets()
			if issuer.KeyID() != "" || issuer.PublicKey() != nil || len(issuer.PublicKeys()) != 0 {
				t.Error("the issuer has a public key")
			}
			if got := string(issuer.KeySet()); got != `{"keys":[]}` {
				t.Errorf("the key set is %s", got)
			}
			if len(secrets) != 2 || bytes.Equal(secrets[0], secrets[1]) {
				t.Fatalf("%d secrets, want two", len(secrets))
			}
			for _, secret := range secrets {
				if len(secret) != 64 {
					t.Errorf("a secret of %d bytes", len(secret))
				}
				clear(secret) // which is the caller's copy
			}
			if bytes.Equal(issuer.Secrets()[0], make([]byte, 64)) {
				t.Error("a caller changed the issuer's secret")
			}
			for _, path := range []string{"/jwks", "/.well-known/openid-configuration"} {
				answer := httptest.NewRecorder()
				issuer.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, issuer.URL()+path, nil))
				if answer.Code != http.StatusOK || !json.Valid(answer.Body.Bytes()) || strings.Contains(answer.Body.String(), `"k"`) {
					t.Errorf("%s answers %d %s", path, answer.Code, answer.Body)
				}
			}
			header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
			if err != nil || strings.Contains(string(header), "kid") {
				t.Errorf("the header is %s (%v)", header, err)
			}
			if bearertest.NewIssuer().Secrets() != nil {
				t.Error("an issuer with a key has a secret")
			}
		})
	}
}

// The guard that ships withstands all attacks with two secrets.
func TestAttackPassesTheMiddlewareWithSecrets(t *testing.T) {
	t.Parallel()
	for _, algorithm := range secretAlgorithms {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := attackedIssuer(algorithm)
				issuer.Rotate()
				auth := newMiddleware(t, issuer, bearer.HMACSecret(issuer.Secrets()...), bearer.Algorithms(algorithm))
				bearertest.Attack(t, auth.Handler(protected, bearer.Scopes(attackedScope)), issuer)
			})
		})
	}
}

// A guard with the secret of an example falls to the attack with it. HMAC fills a short secret up
// with zeros, so that this one is long enough for New and no better.
func TestAttackFailsAWeakSecret(t *testing.T) {
	t.Parallel()
	issuer := attackedIssuer("HS256")
	weak := append([]byte("your-256-bit-secret"), make([]byte, 13)...)
	auth := newMiddleware(t, issuer, bearer.HMACSecret(issuer.Secrets()[0], weak))
	attack := bearertest.NewAttack(t, issuer)
	handler := auth.Handler(protected, bearer.Scopes(attackedScope))
	if problem := attack.Begin(handler); problem != "" {
		t.Fatal(problem)
	}
	found := attack.On(handler, "jws.alg-allowed")
	if len(found) != 1 || found[0].Variant != "HS256 with the secret of an example" {
		t.Errorf("it falls to %v", found)
	}
}

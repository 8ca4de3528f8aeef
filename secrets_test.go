package bearer_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// secretOf is a secret of one letter.
func secretOf(letter string, size int) []byte { return []byte(strings.Repeat(letter, size)) }

// While a secret is replaced, tokens of the new one and of the old one pass.
// Rules: key.secrets.
func TestSecretsAreReplacedOneByOne(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		t.Run(alg, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(alg))
			old := issuer.Token()
			before := newTuple(t, issuer, bearer.HMACSecret(issuer.Secrets()...), bearer.Algorithms(alg))
			wantReason(t, before, old, "")
			issuer.Rotate()
			current := issuer.Token()
			during := newTuple(t, issuer, bearer.HMACSecret(issuer.Secrets()...), bearer.Algorithms(alg))
			for range 2 { // the second time from the cache
				wantReason(t, during, old, "")
				wantReason(t, during, current, "")
			}
			wantReason(t, before, current, bearer.ReasonSignature)
			issuer.RotateWithoutOverlap()
			after := newTuple(t, issuer, bearer.HMACSecret(issuer.Secrets()...), bearer.Algorithms(alg))
			wantReason(t, after, issuer.Token(), "")
			wantReason(t, after, old, bearer.ReasonSignature)
			wantReason(t, after, current, bearer.ReasonSignature)
			for _, secret := range [][]byte{nil, secretOf("\x00", 64), secretOf("other", 64), bytes.Join(issuer.Secrets(), nil)[:32]} {
				wantReason(t, after, hmacToken(t, alg, secret, standard(issuer)), bearer.ReasonSignature)
			}
		})
	}
}

// standard are the claims of a good token.
func standard(issuer *bearertest.Issuer) map[string]any {
	return map[string]any{"iss": issuer.URL(), "aud": issuer.Audience(), "exp": time.Now().Unix() + 60}
}

// A secret verifies HMAC alone, and a key everything else. What is public is no secret.
// Rules: key.secret-apart.
func TestSecretBesideKeysVerifiesHMACAlone(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			keys := bearertest.NewIssuer(bearertest.WithAlgorithm(alg))
			legacy := bearertest.NewIssuer(bearertest.WithAlgorithm("HS256"))
			legacy.Rotate()
			var last bearer.Event
			auth := newAuth(t, keys)
			moving := mustNew(t, bearer.WithIssuer(keys.URL(), keys.Audience(), bearer.HMACSecretBesideKeys(legacy.Secrets()...)),
				bearer.WithHTTPClient(keys.Client()), seen(&last))
			wantReason(t, moving, legacy.Sign(c{"kid": "old"}), "")
			if n := keys.Requests(); n != 0 {
				t.Errorf("the issuer was asked for keys %d times for a token with HMAC", n)
			}
			for range 2 { // the second time from the cache
				wantReason(t, moving, keys.Token(), "")
				if claims := verified(t, moving, keys.Token()); claims.KeyID() != keys.KeyID() || claims.Algorithm() != alg {
					t.Errorf("key %q with %s", claims.KeyID(), claims.Algorithm())
				}
				if claims := verified(t, moving, legacy.Token()); claims.KeyID() != "" || claims.Algorithm() != "HS256" {
					t.Errorf("key %q with %s", claims.KeyID(), claims.Algorithm())
				}
			}
			wantReason(t, auth, legacy.Token(), bearer.ReasonAlgorithm)
			for _, other := range []string{"HS384", "HS512"} { // not among the defaults
				wantReason(t, moving, hmacToken(t, other, legacy.Secrets()[0], standard(keys)), bearer.ReasonAlgorithm)
			}

			der, err := x509.MarshalPKIXPublicKey(keys.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
			for _, secret := range [][]byte{der, public, bytes.TrimSpace(public), keys.KeySet(), []byte(keys.KeyID()), nil} {
				wantReason(t, moving, hmacToken(t, "HS256", secret, standard(keys)), bearer.ReasonSignature)
			}
			wantReason(t, moving, legacy.Sign(c{"alg": alg, "kid": keys.KeyID()}), bearer.ReasonSignature)
			wantReason(t, moving, keys.Sign(c{"alg": "HS256"}), bearer.ReasonSignature)
		})
	}
}

// Keys that cannot be fetched do not stop the tokens of the secret, and are no reason to refuse others.
func TestSecretBesideKeysThatAreDown(t *testing.T) {
	t.Parallel()
	keys := bearertest.NewIssuer()
	legacy := bearertest.NewIssuer(bearertest.WithAlgorithm("HS256"))
	keys.SetFault(bearertest.Down)
	auth := newTuple(t, keys, bearer.HMACSecretBesideKeys(legacy.Secrets()...))
	wantReason(t, auth, keys.Token(), bearer.ReasonKeysUnavailable)
	for range 2 {
		wantReason(t, auth, legacy.Token(), "")
	}
}

// Rules: key.secret-size, key.secrets.
func TestNewJudgesEverySecret(t *testing.T) {
	t.Parallel()
	a, b := secretOf("a", 64), secretOf("b", 64)
	five := [][]byte{a, b, secretOf("c", 64), secretOf("d", 64), secretOf("e", 64)}
	pemKey := []byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n")
	for option, give := range map[string]func(...[]byte) bearer.IssuerOption{
		"HMACSecret": bearer.HMACSecret, "HMACSecretBesideKeys": bearer.HMACSecretBesideKeys,
	} {
		mustNew(t, issuerWith(give(five[:4]...)))
		mustNew(t, issuerWith(give(a[:32])))
		for name, tt := range map[string]struct {
			opts []bearer.IssuerOption
			text string
		}{
			"none":             {[]bearer.IssuerOption{give()}, "give a secret"},
			"an empty one":     {[]bearer.IssuerOption{give(nil)}, "is empty (0 bytes); is a variable unset? openssl"},
			"an empty second":  {[]bearer.IssuerOption{give(a, []byte{})}, "secret 2 is empty"},
			"a short one":      {[]bearer.IssuerOption{give(a[:31])}, "is 31 bytes long; HS256 needs 32"},
			"a short second":   {[]bearer.IssuerOption{give(a, b[:31])}, "secret 2 is 31 bytes long; HS256 needs 32"},
			"one twice":        {[]bearer.IssuerOption{give(a, b, a)}, "secret 3 is given twice"},
			"five":             {[]bearer.IssuerOption{give(five...)}, "has 5 secrets"},
			"a key in PEM":     {[]bearer.IssuerOption{give(pemKey)}, "a public key must never serve as a secret"},
			"the option twice": {[]bearer.IssuerOption{give(a), give(b)}, "set more than once"},
		} {
			t.Run(option+", "+name, func(t *testing.T) { wantMistake(t, option, tt.text, issuerWith(tt.opts...)) })
		}
	}
	beside, url := bearer.HMACSecretBesideKeys(a), bearer.JWKSURL("https://keys.example")
	mustNew(t, issuerWith(beside, url))
	mustNew(t, issuerWith(beside, bearer.Keys(jwks.Remote("https://keys.example"))))
	mustNew(t, issuerWith(beside, bearer.Algorithms("ES256", "HS512")))
	for name, tt := range map[string]struct {
		opts   []bearer.IssuerOption
		option string
		text   string
	}{
		"too short for one of the list": {[]bearer.IssuerOption{bearer.HMACSecretBesideKeys(a[:63]), bearer.Algorithms("ES256", "HS256", "HS512")}, "HMACSecretBesideKeys", "HS512 needs 64"},
		"both options":                  {[]bearer.IssuerOption{beside, bearer.HMACSecret(b)}, "HMACSecretBesideKeys", "contradicts HMACSecret"},
		"keys alone":                    {[]bearer.IssuerOption{beside, bearer.Algorithms("ES256")}, "Algorithms", "of both kinds"},
		"a secret alone":                {[]bearer.IssuerOption{beside, bearer.Algorithms("HS256")}, "Algorithms", "of both kinds"},
	} {
		t.Run(name, func(t *testing.T) { wantMistake(t, tt.option, tt.text, issuerWith(tt.opts...)) })
	}
}

// Each token is tried with every secret, so that the work does not tell which one is right.
// Rules: key.secrets.
func TestEverySecretIsTried(t *testing.T) {
	if raceDetector() {
		t.Skip("the race detector allocates")
	}
	secrets := [][]byte{secretOf("a", 32), secretOf("b", 32), secretOf("c", 32), secretOf("d", 32)}
	auth := mustNew(t, quiet(), bearer.WithoutCache(), bearer.WithIssuer(iss, aud, bearer.HMACSecret(secrets...)))
	alone := mustNew(t, quiet(), bearer.WithoutCache(), bearer.WithIssuer(iss, aud, bearer.HMACSecret(secrets[0])))
	claims := map[string]any{"iss": iss, "aud": aud, "exp": time.Now().Unix() + 60}
	count := func(auth *bearer.Middleware, secret []byte) float64 {
		token := hmacToken(t, "HS256", secret, claims)
		return testing.AllocsPerRun(100, func() { _, _ = auth.Guard().Verify(t.Context(), token) })
	}
	first, last := count(auth, secrets[0]), count(auth, secrets[3])
	if first != last {
		t.Errorf("%v allocations with the first secret, %v with the last", first, last)
	}
	if one := count(alone, secrets[0]); first <= one {
		t.Errorf("%v allocations with four secrets, %v with one: not all are tried", first, one)
	}
}

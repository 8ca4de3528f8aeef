package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"

	"github.com/bearer-go/bearer/internal/jws"
)

// The table holds the names of RFC 7518 section 3.1 and RFC 8037, and RFC 9864's other name for one
// of them. Names are case-sensitive, and "none" is not among them.
func TestLookupKnowsTheRegisteredNames(t *testing.T) {
	for name, symmetric := range map[string]bool{
		"RS256": false, "RS384": false, "RS512": false, "PS256": false, "PS384": false, "PS512": false,
		"ES256": false, "ES384": false, "ES512": false, "EdDSA": false, "HS256": true, "HS384": true, "HS512": true,
	} {
		if alg, ok := jws.Lookup(name); !ok || alg.Name != name || alg.Symmetric() != symmetric {
			t.Errorf("Lookup(%q) = %+v, %v", name, alg, ok)
		}
	}
	if alg, ok := jws.Lookup("Ed25519"); !ok || alg.Name != "EdDSA" {
		t.Errorf("Lookup(Ed25519) = %+v, %v", alg, ok)
	}
	for _, name := range []string{"", "none", "None", "rs256", "RS256 ", "ES256K", "RS1", "A256GCM", "RSA-OAEP", "Ed448"} {
		if alg, ok := jws.Lookup(name); ok {
			t.Errorf("Lookup(%q) = %+v", name, alg)
		}
	}
}

// A secret is as long as the hash at least (RFC 7518 section 3.2), and no public key fits an HMAC.
func TestHMACTakesSecretsAsLongAsItsHash(t *testing.T) {
	for name, size := range map[string]int{"HS256": 32, "HS384": 48, "HS512": 64} {
		alg, _ := jws.Lookup(name)
		if alg.MinSecret() != size || alg.Fits([]byte("secret")) || alg.Fits(&rsa.PublicKey{}) {
			t.Errorf("%s: MinSecret %d", name, alg.MinSecret())
		}
	}
}

// An algorithm takes keys of its type, its curve and its size alone (RFC 7518 sections 3.3 to 3.5,
// RFC 8037 section 3.1).
func TestAlgorithmFitsKeysOfItsTypeCurveAndSize(t *testing.T) {
	rsaOf := func(bits uint) crypto.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n, E: 65537}
	}
	ec := func(curve elliptic.Curve) crypto.PublicKey { return &ecdsa.PublicKey{Curve: curve} }
	keys := map[string]crypto.PublicKey{
		"2047": rsaOf(2047), "2048": rsaOf(2048), "8192": rsaOf(8192), "8193": rsaOf(8193),
		"P-224": ec(elliptic.P224()), "P-256": ec(elliptic.P256()), "P-384": ec(elliptic.P384()), "P-521": ec(elliptic.P521()),
		"Ed25519": make(ed25519.PublicKey, 32), "Ed25519, short": make(ed25519.PublicKey, 31), "bytes": make([]byte, 32), "nil": nil,
	}
	rsaKeys := map[string]bool{"2048": true, "8192": true}
	for name, fits := range map[string]map[string]bool{
		"RS256": rsaKeys, "RS384": rsaKeys, "RS512": rsaKeys, "PS256": rsaKeys, "PS384": rsaKeys, "PS512": rsaKeys,
		"ES256": {"P-256": true}, "ES384": {"P-384": true}, "ES512": {"P-521": true}, "EdDSA": {"Ed25519": true},
	} {
		alg, _ := jws.Lookup(name)
		for what, key := range keys {
			if alg.Fits(key) != fits[what] || slices.Contains(jws.Fitting(key), alg) != fits[what] {
				t.Errorf("%s.Fits(%s) = %v; Fitting has %d others", name, what, alg.Fits(key), len(jws.Fitting(key)))
			}
		}
	}
}

// The salt of a PSS signature has the length of the hash, and no other (RFC 7518 section 3.5).
func TestPSSSaltIsAsLongAsTheHash(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	alg, _ := jws.Lookup("PS256")
	const input = "header.payload"
	digest := sha256.Sum256([]byte(input))
	for salt, good := range map[int]bool{32: true, 20: false, 31: false, 33: false, 64: false, rsa.PSSSaltLengthAuto: false} {
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if err := alg.Verify(input, signature, &key.PublicKey); (err == nil) != good {
			t.Errorf("a salt of %d bytes: %v", salt, err)
		}
	}
	signature, err := alg.Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := alg.Verify(input, signature, &key.PublicKey); err != nil {
		t.Errorf("its own signature: %v", err)
	}
}

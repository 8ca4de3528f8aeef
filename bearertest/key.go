package bearertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/bearer-go/bearer/internal/jws"
)

// key is one signing key of an issuer, or a secret.
type key struct {
	id      string // "" for a secret
	private crypto.Signer
	secret  []byte            // of HMAC; private is nil then
	jwk     map[string]string // the public half as published; nil for a secret
}

// signing is what the algorithm signs with.
func (k *key) signing() any {
	if k.secret != nil {
		return k.secret
	}
	return k.private
}

// secretBytes is how long a secret is: as long as the largest hash, which no algorithm finds too
// short (RFC 7518 section 3.2).
const secretBytes = 64

// newSecret makes a secret.
func newSecret() *key {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails
	return &key{secret: secret}
}

// newKey makes a key for the algorithm, which is registered, or a secret for an HMAC.
//
// Every key is a new one, RSA keys too (about 50 ms each), so that a token of one issuer never
// verifies with another's key.
func newKey(name string) *key {
	if isHMAC(name) {
		return newSecret()
	}
	private := generate(name)
	members := publicMembers(private.Public())
	// The thumbprint of RFC 7638: mustJSON sorts the required members and adds no white space, as its
	// section 3 asks.
	thumbprint := sha256.Sum256(mustJSON(members))
	id := base64.RawURLEncoding.EncodeToString(thumbprint[:])
	members["kid"], members["use"], members["alg"] = id, "sig", name
	return &key{id: id, private: private, jwk: members}
}

// isHMAC reports whether an algorithm signs with a secret.
func isHMAC(name string) bool { return strings.HasPrefix(name, "HS") }

func generate(name string) crypto.Signer {
	var private crypto.Signer
	var err error
	switch name {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default: // RS* and PS*
		private, err = rsa.GenerateKey(rand.Reader, jws.MinRSABits)
	}
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot make a key for %s: %v", name, err))
	}
	return private
}

// publicMembers are the members of a JWK that hold the key itself (RFC 7518 section 6, RFC 8037
// section 2).
func publicMembers(public crypto.PublicKey) map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	switch public := public.(type) {
	case *rsa.PublicKey:
		return map[string]string{
			"kty": "RSA", "n": encode(public.N.Bytes()), "e": encode(big.NewInt(int64(public.E)).Bytes()),
		}
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, then x and y, each as long as the field (SEC 1 section 2.3.3)
		if err != nil {
			panic(fmt.Sprintf("bearertest: cannot write a key: %v", err))
		}
		size := (len(point) - 1) / 2
		return map[string]string{
			"kty": "EC", "crv": public.Params().Name, "x": encode(point[1 : 1+size]), "y": encode(point[1+size:]),
		}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(public)}
	}
	panic(fmt.Sprintf("bearertest: no JWK for a %T", public))
}

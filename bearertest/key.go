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

	"github.com/bearer-go/bearer/internal/jws"
)

// key is one signing key of an issuer.
type key struct {
	id      string
	private crypto.Signer
	jwk     map[string]string // the public half as published
}

// newKey makes a key for the algorithm, which is registered and asymmetric.
//
// Every key is a new one, RSA keys too (about 50 ms each), so that a token of one issuer never
// verifies with another's key.
func newKey(name string) *key {
	private := generate(name)
	members := publicMembers(private.Public())
	// The thumbprint of RFC 7638: mustJSON sorts the required members and adds no white space, as its
	// section 3 asks.
	thumbprint := sha256.Sum256(mustJSON(members))
	id := base64.RawURLEncoding.EncodeToString(thumbprint[:])
	members["kid"], members["use"], members["alg"] = id, "sig", name
	return &key{id: id, private: private, jwk: members}
}

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

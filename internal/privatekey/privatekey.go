// Package privatekey reads private keys that sign: PEM and JWK.
//
// A text holds one key and nothing else, or it is refused. The keys are RSA of at least 2048 bits,
// P-256, P-384, P-521 and Ed25519. The texts of the errors are fixed: nothing of a key, nor of what
// stands around it, is in them.
package privatekey

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"

	"github.com/bearer-go/bearer/internal/jws"
)

// MaxSize is the largest size of a text, in bytes. An RSA key of 16384 bits fits.
const MaxSize = 16 << 10

// Key is a private key, and what its JWK says of it.
type Key struct {
	Signer    crypto.Signer
	ID        string // kid; "" in PEM and where it is absent
	Algorithm string // alg, by the name of package jws; "" in PEM and where it is absent
}

var errSize = fmt.Errorf("it is longer than %d bytes, which no private key is", MaxSize)

// Parse reads a JWK, which begins with a brace, or PEM.
func Parse(text []byte) (Key, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return FromJWK(text)
	}
	return FromPEM(text)
}

// judge refuses a key that cannot sign, or not with its algorithm.
func judge(key Key) (Key, error) {
	_, err := jws.NewSigner(key.Signer, key.Algorithm)
	switch {
	case errors.Is(err, jws.ErrNotForKey):
		return Key{}, errAlgorithm
	case err != nil:
		return Key{}, err
	}
	return key, nil
}

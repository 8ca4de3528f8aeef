package jws

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
)

// HalfHash returns the left half of the hash of a text, in base64url, as at_hash of an ID token has
// it (OpenID Connect Core section 3.1.3.6). The hash is that of the algorithm; of EdDSA it is the
// SHA-512 of Ed25519 (RFC 8032 section 5.1).
func (a *Algorithm) HalfHash(text string) string {
	var sum []byte
	switch a.hash {
	case crypto.SHA256:
		s := sha256.Sum256([]byte(text))
		sum = s[:]
	case crypto.SHA384:
		s := sha512.Sum384([]byte(text))
		sum = s[:]
	default:
		s := sha512.Sum512([]byte(text))
		sum = s[:]
	}
	return Encode(sum[:len(sum)/2])
}

package bearertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"maps"
	"math/big"
)

// The faults of a key set that has a bad entry before the good keys. The discovery document stays
// right. Each entry is wrong in this one way and carries the kid "poison", unless its comment says
// otherwise. A good service leaves it out and uses the keys beside it: it refuses no token that the
// issuer signed, warm or cold, and accepts nothing that names the kid "poison".
const (
	// PoisonNullEntry is null in place of a key.
	PoisonNullEntry Fault = "poison: null entry"

	// PoisonUnknownType is a key of an unknown kty. RFC 7517 section 5 asks for it to be ignored.
	PoisonUnknownType Fault = "poison: unknown type"

	// PoisonUnknownCurve is a key on an unknown curve (crv).
	PoisonUnknownCurve Fault = "poison: unknown curve"

	// PoisonBase64 is a P-256 key with a byte in it that no alphabet of base64 has.
	PoisonBase64 Fault = "poison: broken base64"

	// PoisonShortCoordinate is a P-256 key whose x ends too early (RFC 7518 section 6.2.1.2).
	PoisonShortCoordinate Fault = "poison: short coordinate"

	// PoisonOffCurve is a P-256 key whose point is not on the curve.
	PoisonOffCurve Fault = "poison: point off its curve"

	// PoisonWeakRSA is an RSA key of 1024 bits, well formed and too short (RFC 7518 section 3.3).
	PoisonWeakRSA Fault = "poison: RSA key of 1024 bits"

	// PoisonEvenExponent is an RSA key with the exponent 65536, with which there is no RSA.
	PoisonEvenExponent Fault = "poison: even RSA exponent"

	// PoisonSmallOrder is an Ed25519 key whose point is the neutral element: there is a signature that
	// anyone can write down and that it verifies for every message.
	PoisonSmallOrder Fault = "poison: point of small order"

	// PoisonSymmetricKey is a secret for HS256 (kty oct), which anyone can read there.
	PoisonSymmetricKey Fault = "poison: symmetric key"

	// PoisonPrivateKey is a key for the issuer's algorithm with its private half (d). Anyone can sign
	// with it.
	PoisonPrivateKey Fault = "poison: private key"

	// PoisonEncryptionKey is a key for the issuer's algorithm that says it is for encryption (use, RFC
	// 7517 section 4.2).
	PoisonEncryptionKey Fault = "poison: encryption key"

	// PoisonDuplicateKeyID is a good key under the kid of the current one. A service has to try both.
	PoisonDuplicateKeyID Fault = "poison: duplicate key id"
)

// The faults of a key set that is bad as a whole. The discovery document stays right. 200 warm, 503
// cold.
const (
	// PoisonTruncated is the first half of the right key set. As an answer of HTTP it is complete.
	PoisonTruncated Fault = "poison: truncated document"

	// PoisonNullDocument is null.
	PoisonNullDocument Fault = "poison: null document"

	// PoisonEmptyDocument is an object without members, {}.
	PoisonEmptyDocument Fault = "poison: empty document"

	// PoisonDuplicateMember is a key set with two members named "keys": a stranger's key under the
	// kid "poison", then the good ones. RFC 7517 section 5 lets a service refuse such a set or take
	// the last member, so a cold service may also work.
	PoisonDuplicateMember Fault = "poison: duplicate member"

	// PoisonTooManyKeys is a set with 10,000 keys before the good ones, well formed and each with a
	// kid of its own. It is less than 1 MiB long, so the number is what is wrong with it.
	PoisonTooManyKeys Fault = "poison: too many keys"
)

// poisons are the faults of the key set: brew is called once for each SetFault, and what it returns
// for each answer.
var poisons = []struct {
	fault Fault
	brew  func(*Issuer) (keySet func() []byte)
}{
	{PoisonNullEntry, beside(func(*Issuer) any { return nil })},
	{PoisonUnknownType, beside(func(*Issuer) any { return tainted("ES256", members{"kty": "unknown"}) })},
	{PoisonUnknownCurve, beside(func(*Issuer) any { return tainted("ES256", members{"crv": "unknown"}) })},
	{PoisonBase64, beside(func(*Issuer) any {
		jwk := tainted("ES256", nil)
		jwk["x"] = "!" + jwk["x"][1:]
		return jwk
	})},
	{PoisonShortCoordinate, beside(func(*Issuer) any {
		jwk := tainted("ES256", nil)
		jwk["x"] = jwk["x"][:40] // the first 30 bytes
		return jwk
	})},
	{PoisonOffCurve, beside(func(*Issuer) any {
		jwk := tainted("ES256", nil)
		jwk["y"] = jwk["x"]
		return jwk
	})},
	{PoisonWeakRSA, beside(func(*Issuer) any { return rsaEntry(1024, "AQAB") })},
	{PoisonEvenExponent, beside(func(*Issuer) any { return rsaEntry(2048, "AQAA") })},
	{PoisonSmallOrder, beside(func(*Issuer) any {
		neutral := make([]byte, ed25519.PublicKeySize)
		neutral[0] = 1 // y = 1, so x = 0 (RFC 8032 section 5.1.2)
		return tainted("EdDSA", members{"x": encode(neutral)})
	})},
	{PoisonSymmetricKey, beside(func(*Issuer) any {
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return members{"kty": "oct", "k": encode(secret), "kid": poisonID, "use": "sig", "alg": "HS256"}
	})},
	{PoisonPrivateKey, beside(func(i *Issuer) any {
		key := newKey(i.published())
		return poisoned(key.jwk, members{"d": privateMember(key)})
	})},
	{PoisonEncryptionKey, beside(func(i *Issuer) any { return tainted(i.published(), members{"use": "enc"}) })},
	{PoisonDuplicateKeyID, func(i *Issuer) func() []byte {
		jwk := newKey(i.published()).jwk
		return func() []byte { return i.publish(poisoned(jwk, members{"kid": i.KeyID()})) }
	}},

	{PoisonTruncated, instead(func(good []byte) []byte { return good[:len(good)/2] })},
	{PoisonNullDocument, instead(func([]byte) []byte { return []byte("null") })},
	{PoisonEmptyDocument, instead(func([]byte) []byte { return []byte("{}") })},
	{PoisonDuplicateMember, func(i *Issuer) func() []byte {
		stranger := mustJSON(tainted(i.published(), nil))
		return func() []byte { return fmt.Appendf(nil, `{"keys":[%s],%s`, stranger, i.KeySet()[1:]) }
	}},
	{PoisonTooManyKeys, func(i *Issuer) func() []byte {
		many := make([]members, 10_000)
		public := publicMembers(generate("EdDSA").Public())
		for n := range many {
			many[n] = maps.Clone(public)
			many[n]["kid"] = fmt.Sprintf("%s-%d", poisonID, n)
		}
		text := bytes.Trim(mustJSON(many), "[]") // once: it is slow
		return func() []byte {
			return fmt.Appendf(nil, `{"keys":[%s,%s`, text, bytes.TrimPrefix(i.KeySet(), []byte(`{"keys":[`)))
		}
	}},
}

// members are those of a JWK.
type members = map[string]string

const poisonID = "poison"

// beside puts an entry before the good ones, the same in every answer.
func beside(entry func(*Issuer) any) func(*Issuer) func() []byte {
	return func(i *Issuer) func() []byte {
		bad := entry(i)
		return func() []byte { return i.publish(bad) }
	}
}

// instead makes another document of the right key set.
func instead(document func(good []byte) []byte) func(*Issuer) func() []byte {
	return func(i *Issuer) func() []byte {
		return func() []byte { return document(i.KeySet()) }
	}
}

// tainted is the JWK of a new key with some members changed.
func tainted(algorithm string, changes members) members {
	return poisoned(newKey(algorithm).jwk, changes)
}

// poisoned is a JWK under the poison's kid, with some members changed.
func poisoned(jwk, changes members) members {
	jwk = maps.Clone(jwk)
	jwk["kid"] = poisonID
	maps.Copy(jwk, changes)
	return jwk
}

// published is the algorithm of the keys that the faults add: the issuer's own, or for an issuer
// with a secret, which publishes none, the default.
func (i *Issuer) published() string {
	if isHMAC(i.algorithm) {
		return defaultAlgorithm
	}
	return i.algorithm
}

// rsaEntry is an RSA key of any size and exponent.
func rsaEntry(bits int, exponent string) members {
	n := big.NewInt(1)
	for range 2 {
		prime, err := rand.Prime(rand.Reader, bits/2) // its two highest bits are set: the product is as long as it should be
		if err != nil {
			panic(fmt.Sprintf("bearertest: cannot make an RSA modulus: %v", err))
		}
		n.Mul(n, prime)
	}
	return members{
		"kty": "RSA", "n": encode(n.Bytes()), "e": exponent,
		"kid": poisonID, "use": "sig", "alg": "RS256",
	}
}

// privateMember is the d of a JWK (RFC 7518 sections 6.2.2.1 and 6.3.2.1, RFC 8037 section 2).
func privateMember(k *key) string {
	var d []byte
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		d = private.D.Bytes()
	case *ecdsa.PrivateKey:
		var err error
		if d, err = private.Bytes(); err != nil { // as long as the order of the curve
			panic(fmt.Sprintf("bearertest: cannot write a key: %v", err))
		}
	case ed25519.PrivateKey:
		d = private.Seed()
	}
	return encode(d)
}

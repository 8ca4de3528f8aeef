package bearertest

import (
	"crypto"
	"crypto/rsa"
	"math/big"
	"strings"
)

// This file holds the attacks on the rules of the key and the signature.

// The key is the one that kid names among the issuer's. The signatures are good.
var keyVariants = []variant{
	{name: "an unknown kid", forge: func(k *kit) string { return k.withKeyID(k.canary) }},
	{name: "the kid of another's key", forge: func(k *kit) string { return k.withKeyID(k.attacker.KeyID()) }},
	{name: "our kid with a letter behind", forge: func(k *kit) string { return k.withKeyID(k.issuer.KeyID() + "x") }},
	{name: "our kid without its last letter", forge: func(k *kit) string {
		kid := k.issuer.KeyID()
		return k.withKeyID(kid[:max(len(kid)-1, 0)])
	}},
	{name: "our kid in capitals", forge: func(k *kit) string { return k.withKeyID(strings.ToUpper(k.issuer.KeyID())) }},
	{name: "our kid with a NUL behind", forge: func(k *kit) string { return k.withKeyID(k.issuer.KeyID() + "\x00") }},
	{name: "a path", forge: func(k *kit) string { return k.withKeyID("../../../../dev/null") }},
	{name: "a statement of SQL", forge: func(k *kit) string { return k.withKeyID("x' UNION SELECT 'x';--") }},
	{name: "a pattern", forge: func(k *kit) string { return k.withKeyID("*") }},
	{name: "a URL", forge: func(k *kit) string { return k.withKeyID(dataURL(k.issuer.KeySet())) }},
	{name: "no kid, and two keys", forge: func(k *kit) string {
		if !k.issuer.hasPrevious() {
			return ""
		}
		return k.withKeyID(nil)
	}},
}

// The signature is made with that key over this header and this payload.
var signatureVariants = []variant{
	{name: "none", forge: func(k *kit) string { return k.withSignature(nil) }},
	{name: "zeros", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return make([]byte, len(s)) })
	}},
	{name: "the first bit flipped", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { s[0] ^= 0x80; return s })
	}},
	{name: "the last bit flipped", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { s[len(s)-1] ^= 1; return s })
	}},
	{name: "a byte too short", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return s[:len(s)-1] })
	}},
	{name: "half of it", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return s[:len(s)/2] })
	}},
	{name: "a zero byte behind", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return append(s, 0) })
	}},
	{name: "a zero byte before", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return append([]byte{0}, s...) })
	}},
	{name: "twice", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return append(s, s...) })
	}},
	{name: "that of another token", forge: func(k *kit) string {
		other := k.withClaims(Claims{"sub": "mallory"})
		return k.parts[0] + "." + k.parts[1] + other[strings.LastIndexByte(other, '.'):]
	}},
	{name: "another payload under it", forge: func(k *kit) string {
		return k.parts[0] + "." + encode([]byte(strings.Replace(k.payload, "{", `{"admin":true,`, 1))) + "." + k.parts[2]
	}},
	{name: "another header over it", forge: func(k *kit) string {
		return encode([]byte(last(k.header, `"x":1`))) + "." + k.parts[1] + "." + k.parts[2]
	}},
	{name: "another's key under our kid", forge: func(k *kit) string { return k.attacked(nil) }},
	{name: "ECDSA in DER", forge: func(k *kit) string { return k.ecdsa(der) }},
	{name: "ECDSA, the numbers exchanged", forge: func(k *kit) string {
		return k.ecdsa(func(r, s, _ *big.Int, size int) []byte { return concat(size, s, r) })
	}},
	{name: "ECDSA, the numbers a byte longer", forge: func(k *kit) string {
		return k.ecdsa(func(r, s, _ *big.Int, size int) []byte { return concat(size+1, r, s) })
	}},
	{name: "ECDSA, the numbers of the curve's order", forge: func(k *kit) string {
		return k.ecdsa(func(_, _, n *big.Int, size int) []byte { return concat(size, n, n) })
	}},
	{name: "ECDSA, the numbers zero and one", forge: func(k *kit) string {
		return k.ecdsa(func(_, _, _ *big.Int, size int) []byte { return concat(size, new(big.Int), big.NewInt(1)) })
	}},
	{name: "RSA with the other padding", forge: func(k *kit) string {
		own, _ := k.hash()
		return k.rsa("RS", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: own}) + k.rsa("PS", own)
	}},
	{name: "RSA with another hash", forge: func(k *kit) string {
		_, another := k.hash()
		return k.rsa("RS", another) + k.rsa("PS", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: another})
	}},
	{name: "RSA plus the modulus", forge: (*kit).rsaPlusModulus},
	{name: "PSS without a salt", forge: func(k *kit) string { return k.pss(func(crypto.Hash) int { return 0 }) }},
	{name: "PSS with a salt a byte too short", forge: func(k *kit) string {
		return k.pss(func(own crypto.Hash) int { return own.Size() - 1 })
	}},
	{name: "PSS with the longest salt", forge: func(k *kit) string {
		return k.pss(func(crypto.Hash) int { return rsa.PSSSaltLengthAuto })
	}},
	{name: "Ed25519 plus the order", forge: (*kit).ed25519PlusOrder},
	{name: "Ed25519ph", forge: (*kit).ed25519Prehashed},
}

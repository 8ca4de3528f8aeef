package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// The sizes of an RSA modulus that are accepted, in bits. RFC 7518 section 3.3 requires at least
// 2048. The upper bound keeps a published key from making every verification expensive.
const (
	MinRSABits = 2048
	MaxRSABits = 8192
)

// Algorithm is one signature algorithm. Its fields are fixed; there is one value per algorithm.
type Algorithm struct {
	// Name is the canonical name: "Ed25519" is found under "EdDSA".
	Name string

	method jwt.SigningMethod
	fits   func(crypto.PublicKey) bool // nil for HMAC
	hash   crypto.Hash                 // 0 for EdDSA, which has its own
}

// Lookup finds an algorithm by its registered name, compared case-exactly (RFC 7515 section 4.1.1).
// There is no "none".
func Lookup(name string) (*Algorithm, bool) {
	a := lookup(name)
	return a, a != nil
}

// lookup is a switch and not a map because every request calls it.
func lookup(name string) *Algorithm {
	switch name {
	case "RS256":
		return rs256
	case "RS384":
		return rs384
	case "RS512":
		return rs512
	case "PS256":
		return ps256
	case "PS384":
		return ps384
	case "PS512":
		return ps512
	case "ES256":
		return es256
	case "ES384":
		return es384
	case "ES512":
		return es512
	case "EdDSA", "Ed25519": // RFC 9864 section 2.2 names it by its curve; it is the same signature
		return eddsa
	case "HS256":
		return hs256
	case "HS384":
		return hs384
	case "HS512":
		return hs512
	default:
		return nil
	}
}

// All returns every algorithm.
func All() []*Algorithm {
	return []*Algorithm{
		rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, es512, eddsa, hs256, hs384, hs512,
	}
}

// Symmetric reports whether the algorithm is an HMAC.
func (a *Algorithm) Symmetric() bool { return a.fits == nil }

// MinSecret is the minimum length of an HMAC secret in bytes, that of the hash (RFC 7518 section
// 3.2).
func (a *Algorithm) MinSecret() int { return a.hash.Size() }

// Fits reports whether a public key has the type, the curve and the size that the algorithm
// requires.
func (a *Algorithm) Fits(key crypto.PublicKey) bool { return a.fits != nil && a.fits(key) }

// Fitting returns the algorithms that a public key fits.
func Fitting(key crypto.PublicKey) (fitting []*Algorithm) {
	for _, a := range All() {
		if a.Fits(key) {
			fitting = append(fitting, a)
		}
	}
	return fitting
}

// Verify checks a signature over the signing input (RFC 7515 section 5.2). The key is one that
// [Algorithm.Fits], or for HMAC a []byte.
func (a *Algorithm) Verify(signingInput string, signature []byte, key any) error {
	return a.method.Verify(signingInput, signature, key)
}

// Sign signs the signing input with a private key in memory, or for HMAC with a []byte. It is for
// tests; [NewSigner] takes any [crypto.Signer] and checks what it returns.
func (a *Algorithm) Sign(signingInput string, key any) ([]byte, error) {
	return a.method.Sign(signingInput, key)
}

var (
	rs256 = &Algorithm{Name: "RS256", method: jwt.SigningMethodRS256, fits: fitsRSA, hash: crypto.SHA256}
	rs384 = &Algorithm{Name: "RS384", method: jwt.SigningMethodRS384, fits: fitsRSA, hash: crypto.SHA384}
	rs512 = &Algorithm{Name: "RS512", method: jwt.SigningMethodRS512, fits: fitsRSA, hash: crypto.SHA512}
	ps256 = &Algorithm{Name: "PS256", method: pss("PS256", crypto.SHA256), fits: fitsRSA, hash: crypto.SHA256}
	ps384 = &Algorithm{Name: "PS384", method: pss("PS384", crypto.SHA384), fits: fitsRSA, hash: crypto.SHA384}
	ps512 = &Algorithm{Name: "PS512", method: pss("PS512", crypto.SHA512), fits: fitsRSA, hash: crypto.SHA512}
	es256 = &Algorithm{Name: "ES256", method: jwt.SigningMethodES256, fits: fitsCurve(elliptic.P256()), hash: crypto.SHA256}
	es384 = &Algorithm{Name: "ES384", method: jwt.SigningMethodES384, fits: fitsCurve(elliptic.P384()), hash: crypto.SHA384}
	es512 = &Algorithm{Name: "ES512", method: jwt.SigningMethodES512, fits: fitsCurve(elliptic.P521()), hash: crypto.SHA512}
	eddsa = &Algorithm{Name: "EdDSA", method: jwt.SigningMethodEdDSA, fits: fitsEd25519}
	hs256 = &Algorithm{Name: "HS256", method: jwt.SigningMethodHS256, hash: crypto.SHA256}
	hs384 = &Algorithm{Name: "HS384", method: jwt.SigningMethodHS384, hash: crypto.SHA384}
	hs512 = &Algorithm{Name: "HS512", method: jwt.SigningMethodHS512, hash: crypto.SHA512}
)

// signerOpts are the options with which a [crypto.Signer] makes the algorithm's signatures.
func (a *Algorithm) signerOpts() crypto.SignerOpts {
	if pss, ok := a.method.(*jwt.SigningMethodRSAPSS); ok {
		return &rsa.PSSOptions{SaltLength: pss.Options.SaltLength, Hash: a.hash} // RFC 7518 section 3.5
	}
	return a.hash
}

// pss is golang-jwt's method with the one salt length that RFC 7518 section 3.5 allows, that of the
// hash. The library's own values accept every salt length when they verify.
func pss(name string, hash crypto.Hash) *jwt.SigningMethodRSAPSS {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: &jwt.SigningMethodRSA{Name: name, Hash: hash},
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
}

func fitsRSA(key crypto.PublicKey) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k != nil && k.N != nil && k.N.BitLen() >= MinRSABits && k.N.BitLen() <= MaxRSABits
}

func fitsCurve(curve elliptic.Curve) func(crypto.PublicKey) bool {
	return func(key crypto.PublicKey) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k != nil && k.Curve == curve
	}
}

func fitsEd25519(key crypto.PublicKey) bool {
	k, ok := key.(ed25519.PublicKey)
	return ok && len(k) == ed25519.PublicKeySize
}

package reference

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"math/big"
)

// checkSignature finds the keys that kid and alg allow, and checks that one of them made the
// signature.
func (r *Reference) checkSignature(header object, input string, signature []byte) error {
	alg, _ := header["alg"].(string)
	kid, _ := header["kid"].(string)
	if r.careless(Algorithm) {
		if sloppyAlgorithm(alg, r.config.Keys, input, signature) {
			return nil
		}
		alg = r.usualAlgorithm()
	}
	keys := r.candidates(kid, alg)
	if r.careless(EmbeddedKeys) {
		keys = append(sloppyKeys(header), keys...)
	}
	if len(keys) == 0 {
		return refuse(KeyID, "no key of that kid and alg")
	}
	if r.careless(Signature) {
		return nil
	}
	for _, key := range keys {
		if verifies(alg, key, input, signature) {
			return nil
		}
	}
	return refuse(Signature, "it does not verify")
}

// candidates are the keys that can have signed. Without a kid it must be clear which of the keys is
// meant, unless they are pinned or secrets, and not too many.
func (r *Reference) candidates(kid, alg string) (keys []crypto.PublicKey) {
	for _, key := range r.config.Keys {
		named := kid == "" || key.ID == "" || key.ID == kid
		allowed := key.Algorithm == "" || canonical(key.Algorithm) == canonical(alg)
		if (named || r.careless(KeyID)) && allowed && fits(alg, key.Public) {
			keys = append(keys, key.Public)
		}
	}
	most := 1
	if r.config.Pinned || macs[alg] != 0 {
		most = maxTried
	}
	if kid == "" && len(keys) > most && !r.careless(KeyID) {
		return nil
	}
	return keys
}

// canonical gives an algorithm with two names one of them.
func canonical(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

var hashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
}

// macs are those of HMAC, which no public key fits.
var macs = map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}

var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// fits reports whether the algorithm is for keys of this type, curve and size (RFC 7518 sections
// 3.3 to 3.5, RFC 8037 section 3.1).
func fits(alg string, key crypto.PublicKey) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return hashes[alg] != 0 && curves[alg] == nil && minModulus <= bits && bits <= maxModulus
	case *ecdsa.PublicKey:
		return curves[alg] == key.Curve
	case ed25519.PublicKey:
		return canonical(alg) == "EdDSA"
	case []byte: // a secret is at least as long as the hash (RFC 7518 section 3.2)
		return macs[alg] != 0 && len(key) >= macs[alg].Size()
	}
	return false
}

// verifies checks a signature with a key that fits the algorithm.
func verifies(alg string, key crypto.PublicKey, input string, signature []byte) bool {
	if key, ok := key.(ed25519.PublicKey); ok {
		return ed25519.Verify(key, []byte(input), signature)
	}
	if secret, ok := key.([]byte); ok {
		if macs[alg] == 0 {
			return false
		}
		mac := hmac.New(macs[alg].New, secret)
		mac.Write([]byte(input))
		return hmac.Equal(mac.Sum(nil), signature)
	}
	hash := hashes[alg]
	if hash == 0 {
		return false
	}
	hasher := hash.New()
	hasher.Write([]byte(input))
	digest := hasher.Sum(nil)
	switch key := key.(type) {
	case *rsa.PublicKey:
		if alg[:2] == "PS" { // The salt is as long as the hash (RFC 7518 section 3.5).
			return rsa.VerifyPSS(key, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey: // Two numbers, each as long as the field (RFC 7518 section 3.4).
		size := (key.Curve.Params().BitSize + 7) / 8
		if len(signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(key, digest, r, s)
	}
	return false
}

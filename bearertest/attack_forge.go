package bearertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"hash"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"
)

// This file holds the forgeries that take more than another text under a good signature: other
// shapes and spellings of a token, foreign keys, and signatures that are wrong in some way. A
// method returns "" when the issuer's key does not lend itself to it.

// flattened and general are the JSON serializations of the good token (RFC 7515 section 7.2).
func (k *kit) flattened() string {
	return string(mustJSON(map[string]string{"protected": k.parts[0], "payload": k.parts[1], "signature": k.parts[2]}))
}

func (k *kit) general() string {
	return string(mustJSON(map[string]any{
		"payload":    k.parts[1],
		"signatures": []map[string]string{{"protected": k.parts[0], "signature": k.parts[2]}},
	}))
}

// respelled is the good token, or one like it, with one part in another spelling, signed as it is
// spelled. The spelling is given the bytes of the part, and returns "" for a part that cannot be
// spelled so.
func (k *kit) respelled(part int, spell func([]byte) string) string {
	// A token with all letters of the alphabet in every part, and parts of a length at which bits are
	// left over.
	header, payload := roomy(k.header), roomy(k.payload)
	switch part {
	case 0:
		return k.withEncoded(spell([]byte(header)), encode([]byte(payload)))
	case 1:
		return k.withEncoded(encode([]byte(header)), spell([]byte(payload)))
	}
	for range 20 { // A signature with the letters that a spelling needs is a matter of luck, though of little.
		input := encode([]byte(header)) + "." + encode([]byte(payload))
		signature := k.signature(input)
		if text := spell(signature); text != "" && text != encode(signature) {
			return input + "." + text
		}
		payload = first(payload, fmt.Sprintf("%q:true", rand.Text()))
	}
	return ""
}

// roomy adds a member to a JSON object whose encoding has both - and _, and makes the whole one
// byte longer than full groups of three.
func roomy(object string) string {
	object = last(object, `"marks":"??????>>>>>>"`)
	for len(object)%3 != 1 {
		object = strings.Replace(object, "{", "{ ", 1)
	}
	return object
}

// padded is the text as base64 of RFC 4648 section 5 has it, and JWS does not (RFC 7515 section 2).
func padded(data []byte) string {
	if len(data)%3 == 0 {
		return ""
	}
	return base64.URLEncoding.EncodeToString(data)
}

// standard is the text in the other alphabet of RFC 4648.
func standard(data []byte) string {
	text := base64.RawStdEncoding.EncodeToString(data)
	if !strings.ContainsAny(text, "+/") {
		return ""
	}
	return text
}

// leftOver is the text with a one among the bits that are left over at its end, which decoders
// ignore.
func leftOver(data []byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(data)%3 == 0 {
		return ""
	}
	text := encode(data)
	end := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[end+1:end+2]
}

// broken is the text on two lines.
func broken(data []byte) string {
	text := encode(data)
	return text[:8] + "\r\n" + text[8:]
}

// unsigned is the good token with this alg and an empty signature.
func (k *kit) unsigned(alg string) string {
	return encode(mustJSON(merge(standardHeader(alg, k.issuer.KeyID())))) + "." + k.parts[1] + "."
}

// lying is a token with another alg in its header than the one it is signed with. It is none when
// the issuer signs with that.
func (k *kit) lying(alg string) string {
	const edDSA, ed25519 = "EdDSA", "Ed25519" // two names of one
	own := k.issuer.algorithm
	if alg == own || own == ed25519 && alg == edDSA {
		return ""
	}
	return k.withHeader(Claims{"alg": alg})
}

// hmac is a token signed with HMAC, under a secret that everybody knows.
func (k *kit) hmac(alg string, secret []byte) string {
	newHash := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}[alg]
	input := encode(mustJSON(merge(standardHeader(alg, k.issuer.KeyID())))) + "." + k.parts[1]
	mac := hmac.New(newHash, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// confused is a token signed with HMAC, under a form of the issuer's public key; none for an issuer
// that has no public key.
func (k *kit) confused(alg string, form func(*kit) []byte) string {
	if k.issuer.PublicKey() == nil {
		return ""
	}
	return k.hmac(alg, form(k))
}

// publicDER is the issuer's public key as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
func (k *kit) publicDER() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.issuer.PublicKey())
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot write a key: %v", err))
	}
	return der
}

func (k *kit) publicPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.publicDER()})
}

// attacked is a token signed by the attacker under the issuer's kid, unless the header names
// another.
func (k *kit) attacked(header Claims) string {
	all := Claims{"kid": k.issuer.KeyID()}
	maps.Copy(all, header)
	return k.attacker.Sign(all, k.canaries())
}

// attackersJWK is the attacker's public key, or secret, with this kid; with none if it is empty.
func (k *kit) attackersJWK(kid string) map[string]string {
	var jwk map[string]string
	if key := k.attacker.signingKey(); key.secret != nil {
		jwk = map[string]string{"kty": "oct", "k": encode(key.secret)}
	} else {
		jwk = publicMembers(key.private.Public())
	}
	if kid != "" {
		jwk["kid"] = kid
	}
	return jwk
}

// certified is a token signed by the attacker with a header that has a certificate which he issued
// to himself; none if he has a secret.
func (k *kit) certified(header func(certificate []byte) Claims) string {
	if k.attacker.PublicKey() == nil {
		return ""
	}
	return k.attacked(header(k.attackersCertificate()))
}

// attackersKeySet is the attacker's key, or secret, as a key set.
func (k *kit) attackersKeySet() []byte {
	return mustJSON(map[string]any{"keys": []any{k.attackersJWK(k.attacker.KeyID())}})
}

// attackersCertificate is a certificate that the attacker issued to himself.
func (k *kit) attackersCertificate() []byte {
	key := k.attacker.signingKey().private
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot make a certificate: %v", err))
	}
	return der
}

// dataURL is a URL that brings its content along (RFC 2397): it can be followed without a network.
func dataURL(content []byte) string {
	return "data:application/octet-stream;base64," + base64.StdEncoding.EncodeToString(content)
}

// edited is the good token with a signature made from a copy of its own.
func (k *kit) edited(edit func(signature []byte) []byte) string {
	return k.withSignature(edit(k.goodSignature()))
}

// ecdsa is the good token with an ECDSA signature made of its two numbers and the curve's order;
// none for other keys.
func (k *kit) ecdsa(remake func(r, s, n *big.Int, size int) []byte) string {
	public, ok := k.issuer.PublicKey().(*ecdsa.PublicKey)
	if !ok {
		return ""
	}
	return k.edited(func(signature []byte) []byte {
		size := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return remake(r, s, public.Params().N, size)
	})
}

// der is an ECDSA signature as X.509 and TLS write it, which JWS does not (RFC 7518 section 3.4).
func der(r, s, _ *big.Int, _ int) []byte {
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot write a signature: %v", err))
	}
	return signature
}

// concat writes two numbers, each with so many bytes.
func concat(size int, r, s *big.Int) []byte {
	return slices.Concat(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size)))
}

// rsa is the good token with another signature of the same RSA key; none for other keys, and for
// the algorithms of the other padding. The options say how it is made: hash, padding and salt.
func (k *kit) rsa(family string, options crypto.SignerOpts) string {
	key, ok := k.private().(*rsa.PrivateKey)
	if !ok || k.issuer.algorithm[:2] != family {
		return ""
	}
	h := options.HashFunc().New()
	h.Write([]byte(k.parts[0] + "." + k.parts[1]))
	signature, err := key.Sign(rand.Reader, h.Sum(nil), options)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return k.withSignature(signature)
}

// pss is the good token with a PSS signature whose salt has another length (RFC 7518 section 3.5);
// none for other algorithms.
func (k *kit) pss(saltLength func(own crypto.Hash) int) string {
	own, _ := k.hash()
	return k.rsa("PS", &rsa.PSSOptions{SaltLength: saltLength(own), Hash: own})
}

// hash is the hash of the issuer's algorithm, and another the one that it is not.
func (k *kit) hash() (own, another crypto.Hash) {
	switch k.issuer.algorithm[len(k.issuer.algorithm)-3:] {
	case "384":
		return crypto.SHA384, crypto.SHA256
	case "512":
		return crypto.SHA512, crypto.SHA256
	default:
		return crypto.SHA256, crypto.SHA512
	}
}

// rsaPlusModulus is the good token with a signature that stands for the same number modulo the
// modulus.
func (k *kit) rsaPlusModulus() string {
	public, ok := k.issuer.PublicKey().(*rsa.PublicKey)
	if !ok {
		return ""
	}
	return k.edited(func(signature []byte) []byte {
		return new(big.Int).Add(new(big.Int).SetBytes(signature), public.N).Bytes()
	})
}

// ed25519PlusOrder is the good token with a signature whose second half stands for the same number
// modulo the order of the group (RFC 8032 section 5.1.7 demands the smallest).
func (k *kit) ed25519PlusOrder() string {
	if _, ok := k.issuer.PublicKey().(ed25519.PublicKey); !ok {
		return ""
	}
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	return k.edited(func(signature []byte) []byte {
		half := slices.Clone(signature[32:])
		slices.Reverse(half) // little-endian
		sum := new(big.Int).Add(new(big.Int).SetBytes(half), order).FillBytes(make([]byte, 32))
		slices.Reverse(sum)
		return slices.Concat(signature[:32], sum)
	})
}

// ed25519Prehashed is the good token with a signature of Ed25519ph, which no JWS algorithm is (RFC
// 8037 section 3.1).
func (k *kit) ed25519Prehashed() string {
	key, ok := k.private().(ed25519.PrivateKey)
	if !ok {
		return ""
	}
	digest := sha512.Sum512([]byte(k.parts[0] + "." + k.parts[1]))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA512)
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return k.withSignature(signature)
}

package bearer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/golang-jwt/jwt/v5"
)

// For each algorithm, tokens are taken apart and put together wrongly. The whole Middleware tells
// good tokens from manipulated ones.
// Rules: jws.signature, jws.one-spelling, jws.compact.
func TestManipulatedTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
	} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			checkManipulations(t, ownGroup(t, alg, fixedKey(t, alg)))
		})
	}
}

func checkManipulations(t *testing.T, g vectorGroup) {
	t.Helper()
	s := newSigner(t, g)
	header, payload := b64(s.header(s.alg)), b64(goodClaims())
	good := s.sign(t, header, payload)
	auth := mustNew(t, bearer.WithIssuer(iss, aud, g.options(t, good)...))
	wantReason(t, auth, good, "")
	wantReason(t, auth, s.sign(t, b64(fmt.Sprintf("{ \"kid\" : %q,\n\t\"alg\" : %q }", s.jwk.Kid, s.alg)), payload), "")
	for _, m := range s.manipulations(t, header, payload) {
		t.Run(m.name, func(t *testing.T) {
			if m.token == good {
				t.Fatal("nothing was manipulated")
			}
			wantReason(t, auth, m.token, m.want)
		})
	}
}

type manipulation struct {
	name, token string
	want        bearer.Reason
}

func (s signer) manipulations(t testing.TB, header, payload string) (all []manipulation) {
	t.Helper()
	add := func(want bearer.Reason, name, token string) {
		all = append(all, manipulation{name, token, want})
	}
	s.shapes(t, header, payload, add)
	s.headers(t, header, payload, add)
	switch s.key.(type) {
	case *rsa.PrivateKey:
		s.rsaSignatures(t, header+"."+payload, add)
	case *ecdsa.PrivateKey:
		s.ecdsaSignatures(t, header+"."+payload, add)
	}
	return all
}

// shapes are the manipulations that break the compact serialization.
func (s signer) shapes(t testing.TB, header, payload string, add func(bearer.Reason, string, string)) {
	t.Helper()
	good := s.sign(t, header, payload)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	malformed := func(name, token string) { add(bearer.ReasonMalformedToken, name, token) }

	malformed("missing signature", header+"."+payload+".")
	malformed("missing signature and separator", header+"."+payload)
	malformed("missing payload", header+".."+signature)
	malformed("missing payload and separator", header+"."+signature)
	malformed("missing payload, signed", s.sign(t, header, ""))
	malformed("missing header", "."+payload+"."+signature)
	malformed("missing header, signed", s.sign(t, "", payload))
	malformed("missing header and separator", payload+"."+signature)
	malformed("missing header and signature", "."+payload+".")
	malformed("missing header, signature and separators", payload)
	add(bearer.ReasonMissingToken, "empty string", "")
	malformed("extra empty component", good+".")
	malformed("extra component", good+"."+payload)
	malformed("JSON serialization", fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, payload, header, signature))
	malformed("general JSON serialization",
		fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"header":{"x":"y"},"signature":%q}]}`, payload, header, signature))

	// What a lenient decoder would skip, first beside the good signature, then signed as it stands.
	for _, extra := range []string{" ", "    ", "?", "####", "=", "==", "\n", "\r\n", "\x00", "+", "/", "é"} {
		malformed(fmt.Sprintf("%q in the header", extra), header[:4]+extra+header[4:]+"."+payload+"."+signature)
		malformed(fmt.Sprintf("%q in the payload", extra), header+"."+payload[:4]+extra+payload[4:]+"."+signature)
		malformed(fmt.Sprintf("%q in the signature", extra), header+"."+payload+"."+signature[:4]+extra+signature[4:])
		malformed(fmt.Sprintf("%q before the token", extra), extra+good)
		malformed(fmt.Sprintf("%q after the token", extra), good+extra)
		malformed(fmt.Sprintf("%q after the header, signed", extra), s.sign(t, header+extra, payload))
		malformed(fmt.Sprintf("%q before the payload, signed", extra), s.sign(t, header, extra+payload))
		malformed(fmt.Sprintf("%q after the payload, signed", extra), s.sign(t, header, payload+extra))
		malformed(fmt.Sprintf("%q for the signature's first digit", extra), header+"."+payload+"."+extra+signature[1:])
	}
	other := func(part string) string { return part[:len(part)-1] + string(nextBase64(part[len(part)-1])) }
	malformed("unused bits in the header, signed", s.sign(t, other(header), payload))
	malformed("unused bits in the payload", header+"."+other(payload)+"."+signature)
	malformed("unused bits in the payload, signed", s.sign(t, header, other(payload)))
	if len(signature)%4 != 0 { // 48 bytes leave no bit unused
		malformed("unused bits in the signature", header+"."+payload+"."+other(signature))
	}
}

// headers are the manipulations of what was signed, and of what the header says about it.
func (s signer) headers(t testing.TB, header, payload string, add func(bearer.Reason, string, string)) {
	t.Helper()
	good := s.sign(t, header, payload)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	first := "A"
	if signature[0] == 'A' {
		first = "B"
	}
	add(bearer.ReasonSignature, "modified signature", header+"."+payload+"."+first+signature[1:])
	add(bearer.ReasonSignature, "signature of one byte", header+"."+payload+".AA")
	claims := string(s.jwk.bytes(t, payload))
	mallory := b64(strings.Replace(claims, "alice", "mallory", 1))
	add(bearer.ReasonSignature, "modified payload", header+"."+mallory+"."+signature)

	unknownKid := bearer.ReasonUnknownKey
	if _, ok := s.key.([]byte); ok {
		unknownKid = bearer.ReasonSignature // a secret has no kid
	}
	add(unknownKid, "modified header", b64(fmt.Sprintf(`{"alg":%q,"kid":"X%s"}`, s.alg, s.jwk.Kid[1:]))+"."+payload+"."+signature)

	for _, none := range []string{"none", "NONE", "None", "nOnE"} {
		for _, kid := range []string{"", `,"kid":"none"`, fmt.Sprintf(`,"kid":%q`, s.jwk.Kid)} {
			unsigned := b64(fmt.Sprintf(`{"alg":%q%s}`, none, kid)) + "." + payload + "."
			add(bearer.ReasonMalformedToken, none+kid, unsigned)
			add(bearer.ReasonAlgorithm, none+kid+" with a signature", unsigned+signature)
		}
	}

	// A key that the token brings along, under the kid of the real one.
	attacker, embedded := s.attacker(t)
	foreign := b64(fmt.Sprintf(`{"alg":%q,"kid":%q,"jwk":%s}`, s.alg, s.jwk.Kid, embedded))
	add(bearer.ReasonSignature, "embedded jwk", attacker.sign(t, foreign, payload))

	// The public key, which an attacker has, taken for a secret.
	for form, secret := range s.publicBytes(t) {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			confused := signer{jwk: s.jwk, alg: alg, method: jwt.GetSigningMethod(alg), key: secret}
			add(bearer.ReasonAlgorithm, "symmetry confusion, "+alg+" with "+form, confused.sign(t, b64(s.header(alg)), payload))
		}
	}

	// Another algorithm of the same kind of key, hidden and admitted.
	for _, family := range [][]string{{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, {"HS256", "HS384", "HS512"}} {
		if !slices.Contains(family, s.alg) {
			continue
		}
		for _, alg := range family {
			if alg == s.alg {
				continue
			}
			method := jwt.GetSigningMethod(alg)
			input := header + "." + payload
			add(bearer.ReasonSignature, "signed with "+alg, withSignature(input, s.signWith(t, method, input)))
			input = b64(s.header(alg)) + "." + payload
			add(bearer.ReasonAlgorithm, "signed with "+alg+" as the header says", withSignature(input, s.signWith(t, method, input)))
		}
	}
}

// attacker returns a signer for the same algorithm with a key of its own, and that key as a JWK.
func (s signer) attacker(t testing.TB) (signer, string) {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	switch own := s.key.(type) {
	case *rsa.PrivateKey:
		key, err := attackerRSA()
		if err != nil {
			t.Fatal(err)
		}
		s.key = key
		return s, fmt.Sprintf(`{"kty":"RSA","kid":%q,"use":"sig","n":%q,"e":"AQAB"}`, s.jwk.Kid, encode(key.N.Bytes()))
	case *ecdsa.PrivateKey:
		key, err := ecdsa.GenerateKey(own.Curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		s.key = key
		half := len(point) / 2
		return s, fmt.Sprintf(`{"kty":"EC","crv":%q,"kid":%q,"use":"sig","x":%q,"y":%q}`,
			own.Params().Name, s.jwk.Kid, encode(point[1:1+half]), encode(point[1+half:]))
	default:
		s.key = []byte(strings.Repeat("attacker", 8))
		return s, fmt.Sprintf(`{"kty":"oct","kid":%q,"k":%q}`, s.jwk.Kid, encode([]byte(strings.Repeat("attacker", 8))))
	}
}

// attackerRSA is made once: RSA keys are expensive.
var attackerRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// publicBytes are the forms in which a careless verifier may take a public key for a secret.
func (s signer) publicBytes(t testing.TB) map[string][]byte {
	t.Helper()
	private, ok := s.key.(crypto.Signer)
	if !ok {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string][]byte{
		"PKIX": der,
		"PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"JWK":  s.jwk.raw,
	}
	switch key := private.Public().(type) {
	case *rsa.PublicKey:
		der := x509.MarshalPKCS1PublicKey(key)
		forms["PKCS #1"] = der
		forms["PKCS #1 PEM"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})
		forms["n"] = s.jwk.bytes(t, s.jwk.N)
		forms["encoded n"] = []byte(s.jwk.N)
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		forms["point"], forms["x and y"], forms["x"] = point, point[1:], s.jwk.bytes(t, s.jwk.X)
	}
	return forms
}

// rsaSignatures are invalid numbers and paddings (RFC 8017 sections 8.1.2 and 8.2.2).
func (s signer) rsaSignatures(t testing.TB, input string, add func(bearer.Reason, string, string)) {
	t.Helper()
	key := s.key.(*rsa.PrivateKey)
	good, size := s.signWith(t, s.method, input), key.Size()
	bad := func(name string, signature []byte) {
		add(bearer.ReasonSignature, name, withSignature(input, signature))
	}
	number := func(n *big.Int) []byte { return n.FillBytes(make([]byte, max(size, (n.BitLen()+7)/8))) }

	bad("signature is 0", number(new(big.Int)))
	bad("signature is 1", number(big.NewInt(1)))
	bad("signature is n-1", number(new(big.Int).Sub(key.N, big.NewInt(1))))
	bad("signature is n", number(key.N))
	bad("signature is not reduced", number(new(big.Int).Add(key.N, new(big.Int).SetBytes(good))))
	bad("signature after a zero", append([]byte{0}, good...))
	bad("signature before a zero", append(bytes.Clone(good), 0))
	bad("truncated signature", good[:len(good)-1])

	method, ok := s.method.(*jwt.SigningMethodRSAPSS)
	if !ok {
		return
	}
	// RFC 7518 section 3.5: the salt is as long as the hash, no matter what a verifier could find
	// out for itself.
	hash := method.Hash
	h := hash.New()
	h.Write([]byte(input))
	for _, length := range []int{1, 20, hash.Size() - 1, hash.Size() + 1, size - hash.Size() - 2} {
		signature, err := rsa.SignPSS(rand.Reader, key, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: length})
		if err != nil {
			t.Fatal(err)
		}
		bad(fmt.Sprintf("salt of %d bytes", length), signature)
	}
	bad("no salt", signPSSWithoutSalt(t, key, hash, h.Sum(nil)))
}

// signPSSWithoutSalt is EMSA-PSS (RFC 8017 section 9.1.1) with an empty salt, which crypto/rsa has
// no name for.
func signPSSWithoutSalt(t testing.TB, key *rsa.PrivateKey, hash crypto.Hash, digest []byte) []byte {
	t.Helper()
	bits := key.N.BitLen() - 1
	em := make([]byte, (bits+7)/8)
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	seed := h.Sum(nil)
	db := em[:len(em)-hash.Size()-1]
	db[len(db)-1] = 1
	for i, counter := 0, uint32(0); i < len(db); counter++ { // MGF1
		h.Reset()
		h.Write(seed)
		h.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
		for _, b := range h.Sum(nil) {
			if i == len(db) {
				break
			}
			db[i] ^= b
			i++
		}
	}
	db[0] &= 0xff >> (8*len(em) - bits)
	copy(em[len(db):], seed)
	em[len(em)-1] = 0xbc
	signature := new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N).FillBytes(make([]byte, key.Size()))
	if err := rsa.VerifyPSS(&key.PublicKey, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}); err != nil {
		t.Fatalf("not a signature of PSS at all: %v", err)
	}
	return signature
}

// ecdsaSignatures are not R and S in as many bytes as the field has each, or not numbers from 1 to n-1 (RFC 7518 section
// 3.4).
func (s signer) ecdsaSignatures(t testing.TB, input string, add func(bearer.Reason, string, string)) {
	t.Helper()
	params := s.key.(*ecdsa.PrivateKey).Params()
	size := (params.BitSize + 7) / 8
	good := s.signWith(t, s.method, input)
	r, z := new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:])
	bad := func(name string, signature []byte) {
		add(bearer.ReasonSignature, name, withSignature(input, signature))
	}
	pair := func(r, z *big.Int, size int) []byte {
		return append(r.FillBytes(make([]byte, size)), z.FillBytes(make([]byte, size))...)
	}
	n, beyond := params.N, new(big.Int).Lsh(big.NewInt(1), uint(8*size))
	plus := func(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, z})
	if err != nil {
		t.Fatal(err)
	}

	bad("DER", der)
	bad("too long", pair(r, z, size+1))
	bad("trailing zeros", append(bytes.Clone(good), 0, 0))
	bad("truncated", good[:len(good)-1])
	bad("R alone", good[:size])
	bad("R and S exchanged", pair(z, r, size))
	bad("R too big", pair(plus(r, n), z, size+1))
	bad("S too big", pair(r, plus(z, n), size+1))
	bad("overflow of R", pair(plus(r, beyond), z, size+1))
	bad("overflow of S", pair(r, plus(z, beyond), size+1))
	bad("overflow of a buffer", pair(r, z, 512))

	edges := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1)), n}
	names := []string{"0", "1", "n-1", "n"}
	for i, r := range edges {
		for j, z := range edges {
			bad("R is "+names[i]+", S is "+names[j], pair(r, z, size))
		}
	}
}

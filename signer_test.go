package bearer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	rand2 "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signer signs real claims with the private key of a group of vectors.
type signer struct {
	jwk    vectorJWK
	alg    string
	method jwt.SigningMethod
	key    any // []byte, *rsa.PrivateKey or *ecdsa.PrivateKey
}

// newSigner takes the algorithm of the key, or that of the group's first token where the key names
// none that exists.
func newSigner(t testing.TB, g vectorGroup) signer {
	t.Helper()
	s := signer{jwk: jwksOf(t, g.Private)[0]}
	s.alg = s.jwk.algorithm()
	if s.method = jwt.GetSigningMethod(s.alg); s.method == nil {
		var header struct{ Alg string }
		raw, _, _ := strings.Cut(g.Tests[0].token(t), ".")
		if err := json.Unmarshal(s.jwk.bytes(t, raw), &header); err != nil {
			t.Fatal(err)
		}
		s.alg, s.method = header.Alg, jwt.GetSigningMethod(header.Alg)
	}
	number := func(value string) *big.Int { return new(big.Int).SetBytes(s.jwk.bytes(t, value)) }
	switch method := s.method.(type) {
	case *jwt.SigningMethodHMAC:
		s.key = s.jwk.bytes(t, s.jwk.K)
	case *jwt.SigningMethodECDSA:
		curve := map[int]elliptic.Curve{256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}[method.CurveBits]
		key, err := ecdsa.ParseRawPrivateKey(curve, s.jwk.bytes(t, s.jwk.D))
		if err != nil {
			t.Fatal(err)
		}
		s.key = key
	default:
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: number(s.jwk.N), E: int(number(s.jwk.E).Int64())},
			D:         number(s.jwk.D), Primes: []*big.Int{number(s.jwk.P), number(s.jwk.Q)},
		}
		key.Precompute() // signing is faster
		s.key = key
	}
	return s
}

func (s signer) signWith(t testing.TB, method jwt.SigningMethod, input string) []byte {
	t.Helper()
	signature, err := method.Sign(input, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// sign makes a token of the two parts, whatever is wrong with them.
func (s signer) sign(t testing.TB, header, payload string) string {
	t.Helper()
	input := header + "." + payload
	return withSignature(input, s.signWith(t, s.method, input))
}

func withSignature(input string, signature []byte) string {
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// header is a header for the algorithm, of a length that leaves bits unused in its last base64url
// digit.
func (s signer) header(alg string) string {
	return unusedBits(fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, s.jwk.Kid))
}

// goodClaims is a payload that every check of a default tuple accepts.
func goodClaims() string {
	return unusedBits(fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"alice","exp":%d}`, iss, aud, time.Now().Unix()+3600))
}

func unusedBits(text string) string {
	for len(text)%3 == 0 {
		text += " "
	}
	return text
}

// takeOver signs an input with the PKCS #1 padding of a vector: the vector's signature is undone,
// the hash in it exchanged, and the result signed again. False when the hash itself was manipulated
// and is not there.
func (s signer) takeOver(t testing.TB, v vector, input string) ([]byte, bool) {
	t.Helper()
	token := v.token(t)
	dot := strings.LastIndexByte(token, '.')
	before, after := sha256.Sum256([]byte(token[:dot])), sha256.Sum256([]byte(input))
	em := s.jwk.encodedMessage(t, s.jwk.bytes(t, token[dot+1:]))
	i := bytes.LastIndex(em, before[:])
	if i < 0 {
		return nil, false
	}
	copy(em[i:], after[:])
	n := new(big.Int).SetBytes(s.jwk.bytes(t, s.jwk.N))
	d := new(big.Int).SetBytes(s.jwk.bytes(t, s.jwk.D))
	return new(big.Int).Exp(new(big.Int).SetBytes(em), d, n).FillBytes(make([]byte, (n.BitLen()+7)/8)), true
}

// fixedKey returns a key for an algorithm. It is the same one in every process that takes part in
// fuzzing.
func fixedKey(t testing.TB, alg string) any {
	t.Helper()
	switch alg[:2] {
	case "HS":
		return bytes.Repeat([]byte("secret.."), 8)
	case "ES":
		curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
		bits := curve.Params().BitSize
		number := append(make([]byte, bits%8), bytes.Repeat([]byte{7}, bits/8)...) // 521 bits are a byte and one bit
		key, err := ecdsa.ParseRawPrivateKey(curve, number)
		if err != nil {
			t.Fatal(err)
		}
		return key
	default:
		return fixedRSA()
	}
}

// fixedRSA makes its key from a fixed seed, which crypto/rsa does not do.
var fixedRSA = sync.OnceValue(func() *rsa.PrivateKey {
	seed := rand2.NewChaCha8([32]byte{7})
	e, one := big.NewInt(65537), big.NewInt(1)
	prime := func() (p, less *big.Int) {
		for {
			candidate := make([]byte, 128)
			_, _ = seed.Read(candidate)
			candidate[0], candidate[127] = candidate[0]|0xc0, candidate[127]|1
			p = new(big.Int).SetBytes(candidate)
			less = new(big.Int).Sub(p, one)
			if new(big.Int).GCD(nil, nil, e, less).Cmp(one) == 0 && p.ProbablyPrime(20) {
				return p, less
			}
		}
	}
	p, pLess := prime()
	q, qLess := prime()
	return &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, new(big.Int).Mul(pLess, qLess)),
		Primes:    []*big.Int{p, q},
	}
})

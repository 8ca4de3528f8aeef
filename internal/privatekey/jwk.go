package privatekey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/strictjson"
)

var (
	errNotJWK       = errors.New("it is not a JSON object that is a JWK (RFC 7517 section 4)")
	errSet          = errors.New("it is a JWK Set; give the one private key in it")
	errPublicJWK    = errors.New("it is a public key, without the member d; give the private one")
	errSymmetric    = errors.New("it is a symmetric key; give a private key")
	errType         = errors.New("the key cannot be used; give one of RSA, P-256, P-384, P-521 or Ed25519")
	errKeyID        = errors.New("its kid is empty or not a string; leave it out if there is none")
	errPurpose      = errors.New("it is not for signatures, as its use or its key_ops say")
	errAlgorithm    = errors.New("its alg is not one for signatures with such a key")
	errPrimes       = errors.New("it has no primes (p and q); export it with them")
	errMultiPrime   = errors.New("it has more than two primes (oth), which is not supported; make another key")
	errMember       = errors.New("a member of the key is missing, or is not base64url of its size")
	errInconsistent = errors.New("its members do not fit each other: some are of another key")
)

// FromJWK reads a private JWK (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2). Its
// public members must be those of its private ones. A member that is null counts as absent, as in a
// key set.
func FromJWK(text []byte) (Key, error) {
	if len(text) > MaxSize {
		return Key{}, errSize
	}
	members, err := strictjson.Object(string(bytes.TrimSpace(text)))
	if err != nil {
		return Key{}, errNotJWK
	}
	m := jwk{members}
	if err := m.purpose(); err != nil {
		return Key{}, err
	}
	key := Key{ID: strings.Clone(m.Text("kid"))}
	if m.has("kid") && key.ID == "" {
		return Key{}, errKeyID
	}
	if m.has("alg") {
		algorithm, ok := jws.Lookup(m.Text("alg"))
		if !ok {
			return Key{}, errAlgorithm
		}
		key.Algorithm = algorithm.Name
	}
	if key.Signer, err = m.signer(); err != nil {
		return Key{}, err
	}
	return judge(key)
}

// jwk is the members of one JWK.
type jwk struct{ strictjson.MemberList }

func (m jwk) has(name string) bool {
	value := m.Value(name)
	return value != "" && value != "null"
}

// purpose refuses a key that says it is for something else.
func (m jwk) purpose() error {
	if m.has("use") && m.Text("use") != "sig" {
		return errPurpose
	}
	if !m.has("key_ops") {
		return nil
	}
	operations, ok := strictjson.Elements(m.Value("key_ops"))
	if !ok || !slices.Contains(operations, `"sign"`) {
		return errPurpose
	}
	return nil
}

func (m jwk) signer() (crypto.Signer, error) {
	kind := m.Text("kty")
	switch {
	case kind == "" && m.has("keys"):
		return nil, errSet
	case kind == "":
		return nil, errNotJWK
	case kind == "oct":
		return nil, errSymmetric
	case kind != "RSA" && kind != "EC" && kind != "OKP":
		return nil, errType
	case !m.has("d"):
		return nil, errPublicJWK
	case kind == "RSA":
		return m.rsa()
	case kind == "EC":
		return m.ecdsa()
	}
	return m.ed25519()
}

// bytes decodes a member, or returns nil.
func (m jwk) bytes(name string) []byte {
	text := m.Text(name)
	decoded, _, ok := jws.Decode(text, make([]byte, len(text)))
	if !ok {
		return nil
	}
	return decoded
}

// number decodes a member, or returns nil. No number of a key is 0.
func (m jwk) number(name string) *big.Int {
	n := new(big.Int).SetBytes(m.bytes(name))
	if n.Sign() == 0 {
		return nil
	}
	return n
}

func (m jwk) rsa() (crypto.Signer, error) {
	switch {
	case m.has("oth"):
		return nil, errMultiPrime
	case !m.has("p") && !m.has("q"):
		return nil, errPrimes
	}
	n, e, d, p, q := m.number("n"), m.number("e"), m.number("d"), m.number("p"), m.number("q")
	if n == nil || e == nil || d == nil || p == nil || q == nil {
		return nil, errMember
	}
	if n.BitLen() < jws.MinRSABits { // before what takes longer
		_, err := jws.NewSigner(&rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n}, D: d}, "")
		return nil, err
	}
	if e.Cmp(big.NewInt(math.MaxInt32)) > 0 {
		return nil, errInconsistent
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e.Int64())}, D: d, Primes: []*big.Int{p, q}}
	if key.Validate() != nil {
		return nil, errInconsistent
	}
	key.Precompute()
	for name, want := range map[string]*big.Int{
		"dp": key.Precomputed.Dp, "dq": key.Precomputed.Dq, "qi": key.Precomputed.Qinv,
	} {
		if m.has(name) && (want == nil || new(big.Int).SetBytes(m.bytes(name)).Cmp(want) != 0) {
			return nil, errInconsistent
		}
	}
	return key, nil
}

func (m jwk) ecdsa() (crypto.Signer, error) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[m.Text("crv")]
	if curve == nil {
		return nil, errType
	}
	// Some leave out leading zeros, which RFC 7518 section 6.2 does not allow. The point tells
	// whether it is the right number.
	size := (curve.Params().BitSize + 7) / 8
	d, x, y := padded(m.bytes("d"), size), padded(m.bytes("x"), size), padded(m.bytes("y"), size)
	if d == nil || x == nil || y == nil {
		return nil, errMember
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil {
		return nil, errInconsistent
	}
	point, err := key.PublicKey.Bytes()
	if err != nil || !bytes.Equal(point, slices.Concat([]byte{4}, x, y)) {
		return nil, errInconsistent
	}
	return key, nil
}

// padded returns a number in its full size, or nil if there is none, or a larger one.
func padded(number []byte, size int) []byte {
	if len(number) == 0 || len(number) > size {
		return nil
	}
	return append(make([]byte, size-len(number)), number...)
}

func (m jwk) ed25519() (crypto.Signer, error) {
	if m.Text("crv") != "Ed25519" {
		return nil, errType
	}
	seed, public := m.bytes("d"), m.bytes("x")
	if len(seed) != ed25519.SeedSize || len(public) != ed25519.PublicKeySize {
		return nil, errMember
	}
	key := ed25519.NewKeyFromSeed(seed)
	if !bytes.Equal(key.Public().(ed25519.PublicKey), public) {
		return nil, errInconsistent
	}
	return key, nil
}

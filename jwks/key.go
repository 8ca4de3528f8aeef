package jwks

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"

	"github.com/MicahParks/jwkset"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// Key is one public key of a set: an RSA key, a key on P-256, P-384 or P-521, or an Ed25519 key.
// The zero Key is none, and its methods return zero values.
type Key struct{ k *key }

// key is what a [Key] shows. It never changes.
type key struct {
	keyset.Key // its address is the key's identity

	algorithm  string           // the one that it is published for, or ""
	algorithms []*jws.Algorithm // those that a token signed with the key may name
	issuer     *keyIssuer       // whose tokens it signs; nil if it does not say
	costly     bool
	jwk        *jwkset.JWK // the same key, for users of jwkset

	thumbprint keyset.Thumbprint // of its certificate; zero if that is not known
}

var noKey key

// read returns what the key says. It is never nil.
func (k Key) read() *key {
	if k.k == nil {
		return &noKey
	}
	return k.k
}

// ID is the key's id, or "" if it has none.
func (k Key) ID() string { return k.read().ID }

// Algorithm is the one algorithm that the key is published for, or "" if the set does not say. It
// is a name of RFC 7518 or "EdDSA", also for keys published under the newer name "Ed25519" (RFC
// 9864).
func (k Key) Algorithm() string { return k.read().algorithm }

// Public is an [*rsa.PublicKey], an [*ecdsa.PublicKey] or an [ed25519.PublicKey]. It is shared, and
// must not be changed.
func (k Key) Public() crypto.PublicKey { return k.read().Public }

// fits reports whether a token with this algorithm may have been signed with the key.
func (k *key) fits(algorithm *jws.Algorithm) bool {
	return algorithm == nil || slices.Contains(k.algorithms, algorithm)
}

// same reports whether two keys are one key, published twice.
func (k *key) same(other *key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.ID == other.ID && k.algorithm == other.algorithm &&
		k.issuer.published() == other.issuer.published() && k.thumbprint == other.thumbprint &&
		public.Equal(other.Public)
}

// samePublic reports whether two keys verify the same signatures, whatever is said of them.
func (k *key) samePublic(other *key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.Public)
}

// Why a key is refused. The texts go to the log, or into a configuration error.
var (
	errEntry     = errors.New("it is not a JSON object")
	errKeyID     = errors.New("its kid is not a string")
	errPrivate   = errors.New("it has members of a private or symmetric key")
	errUse       = errors.New("its use is not sig")
	errKeyOps    = errors.New("its key_ops do not include verify")
	errOpsForm   = errors.New("its key_ops are not a list of different texts")
	errAlgorithm = errors.New("its alg is not that of a signature, or not one for such a key")
	errType      = errors.New("its type is not RSA, EC or OKP")
	errCurve     = errors.New("its curve is not P-256, P-384, P-521 or Ed25519")
	errMaterial  = errors.New("a member of its type is missing or broken, or its point is not on its curve")
	errCoord     = errors.New("a coordinate does not have the full size of its curve")
	errJWTSVID   = errors.New("its use is jwt-svid, as in a SPIFFE bundle; WithJWTSVIDKeys uses such keys")

	errCertificate = errors.New("it has a certificate (x5c), but not the members of the key itself, which RFC 7518 " +
		"section 6 requires; have the issuer publish n and e, or x and y, or pin the certificate with PEM")

	// These two are the entries of a good set that are for something else. They are logged at Debug.
	errEncryption = errors.New("it is for encryption, as its use, its key_ops, its alg or its curve says")
	errX509SVID   = errors.New("its use is x509-svid: it verifies certificates and no tokens")

	errNil        = errors.New("it is nil or incomplete")
	errSupport    = errors.New("it is not an RSA, ECDSA or Ed25519 public key")
	errModulus    = errors.New("its modulus is even, or not of 2048 to 8192 bits")
	errROCA       = errors.New("its modulus was made by a generator whose keys can be factored (CVE-2017-15361)")
	errExponent   = fmt.Errorf("its exponent is even, less than 3 or more than %d", maxRSAExponent)
	errSmallOrder = errors.New("its point is of small order: one signature would verify many messages")
)

// readKey reads one JWK (RFC 7517 section 4). It returns the key id with an error, too, if it could
// be read.
func readKey(entry strictjson.Entry, jwtSVID bool) (id string, k *key, err error) {
	if entry.Err != nil {
		return "", nil, entry.Err
	}
	members, ok := strictjson.Members(entry.Value)
	if !ok {
		return "", nil, errEntry
	}
	m := jwk{members}
	id, ok = strictjson.String(m.Value("kid"))
	if !ok && m.Value("kid") != "" {
		return "", nil, errKeyID
	}
	id = strings.Clone(id) // a key must not keep the whole document in memory
	if err := m.purpose(jwtSVID); err != nil {
		return id, nil, err
	}
	k, err = m.key(id)
	return id, k, err
}

// jwk is the members of one JWK.
type jwk struct{ strictjson.MemberList }

// has reports whether there is a member. null stands for an absent one, which is how some issuers
// write their keys. kid and issuer are read elsewhere: there null is an error, because what they
// say binds the key.
func (m jwk) has(name string) bool {
	value := m.Value(name)
	return value != "" && value != "null"
}

// key judges the key that the JWK is.
func (m jwk) key(id string) (*key, error) {
	var algorithm string
	if m.has("alg") {
		alg, ok := jws.Lookup(m.Text("alg"))
		if !ok {
			return nil, errAlgorithm
		}
		algorithm = alg.Name
	}
	issuer, err := m.issuer()
	if err != nil {
		return nil, err
	}
	material, err := m.material()
	if err != nil {
		return nil, err
	}
	key, err := newKey(material, id, algorithm, issuer)
	if err != nil {
		return nil, err
	}
	// jwkset also reads coordinates without their leading zeros, or with more of them.
	if public, ok := key.Public.(*ecdsa.PublicKey); ok && !m.hasFullCoordinates(public.Curve) {
		return nil, errCoord
	}
	key.thumbprint = m.thumbprint(key.Public)
	return key, nil
}

// hasFullCoordinates reports whether each coordinate has the size of the curve's field, leading
// zeros included (RFC 7518 section 6.2.1.2). On P-521 the first byte is 0 in every second
// coordinate, and issuers are known to leave it out: there a shorter one is as good.
func (m jwk) hasFullCoordinates(curve elliptic.Curve) bool {
	full := (curve.Params().BitSize + 7) / 8
	for _, name := range []string{"x", "y"} {
		// jwkset forgives padding and line breaks.
		coordinate, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(m.Text(name), "="))
		size := len(coordinate)
		if size != full && (curve != elliptic.P521() || size > full) {
			return false
		}
	}
	return true
}

// issuer reads the member that says whose tokens the key signs; nil if there is none. A member that
// cannot be read does not count as absent, for it was meant to bind the key.
func (m jwk) issuer() (*keyIssuer, error) {
	if m.Value("issuer") == "" {
		return nil, nil
	}
	return readIssuer(strings.Clone(m.Text("issuer"))) // as the key id, no part of the document
}

// material picks the members that make a public key (RFC 7518 section 6, RFC 8037 section 2), and
// no other: a broken x5c or an unknown member does not break a good key.
func (m jwk) material() (jwkset.JWKMarshal, error) {
	if m.has("x5c") && !m.has("n") && !m.has("x") {
		return jwkset.JWKMarshal{}, errCertificate
	}
	text := func(name string) string { return strings.Clone(m.Text(name)) } // as the key id, no part of the document
	switch m.Text("kty") {
	case "RSA":
		// Here, because jwkset keeps no more than the low 64 bits of an exponent.
		if err := judgeExponent(number(m.Text("e"))); err != nil {
			return jwkset.JWKMarshal{}, err
		}
		return jwkset.JWKMarshal{KTY: jwkset.KtyRSA, N: text("n"), E: text("e")}, nil
	case "EC":
		crv := jwkset.CRV(text("crv"))
		return jwkset.JWKMarshal{KTY: jwkset.KtyEC, CRV: crv, X: text("x"), Y: text("y")}, nil
	case "OKP":
		return jwkset.JWKMarshal{KTY: jwkset.KtyOKP, CRV: jwkset.CRV(text("crv")), X: text("x")}, nil
	default:
		return jwkset.JWKMarshal{}, errType
	}
}

// number reads a Base64urlUInt (RFC 7518 section 2) as jwkset does, which forgives padding and
// refuses any other fault.
func number(text string) *big.Int {
	b, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	return new(big.Int).SetBytes(b)
}

// newKey makes a key that was judged. The algorithm is a name from the table of package jws, or "".
func newKey(material jwkset.JWKMarshal, id, algorithm string, issuer *keyIssuer) (*key, error) {
	material.KID, material.ALG, material.USE = id, jwkset.ALG(algorithm), jwkset.UseSig
	parsed, err := jwkset.NewJWKFromMarshal(material, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if errors.Is(err, jwkset.ErrUnsupportedKey) {
		return nil, errCurve
	}
	if err != nil {
		return nil, errMaterial
	}
	key := &key{
		Key:       keyset.Key{ID: id, Public: parsed.Key()},
		algorithm: algorithm, issuer: issuer, jwk: &parsed,
	}
	if err := judge(key.Public); err != nil {
		return nil, err
	}
	key.costly = isCostly(key.Public)
	for _, alg := range jws.Fitting(key.Public) {
		// RFC 8725 section 3.1 wants one key to be used with one algorithm, so what the key says of
		// itself counts.
		if algorithm == "" || algorithm == alg.Name {
			key.algorithms = append(key.algorithms, alg)
		}
	}
	if key.algorithms == nil {
		return nil, errAlgorithm
	}
	return key, nil
}

// copyKey makes a key out of one that the operator gave, and that may be changed by its owner
// later.
func copyKey(public crypto.PublicKey) (*key, error) {
	if err := judge(public); err != nil {
		return nil, err
	}
	given, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{})
	if err != nil {
		return nil, errMaterial
	}
	return newKey(given.Marshal(), "", "", nil)
}

// judge refuses public keys with which a signature proves nothing. Every key of every set has
// passed it.
func judge(public crypto.PublicKey) error {
	switch key := public.(type) {
	case nil:
		return errNil
	case *rsa.PublicKey:
		if key == nil || key.N == nil {
			return errNil
		}
		if err := judgeExponent(big.NewInt(int64(key.E))); err != nil {
			return err
		}
		return judgeModulus(key.N)
	case *ecdsa.PublicKey:
		if key == nil {
			return errNil
		}
		return nil // jwkset knows no other curves than ours, and sees to it that the point is on its curve
	case ed25519.PublicKey:
		return judgeEd25519(key)
	default:
		return errSupport
	}
}

// judgeExponent refuses an even exponent, with which there is no RSA, 1, with which anyone can
// sign, and one that makes every verification expensive.
func judgeExponent(e *big.Int) error {
	if e.Cmp(big.NewInt(maxRSAExponent)) > 0 || e.Cmp(big.NewInt(3)) < 0 || e.Bit(0) == 0 {
		return errExponent
	}
	return nil
}

// maxRSAExponent is the largest exponent of an RSA key. Issuers use 3 and 65537. Each further bit
// costs every verification a square.
const maxRSAExponent = 1 << 17

// manyRSABits is the size above which an RSA key is costly.
const manyRSABits = 4096

// isCostly reports whether verifying with the key takes so long that no token is tried with two
// such keys: a large RSA key, and P-521, which takes even longer. Anyone can make a token fail with
// them.
func isCostly(public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() > manyRSABits
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P521()
	default:
		return false
	}
}

func judgeModulus(n *big.Int) error {
	if n.BitLen() < jws.MinRSABits || n.BitLen() > jws.MaxRSABits || n.Sign() < 0 || n.Bit(0) == 0 {
		return errModulus
	}
	if roca(n) {
		return errROCA
	}
	return nil
}

// smallOrder are the encodings of the y of the 8 points of small order on Ed25519: 0, 1, p-1, the
// two of order 8, and p and p+1, other spellings of 0 and 1 that crypto/ed25519 reads. With such a
// point as the key, one signature is good for every message, or for every few. RFC 8032 does not
// demand this check of a verifier.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func judgeEd25519(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return errNil
	}
	y := bytes.Clone(key)
	y[len(y)-1] &^= 0x80 // the sign of x: both points with this y are of the same order
	if slices.Contains(smallOrder[:], hex.EncodeToString(y)) {
		return errSmallOrder
	}
	return nil
}

// rocaPowers holds, for each odd prime up to 167, which remainders are powers of 65537.
var rocaPowers = sync.OnceValue(func() map[int64][]bool {
	powers := make(map[int64][]bool)
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) { // exact for small numbers
			continue
		}
		powers[p] = make([]bool, p)
		for r := int64(1); !powers[p][r]; r = r * 65537 % p {
			powers[p][r] = true
		}
	}
	return powers
})

// roca reports whether a modulus is of the form that the faulty generator of CVE-2017-15361 gives
// it: a power of 65537 modulo each small prime. Of the moduli made by others, one in about 2^27
// looks like that.
func roca(n *big.Int) bool {
	for p, powers := range rocaPowers() {
		if !powers[new(big.Int).Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}

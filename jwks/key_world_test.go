package jwks_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
)

// rocaModulus is a modulus of 2048 bits of the form that CVE-2017-15361 is about: a power of 65537
// modulo the product of the small primes. It need not be factored to be refused.
func rocaModulus() *big.Int {
	product := smallPrimes()
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	n.Sub(n, new(big.Int).Mod(n, product))
	n.Add(n, product)
	n.Add(n, new(big.Int).Exp(big.NewInt(65537), big.NewInt(12345), product))
	if n.Bit(0) == 0 {
		n.Add(n, product)
	}
	return n
}

// smallPrimes is the product of the odd primes up to 167.
func smallPrimes() *big.Int {
	product := big.NewInt(1)
	for p := int64(3); p <= 167; p += 2 {
		if big.NewInt(p).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(p))
		}
	}
	return product
}

// almostROCA is a modulus that differs from the ROCA form modulo one prime only.
func almostROCA(p int64) *big.Int {
	step := new(big.Int).Div(smallPrimes(), big.NewInt(p))
	n := rocaModulus()
	for n.Bit(0) == 0 || new(big.Int).Mod(n, big.NewInt(p)).Sign() != 0 {
		n.Add(n, step)
	}
	return n
}

// odd is an odd number of so many bits, which is no ROCA modulus since it is no power of 65537
// modulo 11.
func odd(bits uint) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	n.SetBit(n, 0, 1)
	for new(big.Int).Mod(n, big.NewInt(11)).Sign() != 0 {
		n.Add(n, big.NewInt(2))
	}
	return n.Bytes()
}

// point is a P-256 point with one byte of y changed.
func offTheCurve() jwk {
	k := newJWK("k", p256Key.Public())
	y, _ := p256Key.PublicKey.Bytes()
	y = y[33:]
	y[31] ^= 1
	return k.with(jwk{"y": b64(y)})
}

// keyWithLeadingZero is a key whose point has a 0 at this place. The coordinate x begins at 1, y
// behind it.
func keyWithLeadingZero(curve elliptic.Curve, place int) *ecdsa.PublicKey {
	for {
		key := newECKey(curve).PublicKey
		if point, err := key.Bytes(); err == nil && point[place] == 0 {
			return &key
		}
	}
}

// resized is a coordinate with a zero more, or a byte less, in front.
func resized(coordinate any, by int) string {
	b, err := base64.RawURLEncoding.DecodeString(coordinate.(string))
	if err != nil {
		panic(err)
	}
	if by > 0 {
		return b64(append(make([]byte, by), b...))
	}
	return b64(b[-by:])
}

func keySetOf(entries ...any) string {
	texts := make([]string, len(entries))
	for i, entry := range entries {
		texts[i] = mustJSON(entry)
	}
	return `{"keys":[` + strings.Join(texts, ",") + `]}`
}

// smallOrderEncodings computes every 32 bytes that mean a point of small order: the y of the points
// of order 8 follow from doubling them to one of order 4, whose y is 0, so that their x² + y² is 0;
// then both signs, and the other spellings of a y, which are those below 2^255 that differ by p.
func smallOrderEncodings() [][]byte {
	ys := []*big.Int{big.NewInt(1), new(big.Int).Sub(edP, big.NewInt(1)), big.NewInt(0)}
	// x² = -y² in the equation of the curve: 2y² = 1 - d·y⁴, so y² = (-1 ± √(1+d)) / d.
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(edD, big.NewInt(1))), edP)
	for _, r := range []*big.Int{root, new(big.Int).Neg(root)} {
		y2 := times(mod(new(big.Int).Sub(r, big.NewInt(1))), new(big.Int).ModInverse(edD, edP))
		if y := new(big.Int).ModSqrt(y2, edP); y != nil {
			ys = append(ys, y, new(big.Int).Sub(edP, y))
		}
	}
	var encodings [][]byte
	for _, y := range ys {
		for ; y.BitLen() <= 255; y = new(big.Int).Add(y, edP) {
			for _, sign := range []byte{0, 0x80} {
				encoding := y.FillBytes(make([]byte, 32))
				slices.Reverse(encoding)
				encoding[31] |= sign
				encodings = append(encodings, encoding)
			}
		}
	}
	return encodings
}

// The curve of Ed25519 (RFC 8032 section 5.1), -x² + y² = 1 + d·x²·y² modulo p, in plain
// arithmetic.
var (
	edP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	edD = mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), edP)))
)

func mod(n *big.Int) *big.Int { return n.Mod(n, edP) }

func times(factors ...*big.Int) *big.Int {
	product := big.NewInt(1)
	for _, factor := range factors {
		mod(product.Mul(product, factor))
	}
	return product
}

// edX is an x of the point with this y, or nil if there is none.
func edX(y *big.Int) *big.Int {
	y2 := times(y, y)
	u := mod(new(big.Int).Sub(y2, big.NewInt(1)))
	v := mod(new(big.Int).Add(times(edD, y2), big.NewInt(1)))
	return new(big.Int).ModSqrt(times(u, new(big.Int).ModInverse(v, edP)), edP)
}

// edDouble adds a point to itself.
func edDouble(x, y *big.Int) (*big.Int, *big.Int) {
	x2, y2 := times(x, x), times(y, y)
	dxy := times(edD, x2, y2)
	one := big.NewInt(1)
	numerator := mod(new(big.Int).Add(x2, y2))
	x3 := times(big.NewInt(2), x, y, new(big.Int).ModInverse(mod(new(big.Int).Add(one, dxy)), edP))
	y3 := times(numerator, new(big.Int).ModInverse(mod(new(big.Int).Sub(one, dxy)), edP))
	return x3, y3
}

// isSmallOrder reports whether eight times the point with this y is the neutral element.
func isSmallOrder(y *big.Int) bool {
	y = mod(new(big.Int).Set(y))
	x := edX(y)
	if x == nil {
		return false
	}
	for range 3 {
		x, y = edDouble(x, y)
	}
	return x.Sign() == 0 && y.Cmp(big.NewInt(1)) == 0
}

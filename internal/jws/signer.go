package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
)

// Signer signs tokens with a private key, which may be in a security module. It is safe for
// concurrent use if the key is.
type Signer struct {
	algorithm *Algorithm
	key       crypto.Signer
	public    crypto.PublicKey
	opts      crypto.SignerOpts
}

// ErrNotForKey means that an algorithm was named that is not one for the key.
var ErrNotForKey = errors.New("the algorithm is not one for the key")

var (
	errNoSigner  = errors.New("the signer is nil; give the private key, or what signs with it")
	errHalfKey   = errors.New("the private key is empty or cut short; give the whole of it")
	errWeakRSA   = fmt.Errorf("the RSA key has fewer than %d bits; make a longer one", MinRSABits)
	errNoKeyType = errors.New("the key cannot be used; give one of RSA, P-256, P-384, P-521 or Ed25519")
	errSignature = errors.New("the signer returned no signature of its key over its input")
)

// NewSigner returns a Signer for a private key. The algorithm is that of the key: for RSA keys
// PS256 unless a name is given, such as RS256. Nothing is signed yet.
func NewSigner(key crypto.Signer, algorithm string) (*Signer, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errNoSigner
	}
	if !isWhole(key) {
		return nil, errHalfKey
	}
	public := key.Public()
	algorithms, err := signingAlgorithms(public)
	if err != nil {
		return nil, err
	}
	for _, a := range algorithms {
		if algorithm == "" || algorithm == a.Name {
			return &Signer{a, key, public, a.signerOpts()}, nil
		}
	}
	return nil, ErrNotForKey
}

// Algorithm returns the name of the algorithm, for the member alg of a header.
func (s *Signer) Algorithm() string { return s.algorithm.Name }

// Public returns the public key.
func (s *Signer) Public() crypto.PublicKey { return s.public }

// signingAlgorithms returns the algorithms that a key can sign with, the usual one first. An RSA
// key that signs may be longer than one that is only verified with.
func signingAlgorithms(public crypto.PublicKey) ([]*Algorithm, error) {
	if key, ok := public.(*rsa.PublicKey); ok {
		if key == nil || key.N == nil || key.N.BitLen() < MinRSABits {
			return nil, errWeakRSA
		}
		return []*Algorithm{ps256, ps384, ps512, rs256, rs384, rs512}, nil
	}
	fitting := Fitting(public)
	if len(fitting) == 0 {
		return nil, errNoKeyType
	}
	return fitting, nil
}

// isWhole reports whether a key in memory has its private part. Without it some keys of package
// crypto panic.
func isWhole(signer crypto.Signer) bool {
	switch key := signer.(type) {
	case ed25519.PrivateKey:
		return len(key) == ed25519.PrivateKeySize
	case *ed25519.PrivateKey:
		return len(*key) == ed25519.PrivateKeySize
	case *rsa.PrivateKey:
		return key.D != nil
	case *ecdsa.PrivateKey:
		return key.D != nil && key.X != nil && key.Y != nil //nolint:staticcheck // deprecated is changing them
	}
	return true
}

// Sign returns the compact serialization of a JWS with this header and payload, which are marshaled
// as JSON. The signature is verified before it is returned: a faulty signer is an error here, and
// not a refusal elsewhere. The errors quote nothing of the key.
func (s *Signer) Sign(header, payload any) (string, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	input := Encode(head) + "." + Encode(body)
	signature, err := crypto.SignMessage(s.key, rand.Reader, []byte(input), s.opts)
	if err != nil {
		return "", fmt.Errorf("the signer failed: %w", err)
	}
	if key, ok := s.public.(*ecdsa.PublicKey); ok {
		if signature, err = joinASN1(signature, (key.Curve.Params().BitSize+7)/8); err != nil {
			return "", err
		}
	}
	if s.algorithm.Verify(input, signature, s.public) != nil {
		return "", errSignature
	}
	return input + "." + Encode(signature), nil
}

// joinASN1 writes the two numbers of an ECDSA signature one after the other (RFC 7518 section 3.4).
func joinASN1(signature []byte, size int) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &numbers); err != nil || len(rest) > 0 {
		return nil, errSignature
	}
	for _, n := range []*big.Int{numbers.R, numbers.S} {
		if n.Sign() < 0 || n.BitLen() > 8*size {
			return nil, errSignature
		}
	}
	joined := make([]byte, 2*size)
	numbers.R.FillBytes(joined[:size])
	numbers.S.FillBytes(joined[size:])
	return joined, nil
}

package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
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
	opts      crypto.SignerOpts
}

var (
	errNoSigner  = errors.New("the signer is nil; give the private key, or what signs with it")
	errHalfKey   = errors.New("the private key is empty or cut short; give the whole of it")
	errWeakRSA   = fmt.Errorf("the RSA key does not have %d to %d bits; make another one", MinRSABits, MaxRSABits)
	errNoKeyType = errors.New("the key cannot be used; give one of RSA, P-256, P-384, P-521 or Ed25519")
	errNotForKey = errors.New("the algorithm is not one for the key")
	errSignature = errors.New("the signer returned no signature of its key over its input")
)

// NewSigner returns a Signer for a private key. The algorithm is that of the key: for RSA keys
// PS256 unless a name is given, such as RS256. The key's private part is not used yet.
func NewSigner(key crypto.Signer, algorithm string) (*Signer, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errNoSigner
	}
	if !isWhole(key) {
		return nil, errHalfKey
	}
	public := key.Public()
	if algorithm == "" {
		name, err := usualAlgorithm(public)
		if err != nil {
			return nil, err
		}
		algorithm = name
	}
	a, ok := Lookup(algorithm)
	if !ok || a.Symmetric() || !a.Fits(public) {
		return nil, errNotForKey
	}
	return &Signer{a, key, a.signerOpts()}, nil
}

// Algorithm returns the name of the algorithm, for the member alg of a header.
func (s *Signer) Algorithm() string { return s.algorithm.Name }

// usualAlgorithm is the algorithm of a key that nothing else was chosen for.
func usualAlgorithm(public crypto.PublicKey) (string, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key == nil || key.N == nil || !ps256.Fits(key) {
			return "", errWeakRSA
		}
		return ps256.Name, nil
	case *ecdsa.PublicKey:
		if key == nil {
			return "", errNoKeyType
		}
		switch key.Curve {
		case elliptic.P256():
			return es256.Name, nil
		case elliptic.P384():
			return es384.Name, nil
		case elliptic.P521():
			return es512.Name, nil
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return eddsa.Name, nil
		}
	}
	return "", errNoKeyType
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
	if key, ok := s.key.Public().(*ecdsa.PublicKey); ok {
		if signature, err = joinASN1(signature, (key.Curve.Params().BitSize+7)/8); err != nil {
			return "", err
		}
	}
	if s.algorithm.Verify(input, signature, s.key.Public()) != nil {
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

package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/oauthwire"
)

const (
	assertionLife = time.Minute // for which an assertion is good: for one request
	minRSABits    = 2048        // RFC 7518 section 3.3

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// An AssertionOption changes what [PrivateKeyJWT] signs.
type AssertionOption func(*assertionConfig)

type assertionConfig struct{ rs256 bool }

// WithRS256 makes [PrivateKeyJWT] sign with RS256 instead of PS256, for a server that knows no
// other algorithm for RSA keys. With another key it is an error.
func WithRS256() AssertionOption { return func(c *assertionConfig) { c.rs256 = true } }

// PrivateKeyJWT signs an assertion for each request (private_key_jwt, RFC 7523 section 2.2, OpenID
// Connect Core section 9): issuer and subject are the client's identifier, the audience is the
// server's issuer identifier alone, and it is good for 60 seconds and one use. Microsoft Entra ID
// asks for two things that are not there: the thumbprint of a certificate in the header (x5t), and
// the token endpoint as the audience. The key decides the algorithm: PS256 for RSA of at least 2048
// bits ([WithRS256] changes it), ES256, ES384 or ES512 for P-256, P-384 and P-521, EdDSA for
// Ed25519. The keyID names the public key to the server (kid); with "" it is not named.
//
// The signer is used by several requests at once, as many as [WithMaxRequests] allows, and by none
// that waits for its turn. It may be a key in memory, or one in a module or a service elsewhere:
// what it signs is verified before it is sent. It is not told of the request's context, so a signer
// that waits should end by itself. A request is given up if its signature takes longer than 10
// seconds.
func PrivateKeyJWT(signer crypto.Signer, keyID string, opts ...AssertionOption) ClientAuth {
	var config assertionConfig
	var errs []error
	for _, opt := range opts {
		if opt == nil {
			errs = append(errs, errors.New("PrivateKeyJWT: an option is nil; leave it out"))
			continue
		}
		opt(&config)
	}
	if !utf8.ValidString(keyID) {
		errs = append(errs, errors.New("PrivateKeyJWT: the key's identifier is not UTF-8"))
	}
	algorithm, err := algorithmOf(signer, config.rs256)
	if err != nil {
		errs = append(errs, fmt.Errorf("PrivateKeyJWT: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return ClientAuth{err: err}
	}
	return ClientAuth{wire: oauthwire.Auth{Apply: func(
		_ context.Context, c *oauthwire.Client, form url.Values, _ http.Header,
	) ([]string, error) {
		assertion, err := algorithm.assert(signer, keyID, c.ID, c.Issuer)
		if err != nil {
			return nil, fmt.Errorf("the client's assertion cannot be made: %w", err)
		}
		form.Set("client_id", c.ID) // RFC 7521 section 4.2 leaves it out, and some servers need it
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		return nil, nil
	}}}
}

// algorithm signs (RFC 7518 section 3.1, RFC 8037 section 3.1).
type algorithm struct {
	name string
	opts crypto.SignerOpts

	// finish verifies a signature and puts it into the form that a JWS has it in.
	finish func(signed, signature []byte) ([]byte, error)
}

var (
	errNoSigner  = errors.New("the signer is nil; give the private key, or what signs with it")
	errHalfKey   = errors.New("the private key is empty or cut short; give the whole of it")
	errWeakRSA   = fmt.Errorf("the RSA key has fewer than %d bits; make a longer one", minRSABits)
	errNoKeyType = errors.New("the key cannot be used; give one of RSA, P-256, P-384, P-521 or Ed25519")
	errNotRSA    = errors.New("WithRS256 is for RSA keys; leave the option out")
	errSignature = errors.New("the signer gave no signature of its key over what it was given")
)

// algorithmOf returns the algorithm for a signer's key.
func algorithmOf(signer crypto.Signer, rs256 bool) (*algorithm, error) {
	if v := reflect.ValueOf(signer); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errNoSigner
	}
	if !isWhole(signer) {
		return nil, errHalfKey
	}
	public := signer.Public()
	if _, ok := public.(*rsa.PublicKey); rs256 && !ok {
		return nil, errNotRSA
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		switch {
		case key == nil || key.N == nil || key.N.BitLen() < minRSABits:
			return nil, errWeakRSA
		case rs256:
			return rs256With(key), nil
		}
		return ps256With(key), nil
	case *ecdsa.PublicKey:
		if key == nil {
			return nil, errNoKeyType
		}
		switch key.Curve {
		case elliptic.P256():
			return ecdsaWith(key, "ES256", crypto.SHA256), nil
		case elliptic.P384():
			return ecdsaWith(key, "ES384", crypto.SHA384), nil
		case elliptic.P521():
			return ecdsaWith(key, "ES512", crypto.SHA512), nil
		}
	case ed25519.PublicKey:
		if len(key) == ed25519.PublicKeySize {
			return ed25519With(key), nil
		}
	}
	return nil, errNoKeyType
}

// isWhole reports whether a key in memory has its private part: without it some of those of package
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

func rs256With(key *rsa.PublicKey) *algorithm {
	return &algorithm{"RS256", crypto.SHA256, func(signed, signature []byte) ([]byte, error) {
		return signature, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest(crypto.SHA256, signed), signature)
	}}
}

func ps256With(key *rsa.PublicKey) *algorithm {
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256} // RFC 7518 section 3.5
	return &algorithm{"PS256", opts, func(signed, signature []byte) ([]byte, error) {
		return signature, rsa.VerifyPSS(key, crypto.SHA256, digest(crypto.SHA256, signed), signature, opts)
	}}
}

func ecdsaWith(key *ecdsa.PublicKey, name string, hash crypto.Hash) *algorithm {
	return &algorithm{name, hash, func(signed, signature []byte) ([]byte, error) {
		if !ecdsa.VerifyASN1(key, digest(hash, signed), signature) {
			return nil, errSignature
		}
		return joinASN1(signature, (key.Curve.Params().BitSize+7)/8)
	}}
}

func ed25519With(key ed25519.PublicKey) *algorithm {
	return &algorithm{"EdDSA", crypto.Hash(0), func(signed, signature []byte) ([]byte, error) {
		if !ed25519.Verify(key, signed, signature) {
			return nil, errSignature
		}
		return signature, nil
	}}
}

func digest(hash crypto.Hash, signed []byte) []byte {
	h := hash.New()
	h.Write(signed)
	return h.Sum(nil)
}

// joinASN1 turns the two numbers of an ECDSA signature, which verified, into their octets one after
// the other (RFC 7518 section 3.4).
func joinASN1(signature []byte, size int) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &numbers); err != nil || len(rest) > 0 {
		return nil, errSignature
	}
	joined := make([]byte, 2*size)
	numbers.R.FillBytes(joined[:size])
	numbers.S.FillBytes(joined[size:])
	return joined, nil
}

// assert makes an assertion.
func (a *algorithm) assert(signer crypto.Signer, keyID, clientID, issuer string) (string, error) {
	header := struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid,omitempty"`
	}{a.name, "JWT", keyID}
	now := time.Now()
	claims := struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expiry   int64  `json:"exp"`
	}{clientID, clientID, issuer, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()}
	head, err := segment(header)
	if err != nil {
		return "", err
	}
	body, err := segment(claims)
	if err != nil {
		return "", err
	}
	signed := []byte(head + "." + body)
	signature, err := crypto.SignMessage(signer, rand.Reader, signed, a.opts)
	if err != nil {
		return "", fmt.Errorf("the signer failed: %w", err)
	}
	if signature, err = a.finish(signed, signature); err != nil {
		return "", errSignature
	}
	return string(signed) + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// segment is a part of a JWS before its signature.
func segment(v any) (string, error) {
	text, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(text), err
}

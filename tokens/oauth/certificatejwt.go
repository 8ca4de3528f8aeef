package oauth

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/sha1" //nolint:gosec // for x5t, which tells certificates apart and protects nothing
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

// CertificateJWT is [PrivateKeyJWT] for a server that knows the client by a certificate, as
// Microsoft Entra ID does: the header of each assertion names the certificate by its thumbprints,
// x5t#S256 and x5t (RFC 7515 sections 4.1.7 and 4.1.8), and has no kid without
// [WithAssertionKeyID]. Of the chain the first certificate counts, and none is sent. The server of
// Entra also asks for [WithEndpointAudience].
//
// The private key must be that of the certificate. A request is an error while the certificate is
// not valid, by its NotBefore and NotAfter: the server would refuse it, and count the refusal.
// NewClient looks at no clock. Nothing else in the certificate is judged.
func CertificateJWT(certificate tls.Certificate, opts ...AssertionOption) ClientAuth {
	c := newCertificateAssertion("CertificateJWT", opts)
	key, err := newCertificateKey(&certificate, c)
	c.judged(err)
	return c.auth("certificate", func(context.Context) (*assertionKey, error) { return key.valid() })
}

// CertificateJWTFunc is [CertificateJWT] with a certificate that is replaced while the client runs:
// the function is called for each request, at several at once. Its error is in that of the request.
// A certificate that the server refused, as invalid_client, is not used again for a while. Another
// one is used at once, until 4 in a row were refused.
func CertificateJWTFunc(certificate func(ctx context.Context) (*tls.Certificate, error), opts ...AssertionOption) ClientAuth {
	c := newCertificateAssertion("CertificateJWTFunc", opts)
	if certificate == nil {
		c.Add("CertificateJWTFunc", "nil", "%v", errFunction)
	}
	return c.auth("certificate", func(ctx context.Context) (*assertionKey, error) {
		now, err := certificate(ctx)
		if err != nil {
			return nil, err
		}
		key, err := newCertificateKey(now, c)
		if err != nil {
			return nil, err
		}
		return key.valid()
	})
}

func newCertificateAssertion(function string, opts []AssertionOption) *assertionConfig {
	c := newAssertion(function, opts)
	if keyID := c.keyID.Get(); c.keyID.Given() && !oauthwire.IsText(keyID) || c.keyID.Given() && keyID == "" {
		c.Add("WithAssertionKeyID", strconv.Quote(keyID), "the key's identifier is empty, has a control character, or is not UTF-8; "+
			"leave the option out if there is none")
	}
	return c
}

var (
	errLeaf     = errors.New("the certificate cannot be read; load it with tls.LoadX509KeyPair")
	errNotAKey  = errors.New("the certificate's private key cannot sign; give a crypto.Signer")
	errOtherKey = errors.New("the private key is not that of the certificate")
)

// certificateKey is the key of a certificate.
type certificateKey struct {
	assertionKey
	leaf *x509.Certificate
}

func newCertificateKey(certificate *tls.Certificate, c *assertionConfig) (*certificateKey, error) {
	if err := checkCertificate(certificate); err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return nil, errLeaf
	}
	signer, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errNotAKey
	}
	key, err := newAssertionKey(signer, c.keyID.Get(), c.algorithm())
	if err != nil {
		return nil, err
	}
	if public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.signer.Public()) {
		return nil, errOtherKey
	}
	var sum1 [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum1 = sha1.Sum(leaf.Raw) }) //nolint:gosec // see the import
	sum256 := sha256.Sum256(leaf.Raw)
	key.header.SHA1, key.header.SHA256 = jws.Encode(sum1[:]), jws.Encode(sum256[:])
	key.id = tokens.NewSecret(string(sum256[:]) + key.header.KeyID)
	return &certificateKey{*key, leaf}, nil
}

// valid returns the key while the certificate is valid.
func (k *certificateKey) valid() (*assertionKey, error) {
	switch now := time.Now(); {
	case now.After(k.leaf.NotAfter):
		return nil, fmt.Errorf("it has expired at %s", k.leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(k.leaf.NotBefore):
		return nil, fmt.Errorf("it is not valid before %s", k.leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return &k.assertionKey, nil
}

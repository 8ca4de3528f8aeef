package oauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/tokens"
)

const (
	assertionLife = time.Minute // for which an assertion is good: for one request

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// An AssertionOption changes what [PrivateKeyJWT], [CertificateJWT] and the functions like them
// sign. Each may be given once. An empty value is an error.
type AssertionOption func(*assertionConfig)

// assertionConfig is what the options say, and what is wrong with it.
type assertionConfig struct {
	optional.Mistakes

	function string // that the options are given to
	rs256    optional.Value[struct{}]
	audience optional.Value[string]
	endpoint optional.Value[struct{}]
	keyID    optional.Value[string]
}

// WithRS256 signs with RS256 instead of PS256, for a server that knows no other algorithm for RSA
// keys. With another key it is an error.
func WithRS256() AssertionOption { return func(c *assertionConfig) { c.rs256.Set(struct{}{}) } }

// WithAssertionAudience makes this text the audience of each assertion, whichever endpoint it is
// sent to, instead of the server's issuer identifier. It must be UTF-8 without control characters.
// See [WithEndpointAudience] for the URL of the endpoint.
func WithAssertionAudience(audience string) AssertionOption {
	return func(c *assertionConfig) { c.audience.Set(audience) }
}

// WithEndpointAudience makes the URL that a request is sent to the audience of its assertion,
// instead of the server's issuer identifier: that of the token endpoint for a token, that of the
// revocation endpoint to revoke one. Microsoft Entra ID and Okta ask for it. The URL is the one
// that is really used, also after discovery has found that an endpoint has moved, so a server never
// gets an assertion that is good elsewhere.
func WithEndpointAudience() AssertionOption {
	return func(c *assertionConfig) { c.endpoint.Set(struct{}{}) }
}

// WithAssertionKeyID names the key (kid) in the header of an assertion of [CertificateJWT], beside
// the thumbprints. [PrivateKeyJWT] and the functions like it take the identifier as an argument,
// and there this option is an error.
func WithAssertionKeyID(keyID string) AssertionOption {
	return func(c *assertionConfig) { c.keyID.Set(keyID) }
}

var errRS256 = errors.New("WithRS256 is for RSA keys")

// newAssertion collects what the options of a function say, and judges it.
func newAssertion(function string, opts []AssertionOption) *assertionConfig {
	c := &assertionConfig{function: function}
	optional.Apply(&c.Mistakes, function, opts, c)
	optional.Once(&c.Mistakes, "WithRS256", &c.rs256, nil)
	optional.Once(&c.Mistakes, "WithAssertionAudience", &c.audience, strconv.Quote)
	optional.Once(&c.Mistakes, "WithEndpointAudience", &c.endpoint, nil)
	optional.Once(&c.Mistakes, "WithAssertionKeyID", &c.keyID, strconv.Quote)
	if c.audience.Given() {
		audience := c.audience.Get()
		if audience == "" || !oauthwire.IsText(audience) {
			c.Add("WithAssertionAudience", strconv.Quote(audience), "the audience is empty, has a control character, or is not UTF-8; "+
				"give it as the server asks for it")
		}
		if c.endpoint.Given() {
			c.Add("WithEndpointAudience", "", "WithAssertionAudience gives another audience; keep one of the two")
		}
	}
	return c
}

// algorithm is the one that the options name, or "" for that of the key.
func (c *assertionConfig) algorithm() string {
	if c.rs256.Given() {
		return "RS256"
	}
	return ""
}

// judged takes in what is wrong with a key, or nil.
func (c *assertionConfig) judged(err error) {
	switch {
	case errors.Is(err, errRS256):
		c.Add("WithRS256", "", "it is for RSA keys; leave the option out")
	case err != nil:
		c.Add(c.function, "", "%v", err)
	}
}

// assertionKey is what assertions are signed with.
type assertionKey struct {
	signer *jws.Signer
	header assertionHeader
	id     tokens.Secret // see oauthwire.Proof
}

// assertionHeader is the header of an assertion without what follows from the key.
type assertionHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid,omitempty"`
	SHA1      string `json:"x5t,omitempty"`
	SHA256    string `json:"x5t#S256,omitempty"`
}

// newAssertionKey judges a key. The algorithm is a name, or "" for that of the key.
func newAssertionKey(signer crypto.Signer, keyID, algorithm string) (*assertionKey, error) {
	key, err := jws.NewSigner(signer, algorithm)
	switch {
	case errors.Is(err, jws.ErrNotForKey):
		return nil, errRS256
	case err != nil:
		return nil, err
	}
	// Of two keys with one identifier, of one key with two, and of its algorithms, the server may know
	// one alone.
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, errors.New("its public key cannot be encoded")
	}
	sum := sha256.Sum256(public)
	return &assertionKey{
		signer: key, header: assertionHeader{Algorithm: key.Algorithm(), Type: "JWT", KeyID: keyID},
		id: tokens.NewSecret(string(sum[:]) + key.Algorithm() + keyID),
	}, nil
}

// auth returns a ClientAuth for the key that a function returns. What holds the key is what its
// errors are about.
func (c *assertionConfig) auth(holder string, key func(context.Context) (*assertionKey, error)) ClientAuth {
	if len(c.All) > 0 {
		return ClientAuth{mistakes: c.All}
	}
	return ClientAuth{wire: oauthwire.Auth{Proof: func(ctx context.Context) (oauthwire.Proof, error) {
		now, err := key(ctx)
		if err != nil {
			return oauthwire.Proof{}, fmt.Errorf("the client's %s is not available: %w", holder, err)
		}
		return oauthwire.Proof{ID: now.id, Apply: func(
			client *oauthwire.Client, endpoint string, form url.Values, _ http.Header,
		) ([]string, error) {
			assertion, err := c.sign(now, client, endpoint)
			if err != nil {
				return nil, fmt.Errorf("the client's assertion cannot be made: %w", err)
			}
			setAssertion(form, client, assertion)
			return nil, nil
		}}, nil
	}}}
}

// fixedKey is a function that returns the same key each time.
func fixedKey(key *assertionKey) func(context.Context) (*assertionKey, error) {
	return func(context.Context) (*assertionKey, error) { return key, nil }
}

// setAssertion puts an assertion into a form.
func setAssertion(form url.Values, client *oauthwire.Client, assertion string) {
	form.Set("client_id", client.ID) // RFC 7521 section 4.2 leaves it out, and some servers need it
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
}

// sign returns an assertion, which is good for one request to an endpoint.
func (c *assertionConfig) sign(key *assertionKey, client *oauthwire.Client, endpoint string) (string, error) {
	audience := c.audience.Or(client.Issuer)
	if c.endpoint.Given() {
		audience = endpoint
	}
	now := time.Now()
	claims := struct {
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		Audience  string `json:"aud"`
		ID        string `json:"jti"`
		IssuedAt  int64  `json:"iat"`
		NotBefore int64  `json:"nbf,omitempty"`
		Expiry    int64  `json:"exp"`
	}{
		Issuer: client.ID, Subject: client.ID, Audience: audience, ID: rand.Text(),
		IssuedAt: now.Unix(), Expiry: now.Add(assertionLife).Unix(),
	}
	if key.header.SHA256 != "" {
		claims.NotBefore = claims.IssuedAt // Entra lists it among what it reads
	}
	return key.signer.Sign(key.header, claims)
}

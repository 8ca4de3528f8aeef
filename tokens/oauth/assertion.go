package oauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
)

const (
	assertionLife = time.Minute // for which an assertion is good: for one request

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// An AssertionOption changes what [PrivateKeyJWT] signs.
type AssertionOption func(*assertionConfig)

// assertionConfig is what the options say, and what is wrong with it.
type assertionConfig struct {
	optional.Mistakes

	rs256 bool
}

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
	config := new(assertionConfig)
	optional.Apply(&config.Mistakes, "PrivateKeyJWT", opts, config)
	if !utf8.ValidString(keyID) {
		config.Add("PrivateKeyJWT", "", "the key's identifier is not UTF-8")
	}
	algorithm := "" // that of the key
	if config.rs256 {
		algorithm = "RS256"
	}
	key, err := jws.NewSigner(signer, algorithm)
	switch {
	case errors.Is(err, jws.ErrNotForKey):
		config.Add("WithRS256", "", "it is for RSA keys; leave the option out")
	case err != nil:
		config.Add("PrivateKeyJWT", "", "%v", err)
	}
	if len(config.All) > 0 {
		return ClientAuth{mistakes: config.All}
	}
	return ClientAuth{wire: oauthwire.Auth{Apply: func(
		_ context.Context, c *oauthwire.Client, form url.Values, _ http.Header,
	) ([]string, error) {
		assertion, err := assert(key, keyID, c.ID, c.Issuer)
		if err != nil {
			return nil, fmt.Errorf("the client's assertion cannot be made: %w", err)
		}
		form.Set("client_id", c.ID) // RFC 7521 section 4.2 leaves it out, and some servers need it
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		return nil, nil
	}}}
}

// assert returns an assertion, which is good for one request.
func assert(key *jws.Signer, keyID, clientID, issuer string) (string, error) {
	header := struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		KeyID     string `json:"kid,omitempty"`
	}{key.Algorithm(), "JWT", keyID}
	now := time.Now()
	claims := struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expiry   int64  `json:"exp"`
	}{clientID, clientID, issuer, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()}
	return key.Sign(header, claims)
}

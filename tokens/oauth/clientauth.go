package oauth

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/tokens"
)

// ClientAuth is how a [Client] proves that it is the client it says. [NoClientAuth] is for one that
// cannot. The zero ClientAuth is an error of [NewClient], as is whatever is wrong with the
// arguments it was made of. It prints as "[secret]".
type ClientAuth struct {
	opaque

	mistakes []optional.Mistake
	noColon  bool // the client's identifier must have none
	wire     oauthwire.Auth
}

// badAuth returns a ClientAuth that cannot be used.
func badAuth(function, value string, err error) ClientAuth {
	return ClientAuth{mistakes: []optional.Mistake{{Option: function, Value: value, Problem: err.Error()}}}
}

var (
	errFunction = errors.New("the function is nil")

	// A secret is VSCHAR (RFC 6749 appendix A.2).
	errSecret = errors.New("the secret is empty or not printable ASCII; mind the newline at the end of a file")
)

func checkSecret(secret tokens.Secret) error {
	if !grammar.IsVSCHAR(secret.Reveal()) {
		return errSecret
	}
	return nil
}

// fixed is a function that returns the same secret each time.
func fixed(secret tokens.Secret) func(context.Context) (tokens.Secret, error) {
	return func(context.Context) (tokens.Secret, error) { return secret, nil }
}

// readSecret gets a secret from a function and judges it.
func readSecret(ctx context.Context, secret func(context.Context) (tokens.Secret, error)) (tokens.Secret, error) {
	value, err := secret(ctx)
	if err == nil {
		err = checkSecret(value)
	}
	if err != nil {
		return tokens.Secret{}, fmt.Errorf("the client's secret is not available: %w", err)
	}
	return value, nil
}

// A BasicOption changes how [ClientSecretBasic] sends the identifier and the secret.
type BasicOption func(*basicConfig)

// basicConfig is what the options say, and what is wrong with it.
type basicConfig struct {
	optional.Mistakes

	asTheyAre optional.Value[struct{}]
}

// WithoutFormEncoding makes [ClientSecretBasic] send identifier and secret as they are, for a
// server that does not decode them as a form's. It makes a difference for characters other than
// letters, digits and "-_.~". An identifier with a colon is an error of [NewClient] then: the
// server would take what follows for the secret.
func WithoutFormEncoding() BasicOption {
	return func(c *basicConfig) { c.asTheyAre.Set(struct{}{}) }
}

// ClientSecretBasic sends the secret in the Authorization header (client_secret_basic, RFC 6749
// section 2.3.1): identifier and secret are encoded as in a form first, which not every server
// decodes; see [WithoutFormEncoding]. The secret is printable ASCII; an empty one is an error of
// [NewClient].
func ClientSecretBasic(secret tokens.Secret, opts ...BasicOption) ClientAuth {
	config := newBasic("ClientSecretBasic", opts)
	if err := checkSecret(secret); err != nil {
		config.Add("ClientSecretBasic", "", "%v", err)
	}
	return config.auth(fixed(secret))
}

// ClientSecretBasicFunc is [ClientSecretBasic] with a secret that changes: the function is called
// for each request, at several at once. Its error is in that of the request. A secret that the
// server refused, as invalid_client, is not sent again for a while. Another one is sent at once,
// until 4 in a row were refused.
func ClientSecretBasicFunc(secret func(context.Context) (tokens.Secret, error), opts ...BasicOption) ClientAuth {
	config := newBasic("ClientSecretBasicFunc", opts)
	if secret == nil {
		config.Add("ClientSecretBasicFunc", "nil", "%v", errFunction)
	}
	return config.auth(secret)
}

// newBasic collects what the options say, and judges it.
func newBasic(function string, opts []BasicOption) *basicConfig {
	c := new(basicConfig)
	optional.Apply(&c.Mistakes, function, opts, c)
	optional.Once(&c.Mistakes, "WithoutFormEncoding", &c.asTheyAre, nil)
	return c
}

// auth returns a ClientAuth for the secret of a function.
func (c *basicConfig) auth(secret func(context.Context) (tokens.Secret, error)) ClientAuth {
	encode := url.QueryEscape
	if c.asTheyAre.Given() {
		encode = func(text string) string { return text }
	}
	return ClientAuth{mistakes: c.All, noColon: c.asTheyAre.Given(), wire: bySecret(secret, func(
		c *oauthwire.Client, value string, _ url.Values, header http.Header,
	) []string {
		credentials := base64.StdEncoding.EncodeToString([]byte(encode(c.ID) + ":" + encode(value)))
		header.Set("Authorization", "Basic "+credentials)
		return []string{value, credentials}
	})}
}

// ClientSecretPost sends the secret in the body (client_secret_post, RFC 6749 section 2.3.1), for
// servers that do not take [ClientSecretBasic]. The secret is printable ASCII; an empty one is an
// error of [NewClient].
func ClientSecretPost(secret tokens.Secret) ClientAuth {
	if err := checkSecret(secret); err != nil {
		return badAuth("ClientSecretPost", "", err)
	}
	return ClientSecretPostFunc(fixed(secret))
}

// ClientSecretPostFunc is [ClientSecretPost] with a secret that changes; see
// [ClientSecretBasicFunc].
func ClientSecretPostFunc(secret func(context.Context) (tokens.Secret, error)) ClientAuth {
	if secret == nil {
		return badAuth("ClientSecretPostFunc", "nil", errFunction)
	}
	return ClientAuth{wire: bySecret(secret, func(
		c *oauthwire.Client, value string, form url.Values, _ http.Header,
	) []string {
		form.Set("client_id", c.ID)
		form.Set("client_secret", value)
		return nil
	})}
}

// bySecret proves a client by a secret that a function returns, and another one sends.
func bySecret(
	secret func(context.Context) (tokens.Secret, error),
	send func(c *oauthwire.Client, value string, form url.Values, header http.Header) (secrets []string),
) oauthwire.Auth {
	return oauthwire.Auth{Proof: func(ctx context.Context) (oauthwire.Proof, error) {
		value, err := readSecret(ctx, secret)
		if err != nil {
			return oauthwire.Proof{}, err
		}
		return oauthwire.Proof{ID: value, Apply: func(
			c *oauthwire.Client, _ string, form url.Values, header http.Header,
		) ([]string, error) {
			return send(c, value.Reveal(), form, header), nil
		}}, nil
	}}
}

// TLSClientAuth shows a certificate when the connection is made: one that an authority has signed
// (tls_client_auth, RFC 8705 section 2.1), or one that the server knows and that is self-signed
// (self_signed_tls_client_auth, section 2.2). The requests go to what discovery names in
// mtls_endpoint_aliases, if it does (section 5).
func TLSClientAuth(certificate tls.Certificate) ClientAuth {
	if err := checkCertificate(&certificate); err != nil {
		return badAuth("TLSClientAuth", "", err)
	}
	return TLSClientAuthFunc(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil })
}

// TLSClientAuthFunc is [TLSClientAuth] with a certificate that changes: the function is called for
// each connection, as [tls.Config.GetClientCertificate] is, at several at once.
func TLSClientAuthFunc(certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) ClientAuth {
	if certificate == nil {
		return badAuth("TLSClientAuthFunc", "nil", errFunction)
	}
	contained := func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		var got *tls.Certificate
		var failure error
		// It is called by a goroutine of package net/http.
		flight.Contain(context.Background(), slog.Default(), "the function", func() (err error) {
			got, err = certificate(info)
			return err
		}, func(err error) { failure = err })
		if failure == nil {
			failure = checkCertificate(got)
		}
		if failure != nil {
			return nil, &oauthwire.CertificateError{Err: failure}
		}
		return got, nil
	}
	return ClientAuth{wire: oauthwire.Auth{Proof: identify, Certificate: contained}}
}

var errCertificate = errors.New("there is no certificate, or none with its private key; load it with tls.LoadX509KeyPair")

func checkCertificate(certificate *tls.Certificate) error {
	if certificate == nil || len(certificate.Certificate) == 0 || certificate.PrivateKey == nil {
		return errCertificate
	}
	return nil
}

// NoClientAuth is for a public client, which can keep no secret (none, OpenID Connect Core section
// 9): it gives its identifier alone. Such a client cannot ask for a token of its own:
// [Client.ClientCredentials] refuses (RFC 6749 section 4.4).
func NoClientAuth() ClientAuth {
	return ClientAuth{wire: oauthwire.Auth{Proof: identify, Public: true}}
}

// identify names the client and proves nothing.
func identify(context.Context) (oauthwire.Proof, error) {
	return oauthwire.Proof{Apply: func(
		c *oauthwire.Client, _ string, form url.Values, _ http.Header,
	) ([]string, error) {
		form.Set("client_id", c.ID)
		return nil, nil
	}}, nil
}

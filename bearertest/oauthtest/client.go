package oauthtest

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
)

// assertionType is the client_assertion_type of a JWT (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAssertionLife is how far ahead the exp of an assertion may be. RFC 7523 section 3 lets a
// server refuse one that is "unreasonably far in the future".
const maxAssertionLife = 5 * time.Minute

// client is a client that is registered with an issuer. At most one of secret, key, certificate and
// platform is set; one that has none of them is public (RFC 6749 section 2.1).
type client struct {
	id           string
	secret       string
	key          crypto.PublicKey
	certificate  *x509.Certificate
	platform     *platform
	redirectURIs []string // empty for any
}

func (c *client) public() bool {
	return c.secret == "" && c.key == nil && c.certificate == nil && c.platform == nil
}

// WithClient registers a client that has a secret. It proves itself with HTTP Basic, id and secret
// form-encoded first, or with client_id and client_secret in the body (RFC 6749 section 2.3.1).
//
// The redirect URIs are those that the authorization endpoint may send it to, compared exactly (RFC
// 9700 section 2.1); without any it may be every absolute URI without a fragment. Of the same id
// given twice, with this option or another for clients, the later one counts. It panics for an id
// or a secret that is empty or has a character other than visible ASCII and space (RFC 6749
// appendix A), and for a redirect URI that is not absolute or has a fragment.
func WithClient(id, secret string, redirectURIs ...string) Option {
	what := fmt.Sprintf("WithClient(%q)", id)
	if !isVisible(secret) {
		panic(fmt.Sprintf("oauthtest: %s: want a secret of visible ASCII; WithPublicClient registers a client without one", what))
	}
	return register(what, &client{id: id, secret: secret, redirectURIs: redirectURIs})
}

// WithPublicClient registers a client that cannot keep a secret, such as one in a browser: it sends
// its client_id alone (RFC 6749 section 2.1). The rest is as with [WithClient].
func WithPublicClient(id string, redirectURIs ...string) Option {
	return register(fmt.Sprintf("WithPublicClient(%q)", id), &client{id: id, redirectURIs: redirectURIs})
}

// WithKeyClient registers a client that proves itself with private_key_jwt: an assertion that it
// signs with the private half of the key, an *rsa.PublicKey, an *ecdsa.PublicKey or an
// ed25519.PublicKey (RFC 7523 section 2.2, OpenID Connect Core 1.0 section 9). The algorithm is any
// that the key is good for. iss and sub are the client's id; aud is the issuer's URL, as a string
// and nothing else, because one of several audiences could use the assertion at another; exp is at
// most five minutes ahead; and each jti is good for one request.
//
// The key also signs assertions for the grant of RFC 7523 section 2.1. The rest is as with
// [WithClient]; it panics for a key that no algorithm takes.
func WithKeyClient(id string, public crypto.PublicKey, redirectURIs ...string) Option {
	what := fmt.Sprintf("WithKeyClient(%q)", id)
	if !slices.ContainsFunc(signingAlgorithms, func(a *jws.Algorithm) bool { return a.Fits(public) }) {
		panic(fmt.Sprintf("oauthtest: %s: a %T is not a public key that can be used; want an RSA key of 2048 bits at least, "+
			"a key on P-256, P-384 or P-521, or an Ed25519 key", what, public))
	}
	return register(what, &client{id: id, key: public, redirectURIs: redirectURIs})
}

// WithCertificateClient registers a client that proves itself with this very certificate in the TLS
// handshake and sends its client_id, as self_signed_tls_client_auth has it (RFC 8705 section 2.2).
// It takes [bearertest.NewTLSServer], or a server of your own that asks for certificates; elsewhere
// this client cannot prove itself. Its tokens are not bound to the certificate. The rest is as with
// [WithClient]; it panics without a certificate.
func WithCertificateClient(id string, certificate *x509.Certificate, redirectURIs ...string) Option {
	what := fmt.Sprintf("WithCertificateClient(%q)", id)
	if certificate == nil {
		panic(fmt.Sprintf("oauthtest: %s: want a certificate", what))
	}
	return register(what, &client{id: id, certificate: certificate, redirectURIs: redirectURIs})
}

func register(what string, c *client) Option {
	if !isVisible(c.id) {
		panic(fmt.Sprintf("oauthtest: %s: want an id of visible ASCII", what))
	}
	c.redirectURIs = slices.Clone(c.redirectURIs)
	for _, uri := range c.redirectURIs {
		if !isAbsolute(uri) {
			panic(fmt.Sprintf("oauthtest: %s: the redirect URI %q has to be absolute and without a fragment", what, uri))
		}
	}
	return func(s *Server) { s.clients[c.id] = c }
}

// isVisible reports whether a text is not empty and of VSCHAR alone (RFC 6749 appendix A).
func isVisible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// isAbsolute reports whether a text is a URI with a scheme and without a fragment, as redirect URIs
// (RFC 6749 section 3.1.2) and resources (RFC 8707 section 2) have to be.
func isAbsolute(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs() && !strings.Contains(uri, "#")
}

// proves reports whether a request carries anything by which to know its client.
func proves(r *http.Request, form url.Values) bool {
	return len(r.Header.Values("Authorization")) > 0 || form.Has("client_id") || form.Has("client_secret") ||
		form.Has("client_assertion") || form.Has("client_assertion_type")
}

// authenticate returns the client that makes a request. It has to prove itself in exactly one way
// (RFC 6749 section 2.3), the one that it is registered with.
func (s *Server) authenticate(r *http.Request, form url.Values) (*client, *refusal) {
	const (
		unknown = "the client is not registered, or not for this way to prove itself"
		several = "the client proves itself in more than one way"
	)
	header := r.Header.Values("Authorization")
	secret := form.Get("client_secret")
	asserts := form.Has("client_assertion") || form.Has("client_assertion_type")
	if len(header) > 1 || len(header) == 1 && (secret != "" || asserts) || secret != "" && asserts {
		return nil, &refusal{"invalid_request", several}
	}
	id := form.Get("client_id")
	switch {
	case asserts:
		return s.authenticateAssertion(form)
	case len(header) == 1:
		user, password, ok := basicAuth(r)
		if !ok {
			return nil, &refusal{"invalid_client", "the Authorization header is not HTTP Basic with form-encoded id and secret"}
		}
		if id != "" && id != user {
			return nil, &refusal{"invalid_request", several}
		}
		id, secret = user, password
	}
	c := s.clients[id]
	switch {
	case id == "":
		return nil, &refusal{"invalid_client", "the client does not say who it is"}
	case c == nil || c.key != nil || c.platform != nil || c.certificate != nil && !presents(r, c.certificate):
		return nil, &refusal{"invalid_client", unknown}
	case secret != c.secret:
		return nil, &refusal{"invalid_client", "the secret is wrong, or missing, or the client has none"}
	}
	return c, nil
}

// basicAuth is what [http.Request.BasicAuth] finds, with id and secret decoded (RFC 6749 section
// 2.3.1).
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	user, password, ok := r.BasicAuth()
	id, errID := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	return id, secret, ok && errID == nil && errSecret == nil && secret != ""
}

// presents reports whether the client's side of the TLS connection has proved to hold the
// certificate's key.
func presents(r *http.Request, certificate *x509.Certificate) bool {
	return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0].Equal(certificate)
}

// authenticateAssertion returns the client whose assertion is in the form (RFC 7523 section 3).
func (s *Server) authenticateAssertion(form url.Values) (*client, *refusal) {
	if form.Get("client_assertion_type") != assertionType {
		return nil, &refusal{"invalid_client", "client_assertion_type is not " + assertionType}
	}
	if c := s.clients[form.Get("client_id")]; c != nil && c.platform != nil {
		return s.authenticateFederated(c, form)
	}
	token := form.Get("client_assertion")
	id, _ := unverifiedClaims(token)["iss"].(string)
	c := s.clients[id]
	if c == nil || c.key == nil || form.Has("client_id") && form.Get("client_id") != id {
		return nil, &refusal{"invalid_client", "client_assertion is missing, or its iss is no client with a key or not client_id"}
	}
	claims := verifiedClaims(token, c.key)
	jti, _ := claims["jti"].(string)
	switch {
	case claims == nil:
		return nil, &refusal{"invalid_client", "the assertion's signature is wrong"}
	case claims["sub"] != id:
		return nil, &refusal{"invalid_client", "the assertion's sub is not the client"}
	case claims["aud"] != s.URL():
		return nil, &refusal{"invalid_client", "the assertion's aud is not the issuer's URL, as a string"}
	case !isTimely(claims, maxAssertionLife):
		return nil, &refusal{"invalid_client", untimely}
	case jti == "" || !s.use(id, jti):
		return nil, &refusal{"invalid_client", "the assertion's jti is missing or was used before"}
	}
	return c, nil
}

// use notes the jti of an assertion and reports whether it is the first time.
func (s *Server) use(client, jti string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := [2]string{client, jti}
	if s.used[id] {
		return false
	}
	s.used[id] = true
	return true
}

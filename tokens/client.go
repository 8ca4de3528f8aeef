package tokens

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

// Client is a client of an authorization server: this service, as the server knows it. It makes a [Fetcher] for each grant.
// It is safe for concurrent use, keeps no token, only where the server's endpoints are and for how long it asked for
// rest, and need not be closed. It prints as "[secret]".
type Client struct {
	opaque
	*hiddenClient
}

type hiddenClient struct{ *clientState }

type clientState struct {
	issuer, id   string
	auth         ClientAuth
	insecureHTTP bool
	given        endpoints // by options; "" where there was none
	discovery    discovery
	pauses       pauses
	renewals     pacing.Allowance // of its sessions

	requests, revocations slots
	callers               slots // of the requests those with something from outside

	asker, reader *http.Client // the first follows no redirect; the second is for discovery
}

// A ClientOption changes how a [Client] reaches its authorization server. Each may be given once. An empty value is an
// error.
type ClientOption func(*clientConfig)

type clientConfig struct {
	client       *http.Client
	insecureHTTP bool
	given        endpoints
	maxRequests  int // 0 for the default
	errs         []error
}

func (c *clientConfig) wrong(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("tokens: "+format, args...))
}

// HTTPClient makes the requests go through this client: its transport (and so its proxy and certificate authorities), its
// timeout if it is shorter than 10 seconds, its cookies, and its CheckRedirect for discovery, after the check that a
// redirect stays within its origin. The token endpoint's redirects are never followed. The client is copied and not changed;
// nil is an error. With a client certificate ([TLSClientAuth]) its transport must be an [*http.Transport] that dials TLS
// itself, or nil; a clone of it is used.
//
// Without this option, requests go through a copy of [http.DefaultTransport] that keeps no connections: one that the server
// closes at the wrong moment would lose an answer, and with it a refresh token that was rotated. If that was replaced by
// something else than an [*http.Transport], they go through it as it is.
func HTTPClient(client *http.Client) ClientOption {
	return func(c *clientConfig) {
		switch {
		case client == nil:
			c.wrong("HTTPClient: the client is nil; give one, or leave the option out")
		case c.client != nil:
			c.wrong("HTTPClient: given twice; keep one")
		}
		c.client = client
	}
}

// InsecureHTTP allows http URLs to hosts other than this one. Whoever is on the way can then read the client's secret and
// the tokens. Loopback addresses need no such permission, unless the issuer is https and its document names them. A proxy that
// [HTTPClient] names explicitly gets the requests to them as well, and can read what is in them; that of the environment does not.
func InsecureHTTP() ClientOption {
	return func(c *clientConfig) {
		if c.insecureHTTP {
			c.wrong("InsecureHTTP: given twice; keep one")
		}
		c.insecureHTTP = true
	}
}

// TokenEndpoint is where tokens are asked for (RFC 6749 section 3.2), instead of what discovery says. With it no discovery
// is made for a token. It must be an https URL without user name and fragment; it may have a query. http is for loopback
// addresses, or [InsecureHTTP].
func TokenEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.endpoint("TokenEndpoint", &c.given.token, url) }
}

// RevocationEndpoint is where tokens are revoked (RFC 7009 section 2), instead of what discovery says; see [TokenEndpoint].
func RevocationEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.endpoint("RevocationEndpoint", &c.given.revocation, url) }
}

// AuthorizationEndpoint is where people log in (RFC 6749 section 3.1), instead of what discovery says; see [TokenEndpoint].
// With both no discovery is made for a login, so that nobody says whether the server names itself in its answer (RFC 9207).
func AuthorizationEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.endpoint("AuthorizationEndpoint", &c.given.authorization, url) }
}

func (c *clientConfig) endpoint(option string, field *string, text string) {
	switch {
	case text == "":
		c.wrong("%s: the URL is empty; give one, or leave the option out", option)
	case *field != "":
		c.wrong("%s: given twice; keep one", option)
	}
	*field = text
}

// NewClient returns the client with this identifier at the authorization server with this issuer identifier (RFC 8414
// section 2). The issuer is compared with the server's own document character by character. It must be an https URL without
// user name, query and fragment; http is for loopback addresses, or [InsecureHTTP]. The identifier is printable ASCII (RFC
// 6749 appendix A.1).
//
// NewClient does no I/O. When several things are wrong the error says all of them.
func NewClient(issuer, id string, auth ClientAuth, opts ...ClientOption) (*Client, error) {
	var config clientConfig
	for _, opt := range opts {
		if opt == nil {
			config.wrong("NewClient: an option is nil; leave it out")
			continue
		}
		opt(&config)
	}
	if err := weburl.CheckIssuer(issuer, config.insecureHTTP); err != nil {
		config.wrong("NewClient: the issuer %q %w; give the https URL that the server names as its issuer",
			weburl.Redacted(issuer), err)
	}
	if id == "" || !isPrintable(id) {
		config.wrong("NewClient: the client's identifier is empty or not printable ASCII; give it as the server registered it")
	}
	switch {
	case auth.apply == nil && auth.err == nil:
		config.wrong("NewClient: the ClientAuth is empty; make one with ClientSecretBasic or another function")
	case auth.err != nil:
		config.wrong("%w", auth.err)
	}
	config.checkEndpoint("TokenEndpoint", config.given.token)
	config.checkEndpoint("RevocationEndpoint", config.given.revocation)
	config.checkEndpoint("AuthorizationEndpoint", config.given.authorization)
	c := &Client{hiddenClient: &hiddenClient{&clientState{
		issuer: issuer, id: id, auth: auth, insecureHTTP: config.insecureHTTP, given: config.given,
	}}}
	c.asker, c.reader = config.clients(auth)
	atOnce := cmp.Or(config.maxRequests, DefaultMaxRequests)
	c.requests, c.revocations = make(slots, atOnce), make(slots, atOnce)
	c.callers = make(slots, max(1, atOnce-(atOnce+3)/4))
	if err := errors.Join(config.errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *clientConfig) checkEndpoint(option, text string) {
	if text == "" {
		return
	}
	if err := weburl.Check(text, c.insecureHTTP); err != nil {
		c.wrong("%s: the URL %q %w; give the https URL of the endpoint", option, weburl.Redacted(text), err)
	}
}

// clients returns the client for the endpoints and the one for discovery.
func (c *clientConfig) clients(auth ClientAuth) (asker, reader *http.Client) {
	asker, reader = new(http.Client), new(http.Client)
	if c.client != nil {
		*asker = *c.client
	} else if transport := webclient.Transport(); transport != nil {
		asker.Transport = transport
	}
	if auth.certificate != nil {
		c.presentCertificate(asker, auth)
	}
	*reader = *asker
	webclient.WithoutRedirects(asker)
	webclient.WithinOrigin(reader)
	return asker, reader
}

// presentCertificate makes a client show a certificate (RFC 8705 section 2). Neither its connections nor its TLS
// sessions are kept: the certificate of a kept one may have been replaced since.
func (c *clientConfig) presentCertificate(client *http.Client, auth ClientAuth) {
	given := client.Transport
	if given == nil {
		given = http.DefaultTransport
	}
	transport, ok := given.(*http.Transport)
	//nolint:staticcheck // DialTLS is deprecated, but a transport heeds it
	if !ok || transport.DialTLSContext != nil || transport.DialTLS != nil {
		c.wrong("HTTPClient: a %T cannot be given the client's certificate, or dials TLS on its own; "+
			"give an *http.Transport that does not, or leave the option out", given)
		return
	}
	transport = transport.Clone()
	transport.DisableKeepAlives = true
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// Not Config.Certificates: of those none is sent that the server's list of authorities does not cover, as it covers none
	// that is self-signed.
	transport.TLSClientConfig.GetClientCertificate = auth.certificate
	transport.TLSClientConfig.ClientSessionCache = nil
	client.Transport = transport
}

// isPrintable reports that a text is VSCHAR of RFC 6749 appendix A.
func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

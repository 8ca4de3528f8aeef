package oauth

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

// A ClientOption changes how a [Client] reaches its authorization server. Each but
// WithTokenParameter may be given once. An empty value is an error.
type ClientOption func(*clientConfig)

// clientConfig is what the options say, and what is wrong with it.
type clientConfig struct {
	optional.Mistakes

	client        optional.Value[*http.Client]
	insecureHTTP  optional.Value[struct{}]
	maxRequests   optional.Value[int]
	metadataURL   optional.Value[string]
	token         optional.Value[string]
	revocation    optional.Value[string]
	authorization optional.Value[string]
	device        optional.Value[string]
	userInfo      optional.Value[string]
	keySet        optional.Value[string]
	parameters    []parameter

	extra url.Values // the parameters, as they are sent

	idTokenAlgorithms optional.Value[[]string]
	answerOptions
}

// WithHTTPClient makes the requests go through this client: its transport (and so its proxy and
// certificate authorities), its timeout if it is shorter than 10 seconds, its cookies, and its
// CheckRedirect for discovery, after the check that a redirect stays within its origin. The token
// endpoint's redirects are never followed. The client is copied and not changed; nil is an error.
// With a client certificate ([TLSClientAuth]) its transport must be an [*http.Transport] that dials
// TLS itself, or nil; a clone of it is used.
//
// Without this option, requests go through a copy of [http.DefaultTransport] that keeps no
// connections: one that the server closes at the wrong moment would lose an answer, and with it a
// refresh token that was rotated. If that was replaced by something else than an [*http.Transport],
// they go through it as it is.
func WithHTTPClient(client *http.Client) ClientOption {
	return func(c *clientConfig) { c.client.Set(client) }
}

// InsecureHTTP allows http URLs to hosts other than this one. An attacker on the way can then read
// the client's secret and the tokens. Loopback addresses need no such permission, unless the issuer
// is https and its document names them. A proxy that [WithHTTPClient] names explicitly gets the
// requests to them as well, and can read what is in them; that of the environment does not.
func InsecureHTTP() ClientOption {
	return func(c *clientConfig) { c.insecureHTTP.Set(struct{}{}) }
}

// WithMaxRequests sets how many requests a Client makes at once to the token endpoint, and to the
// revocation endpoint besides: 16 of each by default, at least 1. Further requests wait, the first
// one first, for three quarters of the time that their contexts leave them;
// [tokens.WithFetchTimeout] counts that time too. Only a request with a refresh token or a code
// waits for all of it. A request is given up after 10 seconds, so that an endpoint which answers
// some of them never keeps the others waiting for longer.
//
// Of the requests to the token endpoint a quarter, rounded up, is kept free of those that outsiders
// can cause in any number, each with another token or code: [Client.Exchange], [Client.JWTBearer],
// the end of a login, and the first use of an adopted refresh token. With 1 nothing is kept free.
func WithMaxRequests(n int) ClientOption {
	return func(c *clientConfig) { c.maxRequests.Set(n) }
}

// WithTokenEndpoint is where tokens are asked for (RFC 6749 section 3.2), instead of what discovery
// says. With it no discovery is made for a token. It must be an https URL without user name and
// fragment; it may have a query. http is for loopback addresses, or [InsecureHTTP].
func WithTokenEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.token.Set(url) }
}

// WithRevocationEndpoint is where tokens are revoked (RFC 7009 section 2), instead of what
// discovery says; see [WithTokenEndpoint].
func WithRevocationEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.revocation.Set(url) }
}

// WithAuthorizationEndpoint is where people log in (RFC 6749 section 3.1), instead of what
// discovery says; see [WithTokenEndpoint]. With both no discovery is made for a login, so it is not
// known whether the server names itself in its answer (RFC 9207).
func WithAuthorizationEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.authorization.Set(url) }
}

// WithDeviceAuthorizationEndpoint is where the login of a device begins that has no browser (RFC
// 8628 section 3.1), instead of what discovery says; see [WithTokenEndpoint]. With both no
// discovery is made for such a login.
func WithDeviceAuthorizationEndpoint(url string) ClientOption {
	return func(c *clientConfig) { c.device.Set(url) }
}

// configure collects what the options say, and judges it all.
func configure(issuer, id string, auth ClientAuth, opts []ClientOption) *clientConfig {
	c := new(clientConfig)
	optional.Apply(&c.Mistakes, "NewClient", opts, c)
	c.judgeIssuer(issuer)
	if !grammar.IsVSCHAR(id) {
		c.Add("NewClient", "", "the client's identifier is empty or not printable ASCII; "+
			"give it as the server registered it")
	}
	if auth.noColon && strings.Contains(id, ":") {
		c.Add("WithoutFormEncoding", "", "the client's identifier has a colon, and the server would take what follows "+
			"for the secret; leave the option out")
	}
	if auth.wire.Proof == nil && len(auth.mistakes) == 0 {
		c.Add("NewClient", "", "the ClientAuth is empty; make one with ClientSecretBasic or another function")
	}
	c.All = append(c.All, auth.mistakes...)
	optional.Once(&c.Mistakes, "WithHTTPClient", &c.client, nil)
	if c.client.Given() && c.client.Get() == nil {
		c.Add("WithHTTPClient", "nil", "give a client, or leave the option out")
	}
	optional.Once(&c.Mistakes, "InsecureHTTP", &c.insecureHTTP, nil)
	optional.Once(&c.Mistakes, "WithMaxRequests", &c.maxRequests, strconv.Itoa)
	if n := c.maxRequests.Get(); c.maxRequests.Given() && n < 1 {
		c.Add("WithMaxRequests", strconv.Itoa(n), "a Client needs at least 1")
	}
	c.judgeEndpoint("WithTokenEndpoint", &c.token)
	c.judgeEndpoint("WithRevocationEndpoint", &c.revocation)
	c.judgeEndpoint("WithAuthorizationEndpoint", &c.authorization)
	c.judgeEndpoint("WithDeviceAuthorizationEndpoint", &c.device)
	c.judgeEndpoint("WithUserInfoEndpoint", &c.userInfo)
	c.judgeEndpoint("WithKeySetURL", &c.keySet)
	c.judgeIDTokenAlgorithms()
	c.extra = judgeParameters(&c.Mistakes, "WithTokenParameter", c.parameters, nil)
	c.judgeAnswers()
	return c
}

func (c *clientConfig) judgeEndpoint(option string, v *optional.Value[string]) {
	optional.Once(&c.Mistakes, option, v, quoted)
	if !v.Given() {
		return
	}
	text := v.Get()
	if text == "" {
		c.Add(option, quoted(text), "the URL is empty; give one, or leave the option out")
	} else if err := weburl.Check(text, c.insecureHTTP.Given()); err != nil {
		c.Add(option, quoted(text), "the URL %v; give the https URL of the endpoint", err)
	}
}

// quoted shows a URL without a password.
func quoted(url string) string { return strconv.Quote(weburl.Redacted(url)) }

// endpoints returns those that discovery does not have to find.
func (c *clientConfig) endpoints() oauthwire.Endpoints {
	return oauthwire.Endpoints{
		Token: c.token.Get(), Revocation: c.revocation.Get(), Authorization: c.authorization.Get(), Device: c.device.Get(),
		UserInfo: c.userInfo.Get(),
	}
}

// getCertificate returns the client's certificate for a connection.
type getCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

// clients returns the client for the endpoints and the one for discovery. The certificate may be
// nil.
func (c *clientConfig) clients(certificate getCertificate) (tokenClient, discoveryClient *http.Client) {
	tokenClient, discoveryClient = new(http.Client), new(http.Client)
	if given := c.client.Get(); given != nil {
		*tokenClient = *given
	} else if transport := webclient.Transport(); transport != nil {
		tokenClient.Transport = transport
	}
	if certificate != nil {
		c.presentCertificate(tokenClient, certificate)
	}
	*discoveryClient = *tokenClient
	webclient.WithoutRedirects(tokenClient)
	webclient.WithinOrigin(discoveryClient)
	return tokenClient, discoveryClient
}

// presentCertificate makes a client show a certificate (RFC 8705 section 2). Neither its
// connections nor its TLS sessions are kept: the certificate of a kept one may have been replaced
// since.
func (c *clientConfig) presentCertificate(client *http.Client, certificate getCertificate) {
	given := client.Transport
	if given == nil {
		given = http.DefaultTransport
	}
	transport, ok := given.(*http.Transport)
	//nolint:staticcheck // DialTLS is deprecated, but a transport honours it
	if !ok || transport.DialTLSContext != nil || transport.DialTLS != nil {
		c.Add("WithHTTPClient", "", "a %T cannot be given the client's certificate, or dials TLS on its own; "+
			"give an *http.Transport that does not, or leave the option out", given)
		return
	}
	transport = transport.Clone()
	transport.DisableKeepAlives = true
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// Not Config.Certificates: of those none is sent that the server's list of authorities does not
	// cover, as it covers none that is self-signed.
	transport.TLSClientConfig.GetClientCertificate = certificate
	transport.TLSClientConfig.ClientSessionCache = nil
	client.Transport = transport
}

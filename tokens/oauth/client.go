package oauth

import (
	"errors"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/secretprint"
	"github.com/bearer-go/bearer/internal/weburl"
)

// opaque makes a type print as "[secret]" that embeds it.
type opaque = secretprint.Opaque

// Client is a client of an authorization server: this service, as the server knows it. It makes a
// [tokens.Fetcher] for each grant. It is safe for concurrent use, keeps no token, only where the
// server's endpoints are and until when it is not to be asked, and need not be closed. It prints as
// "[secret]".
type Client struct {
	opaque
	*hiddenClient
}

type hiddenClient struct{ wire *oauthwire.Client }

var _ = oauthwire.Register(func(client any) *oauthwire.Client {
	if c := client.(*Client); c != nil && c.hiddenClient != nil {
		return c.wire
	}
	return nil
})

// NewClient returns the client with this identifier at the authorization server with this issuer
// identifier (RFC 8414 section 2). The issuer is compared with the server's own document character
// by character. It must be an https URL without user name, query and fragment; http is for loopback
// addresses, or [InsecureHTTP]. The identifier is printable ASCII (RFC 6749 appendix A.1).
//
// NewClient does no I/O. When several things are wrong the error says all of them.
func NewClient(issuer, id string, auth ClientAuth, opts ...ClientOption) (*Client, error) {
	var config clientConfig
	for _, opt := range opts {
		if opt == nil {
			config.addError("NewClient: an option is nil; leave it out")
			continue
		}
		opt(&config)
	}
	if err := weburl.CheckIssuer(issuer, config.insecureHTTP); err != nil {
		config.addError("NewClient: the issuer %q %w; give the https URL that the server names as its issuer",
			weburl.Redacted(issuer), err)
	}
	if id == "" || !oauthwire.IsPrintable(id) {
		config.addError("NewClient: the client's identifier is empty or not printable ASCII; give it as the server registered it")
	}
	switch {
	case auth.wire.Apply == nil && auth.err == nil:
		config.addError("NewClient: the ClientAuth is empty; make one with ClientSecretBasic or another function")
	case auth.err != nil:
		config.addError("%w", auth.err)
	}
	config.checkEndpoint("WithTokenEndpoint", config.given.Token)
	config.checkEndpoint("WithRevocationEndpoint", config.given.Revocation)
	config.checkEndpoint("WithAuthorizationEndpoint", config.given.Authorization)
	tokenClient, discoveryClient := config.clients(auth.wire.Certificate)
	if err := errors.Join(config.errs...); err != nil {
		return nil, err
	}
	return &Client{hiddenClient: &hiddenClient{oauthwire.New(oauthwire.Config{
		Issuer: issuer, ID: id, Auth: auth.wire, InsecureHTTP: config.insecureHTTP, Given: config.given, MaxRequests: config.maxRequests,
		TokenClient: tokenClient, DiscoveryClient: discoveryClient,
	})}}, nil
}

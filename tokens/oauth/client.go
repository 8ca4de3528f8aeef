package oauth

import (
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/secretprint"
)

// opaque makes a type print as "[secret]" that embeds it.
type opaque = secretprint.Opaque

// Client is a client of an authorization server: this service, as the server knows it. It makes a
// [tokens.Fetcher] for each grant, and verifies who logged in. It is safe for concurrent use, keeps
// no token, only where the server's endpoints are, the keys of its ID tokens, and until when it is
// not to be asked, and need not be closed. It prints as "[secret]".
type Client struct {
	opaque
	*hiddenClient
}

type hiddenClient struct {
	wire *oauthwire.Client
	keys *issuerKeys
}

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
// NewClient does no I/O. The error is every mistake in the configuration, each a [*ConfigError].
func NewClient(issuer, id string, auth ClientAuth, opts ...ClientOption) (*Client, error) {
	c := configure(issuer, id, auth, opts)
	tokenClient, discoveryClient := c.clients(auth.wire.Certificate)
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	wire := oauthwire.New(oauthwire.Config{
		Issuer: issuer, ID: id, Auth: auth.wire,
		InsecureHTTP: c.insecureHTTP.Given(), Given: c.endpoints(), MaxRequests: c.maxRequests.Get(),
		TokenClient: tokenClient, DiscoveryClient: discoveryClient,
	})
	return &Client{hiddenClient: &hiddenClient{wire, c.issuerKeys(wire)}}, nil
}

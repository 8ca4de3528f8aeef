package oauthwire

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/bearer-go/bearer/internal/discovery"
	"github.com/bearer-go/bearer/internal/weburl"
)

const maxEndpoint = 4 << 10 // bytes of an endpoint's URL

var (
	errEndpointSize = fmt.Errorf("is longer than %d bytes", maxEndpoint)
	errNoEndpoint   = errors.New("it names no token_endpoint; give WithTokenEndpoint if there is one")
)

// Endpoints are what a server's document says (RFC 8414 section 2, OpenID Connect Discovery section
// 3), or options do.
type Endpoints struct {
	Token, Revocation, Authorization string // "" for one that is not named

	// Device was not judged, because only few clients use it: see [Client.BeginDevice].
	Device string

	discovery.Flags
}

// TokenEndpoint is the one where tokens are asked for.
func TokenEndpoint(e Endpoints) string { return e.Token }

// RevocationEndpoint is the one where they are revoked.
func RevocationEndpoint(e Endpoints) string { return e.Revocation }

// endpoints judges what the document says of the endpoints, as far as the options do not name them.
func (c *Client) endpoints(d *discovery.Document) (Endpoints, error) {
	var mtls discovery.Endpoints
	if c.Auth.Certificate != nil {
		var err error
		if mtls, err = d.MTLSEndpoints(); err != nil {
			return Endpoints{}, err
		}
	}
	found := c.Given
	found.Flags = d.Flags
	found.Device = cmp.Or(found.Device, mtls.Device, d.Device)
	for _, e := range []struct {
		name, published string
		field           *string
	}{
		{"token_endpoint", cmp.Or(mtls.Token, d.Token), &found.Token},
		{"revocation_endpoint", cmp.Or(mtls.Revocation, d.Revocation), &found.Revocation},
		{"authorization_endpoint", d.Authorization, &found.Authorization}, // where a browser goes
	} {
		if *e.field != "" || e.published == "" {
			continue
		}
		if err := c.checkPublished(e.published); err != nil {
			return Endpoints{}, fmt.Errorf("its %s %w", e.name, err)
		}
		*e.field = e.published
	}
	if found.Token == "" {
		return Endpoints{}, errNoEndpoint
	}
	return found, nil
}

// checkPublished judges the URL of an endpoint that the document names.
func (c *Client) checkPublished(endpoint string) error {
	if len(endpoint) > maxEndpoint {
		return errEndpointSize
	}
	return weburl.CheckOf(c.Issuer, endpoint, c.InsecureHTTP)
}

package oauthwire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bearer-go/bearer/internal/discovery"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/strictjson"
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

	// UserInfo was not judged, because only few clients use it: see [Client.UserInfo].
	UserInfo string

	// IDTokenAlgorithms are those that ID tokens may be signed with, as far as they are known and
	// asymmetric; nil if the document does not say.
	IDTokenAlgorithms []*jws.Algorithm

	discovery.Flags
}

// TokenEndpoint is the one where tokens are asked for.
func TokenEndpoint(e Endpoints) string { return e.Token }

// RevocationEndpoint is the one where they are revoked.
func RevocationEndpoint(e Endpoints) string { return e.Revocation }

// UserInfoEndpoint is the one that says who logged in.
func UserInfoEndpoint(e Endpoints) string { return e.UserInfo }

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
	found.UserInfo = cmp.Or(found.UserInfo, mtls.UserInfo, d.UserInfo)
	found.IDTokenAlgorithms = idTokenAlgorithms(d.IDTokenAlgorithms)
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

// Document returns what the server's document says, and in its place what the options do.
func (c *Client) Document(ctx context.Context) (Endpoints, error) { return c.discover(ctx) }

// Newer returns what the server's document says now, when something is not as the one that was read
// before says. It is asked at most once an hour: in between that one stands. The error is that it
// could not be read, without which it is not known.
func (c *Client) Newer(ctx context.Context, before Endpoints) (Endpoints, error) {
	d := &c.document
	d.mu.Lock()
	if d.last != nil && !slices.Equal(d.last.IDTokenAlgorithms, before.IDTokenAlgorithms) {
		found := *d.last // another has found out
		d.mu.Unlock()
		return found, nil
	}
	if !d.mayRead(algorithmUnnamed) {
		err := d.paused()
		d.mu.Unlock()
		return before, err
	}
	fetch := c.beginFetch(ctx)
	d.mu.Unlock()
	return wait(ctx, fetch)
}

// idTokenAlgorithms reads the names of algorithms in JSON. What is no array says nothing.
func idTokenAlgorithms(names string) []*jws.Algorithm {
	elements, ok := strictjson.Elements(names)
	if !ok {
		return nil
	}
	found := []*jws.Algorithm{}
	for _, element := range elements {
		name, _ := strictjson.String(element)
		if a, ok := jws.Lookup(name); ok && !a.Symmetric() && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	return found
}

// checkPublished judges the URL of an endpoint that the document names.
func (c *Client) checkPublished(endpoint string) error {
	if len(endpoint) > maxEndpoint {
		return errEndpointSize
	}
	return weburl.CheckOf(cmp.Or(c.MetadataURL, c.Issuer), endpoint, c.InsecureHTTP)
}

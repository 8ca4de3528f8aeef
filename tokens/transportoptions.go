package tokens

import (
	"net/url"
	"slices"
	"strconv"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/weburl"
)

// A TransportOption changes what a [Transport] does.
type TransportOption func(*transportConfig)

// transportConfig is what the options say, and what is wrong with it.
type transportConfig struct {
	optional.Mistakes

	origins   optional.Value[[]string]
	plainHTTP bool
	bare401   optional.Value[struct{}]
}

// WithOrigins lists the origins whose requests get the token, as URLs that have a scheme, a host
// and perhaps a port, and nothing more (RFC 6454): "https://billing.example.com". The default is
// the origin of [Key.Resource], if that is an https or http URL. It may be given once.
//
// A path, a query or a pattern is an error, and so is an empty list: a token that may go anywhere
// is stolen by an attacker who can make the service call a URL. A host that is not in ASCII is
// listed, and asked for, by its name in Punycode.
func WithOrigins(urls ...string) TransportOption {
	urls = slices.Clone(urls)
	return func(c *transportConfig) { c.origins.Set(append(c.origins.Get(), urls...)) }
}

// InsecureHTTP allows that the token is sent by plain http to hosts other than this one, where a
// service mesh does the encrypting. Otherwise an attacker on the way can read it, and use it.
// Loopback addresses need no such permission, but a proxy that the base was given explicitly gets
// requests to them as well, and then reads the token. The origins must be listed with http all the
// same.
func InsecureHTTP() TransportOption {
	return func(c *transportConfig) { c.plainHTTP = true }
}

// WithRenewalOn401 makes a 401 without a reason count as invalid_token, for services that do not
// follow RFC 6750: one without a challenge, or with Bearer challenges of which none has an error.
// The token is renewed and the request sent once more. As ever a server that refuses whatever it
// gets causes one renewal in 30 seconds, see [Source.Invalidate]; without the option it causes
// none. It may be given once.
//
// A challenge of another scheme alone, such as Basic, asks for something else, and one that names
// another error gives another reason: then the caller gets the answer.
func WithRenewalOn401() TransportOption {
	return func(c *transportConfig) { c.bare401.Set(struct{}{}) }
}

// configureTransport collects what the options say, and judges it all. It returns the origins that
// get the token of the key.
func configureTransport(key Key, opts []TransportOption) (*transportConfig, map[weburl.Origin]bool) {
	c := new(transportConfig)
	optional.Apply(&c.Mistakes, "Transport", opts, c)
	optional.Once(&c.Mistakes, "WithOrigins", &c.origins, nil)
	optional.Once(&c.Mistakes, "WithRenewalOn401", &c.bare401, nil)
	list := make(map[weburl.Origin]bool)
	if !c.origins.Given() {
		list[c.originOfResource(key.Resource)] = true
		return c, list
	}
	if len(c.origins.Get()) == 0 {
		c.Add("WithOrigins", "", "the list is empty; name an origin, or leave the option out")
	}
	for _, text := range c.origins.Get() {
		o, err := readOrigin(text, c.plainHTTP)
		if err == nil {
			err = checkBare(text)
		}
		if err != nil {
			c.Add("WithOrigins", strconv.Quote(weburl.Redacted(text)), "%v", err)
		}
		list[o] = true
	}
	return c, list
}

// originOfResource returns the origin of [Key.Resource].
func (c *transportConfig) originOfResource(text string) weburl.Origin {
	resource, err := url.Parse(text)
	if err != nil || resource.Scheme != "https" && resource.Scheme != "http" {
		c.Add("Transport", "", "no origin is known that the token is for; "+
			"list it with WithOrigins, or give the service's URL as Key.Resource")
		return weburl.Origin{}
	}
	o, err := readOrigin(text, c.plainHTTP)
	if err != nil {
		c.Add("Transport", "", "Key.Resource %q %v", weburl.Redacted(text), err)
	}
	return o
}

package tokens

import (
	"fmt"
	"net/url"

	"github.com/bearer-go/bearer/internal/weburl"
)

// A TransportOption changes what a [Transport] does.
type TransportOption func(*transportConfig)

type transportConfig struct {
	origins   []string
	listed    bool // WithOrigins was given
	plainHTTP bool
	errs      []error
}

func (c *transportConfig) addError(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("tokens: "+format, args...))
}

// WithOrigins lists the origins whose requests get the token, as URLs that have a scheme, a host
// and perhaps a port, and nothing more (RFC 6454): "https://billing.example.com". The default is
// the origin of [Key.Resource], if that is an https or http URL.
//
// A path, a query or a pattern is an error, and so is an empty list, for a token that may go
// anywhere is stolen by an attacker who can make the service call a URL. A host that is not in
// ASCII is listed, and asked for, by its name in Punycode.
func WithOrigins(urls ...string) TransportOption {
	return func(c *transportConfig) {
		if len(urls) == 0 {
			c.addError("WithOrigins: the list is empty; name an origin, or leave the option out")
		}
		if c.listed {
			c.addError("WithOrigins: given twice; name all of them in one")
		}
		c.listed, c.origins = true, append(c.origins, urls...)
	}
}

// InsecureHTTP allows that the token is sent by plain http to hosts other than this one, where a
// service mesh does the encrypting. Otherwise an attacker on the way can read it, and use it.
// Loopback addresses need no such permission, but a proxy that the base was given explicitly gets
// requests to them as well, and then reads the token. The origins must be listed with http all the
// same.
func InsecureHTTP() TransportOption {
	return func(c *transportConfig) { c.plainHTTP = true }
}

// list is the origins that get the token of a key.
func (c *transportConfig) list(key Key) map[origin]bool {
	list := make(map[origin]bool)
	if !c.listed {
		resource, err := url.Parse(key.Resource)
		if err != nil || resource.Scheme != "https" && resource.Scheme != "http" {
			c.addError("Transport: no origin is known that the token is for; list it with WithOrigins, or give the service's URL as Key.Resource")
			return nil
		}
		o, err := readOrigin(key.Resource, c.plainHTTP)
		if err != nil {
			c.addError("Transport: Key.Resource %q %w", weburl.Redacted(key.Resource), err)
		}
		list[o] = true
	}
	for _, text := range c.origins {
		o, err := readOrigin(text, c.plainHTTP)
		if err == nil {
			err = checkBare(text)
		}
		if err != nil {
			c.addError("WithOrigins: %q %w", weburl.Redacted(text), err)
		}
		list[o] = true
	}
	return list
}

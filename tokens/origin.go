package tokens

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/weburl"
)

// destination is whom a request is for. That of a redirect is the same only if all of it is.
type destination struct {
	connects weburl.Origin // where the connection goes
	asks     weburl.Origin // whom it asks for there

	// user is what package net/http makes an Authorization header of, also when a server has put it
	// into a redirect.
	user url.Userinfo
}

// destinationOf is zero, and so on no list, where it is not clear whom a request is for.
func destinationOf(req *http.Request) destination {
	u := req.URL
	if u == nil || hasOtherHost(req.Header) {
		return destination{}
	}
	if u.Opaque != "" && (u.Opaque[0] != '/' || strings.HasPrefix(u.Opaque, "//")) { // names another host
		return destination{}
	}
	d := destination{connects: originOf(u.Scheme, u.Host)}
	if d.asks = d.connects; req.Host != "" && req.Host != u.Host {
		d.asks = originOf(u.Scheme, req.Host)
	}
	if u.User != nil {
		d.user = *u.User
	}
	return d
}

// originOf returns the origin that a request or a configuration names. It is the zero Origin if
// there is no host, or one that is not in ASCII: letters that fold or map to others are never
// compared.
func originOf(scheme, hostport string) weburl.Origin {
	o := weburl.OriginOf(scheme, hostport)
	if o.Host == "" || !grammar.IsFieldVChar(hostport) {
		return weburl.Origin{}
	}
	return o
}

// readOrigin reads the origin of a URL in a configuration. Its errors complete a sentence that
// begins with what the URL is.
func readOrigin(text string, plainHTTP bool) (weburl.Origin, error) {
	if err := weburl.Check(text, true); err != nil {
		return weburl.Origin{}, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return weburl.Origin{}, err
	}
	o := originOf(u.Scheme, u.Host)
	port, _ := strconv.ParseUint(o.Port, 10, 16) // of one that is too large, another
	switch {
	case o == weburl.Origin{} || strings.Contains(o.Host, "*"):
		return weburl.Origin{}, errors.New("has a host that is a pattern, or not in ASCII; name each host, as Punycode if need be")
	case strconv.FormatUint(port, 10) != o.Port || port == 0:
		return weburl.Origin{}, errors.New("has a port that no request could have; give one from 1 to 65535, or none")
	case o.Scheme == "http" && !plainHTTP && !weburl.Loopback(o.Host):
		return weburl.Origin{}, errors.New("is not https: an attacker on the way could read the token; use https, or InsecureHTTP")
	}
	return o, nil
}

// checkBare refuses a URL that has more than an origin. A lone "/" is the same as none (RFC 3986
// section 6.2.3).
func checkBare(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery {
		return errors.New("has a path or a query: the token goes to the whole origin; give scheme, host and port alone")
	}
	return nil
}

// hasOtherHost reports whether a header would go out as a second Host line, beside the one that is
// judged. Package net/http leaves out a "Host" in the map, and no other spelling.
func hasOtherHost(header http.Header) bool {
	for name := range header {
		if len(name) == len("Host") && name != "Host" && strings.EqualFold(name, "Host") {
			return true
		}
	}
	return false
}

func hasAuthorization(req *http.Request) bool {
	for name := range req.Header {
		if isAuthorization(name) {
			return true
		}
	}
	return false
}

// isAuthorization reports it for names that were put into the map directly, too, in whatever
// case.
func isAuthorization(name string) bool { return strings.EqualFold(name, "Authorization") }

package bearer

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
)

// defaultTokenName is the name RFC 6750 sections 2.2 and 2.3 give to the parameter.
const defaultTokenName = "access_token"

// A TokenLocation is a place in a request where a token may be. The zero value is none.
type TokenLocation struct {
	kind   locationKind
	name   string           // of the header, cookie or parameter
	scheme string           // before the token in a header; "" for none
	order  *[]TokenLocation // of FirstOf
	err    error
}

type locationKind int

const (
	locationNone locationKind = iota
	locationAuthorization
	locationHeader // another one
	locationCookie
	locationQuery
	locationForm
	locationWebSocket
	locationFirst // FirstOf
)

// FromHeader finds the token in a header. Without a name it is the Authorization header with the
// scheme Bearer, the place that every client and server supports and that nothing logs (RFC 6750
// section 2.1). With a name it is the token alone in the header of that name, such as
// X-Goog-IAP-JWT-Assertion, Cf-Access-Jwt-Assertion or X-Forwarded-Access-Token. Names of headers
// are case-insensitive. A second line of the header is refused, and so is an empty one.
//
// A name must not be Authorization, which always has a scheme, Cookie, nor a header that belongs to
// the connection (RFC 9110 section 7.6.1).
//
// Danger: a proxy that sets such a header must remove the one that the client sent. The token is
// verified like any other: a client can send one that it has, and no other.
func FromHeader(name ...string) TokenLocation {
	if len(name) == 0 {
		return TokenLocation{kind: locationAuthorization, name: "Authorization", scheme: schemeBearer}
	}
	l := named(locationHeader, name)
	if l.err != nil {
		return l
	}
	l.name, l.err = headerName("FromHeader", l.name)
	if l.err == nil && l.name == "Authorization" {
		l.err = errors.New("FromHeader: the Authorization header has a scheme (RFC 9110 section 11.6.2); " +
			"use FromHeader() for Bearer, or FromHeaderScheme")
	}
	return l
}

// FromHeaderScheme finds the token in a header, behind a scheme and spaces, such as
// "Authorization: Token TOKEN". The names of the header and of the scheme are case-insensitive. It
// is [FromHeader] for the name Authorization and the scheme Bearer, and both may be enabled for the
// Authorization header. A request has one line of the header at most, whatever its scheme is.
//
// Challenges still name the scheme Bearer, because their error codes are those of RFC 6750. The
// scheme DPoP is a mistake: it promises a proof (RFC 9449 section 7.1), and none is checked.
func FromHeaderScheme(name, scheme string) TokenLocation {
	l := TokenLocation{kind: locationHeader, scheme: scheme}
	l.name, l.err = headerName("FromHeaderScheme", name)
	switch {
	case l.err != nil:
	case !grammar.IsToken(scheme):
		l.err = fmt.Errorf("FromHeaderScheme: the scheme %s is no token of RFC 9110 section 5.6.2; "+
			"FromHeader(name) is for a header without a scheme", strconv.Quote(scheme))
	case isScheme(scheme, "DPoP"):
		l.err = errors.New("FromHeaderScheme: the scheme DPoP needs a proof, and none is checked")
	}
	if l.name == "Authorization" {
		l.kind = locationAuthorization
	}
	if isScheme(scheme, schemeBearer) {
		l.scheme = schemeBearer
	}
	return l
}

// headerName returns the name of a header as package net/http spells it, or why no token can be in
// a header of that name.
func headerName(option, name string) (canonical string, err error) {
	if !grammar.IsToken(name) {
		return name, fmt.Errorf("%s: %s is no name of a header; is a variable unset?", option, strconv.Quote(name))
	}
	canonical = textproto.CanonicalMIMEHeaderKey(name)
	switch canonical {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length":
		err = fmt.Errorf("%s: the header %s belongs to the connection (RFC 9110 section 7.6.1), so that "+
			"proxies and servers take it away", option, canonical)
	case "Cookie":
		err = fmt.Errorf("%s: the header Cookie is read by FromCookie", option)
	case webSocketField:
		err = fmt.Errorf("%s: the header Sec-WebSocket-Protocol is read by FromWebSocket", option)
	}
	return canonical, err
}

// FromCookie finds the token in a cookie, named "access_token" unless a name is given. One cookie
// of the name with an empty value is no credential: that is what logging out leaves behind in some
// clients. Two cookies of the name are refused, whatever they hold.
//
// Danger: a browser sends cookies by itself, so every route with this source needs protection
// against cross-site request forgery, such as [http.CrossOriginProtection], and the cookie must be
// Secure, HttpOnly and SameSite. Shared caches hold back answers to requests with an Authorization
// header only (RFC 9111 section 3.5), so the handler must send Cache-Control: private.
func FromCookie(name ...string) TokenLocation {
	l := named(locationCookie, name)
	if l.err == nil && !grammar.IsToken(l.name) {
		l.err = fmt.Errorf("FromCookie: %s is no name of a cookie (RFC 6265 section 4.1.1)", strconv.Quote(l.name))
	}
	return l
}

// FromQuery finds the token in a query parameter, named "access_token" unless a name is given (RFC
// 6750 section 2.3).
//
// Danger: URLs are written to the logs of proxies and servers, to browser histories and to Referer
// headers. RFC 9700 section 4.3.2 forbids it for OAuth clients; it is there for links that cannot
// carry a header, with tokens that live for seconds. The handler must send Cache-Control: private
// (RFC 6750 section 2.3).
func FromQuery(name ...string) TokenLocation { return named(locationQuery, name) }

// FromForm finds the token in a parameter of an application/x-www-form-urlencoded body, named
// "access_token" unless a name is given (RFC 6750 section 2.2), for methods other than GET and
// HEAD. The handler can read the body again.
//
// A form that cannot be read is refused as malformed, because a credential could hide in it: one
// whose Content-Type is malformed or given twice, one with a Content-Encoding, and one that an
// outer middleware has read. Such a middleware must put the body back, also after r.ParseForm or
// r.FormValue, which do not tell how much of the form they understood. A middleware that decodes a
// body must remove its Content-Encoding and set r.ContentLength to the new length or -1, because a
// shorter form counts as read in part. A multipart form is no such form and is not read.
//
// Danger: up to 1 MiB of body is read and held before anything is verified, for as long as
// [http.Server]'s ReadTimeout allows. A longer form is refused.
func FromForm(name ...string) TokenLocation { return named(locationForm, name) }

// FromWebSocket finds the token in a WebSocket handshake's Sec-WebSocket-Protocol header, as the
// subprotocol "base64url.bearer.authorization." followed by the token in base64url without padding:
// the one header that a browser's WebSocket can set. The entry is removed before the handler runs,
// also if another place of a [FirstOf] counts, so that it is never negotiated or echoed.
//
// A browser closes the connection unless the server selects one of the subprotocols that it was
// offered (RFC 6455 section 4.1, and the WebSockets Standard of WHATWG). So the page offers one of
// the application beside the token, and the handler's WebSocket library selects that one:
//
//	const entry = "base64url.bearer.authorization." +
//		btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
//	const socket = new WebSocket("wss://api.example.com/feed", ["feed.v1", entry]);
//
// A handshake with an Origin header, which is a browser's, and no subprotocol but the token is
// refused as malformed: no answer to it would open a connection.
//
// Danger: proxies may log the header, as nothing marks it as secret.
func FromWebSocket() TokenLocation { return TokenLocation{kind: locationWebSocket} }

const (
	webSocketField  = "Sec-Websocket-Protocol" // as package net/http spells it
	webSocketPrefix = "base64url.bearer.authorization."
)

// FirstOf takes the token from the first of the sources that holds a credential, and ignores the
// later ones. Without it a request with a credential in two places is refused. What the first place
// holds counts, also if it is malformed or refused later: there is no second try. Two credentials
// in one place are refused, and so is a second Authorization header, wherever tokens are looked
// for.
//
// There is one FirstOf at most, with two sources or more, and none of them is a FirstOf. [FromForm]
// comes last in it, because a body may take time to arrive. Other sources beside it count as
// without it: a credential in one of them and one in the FirstOf are two.
func FirstOf(sources ...TokenLocation) TokenLocation {
	sources = slices.Clone(sources)
	l := TokenLocation{kind: locationFirst, order: &sources}
	for i, s := range sources {
		switch {
		case s.kind == locationFirst:
			l.err = errors.New("FirstOf: one of its sources is a FirstOf; name all sources in one")
		case s.kind == locationForm && i < len(sources)-1:
			l.err = errors.New("FirstOf: FromForm is not the last; a body may take time to arrive")
		}
	}
	if len(sources) < 2 {
		l.err = errors.New("FirstOf: names fewer than two sources, which have no order")
	}
	return l
}

func named(kind locationKind, names []string) TokenLocation {
	switch {
	case len(names) == 0:
		return TokenLocation{kind: kind, name: defaultTokenName}
	case len(names) == 1 && names[0] != "":
		return TokenLocation{kind: kind, name: names[0]}
	default:
		return TokenLocation{kind: kind, err: errors.New("a token source takes one name that is not empty, or none")}
	}
}

// each returns the places that a location stands for: itself, or those of a FirstOf.
func (l *TokenLocation) each() []TokenLocation {
	if l.kind == locationFirst {
		return *l.order
	}
	return []TokenLocation{*l}
}

// checkLocations returns every mistake in a list of sources.
func checkLocations(sources []TokenLocation) (mistakes []error) {
	wrong := func(text string) { mistakes = append(mistakes, errors.New(text)) }
	if len(sources) == 0 {
		wrong("names no source; leave it out for the Authorization header")
	}
	var all []TokenLocation
	orders := 0
	for _, source := range sources {
		if source.kind == locationFirst {
			if orders++; source.err != nil {
				mistakes = append(mistakes, source.err)
			}
		}
		for _, s := range source.each() {
			switch {
			case s.kind == locationFirst: // reported as a mistake of FirstOf
			case s.err != nil:
				mistakes = append(mistakes, s.err)
			case s.kind == locationNone:
				wrong("holds an empty TokenLocation")
			case slices.Contains(all, s):
				wrong("names a source twice")
			case slices.ContainsFunc(all, s.contradicts):
				wrong("names the header " + s.name + " twice, or with a scheme and without one")
			}
			all = append(all, s)
		}
	}
	if orders > 1 {
		wrong("has more than one FirstOf; name all sources in one")
	}
	return mistakes
}

// contradicts reports whether two locations read one header in two ways.
func (l TokenLocation) contradicts(other TokenLocation) bool {
	inHeader := l.kind == locationHeader || l.kind == locationAuthorization
	return inHeader && l.kind == other.kind && l.name == other.name &&
		(l.scheme == "" || other.scheme == "" || isScheme(l.scheme, other.scheme))
}

// place names the place for an operator, such as `the cookie "access_token"`.
func (l TokenLocation) place() string {
	switch l.kind {
	case locationAuthorization:
		return "the Authorization header with the scheme " + l.scheme
	case locationHeader:
		if l.scheme != "" {
			return "the header " + l.name + " with the scheme " + l.scheme
		}
		return "the header " + l.name
	case locationCookie:
		return "the cookie " + strconv.Quote(l.name)
	case locationQuery:
		return "the query parameter " + strconv.Quote(l.name)
	case locationForm:
		return "the form parameter " + strconv.Quote(l.name)
	case locationWebSocket:
		return "Sec-WebSocket-Protocol"
	}
	return "no place"
}

// isScheme reports whether two authentication schemes are the same. Schemes are case-insensitive
// (RFC 9110 section 11.1). Texts of one length that fold to each other are ASCII if one of them is.
func isScheme(sent, scheme string) bool {
	return sent == scheme || len(sent) == len(scheme) && strings.EqualFold(sent, scheme)
}

const schemeBearer = "Bearer"

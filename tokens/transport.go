package tokens

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/contain"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	maxHops = 20 // redirects in a row that a token follows within its origin; [http.Client] gives up after 10 by default

	// What is done for the connection of an answer that nobody will read, so that it can be used again.
	maxDrain     = 16 << 10               // bytes of the body that are read
	maxDrainTime = 100 * time.Millisecond // that the next attempt waits for it
)

// Transport is an [http.RoundTripper] that attaches the token of a [Source] to requests (RFC 6750 section 2.1), of which it sends a
// copy. It is made by [Source.Transport], safe for concurrent use, and prints as "[secret]".
//
// # When the token is attached
//
// Only a request to one of the listed origins gets it; see [Origins]. What counts is both where the connection goes, which is the
// URL, and whom it asks for, which is the Host header if [http.Request.Host] sets one: if either is not listed, the request is
// not for this Transport. Neither is one that has "host" in its header in another spelling than "Host", which would be sent as a
// second one. The following go out as they are, without the token:
//
//   - A request to another origin.
//   - A request that has an Authorization header, even an empty one, and the redirects it leads to within its origin: whoever
//     calls has the last word.
//   - A request that a redirect led to, unless every request on the way, since the first, went to the very origin that it goes to.
//     A token does not follow to another origin, be it a listed one, and does not come back from there.
//
// On such a redirect from, by way of or to a listed origin an Authorization header is removed too: package net/http takes it along
// to subdomains, to other ports, and from https to http.
//
// Plain http to the host of a listed origin, on whatever port, is an error, and nothing is sent, unless the request has an
// Authorization header and is no redirect, the host is a loopback address, or [InsecurePlainHTTP] was given: it is a mistake, or a
// redirect that takes TLS away.
//
// # When a server does not accept the token
//
// On a 401 with a Bearer challenge that says invalid_token, that very token is invalidated, see [Source.Invalidate], and the
// request sent once more with another, if there is one and if the body can be had again: there is none, or
// [http.Request.GetBody] is set, as [http.NewRequest] does for bytes and strings. Otherwise, and for every other answer,
// the caller gets what the server said. A request is never sent more than twice.
type Transport struct {
	opaque
	*hiddenTransport
}

type hiddenTransport struct{ *transportState }

type transportState struct {
	base      http.RoundTripper
	source    *Source
	origins   map[origin]bool
	plainHTTP bool
}

// A TransportOption changes what a [Transport] does.
type TransportOption func(*transportConfig)

type transportConfig struct {
	origins   []string
	listed    bool // Origins was given
	plainHTTP bool
	errs      []error
}

func (c *transportConfig) wrong(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("tokens: "+format, args...))
}

// Origins lists the origins whose requests get the token, as URLs that have a scheme, a host and perhaps a port, and nothing more
// (RFC 6454): "https://billing.example.com". The default is the origin of [Key.Resource], if that is an https or http URL.
//
// A path, a query or a pattern is an error, and so is an empty list, for a token that may go anywhere is stolen by whoever
// can make the service call a URL. A host that is not in ASCII is listed, and asked for, by its name in Punycode.
func Origins(urls ...string) TransportOption {
	return func(c *transportConfig) {
		if len(urls) == 0 {
			c.wrong("Origins: the list is empty; name an origin, or leave the option out")
		}
		if c.listed {
			c.wrong("Origins: given twice; name all of them in one")
		}
		c.listed, c.origins = true, append(c.origins, urls...)
	}
}

// InsecurePlainHTTP allows that the token is sent by plain http to hosts other than this one, where a service mesh does the
// encrypting. Otherwise whoever is on the way can read it, and use it. Loopback addresses need no such permission, but a proxy that
// the base was given explicitly gets requests to them as well, and then reads the token. The origins must
// be listed with http all the same.
func InsecurePlainHTTP() TransportOption {
	return func(c *transportConfig) { c.plainHTTP = true }
}

// Transport returns an [http.RoundTripper] that attaches the token of s. Base is what sends the requests, nil for
// [http.DefaultTransport]. It does no I/O.
//
// It is an error if no origin is known that the token is for; see [Origins]. When several things are wrong the error says all of
// them.
func (s *Source) Transport(base http.RoundTripper, opts ...TransportOption) (*Transport, error) {
	var c transportConfig
	for _, opt := range opts {
		if opt == nil {
			c.wrong("Transport: an option is nil; leave it out")
			continue
		}
		opt(&c)
	}
	if base == nil {
		base = http.DefaultTransport
	}
	t := &Transport{hiddenTransport: &hiddenTransport{&transportState{
		base: base, source: s, origins: c.list(s.key), plainHTTP: c.plainHTTP,
	}}}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// list is the origins that get the token of a key.
func (c *transportConfig) list(key Key) map[origin]bool {
	list := make(map[origin]bool)
	if !c.listed {
		resource, err := url.Parse(key.Resource)
		if err != nil || resource.Scheme != "https" && resource.Scheme != "http" {
			c.wrong("Transport: no origin is known that the token is for; list it with Origins, or give the service's URL as Key.Resource")
			return nil
		}
		o, err := readOrigin(key.Resource, c.plainHTTP)
		if err != nil {
			c.wrong("Transport: Key.Resource %q %w", weburl.Redacted(key.Resource), err)
		}
		list[o] = true
	}
	for _, text := range c.origins {
		o, err := readOrigin(text, c.plainHTTP)
		if err == nil {
			err = checkBare(text)
		}
		if err != nil {
			c.wrong("Origins: %q %w", weburl.Redacted(text), err)
		}
		list[o] = true
	}
	return list
}

// RoundTrip sends a request, with the token if it is one that gets it; see [Transport]. If the token cannot be had, the error is that
// of [Source.Token], and nothing is sent.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	verdict, err := t.judge(req)
	switch {
	case err != nil:
		closeBody(req)
		return nil, err
	case verdict == untouched:
		return t.base.RoundTrip(req)
	case verdict == stripped:
		return t.send(req, req.Body, nil)
	}
	token, err := t.source.Token(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	response, err := t.send(req, req.Body, token)
	if err != nil || response == nil || response.StatusCode != http.StatusUnauthorized || !saysInvalidToken(response.Header) {
		return response, err
	}
	another := t.renew(req, token)
	if another == nil {
		return response, nil
	}
	body, ok := replay(req)
	if !ok {
		return response, nil
	}
	t.discard(req.Context(), response.Body)
	t.source.retried(req.Context())
	return t.send(req, body, another)
}

// CloseIdleConnections does it for what sends the requests, if that has such a method.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// send sends a copy of the request, with a token or, if that is nil, without an Authorization header. The answer names the
// request it was made of, so that nobody finds the token there.
func (t *Transport) send(req *http.Request, body io.ReadCloser, token *Token) (*http.Response, error) {
	sent := req.WithContext(req.Context())
	sent.Body = body
	sent.Header = req.Header.Clone()
	if sent.Header == nil {
		sent.Header = make(http.Header)
	}
	if token != nil {
		sent.Header.Set("Authorization", token.Authorization())
	} else {
		maps.DeleteFunc(sent.Header, func(name string, _ []string) bool { return isAuthorization(name) })
	}
	response, err := t.base.RoundTrip(sent)
	if response != nil {
		response.Request = req
	}
	return response, err
}

// renew returns another token in place of one that was refused, or nil if the request cannot be sent again with one.
func (t *Transport) renew(req *http.Request, refused *Token) *Token {
	if again := t.source.Invalidate(refused); !again || hasBody(req) && req.GetBody == nil {
		return nil
	}
	token, err := t.source.Token(req.Context())
	if err != nil || token.Authorization() == refused.Authorization() || req.Context().Err() != nil {
		return nil
	}
	return token
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// replay returns the body of a request once more.
func replay(req *http.Request) (body io.ReadCloser, ok bool) {
	if !hasBody(req) {
		return req.Body, true
	}
	body, err := req.GetBody()
	return body, err == nil
}

// closeBody is for a request that is not sent: a RoundTripper closes the body, also when it fails.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// discard closes a body and, if the rest of it is short and there, has read it before: then the connection can be used again. Closing
// is what ends a read that waits for a server; the bodies of package net/http are made for that. Nobody waits for one that is
// not: its goroutines end when it does.
func (t *Transport) discard(ctx context.Context, body io.ReadCloser) {
	if body == nil {
		return // as of a RoundTripper in a test
	}
	logger, who := t.source.m.logger, "the answer's body"
	var closing atomic.Bool
	closeOnce := func() {
		if closing.CompareAndSwap(false, true) {
			_ = body.Close()
		}
	}
	drained := make(chan struct{})
	go contain.Call(ctx, logger, who, func() error {
		_, _ = io.CopyN(io.Discard, body, maxDrain+1) // one more, to find the end of what is just so long
		closeOnce()
		return nil
	}, func(error) { close(drained) })
	timer := time.NewTimer(maxDrainTime)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		go contain.Tell(ctx, logger, who, closeOnce)
	}
}

// verdict is what becomes of a request.
type verdict int

const (
	untouched verdict = iota // it is sent as it is
	stripped                 // without an Authorization header
	attached                 // with the token
)

// judge says what becomes of a request. The requests before it, if it is a redirect, are judged along.
func (t *Transport) judge(req *http.Request) (verdict, error) {
	var (
		here   = destinationOf(req)
		own    = hasAuthorization(req) // the caller's
		left   = false                 // a redirect led elsewhere
		listed = t.lists(here)         // or one on the way is
		hops   = 0
	)
	if own && req.Response == nil {
		return untouched, nil
	}
	if o := here.connects; o.scheme == "http" && !t.plainHTTP && !weburl.Loopback(o.host) && t.listsHost(o.host) {
		return untouched, fmt.Errorf("tokens: the request to %s is refused because it is not https, and its host is one that gets "+
			"a token; use https, or the option InsecurePlainHTTP if others encrypt", o)
	}
	for response := req.Response; response != nil; response = response.Request.Response {
		if hops++; hops > maxHops || response.Request == nil {
			left, listed = true, true // who knows
			break
		}
		there := destinationOf(response.Request)
		left = left || there != here
		listed = listed || t.lists(there)
		own = own || hasAuthorization(response.Request)
	}
	switch {
	case left && listed && hasAuthorization(req):
		return stripped, nil
	case left, own, !listed:
		return untouched, nil
	}
	return attached, nil
}

func (t *Transport) lists(d destination) bool { return t.origins[d.connects] && t.origins[d.asks] }

func (t *Transport) listsHost(host string) bool {
	for o := range t.origins {
		if o.host == host {
			return true
		}
	}
	return false
}

// destination is whom a request is for. That of a redirect is the same only if all of it is.
type destination struct {
	connects origin       // where the connection goes
	asks     origin       // whom it asks for there
	user     url.Userinfo // which package net/http makes an Authorization header of, also when a server has put it into a redirect
}

// destinationOf is zero, and so on no list, where it is not clear whom a request is for.
func destinationOf(req *http.Request) destination {
	u := req.URL
	if u == nil || hasOtherHost(req.Header) || u.Opaque != "" && (u.Opaque[0] != '/' || strings.HasPrefix(u.Opaque, "//")) { // names a host beside the others
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

// origin is what RFC 6454 section 4 makes of a URL. The zero origin is none.
type origin struct{ scheme, host, port string }

// originOf is the zero origin if there is no host, or one that is not in ASCII: letters that fold or map to others are not compared
// here, and never equal.
func originOf(scheme, hostport string) origin {
	u := url.URL{Host: hostport}
	host, port := u.Hostname(), u.Port()
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return origin{}
	}
	if port == "" {
		port = "443"
		if scheme == "http" {
			port = "80"
		}
	}
	return origin{scheme, strings.ToLower(host), port}
}

// String returns the origin as a URL.
func (o origin) String() string {
	host := o.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return o.scheme + "://" + host + ":" + o.port
}

// readOrigin reads the origin of a URL in a configuration. Its errors complete a sentence that begins with what the URL is.
func readOrigin(text string, plainHTTP bool) (origin, error) {
	if err := weburl.Check(text, true); err != nil {
		return origin{}, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return origin{}, err
	}
	o := originOf(u.Scheme, u.Host)
	port, _ := strconv.ParseUint(o.port, 10, 16) // of one that is too large, another
	switch {
	case o == origin{} || strings.Contains(o.host, "*"):
		return origin{}, errors.New("has a host that is a pattern, or not in ASCII; name each host, as Punycode if need be")
	case strconv.FormatUint(port, 10) != o.port || port == 0:
		return origin{}, errors.New("has a port that no request could have; give one from 1 to 65535, or none")
	case o.scheme == "http" && !plainHTTP && !weburl.Loopback(o.host):
		return origin{}, errors.New("is not https: whoever is on the way could read the token; use https, or InsecurePlainHTTP")
	}
	return o, nil
}

// checkBare refuses a URL that has more than an origin. A lone "/" is the same as none (RFC 3986 section 6.2.3).
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

// isAuthorization reports that for names that were put into the map directly, too, in whatever case.
func isAuthorization(name string) bool { return strings.EqualFold(name, "Authorization") }

package tokens

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/weburl"
)

const (
	maxHops = 20 // redirects in a row that a token follows within its origin; [http.Client] gives up after 10 by default

	// What is done for the connection of an answer that is not read, so that it can be used
	// again.
	maxDrain     = 16 << 10               // bytes of the body that are read
	maxDrainTime = 100 * time.Millisecond // that the next attempt waits for it
)

// Transport is an [http.RoundTripper] that attaches the token of a [Source] to requests (RFC 6750
// section 2.1), of which it sends a copy. It is made by [Source.Transport], safe for concurrent
// use, and prints as "[secret]".
//
// # When the token is attached
//
// Only a request to one of the listed origins gets it; see [WithOrigins]. What counts is both where
// the connection goes, which is the URL, and whom it asks for, which is the Host header if
// [http.Request.Host] sets one: if either is not listed, the request is not for this Transport.
// Neither is one that has "host" in its header in another spelling than "Host", which would be sent
// as a second one. The following go out as they are, without the token:
//
//   - A request to another origin.
//   - A request that has an Authorization header, even an empty one, and the redirects it leads to
//     within its origin: the caller has the last word.
//   - A request that a redirect led to, unless every request on the way, since the first, went to
//     the very origin that it goes to. A token does not follow to another origin, even a listed
//     one, and does not come back from there.
//
// On such a redirect from, by way of or to a listed origin an Authorization header is removed too:
// package net/http takes it along to subdomains, to other ports, and from https to http.
//
// Plain http to the host of a listed origin, on whatever port, is an error, and nothing is sent,
// unless the request has an Authorization header and is no redirect, the host is a loopback
// address, or [InsecureHTTP] was given: it is a mistake, or a redirect that takes TLS away.
//
// # When a server does not accept the token
//
// On a 401 with a Bearer challenge that says invalid_token, or one without a reason if
// [WithRenewalOn401] was given, that very token is invalidated, see [Source.Invalidate], and the
// request sent once more with another, if there is one and if the body can be sent again: there is
// none, or [http.Request.GetBody] is set, as [http.NewRequest] does for bytes and strings.
// Otherwise, and for every other answer, the caller gets what the server said. A request is never
// sent more than twice.
type Transport struct {
	opaque
	*hiddenTransport
}

type hiddenTransport struct{ *transportState }

type transportState struct {
	base      http.RoundTripper
	source    *Source
	origins   map[weburl.Origin]bool
	plainHTTP bool
	bare401   bool // counts as invalid_token
}

// Transport returns an [http.RoundTripper] that attaches the token of s. Base is what sends the
// requests, nil for [http.DefaultTransport]. It does no I/O.
//
// Base must follow no redirect by itself, as [http.RoundTripper] says: it would take the token
// along, and nothing here would know. Some that try requests again do follow them; such a one goes
// around the Transport, and not under it.
//
// It is an error if no origin is known that the token is for; see [WithOrigins]. The error is every
// mistake in the configuration, each a [*ConfigError].
func (s *Source) Transport(base http.RoundTripper, opts ...TransportOption) (*Transport, error) {
	c, origins := configureTransport(s.key, opts)
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{hiddenTransport: &hiddenTransport{&transportState{
		base: base, source: s, origins: origins, plainHTTP: c.plainHTTP, bare401: c.bare401.Given(),
	}}}, nil
}

// RoundTrip sends a request, with the token if it is one that gets it; see [Transport]. If
// there is no token, the error is that of [Source.Token], and nothing is sent.
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
	if err != nil || response == nil || !t.refused(response) {
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

// refused reports whether an answer says that the token is not accepted.
func (t *Transport) refused(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	all, ok := challengesOf(response.Header)
	return ok && (all.invalid || t.bare401 && all.bare())
}

// CloseIdleConnections does it for what sends the requests, if that has such a method.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// send sends a copy of the request, with a token or, if that is nil, without an Authorization
// header. The answer names the request it was made of, so that the token is not found there.
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

// renew returns another token in place of one that was refused, or nil if the request cannot be
// sent again with one.
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

// discard closes a body and, if the rest of it is short and there, has read it before: then the
// connection can be used again. Closing is what ends a read that waits for a server; the bodies of
// package net/http are made for that. No caller waits for one that is not: its goroutines end when
// it does.
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
	go flight.Contain(ctx, logger, who, func() error {
		_, _ = io.CopyN(io.Discard, body, maxDrain+1) // one more, to find the end of what is just so long
		closeOnce()
		return nil
	}, func(error) { close(drained) })
	timer := time.NewTimer(maxDrainTime)
	defer timer.Stop()
	select {
	case <-drained:
	case <-timer.C:
		go flight.Tell(ctx, logger, who, closeOnce)
	}
}

// verdict is what becomes of a request.
type verdict int

const (
	untouched verdict = iota // it is sent as it is
	stripped                 // without an Authorization header
	attached                 // with the token
)

// judge says what becomes of a request. The requests before it, if it is a redirect, are judged
// along.
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
	if o := here.connects; o.Scheme == "http" && !t.plainHTTP && !weburl.Loopback(o.Host) && t.listsHost(o.Host) {
		return untouched, fmt.Errorf("tokens: the request to %s is refused because it is not https, and its host is one that gets "+
			"a token; use https, or the option InsecureHTTP if others encrypt", o)
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
		if o.Host == host {
			return true
		}
	}
	return false
}

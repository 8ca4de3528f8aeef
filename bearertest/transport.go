package bearertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// inProcess is an [http.RoundTripper] that answers one origin with a handler of this process. An
// origin may go by several names, of which the first is the one that errors mention.
//
// It is the client and the server of net/http with an in-memory pipe for a connection, rather than
// a response writer of our own, so that a handler which stalls, drips or never ends looks to the
// caller exactly as it does over a socket. A pipe, unlike a socket, settles inside a
// [testing/synctest] bubble. Each request has a connection of its own, which ends when the response
// body is read to its end or closed, or when the request's context ends; then no goroutine is left.
type inProcess struct {
	origins []*url.URL
	pipes   *http.Transport

	mu     sync.Mutex
	guests []*inProcess // which are reached too, for as long as an attack lasts
}

func newInProcess(origin *url.URL, handler http.Handler, others ...*url.URL) *inProcess {
	dial := func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		// Serve comes back at once: it starts a goroutine for the connection, then finds that no other
		// comes.
		_ = (&http.Server{Handler: handler}).Serve(&oneConn{conn: server}) //nolint:gosec // the one client is our own
		return client, nil
	}
	// A connection from DialTLSContext counts as secure already, so "https" needs neither a
	// certificate nor a handshake.
	pipes := &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true}
	return &inProcess{origins: append([]*url.URL{origin}, others...), pipes: pipes}
}

// admit lets the transport reach what another one reaches, until the function that it returns is
// called.
func (t *inProcess) admit(guest *inProcess) (dismiss func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.guests = append(slices.Clip(t.guests), guest)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.guests = slices.DeleteFunc(slices.Clone(t.guests), func(g *inProcess) bool { return g == guest })
	}
}

// pipesTo returns what carries a request to its origin, or nil when the transport does not reach
// it.
func (t *inProcess) pipesTo(u *url.URL) *http.Transport {
	ours := func(origin *url.URL) bool { return sameOrigin(u, origin) }
	if slices.ContainsFunc(t.origins, ours) {
		return t.pipes
	}
	t.mu.Lock()
	guests := t.guests
	t.mu.Unlock()
	for _, guest := range guests {
		if pipes := guest.pipesTo(u); pipes != nil {
			return pipes
		}
	}
	return nil
}

// RoundTrip refuses every origin but its own, so that a test never leaves the process unnoticed.
func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	pipes := t.pipesTo(r.URL)
	if pipes == nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("bearertest: the issuer's client reaches %s://%s alone, not %s://%s",
			t.origins[0].Scheme, t.origins[0].Host, r.URL.Scheme, r.URL.Host)
	}
	return pipes.RoundTrip(r)
}

// oneConn is a [net.Listener] that hands out one connection and is then at its end.
type oneConn struct {
	conn  net.Conn
	taken bool
}

// Accept returns the connection the first time, [net.ErrClosed] ever after.
func (l *oneConn) Accept() (net.Conn, error) {
	if l.taken {
		return nil, net.ErrClosed
	}
	l.taken = true
	return l.conn, nil
}

// Close does nothing: the connection outlives its listener.
func (l *oneConn) Close() error { return nil }

// Addr is that of the connection.
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

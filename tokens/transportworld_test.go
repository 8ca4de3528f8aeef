package tokens_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

var transportKey = tokens.Key{Resource: transportService + "/v1?x=y"}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// transportIssuer gives tokens: secret-token-1, secret-token-2 and so on.
type transportIssuer struct {
	calls atomic.Int64
	err   atomic.Pointer[error]
	same  atomic.Bool // the same one again
}

func (i *transportIssuer) Fetch(context.Context, tokens.Request) (*tokens.Response, error) {
	n := i.calls.Add(1)
	if err := i.err.Load(); err != nil {
		return nil, *err
	}
	if i.same.Load() {
		n = 1
	}
	return &tokens.Response{AccessToken: tokens.NewSecret(fmt.Sprint(transportSecret, n)), TokenType: "Bearer", ExpiresIn: time.Hour}, nil
}

func (i *transportIssuer) fail(err error) { i.err.Store(&err) }

// transportSource is the source of a key, over an issuer of its own.
func transportSource(t *testing.T, key tokens.Key) (*tokens.Source, *transportIssuer) {
	t.Helper()
	issuer := new(transportIssuer)
	manager, err := tokens.NewManager(issuer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	return manager.Source(key), issuer
}

func transportOver(t *testing.T, base http.RoundTripper, opts ...tokens.TransportOption) (*tokens.Transport, *transportIssuer) {
	t.Helper()
	source, issuer := transportSource(t, transportKey)
	transport, err := source.Transport(base, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return transport, issuer
}

// transportOverRefusal returns a Transport whose server refuses the first token, with this body, and
// takes the next.
func transportOverRefusal(t *testing.T, body io.ReadCloser) *tokens.Transport {
	t.Helper()
	sent := 0
	transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
		if sent++; sent > 1 {
			return transportAnswer(r, http.StatusOK), nil
		}
		answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
		answer.Body = body
		return answer, nil
	}))
	return transport
}

func transportOrigins(urls ...string) []tokens.TransportOption {
	return []tokens.TransportOption{tokens.WithOrigins(urls...)}
}

func transportMesh(urls ...string) []tokens.TransportOption {
	return append(transportOrigins(urls...), tokens.InsecureHTTP())
}

// transportBody is a body that notes what is done with it.
type transportBody struct {
	io.Reader
	read   int
	closed atomic.Int64
}

func newTransportBody(text string) *transportBody {
	return &transportBody{Reader: strings.NewReader(text)}
}

func (b *transportBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *transportBody) Close() error {
	b.closed.Add(1)
	return nil
}

func transportAnswer(r *http.Request, status int, header ...string) *http.Response {
	answer := &http.Response{StatusCode: status, Header: make(http.Header), Body: http.NoBody, Request: r}
	for i := 0; i < len(header); i += 2 {
		answer.Header.Add(header[i], header[i+1])
	}
	return answer
}

// transportSink accepts every request, and closes its body.
type transportSink struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (s *transportSink) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return transportAnswer(r, http.StatusOK), nil
}

func transportRequest(t *testing.T, method, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// transportReply is what matters of an answer: all of it is zero when there was none.
type transportReply struct {
	status  int
	request *http.Request
	body    io.ReadCloser
}

// transportSend sends a request, and closes the answer's body.
func transportSend(t *testing.T, transport http.RoundTripper, r *http.Request) (transportReply, error) {
	t.Helper()
	response, err := transport.RoundTrip(r)
	if response == nil {
		return transportReply{}, err
	}
	if response.Body != nil {
		_ = response.Body.Close()
	}
	return transportReply{response.StatusCode, response.Request, response.Body}, err
}

// transportGet sends the simplest request that gets the token.
func transportGet(t *testing.T, transport http.RoundTripper) (transportReply, error) {
	t.Helper()
	return transportSend(t, transport, transportRequest(t, "GET", transportService, nil))
}

// transportServer is a server with sockets that refuses the first token, and counts its
// connections.
func transportServer(t *testing.T, refuse http.HandlerFunc) (server *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+transportSecret+"1" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		w.Header().Set("WWW-Authenticate", transportChallenge)
		refuse(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, connections
}

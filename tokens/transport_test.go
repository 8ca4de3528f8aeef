package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

const (
	transportService   = "https://billing.example"
	transportChallenge = `Bearer error="invalid_token"`
	transportHops      = 20       // that a token follows
	transportDrain     = 16 << 10 // bytes of a body that are read to use its connection again
	transportDrainTime = 100 * time.Millisecond
	transportSecret    = "secret-token-" // and a number
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

func transportOrigins(urls ...string) []tokens.TransportOption {
	return []tokens.TransportOption{tokens.Origins(urls...)}
}

func transportMesh(urls ...string) []tokens.TransportOption {
	return append(transportOrigins(urls...), tokens.InsecurePlainHTTP())
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

// What is sent is the request with the token, and the request stays what it was.
func TestTransportSendsACopyWithTheToken(t *testing.T) {
	var sink transportSink
	transport, _ := transportOver(t, &sink)
	request := transportRequest(t, "PUT", transportService+"/orders/1?a=b", io.NopCloser(strings.NewReader("payload")))
	request.ContentLength = 7
	request.Trailer = http.Header{"X-Checksum": nil}
	request.TransferEncoding = []string{"identity"}
	request.Close = true
	request.Header.Set("Expect", "100-continue")
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	header, before := request.Header.Clone(), *request

	reply, err := transportSend(t, transport, request)
	if err != nil {
		t.Fatal(err)
	}
	sent := sink.requests[0]
	if got := sent.Header["Authorization"]; !slices.Equal(got, []string{"Bearer " + transportSecret + "1"}) {
		t.Errorf("Authorization %q", got)
	}
	if sent == request || sent.Method != "PUT" || sent.URL != request.URL || sent.Body != before.Body || sent.ContentLength != 7 ||
		!sent.Close || sent.Host != request.Host || sent.Context() != request.Context() ||
		!slices.Equal(sent.TransferEncoding, before.TransferEncoding) {
		t.Errorf("sent %+v, want %+v", sent, request)
	}
	if sent.Trailer.Set("X-Checksum", "1"); request.Trailer.Get("X-Checksum") != "1" {
		t.Error("the trailer is not the one that the caller sets")
	}
	if sent.Header.Del("Authorization"); !maps.EqualFunc(sent.Header, header, slices.Equal) {
		t.Errorf("sent with the header %v, want %v", sent.Header, header)
	}
	if !maps.EqualFunc(request.Header, header, slices.Equal) || request.Body != before.Body || request.URL != before.URL {
		t.Errorf("the request was changed: %+v", request)
	}
	if reply.request != request {
		t.Error("the answer does not name the caller's request")
	}

	request = transportRequest(t, "GET", transportService, nil)
	request.Header = nil
	if _, err := transportSend(t, transport, request); err != nil || request.Header != nil {
		t.Errorf("without a header: %v, header %v", err, request.Header)
	}
	if got := sink.requests[1].Header.Get("Authorization"); got != "Bearer "+transportSecret+"1" {
		t.Errorf("without a header: Authorization %q", got)
	}
}

// The token goes where it is meant for. Everything else goes through untouched.
func TestTransportOrigins(t *testing.T) {
	two := transportOrigins("https://BILLING.example/", "https://eu.billing.example:8443", "http://127.0.0.1:8080", "http://[::1]",
		"http://localhost")
	tests := []struct {
		name, url, host string
		opts            []tokens.TransportOption
		attached        bool
	}{
		{"the origin of the resource", "https://billing.example/", "", nil, true},
		{"another path", "https://billing.example/v2/x?y", "", nil, true},
		{"the default port", "https://billing.example:443/", "", nil, true},
		{"an empty port", "https://billing.example:/", "", nil, true},
		{"another case", "HTTPS://Billing.EXAMPLE/", "", nil, true},
		{"another port", "https://billing.example:8443/", "", nil, false},
		{"a subdomain", "https://eu.billing.example/", "", nil, false},
		{"the parent domain", "https://example/", "", nil, false},
		{"a longer name", "https://billing.example.evil.example/", "", nil, false},
		{"a name that ends alike", "https://notbilling.example/", "", nil, false},
		{"the name with a dot at its end", "https://billing.example./", "", nil, false},
		{"a name that maps to it", "https://billing.\uff45xample/", "", nil, false},
		{"the name as a user", "https://billing.example@evil.example/", "", nil, false},
		{"another scheme", "wss://billing.example/", "", nil, false},
		{"no scheme", "//billing.example/", "", nil, false},
		{"Host names the same", "https://billing.example/", "billing.example", nil, true},
		{"Host names the same with its port", "https://billing.example/", "Billing.example:443", nil, true},
		{"Host names another", "https://billing.example/", "evil.example", nil, false},
		{"Host names another port", "https://billing.example/", "billing.example:8443", nil, false},
		{"Host is the listed one, the URL is not", "https://evil.example/", "billing.example", nil, false},

		{"listed", "https://billing.example/", "", two, true},
		{"listed with a port", "https://eu.billing.example:8443/", "", two, true},
		{"listed with another port", "https://eu.billing.example/", "", two, false},
		{"loopback", "http://127.0.0.1:8080/", "", two, true},
		{"loopback with another port", "http://127.0.0.1:8081/", "", two, false},
		{"loopback, IPv6", "http://[::1]:80/", "", two, true},
		{"localhost", "http://LOCALHOST/", "", two, true},
		{"localhost by TLS", "https://localhost/", "", two, false},
		{"a letter that folds", "https://KIOSK.example/", "", transportOrigins("https://kiosk.example"), true},
		{"a letter of another script that folds", "https://\u212aiosk.example/", "", transportOrigins("https://kiosk.example"), false},
		{"URL and Host are listed", "https://billing.example/", "eu.billing.example:8443", two, true},
		{"the list takes the place of the resource", "https://billing.example/", "", transportOrigins("https://eu.billing.example"), false},
		{"plain http in a mesh", "http://billing/", "", transportMesh("http://billing"), true},
		{"plain http in a mesh, listed with https", "http://billing.example/", "", transportMesh("https://billing.example"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sink transportSink
			transport, issuer := transportOver(t, &sink, tt.opts...)
			request := transportRequest(t, "GET", tt.url, nil)
			if tt.host != "" {
				request.Host = tt.host
			}
			if _, err := transportSend(t, transport, request); err != nil {
				t.Fatal(err)
			}
			transportCheck(t, sink.requests[0], request, tt.attached)
			if fetched := issuer.calls.Load() > 0; fetched != tt.attached {
				t.Errorf("a token was fetched: %t, want %t", fetched, tt.attached)
			}
		})
	}

	// URLs that are put together by hand: what is sent names a host beside the one of the URL.
	for _, u := range []*url.URL{
		{Scheme: "https", Host: "billing.example", Opaque: "//evil.example/x"},
		{Scheme: "https", Host: "billing.example", Opaque: "https://evil.example/x"},
		{Scheme: "https", Host: "billing.example:443@evil.example"},
		{Scheme: "https", Host: "billing.example "},
		{Scheme: "https", Host: ""},
		nil,
	} {
		var sink transportSink
		transport, _ := transportOver(t, &sink)
		request := transportRequest(t, "GET", transportService, nil)
		request.URL = u
		if _, err := transportSend(t, transport, request); err != nil {
			t.Fatal(err)
		}
		transportCheck(t, sink.requests[0], request, false)
	}
	// A name that package net/http would send as a second Host line; it leaves out "Host" itself.
	for name, attached := range map[string]bool{"host": false, "HOST": false, "hOst": false, "Host": true, "Hosts": true} {
		var sink transportSink
		transport, _ := transportOver(t, &sink)
		request := transportRequest(t, "GET", transportService, nil)
		request.Header[name] = []string{"evil.example"}
		if _, err := transportSend(t, transport, request); err != nil {
			t.Fatal(err)
		}
		transportCheck(t, sink.requests[0], request, attached)
	}
	var sink transportSink
	transport, _ := transportOver(t, &sink)
	request := transportRequest(t, "GET", transportService, nil)
	request.URL.Opaque = "/a%2fb"
	if _, err := transportSend(t, transport, request); err != nil {
		t.Fatal(err)
	}
	transportCheck(t, sink.requests[0], request, true)
}

func transportCheck(t *testing.T, sent, request *http.Request, attached bool) {
	t.Helper()
	if got := sent.Header.Get("Authorization") != ""; got != attached {
		t.Errorf("the token was sent: %t, want %t", got, attached)
	}
	if !attached && sent != request {
		t.Error("the request was not sent as it is")
	}
}

// A configuration that leaves it open where the token may go is none, and all that is wrong with it is said at once.
func TestTransportConfiguration(t *testing.T) {
	tests := []struct {
		name     string
		resource string
		opts     []tokens.TransportOption
		wants    []string // nil: it is good
	}{
		{"no resource", "", nil, []string{"no origin is known"}},
		{"a resource that is no URL of the web", "urn:example:billing", nil, []string{"no origin is known"}},
		{"a resource that is no URL at all", "https://bad host", nil, []string{"no origin is known"}},
		{"a resource without a host", "https:///v1", nil, []string{"Key.Resource", "is not an absolute https URL"}},
		{"a resource by plain http", "http://billing.example", nil, []string{"Key.Resource", "is not https", "InsecurePlainHTTP"}},
		{"the same in a mesh", "http://billing.example", []tokens.TransportOption{tokens.InsecurePlainHTTP()}, nil},
		{"a resource on loopback", "http://127.0.0.1:8080/x", nil, nil},
		{"a resource with a password", "https://u:hunter2@a.example/v1", nil, []string{"Key.Resource", "has a user name"}},
		{"no resource, but origins", "", transportOrigins("https://a.example"), nil},
		{"the order does not matter", "", []tokens.TransportOption{tokens.Origins("http://a.example"), tokens.InsecurePlainHTTP()}, nil},
		{"an empty list", transportService, transportOrigins(), []string{"the list is empty"}},
		{"an empty origin", transportService, transportOrigins(""), []string{"is not an absolute https URL"}},
		{"twice", "", append(transportOrigins("https://a.example"), tokens.Origins("https://b.example")), []string{"given twice"}},
		{"nil", transportService, []tokens.TransportOption{nil}, []string{"an option is nil"}},
		{"a path", "", transportOrigins("https://a.example/v1"), []string{"has a path or a query"}},
		{"a query", "", transportOrigins("https://a.example?x"), []string{"has a path or a query"}},
		{"an empty query", "", transportOrigins("https://a.example?"), []string{"has a path or a query"}},
		{"a fragment", "", transportOrigins("https://a.example#"), []string{"has a fragment"}},
		{"a pattern", "", transportOrigins("https://*.example"), []string{"is a pattern"}},
		{"not ASCII", "", transportOrigins("https://b\u00fccher.example"), []string{"Punycode"}},
		{"a port that is too large", "", transportOrigins("https://a.example:65536"), []string{"port"}},
		{"the largest port", "", transportOrigins("https://a.example:65535"), nil},
		{"port zero", "", transportOrigins("https://a.example:0"), []string{"port"}},
		{"a port with a zero before it", "", transportOrigins("https://a.example:0443"), []string{"port"}},
		{"no scheme", "", transportOrigins("a.example"), []string{"is not an absolute https URL"}},
		{"a password", "", transportOrigins("https://u:hunter2@a.example"), []string{"has a user name"}},
		{"plain http", "", transportOrigins("http://a.example"), []string{"is not https"}},
		{
			"all at once", "",
			[]tokens.TransportOption{nil, tokens.Origins("http://a.example", "https://b.example/x", "ftp://c.example"), tokens.Origins("x")},
			[]string{
				"an option is nil", "given twice", `"http://a.example" is not https`, `"https://b.example/x" has a path`,
				`"ftp://c.example" is not an absolute https URL`, `"x" is not an absolute https URL`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			source, _ := transportSource(t, tokens.Key{Resource: tt.resource})
			transport, err := source.Transport(nil, tt.opts...)
			if (transport == nil) != (err != nil) || (err == nil) != (tt.wants == nil) {
				t.Fatalf("transport %v, error %v", transport, err)
			}
			for _, want := range tt.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the password in it: %v", err)
			}
		})
	}
}

// Whoever sets the header has the last word, however it is spelled.
func TestTransportLeavesTheCallersAuthorization(t *testing.T) {
	for _, header := range []http.Header{
		{"Authorization": {"Basic eDp5"}},
		{"authorization": {"Basic eDp5"}},
		{"Authorization": {""}},
		{"Authorization": nil},
	} {
		var sink transportSink
		transport, issuer := transportOver(t, &sink)
		request := transportRequest(t, "GET", transportService, nil)
		request.Header = header
		if _, err := transportSend(t, transport, request); err != nil {
			t.Fatal(err)
		}
		if sink.requests[0] != request || issuer.calls.Load() != 0 {
			t.Errorf("%v was not sent as it is", header)
		}
	}

	// A refusal of the caller's own credential says nothing about the token.
	refuse := transportFunc(func(r *http.Request) (*http.Response, error) {
		return transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge), nil
	})
	transport, issuer := transportOver(t, refuse)
	request := transportRequest(t, "GET", transportService, nil)
	request.Header.Set("Authorization", "Bearer other")
	if reply, err := transportSend(t, transport, request); err != nil || reply.status != 401 || issuer.calls.Load() != 0 {
		t.Errorf("answer %v, error %v, %d tokens fetched", reply, err, issuer.calls.Load())
	}
}

// By plain http nothing goes to a host that gets the token.
func TestTransportRefusesPlainHTTP(t *testing.T) {
	var sink transportSink
	transport, issuer := transportOver(t, &sink)
	body := newTransportBody("payload")
	for _, target := range []string{"http://billing.example/", "http://BILLING.example:8080/"} {
		_, err := transportSend(t, transport, transportRequest(t, "POST", target, body))
		if err == nil || !strings.Contains(err.Error(), "not https") {
			t.Errorf("%s: error %v", target, err)
		}
	}
	if len(sink.requests) != 0 || issuer.calls.Load() != 0 || body.closed.Load() != 2 {
		t.Errorf("%d requests sent, %d tokens fetched, body closed %d times", len(sink.requests), issuer.calls.Load(), body.closed.Load())
	}
	if _, err := transportSend(t, transport, transportRequest(t, "GET", "http://other.example/", nil)); err != nil {
		t.Errorf("a host that has nothing to do with it: %v", err)
	}
	request := transportRequest(t, "GET", "http://billing.example/", nil)
	request.Header.Set("Authorization", "Basic eDp5")
	if _, err := transportSend(t, transport, request); err != nil || sink.requests[1] != request {
		t.Errorf("with a header of the caller's: %v", err)
	}
}

// Without a token nothing is sent, and the caller hears why.
func TestTransportWithoutAToken(t *testing.T) {
	var sink transportSink
	transport, issuer := transportOver(t, &sink)
	issuer.fail(&tokens.Error{Op: "token", Status: 400, Code: "invalid_client"})
	body := newTransportBody("payload")
	response, err := (&http.Client{Transport: transport}).Do(transportRequest(t, "POST", transportService, body))
	if err == nil {
		_ = response.Body.Close()
		t.Fatal("no error")
	}
	var unavailable *tokens.UnavailableError
	var refusal *tokens.Error
	if !errors.As(err, &unavailable) || !errors.As(err, &refusal) || refusal.Code != "invalid_client" {
		t.Errorf("error %v", err)
	}
	if len(sink.requests) != 0 || body.closed.Load() == 0 {
		t.Errorf("%d requests sent, body closed %d times", len(sink.requests), body.closed.Load())
	}
}

// A transport's own errors and answers come back as they are.
func TestTransportHandsOnWhatComes(t *testing.T) {
	broken := errors.New("broken")
	transport, _ := transportOver(t, transportFunc(func(*http.Request) (*http.Response, error) { return nil, broken }))
	if reply, err := transportGet(t, transport); reply.status != 0 || err != broken {
		t.Errorf("answer %v, error %v", reply, err)
	}
	transport, _ = transportOver(t, transportFunc(func(*http.Request) (*http.Response, error) { return nil, nil })) // a bad one
	if reply, err := transportGet(t, transport); reply.status != 0 || err != nil {
		t.Errorf("answer %v, error %v", reply, err)
	}
	body := newTransportBody("")
	transport, _ = transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
		answer := transportAnswer(r, http.StatusSwitchingProtocols)
		answer.Body = body // which is a connection, when it is a real one
		return answer, nil
	}))
	reply, err := transportGet(t, transport)
	if err != nil || reply.body != body {
		t.Errorf("answer %v, error %v", reply, err)
	}
}

type transportIdler struct {
	transportSink
	closed int
}

func (i *transportIdler) CloseIdleConnections() { i.closed++ }

func TestTransportClosesIdleConnections(t *testing.T) {
	var idler transportIdler
	transport, _ := transportOver(t, &idler)
	(&http.Client{Transport: transport}).CloseIdleConnections()
	if idler.closed != 1 {
		t.Errorf("called %d times", idler.closed)
	}
	transport, _ = transportOver(t, &transportSink{})
	transport.CloseIdleConnections() // which it does not have
}

// What a redirect leads to gets the token only if the request never left the origin.
func TestTransportRedirects(t *testing.T) {
	const a, b, evil = transportService, "https://b.example", "https://evil.example"
	const token, none, own, basic = "Bearer " + transportSecret + "1", "", "Basic b3duOm93bg==", "Basic dTpw"
	type hop struct{ url, authorization string }
	tests := []struct {
		name   string
		header string
		hops   []hop // the last is where the answer comes from
		err    string
	}{
		{"within the origin", "", []hop{{a + "/1", token}, {a + "/2", token}, {a + "/3", token}}, ""},
		{"to another spelling of the origin", "", []hop{{a + "/1", token}, {"https://BILLING.example:443/2", token}}, ""},
		{"to another origin", "", []hop{{a + "/1", token}, {evil + "/", none}}, ""},
		{"to another listed origin", "", []hop{{a + "/1", token}, {b + "/", none}}, ""},
		{"to another and back", "", []hop{{a + "/1", token}, {evil + "/", none}, {a + "/2", none}, {a + "/3", none}}, ""},
		{"to another listed one and back", "", []hop{{a + "/1", token}, {b + "/", none}, {a + "/2", none}}, ""},
		{"from another origin", "", []hop{{evil + "/", none}, {a + "/", none}, {a + "/2", none}}, ""},
		{"to a subdomain", "", []hop{{a + "/1", token}, {"https://eu.billing.example/", none}}, ""},
		{"to another port", "", []hop{{a + "/1", token}, {a + ":8443/", none}}, ""},
		{"to plain http", "", []hop{{a + "/1", token}, {"http://billing.example/", none}}, "not https"},
		{"to plain http elsewhere", "", []hop{{a + "/1", token}, {"http://evil.example/", none}}, ""},
		{"to a user name of the server's", "", []hop{{a + "/1", token}, {"https://u:p@billing.example/2", none}, {a + "/3", none}}, ""},

		{"own, within the origin", own, []hop{{a + "/1", own}, {a + "/2", own}}, ""},
		{"own, to a subdomain", own, []hop{{a + "/1", own}, {"https://eu.billing.example/", none}}, ""},
		{"own, to another port", own, []hop{{a + "/1", own}, {a + ":8443/", none}}, ""},
		{"own, to plain http", own, []hop{{a + "/1", own}, {"http://billing.example/", none}}, "not https"},
		{"own, to a listed subdomain", own, []hop{{"https://example/", own}, {b + "/", none}}, ""},
		{"own, elsewhere", own, []hop{{"https://c.example/", own}, {"https://eu.c.example/", own}}, ""},
		{"user name, within the origin", "", []hop{{"https://u:p@billing.example/1", basic}, {"/2", basic}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []hop
			base := transportFunc(func(r *http.Request) (*http.Response, error) {
				at := len(got)
				got = append(got, hop{tt.hops[at].url, r.Header.Get("Authorization")})
				if at+1 < len(tt.hops) {
					return transportAnswer(r, http.StatusTemporaryRedirect, "Location", tt.hops[at+1].url), nil
				}
				return transportAnswer(r, http.StatusOK), nil
			})
			transport, _ := transportOver(t, base, tokens.Origins(a, b))
			client := &http.Client{Transport: transport}
			request := transportRequest(t, "POST", tt.hops[0].url, strings.NewReader("payload"))
			if tt.header != "" {
				request.Header.Set("Authorization", tt.header)
			}
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			wants := tt.hops
			if tt.err != "" {
				wants = wants[:len(wants)-1]
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q in it", err, tt.err)
				}
			} else if err != nil {
				t.Error(err)
			}
			if !slices.Equal(got, wants) {
				t.Errorf("sent\n%q, want\n%q", got, wants)
			}
		})
	}
}

// A credential that CheckRedirect takes away does not come back as another.
func TestTransportDoesNotReplaceARemovedAuthorization(t *testing.T) {
	var got []string
	base := transportFunc(func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Header.Get("Authorization"))
		if len(got) == 1 {
			return transportAnswer(r, http.StatusFound, "Location", "/2"), nil
		}
		return transportAnswer(r, http.StatusOK), nil
	})
	transport, _ := transportOver(t, base)
	client := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		r.Header.Del("Authorization")
		return nil
	}}
	request := transportRequest(t, "GET", transportService, nil)
	request.Header.Set("Authorization", "Bearer of-a-person")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if !slices.Equal(got, []string{"Bearer of-a-person", ""}) {
		t.Errorf("sent %q", got)
	}
}

// A way that is too long, or that cannot be followed back, is one that led elsewhere.
func TestTransportFollowsRedirectsBackToTheFirst(t *testing.T) {
	chain := func(hops int) *http.Request {
		request := transportRequest(t, "GET", transportService, nil)
		for range hops {
			next := transportRequest(t, "GET", transportService, nil)
			next.Response = &http.Response{Request: request}
			request = next
		}
		return request
	}
	lost := chain(2)
	lost.Response.Request.Response.Request = nil
	lostOwn := chain(1)
	lostOwn.Response.Request = nil
	lower := strings.ToLower("Authorization") // as of a caller who puts it into the map
	lostOwn.Header[lower] = []string{"Basic eDp5"}
	elsewhere := transportRequest(t, "GET", "https://other.example", nil)
	elsewhere.Response, elsewhere.Header = lostOwn.Response, lostOwn.Header.Clone()
	for _, tt := range []struct {
		name    string
		request *http.Request
		want    string
	}{
		{"the longest way", chain(transportHops), "Bearer " + transportSecret + "1"},
		{"one more", chain(transportHops + 1), ""},
		{"lost", lost, ""},
		{"lost, with a header", lostOwn, ""},
		{"lost, with a header, to another origin", elsewhere, ""},
	} {
		var sink transportSink
		transport, _ := transportOver(t, &sink)
		if _, err := transportSend(t, transport, tt.request); err != nil {
			t.Fatal(err)
		}
		sent := sink.requests[0].Header
		if got := sent.Get("Authorization"); got != tt.want || sent[lower] != nil {
			t.Errorf("%s: sent %q, want %q", tt.name, sent, tt.want)
		}
	}
	if lostOwn.Header[lower] == nil {
		t.Error("the request was changed")
	}
}

// The same with sockets: servers on several ports are several origins.
func TestTransportRedirectsBetweenServers(t *testing.T) {
	var evilURL string
	heard := make(map[string]string)
	mux := http.NewServeMux()
	mux.HandleFunc("/start", func(w http.ResponseWriter, r *http.Request) {
		heard["start"] = r.Header.Get("Authorization")
		http.Redirect(w, r, "/same", http.StatusFound)
	})
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) {
		heard["same"] = r.Header.Get("Authorization")
		http.Redirect(w, r, evilURL, http.StatusFound)
	})
	mux.HandleFunc("/back", func(_ http.ResponseWriter, r *http.Request) { heard["back"] = r.Header.Get("Authorization") })
	service := httptest.NewServer(mux)
	defer service.Close()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard["evil"] = r.Header.Get("Authorization")
		http.Redirect(w, r, service.URL+"/back", http.StatusFound)
	}))
	defer evil.Close()
	evilURL = evil.URL

	transport, _ := transportOver(t, service.Client().Transport, tokens.Origins(service.URL, evil.URL))
	response, err := (&http.Client{Transport: transport}).Do(transportRequest(t, "GET", service.URL+"/start", nil))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	const token = "Bearer " + transportSecret + "1"
	if want := map[string]string{"start": token, "same": token, "evil": "", "back": ""}; !maps.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

// transportService401 answers with 401 until it sees another token than the first.
type transportService401 struct {
	status    int
	challenge []string
	always    bool

	mu     sync.Mutex
	tokens []string
	bodies []string
	first  *transportBody // of the first answer
}

func (s *transportService401) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		body = string(text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.tokens, s.bodies = append(s.tokens, token), append(s.bodies, body)
	if token != transportSecret+"1" && !s.always {
		return transportAnswer(r, http.StatusOK), nil
	}
	answer := transportAnswer(r, s.status)
	answer.Header["Www-Authenticate"] = s.challenge
	refusal := newTransportBody("refused")
	if s.first == nil {
		s.first = refusal
	}
	answer.Body = refusal
	return answer, nil
}

// A request is sent once more for one reason alone.
func TestTransportRetriesAfterInvalidToken(t *testing.T) {
	tests := []struct {
		name      string
		status    int
		challenge []string
		again     bool
	}{
		{"invalid_token", 401, []string{transportChallenge}, true},
		{"among others", 401, []string{`Basic realm="x"`, `Negotiate, Bearer realm="a", error=invalid_token`}, true},
		{"no challenge", 401, nil, false},
		{"a bare challenge", 401, []string{"Bearer"}, false},
		{"another error", 401, []string{`Bearer error="insufficient_user_authentication"`}, false},
		{"another scheme", 401, []string{`DPoP error="invalid_token"`}, false},
		{"insufficient_scope", 403, []string{`Bearer error="insufficient_scope"`}, false},
		{"invalid_token with another status", 403, []string{transportChallenge}, false},
		{"invalid_request", 400, []string{`Bearer error="invalid_request"`}, false},
		{"of a proxy", 407, []string{transportChallenge}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := &transportService401{status: tt.status, challenge: tt.challenge}
			source, issuer := transportSource(t, transportKey)
			transport, err := source.Transport(service)
			if err != nil {
				t.Fatal(err)
			}
			request := transportRequest(t, "POST", transportService, strings.NewReader("payload"))
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			sent, bodies, retries := []string{transportSecret + "1"}, []string{"payload"}, 0
			status := tt.status
			if tt.again {
				sent, bodies, retries = append(sent, transportSecret+"2"), append(bodies, "payload"), 1
				status = http.StatusOK
			}
			if response.StatusCode != status || response.Request != request {
				t.Errorf("status %d, want %d; request %v", response.StatusCode, status, response.Request)
			}
			if !slices.Equal(service.tokens, sent) || !slices.Equal(service.bodies, bodies) {
				t.Errorf("sent %q with %q, want %q with %q", service.tokens, service.bodies, sent, bodies)
			}
			if got := source.Stats().Retries; got != retries || int(issuer.calls.Load()) != len(sent) {
				t.Errorf("%d retries, want %d; %d tokens fetched", got, retries, issuer.calls.Load())
			}
			if tt.again && (service.first.closed.Load() != 1 || service.first.read != len("refused")) {
				t.Errorf("the first answer's body: %d bytes read, closed %d times", service.first.read, service.first.closed.Load())
			}
			transportIntact(t, response, !tt.again)
		})
	}
}

// transportIntact looks at whether an answer is the first refusal, with its body unread.
func transportIntact(t *testing.T, response *http.Response, want bool) {
	t.Helper()
	if !want {
		return
	}
	body, ok := response.Body.(*transportBody)
	if !ok || body.read != 0 || body.closed.Load() != 0 {
		t.Errorf("the answer's body was touched: %+v", response.Body)
		return
	}
	if text, err := io.ReadAll(body); err != nil || string(text) != "refused" {
		t.Errorf("the answer's body is %q, %v", text, err)
	}
}

// When the request cannot be sent again, the caller gets what the server said; the token is given up nevertheless.
func TestTransportHandsOnARefusalThatItCannotMend(t *testing.T) {
	failed := errors.New("failed")
	tests := []struct {
		name    string
		request func(*http.Request, *transportIssuer) *http.Request
		fetches int // by the end of the next request
	}{
		{"a body that cannot be had again", func(r *http.Request, _ *transportIssuer) *http.Request {
			r.GetBody = nil
			return r
		}, 2},
		{"a body that fails", func(r *http.Request, _ *transportIssuer) *http.Request {
			r.GetBody = func() (io.ReadCloser, error) { return nil, failed }
			return r
		}, 2},
		{"no other token", func(r *http.Request, i *transportIssuer) *http.Request {
			i.fail(failed)
			return r
		}, 2},
		{"no other token, for good", func(r *http.Request, i *transportIssuer) *http.Request {
			i.fail(tokens.ErrLoginRequired)
			return r
		}, 2},
		{"the same token", func(r *http.Request, i *transportIssuer) *http.Request {
			i.same.Store(true)
			return r
		}, 2},
		{"the context has ended", func(r *http.Request, _ *transportIssuer) *http.Request {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			return r.WithContext(ctx)
		}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := &transportService401{status: 401, challenge: []string{transportChallenge}}
			source, issuer := transportSource(t, transportKey)
			transport, err := source.Transport(service)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			request := tt.request(transportRequest(t, "POST", transportService, strings.NewReader("payload")), issuer)
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != 401 || len(service.tokens) != 1 || source.Stats().Retries != 0 || response.Request != request {
				t.Errorf("status %d, sent %q, %d retries", response.StatusCode, service.tokens, source.Stats().Retries)
			}
			transportIntact(t, response, true)
			_, _ = source.Token(t.Context())
			if got := int(issuer.calls.Load()); got != tt.fetches {
				t.Errorf("%d tokens fetched, want %d", got, tt.fetches)
			}
		})
	}
}

// A context that ends while the first attempt is under way ends it all, even if there is another token already.
func TestTransportDoesNotRetryWhenTheContextHasEnded(t *testing.T) {
	source, issuer := transportSource(t, transportKey)
	service := &transportService401{status: 401, challenge: []string{transportChallenge}}
	ctx, cancel := context.WithCancel(t.Context())
	transport, err := source.Transport(transportFunc(func(r *http.Request) (*http.Response, error) {
		used, err := source.Token(t.Context())
		if err != nil || !source.Invalidate(used) {
			t.Errorf("token %v, error %v", used, err)
		}
		if another, err := source.Token(t.Context()); err != nil || another == used {
			t.Errorf("token %v, error %v", another, err)
		}
		cancel()
		return service.RoundTrip(r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	request := transportRequest(t, "GET", transportService, nil).WithContext(ctx)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 401 || len(service.tokens) != 1 || issuer.calls.Load() != 2 {
		t.Errorf("status %d, sent %q, %d tokens fetched", response.StatusCode, service.tokens, issuer.calls.Load())
	}
	transportIntact(t, response, true)
}

// A request without a body can be sent again as it is, however it says that there is none.
func TestTransportRetriesWithoutABody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		service := &transportService401{status: 401, challenge: []string{transportChallenge}}
		transport, _ := transportOver(t, service)
		request := transportRequest(t, "GET", transportService, nil)
		request.Body, request.GetBody = body, nil
		if reply, err := transportSend(t, transport, request); err != nil || reply.status != 200 || len(service.tokens) != 2 {
			t.Errorf("body %v: answer %v, error %v, sent %q", body, reply, err, service.tokens)
		}
	}
}

// The second answer is the answer, whatever it is.
func TestTransportRetriesOnce(t *testing.T) {
	service := &transportService401{status: 401, challenge: []string{transportChallenge}, always: true}
	transport, _ := transportOver(t, service)
	reply, err := transportGet(t, transport)
	if err != nil || reply.status != 401 || len(service.tokens) != 2 {
		t.Errorf("answer %v, error %v, sent %q", reply, err, service.tokens)
	}

	broken := errors.New("broken")
	sent := 0
	transport, _ = transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
		if sent++; sent == 1 {
			return service.RoundTrip(r)
		}
		return nil, broken
	}))
	if reply, err := transportGet(t, transport); reply.status != 0 || err != broken || sent != 2 {
		t.Errorf("answer %v, error %v, sent %d times", reply, err, sent)
	}
}

// A server that refuses whatever it gets costs one renewal in 30 seconds, and no request is sent more than twice.
func TestTransportWithAServerThatRefusesAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &transportService401{status: 401, challenge: []string{transportChallenge}, always: true}
		transport, issuer := transportOver(t, service)
		const requests, apart = 100, time.Second
		for range requests {
			if reply, err := transportGet(t, transport); err != nil || reply.status != 401 {
				t.Fatalf("answer %v, error %v", reply, err)
			}
			<-time.After(max(1, apart))
		}
		const most = 1 + (requests+29)/30 // the first, and a renewal in each 30 s that have begun
		if got := issuer.calls.Load(); got < 2 || got > most {
			t.Errorf("%d tokens fetched, want at most %d", got, most)
		}
		if got := len(service.tokens); got > requests+most-1 {
			t.Errorf("%d requests were sent %d times", requests, got)
		}
	})
}

// When a token is withdrawn that many requests are under way with, all of them are mended, by one fetch.
func TestTransportRetriesAHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &transportService401{status: 401, challenge: []string{transportChallenge}}
		const requests = 50
		var arrived sync.WaitGroup
		arrived.Add(requests)
		transport, issuer := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.Header.Get("Authorization"), "-1") {
				arrived.Done()
				arrived.Wait()
			}
			return service.RoundTrip(r)
		}))
		var senders sync.WaitGroup
		for range requests {
			senders.Go(func() {
				if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
					t.Errorf("answer %v, error %v", reply, err)
				}
			})
		}
		senders.Wait()
		if got := issuer.calls.Load(); got != 2 {
			t.Errorf("%d tokens fetched, want 2", got)
		}
	})
}

// transportHangingBody gives what it has, and then nothing until it is closed.
type transportHangingBody struct {
	pause      time.Duration // 0: it gives nothing at all
	closed     chan struct{}
	left, done atomic.Bool // no read is under way; Close has returned
}

const transportCloses = time.Millisecond // how long that takes

func (b *transportHangingBody) Read(p []byte) (int, error) {
	b.left.Store(false)
	defer b.left.Store(true)
	var drip <-chan time.Time
	if b.pause > 0 {
		drip = time.After(max(1, b.pause))
	}
	select {
	case <-drip:
		p[0] = 'x'
		return 1, nil
	case <-b.closed:
		return 0, errors.New("closed")
	}
}

func (b *transportHangingBody) Close() error {
	close(b.closed)
	<-time.After(transportCloses)
	b.done.Store(true)
	return nil
}

// An answer whose body does not come, or drips, does not hold up the next attempt for long, and nothing goes on reading it.
func TestTransportDoesNotWaitForTheRefusalsBody(t *testing.T) {
	for _, pause := range []time.Duration{0, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			hanging := &transportHangingBody{pause: pause, closed: make(chan struct{})}
			sent := 0
			transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
				if sent++; sent > 1 {
					return transportAnswer(r, http.StatusOK), nil
				}
				answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
				answer.Body = hanging
				return answer, nil
			}))
			began := time.Now()
			reply, err := transportGet(t, transport)
			if err != nil || reply.status != 200 {
				t.Fatalf("answer %v, error %v", reply, err)
			}
			if took := time.Since(began); took != transportDrainTime {
				t.Errorf("it took %s", took)
			}
			<-time.After(2 * transportCloses)
			if !hanging.left.Load() || !hanging.done.Load() {
				t.Error("the body is still being read, or closed")
			}
		})
	}
}

// A body of another RoundTripper than net/http's may be stuck whatever is done to it. That is no reason to be stuck with it.
func TestTransportLeavesABodyThatIsStuck(t *testing.T) {
	for name, body := range map[string]func(stuck <-chan struct{}) io.ReadCloser{
		"Close does not end Read": func(stuck <-chan struct{}) io.ReadCloser { return io.NopCloser(transportStuck{stuck}) },
		"Close waits as well":     func(stuck <-chan struct{}) io.ReadCloser { return transportStuck{stuck} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck := make(chan struct{})
				defer close(stuck)
				sent := 0
				transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
					if sent++; sent > 1 {
						return transportAnswer(r, http.StatusOK), nil
					}
					answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
					answer.Body = body(stuck)
					return answer, nil
				}))
				done := make(chan transportReply, 1)
				began := time.Now()
				go func() {
					reply, _ := transportGet(t, transport)
					done <- reply
				}()
				select {
				case reply := <-done:
					if took := time.Since(began); reply.status != 200 || took != transportDrainTime {
						t.Errorf("status %d after %s", reply.status, took)
					}
				case <-time.After(time.Minute):
					t.Error("RoundTrip is stuck")
				}
			})
		})
	}
}

// transportStuck is a body that does nothing until it is let go.
type transportStuck struct{ stuck <-chan struct{} }

func (b transportStuck) Read([]byte) (int, error) {
	<-b.stuck
	return 0, io.EOF
}

func (b transportStuck) Close() error {
	<-b.stuck
	return nil
}

// Of a refusal's body so much is read that its connection can be used again, and no more.
func TestTransportReadsLittleOfTheRefusalsBody(t *testing.T) {
	for _, tt := range []struct{ size, read int }{
		{0, 0}, {transportDrain, transportDrain}, {transportDrain + 1, transportDrain + 1}, {1 << 20, transportDrain + 1},
	} {
		body := newTransportBody(strings.Repeat("x", tt.size))
		sent := 0
		transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
			if sent++; sent > 1 {
				return transportAnswer(r, http.StatusOK), nil
			}
			answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
			answer.Body = body
			return answer, nil
		}))
		if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
			t.Fatalf("answer %v, error %v", reply, err)
		}
		if body.read != tt.read || body.closed.Load() != 1 {
			t.Errorf("of %d bytes %d were read, want %d; closed %d times", tt.size, body.read, tt.read, body.closed.Load())
		}
	}
	sent := 0
	transport, _ := transportOver(t, transportFunc(func(r *http.Request) (*http.Response, error) {
		if sent++; sent > 1 {
			return transportAnswer(r, http.StatusOK), nil
		}
		answer := transportAnswer(r, http.StatusUnauthorized, "WWW-Authenticate", transportChallenge)
		answer.Body = nil
		return answer, nil
	}))
	if reply, err := transportGet(t, transport); err != nil || reply.status != 200 {
		t.Errorf("without a body: answer %v, error %v", reply, err)
	}
}

// transportServer is a server with sockets that refuses the first token, and counts its connections.
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

// Both attempts go over one connection when the refusal is short, as they are.
func TestTransportUsesTheConnectionAgain(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"a length": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "refused", http.StatusUnauthorized) },
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			for range 3 {
				_, _ = io.WriteString(w, "refused")
				w.(http.Flusher).Flush()
			}
		},
		"nothing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
	} {
		t.Run(name, func(t *testing.T) {
			server, connections := transportServer(t, refuse)
			transport, _ := transportOver(t, server.Client().Transport, tokens.Origins(server.URL))
			request := transportRequest(t, "POST", server.URL, strings.NewReader("payload"))
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "payload" {
				t.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
			}
			if got := connections.Load(); got != 1 {
				t.Errorf("%d connections", got)
			}
		})
	}
}

// A server that wants to see the header first refuses it without the body, which goes out with the second attempt alone.
func TestTransportRetriesAfterExpect(t *testing.T) {
	server, _ := transportServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	base, ok := server.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	base.ExpectContinueTimeout = time.Hour // the body waits for the server's word
	transport, _ := transportOver(t, base, tokens.Origins(server.URL))
	request := transportRequest(t, "POST", server.URL, strings.NewReader("payload"))
	request.Header.Set("Expect", "100-continue")
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || string(body) != "payload" {
		t.Errorf("status %d, body %q, %v", response.StatusCode, body, err)
	}
}

// A body that hangs with sockets ends with its connection; the second attempt has another.
func TestTransportLeavesAHangingServer(t *testing.T) {
	release := make(chan struct{})
	server, connections := transportServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(http.StatusUnauthorized)
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	transport, _ := transportOver(t, server.Client().Transport, tokens.Origins(server.URL))
	reply, err := transportSend(t, transport, transportRequest(t, "GET", server.URL, nil))
	if err != nil || reply.status != 200 || connections.Load() != 2 {
		t.Errorf("answer %v, error %v, %d connections", reply, err, connections.Load())
	}
}

// Nothing that the caller holds afterwards has the token in it.
func TestTransportShowsNoToken(t *testing.T) {
	service := &transportService401{status: 401, challenge: []string{transportChallenge}, always: true}
	broken := transportFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken") })
	for name, base := range map[string]http.RoundTripper{"refused": service, "broken": broken, "accepted": new(transportSink)} {
		transport, _ := transportOver(t, base)
		request := transportRequest(t, "POST", transportService, strings.NewReader("payload"))
		response, err := (&http.Client{Transport: transport}).Do(request)
		var out bytes.Buffer
		fmt.Fprintf(&out, "%v %+v %#v %v", transport, transport, transport, err)
		requests := []*http.Request{request}
		if err == nil {
			_ = response.Body.Close()
			requests = append(requests, response.Request)
			fmt.Fprintf(&out, "%+v", response)
		}
		for _, r := range requests {
			r.Body = io.NopCloser(strings.NewReader("payload"))
			dump, err := httputil.DumpRequestOut(r, true)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(dump)
			fmt.Fprintf(&out, "%+v", r.Header)
		}
		if strings.Contains(out.String(), transportSecret) {
			t.Errorf("%s: the token is in\n%s", name, out.String())
		}
	}
}

// One Transport serves many at once.
func TestTransportConcurrently(t *testing.T) {
	service := &transportService401{status: 401, challenge: []string{transportChallenge}}
	transport, _ := transportOver(t, service)
	shared := transportRequest(t, "GET", transportService, nil) // its header is read by all of them
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for range 50 {
				if _, err := transportSend(t, transport, shared.Clone(t.Context())); err != nil {
					t.Error(err)
				}
				_, _ = transportSend(t, transport, transportRequest(t, "GET", "https://other.example", nil))
			}
		})
	}
	senders.Wait()
}

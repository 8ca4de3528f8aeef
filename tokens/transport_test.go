package tokens_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
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

// A configuration that leaves it open where the token may go is none, and all that is wrong with it
// is said at once.
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
		{"a resource by plain http", "http://billing.example", nil, []string{"Key.Resource", "is not https", "InsecureHTTP"}},
		{"the same in a mesh", "http://billing.example", []tokens.TransportOption{tokens.InsecureHTTP()}, nil},
		{"a resource on loopback", "http://127.0.0.1:8080/x", nil, nil},
		{"a resource with a password", "https://u:hunter2@a.example/v1", nil, []string{"Key.Resource", "has a user name"}},
		{"no resource, but origins", "", transportOrigins("https://a.example"), nil},
		{"the order does not matter", "", []tokens.TransportOption{tokens.WithOrigins("http://a.example"), tokens.InsecureHTTP()}, nil},
		{"an empty list", transportService, transportOrigins(), []string{"the list is empty"}},
		{"an empty origin", transportService, transportOrigins(""), []string{"is not an absolute https URL"}},
		{"twice", "", append(transportOrigins("https://a.example"), tokens.WithOrigins("https://b.example")), []string{"WithOrigins: set more than once"}},
		{"nil", transportService, []tokens.TransportOption{nil}, []string{"option 1 is nil"}},
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
			[]tokens.TransportOption{nil, tokens.WithOrigins("http://a.example", "https://b.example/x", "ftp://c.example"), tokens.WithOrigins("x")},
			[]string{
				"option 1 is nil", "set more than once",
				`WithOrigins("http://a.example"): is not https`, `WithOrigins("https://b.example/x"): has a path`,
				`WithOrigins("ftp://c.example"): is not an absolute https URL`, `WithOrigins("x"): is not an absolute https URL`,
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

// A header that the caller sets is kept, however it is spelled.
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

// Without a token nothing is sent, and the caller learns why.
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

package jwks_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bearer-go/bearer/jwks"
)

// checkPublic looks at an address, and if it is an IPv4 address also at the IPv6 addresses that
// lead there.
func checkPublic(t *testing.T, a netip.Addr, public bool) {
	t.Helper()
	all := []netip.Addr{a}
	if a.Is4() {
		all = append(all, netip.MustParseAddr("::ffff:"+a.String()), netip.MustParseAddr("64:ff9b::"+a.String()))
	}
	for _, a := range all {
		if jwks.IsPublic(a) != public {
			t.Errorf("IsPublic(%s) = %v", a, !public)
		}
	}
}

// countingServer is an https server on 127.0.0.1 that counts its connections.
func countingServer(t *testing.T) (url.URL, *atomic.Int32) {
	t.Helper()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return *u, &connections
}

func insecureTransport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
}

func fetch(t *testing.T, transport *http.Transport, target string) error {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// resolve makes the DNS answer every question with these addresses during the test, and counts the
// questions.
func resolve(t *testing.T, addresses ...string) *atomic.Int32 {
	t.Helper()
	var asked atomic.Int32
	var serving sync.WaitGroup
	before := net.DefaultResolver
	t.Cleanup(func() {
		net.DefaultResolver = before
		serving.Wait()
	})
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		serving.Go(func() {
			defer server.Close()
			for {
				var size [2]byte // RFC 1035 section 4.2.2
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				asked.Add(1)
				answer := dnsAnswer(query, addresses)
				answer = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
				if _, err := server.Write(answer); err != nil {
					return
				}
			}
		})
		return client, nil
	}}
	return &asked
}

// dnsAnswer answers a query with the addresses that are of its type (RFC 1035 section 4.1, RFC
// 3596).
func dnsAnswer(query []byte, addresses []string) []byte {
	end := 12 // of the one question, after the header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5
	qtype := binary.BigEndian.Uint16(query[end-4:])
	var records []byte
	count := uint16(0)
	for _, text := range addresses {
		address := netip.MustParseAddr(text)
		if wanted := map[bool]uint16{true: 1, false: 28}[address.Is4()]; wanted != qtype {
			continue
		}
		count++
		records = append(records, 0xc0, 12) // the name of the question
		records = binary.BigEndian.AppendUint16(records, qtype)
		records = append(records, 0, 1, 0, 0, 0, 60) // the Internet, for a minute
		records = binary.BigEndian.AppendUint16(records, uint16(len(address.AsSlice())))
		records = append(records, address.AsSlice()...)
	}
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1}, byte(count>>8), byte(count), 0, 0, 0, 0)
	answer = append(answer, query[12:end]...)
	return append(answer, records...)
}

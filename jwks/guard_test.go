package jwks_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/jwks"
)

const (
	notPublic = "not a public address"
	proxied   = "the guard cannot see where a proxy connects to"
)

// Each range is refused from its first address to its last, and what is beside it is public.
func TestRangesThatAreNotPublicAreRefused(t *testing.T) {
	for first, last := range map[string]string{
		"0.0.0.0":        "0.255.255.255",
		"10.0.0.0":       "10.255.255.255",
		"100.64.0.0":     "100.127.255.255",
		"127.0.0.0":      "127.255.255.255",
		"168.63.129.16":  "168.63.129.16",
		"169.254.0.0":    "169.254.255.255",
		"172.16.0.0":     "172.31.255.255",
		"192.0.0.0":      "192.0.0.255",
		"192.0.2.0":      "192.0.2.255",
		"192.31.196.0":   "192.31.196.255",
		"192.52.193.0":   "192.52.193.255",
		"192.88.99.0":    "192.88.99.255",
		"192.168.0.0":    "192.168.255.255",
		"192.175.48.0":   "192.175.48.255",
		"198.18.0.0":     "198.19.255.255",
		"198.51.100.0":   "198.51.100.255",
		"203.0.113.0":    "203.0.113.255",
		"224.0.0.0":      "255.255.255.255",
		"2001::":         "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2001:db8::":     "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
		"2002::":         "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"2620:4f:8000::": "2620:4f:8000:ffff:ffff:ffff:ffff:ffff",
		"3fff::":         "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
		"4000::":         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		first, last := netip.MustParseAddr(first), netip.MustParseAddr(last)
		refused := []netip.Addr{first, last}
		if first != last {
			refused = append(refused, first.Next(), last.Prev())
		}
		for _, a := range refused {
			checkPublic(t, a, false)
		}
		for _, a := range []netip.Addr{first.Prev(), last.Next()} {
			if a.IsValid() {
				checkPublic(t, a, true)
			}
		}
	}
}

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	for name, addresses := range map[string]string{
		"metadata of clouds":   "169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 fd00:ec2::254 fd20:ce::254",
		"inside a range":       "10.1.2.3 127.0.0.53 172.20.1.1 192.168.1.1 239.1.2.3 240.0.0.0 2001:20::1 3fff:800::1",
		"below global unicast": "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff :: ::1 ::2 100::1 100:0:0:1::1",
		"above it":             "5f00::1 fc00::1 fd12:3456::1 fe00::1 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1",
		"IPv4-compatible":      "::8.8.8.8 ::127.0.0.1",
		"IPv4-translated":      "::ffff:0:8.8.8.8 ::ffff:0:127.0.0.1",
		"beside IPv4-mapped":   "::fffe:808:808 ::1:ffff:808:808",
		"beside NAT64":         "64:ff9a:ffff:ffff:ffff:ffff:808:808 64:ff9b::1:808:808 64:ff9b:1::808:808",
		"with a zone":          "fe80::1%eth0 2606:4700::1111%eth0 ::ffff:8.8.8.8%eth0 64:ff9b::8.8.8.8%eth0",
	} {
		t.Run(name, func(t *testing.T) {
			for text := range strings.FieldsSeq(addresses) {
				checkPublic(t, netip.MustParseAddr(text), false)
			}
		})
	}
	checkPublic(t, netip.Addr{}, false)
}

func TestPublicAddressesAreAllowed(t *testing.T) {
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "2000::", "2001:4860:4860::8888", "2606:4700::1111", "3ffe:ffff::1", "3fff:ffff::1",
	} {
		checkPublic(t, netip.MustParseAddr(text), true)
	}
}

// What the guard lets through is not dialed here: a test must not depend on the Internet.
func TestGuardedDialerReachesPublicAddressesAlone(t *testing.T) {
	for _, test := range []struct {
		network, address string
		allowed          bool
	}{
		{"tcp4", "8.8.8.8:443", true},
		{"tcp4", "8.8.8.8:8443", true},
		{"tcp6", "[2606:4700::1111]:443", true},
		{"tcp6", "[64:ff9b::8.8.8.8]:443", true},
		{"tcp", "8.8.8.8:443", true},
		{"tcp4", "10.0.0.1:443", false},
		{"tcp4", "169.254.169.254:80", false},
		{"tcp6", "[::1]:443", false},
		{"tcp6", "[::ffff:127.0.0.1]:443", false},
		{"tcp6", "[2606:4700::1111%eth0]:443", false},
		{"tcp", "127.0.0.1:443", false},
		{"tcp4", "", false},
		{"tcp4", ":443", false},
		{"tcp4", "8.8.8.8", false},
		{"tcp4", "issuer.test:443", false},
		{"", "8.8.8.8:443", false},
		{"udp4", "8.8.8.8:443", false},
		{"ip4", "8.8.8.8:443", false},
		{"unix", "/run/issuer.sock", false},
		{"unix", "8.8.8.8:443", false},
	} {
		if err := jwks.DialPublic(test.network, test.address, nil); (err == nil) != test.allowed {
			t.Errorf("%s %s: %v", test.network, test.address, err)
		}
	}
}

// The guard looks at the address that is dialed, whatever name led to it.
func TestGuardRefusesWhatANameResolvesTo(t *testing.T) {
	for name, test := range map[string]struct {
		host    string
		records []string
	}{
		"an address":                          {"127.0.0.1", nil},
		"localhost":                           {"localhost", []string{"127.0.0.1"}},
		"an IPv4 record":                      {"issuer.test", []string{"127.0.0.1"}},
		"an IPv6 record with an IPv4 address": {"issuer.test", []string{"::ffff:127.0.0.1"}},
		"several records":                     {"issuer.test", []string{"0.0.0.0", "127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := resolve(t, test.records...)
			server, connections := countingServer(t)
			target := "https://" + net.JoinHostPort(test.host, server.Port()) + "/keys"
			transport := insecureTransport()

			// It is there for those without the guard: otherwise this test would show nothing.
			if err := fetch(t, transport.Clone(), target); err != nil || connections.Load() != 1 {
				t.Fatalf("without the guard: %d connections, %v", connections.Load(), err)
			}
			lookups := asked.Load()
			jwks.Guard(transport)
			err := fetch(t, transport, target)
			if err == nil || !strings.Contains(err.Error(), notPublic) {
				t.Errorf("with the guard: %v", err)
			}
			if connections.Load() != 1 {
				t.Errorf("%d connections, want none with the guard", connections.Load()-1)
			}
			if test.host == "issuer.test" && asked.Load() == lookups {
				t.Error("the DNS was not asked")
			}
		})
	}
}

// A dialer that the transport had before would connect to wherever it wants.
func TestGuardReplacesEveryDialer(t *testing.T) {
	server, connections := countingServer(t)
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	plain := (&net.Dialer{}).DialContext
	for name, transport := range map[string]*http.Transport{
		"DialContext":    {DialContext: plain},
		"DialTLSContext": {DialTLSContext: dialer.DialContext},
		"Dial":           {Dial: net.Dial},
		"DialTLS":        {DialTLS: dialer.Dial},
		"all": {
			DialContext: plain, DialTLSContext: dialer.DialContext, Dial: net.Dial, DialTLS: dialer.Dial,
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport.TLSClientConfig = dialer.Config.Clone()
			before := connections.Load()
			if err := fetch(t, transport.Clone(), server.String()); err != nil || connections.Load() != before+1 {
				t.Fatalf("without the guard: %v", err)
			}
			jwks.Guard(transport)
			err := fetch(t, transport, server.String())
			if err == nil || !strings.Contains(err.Error(), notPublic) || connections.Load() != before+1 {
				t.Errorf("with the guard: %d connections, %v", connections.Load()-before-1, err)
			}
		})
	}
}

func TestGuardRefusesProxies(t *testing.T) {
	server, connections := countingServer(t)
	errProxy := errors.New("no such proxy")
	someProxy := func(r *http.Request) (*url.URL, error) {
		switch r.URL.Hostname() {
		case "proxied.test":
			return &server, nil
		case "broken.test":
			return nil, errProxy
		}
		return nil, nil
	}
	at := func(scheme, host string) func(*http.Request) (*url.URL, error) {
		return http.ProxyURL(&url.URL{Scheme: scheme, Host: host})
	}
	for name, test := range map[string]struct {
		proxy func(*http.Request) (*url.URL, error)
		url   string
		says  string
	}{
		"https":               {at("http", server.Host), "https://issuer.test", proxied},
		"http":                {at("http", server.Host), "http://issuer.test", proxied},
		"a public address":    {at("http", server.Host), "https://8.8.8.8", proxied},
		"a public proxy":      {at("http", "8.8.8.8:3128"), "https://issuer.test", proxied},
		"SOCKS":               {at("socks5", server.Host), "https://issuer.test", proxied},
		"for this host":       {someProxy, "https://proxied.test", proxied},
		"that cannot be told": {someProxy, "https://broken.test", errProxy.Error()},
		"not for this host":   {someProxy, server.String(), notPublic},
		"none":                {nil, server.String(), notPublic},
	} {
		t.Run(name, func(t *testing.T) {
			transport := insecureTransport()
			transport.Proxy = test.proxy
			jwks.Guard(transport)
			if (transport.Proxy == nil) != (test.proxy == nil) {
				t.Error("whether there is a proxy has changed")
			}
			if err := fetch(t, transport, test.url); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %s", err, test.says)
			}
			if connections.Load() != 0 {
				t.Error("there was a connection")
			}
		})
	}
}

// A guarded transport, here with its dialer put aside, speaks HTTP/2 as before, but by the standard library alone.
func TestGuardLeavesHTTP2AsItIs(t *testing.T) {
	server, _ := countingServer(t)
	type protocol = func(string, *tls.Conn) http.RoundTripper
	another := func(string, *tls.Conn) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("another way") })
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	for name, test := range map[string]struct {
		transport *http.Transport
		proto     string
	}{
		"the standard one":         {&http.Transport{}, "HTTP/2.0"},
		"another one":              {&http.Transport{TLSNextProto: map[string]protocol{"h2": another}}, "HTTP/2.0"},
		"none":                     {&http.Transport{TLSNextProto: map[string]protocol{}}, "HTTP/1.1"},
		"none among its protocols": {&http.Transport{Protocols: &http1}, "HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			transport := test.transport.Clone()
			jwks.Guard(transport)
			transport.DialContext = (&net.Dialer{}).DialContext
			if transport.TLSClientConfig == nil {
				transport.TLSClientConfig = &tls.Config{}
			}
			transport.TLSClientConfig.InsecureSkipVerify = true
			defer transport.CloseIdleConnections()
			response, err := (&http.Client{Transport: transport}).Get(server.String())
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.Proto != test.proto {
				t.Errorf("%s, want %s", response.Proto, test.proto)
			}
		})
	}
}

func TestCheckGuardedReportsUnsafeTransports(t *testing.T) {
	someProxy := func(r *http.Request) (*url.URL, error) {
		if r.Method != http.MethodGet || r.Host != r.URL.Host || r.Header == nil {
			t.Errorf("asked about a request that is none: %+v", r)
		}
		if r.URL.String() == "https://proxied.test/keys" {
			return &url.URL{Scheme: "http", Host: "proxy.test:3128"}, nil
		}
		return nil, nil
	}
	for rawURL, says := range map[string]string{
		"https://issuer.test":                       "",
		"https://issuer.test:8443/x":                "",
		"https://8.8.8.8/keys":                      "",
		"https://[2606:4700::1111]:443/keys":        "",
		"https://[64:ff9b::8.8.8.8]":                "",
		"https://[::ffff:8.8.8.8]":                  "",
		"https://10.0.0.1":                          "10.0.0.1 is not a public address",
		"https://169.254.169.254/latest/meta-data/": "169.254.169.254 is not a public address",
		"http://127.0.0.1:8080":                     "127.0.0.1 is not a public address",
		"https://[::1]":                             "::1 is not a public address",
		"https://[::1]:8443/keys":                   "::1 is not a public address",
		"https://[fe80::1%25eth0]:8443/keys":        "fe80::1%eth0 is not a public address",
		"https://[2606:4700::1111%25eth0]/keys":     "2606:4700::1111%eth0 is not a public address",
		"https://[::ffff:10.0.0.1]/keys":            "::ffff:10.0.0.1 is not a public address",
		"https://[64:ff9b::a00:1]/keys":             "64:ff9b::a00:1 is not a public address",
		"https://proxied.test/keys":                 proxied,
		"https://user:hunter2@issuer.test/%zz":      "it is not a URL",
	} {
		for _, guarded := range []bool{false, true} {
			for _, proxy := range []func(*http.Request) (*url.URL, error){someProxy, nil} {
				transport := &http.Transport{Proxy: proxy}
				if guarded {
					jwks.Guard(transport)
				}
				expected := says
				if proxy == nil && says == proxied {
					expected = ""
				}
				got := ""
				if err := jwks.CheckGuarded(transport, rawURL); err != nil {
					got = err.Error()
				}
				if got != expected {
					t.Errorf("%s: %q, want %q (guarded %v, proxy %v)", rawURL, got, expected, guarded, proxy != nil)
				}
			}
		}
	}
	errProxy := errors.New("no such proxy")
	broken := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return &url.URL{}, errProxy }}
	if err := jwks.CheckGuarded(broken, "https://issuer.test"); !errors.Is(err, errProxy) {
		t.Errorf("a proxy that cannot be told: %v", err)
	}
}

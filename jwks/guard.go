package jwks

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"syscall"
	"time"
)

var (
	errNotPublic = errors.New("not a public address")
	errProxied   = errors.New("the guard cannot see where a proxy connects to")
	errNoControl = errors.New("package net cannot guard connections on Plan 9") // it does not call a Dialer's Control
)

// guard changes a transport so that it connects to public addresses only. The address is judged
// when it is dialed, after the name was resolved, so that no other answer of the DNS can come in
// between. Of several addresses of a name, those that are not public are passed over.
//
// The transport must be a clone that was not used yet: a connection that it already has would be
// used without a dial. A dialer of its own is replaced, because it is not known where that connects
// to. A request for which it has a proxy fails.
func guard(transport *http.Transport) {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: dialPublic}
	transport.DialContext = dialer.DialContext
	transport.DialTLSContext = nil
	transport.Dial, transport.DialTLS = nil, nil //nolint:staticcheck // deprecated, but a transport uses them
	if proxy := transport.Proxy; proxy != nil {
		transport.Proxy = func(request *http.Request) (*url.URL, error) { return nil, checkProxy(proxy, request) }
	}
	// An HTTP/2 of its own may send the request over other connections. An empty map means that
	// there is to be none.
	if len(transport.TLSNextProto) > 0 {
		transport.TLSNextProto = nil
	}
	// A dialer switches the standard HTTP/2 off, which the TLS configuration of a clone may still
	// offer.
	transport.ForceAttemptHTTP2 = true
}

// dialPublic is a [net.Dialer]'s Control: it is called with each address before the connection is
// made.
func dialPublic(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, network) || !isPublic(to.Addr()) {
		return errNotPublic
	}
	return nil
}

func checkProxy(proxy func(*http.Request) (*url.URL, error), request *http.Request) error {
	through, err := proxy(request)
	if err == nil && through != nil {
		return errProxied
	}
	return err
}

// checkGuarded reports why a URL cannot be fetched with the guard, as far as that can be known
// without I/O: its host is an address that is not public, or the transport, guarded or not, has a
// proxy for it. The errors quote nothing of the URL but that address.
func checkGuarded(transport *http.Transport, rawURL string) error {
	if runtime.GOOS == "plan9" {
		return errNoControl
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return errors.New("it is not a URL")
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil && !isPublic(address) {
		return fmt.Errorf("%s is %w", address, errNotPublic)
	}
	if transport.Proxy == nil {
		return nil
	}
	request := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: make(http.Header)}
	return checkProxy(transport.Proxy, request)
}

// The address blocks that RFC 6890 and the two IANA registries after it, iana-ipv4-special-registry
// and iana-ipv6-special-registry, set aside. A block is refused as a whole, also where a few of its
// addresses are globally reachable: those serve the network itself, and no issuer is there.
var (
	special4 = prefixes(
		"0.0.0.0/8",       // this network
		"10.0.0.0/8",      // private use
		"100.64.0.0/10",   // shared with a carrier, or with a cloud and its metadata
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local, and the metadata of most clouds
		"172.16.0.0/12",   // private use
		"192.0.0.0/24",    // IETF protocol assignments
		"192.0.2.0/24",    // documentation
		"192.31.196.0/24", // AS112, which answers reverse look-ups of private addresses
		"192.52.193.0/24", // automatic multicast tunneling
		"192.88.99.0/24",  // relays of 6to4, deprecated
		"192.168.0.0/16",  // private use
		"192.175.48.0/24", // AS112, by direct delegation
		"198.18.0.0/15",   // benchmarking
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast (RFC 5771)
		"240.0.0.0/4",     // reserved, and broadcast

		"168.63.129.16/32", // in no registry: what Azure shows to each virtual machine of the platform beneath it
	)
	special6 = prefixes(
		"2001::/23",         // IETF protocol assignments: Teredo, ORCHID and others
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4, which leads to an IPv4 address
		"2620:4f:8000::/48", // AS112, by direct delegation
		"3fff::/20",         // documentation
	)

	global6 = netip.MustParsePrefix("2000::/3")     // what IANA assigns global unicast addresses from (RFC 4291)
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // IPv4 addresses, for networks with IPv6 alone (RFC 6052)
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// isPublic reports whether an address is of the public Internet. It cannot know of public addresses
// that a network uses for its own services, nor of a NAT64 prefix out of the network's own
// addresses (RFC 6052 section 2.2).
func isPublic(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	in := func(block netip.Prefix) bool { return block.Contains(a) }
	switch {
	case a.Is4():
		return !slices.ContainsFunc(special4, in)
	case in(nat64):
		bytes := a.As16()
		return isPublic(netip.AddrFrom4([4]byte(bytes[12:])))
	default:
		return in(global6) && !slices.ContainsFunc(special6, in)
	}
}

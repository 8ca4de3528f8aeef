package weburl

import (
	"net/url"
	"strings"
)

// Origin is the scheme, host and port of a URL (RFC 6454 section 4). Two origins are the same if
// they are equal (==).
type Origin struct{ Scheme, Host, Port string }

// defaultPorts are the ports of the schemes that have one here.
var defaultPorts = map[string]string{"https": "443", "http": "80"}

// OriginOf returns the origin of a scheme, and of a host that may have a port, as a URL or a Host
// header names it. The host is in lower case, without the brackets of an IPv6 address.
func OriginOf(scheme, hostport string) Origin {
	u := url.URL{Host: hostport}
	o := Origin{scheme, strings.ToLower(u.Hostname()), u.Port()}
	if o.Port == "" {
		o.Port = defaultPorts[scheme]
	}
	return o
}

// String returns the origin as a URL, always with the port.
func (o Origin) String() string {
	host := o.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return o.Scheme + "://" + host + ":" + o.Port
}

// Package weburl judges the URLs of issuers and their keys, in a configuration and in an issuer's documents.
package weburl

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// Check refuses what is not an absolute URL over TLS. Plain http is for a host that is this machine, or for those who
// ask for it. The errors complete a sentence that begins with what the URL is, and quote nothing of it.
func Check(text string, insecureHTTP bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Hostname() == "", u.Scheme != "https" && u.Scheme != "http":
		return errors.New("is not an absolute https URL")
	case u.User != nil:
		return errors.New("has a user name in it, which would end up in logs")
	case strings.Contains(text, "#"):
		return errors.New("has a fragment, which is never sent")
	case u.Scheme == "http" && !insecureHTTP && !Loopback(u.Hostname()):
		return errors.New("is not https: anyone on the way could replace the keys")
	}
	return nil
}

// Loopback reports whether a host is this machine by its name or address alone.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// Redacted returns a URL as it may be shown to an operator: without a password, and without anything where an @ makes it
// likely that there is one in a text that is no URL.
func Redacted(text string) string {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil:
		u.User = url.User("redacted")
		return u.String()
	case err != nil && strings.Contains(text, "@"):
		return "redacted"
	}
	return text
}

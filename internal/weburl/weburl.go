// Package weburl judges the URLs of issuers, of their keys and of their endpoints, in a
// configuration and in an issuer's documents.
package weburl

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Check refuses what is not an absolute URL over TLS. Plain http is for a host that is this
// machine, or for those who ask for it. The errors complete a sentence that begins with what the
// URL is, and quote nothing of it.
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
		return errors.New("is not https: anyone on the way could read or replace what is sent")
	}
	return nil
}

// CheckIssuer refuses what OpenID Connect Discovery section 3 and RFC 8414 section 2 do.
func CheckIssuer(issuer string, insecureHTTP bool) error {
	if issuer == "" {
		return errors.New("is empty")
	}
	if strings.Contains(issuer, "?") {
		return errors.New("has a query, which no issuer has")
	}
	return Check(issuer, insecureHTTP)
}

// CheckOf judges a URL out of an issuer's document. An issuer behind TLS may not lead to a URL
// without it, and so not to services on this machine's loopback either.
func CheckOf(issuer, text string, insecureHTTP bool) error {
	if isPlain(text) && !isPlain(issuer) && !insecureHTTP {
		return errors.New("is not https, unlike the issuer")
	}
	return Check(text, insecureHTTP)
}

func isPlain(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http"
}

// WellKnown returns where the document of an issuer is: first by OpenID Connect Discovery section
// 4, and if there is none, by RFC 8414 section 3, which puts the well-known path before the
// issuer's own. The issuer is one that [CheckIssuer] accepts.
func WellKnown(issuer string) (openID, oauth string) {
	openID = strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	u, err := url.Parse(issuer)
	if err != nil {
		return openID, openID
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return openID, u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + path
}

// SameIssuer compares the issuer that a document is for with the one that was configured, to the
// character: otherwise one issuer could speak for another (OpenID Connect Discovery section 4.3,
// RFC 8414 section 3.3).
func SameIssuer(document, configured string) error {
	switch {
	case document == configured:
		return nil
	case strings.TrimSuffix(document, "/") == strings.TrimSuffix(configured, "/"):
		return fmt.Errorf("it is for an issuer that differs from %q in a slash at the end", configured)
	default:
		return fmt.Errorf("it is not for the issuer %q", configured)
	}
}

// Loopback reports whether a host is this machine by its name or address alone.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// Redacted returns a URL as it may be shown to an operator: without a password, and without
// anything where an @ makes it likely that there is one in a text that is no URL, such as one
// without its scheme.
func Redacted(text string) string {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil:
		u.User = url.User("redacted")
		return u.String()
	case (err != nil || u.Opaque != "") && strings.Contains(text, "@"):
		return "redacted"
	case err == nil && u.Host == "" && strings.Contains(u.Path, "@"): // with one slash, or no colon
		return "redacted"
	}
	return text
}

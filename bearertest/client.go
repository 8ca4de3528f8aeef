package bearertest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Client returns an [http.Client] that reaches each of the issuers, for a service that trusts
// several of them:
//
//	auth, err := bearer.New(
//		bearer.WithIssuer(staff.URL(), staff.Audience()),
//		bearer.WithIssuer(guests.URL(), guests.Audience()),
//		bearer.WithHTTPClient(bearertest.Client(staff, guests)),
//	)
//
// A request goes to the issuer that it is for, as [Issuer.Client] sends it: by its origin, and
// among issuers that share an origin, such as the realms of one server, by the longest path. The
// paths of RFC 8414 section 3, where the well-known part comes first, count too. A request to any
// other origin is an error, so that a test never leaves the process unnoticed.
//
// Issuers with a socket and without may be mixed. Client panics when there is no issuer, when one
// is nil, and when two have one URL; the option [WithURL] gives an issuer another.
func Client(issuers ...*Issuer) *http.Client {
	if len(issuers) == 0 {
		panic("bearertest: Client: want at least one issuer")
	}
	several := &severalIssuers{}
	taken := make(map[string]bool)
	for n, issuer := range issuers {
		if issuer == nil {
			panic(fmt.Sprintf("bearertest: Client: issuer %d is nil", n+1))
		}
		place := strings.ToLower(issuer.origin.Scheme+"://"+issuer.origin.Host) + issuer.basePath()
		if taken[place] {
			panic(fmt.Sprintf("bearertest: Client: two issuers are at %q; the option WithURL gives one another URL", issuer.url))
		}
		taken[place] = true
		several.issuers = append(several.issuers, issuer)
	}
	return &http.Client{Transport: several}
}

// severalIssuers is an [http.RoundTripper] that reaches several issuers.
type severalIssuers struct{ issuers []*Issuer }

// RoundTrip sends a request to the issuer that it is for.
func (s *severalIssuers) RoundTrip(r *http.Request) (*http.Response, error) {
	issuer := s.issuerFor(r.URL)
	if issuer == nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("bearertest: the client reaches %s alone, not %s://%s", s, r.URL.Scheme, r.URL.Host)
	}
	return issuer.transport.RoundTrip(r)
}

// issuerFor returns the issuer with the longest path among those at the URL's origin, or otherwise
// among those whose own client leads there: [Redirect] and [Attack] add origins. If the URL is
// below the path of none, the first answers, as the server at its origin.
func (s *severalIssuers) issuerFor(u *url.URL) *Issuer {
	if issuer := s.closest(u, (*Issuer).isAt); issuer != nil {
		return issuer
	}
	return s.closest(u, (*Issuer).leadsTo)
}

func (s *severalIssuers) closest(u *url.URL, qualifies func(*Issuer, *url.URL) bool) (found *Issuer) {
	longest := -1
	for _, issuer := range s.issuers {
		if !qualifies(issuer, u) {
			continue
		}
		length := -1
		if base := issuer.basePath(); isBelow(u.Path, base) || isBelow(withoutWellKnown(u.Path), base) {
			length = len(base)
		}
		if found == nil || length > longest {
			found, longest = issuer, length
		}
	}
	return found
}

// String lists the origins for an error.
func (s *severalIssuers) String() string {
	var origins []string
	for _, issuer := range s.issuers {
		origins = append(origins, issuer.origin.Scheme+"://"+issuer.origin.Host)
	}
	return strings.Join(origins, ", ")
}

// isAt reports whether the URL has the issuer's origin.
func (i *Issuer) isAt(u *url.URL) bool { return sameOrigin(u, i.origin) }

// leadsTo reports whether the issuer's own client reaches the URL's origin.
func (i *Issuer) leadsTo(u *url.URL) bool {
	if transport, ok := i.transport.(*inProcess); ok {
		return transport.pipesTo(u) != nil
	}
	return sameOrigin(u, elsewhere(i.origin))
}

func sameOrigin(u, origin *url.URL) bool {
	return u.Scheme == origin.Scheme && strings.EqualFold(u.Host, origin.Host)
}

// basePath is the path of the issuer's URL, without a slash at its end.
func (i *Issuer) basePath() string { return strings.TrimSuffix(i.origin.Path, "/") }

// isBelow reports whether a path is another one or below it.
func isBelow(path, base string) bool {
	rest, ok := strings.CutPrefix(path, base)
	return ok && (rest == "" || rest[0] == '/')
}

// withoutWellKnown returns the path of the issuer whose metadata is at a path of RFC 8414 section
// 3.1, such as "/realms/a" for "/.well-known/oauth-authorization-server/realms/a", or "" for
// others.
func withoutWellKnown(path string) string {
	rest, ok := strings.CutPrefix(path, "/.well-known/")
	if !ok {
		return ""
	}
	_, issuer, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return "/" + issuer
}

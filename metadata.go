package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/weburl"
)

// ResourceMetadata describes this service to clients (RFC 9728 section 2). The authorization
// servers in the document are the issuers given to [WithIssuer] without an [IssuerTemplate], and
// the bearer methods those of [WithTokensFrom]. A [Registry] is not published.
type ResourceMetadata struct {
	// Resource is the service's own identifier: an https URL (http on loopback) without query and
	// fragment, whose path has no escapes, braces, doubled slashes or dots. Required.
	Resource string
	// Scopes lists the scopes that clients may ask for. Empty: the document does not say.
	Scopes []string
	// Name is the name of the service for people. Empty: the document does not say.
	Name string
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// metadataDocument is the document of RFC 9728 and the path that it is served at.
type metadataDocument struct {
	path string
	json []byte // nil: there is none
}

// ServeHTTP serves the document, or 404 if there is none.
func (d *metadataDocument) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.json == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	w.Header().Set("Access-Control-Allow-Origin", "*") // clients in browsers read the public document
	_, _ = w.Write(d.json)
}

func (m ResourceMetadata) check() error {
	if !isServiceURL(m.Resource) {
		return errors.New("the resource must be an https URL without userinfo, query and fragment")
	}
	if !hasPlainPath(m.Resource) {
		return errors.New("the resource's path has escapes, braces, doubled slashes or dots, " +
			"which routers change, so that clients would not find the document")
	}
	if slices.ContainsFunc(m.Scopes, func(scope string) bool { return !grammar.IsScopeToken(scope) }) {
		return errors.New("a scope is empty or not a scope-token of RFC 6749 section 3.3")
	}
	return nil
}

// isServiceURL accepts https, and http on loopback for local development.
func isServiceURL(s string) bool {
	return weburl.Check(s, false) == nil && !strings.ContainsRune(s, '?') && grammar.IsNQSCHAR(s)
}

// hasPlainPath reports whether a mux serves the path as it stands, and not as a pattern or after
// cleaning it.
func hasPlainPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.EscapedPath() == u.Path && !strings.ContainsAny(u.Path, "{}%") &&
		(u.Path == "" || path.Clean(u.Path) == "/"+strings.Trim(u.Path, "/") && !strings.Contains(u.Path, "//"))
}

// document returns the document, and its URL: the well-known path between the host and the path of
// the resource (RFC 9728 section 3.1). The metadata was checked before.
func (m ResourceMetadata) document(issuers []string, sources []TokenLocation) (d metadataDocument, location string) {
	u, err := url.Parse(m.Resource)
	if err != nil {
		return metadataDocument{path: wellKnownResource}, "" // unreachable: it was checked
	}
	servers := slices.DeleteFunc(slices.Clone(issuers), func(name string) bool {
		return !isServiceURL(name) // RFC 8414 section 2: an authorization server's identifier is a URL
	})
	methods := []string{} // an empty list says that no method of RFC 6750 works
	for i := range sources {
		for _, s := range sources[i].each() {
			switch {
			case s == FromHeader(): // and no other header: RFC 9728 section 2 means that of RFC 6750
				methods = appendNew(methods, []string{"header"})
			case s.kind == locationForm:
				methods = appendNew(methods, []string{"body"})
			case s.kind == locationQuery:
				methods = appendNew(methods, []string{"query"})
			}
		}
	}
	body, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers,omitempty"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"`
		Name     string   `json:"resource_name,omitempty"`
	}{m.Resource, servers, m.Scopes, methods, m.Name})
	if err != nil {
		return metadataDocument{path: wellKnownResource}, "" // unreachable: only strings are marshaled
	}
	at := wellKnownResource + strings.TrimSuffix(u.Path, "/")
	return metadataDocument{at, append(body, '\n')}, u.Scheme + "://" + u.Host + at
}

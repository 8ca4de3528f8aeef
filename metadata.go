package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/bearer-go/bearer/internal/weburl"
)

// ResourceMetadata describes this service to clients (RFC 9728 section 2). The authorization servers are the configured
// issuers, and the bearer methods those of [WithTokensFrom].
type ResourceMetadata struct {
	// Resource is the service's own identifier: an https URL (http on loopback) without query and fragment, whose path is
	// clean and plain: no escapes, braces, doubled slashes or dots. Required.
	Resource string
	// Scopes lists the scopes that clients may ask for. Empty: not said.
	Scopes []string
	// Name is for people. Empty: not said.
	Name string
	// Documentation, Policy and Terms are URLs of pages for people. Empty: not said.
	Documentation, Policy, Terms string
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// ResourceMetadata returns the path of the metadata document (RFC 9728 section 3), which is also a pattern for
// [http.ServeMux], and the handler that serves it, so that
//
//	mux.Handle(auth.ResourceMetadata())
//
// mounts it. The document is public: the handler must not stand behind a guard. Without [WithResourceMetadata] the handler
// answers 404.
func (m *Middleware) ResourceMetadata() (pattern string, h http.Handler) {
	if m.metadata == nil {
		return wellKnownResource, http.NotFoundHandler()
	}
	u, err := url.Parse(m.metadataURL)
	if err != nil { // cannot be: checked by New
		return wellKnownResource, http.NotFoundHandler()
	}
	return u.Path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("Access-Control-Allow-Origin", "*") // the document is public, and clients in browsers read it
		_, _ = w.Write(m.metadata)
	})
}

func (d ResourceMetadata) check() error {
	if !isServiceURL(d.Resource) {
		return errors.New("the resource must be an https URL without userinfo, query and fragment")
	}
	if !hasPlainPath(d.Resource) {
		return errors.New("the resource's path has escapes, braces, doubled slashes or dots, with which nobody would find the document")
	}
	for _, scope := range d.Scopes {
		if scope == "" || !isQuotable(scope) || strings.Contains(scope, " ") {
			return errors.New("a scope is empty or not a scope-token of RFC 6749 section 3.3")
		}
	}
	for _, page := range []string{d.Documentation, d.Policy, d.Terms} {
		if page != "" && weburl.Check(page, true) != nil {
			return errors.New("a page is not an absolute URL")
		}
	}
	return nil
}

// isServiceURL accepts https, and http on loopback, for local development.
func isServiceURL(s string) bool {
	return weburl.Check(s, false) == nil && !strings.ContainsRune(s, '?') && isQuotable(s)
}

// hasPlainPath reports whether a mux serves the path as it stands, and not as a pattern or after cleaning it.
func hasPlainPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.EscapedPath() == u.Path && !strings.ContainsAny(u.Path, "{}%") &&
		(u.Path == "" || path.Clean(u.Path) == "/"+strings.Trim(u.Path, "/") && !strings.Contains(u.Path, "//"))
}

// url inserts the well-known path between the host and the path of the resource (RFC 9728 section 3.1).
func (d ResourceMetadata) url() string {
	u, err := url.Parse(d.Resource)
	if err != nil { // cannot be: checked before
		return ""
	}
	return u.Scheme + "://" + u.Host + wellKnownResource + strings.TrimSuffix(u.Path, "/")
}

func (d ResourceMetadata) document(m *core) []byte {
	servers, methods := []string(nil), []string{} // methods: an empty list says that no method of RFC 6750 works
	for _, iss := range m.order {
		if isServiceURL(iss.name) { // RFC 8414 section 2: an authorization server's identifier is a URL
			servers = append(servers, iss.name)
		}
	}
	for _, s := range m.sources {
		switch s.kind {
		case sourceHeader:
			methods = appendNew(methods, []string{"header"})
		case sourceForm:
			methods = appendNew(methods, []string{"body"})
		case sourceQuery:
			methods = appendNew(methods, []string{"query"})
		}
	}
	body, err := json.Marshal(struct {
		Resource      string   `json:"resource"`
		Servers       []string `json:"authorization_servers,omitempty"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		Methods       []string `json:"bearer_methods_supported"`
		Name          string   `json:"resource_name,omitempty"`
		Documentation string   `json:"resource_documentation,omitempty"`
		Policy        string   `json:"resource_policy_uri,omitempty"`
		Terms         string   `json:"resource_tos_uri,omitempty"`
	}{d.Resource, servers, d.Scopes, methods, d.Name, d.Documentation, d.Policy, d.Terms})
	if err != nil {
		return nil // cannot be: strings only
	}
	return append(body, '\n')
}

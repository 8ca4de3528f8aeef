package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// The document is at the path of RFC 9728 section 3.1, and says what section 2 defines.
func TestResourceMetadataIsServedWhereRFC9728Says(t *testing.T) {
	issuer := bearertest.NewIssuer()
	for name, tt := range map[string]struct {
		opts []bearer.Option
		path string
		body string
	}{
		"least": {
			[]bearer.Option{bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"})},
			"/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example","authorization_servers":["https://issuer.test"],"bearer_methods_supported":["header"]}`,
		},
		"most": {
			[]bearer.Option{
				bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromQuery(), bearer.FromForm(), bearer.FromCookie()),
				bearer.WithResourceMetadata(bearer.ResourceMetadata{
					Resource: "https://api.example/v1/", Scopes: []string{"read"}, Name: "Orders",
				}),
			},
			"/.well-known/oauth-protected-resource/v1",
			`{"resource":"https://api.example/v1/","authorization_servers":["https://issuer.test"],"scopes_supported":["read"],` +
				`"bearer_methods_supported":["header","query","body"],"resource_name":"Orders"}`,
		},
		"on loopback": {
			[]bearer.Option{bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "http://127.0.0.1:8080/api"})},
			"/.well-known/oauth-protected-resource/api",
			`{"resource":"http://127.0.0.1:8080/api","authorization_servers":["https://issuer.test"],"bearer_methods_supported":["header"]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			auth := newAuth(t, issuer, tt.opts...)
			mux := http.NewServeMux()
			mux.Handle(auth.ResourceMetadata())
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("GET", tt.path, nil))
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || strings.TrimSpace(w.Body.String()) != tt.body {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
			w = httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest("POST", tt.path, nil))
			if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("POST: answer %d", w.Code)
			}
		})
	}
}

// An issuer whose name is not a URL is not listed: a client cannot use it as an authorization
// server (RFC 8414 section 2).
func TestResourceMetadataLeavesOutNamesThatAreNoURLs(t *testing.T) {
	auth := mustNew(t, bearer.WithIssuer("joe", "a", bearer.HMACSecret([]byte(strings.Repeat("k", 32)))),
		bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example"}))
	_, h := auth.ResourceMetadata()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, get(""))
	if strings.Contains(w.Body.String(), "joe") || strings.Contains(w.Body.String(), "authorization_servers") {
		t.Errorf("document %s", w.Body)
	}
}

func TestWithoutResourceMetadataThereIsNoDocument(t *testing.T) {
	path, h := newAuth(t, bearertest.NewIssuer()).ResourceMetadata()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, get(""))
	if w.Code != 404 || path != "/.well-known/oauth-protected-resource" {
		t.Errorf("%s answers %d", path, w.Code)
	}
}

package oauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// withSecret returns a Transport that attaches this service's own token to the requests to another
// service, and to those alone.
func withSecret(issuer string, secret tokens.Secret, service string) (*tokens.Transport, error) {
	client, err := oauth.NewClient(issuer, "orders", oauth.ClientSecretBasic(secret))
	if err != nil {
		return nil, err
	}
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		return nil, err
	}
	return manager.Source(tokens.Key{Resource: service}).Transport(nil)
}

// withKeyFile does the same with a private key in a file, which may be replaced meanwhile.
func withKeyFile(issuer, file, service string) (*tokens.Transport, error) {
	client, err := oauth.NewClient(issuer, "orders", oauth.PrivateKeyJWTFile(file, "2026-07"))
	if err != nil {
		return nil, err
	}
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		return nil, err
	}
	return manager.Source(tokens.Key{Resource: service}).Transport(nil)
}

// A service calls another one with a token of its own. A Manager is made when the service starts,
// and its Transport used for all requests.
func Example_callAnotherService() {
	server := newAuthorizationServer()
	defer server.Close()
	mounted, unmount := mountFiles()
	defer unmount()
	billing := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("Authorization"))
	}))
	defer billing.Close()

	bySecret, err := withSecret(server.URL, tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw"), billing.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	byKey, err := withKeyFile(server.URL, mounted+"/orders.pem", billing.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, transport := range []http.RoundTripper{bySecret, byKey} {
		client := &http.Client{Transport: transport}
		response, err := client.Get(billing.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
	}
	// Output:
	// Bearer 2YotnFZFEjr1zCsicMWpAA
	// Bearer 2YotnFZFEjr1zCsicMWpAA
}

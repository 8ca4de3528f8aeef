package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// newAuthorizationServer stands for your authorization server. It gives the same token to all.
func newAuthorizationServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/.well-known/openid-configuration" {
			_, _ = fmt.Fprintf(w, `{"issuer":"http://%s","token_endpoint":"http://%[1]s/token"}`, r.Host)
			return
		}
		_, _ = fmt.Fprint(w, `{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":3600,`+
			`"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`)
	}))
}

// A service gets a token of its own with its secret. Where the endpoints are is discovered.
func ExampleClient_ClientCredentials() {
	server := newAuthorizationServer()
	defer server.Close()

	secret := tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw") // from a file or the environment
	client, err := oauth.NewClient(server.URL, "orders", oauth.ClientSecretBasic(secret))
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	token, err := manager.Source(tokens.Key{Scope: "billing:write"}).Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Scopes())
	// Output: [billing:write]
}

type callerToken struct{}

// A service calls another one on behalf of its own caller, whose token is in the context. Callers
// with equal tokens share what it is exchanged for.
func ExampleClient_Exchange() {
	server := newAuthorizationServer()
	defer server.Close()

	client, err := oauth.NewClient(server.URL, "orders", oauth.ClientSecretBasic(tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw")))
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := tokens.NewManager(client.Exchange(func(ctx context.Context, _ tokens.Key) (oauth.SecurityToken, error) {
		token, _ := ctx.Value(callerToken{}).(string)
		return oauth.SecurityToken{Token: tokens.NewSecret(token)}, nil
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()
	source := manager.Source(tokens.Key{Resource: "https://billing.example.com", Subject: "callers"})

	ctx := context.WithValue(context.Background(), callerToken{}, "alice's token") // as a middleware does
	_, err = source.Token(ctx)
	fmt.Println("alice:", err)
	_, err = source.Token(context.Background())
	fmt.Println("no caller:", err)
	// Output:
	// alice: <nil>
	// no caller: tokens: no token is available: tokens: token: invalid_request: the token that was given for it is empty, or has a Type that is not a URI
}

package beareroauth2_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/bearer-go/bearer/adapters/beareroauth2"
	"github.com/bearer-go/bearer/tokens"
)

// A manager in front of package oauth2, for as many services as there are keys.
func ExampleFetcher() {
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // in production, the login server
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"for-%s","token_type":"Bearer","expires_in":300}`, r.FormValue("audience"))
	}))
	defer login.Close()

	fetcher := beareroauth2.Fetcher(func(ctx context.Context, key tokens.Key) (*oauth2.Token, error) {
		if key != (tokens.Key{Audience: key.Audience, Scope: key.Scope}) {
			return nil, &tokens.Error{Op: "token", Code: "invalid_request"} // what is passed over would be promised and not kept
		}
		config := clientcredentials.Config{
			ClientID: "orders", ClientSecret: "secret", TokenURL: login.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader,
			Scopes: strings.Fields(key.Scope), EndpointParams: url.Values{"audience": {key.Audience}},
		}
		return config.Token(ctx)
	})
	manager, err := tokens.NewManager(fetcher)
	if err != nil {
		panic(err)
	}
	defer manager.Close()

	token, err := manager.Source(tokens.Key{Audience: "billing", Scope: "billing:write"}).Token(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(token, token.AccessToken() == "for-billing", token.Scopes())
	// Output: [secret] true [billing:write]
}

// A library that wants an oauth2.TokenSource, or a client that was made with package oauth2.
func ExampleTokenSource() {
	manager, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		return &tokens.Response{AccessToken: tokens.NewSecret("abc"), TokenType: "Bearer"}, nil
	}))
	if err != nil {
		panic(err)
	}
	defer manager.Close()
	billing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "Authorization: ", r.Header.Get("Authorization"))
	}))
	defer billing.Close()

	ctx := context.Background()
	source := manager.Source(tokens.Key{Resource: billing.URL})
	client := oauth2.NewClient(ctx, beareroauth2.TokenSource(ctx, source))
	response, err := client.Get(billing.URL)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(body))
	// Output: Authorization: Bearer abc
}

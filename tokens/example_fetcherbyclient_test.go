package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// customers stands for a table of a database: the secret of this service at each customer's
// authorization server.
type customers map[[2]string]tokens.Secret

func (db customers) secretOf(_ context.Context, issuer, id string) (tokens.Secret, error) {
	secret, ok := db[[2]string{issuer, id}]
	if !ok {
		return tokens.Secret{}, errors.New("there is no such customer")
	}
	return secret, nil
}

// newForCustomers returns one Manager for the clients of all customers. A secret that has changed
// is read from the database at the next request.
func newForCustomers(db customers) (*tokens.Manager, error) {
	return tokens.NewManager(tokens.FetcherByClient(func(_ context.Context, issuer, id string) (tokens.Fetcher, error) {
		client, err := oauth.NewClient(issuer, id, oauth.ClientSecretBasicFunc(func(ctx context.Context) (tokens.Secret, error) {
			return db.secretOf(ctx, issuer, id)
		}))
		if err != nil {
			return nil, err
		}
		return client.ClientCredentials(), nil
	}))
}

// A service has a client at the authorization server of each customer.
func ExampleFetcherByClient() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/.well-known/openid-configuration" {
			_, _ = fmt.Fprintf(w, `{"issuer":"http://%s","token_endpoint":"http://%[1]s/token"}`, r.Host)
			return
		}
		id, _, _ := r.BasicAuth()
		_, _ = fmt.Fprintf(w, `{"access_token":"for-%s","token_type":"Bearer","expires_in":3600}`, id)
	}))
	defer server.Close()

	manager, err := newForCustomers(customers{
		{server.URL, "at-acme"}:   tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw"),
		{server.URL, "at-globex"}: tokens.NewSecret("gX1fBat3bV"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()
	for _, id := range []string{"at-acme", "at-globex", "at-initech"} {
		token, err := manager.Source(tokens.Key{Issuer: server.URL, Client: id, Scope: "billing:write"}).Token(context.Background())
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(token.AccessToken())
	}
	// Output:
	// for-at-acme
	// for-at-globex
	// tokens: no token is available: tokens: token: the client's secret is not available: there is no such customer
}

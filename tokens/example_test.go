package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// obtain stands for a grant of package oauth, such as oauth.Client.ClientCredentials.
func obtain(context.Context, tokens.Request) (*tokens.Response, error) {
	return &tokens.Response{AccessToken: tokens.NewSecret("2YotnFZFEjr1zCsicMWpAA"), TokenType: "Bearer", ExpiresIn: time.Hour}, nil
}

// A Manager fetches one token for each key, and hands it out until it is to be renewed.
func ExampleManager() {
	fetches := 0
	manager, err := tokens.NewManager(tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
		fetches++
		return obtain(ctx, r)
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	source := manager.Source(tokens.Key{Resource: "https://billing.example.com", Scope: "billing:write"})
	for range 3 {
		token, err := source.Token(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(token) // it is a secret
	}
	fmt.Println("fetches:", fetches)
	// Output:
	// [secret]
	// [secret]
	// [secret]
	// fetches: 1
}

// A Transport attaches the token to the requests of a client, and to those of its key's resource
// alone.
func ExampleSource_Transport() {
	billing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "paid with ", r.Header.Get("Authorization"))
	}))
	defer billing.Close()

	manager, err := tokens.NewManager(tokens.FetcherFunc(obtain))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()
	transport, err := manager.Source(tokens.Key{Resource: billing.URL}).Transport(nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	client := &http.Client{Transport: transport}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, billing.URL, http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	fmt.Println(string(answer), err)
	// Output: paid with Bearer 2YotnFZFEjr1zCsicMWpAA <nil>
}

// While the authorization server is down, a caller without a token gets the error at once, and when
// to ask again.
func ExampleUnavailableError() {
	down := &tokens.Error{Op: "token", Status: http.StatusServiceUnavailable}
	manager, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		return nil, down
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	_, err = manager.Source(tokens.Key{}).Token(context.Background())
	if unavailable, ok := errors.AsType[*tokens.UnavailableError](err); ok {
		fmt.Println(unavailable, unavailable.RetryAfter > 0)
	}
	// Output: tokens: no token is available: tokens: token: status 503 true
}

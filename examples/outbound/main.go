// Command outbound calls an API with a token of its own:
//
//	ISSUER=https://login.example.com CLIENT_ID=orders CLIENT_SECRET=... API=https://billing.example.com go run ./examples/outbound
//
// newAPI is the part to copy from. The token is obtained with the first request, kept, and renewed
// ahead of its end.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func main() {
	client, err := oauth.NewClient(os.Getenv("ISSUER"), os.Getenv("CLIENT_ID"),
		oauth.ClientSecretBasic(tokens.NewSecret(os.Getenv("CLIENT_SECRET"))))
	if err != nil {
		log.Fatal(err)
	}
	api, stop, err := newAPI(client, os.Getenv("API"))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := get(context.Background(), api, os.Getenv("API"))
	if stop(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer)
}

// newAPI returns a client for the service at a URL. That service alone gets this client's token.
// Make one when the program starts, and stop it when it ends.
func newAPI(client *oauth.Client, url string) (api *http.Client, stop func(), err error) {
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		return nil, nil, err
	}
	transport, err := manager.Source(tokens.Key{Resource: url}).Transport(nil)
	if err != nil {
		return nil, nil, err
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, func() { _ = manager.Close() }, nil
}

func get(ctx context.Context, api *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := api.Do(request)
	if err != nil {
		return "", err // when there is no token, it is a *tokens.UnavailableError that says when to try again
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.Status + "\n" + string(body), err
}

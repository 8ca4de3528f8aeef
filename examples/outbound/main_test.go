package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// The API takes the token of the program, which is obtained once for two requests; and without an
// issuer there is none.
func TestOutbound(t *testing.T) {
	issuer := oauthtest.NewServer(bearertest.NewServer(t), oauthtest.WithClient("orders", "s3cret"))
	client, err := oauth.NewClient(issuer.URL(), "orders", oauth.ClientSecretBasic(tokens.NewSecret("s3cret")))
	if err != nil {
		t.Fatal(err)
	}

	protected := http.NewServeMux()
	server := httptest.NewServer(protected)
	defer server.Close()
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), server.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer auth.Close()
	protected.Handle("/", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		_, _ = w.Write([]byte("hello " + claims.ClientID()))
	})))

	api, stop, err := newAPI(client, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if answer, err := get(t.Context(), api, server.URL); err != nil || answer != "200 OK\nhello orders" {
			t.Errorf("answer %q, error %v", answer, err)
		}
	}
	if issuer.TokenRequests() != 1 {
		t.Errorf("%d tokens for two requests", issuer.TokenRequests())
	}
	stop()
	if _, err := get(t.Context(), api, server.URL); !errors.Is(err, tokens.ErrClosed) {
		t.Errorf("error %v after the end", err)
	}

	issuer.SetFault(bearertest.Down)
	api, stop, err = newAPI(client, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	_, err = get(t.Context(), api, server.URL)
	if _, ok := errors.AsType[*tokens.UnavailableError](err); !ok || !strings.Contains(err.Error(), "503") {
		t.Errorf("error %v without an issuer", err)
	}
}

func TestNoPlaceForTheToken(t *testing.T) {
	client, err := oauth.NewClient("https://login.example.com", "orders", oauth.NoClientAuth())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := newAPI(client, ""); err == nil {
		t.Error("a client for nowhere")
	}
}

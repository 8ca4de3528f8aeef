// Command onbehalfof shows a service that calls another one for its own caller: orders is guarded
// with package bearer, and exchanges the token of the request that it serves for one that billing
// takes. An issuer for trying out is part of it:
//
//	go run ./examples/onbehalfof
//
// It does so twice: with the token exchange of RFC 8693, and in the form that Microsoft Entra ID
// has for it. The parts to copy from are callerOf, exchange, entra and newOrders.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "onbehalfof:", err)
		os.Exit(1)
	}
}

// callerOf returns the token of the request that is being served, which the guard has verified.
// What is obtained for it is kept for this very token, and not handed out after its end. Without a
// token the zero value is refused.
func callerOf(ctx context.Context, _ tokens.Key) (oauth.SecurityToken, error) {
	token, _ := bearer.TokenFromContext(ctx)
	claims, _ := bearer.FromContext(ctx)
	return oauth.SecurityToken{Token: tokens.NewSecret(token.Reveal()), Expiry: claims.Expiry()}, nil
}

// exchange attaches a token for billing that was obtained by token exchange (RFC 8693).
func exchange(client *oauth.Client, billing string) (http.RoundTripper, error) {
	manager, err := tokens.NewManager(client.Exchange(callerOf))
	if err != nil {
		return nil, err
	}
	return manager.Source(tokens.Key{Resource: billing, Scope: "billing:write", Subject: "callers"}).Transport(nil)
}

// entra does the same with Microsoft Entra ID's on-behalf-of flow. There the scope names the
// service, so that the Transport has to be told where billing is.
func entra(client *oauth.Client, billing string) (http.RoundTripper, error) {
	manager, err := tokens.NewManager(client.JWTBearer(callerOf, oauth.WithParameter("requested_token_use", "on_behalf_of")))
	if err != nil {
		return nil, err
	}
	return manager.Source(tokens.Key{Scope: "api://billing/billing:write"}).Transport(nil, tokens.WithOrigins(billing))
}

// newOrders is the service in the middle. The request that it makes has the context of the one that
// it serves, which leads to the caller's token.
func newOrders(auth *bearer.Middleware, forCallers http.RoundTripper, billing string) http.Handler {
	client := &http.Client{Transport: forCallers, Timeout: 10 * time.Second}
	mux := http.NewServeMux()
	mux.Handle("POST /orders", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, billing+"/charges", http.NoBody)
		if err != nil {
			http.Error(w, "the order was not placed", http.StatusInternalServerError)
			return
		}
		response, err := client.Do(request)
		if err != nil {
			http.Error(w, "billing is not available", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, io.LimitReader(response.Body, 1<<10))
	}), bearer.Scopes("orders:write")))
	return mux
}

// newBilling is the service at the end. It takes tokens that are for it, and knows whom they are
// for and who calls.
func newBilling(auth *bearer.Middleware) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /charges", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "charged %s, called by %s", claims.Subject(), claims.ClientID())
	}), bearer.Scopes("billing:write")))
	return mux
}

// run shows both forms.
func run(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "Token exchange (RFC 8693)")
	if err := show(ctx, out, exchange); err != nil {
		return err
	}
	fmt.Fprintln(out, "Microsoft Entra ID's on-behalf-of flow")
	return show(ctx, out, entra)
}

// show puts the three together on this machine's loopback interface, and lets two people place
// orders.
func show(ctx context.Context, out io.Writer, obtain func(*oauth.Client, string) (http.RoundTripper, error)) error {
	var issuer, orders, billing server
	for _, s := range []*server{&issuer, &orders, &billing} {
		if err := s.listen(ctx); err != nil {
			return err
		}
		defer s.close()
	}
	const secret = "for trying out"
	authority := oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL(issuer.url)), oauthtest.WithClient("orders", secret))
	issuer.serve(printing(out, authority, map[string]string{billing.url: "http://billing"}))

	atBilling, err := bearer.New(bearer.WithIssuer(issuer.url, billing.url, bearer.Audiences("api://billing")))
	if err != nil {
		return err
	}
	defer func() { _ = atBilling.Close() }()
	billing.serve(newBilling(atBilling))

	client, err := oauth.NewClient(issuer.url, "orders", oauth.ClientSecretBasic(tokens.NewSecret(secret)))
	if err != nil {
		return err
	}
	forCallers, err := obtain(client, billing.url)
	if err != nil {
		return err
	}
	atOrders, err := bearer.New(bearer.WithIssuer(issuer.url, "orders"))
	if err != nil {
		return err
	}
	defer func() { _ = atOrders.Close() }()
	orders.serve(newOrders(atOrders, forCallers, billing.url))

	for _, person := range []string{"alice", "bob"} {
		token := authority.Token(bearertest.Claims{"sub": person, "aud": "orders", "scope": "orders:write"})
		for range 2 { // the second time orders has the token for billing
			status, body, err := place(ctx, orders.url, token)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s: POST /orders: %d %s\n", person, status, body)
		}
	}
	return nil
}

// place places an order.
func place(ctx context.Context, orders, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, orders+"/orders", http.NoBody)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return response.StatusCode, string(text), err
}

// printing prints what orders sends to the token endpoint, without the tokens in it.
func printing(out io.Writer, next http.Handler, names map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "the request cannot be read", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		for _, name := range []string{"subject_token", "assertion"} {
			if form.Has(name) {
				form.Set(name, "...")
			}
		}
		text, _ := url.QueryUnescape(form.Encode())
		for long, short := range names {
			text = strings.ReplaceAll(text, long, short)
		}
		fmt.Fprintf(out, "  orders asks the issuer:\n    %s\n", strings.ReplaceAll(text, "&", "\n    "))
		next.ServeHTTP(w, r)
	})
}

// server is one on the loopback interface.
type server struct {
	url      string
	listener net.Listener
	http     http.Server
}

func (s *server) listen(ctx context.Context) (err error) {
	var config net.ListenConfig
	if s.listener, err = config.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	s.url = "http://" + s.listener.Addr().String()
	return nil
}

func (s *server) serve(handler http.Handler) {
	s.http = http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.http.Serve(s.listener) }() // until close
}

func (s *server) close() {
	_ = s.http.Close()
	_ = s.listener.Close()
}

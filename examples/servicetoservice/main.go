// Command servicetoservice shows one service that calls another, both with this library: orders
// obtains a token with package tokens, and billing lets it in with package bearer. An issuer for
// trying out is part of it:
//
//	go run ./examples/servicetoservice
//
// It also shows what becomes of the calls while the issuer is down, and when billing does not
// accept a token any more. The parts to copy from are newOrders and newBilling.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
		fmt.Fprintln(os.Stderr, "servicetoservice:", err)
		os.Exit(1)
	}
}

// newBilling is the service that is called. It takes tokens of the issuer that are meant for it and
// have the scope.
func newBilling(auth *bearer.Middleware) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /charges", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "charged for %s", claims.ClientID())
	}), bearer.Scopes("billing:write")))
	return mux
}

// newOrders is the service that calls: an http.Client whose requests to billing, and to no other
// service, have the token.
func newOrders(manager *tokens.Manager, billing string) (*http.Client, error) {
	source := manager.Source(tokens.Key{Resource: billing, Scope: "billing:write"})
	transport, err := source.Transport(nil)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}

// charge is one call.
func charge(ctx context.Context, orders *http.Client, billing string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, billing+"/charges", strings.NewReader(`{"order":1}`))
	if err != nil {
		return 0, "", err
	}
	response, err := orders.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	return response.StatusCode, string(text), err
}

// run puts the three together on this machine's loopback interface, and shows what happens.
func run(ctx context.Context, out io.Writer) error {
	var issuer, billing server
	for _, s := range []*server{&issuer, &billing} {
		if err := s.listen(ctx); err != nil {
			return err
		}
		defer s.close()
	}
	const secret = "for trying out"
	authority := oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL(issuer.url)), oauthtest.WithClient("orders", secret))
	issuer.serve(authority)

	auth, err := bearer.New(bearer.WithIssuer(issuer.url, billing.url))
	if err != nil {
		return err
	}
	defer func() { _ = auth.Close() }()
	billing.serve(newBilling(auth))

	client, err := oauth.NewClient(issuer.url, "orders", oauth.ClientSecretBasic(tokens.NewSecret(secret)))
	if err != nil {
		return err
	}
	manager, err := tokens.NewManager(client.ClientCredentials())
	if err != nil {
		return err
	}
	defer func() { _ = manager.Close() }()
	orders, err := newOrders(manager, billing.url)
	if err != nil {
		return err
	}

	call := func(story string) error {
		status, body, err := charge(ctx, orders, billing.url)
		fmt.Fprintf(out, "%s\n    POST /charges: %d %s, tokens obtained so far: %d\n", story, status, body, authority.TokenRequests())
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("status %d", status)
		}
		return err
	}
	if err := call("The first call obtains a token."); err != nil {
		return err
	}
	if err := call("The second one has it."); err != nil {
		return err
	}
	authority.SetFault(bearertest.Down)
	if err := call("The issuer is down, without effect: orders has its token, and billing the issuer's keys."); err != nil {
		return err
	}
	authority.SetFault(bearertest.NoFault)
	authority.RotateWithoutOverlap()
	// Billing finds the new key with the first token that it signed.
	if _, err := auth.Guard().Verify(ctx, authority.Token(bearertest.Claims{"aud": billing.url})); err != nil {
		return err
	}
	return call("The issuer has withdrawn its key. Billing refuses the token, and orders calls again with a new one.")
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

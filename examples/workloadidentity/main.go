// Command workloadidentity shows a service that has no secret: it gets its own tokens with one that
// the platform keeps in a file for it, and renews there (workload identity federation). An
// authorization server and a platform for trying out are part of it:
//
//	go run ./examples/workloadidentity
//
// With ISSUER set it gets one token from a real provider. In a pod that Microsoft Entra ID knows,
// whose webhook sets the other three variables on its own:
//
//	export ISSUER=https://login.microsoftonline.com/$AZURE_TENANT_ID/v2.0 SCOPE=api://billing/.default
//	export AZURE_TENANT_ID=... AZURE_CLIENT_ID=... AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/tokens/azure-identity-token
//	go run ./examples/workloadidentity
//
// Elsewhere on Kubernetes, mount a token of the service account whose audience is the authorization
// server, and register its issuer and its sub there:
//
//	volumes:
//	- name: identity
//	  projected:
//	    sources:
//	    - serviceAccountToken: {audience: "https://login.example.com", path: token, expirationSeconds: 3600}
//
// The part to copy is newManager.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func main() {
	if err := start(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "workloadidentity:", err)
		os.Exit(1)
	}
}

// newManager obtains tokens for this service. The file is read for each request: the platform may
// replace it at any time.
func newManager(issuer, id, file string) (*tokens.Manager, error) {
	client, err := oauth.NewClient(issuer, id, oauth.ClientAssertionFile(file))
	if err != nil {
		return nil, err
	}
	return tokens.NewManager(client.ClientCredentials())
}

// start asks the provider that the environment names, or runs the trial.
func start(ctx context.Context, out io.Writer) error {
	issuer := os.Getenv("ISSUER")
	if issuer == "" {
		return run(ctx, out)
	}
	manager, err := newManager(issuer, os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	if err != nil {
		return err
	}
	token, err := manager.Source(tokens.Key{Scope: os.Getenv("SCOPE")}).Token(ctx)
	if err != nil {
		return errors.Join(err, manager.Close())
	}
	fmt.Fprintf(out, "The token is for %q, until %s.\n", token.Scopes(), token.Expiry().Format(time.TimeOnly))
	return manager.Close()
}

// run plays the platform: it writes the file, forgets to renew it, and renews it.
func run(ctx context.Context, out io.Writer) (err error) {
	const pod = "system:serviceaccount:shop:orders"
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	issuer := "http://" + listener.Addr().String()
	platform := bearertest.NewIssuer(bearertest.WithURL("https://cluster.test"), bearertest.WithAudience(issuer),
		bearertest.WithDefaultClaims(bearertest.Claims{"sub": pod}))
	authority := oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL(issuer)), oauthtest.WithFederatedClient("orders", platform, pod))
	server := &http.Server{Handler: authority, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // until Close
	defer func() { _ = server.Close() }()
	dir, err := os.MkdirTemp("", "workloadidentity")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "token")

	manager, err := newManager(issuer, "orders", file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.Close()) }()
	for _, step := range []struct {
		what, scope string // each scope needs a token of its own; one that was refused is asked for again within 5 minutes
		ends        time.Duration
	}{
		{"the file is there", "billing:read", time.Hour},
		{"the file was not renewed in time", "billing:write", -time.Minute},
		{"the file was replaced", "billing:cancel", time.Hour},
	} {
		text := platform.Token(bearertest.Claims{"exp": time.Now().Add(step.ends)})
		if err := replace(file, text); err != nil {
			return err
		}
		token, err := manager.Source(tokens.Key{Scope: step.scope}).Token(ctx)
		if refused, ok := errors.AsType[*tokens.Error](err); ok {
			fmt.Fprintf(out, "%s: %s\n", step.what, refused.Code)
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: a token for %q\n", step.what, token.Scopes())
	}
	return nil
}

// replace puts a complete file in the place of the old one, as the kubelet does.
func replace(file, text string) error {
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

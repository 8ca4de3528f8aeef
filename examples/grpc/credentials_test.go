package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// serveTLS runs the server of orders behind TLS, and returns its address and what trusts it.
func serveTLS(t *testing.T, issuer *bearertest.Issuer) (address string, trust *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	trust = x509.NewCertPool()
	trust.AddCert(web.Certificate())
	server, err := newServer(newAuth(t, issuer), grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: web.TLS.Certificates, NextProtos: []string{"h2"},
	})))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return listener.Addr().String(), trust
}

func TestCallsHaveTheServicesToken(t *testing.T) {
	issuer := bearertest.NewIssuer()
	address, trust := serveTLS(t, issuer)
	var failure error
	manager, err := tokens.NewManager(tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
		if failure != nil {
			return nil, failure
		}
		return &tokens.Response{
			AccessToken: tokens.NewSecret(issuer.Token(bearertest.Claims{"scope": "orders:read"})), TokenType: "Bearer", ExpiresIn: time.Hour,
		}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	source := manager.Source(tokens.Key{Scope: "orders:read"})
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(trust, "example.com")),
		grpc.WithPerRPCCredentials(perCall{source}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := new(wrapperspb.StringValue)
	if err := conn.Invoke(t.Context(), list, new(emptypb.Empty), answer); err != nil || answer.GetValue() != "the orders of alice" {
		t.Errorf("%q, %v", answer.GetValue(), err)
	}

	failure = errors.New("the issuer is down")
	source.Reset()
	err = conn.Invoke(t.Context(), list, new(emptypb.Empty), answer)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "the issuer is down") {
		t.Errorf("without a token: %v", err)
	}
}

// A call that is given up while it waits for a token ends as any other that is given up.
func TestCallEndsWhileItWaitsForAToken(t *testing.T) {
	manager, err := tokens.NewManager(tokens.FetcherFunc(func(ctx context.Context, _ tokens.Request) (*tokens.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (perCall{manager.Source(tokens.Key{})}).GetRequestMetadata(ctx); status.Code(err) != codes.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestTokensNeedTLS(t *testing.T) {
	_, err := grpc.NewClient("passthrough:///orders", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(perCall{}))
	if err == nil {
		t.Error("a connection without TLS takes the credentials")
	}
}

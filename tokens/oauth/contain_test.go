package oauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func TestDiscoveryOutlivesATransportThatPanics(t *testing.T) {
	for name, end := range tokenstest.Ends {
		t.Run(name, func(t *testing.T) {
			log := tokenstest.LogDefault(t)
			synctest.Test(t, func(t *testing.T) {
				server := tokenstest.NewServer()
				server.On(tokenstest.OpenIDPath, func(*http.Request, url.Values) (*http.Response, error) {
					end()
					return nil, io.EOF
				})
				_, err := fetchFrom(t, server)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" || strings.Contains(err.Error(), tokenstest.PanicText) {
					t.Errorf("Fetch: %v", err)
				}
			})
			if name == "panics" {
				log.Said(t, "the transport")
			}
		})
	}
}

// Package net/http asks for a certificate in a goroutine of its own.
func TestRequestOutlivesACertificateFunctionThatPanics(t *testing.T) {
	log := tokenstest.LogDefault(t)
	var shown []*x509.Certificate
	server := clientTLS(t, &shown, nil)
	auth := oauth.TLSClientAuthFunc(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { panic(tokenstest.PanicText) })
	c, err := oauth.NewClient(server.URL, "orders", auth, oauth.WithHTTPClient(server.Client()), oauth.WithTokenEndpoint(server.URL+"/mtls"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil || strings.Contains(err.Error(), tokenstest.PanicText) {
		t.Errorf("Fetch: %v", err)
	}
	log.Said(t, "the function")
}

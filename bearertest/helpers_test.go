package bearertest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
	"github.com/golang-jwt/jwt/v5"
)

// fatal runs f with a test of its own and returns the text that test failed with, or "" when it did
// not fail.
func fatal(tb testing.TB, f func(testing.TB)) string {
	tb.Helper()
	recorder := &failing{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(recorder)
	}()
	<-done
	return recorder.text
}

// failing is a test that notes how it failed instead of failing the test it runs in.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

var algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
}

const discoveryPath = "/.well-known/openid-configuration"

// get returns the status, the content type and the body of an answer.
func get(tb testing.TB, client *http.Client, address string) (int, string, []byte) {
	tb.Helper()
	got, err := issuertest.Exchange(client, issuertest.Request(tb.Context(), http.MethodGet, address, nil))
	if err != nil {
		tb.Fatal(err)
	}
	return got.StatusCode, got.Header.Get("Content-Type"), got.Content
}

// fetchKeys walks from the issuer's URL to its keys, as a resource server does, and returns the key
// set.
func fetchKeys(tb testing.TB, issuer *bearertest.Issuer) []byte {
	tb.Helper()
	address := strings.TrimSuffix(issuer.URL(), "/") + discoveryPath
	status, contentType, body := get(tb, issuer.Client(), address)
	if status != http.StatusOK || contentType != "application/json" {
		tb.Fatalf("discovery answers %d, %s: %s", status, contentType, body)
	}
	var document struct {
		Issuer  string   `json:"issuer"`
		JWKSURI string   `json:"jwks_uri"`
		Algs    []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		tb.Fatal(err)
	}
	if document.Issuer != issuer.URL() || !slices.Equal(document.Algs, []string{issuer.Algorithm()}) {
		tb.Errorf("the discovery document says %+v", document)
	}
	status, contentType, body = get(tb, issuer.Client(), document.JWKSURI)
	if status != http.StatusOK || contentType != "application/jwk-set+json" {
		tb.Fatalf("the key set answers %d, %s: %s", status, contentType, body)
	}
	if !json.Valid(body) || string(body) != string(issuer.KeySet()) {
		tb.Errorf("KeySet() is not what is served: %s", body)
	}
	return body
}

func publicKeyFits(t *testing.T, algorithm string, public crypto.PublicKey) {
	t.Helper()
	var ok bool
	switch algorithm[:2] {
	case "RS", "PS":
		_, ok = public.(*rsa.PublicKey)
	case "ES":
		_, ok = public.(*ecdsa.PublicKey)
	case "Ed":
		_, ok = public.(ed25519.PublicKey)
	}
	if !ok {
		t.Errorf("PublicKey() is a %T", public)
	}
}

// verifySignature checks the signature of an ES256 issuer's token and nothing else of it.
func verifySignature(issuer *bearertest.Issuer, token string) error {
	dot := strings.LastIndex(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return err
	}
	return jwt.SigningMethodES256.Verify(token[:dot], signature, issuer.PublicKey())
}

// conditional asks for the key set with these If-None-Match lines.
func conditional(tb testing.TB, issuer *bearertest.Issuer, method string, lines ...string) issuertest.Answer {
	tb.Helper()
	r := issuertest.Request(tb.Context(), method, issuer.URL()+"/jwks", nil)
	for _, line := range lines {
		r.Header.Add("If-None-Match", line)
	}
	got, err := issuertest.Exchange(issuer.Client(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

package jwks_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/jwks"
)

func ExampleNew() {
	// An issuer: two documents on a web server.
	mux := http.NewServeMux()
	issuer := httptest.NewServer(mux)
	defer issuer.Close()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, issuer.URL, issuer.URL+"/keys")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys": [
			{"kid": "2026-01", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
		]}`)
	})

	set, err := jwks.New(jwks.Discover(issuer.URL)) // fetches nothing yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()

	keys, err := set.Keys(context.Background(), "2026-01", "EdDSA")
	fmt.Printf("%d key, a %T, err %v\n", len(keys), keys[0].Public(), err)

	_, err = set.Keys(context.Background(), "2025-12", "EdDSA")
	fmt.Println(errors.Is(err, jwks.ErrKeyNotFound))

	// Output:
	// 1 key, a ed25519.PublicKey, err <nil>
	// true
}

func ExampleNew_mistakes() {
	_, err := jwks.New(jwks.Discover("http://login.example.com", jwks.WithLogger(nil)))
	fmt.Println(err)
	// Output:
	// jwks: WithLogger(nil): give a logger, or leave the option out
	// jwks: Discover("http://login.example.com"): the issuer is not https: anyone on the way could read or replace what is sent; give the https URL that the tokens have as iss
}

func ExampleSet_Keys_unavailable() {
	set, err := jwks.New(jwks.Remote("http://localhost:1/keys")) // nothing listens there
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()

	_, err = set.Keys(context.Background(), "2026-01", "RS256")
	var unavailable *jwks.UnavailableError
	switch {
	case errors.Is(err, jwks.ErrKeyNotFound):
		fmt.Println(http.StatusUnauthorized)
	case errors.As(err, &unavailable):
		fmt.Println(http.StatusServiceUnavailable, "Retry-After:", max(1, int(unavailable.RetryAfter.Seconds())))
	}
	// Output: 503 Retry-After: 1
}

func ExampleSet_Keyfunc() {
	public, private, _ := ed25519.GenerateKey(nil)
	text, _ := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "alice"}).SignedString(private)

	set, err := jwks.New(jwks.PublicKeys(public))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()

	token, err := jwt.Parse(text, set.Keyfunc().Keyfunc, jwt.WithValidMethods([]string{"EdDSA"}))
	fmt.Println(token.Claims.GetSubject())
	fmt.Println(err)
	// Output:
	// alice <nil>
	// <nil>
}

// A service that is restarted while its issuer is down.
func ExampleWithLastKnownGood() {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys": [
			{"kid": "2026-01", "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
		]}`)
	}))
	directory, err := os.MkdirTemp("", "keys") // in earnest, a directory of this service alone
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(directory) }()

	serve := func() {
		set, err := jwks.New(jwks.Remote(issuer.URL,
			jwks.WithLifetime(time.Minute, 15*time.Minute),                                // a withdrawn key is gone within a quarter of an hour
			jwks.WithMaxStaleness(12*time.Hour),                                           // how long an outage is bridged,
			jwks.WithLastKnownGood(filepath.Join(directory, "issuer.json"), 12*time.Hour), // over a restart as well
			jwks.WithLogger(slog.New(slog.DiscardHandler)),                                // for this example alone
		))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer set.Close()
		keys, err := set.Keys(context.Background(), "2026-01", "EdDSA")
		fmt.Println(len(keys), "key,", set.Stats().State, err)
	}
	serve()
	issuer.Close()
	serve()
	// Output:
	// 1 key, fresh <nil>
	// 1 key, stale <nil>
}

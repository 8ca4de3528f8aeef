package jwks_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

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
	_, err := jwks.New(jwks.Discover("http://login.example.com", jwks.Logger(nil)))
	fmt.Println(err)
	// Output:
	// jwks: Logger: the logger is nil; give one, or leave the option out
	// jwks: Discover: the issuer "http://login.example.com" is not https: anyone on the way could replace the keys; give the https URL that the tokens have as iss
}

func ExampleSet_Keys_unavailable() {
	set, err := jwks.New(jwks.Remote("http://localhost:1/keys")) // nobody listens there
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

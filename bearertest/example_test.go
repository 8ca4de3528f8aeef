package bearertest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// A service trusts an issuer inside the test process. Nothing listens on a socket, neither the issuer nor the service.
func Example() {
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		log.Fatal(err)
	}
	orders := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "the orders of %s", claims.Subject())
	}), bearer.Scopes("orders:read"))

	for _, token := range []string{
		issuer.Token(bearertest.Claims{"scope": "orders:read"}),
		issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(-time.Hour)}),
		issuer.Token(bearertest.Claims{"scope": "profile"}),
	} {
		request := httptest.NewRequestWithContext(context.Background(), "GET", "/orders", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		response := httptest.NewRecorder()
		orders.ServeHTTP(response, request)
		fmt.Println(response.Code, strings.TrimSpace(response.Body.String()))
	}
	// Output:
	// 200 the orders of alice
	// 401 {"title":"Unauthorized","status":401,"detail":"The access token expired","code":"token_expired"}
	// 403 {"title":"Forbidden","status":403,"detail":"The access token lacks a required scope","code":"insufficient_scope"}
}

// A handler that reads claims is tested alone, with neither a token nor the middleware.
func ExampleNewContext() {
	greet := func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "hello %s of %s", claims.Subject(), claims.Issuer())
	}

	t := new(testing.T) // in a test, the one it was given
	ctx := bearertest.NewContext(context.Background(), t, bearertest.Claims{"sub": "bob"})
	response := httptest.NewRecorder()
	greet(response, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	fmt.Println(response.Body)
	// Output: hello bob of https://issuer.test
}

// A service goes on with the keys it has while its issuer is down. Without any it cannot tell a good token from a bad
// one, and says so: 503 and not 401, for which its clients would throw good tokens away.
func ExampleIssuer_SetFault() {
	issuer := bearertest.NewIssuer()
	newService := func() http.Handler {
		auth, err := bearer.New(
			bearer.WithIssuer(issuer.URL(), issuer.Audience()),
			bearer.WithHTTPClient(issuer.Client()),
		)
		if err != nil {
			log.Fatal(err)
		}
		return auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}
	ask := func(service http.Handler) int {
		request := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
		request.Header.Set("Authorization", "Bearer "+issuer.Token())
		response := httptest.NewRecorder()
		service.ServeHTTP(response, request)
		return response.Code
	}

	warm, cold := newService(), newService()
	fmt.Println("before:", ask(warm))
	issuer.SetFault(bearertest.Down)
	fmt.Println("with keys:", ask(warm))
	fmt.Println("without:", ask(cold))
	// Output:
	// before: 200
	// with keys: 200
	// without: 503
}

// A service trusts two issuers, which share a server as the realms of Keycloak do, and reaches both by one client.
func ExampleClient() {
	staff := bearertest.NewIssuer(bearertest.WithURL("https://sso.test/realms/staff"))
	guests := bearertest.NewIssuer(bearertest.WithURL("https://sso.test/realms/guests"))
	auth, err := bearer.New(
		bearer.WithIssuer(staff.URL(), staff.Audience()),
		bearer.WithIssuer(guests.URL(), guests.Audience()),
		bearer.WithHTTPClient(bearertest.Client(staff, guests)),
	)
	if err != nil {
		log.Fatal(err)
	}

	for _, token := range []string{
		staff.Token(),
		guests.Token(bearertest.Claims{"sub": "bob"}),
		guests.Token(bearertest.Claims{"iss": staff.URL()}), // a guest who claims to be staff
	} {
		claims, err := auth.Guard().Verify(context.Background(), token)
		if refusal, ok := errors.AsType[*bearer.Error](err); ok {
			fmt.Println(refusal.Reason())
			continue
		}
		fmt.Println(claims.Subject(), "of", claims.Issuer())
	}
	// Output:
	// alice of https://sso.test/realms/staff
	// bob of https://sso.test/realms/guests
	// unknown_key
}

// Tokens that are signed well and wrong in one way, or signed by another issuer.
func ExampleIssuer_Sign() {
	issuer, other := bearertest.NewIssuer(), bearertest.NewIssuer()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		log.Fatal(err)
	}

	for _, token := range []string{
		issuer.Sign(bearertest.Claims{"typ": "logout+jwt"}),
		issuer.Sign(nil, bearertest.Claims{"aud": "https://other.test"}),
		issuer.Sign(nil, bearertest.Claims{"exp": nil}),
		other.Sign(nil),
		other.Sign(bearertest.Claims{"kid": issuer.KeyID()}),
	} {
		_, err := auth.Guard().Verify(context.Background(), token)
		if refusal, ok := errors.AsType[*bearer.Error](err); ok {
			fmt.Println(refusal.Reason())
		}
	}
	// Output:
	// type_not_allowed
	// wrong_audience
	// missing_claim
	// unknown_key
	// bad_signature
}

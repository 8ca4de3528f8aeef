package oauth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// callerOf returns the token of the request that is being served, which a guard of package bearer
// has verified. Without one it is empty, and refused.
func callerOf(ctx context.Context, _ tokens.Key) (oauth.SecurityToken, error) {
	token, _ := bearer.TokenFromContext(ctx)
	claims, _ := bearer.FromContext(ctx)
	return oauth.SecurityToken{Token: tokens.NewSecret(token.Reveal()), Expiry: claims.Expiry()}, nil
}

// newForCallers returns a client for another service. Its requests have a token of the caller whose
// request is being served, in exchange for the caller's own (RFC 8693). For Microsoft Entra ID the
// grant is client.JWTBearer(callerOf, oauth.WithParameter("requested_token_use", "on_behalf_of")),
// and the key has the Scope "api://billing/.default" instead of the Resource, so that the Transport
// needs tokens.WithOrigins.
func newForCallers(client *oauth.Client, service string) (*http.Client, error) {
	manager, err := tokens.NewManager(client.Exchange(callerOf))
	if err != nil {
		return nil, err
	}
	transport, err := manager.Source(tokens.Key{Resource: service, Subject: "callers"}).Transport(nil)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: transport}, nil
}

// The service orders calls billing for its own caller. What a token was exchanged for is kept for
// that token, and ends with it.
func Example_onBehalfOfTheCaller() {
	var atIssuer, atBilling http.ServeMux
	issuer, billing := httptest.NewServer(&atIssuer), httptest.NewServer(&atBilling)
	defer issuer.Close()
	defer billing.Close()
	authority := oauthtest.NewServer(bearertest.NewIssuer(bearertest.WithURL(issuer.URL)), oauthtest.WithClient("orders", "7Fjfp0ZBr1KtDRbnfVdmIw"))
	atIssuer.Handle("/", authority)
	guard, err := bearer.New(bearer.WithIssuer(issuer.URL, billing.URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	atBilling.Handle("/", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		_, _ = fmt.Fprintf(w, "for %s, by %s", claims.Subject(), claims.ClientID())
	})))

	client, err := oauth.NewClient(issuer.URL, "orders", oauth.ClientSecretBasic(tokens.NewSecret("7Fjfp0ZBr1KtDRbnfVdmIw")))
	if err != nil {
		fmt.Println(err)
		return
	}
	forCallers, err := newForCallers(client, billing.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL, "orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The context of the request leads to the caller's token.
		request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, billing.URL, http.NoBody)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		response, err := forCallers.Do(request)
		if err != nil {
			http.Error(w, "billing is not available", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	}))

	for _, token := range []string{
		authority.Token(bearertest.Claims{"sub": "alice", "aud": "orders"}),
		authority.Token(bearertest.Claims{"sub": "bob", "aud": "orders"}),
	} {
		for range 2 {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+token)
			orders.ServeHTTP(w, r)
			fmt.Println(w.Body, authority.TokenRequests())
		}
	}
	// Output:
	// for alice, by orders 1
	// for alice, by orders 1
	// for bob, by orders 2
	// for bob, by orders 2
}

package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// show makes a request and prints what a client sees of the answer.
func show(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("WWW-Authenticate"))))
}

// exampleAuth protects with an issuer that lives in the process, so that the examples run without a network.
func exampleAuth(opts ...bearer.Option) (*bearer.Middleware, *bearertest.Issuer) {
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(append(opts,
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()))...)
	if err != nil {
		panic(err)
	}
	return auth, issuer
}

// One line protects a handler. The second line that a newcomer writes reads who called.
func Example() {
	auth, issuer := exampleAuth()
	orders := func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		fmt.Println("the orders of", claims.Subject())
	}
	h := auth.Handler(http.HandlerFunc(orders), bearer.Scopes("orders:read"))

	show(h, inHeader(issuer.Token(bearertest.Claims{"sub": "alice", "scope": "orders:read"})))
	show(h, inHeader(issuer.Token(bearertest.Claims{"sub": "alice"})))
	show(h, inHeader(issuer.Token(bearertest.Claims{"exp": time.Now().Add(-time.Hour)})))
	show(h, httptest.NewRequest("GET", "/", nil))
	// Output:
	// the orders of alice
	// 200
	// 403 Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="orders:read"
	// 401 Bearer error="invalid_token", error_description="The access token expired"
	// 401 Bearer scope="orders:read"
}

// New reports every mistake at once. An unset variable is one of them.
func ExampleNew() {
	_, err := bearer.New(
		bearer.WithIssuer("http://login.example.com", "", bearer.Leeway(time.Hour)),
	)
	fmt.Println(err)
	var mistake *bearer.ConfigError
	fmt.Println(errors.As(err, &mistake))
	// Output:
	// bearer: WithIssuer("http://login.example.com", ""): the audience is empty; give the value this service has in the tokens' aud; is a variable unset?
	// bearer: Leeway(1h0m0s) for issuer "http://login.example.com": must be from 0 to 5m0s; fix the clock instead of tolerating more
	// bearer: WithIssuer("http://login.example.com"): the issuer is not https: anyone on the way could read or replace what is sent; give the https URL that the tokens have as iss, or say with JWKSURL, MetadataURL or Keys where its keys are
	// true
}

// Each issuer is a tuple of its own: here Keycloak for people, with its nested roles, and Amazon Cognito, whose access tokens
// have no aud.
func ExampleWithIssuer() {
	auth, err := bearer.New(
		bearer.WithIssuer("https://sso.example.com/realms/shop", "orders",
			bearer.RolesClaim("realm_access.roles"), bearer.Algorithms("RS256")),
		bearer.WithIssuer("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example", "1example23456789",
			bearer.AudienceClaim("client_id"), bearer.Algorithms("RS256")),
	)
	fmt.Println(auth != nil, err)
	// Output: true <nil>
}

// Require fits routers whose middleware is func(http.Handler) http.Handler. A group's guard and a route's guard work together:
// the token is verified once.
func ExampleMiddleware_Require() {
	auth, issuer := exampleAuth()
	routes := http.NewServeMux()
	routes.Handle("GET /me", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	routes.Handle("GET /admin", auth.Require(bearer.Roles("admin"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	h := auth.Require()(routes)

	token := issuer.Token()
	for _, path := range []string{"/me", "/admin"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		show(h, r)
	}
	// Output:
	// 200
	// 403 Bearer error="insufficient_scope", error_description="The access token lacks a required role"
}

// Verify is for tokens that do not come in an HTTP request.
func ExampleGuard_Verify() {
	auth, issuer := exampleAuth()
	claims, err := auth.Guard(bearer.Scopes("orders:read")).Verify(context.Background(), issuer.Token())
	var refusal *bearer.Error
	if errors.As(err, &refusal) {
		fmt.Println(claims, refusal.Reason(), refusal.StatusCode())
	}
	// Output: <nil> insufficient_scope 403
}

// A readiness probe starts the first fetch of the keys, and reports when requests can be served.
func ExampleMiddleware_ReadyHandler() {
	auth, _ := exampleAuth()
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", auth.ReadyHandler())
	show(mux, httptest.NewRequest("GET", "/readyz", nil))
	// Output: 200
}

// The service describes itself to clients, and every challenge points to the description (RFC 9728).
func ExampleMiddleware_ResourceMetadata() {
	auth, _ := exampleAuth(bearer.WithResourceMetadata(bearer.ResourceMetadata{
		Resource: "https://api.example.com/orders", Scopes: []string{"orders:read"},
	}))
	mux := http.NewServeMux()
	mux.Handle(auth.ResourceMetadata()) // in front of the guard: it is public
	mux.Handle("/orders", auth.Handler(http.NotFoundHandler()))

	show(mux, httptest.NewRequest("GET", "/orders", nil))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/oauth-protected-resource/orders", nil))
	fmt.Print(w.Body)
	// Output:
	// 401 Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/orders"
	// {"resource":"https://api.example.com/orders","authorization_servers":["https://issuer.test"],"scopes_supported":["orders:read"],"bearer_methods_supported":["header"]}
}

// Custom claims are decoded case-exactly.
func ExampleClaimsAs() {
	auth, issuer := exampleAuth()
	h := auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		custom, err := bearer.ClaimsAs[struct {
			Tenant string `json:"tenant"`
		}](r.Context())
		fmt.Println(custom.Tenant, err)
	}))
	h.ServeHTTP(httptest.NewRecorder(), inHeader(issuer.Token(bearertest.Claims{"tenant": "acme", "TENANT": "evil"})))
	// Output: acme <nil>
}

// A function of the application decides; what it returns is for the log and never sent.
func ExampleFunc() {
	auth, issuer := exampleAuth()
	sameTenant := bearer.Func("same tenant", func(r *http.Request, c *bearer.Claims) error {
		if r == nil || r.Header.Get("Tenant") != c.Subject() {
			return errors.New("another tenant's data")
		}
		return nil
	})
	show(auth.Handler(http.NotFoundHandler(), sameTenant), inHeader(issuer.Token()))
	// Output: 403 Bearer error="insufficient_scope", error_description="Access is not allowed"
}

// A payment requires strong and recent authentication (RFC 9470).
func ExampleACR() {
	auth, issuer := exampleAuth()
	pay := auth.Handler(http.NotFoundHandler(), bearer.ACR("phr"), bearer.AuthMaxAge(5*time.Minute))
	show(pay, inHeader(issuer.Token(bearertest.Claims{"acr": "pwd", "auth_time": time.Now()})))
	// Output: 401 Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="phr", max_age="300"
}

// Requirements combine.
func ExampleAny() {
	auth, issuer := exampleAuth()
	h := auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		bearer.Any(bearer.Roles("support"), bearer.All(bearer.Scopes("orders:read"), bearer.HasClaim("tenant", "acme"))))
	show(h, inHeader(issuer.Token(bearertest.Claims{"roles": []string{"support"}})))
	show(h, inHeader(issuer.Token(bearertest.Claims{"scope": "orders:read", "tenant": "acme"})))
	show(h, inHeader(issuer.Token(bearertest.Claims{"scope": "orders:read"})))
	// Output:
	// 200
	// 200
	// 403 Bearer error="insufficient_scope", error_description="The access token lacks a required role"
}

// A public page that greets users who are logged in. A bad token is still refused.
func ExampleOptional() {
	auth, issuer := exampleAuth()
	h := auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if claims, ok := bearer.FromContext(r.Context()); ok {
			fmt.Println("hello", claims.Subject())
		} else {
			fmt.Println("hello, stranger")
		}
	}), bearer.Optional())
	show(h, httptest.NewRequest("GET", "/", nil))
	show(h, inHeader(issuer.Token()))
	show(h, inHeader("forged"))
	// Output:
	// hello, stranger
	// 200
	// hello alice
	// 200
	// 401 Bearer error="invalid_token", error_description="The access token is malformed"
}

// One route of a browser application takes its token from a cookie, behind protection against cross-site requests.
func ExampleTokensFrom() {
	auth, issuer := exampleAuth()
	h := http.NewCrossOriginProtection().Handler(
		auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), bearer.TokensFrom(bearer.FromCookie("session"))))
	r := httptest.NewRequest("POST", "/", nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: issuer.Token()})
	show(h, r)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	show(h, r)
	// Output:
	// 200
	// 403
}

// An error handler writes the body; status, challenge and Cache-Control stay as they are.
func ExampleWithErrorHandler() {
	auth, _ := exampleAuth(bearer.WithErrorHandler(func(w http.ResponseWriter, r *http.Request, e *bearer.Error) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<h1>%s</h1>", html.EscapeString(e.Description()))
	}))
	w := httptest.NewRecorder()
	auth.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 401 <h1>An access token is required</h1>
}

// An observer counts decisions. Every field is fit for a metric's label.
func ExampleWithObserver() {
	auth, _ := exampleAuth(bearer.WithObserver(func(_ context.Context, e bearer.Event) {
		fmt.Printf("%s %s %q\n", e.Outcome, e.Reason, e.Issuer)
	}))
	auth.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), inHeader("x"))
	// Output: refused malformed_token ""
}

// Where the keys come from, for how long they are good, and what survives a restart.
func ExampleKeys() {
	const issuer = "https://login.example.com"
	auth, err := bearer.New(bearer.WithIssuer(issuer, "orders", bearer.Keys(jwks.Discover(issuer,
		jwks.WithMaxStaleness(6*time.Hour),
		jwks.WithLastKnownGood("/var/lib/orders/issuer-keys.json", 48*time.Hour),
		jwks.WithPublicAddressesOnly(),
	))))
	if err != nil {
		log.Fatal(err)
	}
	defer auth.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", auth.ReadyHandler())
	mux.Handle("GET /debug/keys", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // not for the public
		_ = json.NewEncoder(w).Encode(auth.Stats())
	}))
}

// Command iap runs behind Google's Identity-Aware Proxy, which logs people in and sends a token of
// its own with each request, in a header without a scheme. The service verifies it, so that a
// request that comes around the proxy is refused.
//
//	AUDIENCE=/projects/NUMBER/global/backendServices/ID DOMAIN=example.com go run ./examples/iap
//
// On App Engine the audience is /projects/NUMBER/apps/PROJECT.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
)

func main() {
	auth, err := newAuth(os.Getenv("AUDIENCE"))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(auth, os.Getenv("DOMAIN"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: ":8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at %s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

// newAuth takes the token from the proxy's header and from no other place: a token in the
// Authorization header is none.
func newAuth(audience string, opts ...bearer.Option) (*bearer.Middleware, error) {
	return bearer.New(append(opts,
		bearer.WithIssuer("https://cloud.google.com/iap", audience,
			bearer.JWKSURL("https://www.gstatic.com/iap/verify/public_key-jwk"),
			bearer.Algorithms("ES256")),
		bearer.WithTokensFrom(bearer.FromHeader("X-Goog-IAP-JWT-Assertion")),
	)...)
}

// newHandler lets in the people of one domain. The proxy has a list of its own, which may be wider.
// The load balancer's probes do not pass the proxy.
func newHandler(auth *bearer.Middleware, domain string) (http.Handler, error) {
	guard, err := auth.NewGuard(bearer.HasClaim("hd", domain))
	if err != nil {
		return nil, err // the domain is empty
	}
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", auth.ReadyHandler())
	mux.Handle("/", guard.Handler(http.HandlerFunc(home)))
	return mux, nil
}

// home greets the person. The claim has the address; X-Goog-Authenticated-User-Email is a header
// like any other, which a client can send as well.
func home(w http.ResponseWriter, r *http.Request) {
	person, err := bearer.ClaimsAs[struct {
		Email string `json:"email"`
	}](r.Context())
	if err != nil {
		http.Error(w, "the claims have another form", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "You are %s.\n", person.Email)
}

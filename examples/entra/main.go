// Command entra protects an API for the customers of a company, each of which has a tenant of
// Microsoft Entra ID. Every tenant is an issuer of its own, and all share their keys.
//
//	AUDIENCE=<application id> TENANTS=<tenant id>,<tenant id> go run ./examples/entra
//
// The API's manifest sets requestedAccessTokenVersion to 2, so that tokens have this form of
// issuer.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer"
)

func main() {
	tenants := new(customers)
	tenants.set(strings.Split(os.Getenv("TENANTS"), ",")) // yours come from a database
	auth, err := newAuth(os.Getenv("AUDIENCE"), tenants)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

// newAuth trusts the tenants that are customers. Anyone can have a tenant, so the template alone
// would trust everyone. A key that is published for one tenant, such as that of personal accounts,
// signs for that one alone.
func newAuth(audience string, tenants *customers, opts ...bearer.Option) (*bearer.Middleware, error) {
	return bearer.New(append(opts, bearer.WithIssuer(
		"https://login.microsoftonline.com/{tenantid}/v2.0", audience,
		bearer.IssuerTemplate("tid", tenants.accept),
		bearer.JWKSURL("https://login.microsoftonline.com/common/discovery/v2.0/keys"),
		bearer.AnyClaimPresent("scp", "roles"), // ID tokens of the same application have neither
	))...)
}

// customers are the tenants that may call. The zero value does not know them yet.
type customers struct {
	mu  sync.RWMutex
	ids map[string]bool
}

// set replaces the tenants. From then on a tenant that is not among them is refused, with tokens
// that were verified before, too.
func (c *customers) set(tenants []string) {
	ids := make(map[string]bool)
	for _, id := range tenants {
		ids[id] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = ids
}

// accept runs on every request, so it answers from memory. Before the tenants are known the answer
// is 503, and not that a customer is none.
func (c *customers) accept(_ context.Context, tenant string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch {
	case c.ids == nil:
		return bearer.ErrUnavailable
	case !c.ids[tenant]:
		return errors.New("the tenant is no customer")
	}
	return nil
}

// newHandler takes tokens of people, which have scopes, on one route, and those of programs, which
// have roles, on another.
func newHandler(auth *bearer.Middleware) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders", auth.Handler(http.HandlerFunc(orders), bearer.Scopes("Orders.Read")))
	mux.Handle("GET /export", auth.Handler(http.HandlerFunc(orders), bearer.Roles("Orders.Read.All")))
	return mux
}

// orders shows whose data a request is for. The pair of tenant and object id is the same in every
// application; sub differs.
func orders(w http.ResponseWriter, r *http.Request) {
	caller, err := bearer.ClaimsAs[struct {
		Tenant string `json:"tid"`
		Object string `json:"oid"`
	}](r.Context())
	if err != nil {
		http.Error(w, "the claims have another form", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "the orders of %s in %s\n", caller.Object, caller.Tenant)
}

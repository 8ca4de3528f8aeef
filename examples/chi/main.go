// Command chi protects an API of the chi router, which needs no adapter: its middleware is that of
// net/http.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run ./examples/chi
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/go-chi/chi/v5"
)

func main() {
	auth, err := bearer.New(bearer.WithIssuer(os.Getenv("ISSUER"), os.Getenv("AUDIENCE")))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware) http.Handler {
	router := chi.NewRouter()
	router.Group(func(api chi.Router) {
		api.Use(auth.Require()) // every route of the group takes a valid token
		api.Get("/me", me)
		api.With(auth.Require(bearer.Scopes("orders:read"))).Get("/orders", orders)
	})
	return router
}

func me(w http.ResponseWriter, r *http.Request) {
	claims, _ := bearer.FromContext(r.Context()) // behind the guard there are always claims
	fmt.Fprintf(w, "You are %s.\n", claims.Subject())
}

func orders(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "espresso machine, coffee beans")
}

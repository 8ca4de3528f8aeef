// Command nethttp protects an API of the standard library's net/http.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run ./examples/nethttp
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
	auth, err := bearer.New(bearer.WithIssuer(os.Getenv("ISSUER"), os.Getenv("AUDIENCE")))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware) http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /me", me)
	api.Handle("GET /orders", auth.Handler(http.HandlerFunc(orders), bearer.Scopes("orders:read")))
	return auth.Handler(api) // every route takes a valid token, known or not; /orders takes the scope as well
}

func me(w http.ResponseWriter, r *http.Request) {
	claims, _ := bearer.FromContext(r.Context()) // behind the guard there are always claims
	fmt.Fprintf(w, "You are %s.\n", claims.Subject())
}

func orders(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "espresso machine, coffee beans")
}

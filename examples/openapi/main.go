// Command openapi protects an API as its OpenAPI document says: each operation demands the scopes
// of its security requirement, and requests are validated. guard.go is the part to copy.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run .
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/getkin/kin-openapi/openapi3"
)

func main() {
	auth, err := bearer.New(bearer.WithIssuer(os.Getenv("ISSUER"), os.Getenv("AUDIENCE")))
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(auth, document)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware, document string) (http.Handler, error) {
	parsed, err := parse(document)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if err := mount(mux, auth, parsed, newAPI()); err != nil {
		return nil, err
	}
	return mux, nil
}

func parse(document string) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	parsed, err := loader.LoadFromData([]byte(document))
	if err != nil {
		return nil, err
	}
	return parsed, parsed.Validate(loader.Context)
}

// newAPI stands for the generated server. It has a route that is not in the document.
func newAPI() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "version 1") })
	api.HandleFunc("GET /debug", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "secrets") })
	api.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context()) // behind a guard there are always claims
		fmt.Fprintf(w, "You are %s.\n", claims.Subject())
	})
	api.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "an order") })
	api.HandleFunc("PUT /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "changed") })
	return api
}

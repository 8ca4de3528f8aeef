// Command cors protects an API of net/http that web pages of another origin call. CORS stands
// outside the guard: before it sends a token, a browser asks with an OPTIONS request that carries
// none, and the guard refuses OPTIONS like any other method; and a page sees an answer, also a
// refusal, only when that has CORS headers.
//
//	ISSUER=https://login.example.com AUDIENCE=orders ORIGIN=https://app.example.com go run ./examples/cors
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
	origin := os.Getenv("ORIGIN")
	if origin == "" {
		log.Fatal("ORIGIN is empty; give the origin of the web page, such as https://app.example.com")
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth, origin), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware, origin string) http.Handler {
	api := http.NewServeMux()
	api.Handle("GET /orders", auth.Handler(http.HandlerFunc(orders), bearer.Scopes("orders:read")))
	return cors(origin, api)
}

// cors lets the pages of one origin read the answers of next, and answers the browser's preflight
// requests itself.
func cors(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if r.Header.Get("Origin") != origin {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", "GET")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func orders(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "espresso machine, coffee beans")
}

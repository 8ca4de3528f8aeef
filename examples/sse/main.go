// Command sse streams server-sent events until the token of the request ends: it expires, its key is
// withdrawn, or the service shuts down.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run ./examples/sse
package main

import (
	"context"
	"errors"
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
	server.RegisterOnShutdown(func() { _ = auth.Close() }) // ends the streams, for which Shutdown waits
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders/events", auth.Handler(http.HandlerFunc(events), bearer.Scopes("orders:read")))
	return mux
}

func events(w http.ResponseWriter, r *http.Request) {
	ctx := bearer.UntilExpiry(r.Context()) // ends with the request or with its token
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprint(w, "event: order\ndata: espresso machine\n\n")
		case <-ctx.Done():
			// The client learns why, gets a new token, and opens the stream again.
			if refusal, ok := errors.AsType[*bearer.Error](context.Cause(ctx)); ok {
				fmt.Fprintf(w, "event: end\ndata: %s\n\n", refusal.Reason())
			}
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
}

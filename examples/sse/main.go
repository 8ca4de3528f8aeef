// Command sse protects a stream of server-sent events, which ends when its token does. The client
// gets another token, connects again with Last-Event-ID, and misses nothing.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run ./examples/sse
//
// A page reads the stream with fetch, which can send the Authorization header. EventSource cannot:
// it needs the token in a cookie ([bearer.FromCookie]). It connects again by itself and stops at
// 401.
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
	// No WriteTimeout, which would end every stream: each event has a deadline of its own.
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders/events", auth.Handler(http.HandlerFunc(events), bearer.Scopes("orders:read")))
	return mux
}

const (
	interval     = 15 * time.Second // between events
	writeTimeout = 10 * time.Second // for an event; a client that is gone is noticed by then
)

// events sends an event at once and one every interval, until the client is gone or its token ends.
func events(w http.ResponseWriter, r *http.Request) {
	ctx := bearer.UntilExpiry(r.Context())
	claims, _ := bearer.FromContext(ctx) // behind the guard there are always claims
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; send(w, "id: %d\ndata: order %d for %s\n\n", n, n, claims.Subject()) == nil; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if refusal, ok := errors.AsType[*bearer.Error](context.Cause(ctx)); ok { // or the client is gone
				_ = send(w, "event: end\ndata: %s\n\n", refusal.Reason())
			}
			return
		}
	}
}

func send(w http.ResponseWriter, format string, args ...any) error {
	connection := http.NewResponseController(w)
	if err := connection.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(w, format, args...); err != nil {
		return err
	}
	return connection.Flush()
}

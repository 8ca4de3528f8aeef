// Command websocket protects a WebSocket, which ends when its token does.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run .
//
// A page cannot set the Authorization header of a WebSocket. It sends the token as a subprotocol,
// beside the one that it speaks:
//
//	const entry = "base64url.bearer.authorization." +
//		btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
//	const socket = new WebSocket("wss://api.example.com/orders", ["orders.v1", entry]);
//	socket.onclose = (event) => { if (event.code === 3000) connectAgainWithAnotherToken(); };
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
	"github.com/coder/websocket"
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
	mux := http.NewServeMux()
	mux.Handle("GET /orders", auth.Handler(http.HandlerFunc(orders), bearer.Scopes("orders:read"),
		bearer.TokensFrom(bearer.FromHeader(), bearer.FromWebSocket())))
	return mux
}

// subprotocol is what both sides speak. A browser wants one of those that it offered, and the guard
// has taken the token out of them.
const subprotocol = "orders.v1"

// orders answers each message, until the client closes the connection or its token ends. Pages of
// other origins are turned away by Accept; see [websocket.AcceptOptions].
func orders(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow() //nolint:errcheck // it may be closed already

	ctx := bearer.UntilExpiry(r.Context())
	// The reader below works with the request's own context, because the end of the one that it is
	// given would break the connection off without a word.
	stop := context.AfterFunc(ctx, func() {
		if refusal, ok := errors.AsType[*bearer.Error](context.Cause(ctx)); ok {
			_ = conn.Close(closing(refusal))
		}
	})
	defer stop()

	claims, _ := bearer.FromContext(ctx) // behind the guard there are always claims
	for {
		_, message, err := conn.Read(r.Context())
		if err != nil || ctx.Err() != nil {
			return
		}
		answer := fmt.Appendf(nil, "%s for %s", message, claims.Subject())
		if err := conn.Write(r.Context(), websocket.MessageText, answer); err != nil {
			return
		}
	}
}

// closing returns the status of the close frame and its reason. 3000 is registered for a client
// that has to authenticate itself, and 1013 for one that can try again later.
func closing(refusal *bearer.Error) (websocket.StatusCode, string) {
	if refusal.StatusCode() == http.StatusServiceUnavailable {
		return websocket.StatusTryAgainLater, string(refusal.Reason())
	}
	return 3000, string(refusal.Reason())
}

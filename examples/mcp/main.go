// Command mcp protects a server of the Model Context Protocol, which speaks streamable HTTP. It
// publishes its metadata (RFC 9728), so that a client finds the authorization server by itself, and
// asks for a further scope when a tool needs one. guard.go is the part to copy.
//
//	ISSUER=https://login.example.com RESOURCE=https://mcp.example.com/mcp go run .
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	auth, err := newAuth(os.Getenv("ISSUER"), os.Getenv("RESOURCE"))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

// newAuth takes the URL at which clients reach the server, with its path. Clients compare it with
// the one in the metadata, and ask for tokens whose audience it is (RFC 8707).
func newAuth(issuer, resource string) (*bearer.Middleware, error) {
	return bearer.New(
		bearer.WithIssuer(issuer, resource),
		bearer.WithResourceMetadata(bearer.ResourceMetadata{
			Resource: resource,
			Name:     "Orders",
			Scopes:   []string{"orders:read", "orders:write"},
		}),
	)
}

func newHandler(auth *bearer.Middleware) http.Handler {
	who := tools{
		"list_orders":  auth.Guard(bearer.Scopes("orders:read")),
		"cancel_order": auth.Guard(bearer.Scopes("orders:write")),
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(who.enforce)
	mcp.AddTool(server, &mcp.Tool{Name: "list_orders", Description: "Lists your orders"}, listOrders)
	mcp.AddTool(server, &mcp.Tool{Name: "cancel_order", Description: "Cancels an order"}, cancelOrder)

	// Stateless is what makes the context of a call that of its own HTTP request, with the claims of
	// its own token. In a session the SDK gives every call the context of the request that began it: a
	// later caller, or a token that has expired meanwhile, would pass with the claims of the first.
	handler := mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true},
	)
	mux := http.NewServeMux()
	mux.Handle(auth.ResourceMetadata()) // public: a client reads it before it has a token
	mux.Handle("/mcp", auth.Handler(who.stepUp(handler), bearer.Scopes("orders:read")))
	return mux
}

type orderInput struct {
	Order string `json:"order" jsonschema:"the number of the order"`
}

func listOrders(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	claims, _ := bearer.FromContext(ctx) // behind the guard there are always claims
	return answer("the orders of " + claims.Subject()), nil, nil
}

func cancelOrder(ctx context.Context, _ *mcp.CallToolRequest, in orderInput) (*mcp.CallToolResult, any, error) {
	claims, _ := bearer.FromContext(ctx)
	return answer(claims.Subject() + " canceled " + in.Order), nil, nil
}

func answer(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

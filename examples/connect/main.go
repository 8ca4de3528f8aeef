// Command connect protects a service of Connect, which its clients call by the Connect protocol, by
// gRPC or by gRPC-Web. guard.go is the part to copy.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run .
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/bearer-go/bearer"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	auth, err := bearer.New(bearer.WithIssuer(os.Getenv("ISSUER"), os.Getenv("AUDIENCE")))
	if err != nil {
		log.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for gRPC without TLS, which is for loopback and tests
	server := &http.Server{
		Addr: "127.0.0.1:8080", Handler: newHandler(auth), Protocols: protocols,
		ReadHeaderTimeout: 5 * time.Second,
	}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

const (
	listOrders  = "/orders.v1.Orders/List"
	watchOrders = "/orders.v1.Orders/Watch"
)

func newHandler(auth *bearer.Middleware) http.Handler {
	read := auth.Guard(bearer.Scopes("orders:read"))
	guards := map[string]*bearer.Guard{listOrders: read, watchOrders: read}
	mux := http.NewServeMux()
	mount(mux, newService(connect.WithInterceptors(judging(guards))), guards)
	return mux
}

// newService stands for the generated NewOrdersHandler.
func newService(opts ...connect.HandlerOption) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(listOrders, connect.NewUnaryHandler(listOrders, list, opts...))
	mux.Handle(watchOrders, connect.NewBidiStreamHandler(watchOrders, watch, opts...))
	return mux
}

func list(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.StringValue], error) {
	return connect.NewResponse(wrapperspb.String(ordersOf(ctx))), nil
}

// watch answers each message with the orders.
func watch(ctx context.Context, stream *connect.BidiStream[emptypb.Empty, wrapperspb.StringValue]) error {
	for {
		if _, err := stream.Receive(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(wrapperspb.String(ordersOf(ctx))); err != nil {
			return err
		}
	}
}

func ordersOf(ctx context.Context) string {
	claims, _ := bearer.FromContext(ctx) // behind a guard there are always claims
	return "the orders of " + claims.Subject()
}

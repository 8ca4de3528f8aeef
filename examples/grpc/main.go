// Command grpc protects a gRPC service. guard.go is the part to copy; orders.go stands for your own
// service.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run .
package main

import (
	"log"
	"net"
	"os"

	"github.com/bearer-go/bearer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	auth, err := bearer.New(bearer.WithIssuer(os.Getenv("ISSUER"), os.Getenv("AUDIENCE")))
	if err != nil {
		log.Fatal(err)
	}
	server, err := newServer(auth)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:8080") //nolint:noctx // it lasts as long as the program
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("serving at %s", listener.Addr())
	log.Fatal(server.Serve(listener))
}

// newServer returns a server without TLS, for loopback and tests. Tokens must not cross a network
// in clear text: give it grpc.Creds, or put a proxy in front that speaks TLS.
func newServer(auth *bearer.Middleware, opts ...grpc.ServerOption) (*grpc.Server, error) {
	read := auth.Guard(bearer.Scopes("orders:read"))
	who := rules{
		guards: map[string]*bearer.Guard{
			"/orders.v1.Orders/List":             read,
			"/orders.v1.Orders/Watch":            read,
			"/orders.v1.Orders/Cancel":           auth.Guard(bearer.Scopes("orders:write")),
			"/grpc.health.v1.Health/List":        auth.Guard(),
			healthpb.Health_Watch_FullMethodName: auth.Guard(),
		},
		open: []string{healthpb.Health_Check_FullMethodName}, // probes have no token
	}
	server := grpc.NewServer(append(opts,
		grpc.ChainUnaryInterceptor(who.unary), grpc.ChainStreamInterceptor(who.stream))...)
	server.RegisterService(&ordersService, orders{})
	healthpb.RegisterHealthServer(server, health.NewServer())
	if err := who.check(server); err != nil {
		return nil, err
	}
	return server, nil
}

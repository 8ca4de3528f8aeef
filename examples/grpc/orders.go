package main

import (
	"context"

	"github.com/bearer-go/bearer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// orders is a service. Of what protoc generates for yours, ordersService is all that a server
// needs.
type orders struct{}

var ordersService = grpc.ServiceDesc{
	ServiceName: "orders.v1.Orders",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "List", Handler: handler("List", orders.list)},
		{MethodName: "Cancel", Handler: handler("Cancel", orders.cancel)},
	},
	Streams: []grpc.StreamDesc{{
		StreamName: "Watch", ServerStreams: true, ClientStreams: true,
		Handler: func(srv any, stream grpc.ServerStream) error { return srv.(orders).watch(stream) },
	}},
}

func (orders) list(ctx context.Context) (string, error) {
	claims, _ := bearer.FromContext(ctx) // behind a guard there are always claims
	return "the orders of " + claims.Subject(), nil
}

func (orders) cancel(context.Context) (string, error) { return "canceled", nil }

// watch answers each message with the orders.
func (o orders) watch(stream grpc.ServerStream) error {
	for {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		text, err := o.list(stream.Context())
		if err != nil {
			return err
		}
		if err := stream.SendMsg(wrapperspb.String(text)); err != nil {
			return err
		}
	}
}

func handler(name string, method func(orders, context.Context) (string, error)) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		in := new(emptypb.Empty)
		if err := decode(in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/orders.v1.Orders/" + name}
		return intercept(ctx, in, info, func(ctx context.Context, _ any) (any, error) {
			text, err := method(srv.(orders), ctx)
			return wrapperspb.String(text), err
		})
	}
}

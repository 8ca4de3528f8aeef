package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bearer-go/bearer"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// rules say who may call a server's methods. A method is named in full, such as
// "/orders.v1.Orders/List". One that has no guard and is not open is refused.
type rules struct {
	guards map[string]*bearer.Guard
	open   []string // methods that need no token, such as "/grpc.health.v1.Health/Check"
}

// check reports the methods of a server that have no rule, and the rules that are for no method.
// The interceptors refuse the former anyway; this tells of a misspelled name before the first
// request.
func (r rules) check(server *grpc.Server) error {
	var mistakes []error
	known := make(map[string]bool)
	for service, info := range server.GetServiceInfo() {
		for _, method := range info.Methods {
			name := "/" + service + "/" + method.Name
			known[name] = true
			if (r.guards[name] != nil) == slices.Contains(r.open, name) {
				mistakes = append(mistakes, fmt.Errorf("%s needs a guard, or to be open", name))
			}
		}
	}
	for name := range r.guards {
		if !known[name] {
			mistakes = append(mistakes, fmt.Errorf("the guard of %s is for no method", name))
		}
	}
	for _, name := range r.open {
		if !known[name] {
			mistakes = append(mistakes, fmt.Errorf("%s is open and no method", name))
		}
	}
	return errors.Join(mistakes...)
}

// unary is for [grpc.ChainUnaryInterceptor]. A handler finds the claims with [bearer.FromContext].
func (r rules) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	call, err := r.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return next(call.ctx(), req)
}

// stream is for [grpc.ChainStreamInterceptor]. A stream can outlive its token, so each message is
// judged again; that costs no signature.
func (r rules) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	call, err := r.authenticate(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return next(srv, &guardedStream{stream, call})
}

// authenticate has the guard of the method judge the metadata. What the guard gets is a request
// with the authorization values of the metadata, all of them and nothing else: so it refuses a
// second value, another scheme and a malformed one as it does for HTTP.
func (r rules) authenticate(ctx context.Context, method string) (*call, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	c := &call{
		guard:   r.guards[method],
		request: (&http.Request{Method: http.MethodPost, Pattern: method, Header: make(http.Header)}).WithContext(ctx),
	}
	if values := md.Get("authorization"); len(values) > 0 {
		c.request.Header["Authorization"] = values
	}
	switch {
	case slices.Contains(r.open, method):
		c.guard = nil
		return c, nil
	case c.guard == nil:
		return nil, status.Error(codes.PermissionDenied, "The method has no rule")
	}
	return c, c.judge()
}

// call is a call whose metadata was judged.
type call struct {
	guard   *bearer.Guard // nil: the method is open
	request *http.Request
}

func (c *call) ctx() context.Context { return c.request.Context() }

func (c *call) judge() error {
	if c.guard == nil {
		return nil
	}
	request, err := c.guard.Authenticate(c.request)
	if err != nil {
		return refusal(c.ctx(), err)
	}
	c.request = request
	return nil
}

// guardedStream has the context with the claims. A handler may send and receive at the same time,
// so the call does not change any more.
type guardedStream struct {
	grpc.ServerStream
	call *call
}

func (s *guardedStream) Context() context.Context { return s.call.ctx() }

func (s *guardedStream) SendMsg(m any) error {
	if err := s.again(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

func (s *guardedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.again()
}

func (s *guardedStream) again() error {
	message := *s.call
	return message.judge()
}

// statusCodes are chosen so that a gateway between HTTP and gRPC gives each refusal the status that
// it has in HTTP. A client gets a new token for Unauthenticated, and tries again after Unavailable.
var statusCodes = map[int]codes.Code{
	http.StatusBadRequest:         codes.InvalidArgument, // two credentials, or a malformed one
	http.StatusUnauthorized:       codes.Unauthenticated,
	http.StatusForbidden:          codes.PermissionDenied,
	http.StatusServiceUnavailable: codes.Unavailable,
}

// refusal is what the client gets: a fixed text, the reason in capitals as [errdetails.ErrorInfo]
// has them, when to try again, and the challenge as header "www-authenticate". It must not be in
// the trailer (RFC 9110 section 6.5.1), so a stream that has begun ends without one.
func refusal(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*bearer.Error](err)
	if !ok {
		return status.Error(codes.Internal, "The call could not be judged")
	}
	code, ok := statusCodes[refused.StatusCode()]
	if !ok {
		code = codes.Internal
	}
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason: strings.ToUpper(string(refused.Reason())),
		Domain: "github.com/bearer-go/bearer",
	}}
	if code == codes.Unavailable {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(refused.RetryAfter())})
	}
	if challenges := refused.Challenges(); challenges != nil {
		_ = grpc.SetHeader(ctx, metadata.MD{"www-authenticate": challenges}) // fails if it was sent
	}
	answer := status.New(code, refused.Description())
	if detailed, err := answer.WithDetails(details...); err == nil {
		answer = detailed
	}
	return answer.Err()
}

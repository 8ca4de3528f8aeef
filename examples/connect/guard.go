package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"github.com/bearer-go/bearer"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// mount serves procedures that need a token. A procedure is named as generated code names it, such
// as "/orders.v1.Orders/List". One that has no guard is not served at all.
//
// The guard stands before the handler, and not among its interceptors: so a request without a good
// token is refused before its message is read.
func mount(mux *http.ServeMux, service http.Handler, procedures map[string]*bearer.Guard) {
	for procedure, guard := range procedures {
		mux.Handle(procedure, protect(guard, service))
	}
}

// protect answers a refusal in the protocol that the request speaks: Connect, gRPC or gRPC-Web. To
// a client that speaks none of them it is what [bearer.Guard.Handler] would answer.
func protect(guard *bearer.Guard, next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := guard.Authenticate(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, request)
		case writer.IsSupported(r):
			setHeader(w.Header(), err)
			_ = writer.Write(w, r, refusal(err)) // fails when the client is gone
		default:
			guard.WriteError(w, r, err)
		}
	})
}

// judging is an interceptor for streams, which can outlive their token: each message is judged
// again by the guard of its procedure. That costs no signature.
type judging map[string]*bearer.Guard

// WrapUnary adds nothing: the message of a unary call comes with the token.
func (judging) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return next }

// WrapStreamingClient adds nothing: this is a server.
func (judging) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler judges what a stream receives and sends.
func (j judging) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		guard := j[conn.Spec().Procedure]
		if guard == nil {
			return connect.NewError(connect.CodePermissionDenied, errors.New("the procedure has no rule"))
		}
		return next(ctx, &judgedConn{conn, func() error {
			verified := (&http.Request{Method: http.MethodPost, Pattern: conn.Spec().Procedure}).WithContext(ctx)
			if _, err := guard.Authenticate(verified); err != nil {
				return refusal(err)
			}
			return nil
		}})
	}
}

type judgedConn struct {
	connect.StreamingHandlerConn
	again func() error
}

func (c *judgedConn) Receive(m any) error {
	if err := c.StreamingHandlerConn.Receive(m); err != nil {
		return err
	}
	return c.again()
}

func (c *judgedConn) Send(m any) error {
	if err := c.again(); err != nil {
		return err
	}
	return c.StreamingHandlerConn.Send(m)
}

// connectCodes are those that the Connect protocol sends with the status that the refusal has in
// HTTP. A client gets a new token for Unauthenticated, and tries again after Unavailable.
var connectCodes = map[int]connect.Code{
	http.StatusBadRequest:         connect.CodeInvalidArgument, // two credentials, or a malformed one
	http.StatusUnauthorized:       connect.CodeUnauthenticated,
	http.StatusForbidden:          connect.CodePermissionDenied,
	http.StatusServiceUnavailable: connect.CodeUnavailable,
}

// refusal is what the client gets: a fixed text, the reason in capitals as [errdetails.ErrorInfo]
// has them, and when to try again.
func refusal(err error) *connect.Error {
	refused, ok := errors.AsType[*bearer.Error](err)
	if !ok {
		return connect.NewError(connect.CodeInternal, errors.New("the call could not be judged"))
	}
	code, ok := connectCodes[refused.StatusCode()]
	if !ok {
		code = connect.CodeInternal
	}
	answer := connect.NewError(code, errors.New(refused.Description()))
	details := []proto.Message{&errdetails.ErrorInfo{
		Reason: strings.ToUpper(string(refused.Reason())),
		Domain: "github.com/bearer-go/bearer",
	}}
	if code == connect.CodeUnavailable {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(refused.RetryAfter())})
	}
	for _, detail := range details {
		if d, err := connect.NewErrorDetail(detail); err == nil {
			answer.AddDetail(d)
		}
	}
	return answer
}

// setHeader sets what a refusal has in the header, where a client finds it in [connect.Error.Meta].
// WWW-Authenticate must not be in a trailer (RFC 9110 section 6.5.1), and package net/http leaves
// it out there.
func setHeader(header http.Header, err error) {
	header.Set("Cache-Control", "no-store")
	refused, ok := errors.AsType[*bearer.Error](err)
	if !ok {
		return
	}
	header["Www-Authenticate"] = refused.Challenges()
	if wait := refused.RetryAfter(); wait > 0 {
		header.Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	}
}

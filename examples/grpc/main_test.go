package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	list   = "/orders.v1.Orders/List"
	watch  = "/orders.v1.Orders/Watch"
	cancel = "/orders.v1.Orders/Cancel"
)

func newAuth(t *testing.T, issuer *bearertest.Issuer, opts ...bearer.IssuerOption) *bearer.Middleware {
	t.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience(), opts...),
		bearer.WithHTTPClient(issuer.Client()),
		bearer.WithRealm("orders"),
		bearer.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return auth
}

// serve runs a server on a connection in memory, and returns a client of it.
func serve(t *testing.T, server *grpc.Server) *grpc.ClientConn {
	t.Helper()
	listener := bufconn.Listen(64 << 10)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///orders",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-served
	})
	return conn
}

func newClient(t *testing.T, auth *bearer.Middleware) *grpc.ClientConn {
	t.Helper()
	server, err := newServer(auth)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, server)
}

// invoke calls a unary method with these values of authorization, and returns the
// answer and its header.
func invoke(ctx context.Context, conn *grpc.ClientConn, method string, authorization ...string) (string, metadata.MD, error) {
	var header metadata.MD
	answer := new(wrapperspb.StringValue)
	err := conn.Invoke(with(ctx, authorization...), method, new(emptypb.Empty), answer, grpc.Header(&header))
	return answer.GetValue(), header, err
}

func with(ctx context.Context, authorization ...string) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.MD{"authorization": authorization})
}

// reasonOf returns the reason in the details of an error, and after how long to try again.
func reasonOf(err error) (reason string, retry time.Duration) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.RetryInfo:
			retry = detail.GetRetryDelay().AsDuration()
		}
	}
	return reason, retry
}

func TestMethodsAdmitWhoMay(t *testing.T) {
	issuer := bearertest.NewIssuer()
	conn := newClient(t, newAuth(t, issuer))
	reader := issuer.Token(bearertest.Claims{"scope": "orders:read"})
	expired := issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(-time.Hour)})
	other := issuer.Token(bearertest.Claims{"scope": "orders:read", "aud": "billing"})
	for _, test := range []struct {
		name, method  string
		authorization []string
		code          codes.Code
		reason        string
		challenge     string // a part of it
	}{
		{"a good token", list, []string{"Bearer " + reader}, codes.OK, "", ""},
		{"a scheme in lower case", list, []string{"bearer " + reader}, codes.OK, "", ""},
		{"none", list, nil, codes.Unauthenticated, "MISSING_TOKEN", `Bearer realm="orders", scope="orders:read"`},
		{"expired", list, []string{"Bearer " + expired}, codes.Unauthenticated, "TOKEN_EXPIRED", `error="invalid_token"`},
		{"another audience", list, []string{"Bearer " + other}, codes.Unauthenticated, "WRONG_AUDIENCE", `error="invalid_token"`},
		{"another scope", cancel, []string{"Bearer " + reader}, codes.PermissionDenied, "INSUFFICIENT_SCOPE", `scope="orders:write"`},
		{"the token twice", list, []string{"Bearer " + reader, "Bearer " + reader}, codes.InvalidArgument, "MULTIPLE_TOKENS", `error="invalid_request"`},
		{"two in one value", list, []string{"Bearer " + reader + ", Bearer " + reader}, codes.InvalidArgument, "MALFORMED_REQUEST", `error="invalid_request"`},
		{"a good token and an empty value", list, []string{"Bearer " + reader, ""}, codes.InvalidArgument, "MULTIPLE_TOKENS", `error="invalid_request"`},
		{"without a scheme", list, []string{reader}, codes.Unauthenticated, "OTHER_SCHEME", `Bearer realm="orders"`},
		{"another scheme", list, []string{"Basic YTpi"}, codes.Unauthenticated, "OTHER_SCHEME", `Bearer realm="orders"`},
		{"the scheme alone", list, []string{"Bearer"}, codes.InvalidArgument, "MALFORMED_REQUEST", `error="invalid_request"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, header, err := invoke(t.Context(), conn, test.method, test.authorization...)
			if status.Code(err) != test.code {
				t.Fatalf("%v, want %v", err, test.code)
			}
			if err == nil {
				if answer != "the orders of alice" {
					t.Errorf("answer %q", answer)
				}
				return
			}
			if reason, _ := reasonOf(err); reason != test.reason {
				t.Errorf("reason %q, want %q", reason, test.reason)
			}
			challenges := header.Get("www-authenticate")
			if len(challenges) != 1 || !strings.Contains(challenges[0], test.challenge) {
				t.Errorf("challenges %q, want %q", challenges, test.challenge)
			}
			if text := status.Convert(err).Message(); strings.Contains(text, reader) || strings.Contains(text, "alice") {
				t.Errorf("the message is %q", text)
			}
		})
	}
}

// Without keys a call is Unavailable, and says when to try again. It is never Unauthenticated.
func TestIssuerDown(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.SetFault(bearertest.Down)
	conn := newClient(t, newAuth(t, issuer))
	_, header, err := invoke(t.Context(), conn, list, "Bearer "+issuer.Token(bearertest.Claims{"scope": "orders:read"}))
	if status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	if reason, retry := reasonOf(err); reason != "KEYS_UNAVAILABLE" || retry < time.Second {
		t.Errorf("reason %q, retry after %v", reason, retry)
	}
	if challenges := header.Get("www-authenticate"); len(challenges) > 0 {
		t.Errorf("challenges %q", challenges)
	}
}

func newStream(ctx context.Context, t *testing.T, conn *grpc.ClientConn, method string, authorization ...string) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(with(ctx, authorization...),
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// ask sends a message and receives the answer.
func ask(stream grpc.ClientStream) (string, error) {
	if err := stream.SendMsg(new(emptypb.Empty)); err != nil && !errors.Is(err, io.EOF) { // RecvMsg has the error
		return "", err
	}
	answer := new(wrapperspb.StringValue)
	err := stream.RecvMsg(answer)
	return answer.GetValue(), err
}

func TestStreamsAdmitWhoMay(t *testing.T) {
	issuer := bearertest.NewIssuer()
	conn := newClient(t, newAuth(t, issuer))
	reader := "Bearer " + issuer.Token(bearertest.Claims{"scope": "orders:read"})
	for _, test := range []struct {
		name          string
		authorization []string
		code          codes.Code
		reason        string
	}{
		{"a good token", []string{reader}, codes.OK, ""},
		{"none", nil, codes.Unauthenticated, "MISSING_TOKEN"},
		{"the token twice", []string{reader, reader}, codes.InvalidArgument, "MULTIPLE_TOKENS"},
		{"another scope", []string{"Bearer " + issuer.Token()}, codes.PermissionDenied, "INSUFFICIENT_SCOPE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stream := newStream(t.Context(), t, conn, watch, test.authorization...)
			answer, err := ask(stream)
			if status.Code(err) != test.code || err == nil && answer != "the orders of alice" {
				t.Errorf("answer %q, error %v, want %v", answer, err, test.code)
			}
			if reason, _ := reasonOf(err); reason != test.reason {
				t.Errorf("reason %q, want %q", reason, test.reason)
			}
			if header, _ := stream.Header(); err != nil && len(header.Get("www-authenticate")) != 1 {
				t.Errorf("header %v", header)
			}
		})
	}
}

// Nothing passes through a stream whose token has expired.
func TestStreamEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		conn := newClient(t, newAuth(t, issuer, bearer.Leeway(0)))
		token := issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(time.Minute)})
		stream := newStream(t.Context(), t, conn, watch, "Bearer "+token)
		if _, err := ask(stream); err != nil {
			t.Fatal(err)
		}
		<-time.After(59 * time.Second)
		if _, err := ask(stream); err != nil {
			t.Errorf("%v before the end", err)
		}
		<-time.After(time.Second)
		_, err := ask(stream)
		if reason, _ := reasonOf(err); status.Code(err) != codes.Unauthenticated || reason != "TOKEN_EXPIRED" {
			t.Errorf("%v after the end", err)
		}
	})
}

func TestOnlyListedMethodsAreOpen(t *testing.T) {
	issuer := bearertest.NewIssuer()
	conn := newClient(t, newAuth(t, issuer))
	client := healthpb.NewHealthClient(conn)
	if _, err := client.Check(t.Context(), new(healthpb.HealthCheckRequest)); err != nil {
		t.Errorf("%v for a probe", err)
	}
	if _, err := client.List(t.Context(), new(healthpb.HealthListRequest)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v for a method that is not open", err)
	}
	updates, err := client.Watch(t.Context(), new(healthpb.HealthCheckRequest))
	if err == nil {
		_, err = updates.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v for a stream that is not open", err)
	}
}

// A method without a rule is refused, and so is one whose guard is nil.
func TestMethodsWithoutRule(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	who := rules{guards: map[string]*bearer.Guard{list: nil, "/orders.v1.Orders/Lits": auth.Guard()}, open: []string{"/x/Y"}}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(who.unary), grpc.ChainStreamInterceptor(who.stream))
	server.RegisterService(&ordersService, orders{})
	mistakes := who.check(server)
	for _, name := range []string{list, watch, cancel, "/orders.v1.Orders/Lits", "/x/Y"} {
		if mistakes == nil || !strings.Contains(mistakes.Error(), name) {
			t.Errorf("check says %v, and nothing of %s", mistakes, name)
		}
	}
	conn := serve(t, server)
	token := "Bearer " + issuer.Token(bearertest.Claims{"scope": "orders:read orders:write"})
	for _, method := range []string{list, cancel} {
		if _, _, err := invoke(t.Context(), conn, method, token); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", method, err)
		}
	}
	if _, err := ask(newStream(t.Context(), t, conn, watch, token)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("%s: %v", watch, err)
	}
}

// A panic in a guard goes up to the interceptor that recovers, and the handler does not run.
func TestPanicOpensNothing(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	who := rules{guards: map[string]*bearer.Guard{list: auth.Guard(bearer.Func("broken",
		func(*http.Request, *bearer.Claims) error { panic("broken") }))}}
	var reached []string
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
			defer func() {
				if recover() != nil {
					err = status.Error(codes.Internal, "internal")
				}
			}()
			return next(ctx, req)
		},
		who.unary,
		func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			reached = append(reached, info.FullMethod)
			return next(ctx, req)
		},
	))
	server.RegisterService(&ordersService, orders{})
	conn := serve(t, server)
	if _, _, err := invoke(t.Context(), conn, list, "Bearer "+issuer.Token()); status.Code(err) != codes.Internal {
		t.Error(err)
	}
	if slices.Contains(reached, list) {
		t.Error("the handler ran")
	}
}

// oneMessage is a stream that has a message to receive, and notes whether one was sent.
type oneMessage struct {
	grpc.ServerStream
	sent bool
}

func (s *oneMessage) RecvMsg(any) error { return nil }
func (s *oneMessage) SendMsg(any) error { s.sent = true; return nil }

// Each direction is judged by itself: here, after the end of the Middleware.
func TestBothDirectionsAreJudged(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	who := rules{guards: map[string]*bearer.Guard{watch: auth.Guard()}}
	call, err := who.authenticate(metadata.NewIncomingContext(t.Context(),
		metadata.MD{"authorization": {"Bearer " + issuer.Token()}}), watch)
	if err != nil {
		t.Fatal(err)
	}
	below := new(oneMessage)
	stream := &guardedStream{below, call}
	if stream.RecvMsg(nil) != nil || stream.SendMsg(nil) != nil || !below.sent {
		t.Error("nothing passes")
	}
	below.sent = false
	_ = auth.Close()
	if err := stream.RecvMsg(nil); status.Code(err) != codes.Unavailable {
		t.Errorf("%v for a message received", err)
	}
	if err := stream.SendMsg(nil); status.Code(err) != codes.Unavailable || below.sent {
		t.Errorf("%v for a message to send, sent %v", err, below.sent)
	}
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func newAuth(t *testing.T, issuer *bearertest.Issuer) *bearer.Middleware {
	t.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
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

// serve serves HTTP/2, which a stream in both directions needs.
func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// protocols are those that one handler speaks.
var protocols = map[string][]connect.ClientOption{
	"Connect":  nil,
	"gRPC":     {connect.WithGRPC()},
	"gRPC-Web": {connect.WithGRPCWeb()},
}

type (
	request  = emptypb.Empty
	response = wrapperspb.StringValue
)

func callUnary(ctx context.Context, server *httptest.Server, opts []connect.ClientOption, authorization ...string) (string, error) {
	call := connect.NewRequest(new(request))
	call.Header()["Authorization"] = authorization
	client := connect.NewClient[request, response](server.Client(), server.URL+listOrders, opts...)
	answer, err := client.CallUnary(ctx, call)
	if err != nil {
		return "", err
	}
	return answer.Msg.GetValue(), nil
}

func newStream(t *testing.T, server *httptest.Server, opts []connect.ClientOption, authorization ...string) *connect.BidiStreamForClient[request, response] {
	t.Helper()
	stream := connect.NewClient[request, response](server.Client(), server.URL+watchOrders, opts...).CallBidiStream(t.Context())
	stream.RequestHeader()["Authorization"] = authorization
	t.Cleanup(func() {
		_ = stream.CloseRequest()
		_ = stream.CloseResponse()
	})
	return stream
}

func ask(stream *connect.BidiStreamForClient[request, response]) (string, error) {
	_ = stream.Send(new(request)) // Receive has the error
	answer, err := stream.Receive()
	if err != nil {
		return "", err
	}
	return answer.GetValue(), nil
}

// reasonOf returns the reason in the details of an error, and after how long to try again.
func reasonOf(t *testing.T, err error) (reason string, retry time.Duration) {
	t.Helper()
	refused, ok := errors.AsType[*connect.Error](err)
	if !ok {
		t.Fatalf("%v is no error of Connect", err)
	}
	for _, detail := range refused.Details() {
		value, err := detail.Value()
		if err != nil {
			t.Fatal(err)
		}
		switch value := value.(type) {
		case *errdetails.ErrorInfo:
			reason = value.GetReason()
		case *errdetails.RetryInfo:
			retry = value.GetRetryDelay().AsDuration()
		}
	}
	return reason, retry
}

// A refusal is the same in each protocol, for unary calls and for streams.
func TestProceduresAdmitWhoMay(t *testing.T) {
	issuer := bearertest.NewIssuer()
	server := serve(t, newHandler(newAuth(t, issuer)))
	reader := "Bearer " + issuer.Token(bearertest.Claims{"scope": "orders:read"})
	expired := "Bearer " + issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(-time.Hour)})
	for _, test := range []struct {
		name          string
		authorization []string
		code          connect.Code // 0: it passes
		reason        string
		challenge     string // a part of it
	}{
		{"a good token", []string{reader}, 0, "", ""},
		{"none", nil, connect.CodeUnauthenticated, "MISSING_TOKEN", `Bearer realm="orders", scope="orders:read"`},
		{"expired", []string{expired}, connect.CodeUnauthenticated, "TOKEN_EXPIRED", `error="invalid_token"`},
		{"another scope", []string{"Bearer " + issuer.Token()}, connect.CodePermissionDenied, "INSUFFICIENT_SCOPE", `scope="orders:read"`},
		{"the token twice", []string{reader, reader}, connect.CodeInvalidArgument, "MULTIPLE_TOKENS", `error="invalid_request"`},
	} {
		for protocol, opts := range protocols {
			for kind, call := range map[string]func() (string, error){
				"unary":  func() (string, error) { return callUnary(t.Context(), server, opts, test.authorization...) },
				"stream": func() (string, error) { return ask(newStream(t, server, opts, test.authorization...)) },
			} {
				t.Run(test.name+"/"+protocol+"/"+kind, func(t *testing.T) {
					answer, err := call()
					if test.code == 0 {
						if err != nil || answer != "the orders of alice" {
							t.Errorf("answer %q, error %v", answer, err)
						}
						return
					}
					if connect.CodeOf(err) != test.code {
						t.Fatalf("answer %q, error %v, want %v", answer, err, test.code)
					}
					if reason, _ := reasonOf(t, err); reason != test.reason {
						t.Errorf("reason %q, want %q", reason, test.reason)
					}
					refused, _ := errors.AsType[*connect.Error](err)
					challenges := refused.Meta().Values("WWW-Authenticate")
					if len(challenges) != 1 || !strings.Contains(challenges[0], test.challenge) {
						t.Errorf("challenges %q, want %q", challenges, test.challenge)
					}
				})
			}
		}
	}
}

// Without keys a call is Unavailable, and says when to try again. It is never Unauthenticated.
func TestIssuerDown(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.SetFault(bearertest.Down)
	server := serve(t, newHandler(newAuth(t, issuer)))
	for protocol, opts := range protocols {
		_, err := callUnary(t.Context(), server, opts, "Bearer "+issuer.Token(bearertest.Claims{"scope": "orders:read"}))
		if connect.CodeOf(err) != connect.CodeUnavailable {
			t.Fatalf("%s: %v", protocol, err)
		}
		if reason, retry := reasonOf(t, err); reason != "KEYS_UNAVAILABLE" || retry < time.Second {
			t.Errorf("%s: reason %q, retry after %v", protocol, reason, retry)
		}
		refused, _ := errors.AsType[*connect.Error](err)
		if meta := refused.Meta(); meta.Get("Retry-After") == "" || meta.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: metadata %v", protocol, meta)
		}
	}
}

// Over HTTP a refusal of the Connect protocol has the status and the header that it has elsewhere.
func TestRefusalOverHTTP(t *testing.T) {
	handler := newHandler(newAuth(t, bearertest.NewIssuer()))
	for _, contentType := range []string{"application/json", "text/plain"} {
		request := httptest.NewRequest(http.MethodPost, listOrders, strings.NewReader("{}"))
		request.Header.Set("Content-Type", contentType)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		header := response.Header()
		if response.Code != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, header %v", contentType, response.Code, header)
		}
	}
}

// Nothing passes through a stream after its token has ended: here, with the Middleware.
func TestStreamsAreJudgedAgain(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	server := serve(t, newHandler(auth))
	stream := newStream(t, server, nil, "Bearer "+issuer.Token(bearertest.Claims{"scope": "orders:read"}))
	for range 2 {
		if _, err := ask(stream); err != nil {
			t.Fatal(err)
		}
	}
	_ = auth.Close()
	if _, err := ask(stream); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("%v after the end", err)
	}
}

// A procedure without a guard is not served, and a stream without one is refused.
func TestProceduresWithoutRule(t *testing.T) {
	issuer := bearertest.NewIssuer()
	guard := newAuth(t, issuer).Guard()
	mux := http.NewServeMux()
	mount(mux, newService(connect.WithInterceptors(judging{})), map[string]*bearer.Guard{watchOrders: guard})
	server := serve(t, mux)
	token := "Bearer " + issuer.Token()
	if _, err := callUnary(t.Context(), server, nil, token); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("%s: %v", listOrders, err)
	}
	if _, err := ask(newStream(t, server, nil, token)); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("%s: %v", watchOrders, err)
	}
}

// oneMessage is a stream that has a message to receive, and notes whether one was sent.
type oneMessage struct {
	connect.StreamingHandlerConn
	sent bool
}

func (c *oneMessage) Receive(any) error { return nil }
func (c *oneMessage) Send(any) error    { c.sent = true; return nil }

// Each direction is judged by itself.
func TestBothDirectionsAreJudged(t *testing.T) {
	var verdict error
	below := new(oneMessage)
	conn := &judgedConn{below, func() error { return verdict }}
	if conn.Receive(nil) != nil || conn.Send(nil) != nil || !below.sent {
		t.Error("nothing passes")
	}
	below.sent = false
	verdict = errors.New("no longer")
	if err := conn.Receive(nil); !errors.Is(err, verdict) {
		t.Errorf("%v for a message received", err)
	}
	if err := conn.Send(nil); !errors.Is(err, verdict) || below.sent {
		t.Errorf("%v for a message to send, sent %v", err, below.sent)
	}
}

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/coder/websocket"
)

func newService(t *testing.T, issuer *bearertest.Issuer, opts ...bearer.IssuerOption) http.Handler {
	t.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience(), opts...),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return newHandler(auth)
}

// pipes is a listener whose connections are in memory, so that a test in a bubble can use them.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serve returns a client of a service. Its connections are in memory.
func serve(t *testing.T, service http.Handler) *http.Client {
	t.Helper()
	listener := &pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: service}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case listener.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	return &http.Client{Transport: transport}
}

// dial opens a WebSocket with a header and subprotocols, and returns the status of the handshake. The
// connection is nil if the server refuses it.
func dial(t *testing.T, client *http.Client, header http.Header, subprotocols ...string) (*websocket.Conn, int) {
	t.Helper()
	conn, response, err := websocket.Dial(t.Context(), "ws://orders.example/orders",
		&websocket.DialOptions{HTTPClient: client, HTTPHeader: header, Subprotocols: subprotocols})
	if response == nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	} else {
		_ = response.Body.Close()
	}
	return conn, response.StatusCode
}

func authorization(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

// entry is the subprotocol that holds a token.
func entry(token string) string {
	return "base64url.bearer.authorization." + base64.RawURLEncoding.EncodeToString([]byte(token))
}

func ask(t *testing.T, conn *websocket.Conn, message string) (string, error) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		return "", err
	}
	_, answer, err := conn.Read(t.Context())
	return string(answer), err
}

func TestHandshakeAdmitsWhoMay(t *testing.T) {
	issuer := bearertest.NewIssuer()
	client := serve(t, newService(t, issuer))
	reader := issuer.Token(bearertest.Claims{"scope": "orders:read"})
	expired := issuer.Token(bearertest.Claims{"exp": time.Now().Add(-time.Hour)})
	down := bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	for _, test := range []struct {
		name         string
		client       *http.Client
		header       http.Header
		subprotocols []string
		status       int
	}{
		{"a token in the header", client, authorization(reader), []string{subprotocol}, http.StatusSwitchingProtocols},
		{"a token of a page", client, nil, []string{subprotocol, entry(reader)}, http.StatusSwitchingProtocols},
		{"none", client, nil, []string{subprotocol}, http.StatusUnauthorized},
		{"an expired one", client, nil, []string{subprotocol, entry(expired)}, http.StatusUnauthorized},
		{"another scope", client, authorization(issuer.Token()), nil, http.StatusForbidden},
		{"two", client, authorization(reader), []string{subprotocol, entry(reader)}, http.StatusBadRequest},
		{"a page of another origin", client, http.Header{"Origin": {"https://evil.example"}}, []string{subprotocol, entry(reader)}, http.StatusForbidden},
		{"an issuer that is down", serve(t, newService(t, down)), authorization(down.Token()), nil, http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, status := dial(t, test.client, test.header, test.subprotocols...)
			if status != test.status {
				t.Fatalf("status %d, want %d", status, test.status)
			}
			if conn == nil {
				return
			}
			if conn.Subprotocol() != subprotocol {
				t.Errorf("subprotocol %q", conn.Subprotocol())
			}
			if answer, err := ask(t, conn, "espresso"); err != nil || answer != "espresso for alice" {
				t.Errorf("answer %q, error %v", answer, err)
			}
		})
	}
}

// The connection is open as long as its token is good, and is then closed with the reason, also while
// nothing is sent.
func TestConnectionEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		client := serve(t, newService(t, issuer, bearer.Leeway(0)))
		token := issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(time.Minute)})
		conn, status := dial(t, client, authorization(token), subprotocol)
		if conn == nil {
			t.Fatalf("status %d", status)
		}
		opened := time.Now()
		<-time.After(59 * time.Second)
		if answer, err := ask(t, conn, "espresso"); err != nil || answer != "espresso for alice" {
			t.Errorf("answer %q, error %v before the end", answer, err)
		}
		_, _, err := conn.Read(t.Context())
		closed, ok := errors.AsType[websocket.CloseError](err)
		if !ok || closed.Code != 3000 || closed.Reason != "token_expired" {
			t.Errorf("%v after the end", err)
		}
		if lasted := time.Since(opened); lasted != time.Minute {
			t.Errorf("it lasted %v", lasted)
		}
	})
}

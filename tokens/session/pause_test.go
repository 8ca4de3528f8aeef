package session_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// A pause belongs to the endpoint that asked for it: what one person's logout causes at the
// revocation endpoint stops no token, no login and no other logout.
func TestPauseOfTheRevocationEndpointStopsNothingElse(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On("/revoke", tokenstest.Gives(status, "", "", "Retry-After", "3600"))
			client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
			login, back := tokenstest.Login(t, client)
			manager := tokenstest.NewManager(t, client.ClientCredentials())

			for range 2 {
				err := client.Revoke(t.Context(), tokens.NewSecret("a-token"), "refresh_token")
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != status {
					t.Fatalf("Revoke: %v", err)
				}
			}
			if n := len(server.Seen("/revoke")); n != 2 {
				t.Errorf("%d revocations were sent, want 2", n)
			}
			tokenstest.MustToken(t, manager.Source(tokens.Key{}))
			if _, _, err := login.Finish(t.Context(), back); err != nil {
				t.Error("login:", err)
			}
		})
	}
}

// A code ends soon and can be used once: it is sent although the endpoint has asked for a pause. All
// else waits. An answer that asks for a pause again uses the login up, and is none for all else:
// with a code in each pause an outsider would keep all else waiting forever.
func TestCodeIsSentInAPause(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for _, again := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				server := tokenstest.NewServer()
				client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
				login, back := tokenstest.Login(t, client)
				refuses := tokenstest.Gives(status, "", "", "Retry-After", "60")
				server.On("/token", refuses)
				own := client.ClientCredentials()
				if _, err := own.Fetch(t.Context(), tokens.Request{}); err == nil {
					t.Fatal("no error")
				}
				<-time.After(30 * time.Second)
				if !again {
					server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
				}
				_, _, err := login.Finish(t.Context(), back)
				e, ok := errors.AsType[*tokens.Error](err)
				if sent := server.Seen("/token"); len(sent) != 2 || sent[1].Form.Get("code") != "a-code" {
					t.Fatalf("%d requests, %v", len(sent), err)
				}
				if again && (!ok || e.Status != status || e.RetryAfter != time.Minute || e.Pause != 0) || !again && err != nil {
					t.Errorf("Finish in the pause: %v", err)
				}
				if _, _, err := login.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginUsed) {
					t.Error("Finish once more:", err)
				}
				<-time.After(29 * time.Second)
				if _, err := own.Fetch(t.Context(), tokens.Request{}); err == nil || len(server.Seen("/token")) != 2 {
					t.Error("another request in the pause:", err)
				}
				server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
				<-time.After(time.Second)
				if _, err := own.Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Error("after the pause:", err)
				}
			})
		}
	}
}

// A login whose code was not sent can be finished later: here the server has refused the client.
func TestLoginThatARefusalTurnsAwayIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		login, back := tokenstest.Login(t, client)
		server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
			t.Fatal("no error")
		}
		server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		_, _, err := login.Finish(t.Context(), back)
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.RetryAfter <= 0 || len(server.Seen("/token")) != 1 {
			t.Fatalf("Finish after the refusal: %v", err)
		}
		<-time.After(max(1, e.RetryAfter))
		if _, _, err := login.Finish(t.Context(), back); err != nil {
			t.Error("Finish after the pause:", err)
		}
		if _, _, err := login.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginUsed) {
			t.Error("Finish once more:", err)
		}
	})
}

// Where there was no connection the code was not sent, and can be. Where there was one it may have
// been.
func TestLoginThatFindsNoConnectionIsNotUsed(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, tt := range map[string]struct {
		err  error
		used bool
	}{
		"refused":                    {refused, false},
		"no such host":               {&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{IsNotFound: true}}, false},
		"no proxy":                   {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}, false},
		"a SOCKS proxy without one":  {&net.OpError{Op: "socks connect", Net: "tcp", Err: errors.New("unknown error host unreachable")}, false},
		"a proxy without one":        {webclient.ErrProxyRefuses, false},
		"a proxy that is not known":  {webclient.ErrProxyUnknown, false},
		"the server's certificate":   {&tls.CertificateVerificationError{Err: errors.New("unknown")}, false},
		"the client's certificate":   {&oauthwire.CertificateError{Err: errors.New("half a file")}, false},
		"reset":                      {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, true},
		"broken":                     {&net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}, true},
		"the end of the connection":  {io.EOF, true},
		"a transport's own":          {errors.New("dial"), true},
		"no complete body in time":   {context.DeadlineExceeded, true},
		"a failure without a reason": {errors.ErrUnsupported, true},
	} {
		server := tokenstest.NewServer()
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		login, back := tokenstest.Login(t, client)
		server.On("/token", func(*http.Request, url.Values) (*http.Response, error) { return nil, tt.err })
		if _, _, err := login.Finish(t.Context(), back); err == nil || errors.Is(err, session.ErrLoginUsed) {
			t.Fatalf("%s: %v", name, err)
		}
		server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		if _, _, err := login.Finish(t.Context(), back); tt.used && !errors.Is(err, session.ErrLoginUsed) || !tt.used && err != nil {
			t.Errorf("%s, and once more: %v", name, err)
		}
		if _, _, err := login.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("%s, and after that: %v", name, err)
		}
	}
}

// Nor can a function that panics before the code is sent use a login up.
func TestLoginAfterAPanicIsNotUsed(t *testing.T) {
	server := tokenstest.NewServer()
	fails := true
	client := tokenstest.NewClient(t, server, oauth.ClientSecretBasicFunc(func(context.Context) (tokens.Secret, error) {
		if fails {
			panic("the secret's store")
		}
		return tokens.NewSecret(tokenstest.Secret), nil
	}))
	login, back := tokenstest.Login(t, client)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _, _ = login.Finish(t.Context(), back)
	}()
	fails = false
	if _, _, err := login.Finish(t.Context(), back); err != nil {
		t.Error(err)
	}
}

// An adopted refresh token may be another client's, and some servers refuse the client for that. It
// stops no other session, and not the service's own tokens.
func TestAdoptedRefreshTokenOfAnotherClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if form.Get("refresh_token") == "another-client's" {
				return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		own := tokenstest.NewManager(t, client.ClientCredentials())
		tokenstest.MustToken(t, own.Source(tokens.Key{}))
		store := session.NewMemoryStore()
		for _, refreshToken := range []string{"another-client's", "of-this-client"} {
			s, err := session.New(client, store, "of "+refreshToken, tokens.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Adopt(t.Context(), tokens.NewSecret(refreshToken)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Token(t.Context()); (err == nil) != (refreshToken == "of-this-client") {
				t.Errorf("%s: %v", refreshToken, err)
			}
		}
		tokenstest.MustToken(t, own.Source(tokens.Key{Scope: "another"}))
	})
}

// Microsoft Entra ID says unauthorized_client of a refresh token when the person's organization has
// removed the client. It stops no session of others.
func TestUnauthorizedClientForOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, removed := tokenstest.NewServer(), false
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if removed && form.Get("refresh_token") == "of-eve" {
				return tokenstest.JSON(http.StatusBadRequest, `{"error":"unauthorized_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		sessions := make(map[string]*session.Session)
		for _, name := range []string{"alice", "eve"} {
			s, err := session.New(client, session.NewMemoryStore(), name, tokens.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Adopt(t.Context(), tokens.NewSecret("of-"+name)); err != nil {
				t.Fatal(err)
			}
			tokenstest.MustToken(t, s.Source(tokens.Key{}))
			sessions[name] = s
		}
		removed = true
		<-time.After(2 * time.Hour)
		for range 3 {
			if _, err := sessions["eve"].Source(tokens.Key{}).Token(t.Context()); err == nil {
				t.Fatal("no error")
			}
			<-time.After(time.Second)
			tokenstest.MustToken(t, sessions["alice"].Source(tokens.Key{}))
			<-time.After(time.Hour)
		}
	})
}

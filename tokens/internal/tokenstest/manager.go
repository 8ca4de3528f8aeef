// Package tokenstest is what the tests of packages tokens, oauth and session have in common.
package tokenstest

import (
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// NewManager makes a Manager that does not log and is closed with the test.
func NewManager(t testing.TB, fetcher tokens.Fetcher, opts ...tokens.ManagerOption) *tokens.Manager {
	t.Helper()
	m, err := tokens.NewManager(fetcher, append([]tokens.ManagerOption{tokens.WithLogger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// MustToken returns the token of a Source that has to have one.
func MustToken(t testing.TB, s *tokens.Source) *tokens.Token {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatalf("Token: %v", err)
	}
	return token
}

// WantUnavailable returns why a Source has no token.
func WantUnavailable(t testing.TB, s *tokens.Source) *tokens.UnavailableError {
	t.Helper()
	token, err := s.Token(t.Context())
	unavailable, ok := errors.AsType[*tokens.UnavailableError](err)
	if !ok || token != nil {
		t.Fatalf("token %v and error %v, want an UnavailableError", token, err)
	}
	return unavailable
}

// ErrDown is the error of a server that is down.
var ErrDown = &tokens.Error{Op: "token", Status: http.StatusServiceUnavailable}

// Pass waits in a bubble.
func Pass(d time.Duration) {
	if d > 0 {
		<-time.After(d)
	}
}

package tokens_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// server is a Fetcher that does as it is told.
type server struct {
	mu      sync.Mutex
	calls   int
	delay   time.Duration
	err     error
	grant   tokens.Response // laid under each answer
	seen    []tokens.Request
	starts  []time.Time
	perKey  map[tokens.Key]int
	running map[tokens.Key]int
	overlap bool // two calls for one key at once
}

func (s *server) Fetch(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
	s.mu.Lock()
	if s.perKey == nil {
		s.perKey, s.running = make(map[tokens.Key]int), make(map[tokens.Key]int)
	}
	s.calls++
	s.perKey[r.Key]++
	s.running[r.Key]++
	s.overlap = s.overlap || s.running[r.Key] > 1
	s.seen, s.starts = append(s.seen, r), append(s.starts, time.Now())
	grant, err, delay := s.grant, s.err, s.delay
	if grant.AccessToken.Reveal() == "" {
		grant.AccessToken = tokens.NewSecret(fmt.Sprintf("token-%d", s.calls))
	}
	if grant.TokenType == "" {
		grant.TokenType = "Bearer"
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running[r.Key]--
		s.mu.Unlock()
	}()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	return &grant, nil
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func wantToken(t testing.TB, s *tokens.Source, want string) {
	t.Helper()
	if got := tokenstest.MustToken(t, s).AccessToken(); got != want {
		t.Fatalf("token %q, want %q", got, want)
	}
}

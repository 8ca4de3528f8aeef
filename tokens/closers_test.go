package tokens_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// closeCounter is an [io.Closer] that fails as it is told.
type closeCounter struct {
	err    error
	closed int
	at     time.Time
}

func (c *closeCounter) Close() error { c.closed++; c.at = time.Now(); return c.err }

// closerFunc is an [io.Closer] that no other can be compared with.
type closerFunc func() error

func (f closerFunc) Close() error { return f() }

func TestAtClose(t *testing.T) {
	registers := func(closers ...io.Closer) tokens.FetcherFunc {
		return func(_ context.Context, r tokens.Request) (*tokens.Response, error) {
			for _, c := range closers {
				r.AtClose(c)
			}
			return &tokens.Response{AccessToken: tokens.NewSecret("a"), TokenType: "Bearer"}, nil
		}
	}
	t.Run("once", func(t *testing.T) {
		var a, b closeCounter
		m := tokenstest.NewManager(t, registers(&a, &b, &a, nil))
		for _, subject := range []string{"1", "2"} {
			tokenstest.MustToken(t, m.Source(tokens.Key{Subject: subject}))
		}
		for range 2 {
			if err := m.Close(); err != nil || a.closed != 1 || b.closed != 1 {
				t.Errorf("%v, closed %d and %d times", err, a.closed, b.closed)
			}
		}
	})
	t.Run("again after a failure", func(t *testing.T) {
		failing := errors.New("failing")
		a, b, c := closeCounter{}, closeCounter{err: failing}, closeCounter{}
		m := tokenstest.NewManager(t, registers(&a, &b, &c))
		tokenstest.MustToken(t, m.Source(tokens.Key{}))
		if err := m.Close(); !errors.Is(err, failing) || a.closed != 1 || b.closed != 1 || c.closed != 1 {
			t.Errorf("%v, closed %d, %d and %d times", err, a.closed, b.closed, c.closed)
		}
		b.err = nil
		for range 2 {
			if err := m.Close(); err != nil || a.closed != 1 || b.closed != 2 || c.closed != 1 {
				t.Errorf("%v, closed %d, %d and %d times", err, a.closed, b.closed, c.closed)
			}
		}
	})
	t.Run("by each Manager", func(t *testing.T) {
		var c closeCounter
		f := registers(&c)
		for i := range 2 {
			m := tokenstest.NewManager(t, f)
			tokenstest.MustToken(t, m.Source(tokens.Key{}))
			if err := m.Close(); err != nil || c.closed != i+1 {
				t.Errorf("%v, closed %d times", err, c.closed)
			}
		}
	})
	t.Run("without a Manager", func(t *testing.T) {
		var c closeCounter
		if _, err := registers(&c).Fetch(t.Context(), tokens.Request{}); err != nil || c.closed != 0 {
			t.Errorf("%v, closed %d times", err, c.closed)
		}
	})
	t.Run("not comparable", func(t *testing.T) {
		m := tokenstest.NewManager(t, registers(closerFunc(func() error { return nil })))
		_ = tokenstest.WantUnavailable(t, m.Source(tokens.Key{}))
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("after the last fetch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var c closeCounter
			began, entered := time.Now(), make(chan struct{})
			m := tokenstest.NewManager(t, tokens.FetcherFunc(func(_ context.Context, r tokens.Request) (*tokens.Response, error) {
				close(entered)
				<-time.After(time.Second) // whatever its context says
				r.AtClose(&c)
				return nil, tokenstest.ErrDown
			}))
			go func() { _, _ = m.Source(tokens.Key{}).Token(t.Context()) }()
			<-entered
			if err := m.Close(); err != nil || c.closed != 1 || c.at.Sub(began) != time.Second {
				t.Errorf("%v, closed %d times, after %s", err, c.closed, c.at.Sub(began))
			}
		})
	})
}

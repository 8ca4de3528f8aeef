package tokens_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// A Fetcher that wraps another and knows nothing of it loses no refresh token.
func TestWrappedFetcherSavesAtClose(t *testing.T) {
	type traceKey struct{}
	for name, wrap := range map[string]func(tokens.Fetcher) tokens.Fetcher{
		"a trace": func(f tokens.Fetcher) tokens.Fetcher {
			return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
				return f.Fetch(context.WithValue(ctx, traceKey{}, 1), r)
			})
		},
		"another key": func(f tokens.Fetcher) tokens.Fetcher {
			return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
				r.Key.Subject, r.Previous = sessionName, nil
				return f.Fetch(ctx, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				m := newManager(t, wrap(w.client.RefreshToken(w.store)))
				before := w.store.record(t)["refresh_token"]
				w.store.fail(errDiskFull)
				mustToken(t, m.Source(sessionKey))
				if _, ok := errors.AsType[*tokens.StoreError](m.Close()); !ok {
					t.Error("Close does not say that the refresh token is not saved")
				}
				w.store.fail(nil)
				if err := m.Close(); err != nil || w.store.record(t)["refresh_token"] == before {
					t.Errorf("error %v, saved %t", err, err == nil)
				}
				if _, err := w.fetch(tokens.Key{Subject: sessionName, Scope: "read"}, nil); err != nil || w.issuer.Sessions() != 1 {
					t.Errorf("%v, %d sessions", err, w.issuer.Sessions())
				}
			})
		})
	}
}

// Without a Manager the caller closes the Fetcher.
func TestRefreshTokenFetcherIsACloser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		before := w.store.record(t)["refresh_token"]
		w.store.fail(errDiskFull)
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		w.store.fail(nil)
		if err := f.(io.Closer).Close(); err != nil || w.store.record(t)["refresh_token"] == before {
			t.Errorf("error %v, or it is not saved", err)
		}
	})
}

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
		m := newManager(t, registers(&a, &b, &a, nil))
		for _, subject := range []string{"1", "2"} {
			mustToken(t, m.Source(tokens.Key{Subject: subject}))
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
		m := newManager(t, registers(&a, &b, &c))
		mustToken(t, m.Source(tokens.Key{}))
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
			m := newManager(t, f)
			mustToken(t, m.Source(tokens.Key{}))
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
		m := newManager(t, registers(closerFunc(func() error { return nil })))
		_ = wantUnavailable(t, m.Source(tokens.Key{}))
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("after the last fetch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var c closeCounter
			began, entered := time.Now(), make(chan struct{})
			m := newManager(t, tokens.FetcherFunc(func(_ context.Context, r tokens.Request) (*tokens.Response, error) {
				close(entered)
				<-time.After(time.Second) // whatever its context says
				r.AtClose(&c)
				return nil, errDown
			}))
			go func() { _, _ = m.Source(tokens.Key{}).Token(t.Context()) }()
			<-entered
			if err := m.Close(); err != nil || c.closed != 1 || c.at.Sub(began) != time.Second {
				t.Errorf("%v, closed %d times, after %s", err, c.closed, c.at.Sub(began))
			}
		})
	})
}

// A Fetcher that two Managers have in common loses nothing with the first that is closed.
func TestFetcherOfTwoManagers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := w.client.RefreshToken(w.store)
		first, second := newManager(t, f), newManager(t, f)
		mustToken(t, first.Source(sessionKey))
		mustToken(t, second.Source(sessionKey))
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		other := sessionKey
		other.Scope = "read"
		w.store.fail(errDiskFull)
		mustToken(t, second.Source(other))
		w.store.fail(nil)
		before := w.store.record(t)["refresh_token"]
		if err := second.Close(); err != nil || w.store.record(t)["refresh_token"] == before {
			t.Errorf("error %v, or it is not saved", err)
		}
	})
}

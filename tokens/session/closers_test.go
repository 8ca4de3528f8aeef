package session_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
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
				m := tokenstest.NewManager(t, wrap(session.RefreshToken(w.client, w.store)))
				before := w.store.record(t)["refresh_token"]
				w.store.fail(errDiskFull)
				tokenstest.MustToken(t, m.Source(sessionKey))
				if _, ok := errors.AsType[*session.StoreError](m.Close()); !ok {
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
		f := session.RefreshToken(w.client, w.store)
		before := w.store.record(t)["refresh_token"]
		w.store.fail(errDiskFull)
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		w.store.fail(nil)
		if err := f.(io.Closer).Close(); err != nil || w.store.record(t)["refresh_token"] == before {
			t.Errorf("error %v, or it is not saved", err)
		}
	})
}

// A Fetcher that two Managers have in common loses nothing with the first that is closed.
func TestFetcherOfTwoManagers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		first, second := tokenstest.NewManager(t, f), tokenstest.NewManager(t, f)
		tokenstest.MustToken(t, first.Source(sessionKey))
		tokenstest.MustToken(t, second.Source(sessionKey))
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		other := sessionKey
		other.Scope = "read"
		w.store.fail(errDiskFull)
		tokenstest.MustToken(t, second.Source(other))
		w.store.fail(nil)
		before := w.store.record(t)["refresh_token"]
		if err := second.Close(); err != nil || w.store.record(t)["refresh_token"] == before {
			t.Errorf("error %v, or it is not saved", err)
		}
	})
}

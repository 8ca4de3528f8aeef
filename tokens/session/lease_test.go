package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// A process that was so slow that its lock ended finds another's record when it saves.
func TestRefreshThatWasOvertaken(t *testing.T) {
	overtake := func(t *testing.T, w *sessionWorld, by func(beside *sessionWorld)) {
		beside := newSessionProcess(t, w.issuer, w.store.beside())
		w.store.set(func() {
			w.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
				w.store.fail(nil)
				by(beside)
				return pass()
			}
		})
	}
	adopt := func(beside *sessionWorld, refresh string, fetch tokens.Key) {
		if err := beside.session.Adopt(context.Background(), tokens.NewSecret(refresh)); err != nil {
			panic(err)
		}
		if _, err := beside.fetch(fetch, nil); err != nil {
			panic(err)
		}
	}
	other := sessionKey
	other.Scope = "read"

	t.Run("uses the other's token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			overtake(t, w, func(beside *sessionWorld) {
				adopt(beside, w.issuer.NewSession(sessionClientID, "alice"), sessionKey)
			})
			if g, err := w.fetch(sessionKey, nil); err != nil || !g.Reused {
				t.Errorf("error %v", err)
			}
		})
	})
	t.Run("tries again without one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			var stands string
			overtake(t, w, func(beside *sessionWorld) {
				adopt(beside, w.issuer.NewSession(sessionClientID, "alice", "read"), other)
				stands = fmt.Sprint(w.store.record(t))
			})
			_, err := w.fetch(sessionKey, nil)
			if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "save" || !errors.Is(err, session.ErrConflict) {
				t.Errorf("error %v", err)
			}
			if fmt.Sprint(w.store.record(t)) != stands {
				t.Error("the other's record was written over")
			}
			if _, err := w.fetch(sessionKey, nil); err != nil {
				t.Errorf("the next: %v", err)
			}
		})
	})
	t.Run("by a logout, which stands", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			overtake(t, w, func(beside *sessionWorld) {
				if err := beside.store.Delete(context.Background(), w.store.name(t)); err != nil {
					t.Error(err)
				}
			})
			if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			if w.store.record(t) != nil {
				t.Error("the session has risen from the dead")
			}
			if w.issuer.Sessions() != 0 || len(w.wire.revoked()) != 1 {
				t.Error("what came after the logout was not revoked")
			}
		})
	})
}

// A refresh token whose answer is not awaited would be lost. What comes before the request is given
// up.
func TestRefreshOnItsWayIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := w.store.record(t)["refresh_token"]
		f := session.RefreshToken(w.client, w.store)
		fetch := func() (*tokens.Response, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			g, err := f.Fetch(ctx, tokens.Request{Key: sessionKey})
			if err != nil && time.Since(began) != time.Second {
				t.Errorf("it took %s", time.Since(began))
			}
			return g, err
		}
		w.issuer.SetFault(bearertest.Slow(5 * time.Second))
		if _, err := fetch(); !errors.Is(err, context.DeadlineExceeded) || w.wire.asked() != 0 {
			t.Fatalf("during discovery: %v, %d requests", err, w.wire.asked())
		}
		<-time.After(5 * time.Second)
		if g, err := fetch(); err != nil || g == nil || w.wire.asked() != 1 {
			t.Fatalf("during the request: %v", err)
		}
		if w.store.record(t)["refresh_token"] == before {
			t.Error("it was not saved")
		}
	})
}

func TestRefreshEndedBeforeItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.store.set(func() { w.store.onLoad = func(context.Context, string) error { cancel(); return nil } })
		_, err := session.RefreshToken(w.client, w.store).Fetch(ctx, tokens.Request{Key: sessionKey})
		if !errors.Is(err, context.Canceled) || w.wire.asked() != 0 {
			t.Errorf("%v, %d requests", err, w.wire.asked())
		}
	})
}

// The lease is longer than everything that is done under the lock.
func TestLockOutlastsWhatIsDoneUnderIt(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration // of the caller; 0 for none
		lease   time.Duration
	}{
		"with a deadline":    {15 * time.Second, 43 * time.Second},
		"without a deadline": {0, 58 * time.Second},
		"with a far one":     {time.Hour, 58 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				ctx := t.Context()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				w.issuer.SetFault(bearertest.Slow(9 * time.Second))
				loads := 0
				w.store.set(func() { // the slowest there is
					w.store.onLoad = func(ctx context.Context, _ string) error {
						if loads++; loads == 1 {
							return nil
						}
						<-ctx.Done()
						return ctx.Err()
					}
					w.store.onSave = func(ctx context.Context, _ func() (int64, error)) (int64, error) {
						<-ctx.Done()
						return 0, ctx.Err()
					}
				})
				began := time.Now()
				if _, err := session.RefreshToken(w.client, w.store).Fetch(ctx, tokens.Request{Key: sessionKey}); err != nil || loads != 2 {
					t.Errorf("error %v, %d times loaded", err, loads)
				}
				lease := w.store.leases[len(w.store.leases)-1]
				if took := time.Since(began); lease != test.lease || took > lease-5*time.Second {
					t.Errorf("a lease of %s, and it took %s", lease, took)
				}
			})
		})
	}
}

func TestLockThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		unlock, err := w.store.Store.Lock(t.Context(), w.store.name(t), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = session.RefreshToken(w.client, w.store).Fetch(ctx, tokens.Request{Key: sessionKey})
		if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "lock" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if w.wire.all != 0 {
			t.Error("the server was asked")
		}
	})
}

package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// Its access token is good, and the refresh token is not used before it is saved.
func TestRefreshThatCannotBeSavedIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		before := w.store.record(t)["refresh_token"]
		w.store.fail(errDiskFull)
		g := mustFetch(t, f, tokens.Request{Key: sessionKey})
		if g.RefreshToken.Reveal() != "" || mustFetch(t, f, tokens.Request{Key: sessionKey}).AccessToken != g.AccessToken {
			t.Error("the refresh token is given out, or the access token is not kept")
		}
		other := sessionKey
		other.Scope = "read"
		for name, q := range map[string]tokens.Request{
			"to be replaced": {Key: sessionKey, Previous: sessionToken(t, g)}, "another key": {Key: other},
		} {
			g, err := f.Fetch(t.Context(), q)
			e, ok := errors.AsType[*session.StoreError](err)
			if g != nil || !ok || e.Op != "save" || !errors.Is(err, errDiskFull) || errors.Is(err, tokens.ErrLoginRequired) {
				t.Fatalf("%s: error %v", name, err)
			}
		}
		if w.wire.asked() != 1 || w.store.record(t)["refresh_token"] != before {
			t.Fatalf("%d requests", w.wire.asked())
		}
		w.store.fail(nil)
		if mustFetch(t, f, tokens.Request{Key: sessionKey}).AccessToken != g.AccessToken || w.store.record(t)["refresh_token"] == before {
			t.Fatal("it was not saved")
		}
		mustFetch(t, f, tokens.Request{Key: sessionKey, Previous: sessionToken(t, g)})
		if w.wire.asked() != 2 || w.issuer.Sessions() != 1 {
			t.Errorf("%d requests, %d sessions", w.wire.asked(), w.issuer.Sessions())
		}
	})
}

// It is saved even if no caller asks again: after 1, 2, 4 seconds and so on up to a minute.
func TestUnsavedIsSavedByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := w.store.record(t)["refresh_token"]
		var mu sync.Mutex
		var at []time.Time
		w.store.set(func() {
			w.store.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
				return pass()
			}
		})
		w.store.fail(errDiskFull)
		mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
		<-time.After(10 * time.Minute)
		mu.Lock()
		tried := len(at)
		for i, bound := 1, time.Second; i < len(at); i, bound = i+1, min(2*bound, time.Minute) {
			if gap := at[i].Sub(at[i-1]); gap < bound || gap > bound+time.Second { // a failed attempt takes 0.7 s
				t.Errorf("attempt %d came after %s, want %s", i, gap, bound)
			}
		}
		mu.Unlock()
		if tried < 14 || tried > 18 {
			t.Errorf("%d attempts in 10 minutes", tried)
		}
		w.store.fail(nil)
		<-time.After(time.Minute + time.Second)
		if w.store.record(t)["refresh_token"] == before {
			t.Error("it was not saved")
		}
		mu.Lock()
		tried = len(at)
		mu.Unlock()
		<-time.After(time.Hour)
		if mu.Lock(); len(at) != tried {
			t.Error("it goes on although nothing is left")
		}
		mu.Unlock()
	})
}

// A Manager that is closed saves what is left, or says that it did not, in bounded time.
func TestManagerCloseSavesWhatIsLeft(t *testing.T) {
	hang := func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
	for name, test := range map[string]struct {
		onSave func(context.Context, func() (int64, error)) (int64, error)
		onLock func(context.Context, func() (func(), error)) (func(), error)
		good   bool
	}{
		"saved":     {nil, nil, true},
		"not saved": {func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull }, nil, false},
		"hangs":     {hang, nil, false},
		"is locked": {nil, func(ctx context.Context, _ func() (func(), error)) (func(), error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				m, err := tokens.NewManager(session.RefreshToken(w.client, w.store), tokens.WithLogger(slog.New(slog.DiscardHandler)))
				if err != nil {
					t.Fatal(err)
				}
				before := w.store.record(t)["refresh_token"]
				w.store.fail(errDiskFull)
				if _, err := m.Source(sessionKey).Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.store.set(func() { w.store.onSave, w.store.onLock = test.onSave, test.onLock })
				began := time.Now()
				err = m.Close()
				if _, ok := errors.AsType[*session.StoreError](err); (err == nil) != test.good || !ok && !test.good {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
				if (w.store.record(t)["refresh_token"] != before) != test.good {
					t.Errorf("saved %t", !test.good)
				}
				w.store.set(func() { w.store.onSave, w.store.onLock = nil, nil })
				locks := len(w.store.leases)
				<-time.After(time.Hour)
				if len(w.store.leases) != locks {
					t.Error("something goes on after Close")
				}
			})
		})
	}
}

// A Save that hangs, as a slow disk does, outlives the lock. The next turn in this process does not
// use the old refresh token.
func TestSaveThatHangsUsesNoRefreshTokenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		hangs := atomic.Bool{}
		hangs.Store(true)
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, pass func() (int64, error)) (int64, error) {
				if !hangs.CompareAndSwap(true, false) {
					return pass()
				}
				<-time.After(3 * time.Minute)
				return 0, ctx.Err()
			}
		})
		first := make(chan error, 1)
		go func() {
			_, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey})
			first <- err
		}()
		<-time.After(time.Second)
		key := sessionKey
		key.Scope = "read"
		mustFetch(t, f, tokens.Request{Key: key})
		if err := <-first; err != nil {
			t.Errorf("the first fetch: %v", err)
		}
		<-time.After(time.Hour) // of flushes
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		sent := w.wire.sentRefreshTokens()
		slices.Sort(sent)
		if w.issuer.Sessions() != 1 || len(slices.Compact(slices.Clone(sent))) != len(sent) {
			t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), sent)
		}
	})
}

// The first of two turns is over last, after a Save that hung, and what came of the second could
// not be saved either. What came of the second stays.
func TestSaveThatHangsTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		var saves atomic.Int32
		full := atomic.Bool{}
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, pass func() (int64, error)) (int64, error) {
				switch n := saves.Add(1); {
				case n == 1: // what came of the first
					<-time.After(2 * time.Minute)
					return 0, ctx.Err()
				case n == 2: // the same, by the second
					full.Store(true)
					return pass()
				case full.Load():
					return 0, errDiskFull
				}
				return pass()
			}
		})
		first := make(chan error, 1)
		go func() {
			_, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey})
			first <- err
		}()
		<-time.After(time.Second)
		key := sessionKey
		key.Scope = "read"
		mustFetch(t, f, tokens.Request{Key: key})
		if err := <-first; err != nil {
			t.Errorf("the first fetch: %v", err)
		}
		full.Store(false)
		key.Scope = "write"
		mustFetch(t, f, tokens.Request{Key: key})
		if sent := w.wire.sentRefreshTokens(); w.issuer.Sessions() != 1 || len(sent) != 3 {
			t.Errorf("%d sessions, sent %q", w.issuer.Sessions(), sent)
		}
	})
}

// When 1,024 sessions could not be saved no other refresh token is used, for what would come could
// not be kept.
func TestUnsavedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		var keys []tokens.Key
		for i := range 1025 {
			key := tokens.Key{Subject: fmt.Sprint(i)}
			s, err := session.New(w.client, w.store, key.Subject)
			if err == nil {
				err = s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, key.Subject)))
			}
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
		w.store.fail(errDiskFull)
		for _, key := range keys[:1024] {
			mustFetch(t, f, tokens.Request{Key: key})
		}
		asked := w.wire.asked()
		_, err := f.Fetch(t.Context(), tokens.Request{Key: keys[1024]})
		if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "save" || w.wire.asked() != asked {
			t.Errorf("%v, %d requests more", err, w.wire.asked()-asked)
		}
		w.store.fail(nil)
		<-time.After(2 * time.Minute)
		mustFetch(t, f, tokens.Request{Key: keys[1024]})
	})
}

// unsavedSessions returns a Fetcher that has not been able to save so many sessions, and the name of
// the record of one of them.
func unsavedSessions(t *testing.T, w *sessionWorld, n int) (f tokens.Fetcher, one string) {
	t.Helper()
	f = session.RefreshToken(w.client, w.store)
	for i := range n {
		name := fmt.Sprint(i)
		s, err := session.New(w.client, w.store, name)
		if err == nil {
			w.store.set(func() { clear(w.store.names) })
			err = s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, name)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	one = w.store.name(t)
	w.store.fail(errDiskFull)
	for i := range n {
		mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: fmt.Sprint(i)}})
	}
	w.store.fail(nil)
	return f, one
}

// One session that hangs and a Store that is slow leave enough time at the end for all others.
func TestCloseSavesManySessionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f, stuck := unsavedSessions(t, w, 40)
		w.store.set(func() {
			w.store.onLoad = func(ctx context.Context, name string) error {
				if name == stuck {
					<-ctx.Done()
					return ctx.Err()
				}
				<-time.After(400 * time.Millisecond)
				return nil
			}
		})
		began := time.Now()
		err := f.(io.Closer).Close()
		if all, ok := err.(interface{ Unwrap() []error }); !ok || len(all.Unwrap()) != 1 {
			t.Errorf("not saved: %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// A refresh token that did not change is in the Store already: nothing has to be kept, and other
// keys are served.
func TestUnchangedRefreshTokenNeedsNoSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t, oauthtest.WithFixedRefreshTokens())
		f := session.RefreshToken(w.client, w.store)
		w.store.fail(errDiskFull)
		for _, key := range sessionKeys(3) {
			mustFetch(t, f, tokens.Request{Key: key})
		}
	})
}

// What could not be saved gives way to what another process has saved since.
func TestUnsavedRefreshGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		w.store.fail(errDiskFull)
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		w.store.fail(nil)
		w.adopt(t) // a new login
		adopted := w.store.record(t)["refresh_token"]
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		if w.wire.last().Get("refresh_token") != adopted {
			t.Error("the new login was written over")
		}

		w.store.fail(errDiskFull)
		other := sessionKey
		other.Scope = "read"
		mustFetch(t, f, tokens.Request{Key: other})
		w.store.fail(nil)
		if err := w.store.Delete(t.Context(), w.store.name(t)); err != nil { // a logout
			t.Fatal(err)
		}
		sessions := w.issuer.Sessions()
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: other}); !errors.Is(err, tokens.ErrLoginRequired) || w.store.record(t) != nil {
			t.Errorf("after the logout: %v", err)
		}
		if len(w.wire.revoked()) != 1 || w.issuer.Sessions() != sessions-1 {
			t.Error("what was kept was not revoked")
		}
	})
}

// Save is tried again, and it is not known of a failed one whether it took place.
func TestSaveIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		failures  int
		tookPlace bool
		good      bool
	}{
		"three failures":                {3, false, true},
		"four failures":                 {4, false, false},
		"one that took place all along": {1, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				calls := 0
				w.store.set(func() {
					w.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
						calls++
						if calls > test.failures {
							return pass()
						}
						if test.tookPlace {
							if _, err := pass(); err != nil {
								t.Error(err)
							}
						}
						return 0, errDiskFull
					}
				})
				before := w.store.record(t)["refresh_token"]
				mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
				if saved := w.store.record(t)["refresh_token"] != before; saved != test.good || calls != min(test.failures+1, 4) {
					t.Errorf("saved %t, %d calls", saved, calls)
				}
				if test.good {
					w.store.fail(nil)
					key := sessionKey
					key.Scope = "read"
					if _, err := w.fetch(key, nil); err != nil {
						t.Errorf("the next: %v", err)
					}
				}
			})
		})
	}
}

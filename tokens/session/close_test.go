package session_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// Close takes a bounded time, whatever does not answer.
func TestCloseTakesAtMostThirtyFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.issuer.SetFault(bearertest.Slow(9 * time.Second))
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
		})
		var wg sync.WaitGroup
		for _, key := range sessionKeys(3) {
			wg.Go(func() { _, _ = w.session.Source(key).Token(context.Background()) })
		}
		<-time.After(10 * time.Second) // discovery is over, and the first request was sent
		began := time.Now()
		err := w.session.Close()
		if _, ok := errors.AsType[*session.StoreError](err); !ok || time.Since(began) > 35*time.Second {
			t.Errorf("%v, after %s", err, time.Since(began))
		}
		wg.Wait()
	})
}

// That is so also when the Store goes silent altogether, just after the session was locked.
func TestCloseOfASilentStoreTakesAtMostThirtyFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		<-time.After(5 * time.Minute)
		w.issuer.SetFault(bearertest.Slow(9900 * time.Millisecond))
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = w.session.Token(context.Background()) })
		synctest.Wait() // the request was sent
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
			w.store.onLoad = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
			w.store.onLock = func(ctx context.Context, _ func() (func(), error)) (func(), error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		began := time.Now()
		err := w.session.Close()
		if _, ok := errors.AsType[*session.StoreError](err); !ok || time.Since(began) > 35*time.Second {
			t.Errorf("%v, after %s", err, time.Since(began))
		}
		wg.Wait()
	})
}

// A service that stops in the middle of a refresh loses nothing.
func TestCloseDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		<-time.After(5 * time.Minute)
		w.issuer.SetFault(bearertest.Slow(2 * time.Second))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := w.session.Token(context.Background()); !errors.Is(err, tokens.ErrClosed) {
				t.Errorf("error %v", err)
			}
		})
		<-time.After(time.Second)
		if err := w.session.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		w.issuer.SetFault(bearertest.NoFault)
		again := newSessionProcess(t, w.issuer, w.store)
		again.mustToken(t)
		if again.wire.asked() != 0 || w.issuer.Sessions() != 1 {
			t.Error("the refresh that was under way is lost")
		}
	})
}

// What could not be saved before is saved at the end, or it is said that it was not.
func TestCloseSavesWhatWasNotSaved(t *testing.T) {
	for _, repaired := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			w.store.fail(errDiskFull)
			w.mustToken(t)
			if repaired {
				w.store.fail(nil)
			}
			err := w.session.Close()
			if _, ok := errors.AsType[*session.StoreError](err); ok == repaired {
				t.Errorf("repaired %t: %v", repaired, err)
			}
			w.store.fail(nil)
			again := newSessionProcess(t, w.issuer, w.store)
			if _, err := again.session.Token(t.Context()); (err == nil) != repaired || !repaired && !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("repaired %t: then %v", repaired, err)
			}
		})
	}
}

func TestClosedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		l, err := w.session.Login(t.Context(), sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.session.Close(); err != nil {
				t.Error(err)
			}
		}
		before := fmt.Sprint(w.store.record(t))
		_, tokenErr := w.session.Token(t.Context())
		_, loginErr := w.session.Login(t.Context(), sessionRedirect)
		_, inErr := w.session.LoggedIn(t.Context())
		_, finishErr := w.session.Finish(t.Context(), l, w.loginAnswer(t, l))
		for name, err := range map[string]error{
			"Token": tokenErr, "Login": loginErr, "LoggedIn": inErr, "Adopt": w.session.Adopt(t.Context(), tokens.NewSecret("r")),
			"Finish": finishErr, "Logout": w.session.Logout(t.Context()),
		} {
			if !errors.Is(err, tokens.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if w.wire.asked() != 0 || fmt.Sprint(w.store.record(t)) != before {
			t.Error("a closed session did something")
		}
	})
}

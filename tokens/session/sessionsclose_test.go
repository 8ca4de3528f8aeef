package session_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// After Close everything that was ever handed out says so, forgotten or not.
func TestClosedSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithIdleTime(idle))
		s, source := w.adopted(t, "alice"), w.adopted(t, "bob").Source(tokens.Key{})
		accessToken(t, source)
		w.letForget(t, idle)
		for range 2 {
			if err := w.sessions.Close(); err != nil {
				t.Error(err)
			}
		}
		_, again := w.sessions.Session("alice")
		_, other := w.sessions.Session("carol")
		_, held := source.Token(t.Context())
		_, token := s.Token(t.Context())
		_, login := s.Login(t.Context(), sessionRedirect)
		for name, err := range map[string]error{
			"Session": again, "a new name": other, "a Source": held, "Token": token, "Login": login, "Logout": s.Logout(t.Context()),
		} {
			if !errors.Is(err, tokens.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Close saves what could not be saved of any session, or says of which it could not.
func TestCloseOfSessionsSavesWhatIsUnsaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithIdleTime(idle))
		for _, user := range []string{"alice", "bob"} {
			w.adopted(t, user)
		}
		w.store.fail(errDiskFull)
		for _, user := range []string{"alice", "bob"} {
			accessToken(t, w.of(t, user).Source(tokens.Key{}))
		}
		err := w.sessions.Close()
		if _, ok := errors.AsType[*session.StoreError](err); !ok || strings.Count(err.Error(), errDiskFull.Error()) != 2 {
			t.Errorf("error %v", err)
		}
		w.store.fail(nil)
		if err := w.sessions.Close(); err != nil {
			t.Error(err)
		}
		w.wantStats(t, session.SessionsStats{Remembered: 2})
		again := newSessionProcess(t, w.issuer, w.store)
		for _, user := range []string{"alice", "bob"} {
			if _, err := session.RefreshToken(again.client, again.store).Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: user, Scope: "read"}}); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
		if w.issuer.Sessions() != 2 {
			t.Error("a refresh token is lost")
		}
	})
}

// Close takes as long for many sessions as for one.
func TestCloseOfSessionsTakesAtMostThirtyFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		for i := range 20 {
			w.adopted(t, fmt.Sprint(i))
		}
		w.begin(t, "discovery")
		w.issuer.SetFault(bearertest.Slow(9 * time.Second))
		w.store.set(func() {
			w.store.onSave = func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
		})
		var wg sync.WaitGroup
		for i := range 20 {
			s := w.of(t, fmt.Sprint(i))
			wg.Go(func() { _, _ = s.Token(context.Background()) })
		}
		<-time.After(time.Second)
		began := time.Now()
		err := w.sessions.Close()
		if _, ok := errors.AsType[*session.StoreError](err); !ok || time.Since(began) > 35*time.Second {
			t.Errorf("%v, after %s", err, time.Since(began))
		}
		wg.Wait()
	})
}

// Session and Close at once: there is a session that is closed or will be, or ErrClosed.
func TestSessionDuringClose(t *testing.T) {
	t.Parallel()
	for range 50 {
		w := newSessionsWorld(t)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 20 {
					s, err := w.sessions.Session(fmt.Sprint(i, n))
					if errors.Is(err, tokens.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
					}
					if _, err := s.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) && !errors.Is(err, tokens.ErrClosed) {
						t.Errorf("error %v", err)
					}
				}
			})
		}
		runtime.Gosched()
		if err := w.sessions.Close(); err != nil {
			t.Error(err)
		}
		if _, err := w.sessions.Session("new"); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		wg.Wait()
	}
}

// One session can be closed alone. What of it is unsaved stays with the others, and its name gets
// another session.
func TestCloseOfOneOfSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithMaxSessions(3))
		alice, bob, carol := w.adopted(t, "alice"), w.adopted(t, "bob"), w.of(t, "carol")
		source := alice.Source(tokens.Key{})
		w.store.fail(errDiskFull)
		accessToken(t, source)
		accessToken(t, bob.Source(tokens.Key{}))
		if _, ok := errors.AsType[*session.StoreError](alice.Close()); !ok {
			t.Error("it is not said that something is unsaved")
		}
		w.wantStats(t, session.SessionsStats{Remembered: 2, Unsaved: 2})
		if _, err := source.Token(t.Context()); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("error %v", err)
		}
		w.store.fail(nil)
		if err := bob.Close(); err != nil { // and saves it
			t.Error(err)
		}
		again := w.of(t, "alice")
		if again == alice || w.of(t, "carol") != carol {
			t.Error("the closed one is handed out, or another is not")
		}
		accessToken(t, again.Source(tokens.Key{Scope: "read"}))
		if w.issuer.Sessions() != 2 {
			t.Error("a refresh token was used twice")
		}
		if err := alice.Close(); err != nil { // once more
			t.Error(err)
		}
		if w.of(t, "alice") != again {
			t.Error("it has closed the session in its place")
		}
		w.wantStats(t, session.SessionsStats{Remembered: 2})
	})
}

// What was under way for a session that was closed does not put it in the place of another.
func TestCloseOfOneDuringItsLogout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		alice := w.adopted(t, "alice")
		w.store.set(func() {
			w.store.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
				<-time.After(time.Second)
				return pass()
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := alice.Logout(t.Context()); !errors.Is(err, tokens.ErrClosed) {
				t.Errorf("error %v", err)
			}
		})
		synctest.Wait()
		if err := alice.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		w.wantStats(t, session.SessionsStats{})
		if w.of(t, "alice") == alice {
			t.Error("the closed one is handed out")
		}
	})
}

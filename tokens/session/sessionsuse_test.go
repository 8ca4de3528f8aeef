package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// A session is not forgotten while anything is under way for it, however long that takes.
func TestSessionInUseIsNotForgotten(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(t *testing.T, w *sessionsWorld, s *session.Session){
		"a fetch": func(t *testing.T, _ *sessionsWorld, s *session.Session) {
			if _, err := s.Source(tokens.Key{}).Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
		},
		"a fetch that no caller waits for": func(t *testing.T, _ *sessionsWorld, s *session.Session) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := s.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			<-time.After(4 * time.Second)
		},
		"Logout": func(t *testing.T, _ *sessionsWorld, s *session.Session) {
			if err := s.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"Adopt": func(t *testing.T, w *sessionsWorld, s *session.Session) {
			if err := s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice", "read"))); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newSessionsWorld(t, session.WithMaxSessions(1), session.WithIdleTime(time.Second))
				w.store.set(func() {
					w.store.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
						<-time.After(5 * time.Second)
						return pass()
					}
				})
				s := w.of(t, "alice")
				var wg sync.WaitGroup
				wg.Go(func() { use(t, w, s) })
				for range 4 {
					<-time.After(1100 * time.Millisecond)
					if _, err := w.sessions.Session("bob"); !errors.Is(err, session.ErrTooManySessions) {
						t.Errorf("it was forgotten: %v", err)
					}
					w.wantStats(t, session.SessionsStats{Remembered: 1, TurnedAway: w.sessions.Stats().TurnedAway})
				}
				wg.Wait()
				<-time.After(time.Second)
				w.of(t, "bob") // it is over
				w.wantStats(t, session.SessionsStats{Remembered: 1, TurnedAway: 4})
			})
		})
	}
}

// Whatever a Store does, a session does not count as in use for ever.
func TestSessionIsForgottenAfterItsStoreFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithMaxSessions(1), session.WithIdleTime(idle))
		for what, fail := range map[string]func() (func(), error){
			"an error": func() (func(), error) { return nil, errDiskFull },
			"a panic":  func() (func(), error) { panic("a bug") },
		} {
			w.store.set(func() {
				w.store.onLock = func(context.Context, func() (func(), error)) (func(), error) { return fail() }
			})
			s := w.of(t, what)
			if _, err := s.Token(t.Context()); err == nil {
				t.Error("a token")
			}
			func() {
				defer func() { _ = recover() }()
				if err := s.Logout(t.Context()); err == nil {
					t.Error("no error")
				}
			}()
			<-time.After(idle)
		}
		w.of(t, "another")
	})
}

// A refresh token that could not be saved keeps its session, until it is saved.
func TestUnsavedSessionIsNotForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithMaxSessions(1), session.WithIdleTime(idle))
		s := w.adopted(t, "alice")
		w.store.fail(errDiskFull)
		accessToken(t, s.Source(tokens.Key{}))
		for range 3 {
			<-time.After(2 * idle)
			if _, err := w.sessions.Session("bob"); !errors.Is(err, session.ErrTooManySessions) {
				t.Errorf("it was forgotten: %v", err)
			}
			w.wantStats(t, session.SessionsStats{Remembered: 1, Unsaved: 1, TurnedAway: w.sessions.Stats().TurnedAway})
		}
		w.store.fail(nil)
		<-time.After(2 * idle) // saving is tried once a minute
		w.of(t, "bob")
		w.wantStats(t, session.SessionsStats{Remembered: 1, TurnedAway: 3})
	})
}

// What could not be saved is tried again for all sessions together, and by one timer.
func TestSessionsFlushTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		users := []string{"alice", "bob", "carol"}
		for _, user := range users {
			w.adopted(t, user)
		}
		w.store.fail(errDiskFull)
		var wg sync.WaitGroup
		for _, user := range users {
			wg.Go(func() { accessToken(t, w.of(t, user).Source(tokens.Key{})) })
		}
		wg.Wait()
		w.wantStats(t, session.SessionsStats{Remembered: 3, Unsaved: 3})
		<-time.After(10 * time.Minute)
		w.store.set(func() { w.store.leases = nil })
		<-time.After(10 * time.Minute)
		w.store.set(func() {
			if n := len(w.store.leases); n < 8 || n > 10 { // each ends with the first failure
				t.Errorf("%d attempts at saving in 10 minutes", n)
			}
		})
		w.store.fail(nil)
		<-time.After(time.Minute + 10*time.Second)
		w.wantStats(t, session.SessionsStats{Remembered: 3})
	})
}

// A logout waits for the fetch under way, whose token is handed to no caller.
func TestLogoutDuringAFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithIdleTime(idle))
		held := w.adopted(t, "alice").Source(tokens.Key{Scope: "read"})
		accessToken(t, held)
		w.letForget(t, 5*time.Minute) // beyond the token's life
		w.issuer.SetFault(bearertest.Slow(2 * time.Second))
		var wg sync.WaitGroup
		wg.Go(func() {
			// It may have the token when the logout begins, or no more.
			if _, err := held.Token(t.Context()); err != nil && !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
		})
		<-time.After(time.Second)
		if err := w.of(t, "alice").Logout(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := held.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("after the logout: %v", err)
		}
		wg.Wait()
		if w.issuer.Sessions() != 0 {
			t.Error("the server has a session")
		}
	})
}

// While one user is logged out the others get the tokens that are in the Store, although it cannot
// lock them.
func TestLogoutTakesNothingFromOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		w.adopted(t, "alice")
		want := accessToken(t, w.adopted(t, "bob").Source(tokens.Key{}))
		w.of(t, "bob").Source(tokens.Key{}).Reset()
		w.wire.onRevoke = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			w.store.set(func() {
				w.store.onLock = func(context.Context, func() (func(), error)) (func(), error) { return nil, errDiskFull }
			})
			<-time.After(5 * time.Second)
			return pass()
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.of(t, "alice").Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
		<-time.After(time.Second)
		if got := accessToken(t, w.of(t, "bob").Source(tokens.Key{})); got != want {
			t.Error("another token")
		}
		if _, err := w.of(t, "alice").Token(t.Context()); err == nil {
			t.Error("the one who is logged out has a token")
		}
		wg.Wait()
	})
}

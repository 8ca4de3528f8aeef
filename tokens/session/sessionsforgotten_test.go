package session_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

const idle = time.Minute // of the tests

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What a caller holds of a session that was forgotten is what is handed out again: it sees the
// logout and the login that were made by its name.
func TestHeldPartsOfAForgottenSessionSeeEveryLoginAndLogout(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(t *testing.T, s *session.Session) (token func() (string, error)){
		"the Session": func(t *testing.T, s *session.Session) func() (string, error) {
			return func() (string, error) { return textOf(s.Token(t.Context())) }
		},
		"a copy of it": func(t *testing.T, s *session.Session) func() (string, error) {
			held := *s
			return func() (string, error) { return textOf(held.Token(t.Context())) }
		},
		"a Source": func(t *testing.T, s *session.Session) func() (string, error) {
			source := s.Source(tokens.Key{Scope: "read"})
			return func() (string, error) { return textOf(source.Token(t.Context())) }
		},
		"a Transport": func(t *testing.T, s *session.Session) func() (string, error) {
			transport, err := s.Source(tokens.Key{Resource: "https://billing.test"}).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(r.Header.Get("Authorization"))), Request: r}, nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			return func() (string, error) {
				response, err := (&http.Client{Transport: transport}).Get("https://billing.test/")
				if err != nil {
					return "", err
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				return string(body), err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newSessionsWorld(t, session.WithIdleTime(idle))
				token := hold(t, w.adopted(t, "alice"))
				seen := make(map[string]bool)
				for round := range 3 {
					first, err := token()
					if err != nil || seen[first] {
						t.Fatalf("round %d: no new token, %v", round, err)
					}
					seen[first] = true
					w.letForget(t, idle)
					w.wantStats(t, session.SessionsStats{Remembered: 1})
					if again, err := token(); err != nil || again != first {
						t.Errorf("round %d: it cannot be used any more: %v", round, err)
					}
					if err := w.of(t, "alice").Logout(t.Context()); err != nil {
						t.Fatal(err)
					}
					if _, err := token(); !errors.Is(err, tokens.ErrLoginRequired) {
						t.Errorf("round %d: after the logout: %v", round, err)
					}
					w.letForget(t, idle)
					w.logIn(t, "alice")
				}
			})
		})
	}
}

func textOf(token *tokens.Token, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return token.AccessToken(), nil
}

func TestForgottenSessionIsGoneWhenNoCallerHoldsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithIdleTime(idle))
		first := accessToken(t, w.adopted(t, "alice").Source(tokens.Key{}))
		asked := w.wire.asked()
		gone := weak.Make(w.of(t, "alice"))
		synctest.Wait() // the fetch has returned
		w.letForget(t, idle)
		if gone.Value() != nil {
			t.Error("it is held")
		}
		if accessToken(t, w.of(t, "alice").Source(tokens.Key{})) != first || w.wire.asked() != asked {
			t.Error("its token is not in the Store")
		}
	})
}

// A session is remembered again with the next fetch of a Source that a caller held.
func TestForgottenSessionIsRememberedWhenItIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithMaxSessions(2), session.WithIdleTime(idle))
		source := w.adopted(t, "alice").Source(tokens.Key{})
		accessToken(t, source)
		w.letForget(t, idle)
		w.wantStats(t, session.SessionsStats{Remembered: 1})
		<-time.After(5 * time.Minute) // beyond the token's life; the other is idle by then
		w.of(t, "another")
		accessToken(t, source)
		w.wantStats(t, session.SessionsStats{Remembered: 2})

		w.letForget(t, idle)
		w.of(t, "carol") // and no room is left
		<-time.After(5 * time.Minute)
		w.of(t, "another")
		w.of(t, "carol")
		accessToken(t, source)
		w.wantStats(t, session.SessionsStats{Remembered: 2})
	})
}

// A login that was begun holds no session, and is finished with whatever is handed out then.
func TestSessionIsForgottenDuringALogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithIdleTime(idle))
		before := weak.Make(w.of(t, "alice"))
		l := w.begin(t, "alice")
		w.letForget(t, 5*time.Minute)
		if before.Value() != nil {
			t.Error("the login holds the session")
		}
		if err := w.finish(t, "bob", l); err == nil {
			t.Error("it is finished for another user")
		}
		if err := w.finish(t, "alice", l); err != nil {
			t.Error(err)
		}
		accessToken(t, w.of(t, "alice").Source(tokens.Key{}))
	})
}

// Logins in several tabs: each that is finished takes the place of what was before, for all who
// hold anything of the session.
func TestLoginsInSeveralTabs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithIdleTime(idle))
		held := w.of(t, "alice").Source(tokens.Key{})
		var tabs []*session.Login
		for range 3 {
			tabs = append(tabs, w.begin(t, "alice"))
			w.letForget(t, idle)
		}
		seen := make(map[string]bool)
		for _, i := range []int{1, 2, 0} {
			if err := w.finish(t, "alice", tabs[i]); err != nil {
				t.Fatal(err)
			}
			got := accessToken(t, held)
			if seen[got] || got != accessToken(t, w.of(t, "alice").Source(tokens.Key{})) {
				t.Errorf("tab %d: the token is that of another login", i)
			}
			seen[got] = true
			w.letForget(t, idle)
		}
	})
}

// With an idle time of a nanosecond every session is forgotten at once. A name has one session all
// the same, as long as it is held.
func TestNeverTwoSessionsOfAName(t *testing.T) {
	t.Parallel()
	w := newSessionsWorld(t, session.WithMaxSessions(3), session.WithIdleTime(1))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 300 {
				user := fmt.Sprint(rand.N(5))
				s, err := w.sessions.Session(user)
				if errors.Is(err, session.ErrTooManySessions) { // all three have a fetch under way
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if rand.N(10) == 0 {
					_, _ = s.Token(t.Context()) // no login: the Store says so
				}
				if again, err := w.sessions.Session(user); err != nil || again != s {
					t.Errorf("the name has two sessions, or error %v", err)
				}
				runtime.KeepAlive(s)
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			runtime.GC()
		}
	})
	wg.Wait()
	if n := w.sessions.Stats().Remembered; n > 3 {
		t.Errorf("%d are remembered", n)
	}
}

package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestNewSessionsSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := session.NewSessions(nil, nil, nil, session.WithMaxSessions(0), session.WithIdleTime(0),
		session.WithManagerOptions(), session.WithManagerOptions(tokens.WithMaxKeys(0)),
		session.WithMaxSessions(-1), session.WithIdleTime(-time.Second))
	own, ok := err.(interface{ Unwrap() []error })
	if !ok || len(own.Unwrap()) != 2 {
		t.Fatalf("%v is not joined", err)
	}
	tokenstest.WantConfigErrors(t, own.Unwrap()[0],
		session.ConfigError{Option: "NewSessions", Value: "nil"}, session.ConfigError{Option: "NewSessions", Value: "nil"},
		session.ConfigError{Option: "NewSessions", Value: "nil"},
		session.ConfigError{Option: "WithMaxSessions", Value: "-1"}, session.ConfigError{Option: "WithMaxSessions", Value: "-1"},
		session.ConfigError{Option: "WithIdleTime", Value: "-1s"}, session.ConfigError{Option: "WithIdleTime", Value: "-1s"},
		session.ConfigError{Option: "WithManagerOptions"})
	tokenstest.WantConfigErrors(t, own.Unwrap()[1], tokens.ConfigError{Option: "WithMaxKeys", Value: "0"})

	_, err = session.NewSessions(newSessionWorld(t).client, session.NewMemoryStore(), session.WithManagerOptions())
	tokenstest.WantConfigErrors(t, err.(interface{ Unwrap() []error }).Unwrap()[0], session.ConfigError{Option: "WithManagerOptions"})
}

// The options of the Manager are those of each session, and are as they were when they were given.
func TestManagerOptionsAreThoseOfEachSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log tokenstest.Log
		opts := []tokens.ManagerOption{tokens.WithObserver(func(_ context.Context, ev tokens.Event) { fmt.Fprintln(&log, ev.Key.Subject) })}
		option := session.WithManagerOptions(opts...)
		opts[0] = nil
		w := newSessionWorld(t)
		sessions, err := session.NewSessions(w.client, w.store, option)
		if err != nil {
			t.Fatal(err)
		}
		defer sessions.Close()
		for _, user := range []string{"alice", "bob"} {
			s, err := sessions.Session(user)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			synctest.Wait()
		}
		if got := log.String(); got != "alice\nbob\n" {
			t.Errorf("observed %q", got)
		}
	})
}

// Two requests for the same new name at once get the same session.
func TestSessionsHandOutOneSessionForAName(t *testing.T) {
	t.Parallel()
	w := newSessionsWorld(t)
	var mu sync.Mutex
	seen := make(map[string]map[*session.Session]bool)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			user := fmt.Sprint("user ", i%4)
			s, err := w.sessions.Session(user)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[user] == nil {
				seen[user] = make(map[*session.Session]bool)
			}
			seen[user][s] = true
		})
	}
	wg.Wait()
	for user, all := range seen {
		if len(all) != 1 {
			t.Errorf("%s has %d sessions", user, len(all))
		}
	}
	w.wantStats(t, session.SessionsStats{Remembered: 4})
}

// A session of Sessions is the same as one of New with its name.
func TestSessionsAndNewShareTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		w.adopted(t, sessionName)
		if w.mustToken(t).AccessToken() != accessToken(t, w.of(t, sessionName).Source(tokens.Key{})) {
			t.Error("another session")
		}
	})
}

func TestNameOfASession(t *testing.T) {
	t.Parallel()
	w := newSessionsWorld(t)
	for _, name := range []string{"", strings.Repeat("a", 1025)} {
		if s, err := w.sessions.Session(name); s != nil || err == nil || !strings.Contains(err.Error(), "1 to 1024 bytes") {
			t.Errorf("%d bytes: %v", len(name), err)
		}
	}
	w.of(t, strings.Repeat("a", 1024))
}

// At the bound a new name is an error as long as no session is idle, and the others go on.
func TestSessionsAtTheBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t, session.WithMaxSessions(2), session.WithIdleTime(time.Minute))
		alice, bob := w.adopted(t, "alice"), w.adopted(t, "bob")
		for range 2 {
			if s, err := w.sessions.Session("carol"); s != nil || !errors.Is(err, session.ErrTooManySessions) {
				t.Errorf("error %v", err)
			}
			if w.of(t, "alice") != alice || w.of(t, "bob") != bob {
				t.Error("a session is another")
			}
			if _, err := w.of(t, "bob").Token(t.Context()); err != nil {
				t.Error(err)
			}
		}
		<-time.After(time.Minute - 1)
		if _, err := w.sessions.Session("carol"); !errors.Is(err, session.ErrTooManySessions) {
			t.Errorf("before the end of the idle time: %v", err)
		}
		w.of(t, "bob") // used: alice is forgotten
		w.wantStats(t, session.SessionsStats{Remembered: 2, TurnedAway: 3})
		<-time.After(1)
		w.wantStats(t, session.SessionsStats{Remembered: 2, Idle: 1, TurnedAway: 3})
		w.of(t, "carol")
		w.wantStats(t, session.SessionsStats{Remembered: 2, TurnedAway: 3})
		if _, err := w.sessions.Session("dave"); !errors.Is(err, session.ErrTooManySessions) {
			t.Errorf("error %v", err)
		}
		if w.of(t, "alice") != alice { // she is held, and is handed out although there is no room
			t.Error("a name has two sessions")
		}
		w.wantStats(t, session.SessionsStats{Remembered: 2, TurnedAway: 4})
	})
}

func TestSessionsHaveDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		for i := range 4096 {
			w.of(t, fmt.Sprint(i))
		}
		<-time.After(30*time.Minute - 1)
		if _, err := w.sessions.Session("new"); !errors.Is(err, session.ErrTooManySessions) {
			t.Errorf("error %v", err)
		}
		<-time.After(1)
		w.of(t, "new")
		w.wantStats(t, session.SessionsStats{Remembered: 1, TurnedAway: 1})
	})
}

// A name that gets no session costs nothing.
func TestRefusedNameCostsNoAllocation(t *testing.T) {
	w := newSessionsWorld(t, session.WithMaxSessions(1))
	w.of(t, "alice")
	if n := testing.AllocsPerRun(100, func() { _, _ = w.sessions.Session("bob") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = w.sessions.Session("alice") }); n != 0 {
		t.Errorf("%v allocations for one that is known", n)
	}
}

// All sessions of a client share what a server may cause by refusing tokens.
func TestSessionsShareTheAllowance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionsWorld(t)
		var sources []*tokens.Source
		for i := range 12 {
			sources = append(sources, w.adopted(t, fmt.Sprint(i)).Source(tokens.Key{}))
		}
		renew := func() (renewed int) {
			for _, source := range sources {
				if source.Invalidate(tokenstest.MustToken(t, source)) {
					tokenstest.MustToken(t, source)
					renewed++
				}
			}
			return renewed
		}
		first := renew()
		<-time.After(31 * time.Second)
		if second := renew(); first != 12 || second >= 12 {
			t.Errorf("%d renewals, and then %d", first, second)
		}
	})
}

package session_test

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// sessionsWorld is an issuer and one process that is its client, for many users.
type sessionsWorld struct {
	*sessionWorld
	sessions *session.Sessions
}

var quietManager = session.WithManagerOptions(tokens.WithLogger(slog.New(slog.DiscardHandler)))

func newSessionsWorld(t *testing.T, opts ...session.SessionsOption) *sessionsWorld {
	t.Helper()
	w := &sessionsWorld{sessionWorld: newSessionWorld(t)}
	var err error
	w.sessions, err = session.NewSessions(w.client, w.store, append([]session.SessionsOption{quietManager}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sessions.Close() })
	return w
}

// of is the session of a user, which has to be handed out.
func (w *sessionsWorld) of(t *testing.T, user string) *session.Session {
	t.Helper()
	s, err := w.sessions.Session(user)
	if err != nil {
		t.Fatalf("the session of %s: %v", user, err)
	}
	return s
}

// adopted is the session of a user, which goes on from then on.
func (w *sessionsWorld) adopted(t *testing.T, user string) *session.Session {
	t.Helper()
	s := w.of(t, user)
	if err := s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, user, "read", "write"))); err != nil {
		t.Fatal(err)
	}
	return s
}

// begin begins a login of a user.
func (w *sessionsWorld) begin(t *testing.T, user string) *session.Login {
	t.Helper()
	l, err := w.of(t, user).Login(t.Context(), sessionRedirect, session.WithScope("read", "write"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// finish sends the browser along, and finishes a login for a user.
func (w *sessionsWorld) finish(t *testing.T, user string, l *session.Login) error {
	t.Helper()
	_, err := w.of(t, user).Finish(t.Context(), l, w.loginAnswer(t, l))
	return err
}

func (w *sessionsWorld) logIn(t *testing.T, user string) {
	t.Helper()
	if err := w.finish(t, user, w.begin(t, user)); err != nil {
		t.Fatal(err)
	}
}

// letForget passes the idle time, and lets what can be forgotten be gone.
func (w *sessionsWorld) letForget(t *testing.T, idle time.Duration) {
	t.Helper()
	<-time.After(idle)
	w.of(t, "another")
	runtime.GC()
}

func (w *sessionsWorld) wantStats(t *testing.T, want session.SessionsStats) {
	t.Helper()
	if got := w.sessions.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// accessToken is that of a Source that has to have one.
func accessToken(t *testing.T, s *tokens.Source) string {
	t.Helper()
	token, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken()
}

package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// sleepingWorld is one whose process does something between loading the session and sending the
// refresh token, which is when it asks for the server's document.
func sleepingWorld(t *testing.T, sleep func(w *sessionWorld)) (*sessionWorld, tokens.Fetcher) {
	t.Helper()
	w := adoptedWorld(t)
	before := sessionRoundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/.well-known/") {
			sleep(w)
		}
		return w.wire.RoundTrip(r)
	})
	c, err := oauth.NewClient(w.issuer.URL(), sessionClientID, oauth.NoClientAuth(), oauth.WithHTTPClient(&http.Client{Transport: before}))
	if err != nil {
		t.Fatal(err)
	}
	return w, session.RefreshToken(c, w.store)
}

// A machine that is suspended with the session locked finds, when it wakes up, that another has
// renewed it.
func TestRefreshTokenIsNotSentAfterASuspension(t *testing.T) {
	other := sessionKey
	other.Scope = "read"
	for name, tt := range map[string]struct {
		suspended time.Duration
		key       tokens.Key // of the other process
		locks     int
		asked     int
	}{
		"for the time ahead":              {30 * time.Second, sessionKey, 2, 0},
		"for hours":                       {10 * time.Hour, sessionKey, 2, 0},
		"and the other had another key":   {30 * time.Second, other, 2, 1},
		"for less than that":              {30*time.Second - 1, tokens.Key{}, 1, 1},
		"not at all, the clock went back": {-time.Hour, tokens.Key{}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var suspended time.Duration
				w, f := sleepingWorld(t, func(w *sessionWorld) {
					suspended = tt.suspended
					if tt.key != (tokens.Key{}) {
						beside := newSessionProcess(t, w.issuer, w.store.beside())
						if _, err := beside.fetch(tt.key, nil); err != nil {
							t.Error(err)
						}
					}
				})
				session.SetWall(f, func() time.Time { return time.Now().Round(0).Add(suspended) })
				locks := len(w.store.leases)
				g, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey})
				if err != nil || g.Reused != (tt.asked == 0) || w.wire.asked() != tt.asked {
					t.Errorf("%v, sent %q", err, w.wire.sentRefreshTokens())
				}
				if got := len(w.store.leases) - locks; got != tt.locks || w.issuer.Sessions() != 1 {
					t.Errorf("locked %d times, %d sessions", got, w.issuer.Sessions())
				}
			})
		})
	}
}

// The lease began before the answer came that it has.
func TestSuspensionWhileLockingCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var suspended time.Duration
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		session.SetWall(f, func() time.Time { return time.Now().Round(0).Add(suspended) })
		locks := 0
		w.store.set(func() {
			w.store.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
				unlock, err := pass()
				if locks++; locks == 1 {
					suspended = 30 * time.Second
				}
				return unlock, err
			}
		})
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); err != nil || locks != 2 || w.wire.asked() != 1 {
			t.Errorf("%v, locked %d times, %d requests", err, locks, w.wire.asked())
		}
	})
}

// A long wait for the lock is none.
func TestWaitingForTheLockIsNoSuspension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		locks := 0
		w.store.set(func() {
			w.store.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
				locks++
				<-time.After(10 * time.Minute)
				return pass()
			}
		})
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); err != nil || locks != 1 || w.wire.asked() != 1 {
			t.Errorf("%v, locked %d times, %d requests", err, locks, w.wire.asked())
		}
	})
}

// A clock that jumps all the time is a failure that passes, and nothing is sent.
func TestRefreshGivesUpAfterThreeSuspensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		wall := time.Now().Round(0)
		session.SetWall(f, func() time.Time { wall = wall.Add(time.Hour); return wall })
		locks, before := len(w.store.leases), w.store.record(t)["refresh_token"]
		_, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey})
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Permanent() || errors.Is(err, tokens.ErrLoginRequired) || w.wire.asked() != 0 || len(w.store.leases)-locks != 3 {
			t.Errorf("%v, locked %d times, sent %q", err, len(w.store.leases)-locks, w.wire.sentRefreshTokens())
		}
		session.SetWall(f, func() time.Time { return time.Now().Round(0) })
		if mustFetch(t, f, tokens.Request{Key: sessionKey}); w.wire.last().Get("refresh_token") != before || w.issuer.Sessions() != 1 {
			t.Errorf("sent %q, %d sessions", w.wire.sentRefreshTokens(), w.issuer.Sessions())
		}
	})
}

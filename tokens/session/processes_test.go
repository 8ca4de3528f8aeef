package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// Two processes, one refresh token that changes each time, 1,000 renewals that both want at once.
func TestProcessesShareOneRotatingRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := adoptedWorld(t)
		processes := []*sessionWorld{first, newSessionProcess(t, first.issuer, first.store)}
		var previous *tokens.Token
		for round := range 1000 {
			var grants [2]*tokens.Response
			var wg sync.WaitGroup
			for i, w := range processes {
				wg.Go(func() {
					<-time.After(time.Duration(1+(round*(i+1))%3) * time.Millisecond) // who comes first changes, or both do at once
					grants[i] = mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey, Previous: previous})
				})
			}
			wg.Wait()
			if t.Failed() || grants[0].AccessToken != grants[1].AccessToken || grants[0].Reused == grants[1].Reused {
				t.Fatalf("round %d: the processes do not have one token, fetched by one of them", round)
			}
			previous = sessionToken(t, grants[0])
		}
		a, b := processes[0].wire.asked(), processes[1].wire.asked()
		if a+b != 1000 || a < 100 || b < 100 || first.issuer.Sessions() != 1 {
			t.Errorf("%d and %d renewals, %d sessions are left", a, b, first.issuer.Sessions())
		}
	})
}

// What is left behind when a process dies at any point of a refresh: either the session goes on or
// a login is asked for.
func TestProcessDiesDuringARefresh(t *testing.T) {
	for name, test := range map[string]struct {
		die  func(dying *sessionWorld, dead chan struct{})
		lost bool
	}{
		"with the lock": {func(dying *sessionWorld, dead chan struct{}) {
			dying.store.onLoad = func(context.Context, string) error { <-dead; return nil }
		}, false},
		"before the request arrives": {func(dying *sessionWorld, dead chan struct{}) {
			dying.wire.onToken = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
				<-dead
				return nil, errors.New("dead")
			}
		}, false},
		"before the answer": {func(dying *sessionWorld, dead chan struct{}) {
			dying.wire.onToken = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
				_, _ = pass()
				<-dead
				return nil, errors.New("dead")
			}
		}, true},
		"before it is saved": {func(dying *sessionWorld, dead chan struct{}) {
			dying.store.onSave = func(context.Context, func() (int64, error)) (int64, error) { <-dead; return 0, errDiskFull }
		}, true},
		"after it was saved": {func(dying *sessionWorld, dead chan struct{}) {
			dying.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
				version, err := pass()
				<-dead
				return version, err
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				dying := newSessionProcess(t, w.issuer, &sessionStore{Store: w.store.Store, names: make(map[string]bool)})
				dead := make(chan struct{}) // it does nothing any more; the memory store's lock ends with the lease
				test.die(dying, dead)
				var wg sync.WaitGroup
				defer wg.Wait()
				defer close(dead)
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
					defer cancel()
					_, _ = session.RefreshToken(dying.client, dying.store).Fetch(ctx, tokens.Request{Key: sessionKey})
				})
				synctest.Wait()

				began := time.Now()
				g, err := w.fetch(sessionKey, nil)
				if took := time.Since(began); took != 43*time.Second {
					t.Errorf("the lock was had after %s", took)
				}
				switch {
				case test.lost && !errors.Is(err, tokens.ErrLoginRequired), !test.lost && err != nil:
					t.Fatalf("error %v", err)
				case test.lost && w.store.record(t)["ended"] != true:
					t.Error("the session is not known to have ended")
				case !test.lost && (w.issuer.Sessions() != 1 || g == nil):
					t.Error("the session was lost")
				}
			})
		})
	}
}

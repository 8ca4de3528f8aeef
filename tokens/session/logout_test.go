package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// From the moment that the record is loaded no token is handed out here, however long the server
// takes.
func TestLogoutHandsOutNothingMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		s, err := session.New(w.client, w.store, sessionName, tokens.WithMaxKeys(1), tokens.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Source(tokens.Key{Scope: "read"}) // for which the other is forgotten
		w.wire.onRevoke = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			<-time.After(5 * time.Second)
			return pass()
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if _, err := s.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("error %v", err)
		}
		wg.Wait()
	})
}

func TestLogoutWithoutRevocation(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*sessionWorld)
		is    error // that the error is, beside ErrNotRevoked
		code  string
	}{
		"the server is down": {func(w *sessionWorld) { w.issuer.SetFault(bearertest.Down) }, nil, ""},
		"the server hangs":   {func(w *sessionWorld) { w.issuer.SetFault(bearertest.Hang) }, context.DeadlineExceeded, ""},
		"it does not do it": {func(w *sessionWorld) {
			w.wire.onRevoke = func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				return sessionResponse(400, map[string]any{"error": "unsupported_token_type"}), nil
			}
		}, nil, "unsupported_token_type"},
		"it has no endpoint for it": {func(w *sessionWorld) {
			next := w.wire.next
			w.wire.next = sessionRoundTrip(func(r *http.Request) (*http.Response, error) {
				if !strings.Contains(r.URL.Path, "well-known") {
					return next.RoundTrip(r)
				}
				return sessionResponse(200, map[string]any{"issuer": w.issuer.URL(), "token_endpoint": w.issuer.URL() + "/token"}), nil
			})
		}, oauth.ErrNoRevocation, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				test.fault(w)
				w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer"})
				_, _ = w.session.Token(t.Context())
				err := w.session.Logout(t.Context())
				if !errors.Is(err, session.ErrNotRevoked) || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("error %v", err)
				}
				if e, ok := errors.AsType[*tokens.Error](err); test.code != "" && (!ok || e.Code != test.code) {
					t.Errorf("error %v", err)
				}
				if w.store.record(t) != nil || w.loggedIn(t) {
					t.Error("the record is still there")
				}
				if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

func TestLogoutRevokesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		want := []string{""}
		for _, key := range sessionKeys(3) {
			token, err := w.session.Source(key).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, token.AccessToken())
		}
		want[0] = w.store.record(t)["refresh_token"].(string)
		if err := w.session.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := w.wire.revoked()
		if got[0] != want[0] {
			t.Error("the refresh token was not the first")
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d tokens were revoked, want %d", len(got), len(want))
		}
	})
}

// That an access token could not be revoked is no failure: servers need not be able to.
func TestLogoutGoesOnWithoutRevokedAccessTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		w.wire.onRevoke = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			if len(w.wire.revoked()) > 1 {
				return sessionResponse(400, map[string]any{"error": "unsupported_token_type"}), nil
			}
			return pass()
		}
		if err := w.session.Logout(t.Context()); err != nil || w.issuer.Sessions() != 0 {
			t.Errorf("error %v", err)
		}
	})
}

// What was to be saved is what has to be revoked.
func TestLogoutRevokesWhatWasNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		old := w.store.record(t)["refresh_token"].(string)
		w.store.fail(errDiskFull)
		w.mustToken(t)
		w.store.fail(nil)
		if err := w.session.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(w.wire.revoked(), old) || w.issuer.Sessions() != 0 {
			t.Error("the old refresh token was revoked")
		}
		if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("after that: %v", err)
		}
	})
}

// Nor is it handed out meanwhile, by a fetch that could not wait until the logout was over.
func TestLogoutHandsOutNothingThatWasNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(http.StatusOK, strings.TrimSuffix(tokenstest.Good, "}")+`,"refresh_token":"the-next"}`))
		server.On("/revoke", func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		store := newSessionStore()
		client := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		alice, err := session.New(client, store, sessionName,
			tokens.WithFetchTimeout(2*time.Second), tokens.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		defer alice.Close()
		if err := alice.Adopt(t.Context(), tokens.NewSecret("the-first")); err != nil {
			t.Fatal(err)
		}
		store.fail(errDiskFull)
		if _, err := alice.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := alice.Logout(t.Context()); !errors.Is(err, session.ErrNotRevoked) {
				t.Error(err)
			}
		}()
		synctest.Wait()
		for range 9 {
			if _, err := alice.Token(t.Context()); err == nil {
				t.Error("a token was handed out during the logout")
			}
			<-time.After(100 * time.Millisecond)
		}
		<-done
	})
}

// Nor does a Store that does not wait for the lock of a logout, but says that another has it.
func TestLogoutHandsOutNothingWhenItsLockIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		w.wire.onRevoke = func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			<-time.After(5 * time.Second)
			return pass()
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.session.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		w.store.set(func() {
			w.store.onLock = func(context.Context, func() (func(), error)) (func(), error) {
				return nil, errors.New("another has it")
			}
		})
		for range 9 {
			if _, err := w.session.Token(t.Context()); err == nil {
				t.Error("a token was handed out during the logout")
			}
			<-time.After(100 * time.Millisecond)
		}
		wg.Wait()
	})
}

func TestLogoutOfASessionThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.issuer.EndSessions()
		if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Fatal(err)
		}
		if err := w.session.Logout(t.Context()); err != nil || w.store.record(t) != nil || len(w.wire.revoked()) != 0 {
			t.Errorf("error %v", err)
		}
	})
}

func TestLogoutOfARecordThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		_, version, err := w.store.Store.Load(t.Context(), w.store.name(t))
		if err == nil {
			_, err = w.store.Store.Save(t.Context(), w.store.name(t), []byte("garbage"), version)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.session.Logout(t.Context()); !errors.Is(err, session.ErrNotRevoked) || w.loggedIn(t) {
			t.Errorf("error %v", err)
		}
	})
}

// When the Store does not do its part the session is not logged out, and that is said.
func TestLogoutThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		fault   func(*sessionStore)
		op      string
		revoked bool
	}{
		"locked": {func(s *sessionStore) {
			s.onLock = func(ctx context.Context, _ func() (func(), error)) (func(), error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
		}, "lock", false},
		"not loaded":  {func(s *sessionStore) { s.onLoad = func(context.Context, string) error { return errDiskFull } }, "load", false},
		"not deleted": {func(s *sessionStore) { s.onDel = func(context.Context) error { return errDiskFull } }, "delete", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				test.fault(w.store)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := w.session.Logout(ctx)
				if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != test.op || errors.Is(err, session.ErrNotRevoked) {
					t.Errorf("error %v", err)
				}
				if w.store.record(t) == nil || (w.issuer.Sessions() == 0) != test.revoked {
					t.Error("the record is gone, or the token was revoked too early")
				}
				w.store.set(func() { w.store.onLock, w.store.onLoad, w.store.onDel = nil, nil, nil })
				if err := w.session.Logout(t.Context()); err != nil || w.loggedIn(t) {
					t.Errorf("the next: %v", err)
				}
			})
		})
	}
}

// The caller of Logout may be gone before it is done.
func TestLogoutOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		w.issuer.SetFault(bearertest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.session.Logout(ctx); !errors.Is(err, session.ErrNotRevoked) || w.loggedIn(t) {
			t.Errorf("error %v", err)
		}
	})
}

// The browser goes away while a server that is slow is asked. What is not revoked by then could
// not be later, without the record.
func TestLogoutRevokesAlthoughItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		w.issuer.SetFault(bearertest.Slow(3 * time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.session.Logout(ctx); err != nil || w.loggedIn(t) || w.issuer.Sessions() != 0 {
			t.Errorf("error %v, %d sessions are left at the server", err, w.issuer.Sessions())
		}
	})
}

// A logout meets a refresh at every point of it, in this process and in another. None brings the
// session back.
func TestLogoutDuringARefresh(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		for name, slow := range map[string]func(w *sessionWorld){
			"the request": func(w *sessionWorld) { w.issuer.SetFault(bearertest.Slow(3 * time.Second)) },
			"loading": func(w *sessionWorld) {
				w.store.onLoad = func(context.Context, string) error { <-time.After(3 * time.Second); return nil }
			},
			"before saving": func(w *sessionWorld) { w.store.onSave = sessionSlowSave(3*time.Second, 0) },
			"after saving":  func(w *sessionWorld) { w.store.onSave = sessionSlowSave(0, 3*time.Second) },
			"saving, failed": func(w *sessionWorld) {
				w.store.onSave = func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull }
			},
		} {
			t.Run(fmt.Sprintf("%s, elsewhere %t", name, elsewhere), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := adoptedWorld(t)
					leaver := w
					if elsewhere {
						leaver = newSessionProcess(t, w.issuer, &sessionStore{Store: w.store.Store, names: make(map[string]bool)})
					}
					w.store.set(func() { slow(w) })
					var wg sync.WaitGroup
					defer wg.Wait()
					for range 3 {
						wg.Go(func() {
							_, err := w.session.Token(context.Background())
							if err != nil && !errors.Is(err, tokens.ErrLoginRequired) && !errors.Is(err, errDiskFull) {
								t.Error(err)
							}
						})
					}
					<-time.After(time.Second)
					if err := leaver.session.Logout(t.Context()); err != nil {
						t.Error(err)
					}
					w.store.set(func() { w.store.onLoad, w.store.onSave = nil, nil })
					if _, err := leaver.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
						t.Errorf("here: %v", err)
					}
					<-time.After(10 * time.Minute) // the other process has a token that is good for five
					if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
						t.Errorf("where it was refreshed: %v", err)
					}
					if w.issuer.Sessions() != 0 || w.loggedIn(t) {
						t.Error("the session goes on")
					}
				})
			})
		}
	}
}

// The session is logged out also when its Store is slow and the server has to be asked about many
// refresh tokens, and answers nothing.
func TestLogoutWithASlowStoreAndASilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		for i := range 6 { // what leaves several refresh tokens in the record
			w.wire.answer(http.StatusOK, map[string]any{"access_token": "a", "token_type": "N_A", "refresh_token": fmt.Sprint("r", i)})
			_, _ = w.session.Token(t.Context())
			<-time.After(time.Hour)
		}
		w.store.set(func() {
			w.store.onLoad = func(context.Context, string) error { <-time.After(15 * time.Second); return nil }
		})
		w.wire.onRevoke = func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		if err := w.session.Logout(t.Context()); !errors.Is(err, session.ErrNotRevoked) {
			t.Errorf("error %v", err)
		}
		w.store.set(func() { w.store.onLoad = nil })
		if w.loggedIn(t) {
			t.Error("it is logged in")
		}
	})
}

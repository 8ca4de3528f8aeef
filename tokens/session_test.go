package tokens_test

import (
	"context"
	"encoding/base64"
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
)

// logIn logs a session in.
func (w *sessionWorld) logIn(t *testing.T, opts ...tokens.LoginOption) {
	t.Helper()
	l, err := w.session.Login(t.Context(), sessionRedirect, opts...)
	if err == nil {
		err = w.session.Complete(t.Context(), l, w.loginAnswer(t, l))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mustToken is for a token that has to be there.
func (w *sessionWorld) mustToken(t *testing.T) *tokens.Token {
	t.Helper()
	token, err := w.session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *sessionWorld) loggedIn(t *testing.T) bool {
	t.Helper()
	in, err := w.session.LoggedIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestNewSessionSaysAllThatIsWrong(t *testing.T) {
	_, err := tokens.NewSession(nil, nil, "", tokens.MaxKeys(0), nil)
	if err == nil || len(strings.Split(err.Error(), "\n")) != 5 {
		t.Errorf("error %v", err)
	}
}

// From the login to the logout, with a restart in between.
func TestSessionFromLoginToLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) || w.loggedIn(t) {
			t.Fatalf("before the login: %v", err)
		}
		w.logIn(t, tokens.LoginScope("read", "write")) // Token works at once, although it had failed for good
		first := w.mustToken(t)
		if w.wire.asked() != 1 || !w.loggedIn(t) || !slices.Equal(first.Scopes(), []string{"read", "write"}) {
			t.Errorf("after the login: %d requests, scopes %q", w.wire.asked(), first.Scopes())
		}

		// Renewed for hours.
		for range 100 {
			<-time.After(4 * time.Minute)
			w.mustToken(t)
			synctest.Wait()
		}
		if n := w.wire.asked(); n < 50 || n > 115 || w.issuer.Sessions() != 1 {
			t.Errorf("%d requests in 400 minutes", n)
		}
		<-time.After(6 * time.Minute)
		last := w.mustToken(t) // a new one: until its time to be renewed comes a restart goes on with it

		// A restart: without a login, and without a request while the stored token is good.
		if err := w.session.Close(); err != nil {
			t.Error(err)
		}
		again := newSessionProcess(t, w.issuer, w.store)
		if token := again.mustToken(t); token.AccessToken() != last.AccessToken() || again.wire.all != 0 {
			t.Errorf("after the restart: %d requests", again.wire.all)
		}
		<-time.After(time.Hour)
		again.mustToken(t)

		if err := again.session.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		if w.issuer.Sessions() != 0 || w.store.record(t) != nil || again.loggedIn(t) {
			t.Error("something is left of the session")
		}
		asked := again.wire.asked()
		if _, err := again.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) || again.wire.asked() != asked {
			t.Errorf("after the logout: %v", err)
		}
		if err := again.session.Logout(t.Context()); err != nil {
			t.Errorf("the second logout: %v", err)
		}
		again.logIn(t)
		again.mustToken(t)
	})
}

func TestSessionRestartsDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		first := w.mustToken(t)
		<-time.After(280 * time.Second)
		w.issuer.Down()
		again := newSessionProcess(t, w.issuer, w.store)
		if again.mustToken(t).AccessToken() != first.AccessToken() {
			t.Error("another token")
		}
		<-time.After(10 * time.Second)
		if _, err := again.session.Token(t.Context()); err == nil || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("error %v", err)
		}
		w.issuer.Restore()
		<-time.After(time.Minute)
		again.mustToken(t)
	})
}

func TestSessionKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		source := w.session.Source(tokens.Key{Resource: "https://billing.test", Scope: "read"})
		want := tokens.Key{
			Issuer: w.issuer.URL(), Client: sessionClientID, Subject: sessionName, Resource: "https://billing.test", Scope: "read",
		}
		if source.Key() != want || w.session.Source(want) != source {
			t.Errorf("the key is %+v", source.Key())
		}
		if token, err := source.Token(t.Context()); err != nil || !slices.Equal(token.Scopes(), []string{"read"}) {
			t.Errorf("error %v", err)
		}
		asked := w.wire.asked()
		for _, key := range []tokens.Key{{Subject: "bob"}, {Issuer: "https://other.test"}, {Client: "other"}} {
			_, err := w.session.Source(key).Token(t.Context())
			if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || w.wire.asked() != asked {
				t.Errorf("%+v: %v", key, err)
			}
		}
		w.store.name(t) // nobody else's was asked for
	})
}

func TestSessionsOfOneStoreAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		bob, err := tokens.NewSession(w.client, w.store, "bob")
		if err != nil {
			t.Fatal(err)
		}
		defer bob.Close()
		if _, err := bob.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("error %v", err)
		}
		if err := bob.Logout(t.Context()); err != nil || !w.loggedIn(t) {
			t.Errorf("bob logged alice out: %v", err)
		}
	})
}

func TestCompleteNeedsARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := fmt.Sprint(w.store.record(t))
		l, err := w.session.Login(t.Context(), sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		back := w.loginAnswer(t, l)
		w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer"})
		if err := w.session.Complete(t.Context(), l, back); !errors.Is(err, tokens.ErrNoRefreshToken) {
			t.Errorf("error %v", err)
		}
		if fmt.Sprint(w.store.record(t)) != before {
			t.Error("the session is not what it was before")
		}
	})
}

// What the login brought is for the key that says what the login said.
func TestCompleteKeepsTheFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		w.logIn(t, tokens.LoginScope("read"), tokens.LoginResource("https://billing.test"))
		token, err := w.session.Source(tokens.Key{Resource: "https://billing.test"}).Token(t.Context())
		if err != nil || w.wire.asked() != 1 || !slices.Equal(token.Scopes(), []string{"read"}) {
			t.Fatalf("error %v, %d requests", err, w.wire.asked())
		}
		w.mustToken(t)
		if w.wire.asked() != 2 {
			t.Errorf("%d requests", w.wire.asked())
		}

		// A server that does not say what it granted granted what was asked for, also later.
		w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": "r"})
		w.logIn(t, tokens.LoginScope("read", "write"))
		if token := w.mustToken(t); !slices.Equal(token.Scopes(), []string{"read", "write"}) {
			t.Errorf("scopes %q", token.Scopes())
		}
		<-time.After(5 * time.Minute)
		if token := w.mustToken(t); !slices.Equal(token.Scopes(), []string{"read", "write"}) {
			t.Errorf("scopes %q after a refresh", token.Scopes())
		}
	})
}

// A login for several resources: each has tokens of its own out of the one refresh token. Another one is refused without the
// server, which might end the session over it, and the session goes on.
func TestLoginForSeveralResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		const billing, shipping = "https://billing.test", "https://shipping.test"
		w.logIn(t, tokens.LoginResource(billing, shipping))
		seen := make(map[string]bool)
		for _, resource := range []string{billing, shipping} {
			token, err := w.session.Source(tokens.Key{Resource: resource}).Token(t.Context())
			if err != nil || !strings.Contains(payloadOf(t, token), resource) || seen[token.AccessToken()] {
				t.Errorf("%s: error %v, or not its own token", resource, err)
				continue
			}
			seen[token.AccessToken()] = true
		}
		asked := w.wire.asked()
		again := newSessionProcess(t, w.issuer, w.store) // the record knows it
		for _, session := range []*tokens.Session{w.session, again.session} {
			_, err := session.Source(tokens.Key{Resource: "https://other.test"}).Token(t.Context())
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_target" || !e.Permanent() {
				t.Errorf("another resource: %v", err)
			}
		}
		if asked != 2 || w.wire.asked()+again.wire.asked() != asked || w.issuer.Sessions() != 1 {
			t.Errorf("%d requests, %d sessions", w.wire.asked()+again.wire.asked(), w.issuer.Sessions())
		}
		w.mustToken(t) // without a resource it is for the server to say
	})
}

// payloadOf is the claims set of a token that is a JWT.
func payloadOf(t *testing.T, token *tokens.Token) string {
	t.Helper()
	parts := strings.Split(token.AccessToken(), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[len(parts)/2])
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

// A login takes the place of whatever there is.
func TestCompleteReplacesTheSession(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *sessionWorld){
		"nothing": func(*testing.T, *sessionWorld) {},
		"another login": func(t *testing.T, w *sessionWorld) {
			w.adopt(t)
			w.mustToken(t)
		},
		"a session that ended": func(t *testing.T, w *sessionWorld) {
			w.adopt(t)
			w.issuer.EndSessions()
			if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Fatal(err)
			}
		},
		"one that could not be saved": func(t *testing.T, w *sessionWorld) {
			w.adopt(t)
			w.store.fail(errDiskFull)
			w.mustToken(t)
			w.store.fail(nil)
		},
		"garbage": func(t *testing.T, w *sessionWorld) {
			w.adopt(t)
			_, version, err := w.store.Store.Load(t.Context(), w.store.name(t))
			if err == nil {
				_, err = w.store.Store.Save(t.Context(), w.store.name(t), []byte("garbage"), version)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				before(t, w)
				sessions := w.issuer.Sessions()
				w.logIn(t, tokens.LoginScope("new"))
				asked := w.wire.asked()
				if token := w.mustToken(t); !slices.Equal(token.Scopes(), []string{"new"}) || w.wire.asked() != asked {
					t.Errorf("scopes %q, %d requests", token.Scopes(), w.wire.asked()-asked)
				}
				<-time.After(time.Hour)
				if token := w.mustToken(t); !slices.Equal(token.Scopes(), []string{"new"}) {
					t.Errorf("scopes %q after an hour", token.Scopes())
				}
				if w.issuer.Sessions() != sessions+1 || len(w.wire.revoked()) != 0 {
					t.Error("something was revoked")
				}
			})
		})
	}
}

func TestCompleteRefusesLoginsThatAreNotItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		other := newSessionProcess(t, w.issuer, newSessionStore())
		l, err := other.session.Login(t.Context(), sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		back := w.loginAnswer(t, l)
		bob, err := tokens.NewSession(other.client, other.store, "bob")
		if err != nil {
			t.Fatal(err)
		}
		defer bob.Close()
		for _, wrong := range []error{
			w.session.Complete(t.Context(), nil, back), w.session.Complete(t.Context(), l, back), bob.Complete(t.Context(), l, back),
		} {
			if wrong == nil {
				t.Error("no error")
			}
		}
		if err := other.session.Complete(t.Context(), l, back); err != nil {
			t.Errorf("it was used up: %v", err)
		}
	})
}

// As long as nothing was sent the login can be completed another time.
func TestCompleteCanBeRepeated(t *testing.T) {
	for name, fault := range map[string]func(*sessionWorld) (repair func()){
		"locked": func(w *sessionWorld) func() {
			w.store.onLock = func(ctx context.Context, _ func() (func(), error)) (func(), error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return func() { w.store.onLock = nil }
		},
		"not loaded": func(w *sessionWorld) func() {
			w.store.onLoad = func(context.Context, string) error { return errDiskFull }
			return func() { w.store.onLoad = nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, err := w.session.Login(t.Context(), sessionRedirect)
				if err != nil {
					t.Fatal(err)
				}
				back := w.loginAnswer(t, l)
				repair := fault(w)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err = w.session.Complete(ctx, l, back)
				if _, ok := errors.AsType[*tokens.StoreError](err); !ok || w.wire.asked() != 0 {
					t.Errorf("%v, %d requests", err, w.wire.asked())
				}
				repair()
				if err := w.session.Complete(t.Context(), l, url.Values{"state": {"x"}, "code": {"y"}}); !errors.Is(err, tokens.ErrLoginState) {
					t.Errorf("error %v", err)
				}
				if err := w.session.Complete(t.Context(), l, back); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

// A login that cannot be saved is none, and leaves nothing at the server, also when the Store does not answer.
func TestCompleteThatCannotBeSaved(t *testing.T) {
	for name, onSave := range map[string]func(context.Context, func() (int64, error)) (int64, error){
		"fails": func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull },
		"hangs": func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, err := w.session.Login(t.Context(), sessionRedirect)
				if err != nil {
					t.Fatal(err)
				}
				back := w.loginAnswer(t, l)
				w.store.set(func() { w.store.onSave = onSave })
				err = w.session.Complete(t.Context(), l, back)
				if e, ok := errors.AsType[*tokens.StoreError](err); !ok || e.Op != "save" {
					t.Errorf("error %v", err)
				}
				w.store.fail(nil)
				if w.loggedIn(t) || w.issuer.Sessions() != 0 {
					t.Error("something is left of the login")
				}
			})
		})
	}
}

// A Save that takes place and does not say so is found out about, each time, and also after the last attempt.
func TestCompleteThatWasSavedAllAlong(t *testing.T) {
	for name, takesPlace := range map[string]int{"the first": 1, "the last": 4} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, err := w.session.Login(t.Context(), sessionRedirect)
				if err != nil {
					t.Fatal(err)
				}
				back := w.loginAnswer(t, l)
				calls := 0
				w.store.set(func() {
					w.store.onSave = func(ctx context.Context, pass func() (int64, error)) (int64, error) {
						if calls++; calls >= takesPlace {
							if _, err := pass(); err != nil {
								return 0, err
							}
						}
						<-ctx.Done() // and the answer never comes
						return 0, ctx.Err()
					}
				})
				if err := w.session.Complete(t.Context(), l, back); err != nil || len(w.wire.revoked()) != 0 || calls < 2 {
					t.Errorf("error %v, %d tokens revoked, %d calls", err, len(w.wire.revoked()), calls)
				}
				w.store.fail(nil)
				w.mustToken(t)
			})
		})
	}
}

// The browser that goes away does not take the login along.
func TestCompleteOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, err := w.session.Login(t.Context(), sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		back := w.loginAnswer(t, l)
		w.issuer.Slow(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.session.Complete(ctx, l, back); err != nil || !w.loggedIn(t) {
			t.Errorf("error %v", err)
		}
	})
}

// The key that a record was sealed with is lost. A new login replaces the record, and a logout removes it.
func TestSealedRecordThatCannotBeOpened(t *testing.T) {
	sealed := func(t *testing.T) (w *sessionWorld, session *tokens.Session) {
		w = adoptedWorld(t)
		seal := func(key byte) tokens.Store {
			store, err := tokens.Sealed(w.store, func(context.Context) ([][]byte, error) {
				return [][]byte{append(make([]byte, 31), key)}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return store
		}
		if err := w.session.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range []byte{1, 2} {
			var err error
			session, err = tokens.NewSession(w.client, seal(key), sessionName, tokens.Logger(slog.New(slog.DiscardHandler)))
			if err == nil && key == 1 {
				err = session.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice")))
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { session.Close() })
		}
		if _, err := session.Token(t.Context()); !errors.Is(err, tokens.ErrSealed) || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("Token: %v", err)
		}
		if _, err := session.LoggedIn(t.Context()); !errors.Is(err, tokens.ErrSealed) {
			t.Errorf("LoggedIn: %v", err)
		}
		return w, session
	}
	t.Run("Logout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, session := sealed(t)
			if err := session.Logout(t.Context()); !errors.Is(err, tokens.ErrNotRevoked) || !errors.Is(err, tokens.ErrSealed) {
				t.Errorf("error %v", err)
			}
			if in, err := session.LoggedIn(t.Context()); in || err != nil {
				t.Errorf("the record is still there: %v", err)
			}
		})
	})
	t.Run("Adopt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, session := sealed(t)
			if err := session.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice"))); err != nil {
				t.Fatal(err)
			}
			if _, err := session.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("Complete", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, session := sealed(t)
			for _, good := range []bool{false, true} { // a login that fails leaves the record
				l, err := session.Login(t.Context(), sessionRedirect)
				if err != nil {
					t.Fatal(err)
				}
				back := w.loginAnswer(t, l)
				if !good {
					back.Set("code", "another")
				}
				if err := session.Complete(t.Context(), l, back); (err == nil) != good {
					t.Errorf("good %t: %v", good, err)
				}
				if in, err := session.LoggedIn(t.Context()); in != good || errors.Is(err, tokens.ErrSealed) == good {
					t.Errorf("good %t: logged in %t, %v", good, in, err)
				}
			}
		})
	})
}

// A session that is closed while it waits for the server saves nothing any more, and leaves nothing at the server.
func TestCompleteAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, err := w.session.Login(t.Context(), sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		back := w.loginAnswer(t, l)
		w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			w.session.Close()
			return pass()
		})
		if err := w.session.Complete(t.Context(), l, back); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("error %v", err)
		}
		if w.store.record(t) != nil || w.issuer.Sessions() != 0 {
			t.Error("something is left of the login")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := fmt.Sprint(w.store.record(t))
		w.store.set(func() { w.store.onLoad = func(context.Context, string) error { w.session.Close(); return nil } })
		for name, err := range map[string]error{"Adopt": w.session.Adopt(t.Context(), tokens.NewSecret("r")), "Logout": w.session.Logout(t.Context())} {
			if !errors.Is(err, tokens.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if fmt.Sprint(w.store.record(t)) != before || len(w.wire.revoked()) != 0 {
			t.Error("a closed session did something")
		}
	})
	synctest.Test(t, func(t *testing.T) { // closed after the first look
		w := adoptedWorld(t)
		w.store.set(func() { w.store.onLoad = func(context.Context, string) error { w.session.Close(); return nil } })
		if err := w.session.Logout(t.Context()); !errors.Is(err, tokens.ErrClosed) || w.store.record(t) == nil || len(w.wire.revoked()) != 0 {
			t.Errorf("Logout: %v", err)
		}
	})
}

// From the moment that the record is loaded no token is handed out here, however long the server takes.
func TestLogoutHandsOutNothingMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		s, err := tokens.NewSession(w.client, w.store, sessionName, tokens.MaxKeys(1), tokens.Logger(slog.New(slog.DiscardHandler)))
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

// Close is done in bounded time, whoever does not answer.
func TestCloseTakesAtMostThirtyFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.issuer.Slow(9 * time.Second)
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
		if _, ok := errors.AsType[*tokens.StoreError](err); !ok || time.Since(began) > 35*time.Second {
			t.Errorf("%v, after %s", err, time.Since(began))
		}
		wg.Wait()
	})
}

func TestAdoptRefusesWhatIsNoRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := fmt.Sprint(w.store.record(t))
		for _, refresh := range []tokens.Secret{tokens.NewSecret(""), tokens.NewSecret("a\nb"), tokens.NewSecret("a\x7f"), tokens.NewSecret("\u00e9")} {
			err := w.session.Adopt(t.Context(), refresh)
			if err == nil || refresh.Reveal() != "" && strings.Contains(err.Error(), refresh.Reveal()) || fmt.Sprint(w.store.record(t)) != before {
				t.Errorf("%q: %v", refresh.Reveal(), err)
			}
		}
	})
}

func TestLogoutWithoutRevocation(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*sessionWorld)
		is    error // that the error is, beside ErrNotRevoked
		code  string
	}{
		"the server is down": {func(w *sessionWorld) { w.issuer.Down() }, nil, ""},
		"the server hangs":   {func(w *sessionWorld) { w.issuer.Hang() }, context.DeadlineExceeded, ""},
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
		}, tokens.ErrNoRevocation, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				test.fault(w)
				w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer"})
				_, _ = w.session.Token(t.Context())
				err := w.session.Logout(t.Context())
				if !errors.Is(err, tokens.ErrNotRevoked) || test.is != nil && !errors.Is(err, test.is) {
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

// sessionRoundTrip is a function as a transport.
type sessionRoundTrip func(*http.Request) (*http.Response, error)

func (f sessionRoundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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
		if err := w.session.Logout(t.Context()); !errors.Is(err, tokens.ErrNotRevoked) || w.loggedIn(t) {
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
				if e, ok := errors.AsType[*tokens.StoreError](err); !ok || e.Op != test.op || errors.Is(err, tokens.ErrNotRevoked) {
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

// Whoever asks for the logout may be gone before it is done.
func TestLogoutOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		w.issuer.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.session.Logout(ctx); !errors.Is(err, tokens.ErrNotRevoked) || w.loggedIn(t) {
			t.Errorf("error %v", err)
		}
	})
}

// A logout meets a refresh at every point of it, in this process and in another. None brings the session back.
func TestLogoutDuringARefresh(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		for name, slow := range map[string]func(w *sessionWorld){
			"the request": func(w *sessionWorld) { w.issuer.Slow(3 * time.Second) },
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

func sessionSlowSave(before, after time.Duration) func(context.Context, func() (int64, error)) (int64, error) {
	return func(_ context.Context, pass func() (int64, error)) (int64, error) {
		<-time.After(max(1, before))
		version, err := pass()
		<-time.After(max(1, after))
		return version, err
	}
}

// A service that stops in the middle of a refresh loses nothing.
func TestCloseDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.mustToken(t)
		<-time.After(5 * time.Minute)
		w.issuer.Slow(2 * time.Second)
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
		w.issuer.Restore()
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
			if _, ok := errors.AsType[*tokens.StoreError](err); ok == repaired {
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
		for name, err := range map[string]error{
			"Token": tokenErr, "Login": loginErr, "LoggedIn": inErr, "Adopt": w.session.Adopt(t.Context(), tokens.NewSecret("r")),
			"Complete": w.session.Complete(t.Context(), l, w.loginAnswer(t, l)), "Logout": w.session.Logout(t.Context()),
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

func TestLoggedInWhenTheStoreDoesNotSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.store.set(func() { w.store.onLoad = func(context.Context, string) error { return errDiskFull } })
		in, err := w.session.LoggedIn(t.Context())
		if e, ok := errors.AsType[*tokens.StoreError](err); in || !ok || e.Op != "load" {
			t.Errorf("%t, %v", in, err)
		}
	})
}

// Two services that share a session, each with its Manager, for days.
func TestSessionsOfTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := adoptedWorld(t)
		b := newSessionProcess(t, a.issuer, a.store)
		var wg sync.WaitGroup
		for i, w := range []*sessionWorld{a, b} {
			wg.Go(func() {
				for range 2000 {
					if _, err := w.session.Token(context.Background()); err != nil {
						t.Error(err)
						return
					}
					<-time.After(time.Minute + time.Duration(i)*time.Second)
				}
			})
		}
		wg.Wait()
		asked := a.wire.asked() + b.wire.asked()
		if asked > 2100*60/180 || a.issuer.Sessions() != 1 { // one renewal for both, each three and a half minutes or later
			t.Errorf("%d requests, %d sessions", asked, a.issuer.Sessions())
		}
	})
}

func TestSessionPrintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, bearertest.TokenLifetime(time.Hour))
		w.logIn(t)
		token := w.mustToken(t)
		w.store.fail(errDiskFull)
		_, _ = w.session.Source(tokens.Key{Resource: "https://billing.test"}).Token(t.Context()) // which is kept in memory
		_, err := w.session.Source(tokens.Key{Resource: "https://shipping.test"}).Token(t.Context())
		f := w.client.RefreshToken(w.store)
		_, fetchErr := f.Fetch(t.Context(), tokens.Request{Key: sessionKey, Previous: token})
		store, ok := errors.AsType[*tokens.StoreError](err)
		if !ok || fetchErr == nil {
			t.Fatal(err, fetchErr)
		}
		var printed strings.Builder
		for _, v := range []any{w.session, w.client, f, token, err, fetchErr, store, w.session.Source(tokens.Key{})} {
			printed.WriteString(sessionPrinted(v))
		}
		secrets := []string{token.AccessToken(), w.store.record(t)["refresh_token"].(string)}
		for _, form := range w.wire.tokens {
			secrets = append(secrets, form.Get("code"), form.Get("code_verifier"), form.Get("refresh_token"))
		}
		for _, secret := range secrets {
			if secret != "" && (strings.Contains(printed.String(), secret) || strings.Contains(printed.String(), fmt.Sprintf("%x", secret))) {
				t.Error("a secret is printed")
			}
		}
	})
}

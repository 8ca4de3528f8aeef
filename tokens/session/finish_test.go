package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// What the login brought is for the key that says what the login said.
func TestFinishKeepsTheFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		w.logIn(t, session.WithScope("read"), session.WithResource("https://billing.test"))
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
		w.logIn(t, session.WithScope("read", "write"))
		if token := w.mustToken(t); !slices.Equal(token.Scopes(), []string{"read", "write"}) {
			t.Errorf("scopes %q", token.Scopes())
		}
		<-time.After(5 * time.Minute)
		if token := w.mustToken(t); !slices.Equal(token.Scopes(), []string{"read", "write"}) {
			t.Errorf("scopes %q after a refresh", token.Scopes())
		}
	})
}

// A login takes the place of whatever there is.
func TestFinishReplacesTheSession(t *testing.T) {
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
				w.logIn(t, session.WithScope("new"))
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

func TestFinishRefusesLoginsThatAreNotItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		other := newSessionProcess(t, w.issuer, newSessionStore())
		l, err := other.session.Login(t.Context(), sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		back := w.loginAnswer(t, l)
		bob, err := session.New(other.client, other.store, "bob")
		if err != nil {
			t.Fatal(err)
		}
		defer bob.Close()
		for _, wrong := range []struct {
			session *session.Session
			login   *session.Login
		}{{w.session, nil}, {w.session, l}, {bob, l}} {
			if _, err := wrong.session.Finish(t.Context(), wrong.login, back); err == nil {
				t.Error("no error")
			}
		}
		if _, err := other.session.Finish(t.Context(), l, back); err != nil {
			t.Errorf("it was used up: %v", err)
		}
	})
}

// As long as nothing was sent the login can be completed another time.
func TestFinishCanBeRepeated(t *testing.T) {
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
				l, back := w.startLogin(t)
				repair := fault(w)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := w.session.Finish(ctx, l, back)
				if _, ok := errors.AsType[*session.StoreError](err); !ok || w.wire.asked() != 0 {
					t.Errorf("%v, %d requests", err, w.wire.asked())
				}
				repair()
				if _, err := w.session.Finish(t.Context(), l, url.Values{"state": {"x"}, "code": {"y"}}); !errors.Is(err, session.ErrLoginState) {
					t.Errorf("error %v", err)
				}
				if _, err := w.session.Finish(t.Context(), l, back); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

// Without a connection no code was sent. With one it may have been, whatever becomes of it.
func TestFinishWithoutAConnectionCanBeRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		sent bool
	}{
		"refused":      {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false},
		"no such host": {&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "issuer.test", IsNotFound: true}}, false},
		"reset":        {&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, true},
		"broken off":   {io.ErrUnexpectedEOF, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, back := w.startLogin(t)
				w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) { return nil, test.err })
				if _, err := w.session.Finish(t.Context(), l, back); err == nil {
					t.Error("no error")
				}
				w.wire.hook(nil)
				_, err := w.session.Finish(t.Context(), l, back)
				if errors.Is(err, session.ErrLoginUsed) != test.sent || !test.sent && err != nil || w.loggedIn(t) == test.sent {
					t.Errorf("again: %v", err)
				}
			})
		})
	}
}

// A login that cannot be saved is none, and leaves nothing at the server, also when the Store does
// not answer.
func TestFinishThatCannotBeSaved(t *testing.T) {
	for name, onSave := range map[string]func(context.Context, func() (int64, error)) (int64, error){
		"fails": func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull },
		"hangs": func(ctx context.Context, _ func() (int64, error)) (int64, error) { <-ctx.Done(); return 0, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, back := w.startLogin(t)
				w.store.set(func() { w.store.onSave = onSave })
				_, err := w.session.Finish(t.Context(), l, back)
				if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "save" {
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

// A Save that takes place and does not say so is found out about, each time, and also after the
// last attempt.
func TestFinishThatWasSavedAllAlong(t *testing.T) {
	for name, takesPlace := range map[string]int{"the first": 1, "the last": 4} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, back := w.startLogin(t)
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
				if _, err := w.session.Finish(t.Context(), l, back); err != nil || len(w.wire.revoked()) != 0 || calls < 2 {
					t.Errorf("error %v, %d tokens revoked, %d calls", err, len(w.wire.revoked()), calls)
				}
				w.store.fail(nil)
				w.mustToken(t)
			})
		})
	}
}

// The browser that goes away does not take the login along.
func TestFinishOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, back := w.startLogin(t)
		w.issuer.SetFault(bearertest.Slow(2 * time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.session.Finish(ctx, l, back); err != nil || !w.loggedIn(t) {
			t.Errorf("error %v", err)
		}
	})
}

// A session that is closed while it waits for the server saves nothing any more, and leaves nothing
// at the server.
func TestFinishAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, back := w.startLogin(t)
		w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			w.session.Close()
			return pass()
		})
		if _, err := w.session.Finish(t.Context(), l, back); !errors.Is(err, tokens.ErrClosed) {
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

// The key that a record was sealed with is lost. A new login replaces the record, and a logout
// removes it.
func TestSealedRecordThatCannotBeOpened(t *testing.T) {
	sealed := func(t *testing.T) (w *sessionWorld, alice *session.Session) {
		w = adoptedWorld(t)
		seal := func(key byte) session.Store {
			store, err := session.NewSealedStore(w.store, func(context.Context) ([][]byte, error) {
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
			alice, err = session.New(w.client, seal(key), sessionName, tokens.WithLogger(slog.New(slog.DiscardHandler)))
			if err == nil && key == 1 {
				err = alice.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice")))
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { alice.Close() })
		}
		if _, err := alice.Token(t.Context()); !errors.Is(err, session.ErrCannotUnseal) || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("Token: %v", err)
		}
		if _, err := alice.LoggedIn(t.Context()); !errors.Is(err, session.ErrCannotUnseal) {
			t.Errorf("LoggedIn: %v", err)
		}
		return w, alice
	}
	t.Run("Logout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, alice := sealed(t)
			if err := alice.Logout(t.Context()); !errors.Is(err, session.ErrNotRevoked) || !errors.Is(err, session.ErrCannotUnseal) {
				t.Errorf("error %v", err)
			}
			if in, err := alice.LoggedIn(t.Context()); in || err != nil {
				t.Errorf("the record is still there: %v", err)
			}
		})
	})
	t.Run("Adopt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, alice := sealed(t)
			if err := alice.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice"))); err != nil {
				t.Fatal(err)
			}
			if _, err := alice.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("Finish", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, alice := sealed(t)
			for _, good := range []bool{false, true} { // a login that fails leaves the record
				l, err := alice.Login(t.Context(), sessionRedirect)
				if err != nil {
					t.Fatal(err)
				}
				back := w.loginAnswer(t, l)
				if !good {
					back.Set("code", "another")
				}
				if _, err := alice.Finish(t.Context(), l, back); (err == nil) != good {
					t.Errorf("good %t: %v", good, err)
				}
				if in, err := alice.LoggedIn(t.Context()); in != good || errors.Is(err, session.ErrCannotUnseal) == good {
					t.Errorf("good %t: logged in %t, %v", good, in, err)
				}
			}
		})
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

// A login whose answer cannot be used leaves nothing at the server.
func TestFinishRevokesWhatCannotBeUsed(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *fallbackReply){
		"a Latin-1 byte":     func(_ *testing.T, a *fallbackReply) { a.body = "{" + fallbackLatin1 + "," + a.body[1:] },
		"two refresh tokens": func(_ *testing.T, a *fallbackReply) { a.body = `{"refresh_token":"first",` + a.body[1:] },
		"a form of two":      func(t *testing.T, a *fallbackReply) { a.toForm(t); a.body += "&x=1&x=2" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, back := w.startLogin(t)
				w.wire.spoiled(t, func(a *fallbackReply) { spoil(t, a) })
				if _, err := w.session.Finish(t.Context(), l, back); err == nil || w.loggedIn(t) || w.issuer.Sessions() != 0 {
					t.Errorf("error %v, logged in %t, %d sessions", err, w.loggedIn(t), w.issuer.Sessions())
				}
			})
		})
	}
}

// A login that is answered with 201 is one, and one that is answered with a form.
func TestFinishWithAnotherSuccess(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, *fallbackReply){
		"201":    func(_ *testing.T, a *fallbackReply) { a.status = http.StatusCreated },
		"a form": func(t *testing.T, a *fallbackReply) { a.toForm(t) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				w.wire.spoiled(t, func(a *fallbackReply) { spoil(t, a) })
				w.logIn(t)
				w.mustToken(t)
			})
		})
	}
}

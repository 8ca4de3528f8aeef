package session_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func saveLogin(t testing.TB, l *session.Login, store session.Store, browser string) {
	t.Helper()
	if err := l.Save(t.Context(), store, browser); err != nil {
		t.Fatal(err)
	}
}

func mustLoadLogin(t testing.TB, c *oauth.Client, store session.Store, browser, state string) *session.Login {
	t.Helper()
	l, err := session.LoadLogin(t.Context(), c, store, browser, state)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantNoLogin checks that there is no login to be loaded.
func wantNoLogin(t testing.TB, what string, c *oauth.Client, store session.Store, browser, state string) {
	t.Helper()
	if l, err := session.LoadLogin(t.Context(), c, store, browser, state); l != nil || !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: the login is %v, error %v", what, l, err)
	}
}

// wantStoreError checks that a Store failed.
func wantStoreError(t testing.TB, err error, op string, cause error) {
	t.Helper()
	if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != op || !errors.Is(err, cause) {
		t.Errorf("the error is %v, want a StoreError of %s", err, op)
	}
}

func TestStoredLoginInEachStore(t *testing.T) {
	for name, store := range map[string]session.Store{
		"memory": session.NewMemoryStore(),
		"sealed": storeSealed(t, session.NewMemoryStore(), storeKeys(1)),
		"file":   storeInFiles(t, t.TempDir(), storeKeys(1)),
	} {
		t.Run(name, func(t *testing.T) {
			w := newSessionWorld(t)
			other := w.otherProcess(t)
			l, back := w.startLogin(t)
			saveLogin(t, l, store, "browser")
			wantNoLogin(t, "another browser", other.client, store, "browser2", l.State())
			wantNoLogin(t, "no state", other.client, store, "browser", "")
			loaded := mustLoadLogin(t, other.client, store, "browser", back.Get("state"))
			wantNoLogin(t, "loaded already", w.client, store, "browser", l.State())
			if _, err := other.session.Finish(t.Context(), loaded, back); err != nil {
				t.Fatal(err)
			}
			if err := loaded.Save(t.Context(), store, "browser"); !errors.Is(err, session.ErrLoginUsed) {
				t.Errorf("saved once more: %v", err)
			}
			wantNoLogin(t, "finished", w.client, store, "browser", l.State())
		})
	}
}

// A login is one browser's, and is not found without it.
func TestStoredLoginIsFoundByAllThatItIsFor(t *testing.T) {
	store := session.NewMemoryStore()
	c := plainClient(t, "https://login.test", "app")
	l := plainLogin(t, c)
	state := l.State()
	saveLogin(t, l, store, "browser")
	for what, other := range map[string]struct {
		client         *oauth.Client
		browser, state string
	}{
		"another browser":         {c, "browse", state},
		"another state":           {c, "browser", state[1:]},
		"another state and more":  {c, "browser", state + "x"},
		"a part in the other one": {c, "browser" + state[:1], state[1:]},
		"turned round":            {c, state, "browser"},
		"another client":          {plainClient(t, "https://login.test", "app2"), "browser", state},
		"another issuer":          {plainClient(t, "https://login2.test", "app"), "browser", state},
	} {
		wantNoLogin(t, what, other.client, store, other.browser, other.state)
	}
	mustLoadLogin(t, c, store, "browser", state)
}

// A person's tabs have a login each.
func TestStoredLoginsOfSeveralTabs(t *testing.T) {
	store := session.NewMemoryStore()
	c := plainClient(t, "https://login.test", "app")
	var tabs []*session.Login
	for range 5 {
		tabs = append(tabs, plainLogin(t, c))
		saveLogin(t, tabs[len(tabs)-1], store, "browser")
	}
	for _, l := range tabs {
		if got := mustLoadLogin(t, c, store, "browser", l.State()); got.State() != l.State() {
			t.Error("the login of another tab")
		}
	}
	if records, _ := session.MemorySize(store); records != 0 {
		t.Errorf("%d records are left", records)
	}
}

// Of many replicas at once one has the login, and the code is sent once.
func TestStoredLoginIsLoadedOnce(t *testing.T) {
	for name, stores := range map[string]func(t *testing.T) func() session.Store{
		"memory": func(*testing.T) func() session.Store {
			store := session.NewMemoryStore()
			return func() session.Store { return store }
		},
		"files": func(t *testing.T) func() session.Store {
			dir := t.TempDir()
			return func() session.Store { return storeInFiles(t, dir, storeKeys(1)) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSessionWorld(t)
			store := stores(t)
			l, back := w.startLogin(t)
			saveLogin(t, l, store(), "browser")
			var loaded, missed atomic.Int32
			var wg sync.WaitGroup
			for range 20 {
				other, mine := w.otherProcess(t), store()
				wg.Go(func() {
					l, err := session.LoadLogin(context.Background(), other.client, mine, "browser", back.Get("state"))
					switch {
					case errors.Is(err, session.ErrNotFound):
						missed.Add(1)
						return
					case err == nil:
						loaded.Add(1)
						_, _, err = l.Finish(context.Background(), back)
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if loaded.Load() != 1 || missed.Load() != 19 || w.issuer.TokenRequests() != 1 {
				t.Errorf("%d have loaded it, %d requests", loaded.Load(), w.issuer.TokenRequests())
			}
		})
	}
}

// Two have loaded the same record before either of them has removed it, at each step of the one.
func TestStoredLoginIsLoadedOnceInAnyOrder(t *testing.T) {
	for _, step := range []string{"before the save", "after the save", "before the delete"} {
		t.Run(step, func(t *testing.T) {
			c := plainClient(t, "https://login.test", "app")
			l := plainLogin(t, c)
			store := newSessionStore()
			saveLogin(t, l, store, "browser")
			other := store.beside()
			loads := 0
			race := func() {
				if _, err := session.LoadLogin(t.Context(), c, other, "browser", l.State()); err == nil {
					loads++
				} else if !errors.Is(err, session.ErrNotFound) {
					t.Error(err)
				}
			}
			store.set(func() {
				store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
					if step == "before the save" {
						race()
					}
					version, err := pass()
					if step == "after the save" {
						race()
					}
					return version, err
				}
				store.onDel = func(context.Context) error {
					if step == "before the delete" {
						race()
					}
					return nil
				}
			})
			if _, err := session.LoadLogin(t.Context(), c, store, "browser", l.State()); err == nil {
				loads++
			} else if !errors.Is(err, session.ErrNotFound) {
				t.Error(err)
			}
			if loads != 1 {
				t.Errorf("%d have the login, want 1", loads)
			}
			wantNoLogin(t, "afterwards", c, store.Store, "browser", l.State())
		})
	}
}

// A login whose code could not be sent is put back, and finished by another process.
func TestStoredLoginIsPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		store := session.NewMemoryStore()
		l, back := w.startLogin(t)
		saveLogin(t, l, store, "browser")
		loaded := mustLoadLogin(t, w.client, store, "browser", l.State())
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.session.Finish(ended, loaded, back); err == nil || w.wire.asked() != 0 {
			t.Fatalf("error %v, %d requests", err, w.wire.asked())
		}
		saveLogin(t, loaded, store, "browser")
		other := w.otherProcess(t)
		if _, err := other.session.Finish(t.Context(), mustLoadLogin(t, other.client, store, "browser", l.State()), back); err != nil {
			t.Fatal(err)
		}
		if records, _ := session.MemorySize(store); records != 0 {
			t.Errorf("%d records are left", records)
		}
	})
}

// What the server has refused is over.
func TestStoredLoginThatWasRefusedIsNotPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, back := w.startLogin(t)
		back.Set("error", "access_denied")
		if _, err := w.session.Finish(t.Context(), l, back); err == nil {
			t.Fatal("no error")
		}
		store := session.NewMemoryStore()
		if err := l.Save(t.Context(), store, "browser"); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("error %v", err)
		}
		if records, _ := session.MemorySize(store); records != 0 {
			t.Errorf("%d records", records)
		}
	})
}

func TestStoredLoginIsSavedAgain(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	l, store := plainLogin(t, c), newSessionStore()
	saveLogin(t, l, store, "browser")
	saveLogin(t, l, store, "browser")
	store.set(func() { store.onDel = func(context.Context) error { return errDiskFull } })
	loaded := mustLoadLogin(t, c, store, "browser", l.State())
	wantNoLogin(t, "an empty record", c, store, "browser", l.State())
	saveLogin(t, loaded, store, "browser")
	mustLoadLogin(t, c, store, "browser", l.State())
}

func TestStoredLoginLifetime(t *testing.T) {
	for age, good := range map[time.Duration]bool{10*time.Minute - time.Millisecond: true, 10 * time.Minute: false} {
		synctest.Test(t, func(t *testing.T) {
			c := plainClient(t, "https://login.test", "app")
			l, store := plainLogin(t, c), session.NewMemoryStore()
			saveLogin(t, l, store, "browser")
			<-time.After(age)
			if err := l.Save(t.Context(), session.NewMemoryStore(), "browser"); (err == nil) != good || err != nil && !errors.Is(err, session.ErrLoginExpired) {
				t.Errorf("saved after %s: %v", age, err)
			}
			_, err := session.LoadLogin(t.Context(), c, store, "browser", l.State())
			if (err == nil) != good || err != nil && !errors.Is(err, session.ErrLoginExpired) {
				t.Errorf("loaded after %s: %v", age, err)
			}
			if records, _ := session.MemorySize(store); records != 0 {
				t.Errorf("%d records are left", records)
			}
		})
	}
}

func TestStoredLoginInAStoreThatFails(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	l, store := plainLogin(t, c), newSessionStore()
	down := func(context.Context, string) error { return errDiskFull }
	store.fail(errDiskFull)
	wantStoreError(t, l.Save(t.Context(), store, "browser"), "save", errDiskFull)
	store.fail(nil)
	saveLogin(t, l, store, "browser")

	store.set(func() { store.onLoad = down })
	wantStoreError(t, l.Save(t.Context(), store, "browser"), "load", errDiskFull)
	_, err := session.LoadLogin(t.Context(), c, store, "browser", l.State())
	wantStoreError(t, err, "load", errDiskFull)
	store.set(func() { store.onLoad = nil })
	store.fail(errDiskFull)
	_, err = session.LoadLogin(t.Context(), c, store, "browser", l.State())
	wantStoreError(t, err, "save", errDiskFull)
	store.fail(nil)
	mustLoadLogin(t, c, store, "browser", l.State()) // it was not removed
}

// The names tell an operator which records are logins, and do not tell whose. A sealed Store shows
// nothing of one.
func TestStoredLoginShowsNothing(t *testing.T) {
	memory := session.NewMemoryStore()
	names := &namedStore{Store: memory}
	c := plainClient(t, "https://login.test", "app")
	l := plainLogin(t, c)
	saveLogin(t, l, storeSealed(t, names, storeKeys(1)), "browser")
	if len(names.saved) != 1 || !strings.HasPrefix(names.saved[0], "login-") || len(names.saved[0]) != len("login-")+64 {
		t.Fatalf("the names are %q", names.saved)
	}
	data, _ := storeRaw(t, memory, names.saved[0])
	for _, part := range []string{"browser", l.State(), "https", "{"} {
		if strings.Contains(names.saved[0], part) || len(part) > 1 && bytes.Contains(data, []byte(part)) {
			t.Errorf("it shows %q", part)
		}
	}
}

// namedStore notes the names of the records.
type namedStore struct {
	session.Store
	saved []string
}

func (s *namedStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	s.saved = append(s.saved, name)
	return s.Store.Save(ctx, name, data, version)
}

// What is not a login of this version, or not this one, stays where it is.
func TestStoredLoginThatCannotBeRead(t *testing.T) {
	c := plainClient(t, "https://login.test", "app")
	for what, data := range map[string]string{
		"another format": strings.Replace(string(loginData(time.Now().Add(time.Minute), "")), `"v":1`, `"v":2`, 1),
		"another state":  string(loginData(time.Now().Add(time.Minute), "")),
		"from later":     string(loginData(time.Now().Add(time.Hour), "")),
		"no JSON":        "x",
	} {
		l, names := plainLogin(t, c), &namedStore{Store: session.NewMemoryStore()}
		saveLogin(t, l, names, "browser")
		_, version := storeRaw(t, names.Store, names.saved[0])
		storeSave(t, names.Store, names.saved[0], data, version)
		_, err := session.LoadLogin(t.Context(), c, names, "browser", l.State())
		if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "load" || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		storeWant(t, names.Store, names.saved[0], data)
	}
	l, memory := plainLogin(t, c), session.NewMemoryStore()
	saveLogin(t, l, storeSealed(t, memory, storeKeys(1)), "browser")
	_, err := session.LoadLogin(t.Context(), c, storeSealed(t, memory, storeKeys(2)), "browser", l.State())
	wantStoreError(t, err, "load", session.ErrCannotUnseal)
}

// A record has 64 KiB.
func TestStoredLoginSize(t *testing.T) {
	c, store := plainClient(t, "https://login.test", "app"), session.NewMemoryStore()
	longest := 0
	for scope := 65<<10 - 1024 - 300; ; scope++ {
		l := plainLogin(t, c, session.WithScope(strings.Repeat("s", scope)))
		names := &namedStore{Store: store}
		if err := l.Save(t.Context(), names, "browser"); err != nil {
			if !strings.Contains(err.Error(), "65536 bytes") || names.saved != nil {
				t.Errorf("error %v", err)
			}
			break
		}
		data, _ := storeRaw(t, store, names.saved[0])
		longest = len(data)
		mustLoadLogin(t, c, store, "browser", l.State())
	}
	if longest != 64<<10 {
		t.Errorf("the longest record has %d bytes", longest)
	}
}

func TestStoredLoginRefusesConfigurations(t *testing.T) {
	c, store := plainClient(t, "https://login.test", "app"), session.NewMemoryStore()
	l := plainLogin(t, c)
	if err := l.Save(t.Context(), store, ""); err == nil || !strings.Contains(err.Error(), "browser's id is empty") {
		t.Errorf("error %v", err)
	}
	if err := l.Save(t.Context(), nil, "browser"); err == nil || !strings.Contains(err.Error(), "the Store is nil") {
		t.Errorf("error %v", err)
	}
	if _, err := session.LoadLogin(t.Context(), c, store, "", l.State()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	_, err := session.LoadLogin(t.Context(), nil, nil, "", "")
	tokenstest.WantConfigErrors(t, err, session.ConfigError{Option: "LoadLogin", Value: "nil"}, session.ConfigError{Option: "LoadLogin", Value: "nil"})
}

// A login whose code was not sent goes on, in this process and from it to another.
func TestLoginWhoseCodeWasNotSentIsFinishedElsewhere(t *testing.T) {
	for way, move := range leaving {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, back := w.startLogin(t)
				l = move(t, l, w)
				ended, cancel := context.WithCancelCause(t.Context())
				cancel(errors.New("the browser went away"))
				if _, _, err := l.Finish(ended, back); err == nil || w.wire.asked() != 0 {
					t.Fatalf("error %v", err)
				}
				other := w.otherProcess(t)
				if _, err := other.session.Finish(t.Context(), move(t, l, other), back); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

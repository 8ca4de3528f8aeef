package session_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// startDevice begins a device login of the session, to which the person agrees after a time.
func (w *sessionWorld) startDevice(t *testing.T, agrees time.Duration, opts ...session.LoginOption) *session.DeviceLogin {
	t.Helper()
	d, err := w.session.DeviceLogin(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(agrees, func() { w.issuer.ApproveDevice(d.UserCode(), "alice") })
	return d
}

// The session is what it was, and other processes use it, until the tokens are there.
func TestFinishDeviceLocksTheSessionOnlyToSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := w.mustToken(t)
		locks := len(w.store.leases)
		d := w.startDevice(t, 4*time.Minute, session.WithScope("read"), session.WithResource("urn:a", "urn:b"))
		done := make(chan error)
		go func() { _, err := w.session.FinishDevice(t.Context(), d); done <- err }()
		<-time.After(3 * time.Minute)
		synctest.Wait()
		if len(w.store.leases) != locks || w.mustToken(t).AccessToken() != before.AccessToken() {
			t.Errorf("the session was locked %d times, or is another", len(w.store.leases)-locks)
		}
		other := newSessionProcess(t, w.issuer, w.store)
		if _, err := other.session.Source(tokens.Key{Scope: "write"}).Token(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		asked := w.wire.asked()
		token, err := w.session.Source(tokens.Key{Resource: "urn:a"}).Token(t.Context())
		if err != nil || w.wire.asked() != asked || token.Scopes()[0] != "read" {
			t.Errorf("the first token was not kept: %v", err)
		}
		if _, err := w.session.Source(tokens.Key{Resource: "urn:b"}).Token(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := w.session.Source(tokens.Key{Resource: "urn:c"}).Token(t.Context()); err == nil {
			t.Error("a token for a resource that the login was not for")
		}
		if !w.loggedIn(t) || len(w.wire.revoked()) != 0 {
			t.Errorf("revoked %d", len(w.wire.revoked()))
		}
	})
}

// A device login without a refresh token keeps its access token, as any other.
func TestFinishDeviceWithoutARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		d := w.startDevice(t, time.Second)
		w.wire.answer(200, map[string]any{"access_token": "kept", "token_type": "Bearer"})
		if _, err := w.session.FinishDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if w.mustToken(t).AccessToken() != "kept" {
			t.Error("another token")
		}
	})
}

// What cannot be kept is revoked, and the session is what it was.
func TestFinishDeviceRevokesWhatItCannotKeep(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*sessionWorld)
		is    error
	}{
		"no lock": {func(w *sessionWorld) {
			w.store.onLock = func(context.Context, func() (func(), error)) (func(), error) { return nil, errDiskFull }
		}, errDiskFull},
		"no lock for long": {func(w *sessionWorld) {
			w.store.onLock = func(ctx context.Context, _ func() (func(), error)) (func(), error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}, context.DeadlineExceeded},
		"no load": {func(w *sessionWorld) { w.store.onLoad = func(context.Context, string) error { return errDiskFull } }, errDiskFull},
		"no save": {func(w *sessionWorld) {
			w.store.onSave = func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull }
		}, errDiskFull},
		"closed": {func(w *sessionWorld) { w.session.Close() }, tokens.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				d := w.startDevice(t, time.Minute)
				time.AfterFunc(30*time.Second, func() { w.store.set(func() { test.fault(w) }) })
				_, err := w.session.FinishDevice(t.Context(), d)
				if !errors.Is(err, test.is) {
					t.Errorf("error %v", err)
				}
				if len(w.wire.revoked()) != 1 || w.wire.revokes[0].Get("token_type_hint") != "refresh_token" || w.issuer.Sessions() != 0 {
					t.Errorf("revoked %d, %d sessions are left", len(w.wire.revoked()), w.issuer.Sessions())
				}
			})
		})
	}
}

// A Store that panics loses nothing either.
func TestFinishDeviceRevokesWhenTheStorePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		d := w.startDevice(t, time.Second)
		w.store.onLock = func(context.Context, func() (func(), error)) (func(), error) { panic("of the application") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it does not panic")
				}
			}()
			_, _ = w.session.FinishDevice(t.Context(), d)
		}()
		if w.issuer.Sessions() != 0 {
			t.Error("the session at the server goes on")
		}
	})
}

// The context counts until the tokens are there, and not when they are saved.
func TestFinishDeviceSavesAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		d := w.startDevice(t, time.Second)
		w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			<-time.After(5 * time.Second)
			return pass()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		if _, err := w.session.FinishDevice(ctx, d); err != nil || !w.loggedIn(t) {
			t.Errorf("error %v", err)
		}
	})
}

// A refresh token of an answer that cannot be used is revoked.
func TestFinishDeviceRevokesARefusedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		d := w.startDevice(t, time.Second)
		w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "N_A", "refresh_token": "stray"})
		if _, err := w.session.FinishDevice(t.Context(), d); err == nil || len(w.wire.revoked()) != 1 || w.wire.revoked()[0] != "stray" {
			t.Errorf("error %v, revoked %d", err, len(w.wire.revoked()))
		}
	})
}

// So it is without a session, which could keep none of it either.
func TestLoginAloneRevokesARefusedAnswer(t *testing.T) {
	for name, finish := range map[string]func(t *testing.T, w *sessionWorld) (*tokens.Response, error){
		"with a browser": func(t *testing.T, w *sessionWorld) (*tokens.Response, error) {
			l := w.login(t)
			response, _, err := l.Finish(t.Context(), w.loginAnswer(t, l))
			return response, err
		},
		"on another device": func(t *testing.T, w *sessionWorld) (*tokens.Response, error) {
			response, _, err := w.startDevice(t, time.Second).Wait(t.Context())
			return response, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "N_A", "refresh_token": "stray"})
				response, err := finish(t, w)
				if response != nil || err == nil || len(w.wire.revoked()) != 1 || w.wire.revoked()[0] != "stray" {
					t.Errorf("error %v, revoked %d", err, len(w.wire.revoked()))
				}
			})
		})
	}
}

func TestFinishDeviceIsForTheLoginsOfItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, oauthtest.WithDeviceInterval(time.Second))
		other, err := session.New(w.client, w.store, "bob")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		for name, d := range map[string]*session.DeviceLogin{
			"nil": nil, "zero": {}, "another session's": w.startDevice(t, time.Minute),
			"another client's": newSessionWorld(t).startDevice(t, time.Minute),
		} {
			if _, err := other.FinishDevice(t.Context(), d); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		d, err := session.NewDeviceLogin(t.Context(), w.client)
		if err != nil {
			t.Fatal(err)
		}
		w.issuer.ApproveDevice(d.UserCode(), "bob")
		if _, err := other.FinishDevice(t.Context(), d); err != nil {
			t.Errorf("one that no session began: %v", err)
		}
		other.Close()
		if _, err := other.DeviceLogin(t.Context()); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := other.FinishDevice(t.Context(), d); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if _, err := w.session.DeviceLogin(t.Context(), session.WithScope("")); err == nil {
			t.Error("no error for an empty scope")
		}
		<-time.After(2 * time.Minute) // until the persons have agreed
	})
}

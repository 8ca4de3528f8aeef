package session_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

// What could not be saved is saved when the Store works again.
func TestFlushOutlivesAStoreThatPanics(t *testing.T) {
	for name, end := range tokenstest.Ends {
		for where, change := range map[string]func(*sessionStore){
			"Save": func(s *sessionStore) {
				s.onSave = func(context.Context, func() (int64, error)) (int64, error) { end(); return 0, nil }
			},
			"Load": func(s *sessionStore) { s.onLoad = func(context.Context, string) error { end(); return nil } },
			"Lock": func(s *sessionStore) {
				s.onLock = func(context.Context, func() (func(), error)) (func(), error) { end(); return nil, nil }
			},
			"unlock": func(s *sessionStore) {
				s.onLock = func(_ context.Context, pass func() (func(), error)) (func(), error) {
					unlock, err := pass()
					return func() { unlock(); end() }, err
				}
				s.onSave = func(context.Context, func() (int64, error)) (int64, error) { return 0, errDiskFull }
			},
		} {
			t.Run(where+" "+name, func(t *testing.T) {
				log := tokenstest.LogDefault(t)
				synctest.Test(t, func(t *testing.T) {
					w := adoptedWorld(t)
					before := w.store.record(t)["refresh_token"]
					w.store.fail(errDiskFull)
					w.mustToken(t)
					w.store.set(func() { change(w.store) })
					<-time.After(10 * time.Second)
					w.store.set(func() { w.store.onSave, w.store.onLoad, w.store.onLock = nil, nil, nil })
					<-time.After(2 * time.Minute)
					if w.store.record(t)["refresh_token"] == before {
						t.Error("it is not saved")
					}
				})
				if name == "panics" {
					log.Said(t, "the Store")
				}
			})
		}
	}
}

// The keys of a sealed Store are the application's as well.
func TestFlushOutlivesSealKeysThatPanic(t *testing.T) {
	log := tokenstest.LogDefault(t)
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		var panics sync.Map
		sealed, err := session.NewSealedStore(w.store, func(context.Context) ([][]byte, error) {
			if _, now := panics.Load("now"); now {
				panic(tokenstest.PanicText)
			}
			return [][]byte{[]byte("0123456789abcdefghijklmnopqrstuv")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := session.New(w.client, sealed, sessionName, tokens.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Adopt(t.Context(), tokens.NewSecret(w.issuer.NewSession(sessionClientID, "alice", "read"))); err != nil {
			t.Fatal(err)
		}
		w.store.fail(errDiskFull)
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.store.fail(nil)
		panics.Store("now", true)
		<-time.After(10 * time.Second)
		if _, ok := errors.AsType[*session.StoreError](s.Close()); !ok {
			t.Error("Close does not say that the refresh token is not saved")
		}
		panics.Clear()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	log.Said(t, "the Store")
}

package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestRecordHasSixteenTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		keys := sessionKeys(17)
		for _, key := range keys[:16] {
			mustFetch(t, f, tokens.Request{Key: key})
		}
		for i, key := range keys[:16] {
			if !mustFetch(t, f, tokens.Request{Key: key}).Reused {
				t.Errorf("the token of key %d is not there", i)
			}
		}
		mustFetch(t, f, tokens.Request{Key: keys[16]})
		for i, key := range keys[1:] {
			if !mustFetch(t, f, tokens.Request{Key: key}).Reused {
				t.Errorf("the token of key %d is not there", i+1)
			}
		}
		if mustFetch(t, f, tokens.Request{Key: keys[0]}).Reused {
			t.Error("the oldest was not left out")
		}

		// Expired ones do not take up room.
		<-time.After(5 * time.Minute)
		mustFetch(t, f, tokens.Request{Key: sessionKey})
		if left := w.store.record(t)["tokens"].([]any); len(left) != 1 {
			t.Errorf("%d tokens are left", len(left))
		}
	})
}

func TestRecordStaysWithinTheStore(t *testing.T) {
	const most = 64 << 10
	size := func(w *sessionWorld) int {
		data, _, err := w.store.Store.Load(context.Background(), w.store.name(t))
		if err != nil {
			t.Fatal(err)
		}
		return len(data)
	}
	t.Run("access tokens give way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			f := session.RefreshToken(w.client, w.store)
			keys := sessionKeys(8)
			for i, key := range keys {
				w.wire.answer(200, map[string]any{
					"access_token": strings.Repeat("a", 15<<10), "token_type": "Bearer", "expires_in": 300,
					"refresh_token": fmt.Sprintf("next-%d", i),
				})
				mustFetch(t, f, tokens.Request{Key: key})
			}
			if n := size(w); n > most || n < 60<<10 {
				t.Errorf("the record has %d bytes", n)
			}
			if w.store.record(t)["refresh_token"] != "next-7" || !mustFetch(t, f, tokens.Request{Key: keys[7]}).Reused {
				t.Error("what came last is not there")
			}
		})
	})
	t.Run("a refresh token fills it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newSessionWorld(t)
			if err := w.session.Adopt(t.Context(), tokens.NewSecret("r")); err != nil {
				t.Fatal(err)
			}
			room := most - size(w)
			if err := w.session.Adopt(t.Context(), tokens.NewSecret(strings.Repeat("r", room+1))); err != nil || size(w) != most {
				t.Errorf("%v, %d bytes", err, size(w))
			}
			before := fmt.Sprint(w.store.record(t))
			err := w.session.Adopt(t.Context(), tokens.NewSecret(strings.Repeat("r", room+2)))
			if err == nil || fmt.Sprint(w.store.record(t)) != before {
				t.Errorf("%v, or the record has changed", err)
			}
			w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": strings.Repeat("s", room+2)})
			_, err = w.fetch(sessionKey, nil)
			if _, ok := errors.AsType[*tokens.Error](err); !ok || fmt.Sprint(w.store.record(t)) != before {
				t.Errorf("%v, or the record has changed", err)
			}
		})
	})
}

// A record of a later version, or of another program, is left alone.
func TestRecordThatCannotBeReadIsNotWrittenOver(t *testing.T) {
	for name, data := range map[string]string{
		"garbage":                           "garbage",
		"another version":                   `{"v":2,"refresh_token":"secret-in-it"}`,
		"no version":                        `{"refresh_token":"secret-in-it"}`,
		"no refresh token":                  `{"v":1}`,
		"ended and not":                     `{"v":1,"ended":true,"refresh_token":"secret-in-it"}`,
		"final and a refresh token":         `{"v":1,"refresh_token":"secret-in-it","tokens":[{"access_token":"secret-in-it","final":true}]}`,
		"final and ended":                   `{"v":1,"ended":true,"tokens":[{"access_token":"secret-in-it","final":true}]}`,
		"final and another":                 `{"v":1,"tokens":[{"access_token":"secret-in-it","final":true},{"access_token":"secret-in-it"}]}`,
		"neither final nor a refresh token": `{"v":1,"tokens":[{"access_token":"secret-in-it"}]}`,
		"twice":                             `{"v":1,"refresh_token":"secret-in-it","refresh_token":"b"}`,
		"wrong type":                        `{"v":1,"refresh_token":["secret-in-it"]}`,
		"resources that are none":           `{"v":1,"refresh_token":"secret-in-it","resources":"secret-in-it"}`,
		"empty":                             "",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) {
					t.Fatal(err)
				}
				if _, err := w.store.Store.Save(t.Context(), w.store.name(t), []byte(data), 0); err != nil {
					t.Fatal(err)
				}
				_, err := w.fetch(sessionKey, nil)
				e, ok := errors.AsType[*session.StoreError](err)
				if !ok || e.Op != "load" || errors.Is(err, tokens.ErrLoginRequired) || strings.Contains(err.Error(), "secret-in-it") {
					t.Errorf("error %v", err)
				}
				if _, err := w.session.LoggedIn(t.Context()); err == nil {
					t.Error("LoggedIn has no error")
				}
				if now, _, err := w.store.Store.Load(t.Context(), w.store.name(t)); err != nil || string(now) != data {
					t.Error("it was written over")
				}
				w.adopt(t) // which is a login
				if _, err := w.fetch(sessionKey, nil); err != nil {
					t.Errorf("after a login: %v", err)
				}
			})
		})
	}
}

// The name of a record does not tell whose it is, and differs for each session.
func TestRecordNames(t *testing.T) {
	names := make(map[string]string)
	for _, who := range [][3]string{
		{"https://a.test", "app", "alice"},
		{"https://a.test", "app", "alicf"},
		{"https://a.test", "ap", "palice"},
		{"https://a.test", "app", "Alice"},
		{"https://a.test", "appalice", " "},
		{"https://a.test/", "app", "alice"},
		{"https://b.test", "app", "alice"},
		{"https://a.test", "app", "alice\x00"},
		{"https://a.test", "app", strings.Repeat("alice", 1000)},
	} {
		store := newSessionStore()
		client, err := oauth.NewClient(who[0], who[1], oauth.NoClientAuth())
		if err != nil {
			t.Fatal(err)
		}
		f := session.RefreshToken(client, store)
		if _, err := f.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: who[2]}}); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Fatalf("%q: %v", who, err)
		}
		name := store.name(t)
		if before, ok := names[name]; ok {
			t.Errorf("%q and %s have the same name", who, before)
		}
		names[name] = fmt.Sprint(who)
		if len(name) != 72 || strings.ToLower(name) != name || strings.Contains(name, who[2]) {
			t.Errorf("%q has the name %q", who, name)
		}
	}
}

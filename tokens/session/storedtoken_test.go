package session_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// restamp changes when the access token of a scope was requested, as another process's clock may
// have it.
func (w *sessionWorld) restamp(t *testing.T, scope string, requested time.Time) {
	t.Helper()
	data, version, err := w.store.Store.Load(t.Context(), w.store.name(t))
	if err != nil {
		t.Fatal(err)
	}
	var was string
	for _, stored := range w.store.record(t)["tokens"].([]any) {
		if members := stored.(map[string]any); members["scope"] == scope || members["scope"] == nil && scope == "" {
			was = members["requested"].(string)
		}
	}
	stamp := func(at string) string { return fmt.Sprintf("%q:%q", "requested", at) }
	changed := strings.Replace(string(data), stamp(was), stamp(requested.UTC().Format(time.RFC3339Nano)), 1)
	if was == "" || changed == string(data) {
		t.Fatalf("the record is not as this test expects it: %s", data)
	}
	if _, err := w.store.Store.Save(t.Context(), w.store.name(t), []byte(changed), version); err != nil {
		t.Fatal(err)
	}
}

func (w *sessionWorld) scopes(t *testing.T) (scopes []string) {
	t.Helper()
	for _, stored := range w.store.record(t)["tokens"].([]any) {
		scopes = append(scopes, fmt.Sprint(stored.(map[string]any)["scope"]))
	}
	return scopes
}

// A clock that is behind is found out by a token that another process has obtained since: a token
// of five minutes is not handed out after them.
func TestStoredTokenIsAgedByTheNewestOfTheRecord(t *testing.T) {
	read := tokens.Key{Subject: sessionName, Scope: "read"}
	write := tokens.Key{Subject: sessionName, Scope: "write"}
	for name, tt := range map[string]struct {
		newest time.Duration // when the other token was requested, by a clock that is right
		reused bool
	}{
		"a clock that is right":      {0, true},
		"behind, it is not yet due":  {210*time.Second - 1, true},
		"behind, it is due":          {210 * time.Second, false},
		"behind, it is over":         {290 * time.Second, false},
		"behind by half an hour":     {30 * time.Minute, false},
		"the other's clock is ahead": {1000 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				f := session.RefreshToken(w.client, w.store)
				mustFetch(t, f, tokens.Request{Key: read})
				<-time.After(1)
				mustFetch(t, f, tokens.Request{Key: write})
				now := time.Now()
				w.restamp(t, "write", now.Add(-1).Add(tt.newest))
				g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: read})
				if g.Reused != tt.reused {
					t.Fatalf("reused %t", g.Reused)
				}
				// The rest of its life is what it is by the other's clock.
				if want := now.Add(-max(1, tt.newest)); tt.reused && !g.Requested.Equal(want) {
					t.Errorf("requested %s ago, want %s", now.Sub(g.Requested), now.Sub(want))
				}
			})
		})
	}
}

// The server is down: a token that is over by the other's clock is not handed out for that.
func TestStoredTokenPastItsEndBridgesNoOutage(t *testing.T) {
	read := tokens.Key{Subject: sessionName, Scope: "read"}
	for newest, good := range map[time.Duration]bool{290*time.Second - 1: true, 290 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			f := session.RefreshToken(w.client, w.store)
			mustFetch(t, f, tokens.Request{Key: read})
			began := time.Now()
			mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: "write"}})
			<-time.After(1)
			w.restamp(t, "write", began.Add(newest))
			w.issuer.SetFault(bearertest.Down)
			if g, err := w.fetch(read, nil); (err == nil) != good {
				t.Errorf("%s: %v, %v", newest, g, err)
			}
		})
	}
}

// A token from the future does not stay there: it would make all others old.
func TestTokenFromTheFutureIsDropped(t *testing.T) {
	for ahead, kept := range map[time.Duration]bool{5 * time.Second: true, 5*time.Second + 1: false} {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			f := session.RefreshToken(w.client, w.store)
			mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: "read"}})
			w.restamp(t, "read", time.Now().Add(ahead))
			mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: "write"}})
			if got := strings.Join(w.scopes(t), " "); (got == "write read") != kept || !kept && got != "write" {
				t.Errorf("%s: the record has tokens for %q", ahead, got)
			}
		})
	}
}

// A service that is restarted while the server is down goes on with what it has.
func TestStoredTokenBridgesAnOutage(t *testing.T) {
	for name, test := range map[string]struct {
		at   time.Duration // 300 s of life, 10 s margin
		good bool
	}{
		"before its end":         {290*time.Second - 1, true},
		"within its margin":      {290 * time.Second, false},
		"when it is not yet due": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
				previous := sessionToken(t, g)
				<-time.After(max(1, test.at))
				w.issuer.SetFault(bearertest.Down)
				again, err := w.fetch(sessionKey, nil)
				if test.good && (err != nil || !again.Reused || again.AccessToken != g.AccessToken) || !test.good && err == nil {
					t.Errorf("error %v", err)
				}
				if _, err := w.fetch(sessionKey, previous); err == nil {
					t.Error("the token that is to be replaced came back")
				}
				w.issuer.SetFault(bearertest.NoFault)
				w.issuer.Refuse("invalid_client")
				if _, err := w.fetch(sessionKey, nil); test.at > 0 && err == nil {
					t.Error("a permanent failure was bridged")
				}
			})
		})
	}
}

// Until when a token that is in the Store is good enough for another process.
func TestStoredTokenIsReusedUntilItIsDue(t *testing.T) {
	for name, test := range map[string]struct {
		opts  []oauthtest.Option
		until time.Duration
	}{
		"70 % of its life":      {nil, 210 * time.Second},
		"what the server says":  {[]oauthtest.Option{oauthtest.WithRefreshIn(280 * time.Second)}, 280 * time.Second},
		"not within its margin": {[]oauthtest.Option{oauthtest.WithRefreshIn(290 * time.Second)}, 210 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t, test.opts...)
				mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
				<-time.After(test.until - 1)
				if g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey}); !g.Reused {
					t.Error("it was not reused before")
				}
				<-time.After(1)
				if g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey}); g.Reused {
					t.Error("it was reused then")
				}
			})
		})
	}

	t.Run("five minutes when the server does not say", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "bearer"})
			mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
			<-time.After(210*time.Second - 1)
			g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
			if !g.Reused || g.ExpiresIn != 5*time.Minute {
				t.Errorf("reused %t, expires in %s", g.Reused, g.ExpiresIn)
			}
			<-time.After(1)
			if g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey}); g.Reused {
				t.Error("it was reused then")
			}
		})
	})
}

// The clock of another machine that is ahead by 5 seconds at most, and one that was set back.
func TestStoredTokenFromTheFuture(t *testing.T) {
	for ahead, reused := range map[time.Duration]bool{5 * time.Second: true, 5*time.Second + 1: false, 1000 * time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
			data, version, err := w.store.Store.Load(t.Context(), w.store.name(t))
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			stamp := func(at time.Time) string { return fmt.Sprintf("%q:%q", "requested", at.UTC().Format(time.RFC3339Nano)) }
			future := strings.Replace(string(data), stamp(now), stamp(now.Add(ahead)), 1)
			if future == string(data) {
				t.Fatal("the record is not as this test expects it")
			}
			if _, err := w.store.Store.Save(t.Context(), w.store.name(t), []byte(future), version); err != nil {
				t.Fatal(err)
			}
			g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
			if g.Reused != reused || g.Requested.After(now) {
				t.Errorf("%s ahead: reused %t, requested in the future %t", ahead, g.Reused, g.Requested.After(now))
			}
		})
	}
}

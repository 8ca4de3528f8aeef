package tokens_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
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
				f := w.client.RefreshToken(w.store)
				mustFetch(t, f, tokens.Request{Key: read})
				<-time.After(1)
				mustFetch(t, f, tokens.Request{Key: write})
				now := time.Now()
				w.restamp(t, "write", now.Add(-1).Add(tt.newest))
				g := mustFetch(t, w.client.RefreshToken(w.store), tokens.Request{Key: read})
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
			f := w.client.RefreshToken(w.store)
			mustFetch(t, f, tokens.Request{Key: read})
			began := time.Now()
			mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: "write"}})
			<-time.After(1)
			w.restamp(t, "write", began.Add(newest))
			w.issuer.Down()
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
			f := w.client.RefreshToken(w.store)
			mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: "read"}})
			w.restamp(t, "read", time.Now().Add(ahead))
			mustFetch(t, f, tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: "write"}})
			if got := strings.Join(w.scopes(t), " "); (got == "write read") != kept || !kept && got != "write" {
				t.Errorf("%s: the record has tokens for %q", ahead, got)
			}
		})
	}
}

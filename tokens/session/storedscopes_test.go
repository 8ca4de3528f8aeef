package session_test

import (
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/session"
)

// Records were written before keys had one order of scopes.
func TestStoredTokenIsForItsScopesInAnyOrder(t *testing.T) {
	w := adoptedWorld(t)
	f := session.RefreshToken(w.client, w.store)
	key := func(scope string) tokens.Request {
		return tokens.Request{Key: tokens.Key{Subject: sessionName, Scope: scope}}
	}
	first := mustFetch(t, f, key("write read"))
	if got := w.scopes(t); len(got) != 1 || got[0] != "write read" {
		t.Fatalf("the record has %q", got)
	}
	for _, scope := range []string{"read write", "write read", "read write read"} {
		if got := mustFetch(t, f, key(scope)); !got.Reused || got.AccessToken != first.AccessToken {
			t.Errorf("for %q another token was obtained", scope)
		}
	}
	if got := mustFetch(t, f, key("read")); got.Reused {
		t.Error("a token for two scopes was found for one of them")
	}
	// The next token takes the place of the one with the other order.
	q := key("read write")
	q.Previous = sessionToken(t, first)
	mustFetch(t, f, q)
	if got := w.scopes(t); len(got) != 2 || got[0] != "read write" || got[1] != "read" {
		t.Errorf("the record has %q", got)
	}
}

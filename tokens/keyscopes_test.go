package tokens_test

import (
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

func TestKeysWhoseScopesDifferInOrderAreOne(t *testing.T) {
	t.Parallel()
	fetcher := new(server)
	m := tokenstest.NewManager(t, fetcher)
	want := tokens.Key{Resource: "https://billing.example.com", Scope: "a b c", Subject: "alice"}
	first := m.Source(want)
	for _, scope := range []string{"a b c", "c b a", "b a c a b"} {
		key := want
		key.Scope = scope
		source := m.Source(key)
		if source != first || source.Key() != want {
			t.Errorf("%q has another Source, of %+v", scope, source.Key())
		}
		wantToken(t, source, "token-1")
	}
	if len(fetcher.seen) != 1 || fetcher.seen[0].Key != want {
		t.Errorf("asked for %+v", fetcher.seen)
	}
}

// A text that is not made of scopes is not repaired, so that a Fetcher can refuse it, and nothing
// but the scope is touched.
func TestKeysThatMeanOtherTokensAreOthers(t *testing.T) {
	t.Parallel()
	m := tokenstest.NewManager(t, new(server))
	seen := make(map[*tokens.Source]tokens.Key)
	for _, key := range []tokens.Key{
		{},
		{Scope: "a"},
		{Scope: "a b"},
		{Scope: "b  a"},
		{Scope: " b a"},
		{Scope: "b a "},
		{Scope: "b,a"},
		{Scope: "b a\n"},
		{Scope: "A b"},
		{Scope: "a b", Subject: "b a"},
		{Scope: "a b", Subject: "a b"},
		{Scope: "a b", Audience: "b a"},
		{Scope: "a b", Audience: "a b"},
	} {
		source := m.Source(key)
		if other, ok := seen[source]; ok || source.Key() != key {
			t.Errorf("%+v is the Source of %+v, and of %+v", source.Key(), key, other)
		}
		seen[source] = key
	}
}

package tokens_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
)

// labelled opens one store after another over the same records.
func labelled(t *testing.T) map[string]func(opts ...tokens.StoreOption) (tokens.Store, error) {
	memory, dir := tokens.NewMemoryStore(), t.TempDir()
	return map[string]func(opts ...tokens.StoreOption) (tokens.Store, error){
		"sealed": func(opts ...tokens.StoreOption) (tokens.Store, error) {
			return tokens.Sealed(memory, storeKeys(1), opts...)
		},
		"file": func(opts ...tokens.StoreOption) (tokens.Store, error) {
			return tokens.NewFileStore(dir, storeKeys(1), opts...)
		},
	}
}

// A record of one tenant, put in the place of another's with the same key, is not the other's.
func TestStoreLabelKeepsStoresWithOneKeyApart(t *testing.T) {
	for kind, open := range labelled(t) {
		t.Run(kind, func(t *testing.T) {
			with := func(labels ...string) tokens.Store {
				var opts []tokens.StoreOption
				for _, label := range labels {
					opts = append(opts, tokens.StoreLabel(label))
				}
				store, err := open(opts...)
				if err != nil {
					t.Fatal(err)
				}
				return store
			}
			storeSave(t, with("tenant A"), "alice", "of A", 0)
			storeSave(t, with(), "bob", "of none", 0)
			for _, label := range []string{"tenant B", "tenant", "tenant A ", "Tenant A", "alice", strings.Repeat("l", 256)} {
				storeWantSealed(t, with(label), "alice", label, "the record of another name or label")
				storeWantSealed(t, with(label), "bob", label)
			}
			storeWantSealed(t, with(), "alice", "no label")
			storeWant(t, with("tenant A"), "alice", "of A")
			storeWant(t, with(), "bob", "of none")
		})
	}
}

func TestStoreLabelReportsEveryMistake(t *testing.T) {
	for kind, open := range labelled(t) {
		for name, test := range map[string]struct {
			opts []tokens.StoreOption
			says string
		}{
			"empty":     {[]tokens.StoreOption{tokens.StoreLabel("")}, "1 to 256 characters"},
			"too long":  {[]tokens.StoreOption{tokens.StoreLabel(strings.Repeat("l", 257))}, "1 to 256 characters"},
			"a control": {[]tokens.StoreOption{tokens.StoreLabel("a\x00b")}, "no control character"},
			"no UTF-8":  {[]tokens.StoreOption{tokens.StoreLabel("\xff")}, "UTF-8"},
			"twice":     {[]tokens.StoreOption{tokens.StoreLabel("a"), tokens.StoreLabel("b")}, "given twice"},
			"nil":       {[]tokens.StoreOption{nil}, "an option is nil"},
		} {
			if store, err := open(test.opts...); store != nil || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, %s: error %v, want one that says %q", kind, name, err, test.says)
			}
		}
	}
}

package session_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens/session"
)

// labelled opens one store after another over the same records.
func labelled(t *testing.T) map[string]func(opts ...session.StoreOption) (session.Store, error) {
	memory, dir := session.NewMemoryStore(), t.TempDir()
	return map[string]func(opts ...session.StoreOption) (session.Store, error){
		"sealed": func(opts ...session.StoreOption) (session.Store, error) {
			return session.NewSealedStore(memory, storeKeys(1), opts...)
		},
		"file": func(opts ...session.StoreOption) (session.Store, error) {
			return session.NewFileStore(dir, storeKeys(1), opts...)
		},
	}
}

// A record of one tenant, put in the place of another's with the same key, is not the other's.
func TestLabelKeepsStoresWithOneKeyApart(t *testing.T) {
	for kind, open := range labelled(t) {
		t.Run(kind, func(t *testing.T) {
			with := func(labels ...string) session.Store {
				var opts []session.StoreOption
				for _, label := range labels {
					opts = append(opts, session.WithLabel(label))
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

func TestLabelReportsEveryMistake(t *testing.T) {
	for kind, open := range labelled(t) {
		for name, test := range map[string]struct {
			opts []session.StoreOption
			says string
		}{
			"empty":     {[]session.StoreOption{session.WithLabel("")}, "1 to 256 characters"},
			"too long":  {[]session.StoreOption{session.WithLabel(strings.Repeat("l", 257))}, "1 to 256 characters"},
			"a control": {[]session.StoreOption{session.WithLabel("a\x00b")}, "no control character"},
			"no UTF-8":  {[]session.StoreOption{session.WithLabel("\xff")}, "UTF-8"},
			"twice":     {[]session.StoreOption{session.WithLabel("a"), session.WithLabel("b")}, "WithLabel: set more than once"},
			"nil":       {[]session.StoreOption{nil}, "(nil): option 1 is nil"},
		} {
			if store, err := open(test.opts...); store != nil || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, %s: error %v, want one that says %q", kind, name, err, test.says)
			}
		}
	}
}

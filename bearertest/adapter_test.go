package bearertest_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
)

func TestAdapterPassesNetHTTP(t *testing.T) {
	bearertest.TestAdapter(t, soundAdapter().mount)
}

func TestAdapterFailsBrokenMounts(t *testing.T) {
	t.Parallel()
	noticed := map[string]bool{}
	for _, broken := range brokenAdapters {
		t.Run(broken.name, func(t *testing.T) {
			mount := broken.mount
			if mount == nil {
				a := soundAdapter()
				broken.wreck(&a)
				mount = a.mount
			}
			failures := bearertest.AdapterFailures(t, mount)
			for _, name := range broken.fails {
				if len(failures[name]) == 0 {
					t.Errorf("%q did not notice", name)
				}
				noticed[name] = true
			}
			t.Logf("%d subtests noticed: %q", len(failures), slices.Sorted(maps.Keys(failures)))
		})
	}
	for _, name := range bearertest.AdapterCases() {
		if !noticed[name] {
			t.Errorf("no broken mount is there to show that %q can fail", name)
		}
	}
}

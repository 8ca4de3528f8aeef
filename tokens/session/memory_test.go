package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

func TestMemoryStoreForgetsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := session.NewMemoryStore()
		wantSize := func(when string, records, locks int) {
			t.Helper()
			if r, l := session.MemorySize(store); r != records || l != locks {
				t.Errorf("%s: %d records and %d locks, want %d and %d", when, r, l, records, locks)
			}
		}
		storeSave(t, store, "a", "x", 0)
		unlock, err := store.Lock(t.Context(), "a", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		wantSize("locked", 1, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := store.Lock(ctx, "a", time.Minute); err == nil {
			t.Fatal("two have the lock")
		}
		unlock()
		unlock()
		wantSize("unlocked", 1, 0)
		if _, err := store.Lock(t.Context(), "b", time.Minute); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute - 1)
		wantSize("before the end of the lease", 1, 1)
		<-time.After(1)
		synctest.Wait()
		wantSize("after the lease", 1, 0)
		if err := store.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		wantSize("deleted", 0, 0)
	})
}

// A seal has room in every Store: its limit is a KiB above that of what is sealed.
func TestStoreLimits(t *testing.T) {
	memory := session.NewMemoryStore()
	for name, test := range map[string]struct {
		store session.Store
		limit int
	}{
		"memory": {memory, 65 << 10},
		"sealed": {storeSealed(t, memory, storeKeys(1)), 64 << 10},
		"file":   {storeInFiles(t, t.TempDir(), storeKeys(1)), 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			version, err := test.store.Save(t.Context(), name, make([]byte, test.limit), 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := test.store.Save(t.Context(), name, make([]byte, test.limit+1), version); err == nil {
				t.Errorf("%d bytes are kept", test.limit+1)
			}
			if data, _, err := test.store.Load(t.Context(), name); err != nil || len(data) != test.limit {
				t.Errorf("Load: %d bytes, error %v", len(data), err)
			}
		})
	}
}

package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"

	"github.com/bearer-go/bearer/tokens/session"
	"github.com/bearer-go/bearer/tokens/session/storetest"
)

func TestStoresKeepTheContract(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) session.Store { return session.NewMemoryStore() },
			storetest.Unshared(), storetest.Bubble())
	})
	t.Run("sealed memory", func(t *testing.T) {
		storetest.Run(t,
			func(t *testing.T) session.Store { return storeSealed(t, session.NewMemoryStore(), storeKeys(1)) },
			storetest.Shared(func(t *testing.T) (one, other session.Store) {
				memory := session.NewMemoryStore()
				return storeSealed(t, memory, storeKeys(1, 2)), storeSealed(t, memory, storeKeys(2, 1))
			}),
			storetest.Stalled(func(t *testing.T) session.Store { return storeSealed(t, session.NewMemoryStore(), storeNoKeys) }),
			storetest.Bubble())
	})
	t.Run("file", func(t *testing.T) {
		storetest.Run(t,
			func(t *testing.T) session.Store { return storeInFiles(t, t.TempDir(), storeKeys(1)) },
			storetest.Shared(func(t *testing.T) (one, other session.Store) {
				dir := t.TempDir()
				return storeInFiles(t, dir, storeKeys(1, 2)), storeInFiles(t, dir, storeKeys(2, 1))
			}),
			storetest.Stalled(func(t *testing.T) session.Store { return storeInFiles(t, t.TempDir(), storeNoKeys) }))
	})
}

// storeKey is the key of a number.
func storeKey(n byte) []byte {
	key := sha256.Sum256([]byte{n})
	return key[:]
}

// storeKeys are the keys of these numbers.
func storeKeys(numbers ...byte) session.SealKeys {
	return func(context.Context) (keys [][]byte, err error) {
		for _, n := range numbers {
			keys = append(keys, bytes.Clone(storeKey(n)))
		}
		return keys, nil
	}
}

// storeNoKeys are those of a key service that does not answer.
func storeNoKeys(ctx context.Context) ([][]byte, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func storeSealed(t testing.TB, store session.Store, keys session.SealKeys) session.Store {
	t.Helper()
	sealed, err := session.NewSealedStore(store, keys)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func storeInFiles(t testing.TB, dir string, keys session.SealKeys) session.Store {
	t.Helper()
	store, err := session.NewFileStore(dir, keys)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func storeSave(t testing.TB, store session.Store, name, data string, version int64) int64 {
	t.Helper()
	saved, err := store.Save(t.Context(), name, []byte(data), version)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func storeWant(t testing.TB, store session.Store, name, want string) (version int64) {
	t.Helper()
	data, version, err := store.Load(t.Context(), name)
	if err != nil || string(data) != want {
		t.Fatalf("Load: %q, error %v, want %q", data, err, want)
	}
	return version
}

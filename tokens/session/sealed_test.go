package session_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestSealedReportsEveryMistake(t *testing.T) {
	store, err := session.NewSealedStore(nil, nil)
	if store != nil || err == nil {
		t.Fatalf("Sealed(nil, nil): %v, error %v", store, err)
	}
	tokenstest.WantConfigErrors(t, err, session.ConfigError{Option: "NewSealedStore", Value: "nil"},
		session.ConfigError{Option: "NewSealedStore", Value: "nil"})
	for _, part := range []string{"the Store to be sealed is nil", "keys to seal records with are nil"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

// storeRaw is what the sealed Store's own Store has of a name.
func storeRaw(t *testing.T, memory session.Store, name string) ([]byte, int64) {
	t.Helper()
	data, version, err := memory.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return data, version
}

// storeWantSealed checks that a record cannot be opened, and that Save does not replace it.
func storeWantSealed(t *testing.T, store session.Store, name, what string, says ...string) {
	t.Helper()
	data, version, err := store.Load(t.Context(), name)
	if !errors.Is(err, session.ErrCannotUnseal) || errors.Is(err, session.ErrNotFound) || data != nil || version != 0 {
		t.Errorf("%s: Load: %q in version %d, error %v, want ErrSealed", what, data, version, err)
		return
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: the error %q does not say %q", what, err, part)
		}
	}
}

func TestSealedShowsNothing(t *testing.T) {
	memory := session.NewMemoryStore()
	store := storeSealed(t, memory, storeKeys(1))
	version := storeSave(t, store, "a", "the refresh token", 0)
	first, _ := storeRaw(t, memory, "a")
	storeSave(t, store, "a", "the refresh token", version)
	second, _ := storeRaw(t, memory, "a")
	for _, sealed := range [][]byte{first, second} {
		if bytes.Contains(sealed, []byte("refresh")) || bytes.Contains(sealed, storeKey(1)[:8]) {
			t.Errorf("the sealed record shows what is in it: %q", sealed)
		}
	}
	const head = 9
	if bytes.Equal(first[head:head+12], second[head:head+12]) {
		t.Error("two saves have one nonce")
	}
}

func TestSealedRefusesWhatWasChanged(t *testing.T) {
	memory := session.NewMemoryStore()
	store := storeSealed(t, memory, storeKeys(1))
	storeSave(t, store, "a", "data", 0)
	good, version := storeRaw(t, memory, "a")
	put := func(data []byte) { version = storeSave(t, memory, "a", string(data), version) }

	for n := range good {
		changed := bytes.Clone(good)
		changed[n] ^= 1
		put(changed)
		storeWantSealed(t, store, "a", fmt.Sprintf("byte %d changed", n))
		put(good[:n])
		storeWantSealed(t, store, "a", fmt.Sprintf("cut to %d bytes", n))
	}
	for what, data := range map[string][]byte{
		"a byte more":      append(bytes.Clone(good), 0),
		"plain data":       []byte(`{"refresh_token":"x"}`),
		"as long as it is": bytes.Repeat([]byte{1}, 65<<10),
	} {
		put(data)
		storeWantSealed(t, store, "a", what)
	}
	put(good)
	storeWant(t, store, "a", "data")
}

// What a Store returns is as long as it likes; a sealed record is not.
func TestSealedRefusesWhatIsTooLong(t *testing.T) {
	store := storeSealed(t, storeLong{}, storeKeys(1))
	storeWantSealed(t, store, "a", "too long", "longer than 66560 bytes")
}

type storeLong struct{ session.Store }

func (storeLong) Load(context.Context, string) ([]byte, int64, error) {
	return bytes.Repeat([]byte{1}, 65<<10+1), 1, nil
}

func TestSealedRecordIsItsNames(t *testing.T) {
	memory := session.NewMemoryStore()
	store := storeSealed(t, memory, storeKeys(1))
	storeSave(t, store, "alice", "of alice", 0)
	of, _ := storeRaw(t, memory, "alice")
	for _, name := range []string{"bob", "Alice", "alic", "alice2"} {
		storeSave(t, memory, name, string(of), 0)
		storeWantSealed(t, store, name, name, "the record of another name")
	}
	storeWant(t, store, "alice", "of alice")
}

func TestSealKeysRotate(t *testing.T) {
	for name, open := range map[string]func() func(keys ...byte) session.Store{
		"memory": func() func(keys ...byte) session.Store {
			memory := session.NewMemoryStore()
			return func(keys ...byte) session.Store { return storeSealed(t, memory, storeKeys(keys...)) }
		},
		"file": func() func(keys ...byte) session.Store {
			dir := t.TempDir()
			return func(keys ...byte) session.Store { return storeInFiles(t, dir, storeKeys(keys...)) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			with := open()
			storeSave(t, with(1), "a", "first", 0)
			storeSave(t, with(1), "b", "first", 0)
			const unknown = "none of the keys is the one it was sealed with"
			storeWantSealed(t, with(2), "a", "another key", unknown)
			storeWantSealed(t, with(2, 3), "a", "other keys", unknown)
			version := storeWant(t, with(3, 2, 1), "a", "first")
			storeWant(t, with(1, 2), "a", "first")
			storeSave(t, with(2, 1), "a", "second", version)
			storeWant(t, with(2), "a", "second")
			storeWantSealed(t, with(1), "a", "the old key", unknown)
			storeWantSealed(t, with(2), "b", "a record that was not saved again", unknown)
			storeWant(t, with(2, 1), "b", "first")
		})
	}
}

// An ID of eight bytes might be that of two keys.
func TestSealKeysMayBeRepeated(t *testing.T) {
	memory := session.NewMemoryStore()
	storeSave(t, storeSealed(t, memory, storeKeys(1)), "a", "data", 0)
	storeWant(t, storeSealed(t, memory, storeKeys(2, 1, 1, 2)), "a", "data")
}

func TestBadSealKeysAreNotUsed(t *testing.T) {
	down := errors.New("the keyring is locked")
	good := storeKey(1)
	for name, test := range map[string]struct {
		keys [][]byte
		err  error
		says string
	}{
		"an error":       {nil, down, "the keyring is locked"},
		"no key":         {nil, nil, "there is no key"},
		"an empty key":   {[][]byte{{}}, nil, "key 1 to seal records with has 0 bytes and must have 32"},
		"a short key":    {[][]byte{good[:31]}, nil, "has 31 bytes"},
		"AES-128":        {[][]byte{good[:16]}, nil, "has 16 bytes"},
		"a long key":     {[][]byte{append(bytes.Clone(good), 0)}, nil, "has 33 bytes"},
		"zeros":          {[][]byte{make([]byte, 32)}, nil, "one byte over and over"},
		"one byte":       {[][]byte{bytes.Repeat([]byte{'x'}, 32)}, nil, "one byte over and over"},
		"a bad old key":  {[][]byte{good, good[:31]}, nil, "key 2 to seal records with has 31 bytes"},
		"a weak old key": {[][]byte{good, make([]byte, 32)}, nil, "key 2 to seal records with is one byte"},
	} {
		t.Run(name, func(t *testing.T) {
			memory, dir := session.NewMemoryStore(), t.TempDir()
			bad := func(context.Context) ([][]byte, error) { return test.keys, test.err }
			for kind, pair := range map[string][2]session.Store{
				"sealed": {storeSealed(t, memory, storeKeys(1)), storeSealed(t, memory, bad)},
				"file":   {storeInFiles(t, dir, storeKeys(1)), storeInFiles(t, dir, bad)},
			} {
				version := storeSave(t, pair[0], "a", "kept", 0)
				_, _, loadErr := pair[1].Load(t.Context(), "a")
				_, saveErr := pair[1].Save(t.Context(), "a", []byte("x"), version)
				for _, err := range []error{loadErr, saveErr} {
					if err == nil || errors.Is(err, session.ErrCannotUnseal) || errors.Is(err, session.ErrNotFound) ||
						errors.Is(err, session.ErrConflict) || !strings.Contains(err.Error(), test.says) {
						t.Errorf("%s: the error is %v, want one that says %q", kind, err, test.says)
					}
					if test.err != nil && !errors.Is(err, test.err) {
						t.Errorf("%s: the error %v does not wrap that of the keys", kind, err)
					}
				}
				storeWant(t, pair[0], "a", "kept")
			}
		})
	}
}

func TestSealKeysAreAskedWithTheContext(t *testing.T) {
	type contextKey struct{}
	ctx := context.WithValue(t.Context(), contextKey{}, "there")
	asked := 0
	keys := func(ctx context.Context) ([][]byte, error) {
		asked++
		if ctx.Value(contextKey{}) != "there" {
			t.Error("the keys are asked for with another context")
		}
		return [][]byte{storeKey(1)}, nil
	}
	for _, store := range []session.Store{storeSealed(t, session.NewMemoryStore(), keys), storeInFiles(t, t.TempDir(), keys)} {
		if _, err := store.Save(ctx, "a", nil, 0); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Load(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 4 {
		t.Errorf("the keys were asked for %d times, want 4: a new one is used at once", asked)
	}
}

// storeTexts are texts with keys, and how many keys are in them: -1 for an error.
func storeTexts() map[string]struct {
	text string
	keys int
} {
	one, two := base64.StdEncoding.EncodeToString(storeKey(1)), hex.EncodeToString(storeKey(2))
	unused := []byte(one) // the last character of the 43 has two bits that stand for nothing
	unused[42]++
	return map[string]struct {
		text string
		keys int
	}{
		"base64":                   {one, 1},
		"base64 and a line end":    {one + "\n", 1},
		"hexadecimal":              {two, 1},
		"hexadecimal in capitals":  {strings.ToUpper(two) + "\r\n", 1},
		"two lines":                {one + "\n" + two + "\n", 2},
		"two lines of Windows":     {one + "\r\n" + two + "\r\n", 2},
		"two words":                {one + " " + two, 2},
		"without padding":          {one[:43], -1},
		"the other base64":         {strings.Repeat("-_", 21) + "8=", -1},
		"unused bits":              {string(unused), -1},
		"a digit less":             {two[:63], -1},
		"a digit more":             {two + "0", -1},
		"no digit":                 {"g" + two[1:], -1},
		"44 characters of no form": {strings.Repeat("!", 44), -1},
		"a password":               {"correct horse battery staple", -1},
		"a comment":                {"# keys\n" + one, -1},
		"a bad second one":         {one + "\n" + two[:63], -1},
		"a name":                   {"KEY=" + one, -1},
		"a byte order mark":        {"\ufeff" + one, -1},
	}
}

func storeCheckKeys(t *testing.T, keys session.SealKeys, text string, want int) {
	t.Helper()
	got, err := keys(t.Context())
	if want < 0 {
		if err == nil {
			t.Fatalf("there are %d keys, want an error", len(got))
		}
		for _, word := range strings.Fields(text) {
			if strings.Contains(err.Error(), word[:min(len(word), 8)]) {
				t.Errorf("the error quotes the text: %v", err)
			}
		}
		return
	}
	if err != nil || len(got) != want {
		t.Fatalf("%d keys, error %v, want %d", len(got), err, want)
	}
	if first := got[0]; !bytes.Equal(first, storeKey(1)) && (want == 2 || !bytes.Equal(first, storeKey(2))) {
		t.Error("the first key is another one")
	}
}

func TestSealKeysFromFile(t *testing.T) {
	for name, test := range storeTexts() {
		t.Run(name, func(t *testing.T) {
			path := storeKeyFile(t, test.text)
			storeCheckKeys(t, session.SealKeysFromFile(path), test.text, test.keys)
		})
	}
}

func TestSealKeysFromAFileWithoutAKey(t *testing.T) {
	store := storeSealed(t, session.NewMemoryStore(), session.SealKeysFromFile(storeKeyFile(t, " \n")))
	if _, err := store.Save(t.Context(), "a", nil, 0); err == nil {
		t.Error("records are saved without a key")
	}
}

func storeKeyFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSealKeyFileLimit(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(storeKey(1))
	text := key + strings.Repeat("\n", 4<<10-len(key))
	storeCheckKeys(t, session.SealKeysFromFile(storeKeyFile(t, text)), text, 1)
	storeCheckKeys(t, session.SealKeysFromFile(storeKeyFile(t, text+"\n")), text, -1)
}

func TestSealKeysFromNoFile(t *testing.T) {
	for path, says := range map[string]string{
		"":                                    "the path of the file with the keys is empty",
		filepath.Join(t.TempDir(), "missing"): "missing",
		t.TempDir():                           "not a regular file",
	} {
		if _, err := session.SealKeysFromFile(path)(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: the error is %v, want one that says %q", path, err, says)
		}
	}
}

func TestSealKeyFileIsReadEachTime(t *testing.T) {
	path := storeKeyFile(t, base64.StdEncoding.EncodeToString(storeKey(1)))
	memory := session.NewMemoryStore()
	store := storeSealed(t, memory, session.SealKeysFromFile(path))
	version := storeSave(t, store, "a", "first", 0)
	both := base64.StdEncoding.EncodeToString(storeKey(2)) + "\n" + hex.EncodeToString(storeKey(1))
	if err := os.WriteFile(path, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	storeWant(t, store, "a", "first")
	storeSave(t, store, "a", "second", version)
	storeWant(t, storeSealed(t, memory, storeKeys(2)), "a", "second")
}

// What ErrSealed says of Save and Delete, for each of the Stores.
func TestRecordsThatCannotBeOpenedAreNotReplacedUnawares(t *testing.T) {
	memory, dir := session.NewMemoryStore(), t.TempDir()
	for name, tt := range map[string]struct {
		before, after session.Store
		unaware       error // of Save in version 0
		aware         error // of Save in the record's version
	}{
		"sealed": {storeSealed(t, memory, storeKeys(1)), storeSealed(t, memory, storeKeys(2)), session.ErrConflict, nil},
		"file":   {storeInFiles(t, dir, storeKeys(1)), storeInFiles(t, dir, storeKeys(2)), session.ErrCannotUnseal, session.ErrCannotUnseal},
	} {
		t.Run(name, func(t *testing.T) {
			version, err := tt.before.Save(t.Context(), "a", []byte("x"), 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := tt.after.Load(t.Context(), "a"); !errors.Is(err, session.ErrCannotUnseal) {
				t.Errorf("Load: %v", err)
			}
			if _, err := tt.after.Save(t.Context(), "a", []byte("y"), 0); !errors.Is(err, tt.unaware) {
				t.Errorf("Save in version 0: %v, want %v", err, tt.unaware)
			}
			if _, err := tt.after.Save(t.Context(), "a", []byte("y"), version); !errors.Is(err, tt.aware) {
				t.Errorf("Save in the record's version: %v, want %v", err, tt.aware)
			}
			if err := tt.after.Delete(t.Context(), "a"); err != nil {
				t.Errorf("Delete: %v", err)
			}
			storeSave(t, tt.after, "a", "z", 0)
		})
	}
}

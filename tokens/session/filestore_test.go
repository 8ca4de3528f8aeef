package session_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestFileStoreReportsEveryMistake(t *testing.T) {
	store, err := session.NewFileStore("", nil)
	if store != nil || err == nil {
		t.Fatalf("NewFileStore of nothing: %v, error %v", store, err)
	}
	tokenstest.WantConfigErrors(t, err, session.ConfigError{Option: "NewFileStore", Value: "nil"},
		session.ConfigError{Option: "NewFileStore", Value: `""`})
	for _, part := range []string{"the directory of the file store is empty", "keys to seal records with are nil"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q does not say %q", err, part)
		}
	}
}

func TestFileStoreMakesItsDirectoryWhenItIsNeeded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "below")
	store := storeInFiles(t, dir, storeKeys(1))
	if _, _, err := store.Load(t.Context(), "a"); err != session.ErrNotFound {
		t.Errorf("Load: %v, want ErrNotFound", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory was made before there is something to keep")
	}
	storeSave(t, store, "a", "data", 0)
	storeWant(t, store, "a", "data")
	other := filepath.Join(t.TempDir(), "other")
	unlock, err := storeInFiles(t, other, storeKeys(1)).Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// A service that changes its directory, as daemons do, keeps its records.
func TestFileStoreStaysWhereItWas(t *testing.T) {
	t.Chdir(t.TempDir())
	store := storeInFiles(t, "store", storeKeys(1))
	storeSave(t, store, "a", "data", 0)
	t.Chdir(t.TempDir())
	storeWant(t, store, "a", "data")
}

// storeRecord is the path of a record's file.
func storeRecord(dir, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(dir, hex.EncodeToString(sum[:])+".record")
}

func storeRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func storeWrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// storeFiles are the names of the files in a directory.
func storeFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestFileStoreShowsNothing(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	storeSave(t, store, "alice@example.com", "the refresh token", 0)
	if _, err := store.Lock(t.Context(), "alice@example.com", time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, name := range storeFiles(t, dir) {
		if strings.Contains(name, "alice") {
			t.Errorf("the name of a file is %q", name)
		}
		content := storeRead(t, filepath.Join(dir, name))
		if bytes.Contains(content, []byte("alice")) || bytes.Contains(content, []byte("refresh")) {
			t.Errorf("the file %s shows what is in it: %q", name, content)
		}
	}
}

func TestFileStoreRefusesFilesThatWereChanged(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	version := storeSave(t, store, "a", "data", 0)
	path := storeRecord(dir, "a")
	good := storeRead(t, path)
	storeSave(t, store, "b", "of b", 0)
	memory := session.NewMemoryStore()
	storeSave(t, storeSealed(t, memory, storeKeys(1)), "a", "data that is long enough", 0)
	ofAnotherStore, _ := storeRaw(t, memory, "a")

	contents := map[string][]byte{
		"a byte more":            append(bytes.Clone(good), 0),
		"two of them":            append(bytes.Clone(good), good...),
		"of another name":        storeRead(t, storeRecord(dir, "b")),
		"sealed, for no file":    ofAnotherStore,
		"zeros":                  make([]byte, len(good)),
		"text":                   []byte("{}\n"),
		"longer than any record": append(bytes.Clone(good), make([]byte, 1<<20)...),
	}
	for n := range good {
		changed := bytes.Clone(good)
		changed[n] ^= 0x80
		contents[fmt.Sprintf("byte %d changed", n)] = changed
		contents[fmt.Sprintf("cut to %d bytes", n)] = good[:n]
	}
	for what, content := range contents {
		storeWrite(t, path, content)
		storeWantSealed(t, store, "a", what)
		for _, v := range []int64{0, version, 1} {
			if _, err := store.Save(t.Context(), "a", []byte("x"), v); !errors.Is(err, session.ErrCannotUnseal) {
				t.Errorf("%s: Save in version %d: %v, want ErrSealed", what, v, err)
			}
		}
		if !bytes.Equal(storeRead(t, path), content) {
			t.Errorf("%s: the file was replaced", what)
		}
	}
	storeWrite(t, path, good)
	if storeWant(t, store, "a", "data") != version {
		t.Error("the version is another one")
	}
	storeWrite(t, path, good[:5])
	if err := store.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	storeWant(t, store, "b", "of b")
	storeSave(t, store, "a", "again", 0)
}

// A record that cannot be read is not one that is not there: making a new one would lose it.
func TestFileStoreRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	if err := os.Mkdir(storeRecord(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	storeWantSealed(t, store, "a", "a directory")
	if _, err := store.Save(t.Context(), "a", []byte("x"), 0); !errors.Is(err, session.ErrCannotUnseal) {
		t.Errorf("Save: %v, want ErrSealed", err)
	}
	file := filepath.Join(dir, "file")
	storeWrite(t, file, nil)
	if _, err := storeInFiles(t, file, storeKeys(1)).Save(t.Context(), "a", nil, 0); err == nil {
		t.Error("a file is taken for the directory")
	}
}

// What is left of a process that was killed while it wrote is not read, and not in the way.
func TestFileStoreWritesOverLeftovers(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	version := storeSave(t, store, "a", "first", 0)
	stripe := filepath.Base(storeRecord(dir, "a"))[:1]
	left := filepath.Join(dir, "save-"+stripe+".new")
	storeWrite(t, left, bytes.Repeat([]byte("left"), 1<<10))
	storeWant(t, store, "a", "first")
	storeSave(t, store, "a", "second", version)
	storeWant(t, store, "a", "second")
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestFileStoreSaveGivesUpWithTheContext(t *testing.T) {
	dir := t.TempDir()
	keys := make(chan struct{})
	blocking := func(ctx context.Context) ([][]byte, error) {
		select {
		case <-keys:
			return storeKeys(1)(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the cause")
	time.AfterFunc(time.Millisecond, func() { cancel(cause) })
	if _, err := storeInFiles(t, dir, blocking).Save(ctx, "a", nil, 0); !errors.Is(err, cause) {
		t.Errorf("Save: %v, want the cause", err)
	}
}

// The context may end after it was looked at first: the keys come from elsewhere.
func TestFileStoreSaveLooksAtTheContextBeforeItWrites(t *testing.T) {
	cause := errors.New("the cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	keys := func(context.Context) ([][]byte, error) {
		cancel(cause)
		return storeKeys(1)(t.Context())
	}
	dir := t.TempDir()
	if _, err := storeInFiles(t, dir, keys).Save(ctx, "a", nil, 0); !errors.Is(err, cause) {
		t.Errorf("Save: %v, want the cause", err)
	}
	if _, _, err := storeInFiles(t, dir, storeKeys(1)).Load(t.Context(), "a"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v, want ErrNotFound", err)
	}
}

// --- Other processes ---

// storeChild starts this test binary once more, to run TestStoreChild.
func storeChild(t *testing.T, dir, role string) (*exec.Cmd, io.Reader) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program, "-test.run=^TestStoreChild$")
	child.Env = append(os.Environ(), "STORE_TEST_DIR="+dir, "STORE_TEST_ROLE="+role)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, output
}

// TestStoreChild is what another process does.
func TestStoreChild(t *testing.T) {
	dir := os.Getenv("STORE_TEST_DIR")
	if dir == "" {
		t.Skip("it is for the tests that start it")
	}
	store := storeInFiles(t, dir, storeKeys(1))
	switch os.Getenv("STORE_TEST_ROLE") {
	case "write":
		storeWriteOn(t, store)
	case "count":
		storeCount(t, store, 200)
	case "take turns":
		storeTakeTurns(t, store, 50)
	}
}

const storeName = "the record of several processes"

// storeWriteOn locks a record and counts in it until the process is killed, and tells each number
// that was saved.
func storeWriteOn(t *testing.T, store session.Store) {
	if _, err := store.Lock(t.Context(), storeName, time.Hour); err != nil {
		t.Fatal(err)
	}
	fmt.Println("locked")
	for {
		n, version := storeNumber(t, store)
		storeSave(t, store, storeName, storeNumbered(n+1), version)
		fmt.Println("saved", n+1)
	}
}

// storeNumbered is a record with a number at its beginning and its end.
func storeNumbered(n int) string { return fmt.Sprintf("%d %s %d", n, strings.Repeat("x", 32<<10), n) }

func storeNumber(t *testing.T, store session.Store) (n int, version int64) {
	t.Helper()
	data, version, err := store.Load(t.Context(), storeName)
	if errors.Is(err, session.ErrNotFound) {
		return 0, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	number, _, _ := strings.Cut(string(data), " ")
	if n, err = strconv.Atoi(number); err != nil || string(data) != storeNumbered(n) {
		t.Fatalf("the record is neither the old one nor the new one: %d bytes, %.20q", len(data), data)
	}
	return n, version
}

// storeCount adds to the number in a record, as often as told.
func storeCount(t *testing.T, store session.Store, times int) {
	for done := 0; done < times; {
		n, version := storeNumber(t, store)
		_, err := store.Save(t.Context(), storeName, []byte(storeNumbered(n+1)), version)
		switch {
		case err == nil:
			done++
		case !errors.Is(err, session.ErrConflict):
			t.Fatal(err)
		}
	}
}

// storeTakeTurns adds to the number while it is locked.
func storeTakeTurns(t *testing.T, store session.Store, times int) {
	for range times {
		unlock, err := store.Lock(t.Context(), storeName, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		n, version := storeNumber(t, store)
		storeSave(t, store, storeName, storeNumbered(n+1), version)
		unlock()
	}
}

func TestFileStoreSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	lock := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		unlock, err := store.Lock(ctx, storeName, time.Minute)
		if err == nil {
			unlock()
		}
		return err
	}
	last := 0 // the number that was saved
	for round := range 30 {
		child, output := storeChild(t, dir, "write")
		lines := bufio.NewScanner(output)
		for range 1 + rand.N(8) {
			if !lines.Scan() {
				t.Fatalf("round %d: the child ended: %v", round, child.Wait())
			}
			if _, err := fmt.Sscanf(lines.Text(), "saved %d", &last); err != nil && lines.Text() != "locked" {
				t.Fatalf("round %d: the child says %q", round, lines.Text())
			}
		}
		if round%10 == 0 && lock(20*time.Millisecond) == nil {
			t.Fatalf("round %d: two processes have the lock", round)
		}
		<-time.After(max(1, rand.N(4*time.Millisecond))) // somewhere in the next Save
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			_, _ = fmt.Sscanf(lines.Text(), "saved %d", &last)
		}
		_ = child.Wait()

		// One more than it told may have been saved, and none less.
		n, _ := storeNumber(t, store)
		if n != last && n != last+1 {
			t.Fatalf("round %d: the record has the number %d, and %d was saved", round, n, last)
		}
		last = n
		if err := lock(time.Minute); err != nil {
			t.Fatalf("round %d: the lock of a process that was killed: %v", round, err)
		}
	}
	if files := storeFiles(t, dir); len(files) > 4 {
		t.Errorf("30 processes leave %q", files)
	}
}

// Two processes change one record: as it comes, and each in its turn, where none meets the other's
// change.
func TestFileStoreIsSharedByProcesses(t *testing.T) {
	for role, want := range map[string]int{"count": 400, "take turns": 100} {
		t.Run(role, func(t *testing.T) {
			dir := t.TempDir()
			var children []*exec.Cmd
			for range 2 {
				child, output := storeChild(t, dir, role)
				children = append(children, child)
				go func() { _, _ = io.Copy(io.Discard, output) }() // ends with the child
			}
			for _, child := range children {
				if err := child.Wait(); err != nil {
					t.Error(err)
				}
			}
			if n, _ := storeNumber(t, storeInFiles(t, dir, storeKeys(1))); n != want {
				t.Errorf("the number is %d, want %d", n, want)
			}
		})
	}
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

func TestFileStoreIsForItsOwnerAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "new", "store")
	store := storeInFiles(t, dir, storeKeys(1))
	storeSave(t, store, "a", "data", 0)
	unlock, err := store.Lock(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, error %v, want 0700", path, info.Mode(), err)
		}
	}
	for _, name := range storeFiles(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, error %v, want 0600", name, info.Mode(), err)
		}
	}
}

func TestFileStoreRefusesADirectoryThatOthersMayWrite(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	version := storeSave(t, store, "a", "data", 0)
	for mode, used := range map[os.FileMode]bool{
		0o700: true, 0o750: true, 0o755: true, 0o711: true,
		0o720: false, 0o702: false, 0o770: false, 0o777: false, 0o777 | os.ModeSticky: false,
	} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		_, _, loadErr := store.Load(t.Context(), "a")
		saved, saveErr := store.Save(t.Context(), "a", []byte("data"), version)
		unlock, lockErr := store.Lock(t.Context(), "a", time.Minute)
		if lockErr == nil {
			unlock()
		}
		for _, err := range []error{loadErr, saveErr, lockErr, store.Delete(t.Context(), "b")} {
			if used && err != nil || !used && (err == nil || !strings.Contains(err.Error(), "others may write")) {
				t.Errorf("%s: %v", mode, err)
			}
		}
		if saveErr == nil {
			version = saved
		}
	}
}

func TestFileStoreAndKeysOfAnotherUserAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	path := storeKeyFile(t, base64.StdEncoding.EncodeToString(storeKey(1)))
	store := storeInFiles(t, dir, session.SealKeysFromFile(path))
	storeSave(t, store, "a", "data", 0)
	for _, given := range []string{dir, path} {
		if err := os.Chown(given, 12345, -1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Load(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("Load: %v", err)
		}
		if err := os.Chown(given, 0, -1); err != nil {
			t.Fatal(err)
		}
		storeWant(t, store, "a", "data")
	}
}

func TestSealKeyFileIsForItsOwnerAlone(t *testing.T) {
	path := storeKeyFile(t, base64.StdEncoding.EncodeToString(storeKey(1)))
	keys := session.SealKeysFromFile(path)
	for mode, used := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o500: true, 0o700: true,
		0o640: false, 0o604: false, 0o620: false, 0o602: false, 0o610: false, 0o601: false, 0o644: false, 0o666: false,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keys(t.Context()); used != (err == nil) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// Opening a pipe waits for its other end.
func TestStoreFilesThatArePipes(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(storeRecord(dir, "a"), 0o600); err != nil {
		t.Fatal(err)
	}
	storeWantSealed(t, storeInFiles(t, dir, storeKeys(1)), "a", "a pipe", "not a regular file")
	path := filepath.Join(t.TempDir(), "keys")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := session.SealKeysFromFile(path)(t.Context()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("the keys from a pipe: %v", err)
	}
}

func TestSealKeyFileMayBeALink(t *testing.T) {
	path := storeKeyFile(t, base64.StdEncoding.EncodeToString(storeKey(1)))
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := session.SealKeysFromFile(link)(t.Context()); err != nil {
		t.Error(err)
	}
}

// A file that is named in the directory but lies outside is not followed to.
func TestFileStoreDoesNotLeaveItsDirectory(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	storeSave(t, storeInFiles(t, other, storeKeys(1)), "a", "data", 0)
	if err := os.Symlink(storeRecord(other, "a"), storeRecord(dir, "a")); err != nil {
		t.Fatal(err)
	}
	store := storeInFiles(t, dir, storeKeys(1))
	if data, _, err := store.Load(t.Context(), "a"); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %q, error %v", data, err)
	}
}

func TestFileStoreRemovesLocks(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	for n := range 10 {
		unlock, err := store.Lock(t.Context(), strings.Repeat("n", n+1), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if len(storeFiles(t, dir)) != 1 {
			t.Errorf("while one is locked: %q", storeFiles(t, dir))
		}
		unlock()
	}
	if files := storeFiles(t, dir); len(files) != 0 {
		t.Errorf("after unlock: %q", files)
	}
}

// A process that is killed leaves the file of its lock. It is no lock any more.
func TestFileStoreLockFileAloneIsNoLock(t *testing.T) {
	dir := t.TempDir()
	storeWrite(t, strings.TrimSuffix(storeRecord(dir, "a"), ".record")+".lock", nil)
	unlock, err := storeInFiles(t, dir, storeKeys(1)).Lock(t.Context(), "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// What cleans up old files may remove the file of a lock. Its holder, who knows nothing of it, does
// not end another's lock.
func TestFileStoreUnlockLeavesTheNextLock(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	first, err := store.Lock(t.Context(), "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(strings.TrimSuffix(storeRecord(dir, "a"), ".record") + ".lock"); err != nil {
		t.Fatal(err)
	}
	second, err := store.Lock(t.Context(), "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer second()
	first()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if third, err := store.Lock(ctx, "a", time.Hour); err == nil {
		third()
		t.Error("two have the lock at once")
	}
}

// A lock file is removed while others have it open already and are about to lock it: what they lock
// then is no lock.
func TestFileStoreRemovedLockFileIsNoLock(t *testing.T) {
	dir := t.TempDir()
	var inside atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			store := storeInFiles(t, dir, storeKeys(1))
			for range 60 {
				unlock, err := store.Lock(t.Context(), "a", time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two have the lock at once")
				}
				runtime.Gosched()
				inside.Add(-1)
				unlock()
			}
		})
	}
	all.Wait()
}

// Others who may write in the directory could make Save wait for the other end of a pipe, or write
// through a link.
func TestFileStoreSavesOverNothingThatIsInItsPlace(t *testing.T) {
	for what, put := range map[string]func(path, outside string) error{
		"a pipe":                   func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"a hard link":              func(path, outside string) error { return os.Link(outside, path) },
		"a link":                   func(path, outside string) error { return os.Symlink(outside, path) },
		"a link in the directory":  func(path, _ string) error { return os.Symlink("other", path) },
		"a link to nothing":        func(path, outside string) error { return os.Symlink(outside+".none", path) },
		"an empty directory":       func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a file that others write": func(path, _ string) error { return os.WriteFile(path, []byte("left"), 0o666) },
	} {
		t.Run(what, func(t *testing.T) {
			base := t.TempDir()
			dir, outside := filepath.Join(base, "sessions"), filepath.Join(base, "outside")
			store := storeInFiles(t, dir, storeKeys(1))
			version := storeSave(t, store, "a", "first", 0)
			storeWrite(t, outside, []byte("outside"))
			storeWrite(t, filepath.Join(dir, "other"), []byte("inside"))
			path := filepath.Join(dir, "save-"+filepath.Base(storeRecord(dir, "a"))[:1]+".new")
			if err := put(path, outside); err != nil {
				t.Fatal(err)
			}
			storeSave(t, store, "a", "second", version)
			storeWant(t, store, "a", "second")
			if text := string(storeRead(t, outside)) + string(storeRead(t, filepath.Join(dir, "other"))); text != "outsideinside" {
				t.Errorf("the other files have %q", text)
			}
			if info, err := os.Lstat(storeRecord(dir, "a")); err != nil || info.Mode() != 0o600 {
				t.Errorf("the record is %v, error %v", info.Mode(), err)
			}
			if _, err := os.Lstat(outside + ".none"); err == nil {
				t.Error("a file was made where the link leads")
			}
		})
	}
}

// A pipe with the name of a lock is not waited for either.
func TestFileStoreLocksNoPipeForEver(t *testing.T) {
	dir := t.TempDir()
	store := storeInFiles(t, dir, storeKeys(1))
	for _, path := range []string{
		strings.TrimSuffix(storeRecord(dir, "a"), ".record") + ".lock",
		filepath.Join(dir, "save-"+filepath.Base(storeRecord(dir, "a"))[:1]+".lock"),
	} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if unlock, err := store.Lock(t.Context(), "a", time.Minute); err == nil {
		unlock()
	}
	_, _ = store.Save(t.Context(), "a", nil, 0)
}

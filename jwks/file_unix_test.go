//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package jwks_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/jwks"
)

func TestFileIsForItsOwnerAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("old"))
		mode := func() os.FileMode {
			info, err := os.Stat(k.path)
			if err != nil {
				t.Fatal(err)
			}
			return info.Mode()
		}
		if mode() != 0o600 {
			t.Errorf("made as %s", mode())
		}
		for permissions, used := range map[os.FileMode]bool{
			0o600: true, 0o640: true, 0o644: true, 0o660: true, 0o664: true, 0o400: true, 0o700: true,
			0o602: false, 0o622: false, 0o642: false, 0o666: false, 0o777: false,
		} {
			if err := os.Chmod(k.path, permissions); err != nil {
				t.Fatal(err)
			}
			if used {
				k.wantUsed("old")
				continue
			}
			good := k.read()
			k.wantNotUsed(permissions.String(), "everybody may write it", nil)
			k.wantReplaced(permissions.String())
			if mode() != 0o600 {
				t.Errorf("replaced %s by %s", permissions, mode())
			}
			k.write(good)
		}
	})
}

// Opening a pipe waits for its other end, and reading a device may never end.
func TestFilesThatAreNotRegularAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		put  func(path string) error
		says string
	}{
		"a pipe":                  {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		"a device":                {func(path string) error { return os.Symlink("/dev/zero", path) }, "not a regular file"},
		"a directory":             {func(path string) error { return os.Symlink("..", path) }, "not a regular file"},
		"a link to itself":        {func(path string) error { return os.Symlink(path, path) }, "too many levels"},
		"a file as the directory": {func(path string) error { return os.Symlink("/dev/null/keys", path) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
				if err := test.put(k.path); err != nil {
					t.Fatal(err)
				}
				k.wantNotUsed(name, test.says, nil)
				k.wantReplaced(name)
			})
		})
	}
}

func TestFileMayBeALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("old"))
		target := filepath.Join(t.TempDir(), "target")
		if err := os.Rename(k.path, target); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, k.path); err != nil {
			t.Fatal(err)
		}
		k.wantUsed("old")
		k.wantReplaced("a link") // the link itself: what it leads to stays as it was
		k.path = target
		k.wantUsed("old")
	})
}

// A path that ends in a slash names no file, and none is made in the folder.
func TestFileThatIsNamedAsAFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		k := keep{t, issuer(edJWK("a")), t.TempDir() + "/"}
		set := k.open(jwks.WithLogger(log.logger()))
		want(t, set, "a", "EdDSA", "found")
		synctest.Wait()
		k.wantEntries()
		if n := len(log.lines("cannot be written")); n != 1 {
			t.Errorf("logged %d failures, want 1", n)
		}
	})
}

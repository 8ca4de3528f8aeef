package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/bearer-go/bearer/internal/atomicfile"
)

func openDir(t *testing.T) *os.Root {
	t.Helper()
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func TestWriteReplacesWhatHasTheName(t *testing.T) {
	dir := openDir(t)
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]func(path string) error{
		"nothing":         func(string) error { return nil },
		"a longer file":   func(path string) error { return os.WriteFile(path, []byte("a longer text"), 0o644) },
		"an empty folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":          func(path string) error { return os.Symlink(precious, path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir.Name(), name)
			if err := before(path); err != nil {
				t.Skip(err)
			}
			if err := atomicfile.Write(dir, name, []byte("content")); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
				t.Errorf("the file has %q, error %v", got, err)
			}
			info, err := os.Lstat(path)
			if err != nil || !info.Mode().IsRegular() || atomicfile.Allows(info, 0o177) {
				t.Errorf("the file is %v, error %v", info.Mode(), err)
			}
		})
	}
	if got, _ := os.ReadFile(precious); string(got) != "precious" {
		t.Errorf("the link was followed: %q", got)
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		t.Error(err)
	}
}

func TestWriteLeavesAFullFolder(t *testing.T) {
	dir := openDir(t)
	if err := dir.MkdirAll("name/full", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(dir, "name", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v", err)
	}
	if _, err := dir.Stat("name/full"); err != nil {
		t.Error(err)
	}
}

func TestReadIsBounded(t *testing.T) {
	dir := openDir(t)
	if err := atomicfile.Write(dir, "name", []byte("12345")); err != nil {
		t.Fatal(err)
	}
	anything := func(fs.FileInfo) error { return nil }
	for limit, want := range map[int]string{0: "1", 3: "1234", 4: "12345", 5: "12345", 9: "12345"} {
		if got, err := atomicfile.Read(dir.OpenFile, "name", limit, anything); err != nil || string(got) != want {
			t.Errorf("limit %d: %q, error %v; want %q", limit, got, err, want)
		}
		got, err := atomicfile.Read(os.OpenFile, filepath.Join(dir.Name(), "name"), limit, anything)
		if err != nil || string(got) != want {
			t.Errorf("limit %d: %q, error %v; want %q", limit, got, err, want)
		}
	}
	if _, err := atomicfile.Read(dir.OpenFile, "other", 1, anything); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestReadReturnsTheErrorOfTheCheck(t *testing.T) {
	dir := openDir(t)
	if err := atomicfile.Write(dir, "name", []byte("content")); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	got, err := atomicfile.Read(dir.OpenFile, "name", 10, func(info fs.FileInfo) error {
		if info.Name() != "name" || info.Size() != 7 {
			t.Errorf("the check sees %s of %d bytes", info.Name(), info.Size())
		}
		return refused
	})
	if err != refused || got != nil {
		t.Errorf("%q, error %v", got, err)
	}
}

func TestAllowsAndIsStrangers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	path := filepath.Join(t.TempDir(), "name")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, allows := range map[fs.FileMode]bool{0o600: false, 0o640: false, 0o620: true, 0o602: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if atomicfile.Allows(info, 0o022) != allows {
			t.Errorf("%v: Allows is %t", mode, !allows)
		}
		if atomicfile.IsStrangers(info) {
			t.Error("the file is taken for another user's")
		}
	}
}

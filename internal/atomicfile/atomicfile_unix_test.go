//go:build unix

package atomicfile_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bearer-go/bearer/internal/atomicfile"
)

// A pipe without another end is neither waited for nor written to.
func TestPipes(t *testing.T) {
	dir := openDir(t)
	if err := syscall.Mkfifo(filepath.Join(dir.Name(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	irregular := errors.New("irregular")
	_, err := atomicfile.Read(dir.OpenFile, "pipe", 1, func(info fs.FileInfo) error {
		if info.Mode().IsRegular() {
			return nil
		}
		return irregular
	})
	if !errors.Is(err, irregular) {
		t.Errorf("error %v", err)
	}
	if err := atomicfile.Write(dir, "pipe", []byte("content")); err != nil {
		t.Error(err)
	}
	if info, err := dir.Lstat("pipe"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("it is still a pipe, error %v", err)
	}
}

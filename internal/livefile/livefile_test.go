package livefile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/livefile"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadReturnsWhatTheFileHoldsNow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "name")
	file := livefile.New(path, 5)
	for _, content := range []string{"", "1", "12345", "other"} {
		write(t, path, content)
		if got, err := file.Read(t.Context()); err != nil || got != content {
			t.Errorf("%q, error %v; want %q", got, err, content)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if got, err := livefile.New(link, 5).Read(t.Context()); err != nil || got != "other" {
		t.Errorf("by a link: %q, error %v", got, err)
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "name")
	write(t, path, "123456")
	wantError(t, livefile.New(path, 5), "the file "+path+" cannot be used: it is longer than 5 bytes", nil)
	wantError(t, livefile.New(dir, 5), "not a regular file", nil)
	missing := filepath.Join(dir, "missing")
	wantError(t, livefile.New(missing, 5), "the file "+missing+" cannot be used: ", fs.ErrNotExist)
	if runtime.GOOS == "windows" {
		return // it has other permissions
	}
	for mode, writable := range map[fs.FileMode]bool{0o600: false, 0o644: false, 0o660: false, 0o602: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := livefile.New(path, 6).Read(t.Context()); (err != nil) != writable {
			t.Errorf("%v: error %v", mode, err)
		}
	}
}

// wantError wants an error with a text, which names the file once.
func wantError(t *testing.T, file *livefile.File, text string, is error) {
	t.Helper()
	got, err := file.Read(t.Context())
	if err == nil || got != "" || !strings.Contains(err.Error(), text) || strings.Count(err.Error(), "the file ") != 1 ||
		strings.Contains(err.Error(), "open ") || is != nil && !errors.Is(err, is) {
		t.Fatalf("%q, error %v; want %q", got, err, text)
	}
}

// While a file system does not answer, readers wait for 5 seconds, or as long as they can, and one
// goroutine waits for it.
func TestStuckFileSystem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "name")
	write(t, path, "content")
	synctest.Test(t, func(t *testing.T) {
		var opened atomic.Int32
		unstuck := make(chan struct{})
		file := livefile.New(path, 10)
		file.SetOpen(func(name string, flag int, mode os.FileMode) (*os.File, error) {
			opened.Add(1)
			<-unstuck
			return os.OpenFile(name, flag, mode)
		})
		begin := time.Now()
		wantError(t, file, "no answer from its file system within 5s", nil)
		if waited := time.Since(begin); waited != livefile.Timeout {
			t.Errorf("waited %s", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := file.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != livefile.Timeout+time.Second {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
		if n := opened.Load(); n != 1 {
			t.Errorf("opened %d times", n)
		}
		close(unstuck)
		synctest.Wait()
		if got, err := file.Read(t.Context()); err != nil || got != "content" || opened.Load() != 2 {
			t.Errorf("%q, error %v, opened %d times", got, err, opened.Load())
		}
	})
}

//go:build unix

package livefile_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bearer-go/bearer/internal/livefile"
)

// A pipe is not waited for.
func TestPipeIsNoFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	wantError(t, livefile.New(path, 5), "not a regular file", nil)
}

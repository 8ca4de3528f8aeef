// Package atomicfile writes files that survive a crash, and reads files that only their owner may
// have written.
//
// A file is replaced in three steps: [Write] makes a temporary file beside it, the caller renames
// that, and [SyncDir] brings the new name to the disk. After a crash at any moment the old file or
// the new one is there as a whole.
package atomicfile

import (
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Write makes a file for its owner alone (0600) and brings its content to the disk. What has its
// name is removed before and never opened: it may be a pipe, which would be waited for, or a link
// to another file. A file that cannot be written as a whole is removed again.
func Write(dir *os.Root, name string, content []byte) error {
	_ = dir.Remove(name) // what cannot be removed is in the way of the next
	file, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = dir.Remove(name)
	}
	return err
}

// An OpenFunc opens a file, as [os.OpenFile] and [os.Root.OpenFile] do.
type OpenFunc func(name string, flag int, perm os.FileMode) (*os.File, error)

// Read reads a file. It does not wait for the other end of a pipe. The check looks at the file
// before it is read, and its error is returned as it is. Of a file that is longer than the limit
// one byte more is returned.
func Read(open OpenFunc, name string, limit int, check func(fs.FileInfo) error) ([]byte, error) {
	file, err := open(name, os.O_RDONLY|NoWait, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, int64(limit)+1))
}

// Allows reports whether a file's mode has any of these permissions. Windows has other permissions,
// and shows every file that is not read-only as one that all may write; there it is false.
func Allows(info fs.FileInfo, permissions fs.FileMode) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&permissions != 0
}

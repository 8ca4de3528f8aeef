//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package session

import (
	"errors"
	"os"
	"syscall"

	"github.com/bearer-go/bearer/internal/atomicfile"
)

const canLockFiles = true

// fileLock is a lock by flock(2). It is the opened file's, not the process's: it keeps out others
// of the same process, too, and the kernel ends it with the process.
type fileLock struct {
	file *os.File
	name string // in its directory
}

// tryLockFile locks a file, which is made if it is not there. It returns nil when another has it.
func tryLockFile(dir *os.Root, name string) (*fileLock, error) {
	file, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|atomicfile.NoWait, 0o600)
	if err != nil {
		return nil, err
	}
	lock := &fileLock{file, name}
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		_ = file.Close()
		return nil, nil
	case err != nil:
		_ = file.Close()
		return nil, &os.PathError{Op: "flock", Path: name, Err: err}
	}
	if !lock.isNamed(dir) {
		lock.release()
		return nil, nil
	}
	return lock, nil
}

// isNamed reports whether the file is still the one of its name: its last holder may have removed
// it between opening and locking. Once it is locked no other process removes it.
func (l *fileLock) isNamed(dir *os.Root) bool {
	locked, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := dir.Stat(l.name)
	return err == nil && os.SameFile(locked, named)
}

// release ends the lock. It is ended by name before the file is closed: a child process that is
// just being started has the file as well, until it is.
func (l *fileLock) release() {
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}

// remove ends the lock and removes its file. If it was cleaned away before, the file of
// this name is another's lock.
func (l *fileLock) remove(dir *os.Root) {
	if l.isNamed(dir) {
		_ = dir.Remove(l.name)
	}
	l.release()
}

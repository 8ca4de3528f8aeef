package session

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

const canLockFiles = true

// errSharingViolation is ERROR_SHARING_VIOLATION, which package syscall does not have.
const errSharingViolation syscall.Errno = 32

// fileLock is a file that was opened so that no other can open it: the system closes it with the
// process.
type fileLock struct{ handle syscall.Handle }

// tryLockFile locks a file, which is made if it is not there. It returns nil when another has it.
func tryLockFile(dir *os.Root, name string) (*fileLock, error) {
	path := filepath.Join(dir.Name(), name)
	text, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	const nobodyElse = 0
	handle, err := syscall.CreateFile(text, syscall.GENERIC_READ, nobodyElse, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, errSharingViolation):
		return nil, nil
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &fileLock{handle}, nil
}

// release ends the lock.
func (l *fileLock) release() { _ = syscall.CloseHandle(l.handle) }

// remove ends the lock. The file stays: one that is being removed can for a moment not be opened,
// which looks like a lack of permission.
func (l *fileLock) remove(*os.Root) { l.release() }

//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package session

import (
	"errors"
	"os"
)

// canLockFiles is why NewFileStore returns an error, so that nothing below is reached.
const canLockFiles = false

type fileLock struct{}

func tryLockFile(*os.Root, string) (*fileLock, error) { return nil, errors.ErrUnsupported }

func (*fileLock) release() {}

func (*fileLock) remove(*os.Root) {}

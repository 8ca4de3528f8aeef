//go:build unix

package atomicfile

import (
	"io/fs"
	"os"
	"syscall"
)

// NoWait is a flag for opening a file that may turn out to be a pipe. Otherwise opening it would
// wait for its other end.
const NoWait = syscall.O_NONBLOCK

// SyncDir brings the names in a directory to the disk.
func SyncDir(dir *os.Root) error {
	opened, err := dir.Open(".")
	if err != nil {
		return err
	}
	err = opened.Sync()
	_ = opened.Close()
	return err
}

// IsStrangers reports whether a file belongs to another user than root or the one that this process
// runs as.
func IsStrangers(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return !ok || stat.Uid != 0 && int(stat.Uid) != os.Geteuid()
}

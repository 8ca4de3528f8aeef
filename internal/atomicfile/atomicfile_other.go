//go:build !unix

package atomicfile

import (
	"io/fs"
	"os"
)

// NoWait is no flag here: pipes have no place in folders.
const NoWait = 0

// SyncDir does nothing here: Windows has no such call for directories.
func SyncDir(*os.Root) error { return nil }

// IsStrangers reports nothing here.
func IsStrangers(fs.FileInfo) bool { return false }

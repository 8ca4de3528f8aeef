package livefile

import "github.com/bearer-go/bearer/internal/atomicfile"

// SetOpen replaces what opens the file.
func (f *File) SetOpen(open atomicfile.OpenFunc) { f.open = open }

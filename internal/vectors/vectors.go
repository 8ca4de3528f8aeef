// Package vectors reads test vectors that other projects published. They are not part of this
// repository: CONTRIBUTING.md says how to get them. It is for tests alone.
package vectors

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Variable names the environment variable with the folder that holds the vectors. It has no
// default.
const Variable = "BEARER_VECTORS"

// Available reports whether the folder of the vectors is named.
func Available() bool { return os.Getenv(Variable) != "" }

// Read decodes one file of the folder. A test skips if no folder is named. Once one is named, the
// file must be there.
func Read(t testing.TB, into any, name string) {
	t.Helper()
	if !Available() {
		t.Skipf("NOT TESTED against the vectors of other projects: set %s to the absolute path of a folder with %s; "+
			"CONTRIBUTING.md says how to get it", Variable, name)
	}
	folder := os.Getenv(Variable)
	if !filepath.IsAbs(folder) {
		t.Fatalf("%s must be an absolute path", Variable) // each package's tests run in their own folder
	}
	data, err := fs.ReadFile(os.DirFS(folder), name)
	if err != nil {
		t.Fatalf("%s names a folder without the vectors: %v", Variable, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Package vectors reads test vectors that other projects published. They are not part of this
// repository: CONTRIBUTING.md says how to get them. It is for tests alone.
package vectors

import (
	"encoding/json"
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
func Read(t testing.TB, into any, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if !Available() {
		t.Skipf("NOT TESTED against the vectors of other projects: set %s to the absolute path of a folder with %s; "+
			"CONTRIBUTING.md says how to get it", Variable, filepath.ToSlash(name))
	}
	name = filepath.Join(os.Getenv(Variable), name)
	if !filepath.IsAbs(name) {
		t.Fatalf("%s must be an absolute path", Variable) // each package's tests run in their own folder
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

package bearer_test

import (
	"bytes"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A user of net/http gets these modules and no other.
func TestCoreHasFiveModules(t *testing.T) {
	t.Parallel()
	want := []string{
		"github.com/MicahParks/jwkset",
		"github.com/MicahParks/keyfunc/v3",
		modulePath,
		"github.com/golang-jwt/jwt/v5",
		"golang.org/x/time",
	}
	got := strings.Fields(goTool(t, ".", "list", "-m", "-f", "{{.Path}}", "all"))
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("go list -m all shows %q, want %q", got, want)
	}

	const format = "{{if not .Standard}}{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}{{end}}"
	for line := range strings.Lines(goTool(t, ".", "list", "-deps", "-f", format, "./...")) {
		name, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "" && !slices.Contains(want, module) {
			t.Errorf("%s of module %q is a dependency", name, module)
		}
	}
}

// The go command changes nothing in a fresh clone: every checksum that it needs for the workspace
// is committed.
func TestGoCommandsLeaveTheTreeAsItIs(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	copied := copyModules(t, tree)
	for _, args := range [][]string{
		{"doc", "."},
		{"doc", "./tokens"},
		{"doc", "./adapters/beareroauth2"},
		{"list", "./..."},
		{"list", "work"},
		{"list", "-deps", "-test", "work"},
		{"list", "-m", "all"},
		{"mod", "graph"},
		{"mod", "why", modulePath},
	} {
		goToolIn(t, tree, []string{"GOFLAGS=", "GOWORK="}, args...)
		for name, want := range copied {
			if got, err := os.ReadFile(filepath.Join(tree, name)); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("go %s changed %s: commit what it adds\n%s", strings.Join(args, " "), name, got)
			}
		}
		if now := moduleFiles(t, tree); len(now) != len(copied) {
			t.Fatalf("go %s changed the files: %d, not %d", strings.Join(args, " "), len(now), len(copied))
		}
	}
}

// copyModules copies the Go code of the repository, with the files that say where its dependencies
// come from. It returns those.
func copyModules(t testing.TB, to string) (copied map[string][]byte) {
	t.Helper()
	copied = moduleFiles(t, ".")
	files := maps.Clone(copied)
	for _, file := range goFiles(t) {
		files[filepath.FromSlash(file.path)] = file.text
	}
	for name, content := range files {
		name = filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// moduleFiles reads every go.mod, go.sum, go.work and go.work.sum of a tree.
func moduleFiles(t testing.TB, root string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	walkFiles(t, root, func(name string) {
		switch filepath.Base(name) {
		case "go.mod", "go.sum", "go.work", "go.work.sum":
			content, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			files[name] = content
		}
	})
	if files["go.work.sum"] == nil {
		t.Fatalf("only %d files", len(files))
	}
	return files
}

// No code made for tests gets into a service, directly or indirectly.
func TestCoreLinksNoTestCode(t *testing.T) {
	deps := strings.Fields(goTool(t, ".", "list", "-deps", ".", "./jwks", "./tokens", "./tokens/oauth", "./tokens/session"))
	if !slices.Contains(deps, "net/http") {
		t.Fatalf("these are not the dependencies: %q", deps)
	}
	for _, name := range []string{
		"testing", "net/http/httptest", "flag",
		modulePath + "/bearertest", modulePath + "/internal/reference", modulePath + "/internal/vectors",
	} {
		if slices.Contains(deps, name) {
			t.Errorf("%s is a dependency", name)
		}
	}
}

// arrows says which packages of this repository each of them may import, outside its tests. "..." stands for every folder
// below, and for every package there is.
var arrows = map[string][]string{
	".": {
		"jwks", "internal/expiry", "internal/flight", "internal/grammar", "internal/jws", "internal/keyset", "internal/optional",
		"internal/strictjson", "internal/tokencache", "internal/weburl",
	},
	"jwks": {
		"internal/atomicfile", "internal/discovery", "internal/flight", "internal/jws", "internal/keyset",
		"internal/optional", "internal/strictjson", "internal/webclient", "internal/weburl",
	},
	"tokens": {
		"internal/accesstoken", "internal/callertoken", "internal/flight", "internal/grammar", "internal/optional",
		"internal/pacing", "internal/recall", "internal/secretprint", "internal/webclient", "internal/weburl",
	},
	"internal/oauthwire": {
		"tokens",
		"internal/accesstoken", "internal/discovery", "internal/flight", "internal/grammar", "internal/jws", "internal/pacing",
		"internal/strictjson", "internal/webclient", "internal/weburl",
	},
	"tokens/oauth": {
		"tokens", "jwks", "internal/oauthwire",
		"internal/accesstoken", "internal/callertoken", "internal/flight", "internal/grammar",
		"internal/jws", "internal/keyset", "internal/livefile", "internal/optional", "internal/privatekey",
		"internal/secretprint", "internal/strictjson",
		"internal/webclient", "internal/weburl",
	},
	"tokens/session": {
		"tokens", "tokens/oauth", "internal/oauthwire",
		"internal/accesstoken", "internal/atomicfile", "internal/flight", "internal/grammar", "internal/optional",
		"internal/jws", "internal/pacing", "internal/recall", "internal/secretprint", "internal/strictjson",
		"internal/webclient", "internal/weburl",
	},
	"tokens/session/storetest":       {"tokens/session"},
	"tokens/internal/tokenstest":     {"tokens", "tokens/oauth", "tokens/session", "internal/optional"},
	"internal/accesstoken":           {"internal/grammar", "internal/strictjson"},
	"internal/atomicfile":            {},
	"internal/callertoken":           {},
	"internal/discovery":             {"internal/strictjson", "internal/webclient", "internal/weburl"},
	"internal/expiry":                {},
	"internal/flight":                {},
	"internal/grammar":               {},
	"internal/jws":                   {"internal/grammar", "internal/keyset", "internal/strictjson"},
	"internal/keyset":                {},
	"internal/livefile":              {"internal/atomicfile", "internal/flight"},
	"internal/optional":              {},
	"internal/tokencache":            {},
	"internal/pacing":                {"internal/flight"},
	"internal/privatekey":            {"internal/jws", "internal/strictjson"},
	"internal/recall":                {},
	"internal/secretprint":           {},
	"internal/strictjson":            {},
	"internal/webclient":             {"internal/grammar", "internal/weburl"},
	"internal/weburl":                {},
	"internal/reference":             {},
	"internal/vectors":               {".", "jwks"},
	"bearertest":                     {".", "jwks", "internal/jws"},
	"bearertest/oauthtest":           {"bearertest", "internal/jws"},
	"bearertest/internal/issuertest": {},
	"adapters/...":                   {".", "tokens", "tokens/oauth", "tokens/session"},
	"examples/...":                   {"..."},
	"interop/...":                    {"..."},
	"bench":                          {"..."},
}

// forTests are the packages that tests import, here and elsewhere.
var forTests = []string{"bearertest", "tokens/session/storetest", "tokens/internal/tokenstest", "bearertest/internal/issuertest", "internal/vectors"}

// Imports between packages point one way. Only tests, and packages for users' tests, import
// testing.
func TestPackagesImportDownwards(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file.path, "_test.go") {
			continue
		}
		dir := path.Dir(file.path)
		rule := dir
		if top, _, below := strings.Cut(dir, "/"); below || arrows[rule] == nil {
			if _, ok := arrows[top+"/..."]; ok {
				rule = top + "/..."
			}
		}
		allowed, ok := arrows[rule]
		if !ok {
			t.Errorf("%s: no rule says what it may import; add one to arrows", dir)
			continue
		}
		seen[rule] = true
		for _, spec := range file.syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if ours, ok := ourPackage(name); ok && !slices.Contains(allowed, ours) && !slices.Contains(allowed, "...") {
				t.Errorf("%s imports %s", file.path, name)
			}
			if (name == "testing" || strings.HasPrefix(name, "testing/") || name == "net/http/httptest") &&
				!slices.Contains(forTests, dir) {
				t.Errorf("%s imports %s", file.path, name)
			}
		}
	}
	for rule := range arrows {
		if !seen[rule] {
			t.Errorf("the rule for %s is for no package", rule)
		}
	}
}

// A user can update an adapter or the core alone, so an adapter uses nothing of the core that may
// change without notice. An example shows what a user can write. The tests of both count, too.
func TestAdaptersAndExamplesUseNoInternalPackage(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, file := range goFiles(t) {
		top, _, _ := strings.Cut(file.path, "/")
		if top != "adapters" && top != "examples" {
			continue
		}
		seen[top] = true
		for _, spec := range file.syntax.Imports {
			if strings.HasPrefix(spec.Path.Value, `"`+modulePath+"/internal/") {
				t.Errorf("%s imports %s", file.path, spec.Path.Value)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("only the modules below %q were found", slices.Sorted(maps.Keys(seen)))
	}
}

package bearer_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// layers are the files of the package, the highest first. A file uses only names that are declared
// in itself or in a lower file. It is the table of contents: a request enters at the top, and each
// step calls only steps below it.
var layers = []string{
	"doc.go",
	"health.go",          // readiness and statistics
	"middleware.go",      // New, and the shorthands of Guard
	"registry.go",        // issuers that come and go
	"config.go",          // turns the options into what a Middleware works with
	"algorithms.go",      // the algorithms and secrets of an issuer
	"issuerlive.go",      // the same for what an issuer is asked on every request
	"options.go",         // the options of New
	"registryoptions.go", // the options of NewRegistry
	"issueroptions.go",   // the options of WithIssuer
	"metadata.go",        // RFC 9728's document
	"explain.go",         // how a guard judges a token, check by check
	"guard.go",           // one route's way through the pipeline
	"challenge.go",       // refusals, as they are written
	"require.go",         // what a route requires
	"extract.go",         // request -> credential
	"stream.go",          // contexts that end with their token
	"token.go",           // the text of a verified token
	"context.go",         // verified request -> claims
	"place.go",           // one place of a request -> token
	"location.go",        // where tokens may be
	"verify.go",          // the pipeline: token -> claims
	"roster.go",          // the issuers of a registry: looked up, displaced, removed
	"issuer.go",          // whose tokens: algorithm, type, key, signature
	"headercauses.go",    // what is wrong with a header, for operators
	"live.go",            // what an issuer is asked on every request
	"event.go",           // what the log and the observer learn
	"judge.go",           // times, audience, required claims
	"template.go",        // families of issuers
	"jws.go",             // shape and header of a token
	"readclaims.go",      // claims set -> claims
	"claimcauses.go",     // what is wrong with claims, for operators
	"claims.go",          // what a handler gets
	"stats.go",
	"errors.go",
}

// A file of the package uses only names of its own layer and of lower ones. Receivers, methods and
// fields count as names of the file that declares them. No variable of the package is a function,
// through which a file could call a higher one.
func TestFilesUseOnlyLowerFiles(t *testing.T) {
	t.Parallel()
	for _, violation := range layerViolations(t, packageSources(t)) {
		t.Error(violation)
	}
}

// CONTRIBUTING.md and docs/architecture.md show the same list, in the same order.
func TestPagesListTheLayers(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile("(?m)^\\| `([a-z]+\\.go)` \\|")
	for _, page := range []string{"CONTRIBUTING.md", "docs/architecture.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, match := range row.FindAllStringSubmatch(string(text), -1) {
			listed = append(listed, match[1])
		}
		if want := layers[1:]; !slices.Equal(listed, want) { // without doc.go
			t.Errorf("%s lists %q, want %q", page, listed, want)
		}
	}
}

// The test of the layers would find each of these.
func TestLayersTestFindsViolations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, code, want string }{
		"a call of a function above":    {"judge.go", "var _ = isScheme(\"\", \"\")", "judge.go uses isScheme of location.go"},
		"a method that is added below":  {"stats.go", "func (e *Event) planted() {}", "stats.go uses Event of event.go"},
		"a method of a type below":      {"judge.go", "func planted(c *Claims) { c.upward() }", "judge.go uses upward of verify.go"},
		"a field of a type above":       {"jws.go", "func planted(x struct{ e *Event }) { _ = x.e.Issuer }", "jws.go uses Issuer of event.go"},
		"a variable that is a function": {"stats.go", "var planted func()", "stats.go declares planted, a variable of function type"},
		"a file without a layer":        {"planted.go", "package bearer", "planted.go is in no layer"},
	} {
		t.Run(name, func(t *testing.T) {
			sources := packageSources(t)
			sources["verify.go"] += "\nfunc (c *Claims) upward() {}\n"
			sources[test.file] += "\n" + test.code + "\n"
			if found := layerViolations(t, sources); !slices.Contains(found, test.want) {
				t.Errorf("found %q, want %q among them", found, test.want)
			}
		})
	}
}

// packageSources returns the files of the package without its tests.
func packageSources(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sources := make(map[string]string)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources[file] = string(text)
	}
	return sources
}

// exportData finds the compiled form of the packages that this one imports.
var exportData = sync.OnceValues(func() (map[string]string, error) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		found[path] = file
	}
	return found, nil
})

// layerViolations returns what is wrong with the layers of these files.
func layerViolations(t *testing.T, sources map[string]string) (violations []string) {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		file, err := parser.ParseFile(fset, name, sources[name], parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		if !slices.Contains(layers, name) {
			violations = append(violations, name+" is in no layer")
		}
	}
	exports, err := exportData()
	if err != nil {
		t.Fatal(err)
	}
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection)}
	config := types.Config{Importer: imports, Error: func(err error) { t.Fatal(err) }}
	pkg, err := config.Check("github.com/bearer-go/bearer", fset, files, info)
	if err != nil {
		t.Fatal(err)
	}

	fileOf := func(pos token.Pos) string { return fset.Position(pos).Filename }
	seen := make(map[string]bool)
	uses := func(at token.Pos, object types.Object) {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			return
		}
		user, declared := fileOf(at), fileOf(object.Pos())
		text := fmt.Sprintf("%s uses %s of %s", user, object.Name(), declared)
		if slices.Index(layers, declared) < slices.Index(layers, user) && !seen[text] {
			seen[text] = true
			violations = append(violations, text)
		}
	}
	for ident, object := range info.Uses {
		uses(ident.Pos(), object)
	}
	for selector, selection := range info.Selections {
		for _, embedded := range embeddedOnTheWay(selection) {
			uses(selector.Pos(), embedded)
		}
	}
	for _, name := range pkg.Scope().Names() {
		variable, ok := pkg.Scope().Lookup(name).(*types.Var)
		if !ok {
			continue
		}
		if _, isFunc := variable.Type().Underlying().(*types.Signature); isFunc {
			violations = append(violations,
				fmt.Sprintf("%s declares %s, a variable of function type", fileOf(variable.Pos()), name))
		}
	}
	slices.Sort(violations)
	return violations
}

// embeddedOnTheWay returns the embedded fields through which a selection finds its field or method.
func embeddedOnTheWay(selection *types.Selection) (fields []types.Object) {
	at := selection.Recv()
	index := selection.Index()
	for _, i := range index[:len(index)-1] {
		if pointer, ok := at.Underlying().(*types.Pointer); ok {
			at = pointer.Elem()
		}
		structure, ok := at.Underlying().(*types.Struct)
		if !ok {
			return fields
		}
		fields = append(fields, structure.Field(i))
		at = structure.Field(i).Type()
	}
	return fields
}

package bearer_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/bearer-go/bearer"

// goTool runs the go command in a folder, as a user of one module does: without the workspace, and
// changing no go.mod.
func goTool(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return goToolIn(t, dir, []string{"GOWORK=off"}, args...)
}

func goToolIn(t testing.TB, dir string, env []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = dir
	command.Env = append(append(os.Environ(), "GOFLAGS=-mod=readonly"), env...)
	var failure bytes.Buffer
	command.Stderr = &failure
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, failure.String())
	}
	return string(output)
}

// ourPackage returns the folder of a package of this repository.
func ourPackage(importPath string) (dir string, ok bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

// goFile is one Go file of the repository, of any module of it.
type goFile struct {
	path   string // with slashes
	text   []byte
	syntax *ast.File
}

// goFiles reads every Go file outside node_modules, testdata and hidden folders.
func goFiles(t testing.TB) (files []goFile) {
	t.Helper()
	walkFiles(t, ".", func(name string) {
		if filepath.Ext(name) != ".go" {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, goFile{filepath.ToSlash(name), text, syntax})
	})
	if len(files) < 20 {
		t.Fatalf("only %d Go files", len(files))
	}
	return files
}

// walkFiles calls file for every file of a tree but those in node_modules, testdata and hidden
// folders.
func walkFiles(t testing.TB, root string, file func(name string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if !entry.IsDir() {
			file(filepath.FromSlash(name))
		} else if name != "." && (base[0] == '.' || base == "node_modules" || base == "testdata") {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tableRows returns the cells of the tables below a heading of a page, row by row, for the rows
// that begin with a name in backticks. Without a heading it takes the whole page.
func tableRows(t testing.TB, page, heading string, columns int) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	section := string(text)
	if heading != "" {
		_, section, _ = strings.Cut(section, "\n## "+heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
	}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != columns {
			t.Errorf("%s: %d cells, want %d: %s", page, len(cells), columns, line)
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no row below %q", page, heading)
	}
	return rows
}

// codeOf returns what a cell has in backticks.
func codeOf(cell string) (names []string) {
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		names = append(names, match[1])
	}
	return names
}

// constants returns the text of the constants of a package that are wanted, by their names.
func constants(t testing.TB, dir string, wanted func(name string, spec *ast.ValueSpec) bool) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, decl := range declarations(t, dir) {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, name := range spec.Names {
				if !wanted(name.Name, spec) || i >= len(spec.Values) {
					continue
				}
				literal, ok := spec.Values[i].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is not a literal", name.Name)
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[name.Name] = text
			}
		}
	}
	return found
}

// exportedFunctions returns the names of the root package's functions, which the options are.
func exportedFunctions(t testing.TB) (names []string) {
	t.Helper()
	for _, decl := range declarations(t, ".") {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

// declarations returns those of a package, without its tests.
func declarations(t testing.TB, dir string) (decls []ast.Decl) {
	t.Helper()
	for _, file := range goFiles(t) {
		if path.Dir(file.path) == dir && !strings.HasSuffix(file.path, "_test.go") {
			decls = append(decls, file.syntax.Decls...)
		}
	}
	return decls
}

package bearer_test

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every exported name is documented, in every module: packages, types, functions, methods,
// constants, variables, fields of structs and methods of interfaces.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	packages := make(map[string]bool) // public ones: whether one of their files has a package comment
	names := 0
	for _, file := range goFiles(t) {
		dir := path.Dir(file.path)
		if strings.HasSuffix(file.path, "_test.go") || file.syntax.Name.Name == "main" || slices.Contains(strings.Split(dir, "/"), "internal") {
			continue
		}
		packages[dir] = packages[dir] || file.syntax.Doc.Text() != ""
		for _, decl := range file.syntax.Decls {
			for name, documented := range exportedNames(decl) {
				names++
				if !documented {
					t.Errorf("%s: %s is not documented", file.path, name)
				}
			}
		}
	}
	for dir, documented := range packages {
		if !documented {
			t.Errorf("%s: the package is not documented", dir)
		}
	}
	if !packages["."] || names < 100 {
		t.Errorf("only %d names in %d packages were looked at", names, len(packages))
	}
}

// exportedNames returns what a declaration exports, and whether it is documented. The comment of a
// group of constants or variables counts for each of them.
func exportedNames(decl ast.Decl) map[string]bool {
	names := make(map[string]bool)
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if receiver := receiverOf(decl); decl.Name.IsExported() && (receiver == "" || ast.IsExported(receiver)) {
			names[strings.TrimPrefix(receiver+"."+decl.Name.Name, ".")] = decl.Doc.Text() != ""
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() {
						names[name.Name] = documented(decl.Doc, spec.Doc, spec.Comment)
					}
				}
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					doc := spec.Doc.Text()
					if !decl.Lparen.IsValid() {
						doc += decl.Doc.Text()
					}
					names[spec.Name.Name] = doc != ""
					memberNames(spec, doc, names)
				}
			}
		}
	}
	return names
}

// memberNames adds the fields of a struct and the methods of an interface. A member that the type's
// comment names, or that has the name of its type, needs no comment.
func memberNames(spec *ast.TypeSpec, doc string, names map[string]bool) {
	var members *ast.FieldList
	switch typ := spec.Type.(type) {
	case *ast.StructType:
		members = typ.Fields
	case *ast.InterfaceType:
		members = typ.Methods
	default:
		return
	}
	for _, member := range members.List {
		for _, name := range member.Names {
			if !name.IsExported() {
				continue
			}
			typ, ok := member.Type.(*ast.Ident)
			names[spec.Name.Name+"."+name.Name] = documented(member.Doc, member.Comment) ||
				ok && typ.Name == name.Name || regexp.MustCompile(`\b`+name.Name+`\b`).MatchString(doc)
		}
	}
}

func documented(comments ...*ast.CommentGroup) bool {
	return slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return strings.TrimSpace(c.Text()) != "" })
}

// receiverOf returns the name of a method's type, or "".
func receiverOf(decl *ast.FuncDecl) string {
	if decl.Recv == nil {
		return ""
	}
	typ := decl.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	switch generic := typ.(type) {
	case *ast.IndexExpr:
		typ = generic.X
	case *ast.IndexListExpr:
		typ = generic.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// No test waits for the wall clock.
func TestNoTestSleeps(t *testing.T) {
	t.Parallel()
	sleep := []byte("time." + "Sleep(")
	tests := 0
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file.path, "_test.go") {
			continue
		}
		tests++
		for i, line := range bytes.Split(file.text, []byte("\n")) {
			if bytes.Contains(line, sleep) {
				t.Errorf("%s:%d sleeps: wait for a channel, or for <-time.After in a bubble of testing/synctest", file.path, i+1)
			}
		}
	}
	if tests == 0 {
		t.Error("no test was looked at")
	}
}

// maxFirstProgram bounds the program on the README's first screen, in lines after its imports that
// are not blank.
const maxFirstProgram = 12

// The README's programs compile, each as a module next to this one, and the first has at most
// maxFirstProgram lines.
func TestREADMEProgramsCompile(t *testing.T) {
	t.Parallel()
	programs := readmePrograms(t)
	if len(programs) == 0 {
		t.Fatal("README.md has no Go program")
	}
	for i, program := range programs {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			files := token.NewFileSet()
			syntax, err := parser.ParseFile(files, "main.go", program, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if n := linesAfterImports(files, syntax, program); n > maxFirstProgram {
					t.Errorf("the first program has %d lines after its imports, want at most %d", n, maxFirstProgram)
				}
			}
			buildProgram(t, syntax, program)
		})
	}
}

// readmePrograms returns the blocks of Go that are whole programs.
func readmePrograms(t testing.TB) (programs []string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var block []string
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "```go":
			inside, block = true, nil
		case inside && line == "```":
			inside = false
			if program := strings.Join(block, "\n") + "\n"; strings.Contains("\n"+program, "\npackage main\n") {
				programs = append(programs, program)
			}
		case inside:
			block = append(block, line)
		}
	}
	if inside {
		t.Fatal("README.md ends inside a block of Go")
	}
	return programs
}

func linesAfterImports(files *token.FileSet, syntax *ast.File, program string) (n int) {
	after := files.Position(syntax.Name.End()).Line
	for _, decl := range syntax.Decls {
		if imports, ok := decl.(*ast.GenDecl); ok && imports.Tok == token.IMPORT {
			after = files.Position(imports.End()).Line
		}
	}
	for _, line := range strings.Split(program, "\n")[after:] {
		if strings.TrimSpace(line) != "" {
			n++
		}
	}
	return n
}

// buildProgram builds and vets a program in a workspace of its module and the modules of this
// repository that it imports.
func buildProgram(t testing.TB, syntax *ast.File, program string) {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	used := []string{".", root}
	for _, spec := range syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, ok := ourPackage(name); ok {
			if module := filepath.Join(root, filepath.FromSlash(ours)); isModule(module) && !slices.Contains(used, module) {
				used = append(used, module)
			}
		}
	}
	workspace := "go 1.26.0\n"
	for _, module := range used {
		workspace += "use " + strconv.Quote(module) + "\n"
	}
	for name, text := range map[string]string{
		"main.go": program,
		"go.mod":  "module readme\n\ngo 1.26.0\n",
		"go.work": workspace,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"GOWORK=" + filepath.Join(dir, "go.work")}
	goToolIn(t, dir, env, "build", "-o", os.DevNull, ".")
	goToolIn(t, dir, env, "vet", ".")
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

package bearer_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// guarded are the packages whose whole API some tests go through, by their folder.
var guarded = map[string]string{"bearer": ".", "jwks": "jwks"}

// apiOf returns what the type checker knows of a package in this folder. It does not load other
// packages, so what comes from them has no type here.
func apiOf(t testing.TB, dir string) *types.Package {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	files := token.NewFileSet()
	var syntax []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		syntax = append(syntax, file)
	}
	checker := types.Config{Importer: nothing{}, Error: func(error) {}, IgnoreFuncBodies: true}
	api, _ := checker.Check(dir, files, syntax, nil) // the errors are about what was not imported
	if api == nil || len(api.Scope().Names()) == 0 {
		t.Fatalf("%s: nothing was found", dir)
	}
	return api
}

// nothing imports nothing.
type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, errors.New("not looked into") }

// exportedTypes returns the types that a package exports.
func exportedTypes(api *types.Package) (all []*types.TypeName) {
	for _, name := range api.Scope().Names() {
		if object, ok := api.Scope().Lookup(name).(*types.TypeName); ok && object.Exported() {
			all = append(all, object)
		}
	}
	return all
}

// exportedSignatures returns the functions and methods that a package exports, each with the package's name before its own.
func exportedSignatures(name string, api *types.Package) map[string]*types.Signature {
	all := make(map[string]*types.Signature)
	for _, object := range api.Scope().Names() {
		if f, ok := api.Scope().Lookup(object).(*types.Func); ok && f.Exported() {
			all[name+"."+object] = f.Signature()
		}
	}
	for _, object := range exportedTypes(api) {
		named, ok := object.Type().(*types.Named)
		if !ok {
			continue
		}
		for method := range named.Methods() {
			if method.Exported() {
				all[name+"."+object.Name()+"."+method.Name()] = method.Signature()
			}
		}
	}
	return all
}

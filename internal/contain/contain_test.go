package contain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Every goroutine of packages tokens, oauth and session runs what it runs by this package, or runs
// nothing of the application.
func TestEveryGoroutineContainsPanics(t *testing.T) {
	own := map[string]bool{ // what runs no code of the application
		"cancel":       true, // of a context
		"leave":        true, // of a place among the requests
		"release":      true, // of a lock
		"s.run":        true, // which calls contain.Call
		"contain.Call": true,
		"contain.Tell": true,
		"d.finish":     true, // which closes a channel
		"f.flush":      true, // whose settle calls contain.Call
		"s.finish":     true, // whose log and report call contain.Tell
	}
	var files []string
	for _, dir := range []string{"../../tokens", "../../tokens/oauth", "../../tokens/session", "../oauthwire"} {
		more, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(more), err)
		}
		files = append(files, more...)
	}
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			var run ast.Node
			switch n := n.(type) {
			case *ast.GoStmt:
				run = n.Call.Fun
			case *ast.CallExpr:
				if name := nameOf(n.Fun); name != "time.AfterFunc" && name != "context.AfterFunc" {
					return true
				}
				run = n.Args[1]
			default:
				return true
			}
			found++
			contained := own[nameOf(run)]
			ast.Inspect(run, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				contained = contained || ok && own[nameOf(call.Fun)] && nameOf(call.Fun) != "cancel"
				return true
			})
			if !contained {
				t.Errorf("%s: a goroutine begins that does not call contain", set.Position(n.Pos()))
			}
			return true
		})
	}
	if found < 6 {
		t.Errorf("%d goroutines were found", found)
	}
}

func nameOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return nameOf(n.X) + "." + n.Sel.Name
	}
	return ""
}

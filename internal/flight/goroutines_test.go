package flight_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Every goroutine of packages jwks, tokens, oauth and session runs what it runs by this package, or
// runs nothing of the application.
func TestEveryGoroutineContainsPanics(t *testing.T) {
	own := map[string]bool{ // what runs no code of the application
		"cancel":         true, // of a context
		"leave":          true, // of a place among the requests
		"release":        true, // of a lock
		"flight.Contain": true,
		"flight.Recover": true,
		"flight.Run":     true,
		"flight.Tell":    true,
		"c.run":          true, // which calls flight.Run
		"s.run":          true, // which calls flight.Run
		"d.finish":       true, // which closes a channel
		"f.flush":        true, // whose saveUnsaved calls flight.Contain
		"f.saveUnsaved":  true, // which calls flight.Contain
		"s.finish":       true, // whose log and report call flight.Tell
		"s.logger.Warn":  true, // of package jwks, whose logger recovers the panics of its handler
	}
	var files []string
	for _, dir := range []string{"../../jwks", "../../tokens", "../../tokens/oauth", "../../tokens/session", "../oauthwire"} {
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
				switch name := nameOf(n.Fun); {
				case name == "time.AfterFunc", name == "context.AfterFunc":
					run = n.Args[1]
				case name == "flight.Run":
					run = n.Args[4] // what is called when the work is late
				case strings.HasSuffix(name, ".Go"): // of a sync.WaitGroup
					run = n.Args[0]
				default:
					return true
				}
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
				t.Errorf("%s: a goroutine begins that does not contain panics", set.Position(n.Pos()))
			}
			return true
		})
	}
	if found < 13 {
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

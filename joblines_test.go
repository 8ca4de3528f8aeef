package bearer_test

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"slices"
	"testing"
)

// The usual jobs of a client are short, with the handling of every error. What counts is the lines
// in the bodies of the functions that a user copies, without blank ones and comments.
func TestUsualJobsAreShort(t *testing.T) {
	t.Parallel()
	for _, job := range []struct {
		name, file string
		functions  []string
		most       int
	}{
		{"client credentials", "tokens/oauth/example_owntoken_test.go", []string{"withSecret"}, 12},
		{"many tenants", "tokens/example_fetcherbyclient_test.go", []string{"secretOf", "newForCustomers"}, 15},
		{"private_key_jwt from a file", "tokens/oauth/example_owntoken_test.go", []string{"withKeyFile"}, 10},
		{"workload identity", "examples/workloadidentity/main.go", []string{"newManager"}, 8},
		{"token exchange for the caller", "examples/onbehalfof/main.go", []string{"callerOf", "exchange"}, 10},
		{"Entra ID's on-behalf-of flow", "examples/onbehalfof/main.go", []string{"callerOf", "entra"}, 10},
		{"a web login with sessions in SQL", "examples/sqlstore/weblogin/login.go", []string{"open", "login", "finish", "person", "logout"}, 60},
		{"gRPC credentials", "examples/grpc/credentials.go", []string{"GetRequestMetadata", "RequireTransportSecurity"}, 9},
	} {
		text := readPage(t, job.file)
		syntax, err := parser.ParseFile(token.NewFileSet(), job.file, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		lines, found := 0, 0
		for _, declared := range syntax.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && slices.Contains(job.functions, f.Name.Name) {
				found++
				lines += codeLines(text[f.Body.Lbrace:f.Body.Rbrace-1], t.Errorf)
			}
		}
		if found != len(job.functions) {
			t.Errorf("%s: %s has %d of the functions %q", job.name, job.file, found, job.functions)
		}
		t.Logf("%s: %d lines", job.name, lines)
		if lines > job.most {
			t.Errorf("%s takes %d lines, want %d at most", job.name, lines, job.most)
		}
	}
}

// codeLines counts the lines that have more than a comment.
func codeLines(text string, failed func(string, ...any)) (n int) {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), func(_ token.Position, problem string) { failed("%s in %q", problem, text) }, 0)
	last := 0
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return n
		}
		if line := file.Line(pos); line != last && (tok != token.SEMICOLON || literal != "\n") {
			n, last = n+1, line
		}
	}
}

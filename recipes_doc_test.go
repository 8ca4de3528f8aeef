package bearer_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The lines of code on the page of recipes are lines of the programs that it links to.
func TestRecipesShowLinesOfTheirPrograms(t *testing.T) {
	page := readPage(t, "docs/recipes.md")
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(code) == 0 {
		t.Fatal("the page has no code")
	}
	var programs strings.Builder
	for _, file := range goFiles(t) {
		if strings.HasPrefix(file.path, "examples/") && !strings.HasSuffix(file.path, "_test.go") {
			programs.Write(file.text)
		}
	}
	spaces := regexp.MustCompile(`[ \t]+`)
	known := make(map[string]bool)
	for line := range strings.Lines(spaces.ReplaceAllString(programs.String(), " ")) {
		known[strings.TrimSpace(line)] = true
	}
	for _, block := range code {
		for line := range strings.Lines(spaces.ReplaceAllString(block[1], " ")) {
			if line = strings.TrimSpace(line); line != "" && !known[line] {
				t.Errorf("no program has the line %q", line)
			}
		}
	}
}

// Every program in examples is on the page.
func TestRecipesNameEveryExample(t *testing.T) {
	page := readPage(t, "docs/recipes.md")
	programs, err := filepath.Glob("examples/*/main.go")
	inside, errInside := filepath.Glob("examples/*/*/main.go")
	programs = append(programs, inside...)
	if err := errors.Join(err, errInside); err != nil || len(programs) == 0 {
		t.Fatalf("%d programs: %v", len(programs), err)
	}
	for _, program := range programs {
		if dir := filepath.ToSlash(filepath.Dir(program)); !strings.Contains(page, "(../"+dir+")") {
			t.Errorf("the page does not link to %s", dir)
		}
	}
}

func readPage(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package bearer_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unwanted are words that this project does not use: a reader has to translate them. CONTRIBUTING.md
// says what to write instead.
var unwanted = regexp.MustCompile(`(?i)\b(` +
	`nobody|somebody|whoever|who waits|at hand|be had|hears|heeds?|heeded|anew|mend(s|ed)?|` +
	`dear(er|est)?|shall|or else|of one's own|be it|of no use|learnt|spelt|reports that` +
	`)\b`)

// Comments, error texts and documents are plain English.
func TestNoUnwantedWords(t *testing.T) {
	looked := 0
	walkFiles(t, ".", func(name string) {
		if name == "CONTRIBUTING.md" || name == "words_test.go" { // they list the words
			return
		}
		switch filepath.Ext(name) {
		case ".go", ".md", ".yml", ".mod":
		default:
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			for _, word := range unwanted.FindAllString(strings.ReplaceAll(line, "http.NoBody", ""), -1) {
				t.Errorf("%s:%d says %q; CONTRIBUTING.md has the word to use", name, number, word)
			}
		}
	})
	if looked < 100 {
		t.Errorf("only %d files were looked at", looked)
	}
}

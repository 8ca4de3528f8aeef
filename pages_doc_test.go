package bearer_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// The pages for readers are short. docs/decisions.md and docs/benchmarks.md grow with what they record.
const (
	maxReadmeLines = 140
	maxPageLines   = 200
)

func TestPagesAreShort(t *testing.T) {
	for page, text := range pages(t) {
		limit := maxPageLines
		switch page {
		case "README.md":
			limit = maxReadmeLines
		case "CHANGELOG.md", "docs/decisions.md", "docs/benchmarks.md":
			continue
		}
		if n := strings.Count(text, "\n"); n > limit {
			t.Errorf("%s has %d lines, want at most %d", page, n, limit)
		}
	}
}

// Every link to a file of the repository leads to one, and every link to a heading to a heading.
func TestPagesLinkToWhatExists(t *testing.T) {
	texts := pages(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("`[^`]*`")
	links := 0
	for page, text := range texts {
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, ":") {
				continue // to another site
			}
			links++
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, match[1])
			}
			if anchor != "" && !hasHeading(texts[file], anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, match[1])
			}
		}
	}
	if links == 0 {
		t.Error("the pages have no link")
	}
}

// pages returns the text of the pages in the root folder and in docs, by their path.
func pages(t testing.TB) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(name)] = string(text)
		}
	}
	return texts
}

// hasHeading reports whether a heading has the anchor by which GitHub knows it: in lower case, with
// hyphens for spaces, and without punctuation.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))
		if slug == anchor {
			return true
		}
	}
	return false
}

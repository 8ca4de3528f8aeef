package grammar_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/grammar"
)

func TestScopeSetIsOneSpelling(t *testing.T) {
	for scope, want := range map[string]string{
		"":            "",
		"a":           "a",
		"a b":         "a b",
		"b a":         "a b",
		"a a":         "a",
		"b a b":       "a b",
		"a:2 a:10 A":  "A a:10 a:2",
		"a ab":        "a ab",
		"~ !":         "! ~",
		"b  a":        "b  a", // what follows is no scope
		" b a":        " b a",
		"b a ":        "b a ",
		" ":           " ",
		"b\ta":        "b\ta",
		"b a\"":       "b a\"",
		"b a\\":       "b a\\",
		"b \u00e9 a":  "b \u00e9 a",
		"b a\u00a0":   "b a\u00a0",
		"b a\x7f":     "b a\x7f",
		"z\nb a":      "z\nb a",
		"repeated  ":  "repeated  ",
		"a b c d c a": "a b c d",
	} {
		if got := grammar.ScopeSet(scope); got != want {
			t.Errorf("ScopeSet(%q) = %q, want %q", scope, got, want)
		}
	}
}

func TestScopeSetTakesNoMemoryForItsOwnSpelling(t *testing.T) {
	scope := "a b c " + strings.Repeat("d", 100)
	if n := testing.AllocsPerRun(100, func() { _ = grammar.ScopeSet(scope) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

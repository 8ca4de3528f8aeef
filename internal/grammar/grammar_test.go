package grammar_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/grammar"
)

// Every class is compared with the characters that its RFC lists, for every byte there is.
func TestClassesHoldTheCharactersOfTheirRFC(t *testing.T) {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	between := func(from, to byte) (all string) {
		for c := int(from); c <= int(to); c++ {
			all += string(rune(c))
		}
		return all
	}
	for _, class := range []struct {
		name string
		is   func(string) bool
		has  string
	}{
		{"token", grammar.IsToken, alphanumeric + "!#$%&'*+-.^_`|~"},
		{"token68", grammar.IsToken68, alphanumeric + "-._~+/"},
		{"NQCHAR", grammar.IsScopeToken, between(0x21, 0x21) + between(0x23, 0x5b) + between(0x5d, 0x7e)},
		{"NQSCHAR", grammar.IsNQSCHAR, between(0x20, 0x21) + between(0x23, 0x5b) + between(0x5d, 0x7e)},
		{"VSCHAR", grammar.IsVSCHAR, between(0x20, 0x7e)},
		{"VCHAR", grammar.IsFieldVChar, between(0x21, 0x7e)},
		{"name-char", grammar.IsParameterName, alphanumeric + "-._"},
	} {
		for c := range 256 {
			text, want := string([]byte{byte(c)}), strings.IndexByte(class.has, byte(c)) >= 0
			if class.is(text) != want || class.is("a"+text+"a") != want {
				t.Errorf("%s: %q is %t, want %t", class.name, text, class.is(text), want)
			}
		}
		if class.is("") {
			t.Errorf("%s: an empty text is one", class.name)
		}
		if class.is("é") {
			t.Errorf("%s: a letter beyond ASCII is one", class.name)
		}
	}
}

func TestToken68EndsInEqualsSigns(t *testing.T) {
	for text, want := range map[string]bool{"a=": true, "a==": true, "=": false, "=a": false, "a=a": false, "a= ": false} {
		if grammar.IsToken68(text) != want {
			t.Errorf("%q is %t, want %t", text, !want, want)
		}
	}
}

func TestPrefixesEndWhereTheClassDoes(t *testing.T) {
	for text, want := range map[string]int{"": 0, " a": 0, "Bearer": 6, "Bearer x": 6, "a=b": 1} {
		if n := grammar.TokenPrefix(text); n != want {
			t.Errorf("token of %q has %d characters, want %d", text, n, want)
		}
	}
	for text, want := range map[string]int{"": 0, "=": 0, "a==, b": 3, "abc": 3, "a=b": 2} {
		if n := grammar.Token68Prefix(text); n != want {
			t.Errorf("token68 of %q has %d characters, want %d", text, n, want)
		}
	}
}

func TestLowerFoldsASCIIAlone(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "At+JWT": "at+jwt", "\u212aEY": "\u212aey", "Ä": "Ä"} {
		if got := grammar.Lower(text); got != want {
			t.Errorf("Lower(%q) = %q, want %q", text, got, want)
		}
	}
}

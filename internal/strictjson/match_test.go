package strictjson_test

import (
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/strictjson"
)

func TestSpellsComparesDecodedText(t *testing.T) {
	for _, test := range []struct {
		value, text string
		want        bool
	}{
		{`"a"`, "a", true},
		{`"\u0061"`, "a", true},
		{`"\u0061\u0061"`, "a", false},
		{`""`, "", true},
		{`"\n"`, "", false},
		{`"a"`, "A", false},
		{`"\\u0061"`, `\u0061`, true},
		{`"\u0061"`, `\u0061`, false},
		{`"` + strings.Repeat(`\n`, 200) + `"`, strings.Repeat("\n", 200), true},
		{`"` + strings.Repeat(`\n`, 200) + `"`, strings.Repeat("\n", 199), false},
		{`"a`, "a", false},
		{`"a" `, "a", false},
		{`"a""`, `a"`, false},
		{`a`, "a", false},
		{`1`, "1", false},
		{``, "", false},
		{`"\x"`, "x", false},
	} {
		if got := strictjson.Spells(test.value, test.text); got != test.want {
			t.Errorf("Spells(%s, %q) is %t", test.value, test.text, got)
		}
	}
}

// AnyElement stops at the first element that is it, and looks at nothing behind it.
func TestAnyElementStopsAtTheFirstMatch(t *testing.T) {
	for value, looked := range map[string]int{
		`["a","b",1]`: 2, `["b"]`: 1, `["b",`: 1, `["b" "b"]`: 1, `[{"b":"b"},["b"],"b"`: 3,
	} {
		n := 0
		if !strictjson.AnyElement(value, func(e string) bool { n++; return e == `"b"` }) || n != looked {
			t.Errorf("%s: stopped after %d elements, want %d", value, n, looked)
		}
	}
	for _, value := range []string{``, `[]`, `["a"]`, `{"b":"b"}`, `"b"`, `["a","b`, `["a",,"b"]`, `[["b"]]`} {
		if strictjson.AnyElement(value, func(e string) bool { return e == `"b"` }) {
			t.Errorf("%s has such an element", value)
		}
	}
}

// What is looked for costs no memory, however many names and elements stand before it.
func TestMatchingCostsNoMemory(t *testing.T) {
	names := strings.Repeat(`{"a\n":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10,"k":11,"l":12,"m":13,"n":14,"o":15,"p":16,"q":17},`, 50)
	value := `[` + names + `"` + strings.Repeat(`\n`, 500) + `","\u0061"]`
	is := func(e string) bool { return strictjson.Spells(e, "a") }
	if !strictjson.AnyElement(value, is) {
		t.Error("not found")
	}
	if n := testing.AllocsPerRun(100, func() { strictjson.AnyElement(value, is) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

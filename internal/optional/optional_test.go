package optional_test

import (
	"strconv"
	"testing"

	"github.com/bearer-go/bearer/internal/optional"
)

func TestValueHasItsDefaultUntilItIsSet(t *testing.T) {
	var v optional.Value[int]
	if v.Given() || v.Get() != 0 || v.Or(7) != 7 {
		t.Errorf("not given: %t, %d, %d", v.Given(), v.Get(), v.Or(7))
	}
	v.Set(0)
	if !v.Given() || v.Or(7) != 0 {
		t.Errorf("set to zero: %t, %d", v.Given(), v.Or(7))
	}
}

func TestOnceReportsAnOptionThatWasSetTwice(t *testing.T) {
	var v optional.Value[int]
	m := optional.Mistakes{Subject: `issuer "a"`}
	for range 2 {
		v.Set(5)
		optional.Once(&m, "Leeway", &v, strconv.Itoa)
	}
	if len(m.All) != 1 {
		t.Fatalf("mistakes are %v", m.All)
	}
	const want = `bearer: Leeway(5) for issuer "a": set more than once; keep one`
	if got := m.All[0].Text("bearer"); got != want {
		t.Errorf("text is %q, want %q", got, want)
	}
}

func TestOnceWithoutAPrinterShowsNoValue(t *testing.T) {
	var v optional.Value[string]
	v.Set("secret")
	v.Set("secret")
	var m optional.Mistakes
	optional.Once(&m, "HMACSecret", &v, nil)
	if got := m.All[0].Text("bearer"); got != "bearer: HMACSecret: set more than once; keep one" {
		t.Errorf("text is %q", got)
	}
}

func TestQuoted(t *testing.T) {
	if got := optional.Quoted([]string{"a", `b"`}); got != `"a", "b\""` {
		t.Errorf("got %s", got)
	}
}

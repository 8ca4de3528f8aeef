package optional_test

import (
	"errors"
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

func TestApplySkipsAndReportsNilOptions(t *testing.T) {
	type config struct{ n int }
	type option func(*config)
	add := func(n int) option { return func(c *config) { c.n += n } }
	var m optional.Mistakes
	var c config
	optional.Apply(&m, "New", []option{add(1), nil, add(2), nil}, &c)
	if c.n != 3 {
		t.Errorf("the options were not applied: %d", c.n)
	}
	err := optional.Join(m.All, func(m optional.Mistake) error { return errors.New(m.Text("bearer")) })
	const want = "bearer: New(nil): option 2 is nil; leave it out\nbearer: New(nil): option 4 is nil; leave it out"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestJoinOfNoMistakesIsNoError(t *testing.T) {
	if err := optional.Join(nil, func(optional.Mistake) error { return errors.New("called") }); err != nil {
		t.Errorf("error is %v", err)
	}
}

func TestQuoted(t *testing.T) {
	if got := optional.Quoted([]string{"a", `b"`}); got != `"a", "b\""` {
		t.Errorf("got %s", got)
	}
}

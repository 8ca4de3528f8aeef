package strictjson_test

import (
	"testing"

	"github.com/bearer-go/bearer/internal/strictjson"
)

func TestMemberListFindsMembersByName(t *testing.T) {
	m, err := strictjson.Object(`{"a": "\u0041", "b": ["c"], "d": null}`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{
		"a": {`"\u0041"`, "A"}, "b": {`["c"]`, ""}, "c": {"", ""}, "d": {"null", ""},
	} {
		if value, text := m.Value(name), m.Text(name); value != want[0] || text != want[1] {
			t.Errorf("%s: %q and %q, want %q", name, value, text, want)
		}
	}
}

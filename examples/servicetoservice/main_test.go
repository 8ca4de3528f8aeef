package main

import (
	"strings"
	"testing"
)

func TestServiceToService(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if _, answer, ok := strings.Cut(line, "POST /charges: "); ok {
			got = append(got, strings.TrimSpace(answer))
		}
	}
	const charged = "201 charged for orders, tokens obtained so far: "
	want := []string{charged + "1", charged + "1", charged + "1", charged + "2"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

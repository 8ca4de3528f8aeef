package main

import (
	"strings"
	"testing"
)

// A file that is replaced is used without a restart, and at once, although the one before was
// refused.
func TestWorkloadIdentity(t *testing.T) {
	t.Setenv("ISSUER", "")
	var out strings.Builder
	if err := start(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := `the file is there: a token for ["billing:read"]
the file was not renewed in time: invalid_client
the file was replaced: a token for ["billing:cancel"]
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

package main

import (
	"os"
	"strings"
	"testing"
)

// The program starts itself, and in a test that is the test.
func TestMain(m *testing.M) {
	if os.Getenv(storeVariable) != "" {
		os.Exit(start())
	}
	os.Exit(m.Run())
}

// No old refresh token is used, which would end the session, and what one process obtains the other
// finds.
func TestSharedSession(t *testing.T) {
	t.Setenv(keyVariable, "") // run sets it; this puts it back
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text := out.String()
	if strings.Count(text, "Sessions at the server: 1") != 3 || strings.Count(text, "Sessions at the server: 0") != 1 {
		t.Errorf("a session was lost, or not ended:\n%s", text)
	}
	if strings.Count(text, "    used ") != 4 || strings.Count(text, "found 0 in the store") == 4 {
		t.Errorf("the processes shared nothing:\n%s", text)
	}
}

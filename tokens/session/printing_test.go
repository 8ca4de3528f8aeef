package session_test

import (
	"fmt"
	"testing"

	"github.com/bearer-go/bearer/tokens/session"
)

// Package tokens has the tests of how everything prints; only the lock is a matter of this one.
func TestPrintingAMemoryStoreWaitsForNoLock(t *testing.T) {
	store := session.NewMemoryStore()
	defer session.HoldLock(store)()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%p"} {
		_ = fmt.Sprintf(format, store)
	}
}

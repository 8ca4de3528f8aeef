package storetest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// Cases returns the names of Run's subtests.
func Cases() []string {
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// Mistake returns what Run says of its options; "" for nothing.
func Mistake(opts ...Option) string { return newSuite(opts).mistake() }

// IsOne reports whether Run takes two Stores for one.
func IsOne(one, other session.Store) bool { return isOne(one, other) }

// Failures runs what Run runs with or without Bubble, in bubbles in any case, and returns what the
// subtests failed with, by their names.
func Failures(t *testing.T, bubble bool, open func() (one, other session.Store)) map[string][]string {
	t.Helper()
	failures := map[string][]string{}
	for _, c := range cases {
		if failed := failuresOf(t, bubble, c.run, open); failed != nil {
			failures[c.name] = failed
		}
	}
	return failures
}

// StalledFailures does the same for what Run runs with Stalled.
func StalledFailures(t *testing.T, open func() session.Store) map[string][]string {
	t.Helper()
	failures := map[string][]string{}
	for _, c := range stalledCases {
		if failed := failuresOf(t, true, c.run, func() (one, other session.Store) { return open(), nil }); failed != nil {
			failures[c.name] = failed
		}
	}
	return failures
}

func failuresOf(t *testing.T, bubble bool, run func(*trial), open func() (one, other session.Store)) (failures []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &witness{TB: t}
		one, other := open()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer w.cleanUp()
			run(&trial{TB: w, one: one, other: other, bubble: bubble})
		}()
		<-ended
		<-time.After(48 * time.Hour) // every lease ends, also that of a lock which was lost
		w.mu.Lock()
		defer w.mu.Unlock()
		failures = w.failures
	})
	return failures
}

// witness is a test that notes its failures instead of failing.
type witness struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// Cleanup notes a function for cleanUp, which calls it before the leases end.
func (w *witness) Cleanup(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleanups = append(w.cleanups, f)
}

func (w *witness) cleanUp() {
	for _, f := range slices.Backward(w.cleanups) {
		f()
	}
}

func (w *witness) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

package storetest

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// Cases returns the names of Run's subtests.
func Cases() []string {
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// Failures runs what Run runs with or without Bubble, in bubbles in any case, and returns what the subtests failed with, by their names.
func Failures(t *testing.T, bubble bool, open func() (one, other tokens.Store)) map[string][]string {
	t.Helper()
	failures := map[string][]string{}
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			w := &witness{TB: t}
			one, other := open()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.run(&trial{TB: w, one: one, other: other, bubble: bubble})
			}()
			<-ended
			<-time.After(48 * time.Hour) // every lease ends, also that of a lock which nobody knows of
			if len(w.failures) > 0 {
				failures[c.name] = w.failures
			}
		})
	}
	return failures
}

// witness is a test that notes its failures instead of failing.
type witness struct {
	testing.TB
	mu       sync.Mutex
	failures []string
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

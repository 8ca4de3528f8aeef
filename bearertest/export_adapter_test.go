package bearertest

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/bearer-go/bearer"
)

// AdapterCases returns the names of TestAdapter's subtests.
func AdapterCases() []string {
	var names []string
	for _, c := range adapterCases() {
		names = append(names, c.name)
	}
	return names
}

// AdapterFailures runs what TestAdapter runs and returns what the subtests failed with, by their names.
func AdapterFailures(tb testing.TB, mount func(*bearer.Middleware, App) http.Handler) map[string][]string {
	tb.Helper()
	failures := map[string][]string{}
	for _, c := range adapterCases() {
		w := &witness{TB: tb}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.run(w, mount)
		}()
		<-ended
		if len(w.failures) > 0 {
			failures[c.name] = w.failures
		}
	}
	return failures
}

// witness is a test that notes its failures instead of failing.
type witness struct {
	testing.TB
	failures []string
}

func (w *witness) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

package jwks

import (
	"fmt"
	"io"
	"log/slog"
)

// String returns a fixed text, and "<nil>" for nil. What the set is doing is in [Set.Stats].
func (s *Set) String() string {
	if s == nil {
		return "<nil>"
	}
	return "jwks.Set{...}"
}

// Format writes the fixed text for every verb: what a Set holds changes while it is used.
func (s *Set) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue gives logs the fixed text.
func (s *Set) LogValue() slog.Value { return slog.StringValue(s.String()) }

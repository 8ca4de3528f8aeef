package bearer

import (
	"fmt"
	"io"
	"log/slog"
)

// opaque is how what must not be disclosed prints.
func opaque(name string, isNil bool) string {
	if isNil {
		return "<nil>"
	}
	return "bearer." + name + "{...}"
}

// String returns a fixed text, and "<nil>" for nil.
func (m *Middleware) String() string { return opaque("Middleware", m == nil) }

// Format writes the fixed text for every verb: what a Middleware holds are tokens, and may be a secret.
func (m *Middleware) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue gives logs the fixed text.
func (m *Middleware) LogValue() slog.Value { return slog.StringValue(m.String()) }

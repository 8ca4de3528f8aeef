package tokens

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that must not be seen: a token, a client's secret. It prints as "[secret]" whatever the verb, in logs and in
// JSON; string(s) is the text itself.
type Secret string

const redacted = "[secret]"

// String returns "[secret]".
func (Secret) String() string { return redacted }

// Format writes "[secret]" for every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[secret]" to package log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]", to package encoding/json as well.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

package tokens

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that must not be seen: a token, a client's secret. It prints as "[secret]" whatever the verb, in logs and in
// JSON; string(s) is the text itself.
//
// Package fmt asks no value how to print itself that it finds in an unexported field, or where it complains of a verb that does not
// fit what is around it. So give a struct with a Secret in it a Format method of its own.
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

// opaque makes a type print as "[secret]" that has it embedded.
type opaque struct{}

// String returns "[secret]".
func (opaque) String() string { return redacted }

// Format writes "[secret]" for every verb of package fmt.
func (opaque) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[secret]" to package log/slog.
func (opaque) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]", to package encoding/json as well.
func (opaque) MarshalText() ([]byte, error) { return []byte(redacted), nil }

package tokens

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// A Secret is text that must not be seen: a token, or a client's secret. [NewSecret] makes one and
// [Secret.Reveal] reads it. Package fmt prints it as "[secret]" for every verb, package log/slog
// logs that text, and package encoding/json encodes it. Package encoding/gob returns an error.
//
// The text is behind a pointer. So a Secret shows at most an address where package fmt asks no value
// how to print itself, as in an unexported field. Secrets with equal texts are equal (==).
//
// The zero Secret is the empty text.
type Secret struct{ text unique.Handle[string] }

const redacted = "[secret]"

var errEncoded = errors.New("tokens: a secret is not encoded")

// NewSecret returns a Secret with the given text. That of "" is the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text. That of the zero Secret is "".
func (s Secret) Reveal() string {
	if s == (Secret{}) {
		return ""
	}
	return s.text.Value()
}

// String returns "[secret]".
func (Secret) String() string { return redacted }

// Format writes "[secret]" for every verb of package fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[secret]" to package log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]", to package encoding/json as well.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns an error: package encoding/gob would write the text otherwise.
func (Secret) GobEncode() ([]byte, error) { return nil, errEncoded }

// opaque makes a type print as "[secret]" that has it embedded.
//
// Package fmt asks no method under %p and %w, in an unexported field, and then where a verb is
// wrong. It reads the fields there, those of unexported types too, with maps and slices, and
// follows a pointer at the top and one more where the verb does not fit a pointer. So a type with
// secrets, or with fields that change, has all of its fields behind two pointers, the second of
// them in a type whose name begins with hidden: they are never shown, and reading them cannot race.
type opaque struct{}

// String returns "[secret]".
func (opaque) String() string { return redacted }

// Format writes "[secret]" for every verb of package fmt.
func (opaque) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[secret]" to package log/slog.
func (opaque) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]", to package encoding/json as well.
func (opaque) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns an error.
func (opaque) GobEncode() ([]byte, error) { return nil, errEncoded }

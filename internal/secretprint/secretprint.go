// Package secretprint keeps secrets out of what is printed, logged and encoded.
package secretprint

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Text is what stands for a secret.
const Text = "[secret]"

var errEncoded = errors.New("tokens: a secret is not encoded")

// Opaque makes a type print as [Text] that embeds it. Embed it through an alias of your own that is
// not exported, or it is a field of the type's documentation.
//
// Package fmt asks no method under %p and %w, in an unexported field, and then where a verb is
// wrong. It reads the fields there, those of unexported types too, with maps and slices, and
// follows a pointer at the top and one more where the verb does not fit a pointer. So a type with
// secrets, or with fields that change, has all of its fields behind two pointers, the second of
// them in a type whose name begins with hidden: they are never shown, and reading them cannot race.
type Opaque struct{}

// String returns [Text].
func (Opaque) String() string { return Text }

// Format writes [Text] for every verb of package fmt.
func (Opaque) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Text) }

// LogValue returns [Text] to package log/slog.
func (Opaque) LogValue() slog.Value { return slog.StringValue(Text) }

// MarshalText returns [Text], to package encoding/json as well.
func (Opaque) MarshalText() ([]byte, error) { return []byte(Text), nil }

// GobEncode returns an error: package encoding/gob would write the fields otherwise.
func (Opaque) GobEncode() ([]byte, error) { return nil, errEncoded }

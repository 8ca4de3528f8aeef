package tokens

import (
	"unique"

	"github.com/bearer-go/bearer/internal/secretprint"
)

// opaque makes a type print as "[secret]" that embeds it.
type opaque = secretprint.Opaque

// A Secret is text that must not be seen: a token, or a client's secret. [NewSecret] makes one and
// [Secret.Reveal] reads it. Package fmt prints it as "[secret]" for every verb, package log/slog
// logs that text, and package encoding/json encodes it. Package encoding/gob returns an error.
//
// The text is behind a pointer. So a Secret shows at most an address where package fmt asks no
// value how to print itself, as in an unexported field. Secrets with equal texts are equal (==).
//
// The zero Secret is the empty text.
type Secret struct {
	opaque
	text unique.Handle[string]
}

// NewSecret returns a Secret with the given text. That of "" is the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: unique.Make(text)}
}

// Reveal returns the text. That of the zero Secret is "".
func (s Secret) Reveal() string {
	if s == (Secret{}) {
		return ""
	}
	return s.text.Value()
}

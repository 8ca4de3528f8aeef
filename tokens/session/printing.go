package session

import (
	"fmt"
	"log/slog"

	"github.com/bearer-go/bearer/internal/secretprint"
)

// opaque makes a type print as "[secret]" that embeds it.
type opaque = secretprint.Opaque

// A function has no field to embed opaque in, and SealKeys is asked for keys. It may stand in a
// configuration that is printed as a whole.

// Format writes "[secret]" for every verb of package fmt.
func (SealKeys) Format(f fmt.State, verb rune) { opaque{}.Format(f, verb) }

// LogValue returns "[secret]" to package log/slog.
func (SealKeys) LogValue() slog.Value { return opaque{}.LogValue() }

// MarshalText returns "[secret]", to package encoding/json as well.
func (SealKeys) MarshalText() ([]byte, error) { return opaque{}.MarshalText() }

// MarshalText returns what Error returns, to package encoding/json as well.
func (e *StoreError) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

package tokens

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// A function has no field to embed opaque in, and a FetcherFunc is asked for tokens. It may stand
// in a configuration that is printed as a whole.

// Format writes "[secret]" for every verb of package fmt.
func (FetcherFunc) Format(f fmt.State, verb rune) { opaque{}.Format(f, verb) }

// LogValue returns "[secret]" to package log/slog.
func (FetcherFunc) LogValue() slog.Value { return opaque{}.LogValue() }

// MarshalText returns "[secret]", to package encoding/json as well.
func (FetcherFunc) MarshalText() ([]byte, error) { return opaque{}.MarshalText() }

// Format writes what Error returns, for every verb of package fmt: Description is not for logs.
func (e Error) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error())
}

// MarshalText returns what Error returns, to package encoding/json as well: Description is not for
// logs.
func (e Error) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// MarshalText returns what Error returns, to package encoding/json as well.
func (e *UnavailableError) MarshalText() ([]byte, error) { return []byte(e.Error()), nil }

// MarshalJSON returns the fields. LastError is its text, or null.
func (s Stats) MarshalJSON() ([]byte, error) {
	type fields Stats
	return json.Marshal(struct {
		fields
		LastError *string
	}{fields(s), textOf(s.LastError)})
}

// MarshalJSON returns the fields. Err is its text, or null.
func (e Event) MarshalJSON() ([]byte, error) {
	type fields Event
	return json.Marshal(struct {
		fields
		Err *string
	}{fields(e), textOf(e.Err)})
}

// textOf returns the text of an error, or nil. Of an error's fields nothing is known: package
// encoding/json would show all of them.
func textOf(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	return &text
}

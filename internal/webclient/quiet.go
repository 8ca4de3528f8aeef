package webclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxShown is how much of an error's text is shown, in bytes, where there are names in it that the other side chose.
const maxShown = 256

// harmless are errors of an exchange whose texts are fixed.
var harmless = []error{
	context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, http.ErrSchemeMismatch,
	ErrProxyUnknown, ErrRedirects, ErrOtherOrigin, ErrTooLong,
}

var errHidden = errors.New("the exchange failed; the reason is not shown, because it may quote what was sent")

// Quiet returns an error of an exchange with nothing in its text that the server made up: package net/http quotes URLs, and an
// answer that it cannot read, and a server can repeat what was sent to it. What is known to quote nothing is shown. The whole can
// be found as [Hide] says.
func Quiet(err error) error { return Hide(err, shown(err)) }

// Hide returns an error with the text of another one. It cannot be unwrapped, for whoever reports errors to others walks down to the
// last one; errors.Is and errors.As find in err what is asked for by name.
func Hide(err, shown error) error { return &quietError{shown: shown, err: err} }

// shown is what of an error may be shown.
func shown(err error) error {
	for e, ok := errors.AsType[*url.Error](err); ok; e, ok = errors.AsType[*url.Error](err) {
		err = e.Err // it quotes a URL, and is a net.Error whatever it is about
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		text := Printable(e.Error()) // with the names in the certificate
		return errors.New(text[:min(len(text), maxShown)])
	}
	if e, ok := errors.AsType[net.Error](err); ok {
		return e
	}
	for _, known := range harmless {
		if errors.Is(err, known) {
			return known
		}
	}
	return errHidden
}

// Printable replaces whatever in a text may not stand in an error's description (RFC 6749 section 5.2), so that nobody forges a
// line of a log or moves a terminal's cursor.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
}

type quietError struct{ shown, err error }

func (e *quietError) Error() string { return e.shown.Error() }

// Format writes no more than that, for a verb such as %#v would show the other one.
func (e *quietError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

func (e *quietError) Is(target error) bool { return errors.Is(e.err, target) }

func (e *quietError) As(target any) bool { return errors.As(e.err, target) }

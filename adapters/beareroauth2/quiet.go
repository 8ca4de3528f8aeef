package beareroauth2

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// maxShown is how much of a certificate's error is shown, in bytes: the other side chose the names
// in it.
const maxShown = 256

// harmless are errors of an exchange whose texts are fixed.
var harmless = []error{
	context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, http.ErrSchemeMismatch,
}

var (
	errHidden   = errors.New("the exchange failed; the reason is not shown, because it may quote what was sent")
	errNoHost   = errors.New("lookup: no such host")
	errNoLookup = errors.New("lookup: no usable answer")
	errTimeout  = errors.New("timeout")
)

// quiet returns an error of an exchange without any text that came from the server or from a
// request: package net/http quotes URLs, and answers that it cannot read. The text is made of what
// is known to be fixed, of an address, and of the beginning of what package crypto/tls says about a
// certificate. The error cannot be unwrapped; errors.Is and errors.As find the cause.
//
// Package tokens follows the same rule for its own requests. It is written again here because a
// module must not use the internal packages of another one: each has its own version.
func quiet(err error) error { return &quietError{&hiddenError{text: shown(err).Error(), cause: err}} }

// shown returns the part of an error that may be shown.
func shown(err error) error {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		text := printable(e.Error())
		return errors.New(text[:min(len(text), maxShown)])
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound:
			return errNoHost
		case e.IsTimeout:
			return fmt.Errorf("lookup: %w", errTimeout)
		}
		return errNoLookup
	}
	reason := fixed(err)
	if e, ok := errors.AsType[*net.OpError](err); ok {
		text := e.Op + " " + e.Net
		if address, ok := e.Addr.(*net.TCPAddr); ok && address != nil && address.Zone == "" {
			text += " " + address.String()
		}
		return fmt.Errorf("%s: %w", text, reason)
	}
	return reason
}

// fixed returns the part of an error that has a fixed text.
func fixed(err error) error {
	for _, known := range harmless {
		if errors.Is(err, known) {
			return known
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return alert
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errTimeout
	}
	return errHidden
}

// printable replaces what could forge a line of a log or move a terminal's cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
}

type quietError struct{ *hiddenError }

// hiddenError is behind a pointer of its own: where a verb does not fit, package fmt asks no method
// and follows one.
type hiddenError struct {
	text  string
	cause error
}

func (e *quietError) Error() string { return e.text }

// Format writes the text for every verb: %#v would show the cause.
func (e *quietError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.text) }

func (e *quietError) Is(target error) bool { return errors.Is(e.cause, target) }

func (e *quietError) As(target any) bool { return errors.As(e.cause, target) }

package webclient

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

	"github.com/bearer-go/bearer/internal/grammar"
)

// maxShown is how much of an error's text is shown, in bytes, where there are names in it that the
// other side chose.
const maxShown = 256

// harmless are errors of an exchange whose texts are fixed.
var harmless = []error{
	context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, http.ErrSchemeMismatch,
	ErrProxyUnknown, ErrProxyRefuses, ErrRedirects, ErrOtherOrigin, ErrTooLong,
}

var (
	errHidden   = errors.New("the exchange failed; the reason is not shown, because it may quote what was sent")
	errNoHost   = errors.New("lookup: no such host")
	errNoLookup = errors.New("lookup: no answer that helps")
	errTimeout  = errors.New("timeout")
)

// Quiet returns an error of an exchange with nothing in its text that the server said: package
// net/http quotes URLs, and an answer that it cannot read, whatever the type of the error is; a
// host that was looked up may come from a redirect, and a server can repeat what was sent to it. So
// the text is made of what is known to be fixed, of an address, and of the beginning of what
// package crypto/tls says of a certificate, with the names in that. The whole can be found as
// [Hide] says.
func Quiet(err error) error { return Hide(err, shown(err)) }

// Hide returns an error with the text of another one. It cannot be unwrapped, because code that
// reports errors to others walks down to the last one; errors.Is and errors.As find in err what is
// asked for by name.
func Hide(err, shown error) error { return &quietError{&hiddenError{shown, err}} }

// shown is what of an error may be shown.
func shown(err error) error {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		text := Printable(e.Error())
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

// fixed is the part of an error that is one of those with a fixed text.
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

// Printable replaces each character that may not stand in an error's description (RFC 6749 section
// 5.2), so that an attacker can neither forge a line of a log nor move a terminal's cursor.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !grammar.IsNQSCHAR(string(r)) {
			return '?'
		}
		return r
	}, text)
}

type quietError struct{ *hiddenError }

// hiddenError is behind a pointer of its own: where a verb does not fit, package fmt asks no method
// and follows one.
type hiddenError struct{ shown, err error }

func (e *quietError) Error() string { return e.shown.Error() }

// Format writes no more than that, for a verb such as %#v would show the other one.
func (e *quietError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, e.Error()) }

func (e *quietError) Is(target error) bool { return errors.Is(e.err, target) }

func (e *quietError) As(target any) bool { return errors.As(e.err, target) }

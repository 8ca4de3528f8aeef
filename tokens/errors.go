package tokens

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
)

var (
	// ErrClosed means that the [Manager] was closed, or the session of package session.
	ErrClosed = errors.New("tokens: closed")

	// ErrLoginRequired means that there is no token before the person logs in: there is no refresh
	// token, or the server does not accept it any more, or not for this key, which is then the only
	// one that the error is about.
	ErrLoginRequired = errors.New("tokens: a new login is required")
)

// UnavailableError is why [Source.Token] has no token. All callers that waited for one request get
// the same.
type UnavailableError struct {
	// RetryAfter is the time to the next attempt; until then all callers get this error. It is zero
	// when nothing will be attempted any more, because the Manager is closed, and when a function
	// for the caller's own token failed, which the next call calls again.
	RetryAfter time.Duration

	// Err is what failed: an [*Error], [ErrLoginRequired], [ErrClosed], or what the [Fetcher] said.
	Err error
}

// Error says what failed.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("tokens: no token is available: %v", e.Err)
}

// Unwrap returns Err.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Error is what came of a request to an authorization server that did not answer as it should.
type Error struct {
	// Op is what was asked for: "discovery", "token", "revocation", "login" or "userinfo".
	Op string

	// Status is the HTTP status; 0 when there was no answer.
	Status int

	// Code is the error code of RFC 6749 section 5.2, or one of the many that servers have beside;
	// "" when there is none, or none that is made of letters, digits and "._-" and at most 64 of
	// them, or when it repeats a secret that was sent.
	Code string

	// Description is the server's own text for it, error_description, for the operator: at
	// most 256 characters, and none but those that RFC 6749 section 5.2 allows. It is not part of
	// [Error.Error]: servers are known to quote what was sent to them. Nor is it printed, logged or
	// encoded with the Error, except by package gob, and by package fmt where that asks no method:
	// under %p, and under a verb that fits no pointer in an unexported field. Show it to no client.
	Description string

	// RetryAfter is what the server's header of that name asks for, up to an hour; 0 if there is
	// none.
	RetryAfter time.Duration

	// Err is what went wrong when there was no answer, or none that can be used. It may be nil.
	Err error

	// Pause says that no request was made, because the answer that this Error repeats asked for a
	// pause, or caused one: it is how long all of it takes, and RetryAfter is what is left. It is 0
	// for an answer of its own.
	Pause time.Duration
}

// Error names the operation, the status and the code.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "tokens: %s", e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ": %s", e.Code)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// permanent are the codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 7009 section 2.2.1 and RFC 8707
// section 2 that stay what they are until a person changes something: the client, its registration,
// or the request.
var permanent = map[string]bool{
	"invalid_request":           true,
	"invalid_client":            true,
	"invalid_grant":             true,
	"unauthorized_client":       true,
	"unsupported_grant_type":    true,
	"unsupported_response_type": true,
	"invalid_scope":             true,
	"invalid_target":            true,
	"access_denied":             true,
	"unsupported_token_type":    true,
}

// Permanent reports whether asking again does not help until a person has changed something. It
// goes by the code, and never for a status that says otherwise: 408, 425, 429 and those from 500.
func (e *Error) Permanent() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status < http.StatusInternalServerError && permanent[e.Code]
}

// ConfigError is one mistake in a configuration. [NewManager] and [Source.Transport] return all of
// them at once, joined with [errors.Join].
type ConfigError struct {
	// Option is the option or the function at fault, such as "WithMaxKeys".
	Option string
	// Subject is what it was given for. It is "" here: every option is for the whole.
	Subject string
	// Value is what was given. It is "" for secrets and for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Error returns the option, the value and what to do, in one line.
func (e *ConfigError) Error() string { return optional.Mistake(*e).Text("tokens") }

// configErrors returns the mistakes as one error, or nil if there are none.
func configErrors(mistakes []optional.Mistake) error {
	return optional.Join(mistakes, func(m optional.Mistake) error { return new(ConfigError(m)) })
}

package jwks

import (
	"errors"
	"fmt"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
)

// ErrKeyNotFound means that the set has no key for the token: the answer to the client is 401.
var ErrKeyNotFound = errors.New("jwks: no key of the set fits the token")

// errKeyOfOther is an [ErrKeyNotFound]: the set holds a key for the token, and its member issuer
// names another issuer than the token's. A client learns no more than that the key was not found.
var errKeyOfOther = fmt.Errorf("%w: the member issuer of the published key names another issuer",
	ErrKeyNotFound)

// ErrClosed is the cause of an [UnavailableError] after [Set.Close].
var ErrClosed = errors.New("jwks: the set is closed")

// UnavailableError means that it is not known now whether the issuer has a key for the token: the
// answer to the client is 503, and never 401, which would make it throw a good token away.
type UnavailableError struct {
	// RetryAfter is the earliest time at which keys can be available: the time to the next attempt
	// to fetch them, or a second while a fetch is under way. It may be shorter than a second, and
	// is zero when there will be no attempt because the set is closed.
	RetryAfter time.Duration

	cause error
}

// Error is for the operator. It names the URL that could not be fetched and nothing of an answer's
// body. Package net/http may quote a malformed header in it.
func (e *UnavailableError) Error() string { return "jwks: keys are unavailable: " + e.cause.Error() }

// Unwrap returns the cause: what failed in the last fetch, the end of the request's context,
// [ErrClosed], or that the request could not wait any longer.
func (e *UnavailableError) Unwrap() error { return e.cause }

// retryAfter is the time that an [UnavailableError] names.
func retryAfter(err error) time.Duration {
	if u, ok := errors.AsType[*UnavailableError](err); ok {
		return u.RetryAfter
	}
	return 0
}

// ConfigError is one mistake in a configuration. [New] returns all of them at once, joined with
// [errors.Join].
type ConfigError struct {
	// Option is the option or the source at fault, such as "WithLifetime".
	Option string
	// Subject is what it was given for. It is "" here, where a set has one source.
	Subject string
	// Value is what was given. It is "" for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Error returns the option, the value and what to do, in one line.
func (e *ConfigError) Error() string { return optional.Mistake(*e).Text("jwks") }

package jwks

import (
	"errors"
	"fmt"
	"time"
)

// ErrKeyNotFound means that the set was looked at and holds no key for the token: the answer to the client is 401.
var ErrKeyNotFound = errors.New("jwks: no key of the set fits the token")

// ErrKeyOfOther is an [ErrKeyNotFound]: the set holds a key for the token, and its member issuer
// names another issuer than the token's. A client is told no more than that the key was not found.
var ErrKeyOfOther = fmt.Errorf("%w: the member issuer of the published key names another issuer",
	ErrKeyNotFound)

// ErrClosed is the cause of an [UnavailableError] after [Set.Close].
var ErrClosed = errors.New("jwks: the set is closed")

// UnavailableError means that nobody can say now whether the set holds a key for the token: the answer to the client
// is 503, never 401, which would make it throw a good token away.
type UnavailableError struct {
	// RetryAfter is the time until keys can be had at the earliest: the time to the next attempt to fetch them, or a
	// second while a fetch is under way. It may be shorter than a second, and is zero when nothing will be attempted
	// any more because the set is closed.
	RetryAfter time.Duration

	cause error
}

// Error is for the operator. It names the URL that could not be fetched and nothing of an answer's body; package net/http may
// quote a malformed header in it.
func (e *UnavailableError) Error() string { return "jwks: keys are unavailable: " + e.cause.Error() }

// Unwrap returns the cause: what failed in the last fetch, the end of the request's context, or [ErrClosed]; otherwise that the
// request could not wait any longer.
func (e *UnavailableError) Unwrap() error { return e.cause }

// retryAfter is the time that an [UnavailableError] names.
func retryAfter(err error) time.Duration {
	if u, ok := errors.AsType[*UnavailableError](err); ok {
		return u.RetryAfter
	}
	return 0
}

package jwks

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/optional"
)

// ErrKeyNotFound means that the set has no key for the token: the answer to the client is 401.
var ErrKeyNotFound = errors.New("jwks: no key of the set fits the token")

// Why a set has no key for a token. Each is an [ErrKeyNotFound], and a client learns no more than
// that. There is one of each, because anyone can cause them.
var (
	errKeyOfOther = newMiss("key.issuer-member", "the member issuer of the published key names another issuer")
	errUnknownID  = newMiss("key.kid", "no published key has its kid; it may be of another environment of the "+
		"issuer, or its key was withdrawn")
	errNoneFits  = newMiss("key.kid", "it has no kid, and no key is for its algorithm")
	errAmbiguous = newMiss("key.no-kid", "it has no kid, and several keys are for its algorithm; "+
		"have the issuer put the kid in its tokens")
	errCrowded = newMiss("key.no-kid", "it has no kid, and more than %d keys, or more than %d that are costly to verify with, "+
		"are for its algorithm, so that none was tried; give fewer keys, or have the issuer put the kid in its tokens",
		maxCandidates, maxCostly)
	errThumbprint = newMiss("key.thumbprint", "the certificate that its x5t#S256 names is not that of the published key")
	errSymmetric  = newMiss("key.kid", "its algorithm is not one of public keys")
)

func newMiss(rule, format string, args ...any) *keyset.Miss {
	return &keyset.Miss{Rule: rule, Err: fmt.Errorf("%w: %w", ErrKeyNotFound, fmt.Errorf(format, args...))}
}

// missOf is why a published key is of no help to a token that names it: it was refused, or it does
// not fit the token, if the reason is nil. The set reads each id once, so that anyone may ask.
func missOf(id string, reason error) *keyset.Miss {
	text := strconv.Quote(excerpt(id, maxLoggedID))
	if reason == nil {
		return newMiss("key.kid", "the key with its kid, %s, is not for its algorithm", text)
	}
	return newMiss("key.kid", "the key with its kid, %s, is published and cannot be used: %w", text, reason)
}

// miss is why there is no key for a token among the keys.
func (s *keySet) miss(q *query) *keyset.Miss {
	others, unmarked := *q, *q
	others.anyIssuer = true
	unmarked.marked = false
	switch {
	case !q.anyIssuer && s.candidates(&others).n > 0:
		return errKeyOfOther
	case q.marked && s.candidates(&unmarked).n > 0:
		return errThumbprint
	case q.hint.KeyID != "":
		if known := s.ids[q.hint.KeyID]; known != nil {
			return known
		}
		return errUnknownID
	}
	return cmp.Or(s.tooMany(q), errNoneFits)
}

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
// body. It may quote a malformed header, or names in a certificate: they are printable and short.
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
	// Subject is the source that it was given for, in an [AnyOf], and otherwise "".
	Subject string
	// Value is what was given. It is "" for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Error returns the option, the value and what to do, in one line.
func (e *ConfigError) Error() string { return optional.Mistake(*e).Text("jwks") }

package bearer

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
)

// ErrUnavailable is what a [Func] or the function of an [IssuerTemplate] returns, as it is or
// wrapped, when it cannot decide because something it depends on does not answer. The client then
// receives 503 instead of 403 or 401. Every 503 of this package matches it with [errors.Is].
var ErrUnavailable = errors.New("bearer: unavailable")

// ErrNoClaims is returned by [ClaimsAs] when the context carries no claims: the handler is not
// behind a guard, or the request passed an [Optional] guard without a token. [Claims.Decode]
// returns it for claims that no Middleware made.
var ErrNoClaims = errors.New("bearer: no claims in the context")

// Reason says why a request was refused. Reasons are stable. The "code" member of the problem body,
// the log and [Event] all use the same one.
type Reason string

// The reasons, in the order in which the checks run. The comment gives the status and, where there
// is one, the error code of RFC 6750 section 3.1 in the challenge.
const (
	ReasonClosed            Reason = "closed"                 // 503: the Middleware was closed
	ReasonMissingToken      Reason = "missing_token"          // 401, a bare challenge: no credential
	ReasonOtherScheme       Reason = "other_scheme"           // 401, a bare challenge: Basic, Digest, ...
	ReasonMultipleTokens    Reason = "multiple_tokens"        // 400 invalid_request
	ReasonMalformedRequest  Reason = "malformed_request"      // 400 invalid_request
	ReasonTokenTooLarge     Reason = "token_too_large"        // 401 invalid_token
	ReasonMalformedToken    Reason = "malformed_token"        // 401 invalid_token
	ReasonUnsupportedHeader Reason = "unsupported_header"     // 401 invalid_token: crit, or b64 other than true
	ReasonUnknownIssuer     Reason = "unknown_issuer"         // 401 invalid_token
	ReasonAlgorithm         Reason = "algorithm_not_allowed"  // 401 invalid_token
	ReasonType              Reason = "type_not_allowed"       // 401 invalid_token: the header's typ
	ReasonUnknownKey        Reason = "unknown_key"            // 401 invalid_token
	ReasonKeysUnavailable   Reason = "keys_unavailable"       // 503: the issuer's keys cannot be fetched
	ReasonSignature         Reason = "bad_signature"          // 401 invalid_token
	ReasonMalformedClaims   Reason = "malformed_claims"       // 401 invalid_token
	ReasonNotAccessToken    Reason = "not_an_access_token"    // 401 invalid_token: an ID, logout or event token
	ReasonMissingClaim      Reason = "missing_claim"          // 401 invalid_token
	ReasonExpired           Reason = "token_expired"          // 401 invalid_token
	ReasonNotYetValid       Reason = "token_not_yet_valid"    // 401 invalid_token
	ReasonIssuedInFuture    Reason = "token_issued_in_future" // 401 invalid_token
	ReasonLifetime          Reason = "lifetime_too_long"      // 401 invalid_token: see MaxLifetime
	ReasonAudience          Reason = "wrong_audience"         // 401 invalid_token
	ReasonSenderConstrained Reason = "sender_constrained"     // 401 invalid_token: its cnf is not proven
	ReasonScope             Reason = "insufficient_scope"     // 403 insufficient_scope
	ReasonRole              Reason = "insufficient_role"      // 403 insufficient_scope
	ReasonClaim             Reason = "claim_mismatch"         // 403 insufficient_scope: see HasClaim
	ReasonPolicy            Reason = "policy_refused"         // 403 insufficient_scope: see Func
	ReasonAuthTooWeak       Reason = "authentication_too_weak"
	ReasonAuthTooOld        Reason = "authentication_too_old" // 401 insufficient_user_authentication, like the one above
	ReasonPolicyUnavailable Reason = "dependency_unavailable" // 503: a Func or IssuerTemplate returned ErrUnavailable, or a lookup failed

	reasonInternal Reason = "internal_error" // 500: WriteError was given an error of another package
)

// The error codes of RFC 6750 section 3.1 and RFC 9470 section 3.
const (
	codeInvalidRequest       = "invalid_request"
	codeInvalidToken         = "invalid_token"
	codeInsufficientScope    = "insufficient_scope"
	codeInsufficientUserAuth = "insufficient_user_authentication"
)

// answer is what the client receives for a reason. Nothing in it depends on the request. The texts
// keep to the characters that RFC 6750 section 3 allows in error_description.
type answer struct {
	reason Reason
	status int
	code   string
	detail string
}

var answers = []answer{
	{ReasonClosed, http.StatusServiceUnavailable, "", "The service is shutting down"},
	{ReasonMissingToken, http.StatusUnauthorized, "", "An access token is required"},
	{ReasonOtherScheme, http.StatusUnauthorized, "", "The Bearer authentication scheme is required"},
	{ReasonMultipleTokens, http.StatusBadRequest, codeInvalidRequest, "More than one credential was sent"},
	{ReasonMalformedRequest, http.StatusBadRequest, codeInvalidRequest, "The credential is malformed"},
	{ReasonTokenTooLarge, http.StatusUnauthorized, codeInvalidToken, "The access token is too large"},
	{ReasonMalformedToken, http.StatusUnauthorized, codeInvalidToken, "The access token is malformed"},
	{ReasonUnsupportedHeader, http.StatusUnauthorized, codeInvalidToken, "The access token uses an unsupported extension"},
	{ReasonUnknownIssuer, http.StatusUnauthorized, codeInvalidToken, "The issuer of the access token is not trusted"},
	{ReasonAlgorithm, http.StatusUnauthorized, codeInvalidToken, "The signature algorithm of the access token is not allowed"},
	{ReasonType, http.StatusUnauthorized, codeInvalidToken, "The type of the access token is not allowed"},
	{ReasonUnknownKey, http.StatusUnauthorized, codeInvalidToken, "The key of the access token is not known"},
	{ReasonKeysUnavailable, http.StatusServiceUnavailable, "", "The keys of the issuer are not available"},
	{ReasonSignature, http.StatusUnauthorized, codeInvalidToken, "The signature of the access token is invalid"},
	{ReasonMalformedClaims, http.StatusUnauthorized, codeInvalidToken, "The claims of the access token are malformed"},
	{ReasonNotAccessToken, http.StatusUnauthorized, codeInvalidToken, "The token is not an access token"},
	{ReasonMissingClaim, http.StatusUnauthorized, codeInvalidToken, "A required claim of the access token is missing"},
	{ReasonExpired, http.StatusUnauthorized, codeInvalidToken, "The access token expired"},
	{ReasonNotYetValid, http.StatusUnauthorized, codeInvalidToken, "The access token is not yet valid"},
	{ReasonIssuedInFuture, http.StatusUnauthorized, codeInvalidToken, "The access token was issued in the future"},
	{ReasonLifetime, http.StatusUnauthorized, codeInvalidToken, "The lifetime of the access token is too long"},
	{ReasonAudience, http.StatusUnauthorized, codeInvalidToken, "The access token is not meant for this service"},
	{ReasonSenderConstrained, http.StatusUnauthorized, codeInvalidToken, "The access token is bound to a key that was not proven"},
	{ReasonScope, http.StatusForbidden, codeInsufficientScope, "The access token lacks a required scope"},
	{ReasonRole, http.StatusForbidden, codeInsufficientScope, "The access token lacks a required role"},
	{ReasonClaim, http.StatusForbidden, codeInsufficientScope, "The access token lacks a required claim"},
	{ReasonPolicy, http.StatusForbidden, codeInsufficientScope, "Access is not allowed"},
	{ReasonAuthTooWeak, http.StatusUnauthorized, codeInsufficientUserAuth, "A different authentication level is required"},
	{ReasonAuthTooOld, http.StatusUnauthorized, codeInsufficientUserAuth, "A more recent authentication is required"},
	{ReasonPolicyUnavailable, http.StatusServiceUnavailable, "", "A decision cannot be made now"},
}

// setupReasons are the reasons for which all tokens of an issuer are refused when a service, an
// issuer or a client is not set up right. An operator must learn of them without searching.
var setupReasons = [...]Reason{
	ReasonUnknownIssuer, ReasonAlgorithm, ReasonType, ReasonUnknownKey, ReasonAudience,
}

// internalError is the answer to an error that this package did not create.
var internalError = answer{
	reasonInternal, http.StatusInternalServerError, "", "The request could not be processed",
}

// Error is a refusal. It separates what the client may learn, which is fixed text, from what an
// operator must know, which is the wrapped cause. No method returns any part of a token.
//
// An Error does not change. Requests that are refused for the same reason share one value: never
// assign to what an *Error points to. The zero value stands for an internal error, 500.
type Error struct {
	answer     *answer
	cause      error
	hints      *hints // of the service and the route, for the challenge; nil if there are none
	retryAfter time.Duration
	setup      int  // the place of the reason in setupReasons, from 1; 0 if it is not one of them
	shared     bool // it is made once, and stays for as long as the program runs
}

// hints are what a service and one of its routes tell clients in challenges. They do not change.
type hints struct {
	realm    string // RFC 6750 section 3; "" for none
	metadata string // resource_metadata, RFC 9728 section 5.1; "" for none

	scopes []string      // scope, RFC 6750 section 3
	acr    []string      // acr_values, RFC 9470 section 3
	maxAge time.Duration // max_age, RFC 9470 section 3; 0 if there is none
}

// Reason returns why, as a stable code.
func (e *Error) Reason() Reason { return e.says().reason }

// Error returns the reason and its fixed text. The cause is not part of it; see [Error.Unwrap].
func (e *Error) Error() string {
	return "bearer: " + string(e.Reason()) + ": " + e.Description()
}

// Unwrap returns the cause, or nil. It is for operators: a cause may name hosts and contain the
// texts of other libraries and of the application's own [Func]. It is never sent to a client.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether the target is [ErrUnavailable] and the refusal is a 503.
func (e *Error) Is(target error) bool {
	return target == ErrUnavailable && e.StatusCode() == http.StatusServiceUnavailable
}

// StatusCode returns the HTTP status of the refusal: 400, 401, 403 or 503.
func (e *Error) StatusCode() int { return e.says().status }

// Code returns the error code of RFC 6750 section 3.1 or RFC 9470 section 3, or "" when the
// challenge has none.
func (e *Error) Code() string { return e.says().code }

// Description returns the fixed text for the reason, which is safe to send.
func (e *Error) Description() string { return e.says().detail }

// RetryAfter returns how long a client should wait before it tries again, in whole seconds and at
// least one. It is 0 unless the status is 503.
func (e *Error) RetryAfter() time.Duration {
	if e.StatusCode() != http.StatusServiceUnavailable {
		return 0
	}
	seconds := (e.retryAfter + time.Second - 1) / time.Second
	return max(seconds, 1) * time.Second
}

func (e *Error) says() *answer {
	if e.answer == nil {
		return &internalError
	}
	return e.answer
}

// refusals has one Error for each reason, so that requests without a good token allocate little.
var refusals = makeRefusals()

func makeRefusals() map[Reason]*Error {
	all := make(map[Reason]*Error)
	for i := range answers {
		reason := answers[i].reason
		all[reason] = &Error{
			answer: &answers[i], setup: slices.Index(setupReasons[:], reason) + 1, shared: true,
		}
	}
	return all
}

// refuse returns the refusal for a reason. It is never nil, which would let the request pass.
func refuse(reason Reason) *Error {
	if e := refusals[reason]; e != nil {
		return e
	}
	return new(Error)
}

// refuseFor returns the refusal for a reason, with its cause.
func refuseFor(reason Reason, cause error) *Error {
	e := *refuse(reason)
	e.cause, e.shared = cause, false
	return &e
}

// cause tells operators why a request was refused. It is made of configured values, and of values
// that a verified issuer signed. It goes into the log and is never sent to a client.
type cause struct {
	rule   string // its id in docs/rules.md, such as "claims.aud"
	found  string // what is wrong
	remedy string // what to do about it; "" if there is nothing to say
}

func (c *cause) Error() string {
	if c.remedy == "" {
		return c.found
	}
	return c.found + "; " + c.remedy
}

// because returns the refusal for a reason, with its cause. A refusal that comes before the
// signature is verified is made once, as a variable: an attacker can cause it at will.
func because(reason Reason, rule, found, remedy string) *Error {
	return refuseFor(reason, &cause{rule, found, remedy})
}

// fixed is because for a variable of the package, which is made once.
func fixed(reason Reason, rule, found, remedy string) *Error {
	e := because(reason, rule, found, remedy)
	e.shared = true
	return e
}

// maxQuoted is how much of a value is quoted in a cause, in bytes.
const maxQuoted = 64

// quoted quotes a value that a verified issuer signed, or that was published, and cuts it.
func quoted(value string) string {
	if len(value) > maxQuoted {
		return strconv.Quote(value[:maxQuoted]) + "..."
	}
	return strconv.Quote(value)
}

// on returns the refusal as that of a route with these hints.
func (e *Error) on(route *hints) *Error {
	if route == nil {
		return e
	}
	own := *e
	own.hints, own.shared = route, false
	return &own
}

// challenges reports whether the answer has a challenge.
func (e *Error) challenges() bool {
	switch e.StatusCode() {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	default:
		return false
	}
}

// ConfigError is one mistake in a configuration. [New] and [Middleware.NewGuard] return all of them
// at once, joined with [errors.Join].
type ConfigError struct {
	// Option is the option or the requirement at fault, such as "Leeway".
	Option string
	// Subject is what it was given for, such as `issuer "https://login.example.com"`. It is "" for
	// the whole configuration.
	Subject string
	// Value is what was given. It is "" for secrets and for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Error returns the option, the value and what to do, in one line.
func (e *ConfigError) Error() string { return optional.Mistake(*e).Text("bearer") }

// configErrors returns the mistakes as one error, or nil if there are none.
func configErrors(mistakes []optional.Mistake) error {
	return optional.Join(mistakes, func(m optional.Mistake) error { return new(ConfigError(m)) })
}

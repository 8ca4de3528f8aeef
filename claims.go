package bearer

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// Claims are the facts of a verified token: the issuer signed everything they say, and every check
// of the pipeline passed. They are immutable and safe for concurrent use. Methods that return a
// slice return a fresh copy. Requests with the same token share one value.
//
// Claims do not print their content, so that a stray log line does not contain a person's data. A
// *Claims prints a fixed text, and a copy of what it points to prints an address. Only a Middleware
// makes Claims. A nil *Claims and the zero value say nothing: their methods return zero values, and
// Decode returns [ErrNoClaims].
type Claims struct{ *claimsHandle }

// claimsHandle is one more pointer to the content. Package fmt follows one pointer when it prints a
// struct with Claims in an unexported field and a verb that does not fit, and stops here.
type claimsHandle struct{ *content }

// content is what claims say.
type content struct {
	keyID, algorithm    string // first, beside what every hit of the cache reads
	issuer, subject, id string
	clientID, sessionID string
	acr                 string
	audience            []string
	expiry, notBefore   time.Time
	issuedAt, authTime  time.Time
	scopes, roles       []string
	confirmation        confirmation
	payload             string // the claims set as signed, strictly valid

	// The lists above are stored here when they are short, as they nearly always are: one
	// allocation instead of three.
	audienceArray [1]string
	scopeArray    [4]string
	roleArray     [2]string
}

// confirmation is the member cnf (RFC 7800): the key that the client must prove to have.
type confirmation struct {
	present     bool
	jkt         string // of a DPoP key (RFC 9449 section 6.1), or ""
	certificate string // x5t#S256, of a client certificate (RFC 8705 section 3.1), or ""
}

// to says what kind of key that is.
func (c confirmation) to() string {
	switch {
	case c.jkt != "":
		return "a DPoP key (cnf.jkt)"
	case c.certificate != "":
		return "a client certificate (cnf.x5t#S256)"
	default:
		return "a key (cnf)"
	}
}

var noContent content // never changes

// read returns what the claims say. It is never nil.
func (c *Claims) read() *content {
	if c == nil || c.claimsHandle == nil {
		return &noContent
	}
	return c.content
}

// Issuer returns iss (RFC 7519 section 4.1.1), which equals the issuer given to [WithIssuer] or
// [Registry.Add], or fits its [IssuerTemplate]. For a token without one, under [InsecureNoIssuer],
// it is the issuer given there.
func (c *Claims) Issuer() string { return c.read().issuer }

// Subject returns sub (RFC 7519 section 4.1.2), or "" when the token has none. A subject is unique
// only within its issuer.
func (c *Claims) Subject() string { return c.read().subject }

// ID returns jti (RFC 7519 section 4.1.7), or "".
func (c *Claims) ID() string { return c.read().id }

// ClientID returns the OAuth client the token was issued to: client_id (RFC 9068 section 2.2) or
// else azp, or what [ClientIDClaim] names, or "".
func (c *Claims) ClientID() string { return c.read().clientID }

// SessionID returns sid, the person's session at the issuer (OpenID Connect Front-Channel Logout
// section 3), or "".
func (c *Claims) SessionID() string { return c.read().sessionID }

// ACR returns acr, the authentication context class (RFC 9068 section 2.2.1), or "".
func (c *Claims) ACR() string { return c.read().acr }

// Audience returns the values of the audience claim: aud (RFC 7519 section 4.1.3), or the one named
// with [AudienceClaim].
func (c *Claims) Audience() []string { return slices.Clone(c.read().audience) }

// Expiry returns exp (RFC 7519 section 4.1.4). It is the zero time only under [InsecureNoExpiry].
func (c *Claims) Expiry() time.Time { return c.read().expiry }

// NotBefore returns nbf (RFC 7519 section 4.1.5), or the zero time.
func (c *Claims) NotBefore() time.Time { return c.read().notBefore }

// IssuedAt returns iat (RFC 7519 section 4.1.6), or the zero time.
func (c *Claims) IssuedAt() time.Time { return c.read().issuedAt }

// AuthTime returns auth_time, when the person last authenticated (RFC 9068 section 2.2.1), or the
// zero time.
func (c *Claims) AuthTime() time.Time { return c.read().authTime }

// Scopes returns the scopes granted to the token, in its order and without repetitions.
func (c *Claims) Scopes() []string { return slices.Clone(c.read().scopes) }

// HasScope reports whether the token was granted a scope, compared exactly (RFC 6749 section 3.3).
func (c *Claims) HasScope(scope string) bool { return slices.Contains(c.read().scopes, scope) }

// Roles returns the roles in the claims named with [RolesClaim], in their order and without
// repetitions.
func (c *Claims) Roles() []string { return slices.Clone(c.read().roles) }

// HasRole reports whether the token carries a role, compared exactly.
func (c *Claims) HasRole(role string) bool { return slices.Contains(c.read().roles, role) }

// KeyID returns the kid of the key that verified the signature, or "" for a key without one.
func (c *Claims) KeyID() string { return c.read().keyID }

// Algorithm returns the signature algorithm, such as "RS256".
func (c *Claims) Algorithm() string { return c.read().algorithm }

// Decode unmarshals the whole claims set into v as [encoding/json.Unmarshal] of the running Go
// release does, but matches struct fields case-exactly at every depth:
// `{"sub":"alice","SUB":"mallory"}` gives a field tagged "sub" the value "alice". A type with an
// UnmarshalJSON of its own reads its part as it likes, and so does a field that asks for folding in
// its tag (case:ignore, since Go 1.27). The claims set has no repeated names and is valid UTF-8, or
// the token would have been refused. Errors wrap those of encoding/json, and differ between Go
// releases as they do.
func (c *Claims) Decode(v any) error {
	payload := c.read().payload
	if payload == "" {
		return ErrNoClaims
	}
	if err := strictjson.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("bearer: decode claims: %w", err)
	}
	return nil
}

// String returns a fixed text, and "<nil>" for nil.
func (c *Claims) String() string {
	if c == nil {
		return "<nil>"
	}
	return "bearer.Claims{...}"
}

// Format writes the fixed text for every verb, so that printing claims does not disclose them.
func (c *Claims) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue gives logs the fixed text.
func (c *Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

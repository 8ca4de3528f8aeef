package bearer

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// Claims are the facts of a verified token: everything they say was signed by the issuer, and every check of the pipeline
// has passed. They are immutable and safe for concurrent use; methods that return a slice return a fresh copy. Requests with the
// same token share one value.
//
// Claims do not print their content, so that a stray log line does not carry a person's data: a *Claims prints a fixed text, and a
// copy of what it points to an address. Only a Middleware makes one. A nil *Claims and the zero value say nothing: their methods
// return zero values, and Decode returns [ErrNoClaims].
type Claims struct{ *claimsPointer }

// claimsPointer is one more pointer to the content, for package fmt follows one: a struct in whose unexported field claims stand is
// printed, with a verb that does not fit, with what its fields point to.
type claimsPointer struct{ *content }

// content is what claims say.
type content struct {
	issuer, subject, id string
	clientID, acr       string
	audience            []string
	expiry, notBefore   time.Time
	issuedAt, authTime  time.Time
	scopes, roles       []string
	keyID, algorithm    string
	payload             string // the claims set as signed, strictly valid

	// Where the lists above stand when they are short, as they nearly always are: one piece of memory instead of three.
	audienceRoom [1]string
	scopeRoom    [4]string
	roleRoom     [2]string
}

var noContent content // never changes

// read returns what the claims say. It is never nil.
func (c *Claims) read() *content {
	if c == nil || c.claimsPointer == nil {
		return &noContent
	}
	return c.content
}

// Issuer returns iss (RFC 7519 section 4.1.1), which equals the issuer given to [WithIssuer].
func (c *Claims) Issuer() string { return c.read().issuer }

// Subject returns sub (RFC 7519 section 4.1.2), or "" when the token has none. A subject is unique only within its issuer.
func (c *Claims) Subject() string { return c.read().subject }

// ID returns jti (RFC 7519 section 4.1.7), or "".
func (c *Claims) ID() string { return c.read().id }

// ClientID returns the OAuth client the token was issued to: client_id (RFC 9068 section 2.2) or else azp, or "".
func (c *Claims) ClientID() string { return c.read().clientID }

// ACR returns acr, the authentication context class (RFC 9068 section 2.2.1), or "".
func (c *Claims) ACR() string { return c.read().acr }

// Audience returns the values of the audience claim: aud (RFC 7519 section 4.1.3), or the one named with [AudienceClaim].
func (c *Claims) Audience() []string { return slices.Clone(c.read().audience) }

// Expiry returns exp (RFC 7519 section 4.1.4); the zero time only under [InsecureNoExpiry].
func (c *Claims) Expiry() time.Time { return c.read().expiry }

// NotBefore returns nbf (RFC 7519 section 4.1.5), or the zero time.
func (c *Claims) NotBefore() time.Time { return c.read().notBefore }

// IssuedAt returns iat (RFC 7519 section 4.1.6), or the zero time.
func (c *Claims) IssuedAt() time.Time { return c.read().issuedAt }

// AuthTime returns auth_time, when the person last authenticated (RFC 9068 section 2.2.1), or the zero time.
func (c *Claims) AuthTime() time.Time { return c.read().authTime }

// Scopes returns the scopes granted to the token, in its order and without repetitions.
func (c *Claims) Scopes() []string { return slices.Clone(c.read().scopes) }

// HasScope reports whether the token was granted a scope, compared exactly (RFC 6749 section 3.3).
func (c *Claims) HasScope(scope string) bool { return slices.Contains(c.read().scopes, scope) }

// Roles returns the roles in the claim named with [RolesClaim], in their order and without repetitions.
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
func (c *Claims) String() string { return opaque("Claims", c == nil) }

// Format writes the fixed text for every verb, so that printing claims does not disclose them.
func (c *Claims) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue gives logs the fixed text.
func (c *Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

// lookup finds the claim at a path in raw JSON. At every level a member with the whole remaining name comes first, so that
// "https://example.com/roles" is one name and "realm_access.roles" is found nested.
func lookup(object []strictjson.Member, path string) (string, bool) {
	for _, m := range object {
		if m.Name == path {
			return m.Value, true
		}
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		for _, m := range object {
			if m.Name != path[:i] {
				continue
			}
			if value, found := find(m.Value, path[i+1:]); found {
				return value, true
			}
		}
	}
	return "", false
}

// find is lookup in the text of an object that was judged before. It stops at the claim, and costs no memory.
func find(object, path string) (string, bool) {
	if value, found, _ := strictjson.Find(object, path); found {
		return value, true
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if nested, found, _ := strictjson.Find(object, path[:i]); found {
			if value, found := find(nested, path[i+1:]); found {
				return value, true
			}
		}
	}
	return "", false
}

// appendStrings appends what a claim that is a string or an array of strings holds (RFC 7519 section 4.1.3); ok is false for
// anything else.
func appendStrings(list []string, value string) (appended []string, ok bool) {
	if s, ok := strictjson.String(value); ok {
		return append(list, s), true
	}
	return strictjson.AppendStrings(list, value)
}

// fewValues is the number of values up to which repetitions are looked for one by one.
const fewValues = 32

// distinct is a list of values that are not empty, without repetitions.
type distinct struct {
	values []string
	index  map[string]bool // of the values; nil while they are few
}

func (d *distinct) add(value string) {
	if value == "" || d.holds(value) {
		return
	}
	d.values = append(d.values, value)
	if d.index != nil {
		d.index[value] = true
	} else if len(d.values) > fewValues { // or else a token of many thousands takes time in the square of their number
		d.index = make(map[string]bool, 4*fewValues)
		for _, v := range d.values {
			d.index[v] = true
		}
	}
}

func (d *distinct) holds(value string) bool {
	if d.index != nil {
		return d.index[value]
	}
	return slices.Contains(d.values, value)
}

// addScopes reads a scope claim: a string of scopes separated by U+0020 alone (RFC 6749 section 3.3), or an array of them.
// A value of any other type grants nothing.
func (d *distinct) addScopes(value string) {
	if s, ok := strictjson.String(value); ok {
		for scope := range strings.SplitSeq(s, " ") {
			d.add(scope)
		}
		return
	}
	d.addAll(value)
}

// addAll reads a claim that is one value as a string, or an array of them. A value of any other type adds nothing.
func (d *distinct) addAll(value string) {
	var room [8]string
	list, _ := appendStrings(room[:0], value)
	for _, v := range list {
		d.add(v)
	}
}

// appendNew appends the values that the list does not hold yet and that are not empty.
func appendNew(list, values []string) []string {
	d := distinct{values: list}
	for _, v := range values {
		d.add(v)
	}
	return d.values
}

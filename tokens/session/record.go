package session

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
)

const (
	maxSkew = 5 * time.Second // that the clock of another process may be ahead

	recordFormat     = 1  // of the bytes in the Store
	maxRecordsTokens = 16 // access tokens in one record
)

var (
	errRecord     = errors.New("the record cannot be read by this version of the library; log out or log in to replace it")
	errRecordSize = fmt.Errorf("the token to keep does not fit into a record of %d bytes; let the server give shorter ones", maxData)
)

// record is what a Store has of one session. It is for encoding/json. The session has a refresh
// token, or it has ended, or it is that of a login without a refresh token; see isFinal.
type record struct {
	Format       int           `json:"v"`
	RefreshToken string        `json:"refresh_token,omitempty"`
	Replaced     []string      `json:"replaced_refresh_tokens,omitempty"` // see replaced.go
	Scope        string        `json:"scope,omitempty"`                   // that was granted at the login, "" if that is not known
	Resources    []string      `json:"resources,omitempty"`               // that the login was for, none if that is not known
	Ended        bool          `json:"ended,omitempty"`                   // the server refused the refresh token
	Tokens       []storedToken `json:"tokens,omitempty"`
}

// storedSession is a record and the version that it has, or that it is to replace.
type storedSession struct {
	record
	version int64
}

// recordName is the name of a session's record. It is a hash: the names in a Store do not tell who
// its users are.
func recordName(c *oauthwire.Client, subject string) string {
	return "session-" + hashedName("bearer session", c.Issuer, c.ID, subject)
}

// hashedName returns a hash of its parts, the first of which says what it is the name of. Each part
// is preceded by its length, so that no two lists of them have the same text.
func hashedName(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// with returns the record as it is after a response.
func (r record) with(key tokens.Key, response *tokens.Response, now time.Time) record {
	if next := response.RefreshToken.Reveal(); next != "" { // otherwise the old one stays good (RFC 6749 section 6)
		r.RefreshToken = next
	}
	r.Replaced = nil
	all := []storedToken{{
		Resource: key.Resource, Audience: key.Audience, Scope: key.Scope,
		AccessToken: response.AccessToken.Reveal(), Type: response.TokenType, Granted: response.Scope,
		Requested: response.Requested.Round(0).UTC(), ExpiresIn: response.ExpiresIn, RefreshIn: response.RefreshIn,
		Extras: response.Extras.Reveal(), Final: response.Final,
	}}
	latest := r.latest(now)
	for _, t := range r.Tokens { // the newest first
		if !t.isFor(key) && !t.isFromFuture(now) && t.age(latest) < t.over() && len(all) < maxRecordsTokens {
			all = append(all, t)
		}
	}
	r.Tokens = all
	return r
}

// isFinal reports whether the record is that of a login without a refresh token: it has one access
// token, which is all that there will be.
func (r *record) isFinal() bool { return len(r.Tokens) == 1 && r.Tokens[0].Final }

// goesOn reports whether the session has anything left: a refresh token that the server has not
// refused, or an access token that is not over.
func (r *record) goesOn(now time.Time) bool {
	if !r.isFinal() {
		return !r.Ended
	}
	t := &r.Tokens[0]
	return !t.isFromFuture(now) && t.age(r.latest(now)) < t.over()
}

// encode returns the bytes for the Store. What does not fit is left out: the extra members of the
// answers, and then the access tokens, of both the oldest first; others can be obtained. A refresh
// token is never left out, nor is an access token that is final.
func (r record) encode() ([]byte, error) {
	r.Format = recordFormat
	r.Tokens = slices.Clone(r.Tokens)
	withExtras := len(r.Tokens) // of those before this one
	for {
		data, err := json.Marshal(r) //nolint:gosec // secrets are what a Store is for
		switch {
		case err != nil:
			return nil, err
		case len(data) <= maxData:
			return data, nil
		case withExtras > 0:
			withExtras--
			r.Tokens[withExtras].Extras = ""
		case len(r.Tokens) > 0 && !r.isFinal():
			r.Tokens = r.Tokens[:len(r.Tokens)-1]
		default:
			return nil, errRecordSize
		}
	}
}

func decodeRecord(data []byte) (record, error) {
	var r record
	if err := strictjson.Unmarshal(data, &r); err != nil || r.Format != recordFormat || !r.isOneOf() {
		return record{}, errRecord // and not what encoding/json says, which quotes
	}
	return r, nil
}

// isOneOf reports whether the session is exactly one of what it can be.
func (r *record) isOneOf() bool {
	switch {
	case r.RefreshToken != "":
		return !r.Ended && !r.isFinal()
	case r.Ended:
		return !r.isFinal()
	}
	return r.isFinal()
}

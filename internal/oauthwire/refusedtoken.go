package oauthwire

import (
	"net/http"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/tokens"
)

// ErrRefreshToken is in the error about an answer that refuses the refresh token that was sent: the
// person has to log in, unless there is another one. It is [tokens.Error.Permanent].
var ErrRefreshToken error = refusedToken{}

type refusedToken struct{}

// Error says so.
func (refusedToken) Error() string { return "the server refuses the refresh token" }

// Permanent returns true: the token does not become good again.
func (refusedToken) Permanent() bool { return true }

// tokenRefusal is what a server says of a refresh token that it does not accept any more.
type tokenRefusal struct {
	code        string
	status      int    // that it comes with; 0 for any
	description string // that is in its description; "" for any
}

// tokenRefusals are those that are known. RFC 6749 section 5.2 has invalid_grant for it. A server
// that has another code is listed here if its code says nothing else in the answer to a refresh: a
// session ends with it. The others are for [Config].LoginRequiredCodes.
var tokenRefusals = []tokenRefusal{
	{code: "invalid_grant"},

	{code: "bad_refresh_token"}, // GitHub, with the status 200

	// Slack, with the status 200, which all of its errors have. The last two say of the token that a
	// method of its API was called with that it cannot be used; for a refresh this is the refresh
	// token.
	{code: "invalid_refresh_token"},
	{code: "token_expired", status: http.StatusOK},
	{code: "token_revoked", status: http.StatusOK},

	// Atlassian, beside invalid_grant. The code alone is about the client.
	{code: "unauthorized_client", status: http.StatusForbidden, description: "refresh_token is invalid"},
}

// refusesToken reports whether an answer with this error refuses the refresh token that was sent. A
// status that says to come back later never does, whatever the code is.
func (a *answer) refusesToken(code, description string) bool {
	if a.grantType != grantRefresh || !(&tokens.Error{Status: a.status, Code: "invalid_grant"}).Permanent() {
		return false
	}
	return slices.Contains(a.loginCodes, code) || slices.ContainsFunc(tokenRefusals, func(r tokenRefusal) bool {
		return r.code == code && (r.status == 0 || r.status == a.status) && strings.Contains(description, r.description)
	})
}

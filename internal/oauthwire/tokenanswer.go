package oauthwire

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
)

const (
	// MaxLifetime is the longest life of a token. More is a server's mistake.
	MaxLifetime = 100 * 365 * 24 * time.Hour

	defaultLifetime = 5 * time.Minute // where Config.DefaultLifetime is 0

	bearerType = "Bearer" // of every token, once it is accepted
)

var (
	errSaysError     = errors.New("the answer says error")
	errNoAccessToken = errors.New("the answer has no access_token that could be sent")
	errType          = fmt.Errorf("%w; see WithTokenTypes", accesstoken.ErrType)
	errScopeType     = errors.New("scope is neither a string nor a list of strings")
	errScope         = errors.New("scope has a character that no scope has")
	errRefreshToken  = errors.New("refresh_token cannot be sent back: it is too long or not printable ASCII")
)

// token reads an answer with a token (RFC 6749 section 5.1). A member that is null counts as
// absent. The errors quote nothing.
func (c *Client) token(a *answer) (response *tokens.Response, issued string, err error) {
	m, err := a.members()
	if err != nil {
		return nil, "", err
	}
	r := memberReader{m: m}
	response = &tokens.Response{
		AccessToken:  tokens.NewSecret(r.text("access_token")),
		TokenType:    bearerType,
		Scope:        r.scope("scope"),
		RefreshToken: tokens.NewSecret(r.text("refresh_token")),
		IDToken:      tokens.NewSecret(strings.Clone(m.Text("id_token"))), // which is the caller's to judge
		Extras:       tokens.NewSecret(accesstoken.Extras(m)),
		Requested:    a.sent,
	}
	if a.idToken {
		useIDToken(response)
	}
	kind := r.text("token_type")
	issued = r.text("issued_token_type")
	response.ExpiresIn = c.lifetime(m.Value("expires_in"))
	response.RefreshIn, _ = readSeconds(m.Value("refresh_in"))
	switch {
	case saysError(m.Value("error")):
		return nil, "", errSaysError
	case r.err != nil:
		return nil, "", r.err
	case !accesstoken.IsSendable(response.AccessToken.Reveal()):
		return nil, "", errNoAccessToken
	case !c.isSentAsBearer(kind):
		return nil, "", errType
	case len(response.Scope) > accesstoken.MaxScope:
		return nil, "", accesstoken.ErrScopeSize
	case response.Scope != "" && !grammar.IsNQSCHAR(response.Scope): // servers differ in what separates scopes
		return nil, "", errScope
	case !isRefreshToken(response.RefreshToken.Reveal()):
		return nil, "", errRefreshToken
	}
	return response, issued, nil
}

// isSentAsBearer reports whether tokens of a type can be sent as bearer tokens. Some servers leave
// the type out (RFC 6749 section 5.1 has it required), and have no tokens of another.
func (c *Client) isSentAsBearer(kind string) bool {
	if kind == "" || strings.EqualFold(kind, bearerType) {
		return true
	}
	return slices.ContainsFunc(c.TokenTypes, func(one string) bool { return grammar.Lower(one) == grammar.Lower(kind) })
}

// lifetime reads expires_in. One that is absent or makes no sense says nothing of the token: it is
// used for as long as one whose server does not say.
func (c *Client) lifetime(value string) time.Duration {
	if life, ok := readSeconds(value); ok {
		return life
	}
	return cmp.Or(c.DefaultLifetime, defaultLifetime)
}

// isRefreshToken reports whether a text can be sent back as a refresh token. An empty text is none,
// which is allowed.
func isRefreshToken(text string) bool {
	return text == "" || len(text) <= accesstoken.MaxSize && grammar.IsVSCHAR(text)
}

// memberReader reads members and keeps the first error.
type memberReader struct {
	m   strictjson.MemberList
	err error
}

// text reads a member that is a string or absent.
func (r *memberReader) text(name string) string {
	value := r.m.Value(name)
	if value == "" || value == "null" {
		return ""
	}
	text, ok := strictjson.String(value)
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%s is not a string", name)
	}
	return strings.Clone(text) // or it would keep the whole answer in memory
}

// scope reads a member that is a string, a list of strings, or absent. A list is joined with the
// spaces that a string would have.
func (r *memberReader) scope(name string) string {
	value := r.m.Value(name)
	if !strings.HasPrefix(value, "[") {
		return r.text(name)
	}
	list, ok := strictjson.AppendStrings(nil, value)
	if !ok && r.err == nil {
		r.err = errScopeType
	}
	return strings.Clone(strings.Join(list, " "))
}

// readSeconds reads a number of seconds above zero, with or without a fraction, or the same as a
// string of digits, which some servers give instead.
func readSeconds(value string) (life time.Duration, ok bool) {
	if text, isText := strictjson.String(value); isText {
		if strings.Trim(text, "0123456789.") != "" {
			return 0, false
		}
		value = text
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || seconds < 0 || seconds > MaxLifetime.Seconds() {
		return 0, false
	}
	life = time.Duration(seconds * float64(time.Second))
	return life, life > 0
}

package oauthwire

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/tokens"
)

const maxLife = 100 * 365 * 24 * time.Hour // of a token; more is a server's mistake

var (
	errNotJSON       = errors.New("the answer is not application/json; is this the right URL?")
	errSaysError     = errors.New("the answer says error")
	errNoAccessToken = errors.New("the answer has no access_token that could be sent")
	errExpiresIn     = fmt.Errorf("expires_in is not a number of seconds above 0 and at most %d", int64(maxLife/time.Second))
	errScope         = errors.New("scope has a character that no scope has")
	errRefreshToken  = errors.New("refresh_token cannot be sent back: it is too long or not printable ASCII")
)

// token reads an answer with a token (RFC 6749 section 5.1). A member that is null counts as
// absent. The errors quote nothing.
func (a *answer) token() (response *tokens.Response, issued string, err error) {
	if !isJSON(a.header) {
		return nil, "", errNotJSON
	}
	m, err := strictjson.Object(a.body)
	if err != nil {
		return nil, "", fmt.Errorf("the answer cannot be read: %w", err)
	}
	r := memberReader{m: m}
	response = &tokens.Response{
		AccessToken:  tokens.NewSecret(r.text("access_token")),
		TokenType:    r.text("token_type"),
		Scope:        r.text("scope"),
		RefreshToken: tokens.NewSecret(r.text("refresh_token")),
		IDToken:      tokens.NewSecret(strings.Clone(m.Text("id_token"))), // which is the caller's to judge
		Requested:    a.sent,
	}
	if a.idToken {
		useIDToken(response)
	}
	issued = r.text("issued_token_type")
	response.ExpiresIn = r.life("expires_in")
	response.RefreshIn, _ = readSeconds(m.Value("refresh_in"))
	switch {
	case saysError(m.Value("error")):
		return nil, "", errSaysError
	case r.err != nil:
		return nil, "", r.err
	case !accesstoken.IsSendable(response.AccessToken.Reveal()):
		return nil, "", errNoAccessToken
	case !strings.EqualFold(response.TokenType, "Bearer"):
		return nil, "", accesstoken.ErrType
	case len(response.Scope) > accesstoken.MaxScope:
		return nil, "", accesstoken.ErrScopeSize
	case response.Scope != "" && !grammar.IsNQSCHAR(response.Scope): // servers differ in the spaces between scopes
		return nil, "", errScope
	case !isRefreshToken(response.RefreshToken.Reveal()):
		return nil, "", errRefreshToken
	}
	return response, issued, nil
}

// isRefreshToken reports whether a text can be sent back as a refresh token. An empty text is none,
// which is allowed.
func isRefreshToken(text string) bool {
	return text == "" || len(text) <= accesstoken.MaxSize && grammar.IsVSCHAR(text)
}

// isJSON reports whether an answer says that it is JSON, or says nothing (RFC 6749 section 5.1, RFC
// 6839 section 3.1).
func isJSON(header http.Header) bool {
	if len(header.Values("Content-Type")) == 0 {
		return true
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	subtype, ok := strings.CutPrefix(kind, "application/")
	return err == nil && ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
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

// life reads a member that is a number of seconds or absent.
func (r *memberReader) life(name string) time.Duration {
	value := r.m.Value(name)
	if value == "" || value == "null" {
		return 0
	}
	life, ok := readSeconds(value)
	if !ok && r.err == nil {
		r.err = errExpiresIn
	}
	return life
}

// readSeconds reads a number of seconds above zero, with or without a fraction, or the string of
// digits that some servers give instead.
func readSeconds(value string) (life time.Duration, ok bool) {
	if text, isText := strictjson.String(value); isText {
		if strings.Trim(text, "0123456789") != "" {
			return 0, false
		}
		value = text
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || seconds < 0 || seconds > maxLife.Seconds() {
		return 0, false
	}
	life = time.Duration(seconds * float64(time.Second))
	return life, life > 0
}

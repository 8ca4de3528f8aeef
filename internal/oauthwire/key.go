package oauthwire

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/tokens"
)

var (
	errIssuer    = errors.New("the key's Issuer is another than the client's; leave it empty")
	errClientID  = errors.New("the key's Client is another than this one; leave it empty")
	errSubject   = errors.New("the key has a Subject, but this grant is for the client itself; leave it empty")
	errNoSubject = errors.New("the key has no Subject, so that all would share one token; name whom it is for")
	errResource  = errors.New("the key's Resource is not an absolute URI without a user name and a fragment (RFC 8707 section 2)")
	errAudience  = errors.New("the key's Audience has a control character, or is not UTF-8")
	errScopes    = errors.New("the key's Scope is not made of scopes with one space between them")
)

// BadRequest is the error of a request that is not made, because no server can grant it.
func BadRequest(err error) error {
	return &tokens.Error{Op: OpToken, Code: "invalid_request", Err: err}
}

// CheckKey refuses a key that the client cannot serve. With subject it must have a Subject, without
// it must have none.
func (c *Client) CheckKey(key tokens.Key, subject bool) error {
	var errs []error
	refuse := func(when bool, err error) {
		if when {
			errs = append(errs, err)
		}
	}
	refuse(key.Issuer != "" && key.Issuer != c.Issuer, errIssuer)
	refuse(key.Client != "" && key.Client != c.ID, errClientID)
	refuse(!subject && key.Subject != "", errSubject)
	refuse(subject && key.Subject == "", errNoSubject)
	refuse(key.Resource != "" && !IsURI(key.Resource), errResource)
	refuse(!IsText(key.Audience), errAudience)
	refuse(key.Scope != "" && !IsScopeList(key.Scope), errScopes)
	if len(errs) > 0 {
		return BadRequest(errors.Join(errs...))
	}
	return nil
}

// IsURI reports whether a text is an absolute URI without a user name and a fragment.
func IsURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && u.User == nil && u.Host+u.Opaque+u.Path != "" &&
		grammar.IsFieldVChar(text) && !strings.Contains(text, "#")
}

// IsText reports whether a text is UTF-8 without control characters. It may be empty.
func IsText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// IsScopeList reports whether a text is a scope of RFC 6749 section 3.3: one or more scope-tokens
// with one space between them.
func IsScopeList(text string) bool {
	for scope := range strings.SplitSeq(text, " ") {
		if !grammar.IsScopeToken(scope) {
			return false
		}
	}
	return true
}

// KeyForm returns the form of a request for a key. Its scopes are sent in one order, also those of
// a key that a Fetcher in between has made.
func KeyForm(grantType string, key tokens.Key) url.Values {
	form := url.Values{"grant_type": {grantType}}
	for name, value := range map[string]string{"scope": grammar.ScopeSet(key.Scope), "resource": key.Resource, "audience": key.Audience} {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

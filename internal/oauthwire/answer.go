package oauthwire

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/tokens"
)

const (
	maxAskedPause  = time.Hour // that Retry-After may ask for
	maxDescription = 256       // characters of its description
)

// MaxCode is the longest error code, in characters.
const MaxCode = 64

var (
	errRedirect = errors.New("the endpoint redirects, which is not followed: what is sent to it is secret; name the right URL")
	errStatus   = errors.New("the status is not 200")
	errNoCode   = errors.New("the answer is an error, with a code that is none (RFC 6749 section 4.1.2.1)")
)

// answer is what an endpoint answered.
type answer struct {
	sent     time.Time     // the request
	endpoint string        // that it went to
	proof    tokens.Secret // that was in it
	secrets  []string      // of it
	idToken  bool          // see Call.IDToken

	grantType  string
	loginCodes []string // of Config

	status int
	header http.Header
	body   string
	whole  bool // see hasEnd
}

// failure is what to say of an answer that is not what was asked for. The server's own word for it
// (RFC 6749 section 5.2), which some have with the status 200, says more than what was found wrong.
func (a *answer) failure(op string, err error) *tokens.Error {
	e := &tokens.Error{Op: op, Status: a.status, RetryAfter: webclient.RetryAfter(a.header, maxAskedPause), Err: err}
	if 300 <= a.status && a.status < 400 {
		e.Err = errRedirect
		return e
	}
	code, description := a.problem()
	e.Description = a.description(description)
	refused := a.refusesToken(code, description)
	if refused || a.showsCode(code) {
		e.Code = strings.Clone(code)
	}
	switch {
	case refused:
		e.Err = ErrRefreshToken
	case e.Code != "":
		e.Err = nil
	case err == nil && a.status < 300:
		e.Err = errStatus
	}
	return e
}

// problem reads error and error_description, whether they may be shown or not.
func (a *answer) problem() (code, description string) {
	m, err := a.members()
	if err != nil {
		return "", ""
	}
	return m.Text("error"), m.Text("error_description")
}

// IsCode reports whether a text can be an error code: letters, digits and "-._".
func IsCode(text string) bool { return len(text) <= MaxCode && grammar.IsParameterName(text) }

// showsCode reports whether a text may be shown as an error code.
func (a *answer) showsCode(code string) bool {
	return IsCode(code) &&
		((&tokens.Error{Code: code}).Permanent() || !a.quoted(code))
}

// description is what of a server's text for an error may be shown. It is in memory of its own: the
// text may be as long as the answer, and an error is kept.
func (a *answer) description(text string) string {
	const size = maxDescription + minQuote // with the beginning of what may be a quotation at the end
	text = webclient.Printable(text[:min(len(text), size*utf8.UTFMax)])
	text = text[:min(len(text), size)]
	if a.quoted(text) {
		return ""
	}
	return strings.Clone(text[:min(len(text), maxDescription)])
}

// LoginError is the error that the answer to a login names (RFC 6749 section 4.1.2.1), as far as it
// may be shown: it came by way of the browser, and must not quote the secrets.
func LoginError(code, description string, secrets ...string) *tokens.Error {
	a := &answer{secrets: secrets}
	e := &tokens.Error{Op: OpLogin}
	if a.showsCode(code) {
		e.Code = strings.Clone(code)
	}
	if e.Code == "" {
		e.Err = errNoCode
	}
	e.Description = a.description(description)
	return e
}

package session

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
)

const maxLoginAnswer = 64 << 10 // bytes of a form that a browser posts

var (
	errAnswerMethod = errors.New("the answer came with another method than it was asked for with: GET, and POST with WithFormPost")
	errAnswerType   = errors.New("the answer is a POST with something else than a form")
	errAnswerForm   = fmt.Errorf("the answer cannot be read: it is malformed, breaks off, or is longer than %d KiB", maxLoginAnswer>>10)
)

// Answer returns what the browser came back with, for [Login.Finish] and [Session.Finish]: the
// query of a GET, and with [WithFormPost] the form of a POST, of at most 64 KiB unless the request
// was read before. Anything else is an error, so that the code is not taken from where it was not
// asked for, nor by a HEAD. The error is a [*tokens.Error] whose Op is "login", and leaves the login
// as it was.
func (l *Login) Answer(r *http.Request) (url.Values, error) {
	values, err := l.answer(r)
	if err != nil {
		return nil, &tokens.Error{Op: oauthwire.OpLogin, Err: err}
	}
	return values, nil
}

func (l *Login) answer(r *http.Request) (url.Values, error) {
	if !l.formPost {
		if r.Method != http.MethodGet {
			return nil, errAnswerMethod
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil { // which quotes
			return nil, errAnswerForm
		}
		return query, nil
	}
	if r.Method != http.MethodPost {
		return nil, errAnswerMethod
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errAnswerType
	}
	if r.PostForm == nil && r.Body != nil {
		r.Body = http.MaxBytesReader(nil, r.Body, maxLoginAnswer)
	}
	if err := r.ParseForm(); err != nil {
		return nil, errAnswerForm
	}
	return r.PostForm, nil
}

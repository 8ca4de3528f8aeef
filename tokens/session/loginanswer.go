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
	errAnswerMethod = errors.New("the answer came by another method than it was asked for: GET, or POST with WithFormPost")
	errAnswerType   = errors.New("the answer is a POST of something else than a form")
	errAnswerForm   = fmt.Errorf("the answer cannot be read: it is malformed, breaks off, or is longer than %d KiB", maxLoginAnswer>>10)
)

// Answer returns what the browser came back with, for [Login.Finish] and [Session.Finish]: the
// query of a GET, and with [WithFormPost] the form of a POST, of at most 64 KiB unless the request
// was read before. Anything else is an error, so that the code is not taken from where it was not
// asked for, nor by a HEAD. The error is a [*tokens.Error] whose Op is "login", and leaves the
// login as it was.
func (l *Login) Answer(r *http.Request) (url.Values, error) {
	a, err := readAnswer(r)
	if err != nil {
		return nil, err
	}
	return a.to(l)
}

// loginAnswer is what a browser came back with, to whichever login.
type loginAnswer struct {
	values url.Values
	posted bool
}

func readAnswer(r *http.Request) (loginAnswer, error) {
	switch r.Method {
	case http.MethodGet:
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil { // which quotes
			return loginAnswer{}, answerError(errAnswerForm)
		}
		return loginAnswer{values: query}, nil
	case http.MethodPost:
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
			return loginAnswer{}, answerError(errAnswerType)
		}
		if r.PostForm == nil && r.Body != nil {
			r.Body = http.MaxBytesReader(nil, r.Body, maxLoginAnswer)
		}
		if err := r.ParseForm(); err != nil {
			return loginAnswer{}, answerError(errAnswerForm)
		}
		return loginAnswer{r.PostForm, true}, nil
	}
	return loginAnswer{}, answerError(errAnswerMethod)
}

// to returns the values if the answer came the way that the login has asked for.
func (a loginAnswer) to(l *Login) (url.Values, error) {
	if a.posted != l.formPost {
		return nil, answerError(errAnswerMethod)
	}
	return a.values, nil
}

func answerError(err error) error { return &tokens.Error{Op: oauthwire.OpLogin, Err: err} }

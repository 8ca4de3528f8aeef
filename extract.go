package bearer

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// maxFormBytes is how much of a body [FromForm] reads.
const maxFormBytes = 1 << 20

// extraction is what was found in a request.
type extraction struct {
	request       *http.Request // as the handler gets it
	token         string
	at            *place        // where the token was
	authorization []string      // the Authorization header
	credentials   int           // in all places
	ordered       bool          // one of the places of FirstOf holds a credential
	otherScheme   *Error        // a header of another scheme, or nil
	form          *bytes.Reader // the body, if it was read in search of a token
}

// extract finds the one credential in the enabled places. A form comes last because its body may
// take time to arrive.
func (x *extraction) extract(from *places) *Error {
	x.authorization = x.request.Header["Authorization"]
	if len(x.authorization) > 1 { // wherever tokens are looked for
		return refusedTwoHeaders
	}
	if from.header != nil && len(x.authorization) == 1 {
		return x.fromHeader(from.header)
	}
	for i := range from.list {
		p := &from.list[i]
		if p.kind == locationForm && x.credentials > 1 {
			continue
		}
		var err *Error
		if p.ordered && x.ordered {
			err = x.passOver(p)
		} else {
			err = x.from(p)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case x.credentials == 1 && x.token != "":
		return nil
	case x.credentials == 1:
		return x.at.empty
	case x.credentials > 1:
		return from.several
	case x.otherScheme != nil:
		return x.otherScheme
	default:
		return from.none
	}
}

// fromHeader is extract for the Authorization header alone, which is where most routes look. The
// walk over a list of one place takes a tenth of what a refusal takes.
func (x *extraction) fromHeader(p *place) (refusal *Error) {
	x.at = p
	if x.token, _, refusal = p.readCredentials(x.authorization[0]); refusal == nil && x.token == "" {
		return p.empty
	}
	return refusal
}

func (x *extraction) from(p *place) (refusal *Error) {
	var token string
	var found bool
	switch p.kind {
	case locationAuthorization:
		if len(x.authorization) == 0 {
			return nil
		}
		token, found, refusal = p.readCredentials(x.authorization[0])
	case locationForm:
		token, found, refusal = x.fromForm(p)
	default:
		token, found, refusal = p.read(x.request)
	}
	if refusal != nil {
		if refusal.Reason() != ReasonOtherScheme {
			return refusal
		}
		x.otherScheme = refusal
	}
	if !found {
		return nil
	}
	x.credentials++
	x.token, x.at, x.ordered = token, p, x.ordered || p.ordered
	if p.kind == locationWebSocket {
		return x.stripWebSocket()
	}
	return nil
}

// passOver leaves out a place that does not count, because one before it in a FirstOf does. A token
// among the subprotocols is taken out all the same, so that the handler never selects it.
func (x *extraction) passOver(p *place) *Error {
	if p.kind != locationWebSocket || !offersToken(x.request) {
		return nil
	}
	return x.stripWebSocket()
}

// offersToken reports whether one of the subprotocols of a handshake is meant as a token.
func offersToken(r *http.Request) bool {
	for entry := range subprotocols(r.Header[webSocketField]) {
		if strings.HasPrefix(entry, webSocketPrefix) {
			return true
		}
	}
	return false
}

// maxFirstWord limits how far explain looks for a second word, in bytes. Longer first words are no
// accident, and scanning them would help an attacker.
const maxFirstWord = 4 << 10

// explain returns the refusal of the extracted token. If the header has a second word, the request
// is malformed and not the token. That is looked for when the token has turned out to be none,
// because no good token has a space in it.
func (x *extraction) explain(err *Error) *Error {
	inHeader := x.at.kind == locationAuthorization || x.at.kind == locationHeader
	if err.Reason() == ReasonMalformedToken && inHeader &&
		strings.IndexByte(x.token[:min(len(x.token), maxFirstWord+1)], ' ') >= 0 {
		return x.at.secondWord
	}
	return err
}

// finding returns what a context remembers of the token, or nil for the Authorization header with
// Bearer, one space and the token.
func (x *extraction) finding() *finding {
	if len(x.authorization) == 0 || x.at.kind == locationAuthorization &&
		len(x.authorization[0]) == len(x.at.scheme)+len(" ")+len(x.token) {
		return x.at.here
	}
	return &finding{x.at, x.authorization[0]}
}

// errTrailer stands for the error that quotes a body's trailer: nothing that a client sent goes
// into a log.
var errTrailer = errors.New("the trailer of the body is malformed")

// The refusals of a form. All of them could hide a credential.
var (
	refusedFormType = fixed(ReasonMalformedRequest, "request.readable",
		"the Content-Type or the Content-Encoding of a form is malformed, ambiguous or not supported", "")
	refusedFormSize = fixed(ReasonMalformedRequest, "request.readable",
		"the form is larger than 1 MiB", "send the token in the Authorization header")
	refusedFormRead = fixed(ReasonMalformedRequest, "request.readable",
		"the form is shorter than its Content-Length or was read before the guard",
		"a middleware that reads a body must put it back")
)

func (x *extraction) fromForm(p *place) (token string, found bool, refusal *Error) {
	r := x.request
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == "" {
		return "", false, nil
	}
	if isForm, unambiguous := declaresForm(r.Header); !unambiguous {
		return "", false, refusedFormType
	} else if !isForm {
		return "", false, nil
	}
	original := r.Body
	if original == nil {
		original = http.NoBody
	}
	body, err := io.ReadAll(io.LimitReader(original, maxFormBytes+1))
	if err != nil {
		if _, quotes := errors.AsType[textproto.ProtocolError](err); quotes {
			err = errTrailer
		}
		return "", false, refuseFor(ReasonMalformedRequest, err)
	}
	if len(body) > maxFormBytes {
		return "", false, refusedFormSize
	}
	parsed := len(body) == 0 && (len(r.PostForm) > 0 || r.PostForm != nil && r.ContentLength < 0)
	if parsed || int64(len(body)) < r.ContentLength { // it was parsed as far as it could be
		return "", false, refusedFormRead
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", false, p.malformed
	}
	if token, found, refusal = p.only(form[p.name]); refusal != nil {
		return "", false, refusal
	}
	x.request = x.request.WithContext(x.request.Context())
	x.form = bytes.NewReader(body)
	x.request.Body = reread{x.form, original}
	return token, found, nil
}

// rewind lets the handler read a form that a Func may have read.
func (x *extraction) rewind() {
	if x.form != nil {
		_, _ = x.form.Seek(0, io.SeekStart) // cannot fail
	}
}

// reread is a body that was read and can be read again; closing it closes the original.
type reread struct {
	*bytes.Reader
	io.Closer
}

// stripWebSocket takes the token out of the subprotocols that the handler sees. A browser needs one
// of them in the answer. It always sends an Origin (RFC 6455 section 4.1), and so do few others.
func (x *extraction) stripWebSocket() *Error {
	var kept []string
	for entry := range subprotocols(x.request.Header[webSocketField]) {
		if !strings.HasPrefix(entry, webSocketPrefix) {
			kept = append(kept, entry)
		}
	}
	if len(kept) == 0 && len(x.request.Header["Origin"]) > 0 {
		return refusedBrowser
	}
	x.request = x.request.WithContext(x.request.Context())
	x.request.Header = x.request.Header.Clone()
	x.request.Header.Del(webSocketField)
	if len(kept) > 0 {
		x.request.Header.Set(webSocketField, strings.Join(kept, ", "))
	}
	return nil
}

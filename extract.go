package bearer

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/jws"
)

// maxFormBytes is how much of a body [FromForm] reads.
const maxFormBytes = 1 << 20

// defaultTokenName is the name RFC 6750 sections 2.2 and 2.3 give to the parameter.
const defaultTokenName = "access_token"

// A TokenLocation is a place in a request where a token may be. The zero value is none.
type TokenLocation struct {
	kind locationKind
	name string
	err  error
}

type locationKind int

const (
	locationNone locationKind = iota
	locationHeader
	locationCookie
	locationQuery
	locationForm
	locationWebSocket
)

// FromHeader finds the token in the Authorization header, the place that every client and server
// supports and that nothing logs (RFC 6750 section 2.1).
func FromHeader() TokenLocation { return TokenLocation{kind: locationHeader} }

// FromCookie finds the token in a cookie, named "access_token" unless a name is given.
//
// Danger: a browser sends cookies by itself, so every route with this source needs protection
// against cross-site request forgery, such as [http.CrossOriginProtection], and the cookie must be
// Secure, HttpOnly and SameSite. Shared caches hold back answers to requests with an Authorization
// header only (RFC 9111 section 3.5), so the handler must send Cache-Control: private.
func FromCookie(name ...string) TokenLocation { return named(locationCookie, name) }

// FromQuery finds the token in a query parameter, named "access_token" unless a name is given (RFC
// 6750 section 2.3).
//
// Danger: URLs are written to the logs of proxies and servers, to browser histories and to Referer
// headers. RFC 9700 section 4.3.2 forbids it for OAuth clients; it is there for links that cannot
// carry a header, with tokens that live for seconds. The handler must send Cache-Control: private
// (RFC 6750 section 2.3).
func FromQuery(name ...string) TokenLocation { return named(locationQuery, name) }

// FromForm finds the token in a parameter of an application/x-www-form-urlencoded body, named
// "access_token" unless a name is given (RFC 6750 section 2.2), for methods other than GET and
// HEAD. The handler can read the body again.
//
// A form that cannot be read is refused as malformed, because a credential could hide in it: one
// whose Content-Type is malformed or given twice, one with a Content-Encoding, and one that an
// outer middleware has read. Such a middleware must put the body back, also after r.ParseForm or
// r.FormValue, which do not tell how much of the form they understood. A middleware that decodes a
// body must remove its Content-Encoding and set r.ContentLength to the new length or -1, because a
// shorter form counts as read in part. A multipart form is no such form and is not read.
//
// Danger: up to 1 MiB of body is read and held before anything is verified, for as long as
// [http.Server]'s ReadTimeout allows. A longer form is refused.
func FromForm(name ...string) TokenLocation { return named(locationForm, name) }

// FromWebSocket finds the token in a WebSocket handshake's Sec-WebSocket-Protocol header, as the
// subprotocol "base64url.bearer.authorization." followed by the token in base64url without padding:
// the one header that a browser's WebSocket can set. The entry is removed before the handler runs,
// so that it is never negotiated or echoed.
//
// Danger: proxies may log the header, as nothing marks it as secret.
func FromWebSocket() TokenLocation { return TokenLocation{kind: locationWebSocket} }

const webSocketPrefix = "base64url.bearer.authorization."

func named(kind locationKind, names []string) TokenLocation {
	switch {
	case len(names) == 0:
		return TokenLocation{kind: kind, name: defaultTokenName}
	case len(names) == 1 && names[0] != "":
		return TokenLocation{kind: kind, name: names[0]}
	default:
		return TokenLocation{kind: kind, err: errors.New("a token source takes one name that is not empty, or none")}
	}
}

func checkLocations(sources []TokenLocation) error {
	if len(sources) == 0 {
		return errors.New("names no source; leave it out for the Authorization header")
	}
	for i, s := range sources {
		switch {
		case s.err != nil:
			return s.err
		case s.kind == locationNone:
			return errors.New("holds an empty TokenLocation")
		case slices.Contains(sources[:i], s):
			return errors.New("names a source twice")
		}
	}
	return nil
}

// credential is what a client sends to prove who it is (RFC 9110 section 11.4).
type credential struct {
	scheme string // as this package spells it
	token  string
}

// extraction is what was found in a request.
type extraction struct {
	credential
	request       *http.Request // as the handler gets it
	authorization []string      // the Authorization header
	inHeader      bool          // the Authorization header has the scheme Bearer
	credentials   int           // in all places
	otherScheme   bool          // an Authorization header of another scheme
	form          *bytes.Reader // the body, if it was read in search of a token
}

// extract finds the one credential in the enabled places. A form comes last because its body may
// take time to arrive.
func (x *extraction) extract(sources []TokenLocation) *Error {
	x.authorization = x.request.Header["Authorization"]
	if len(x.authorization) > 1 { // wherever tokens are looked for
		return refuse(ReasonMultipleTokens)
	}
	forms := false
	for i := range sources {
		if sources[i].kind == locationForm {
			forms = true
		} else if err := x.from(&sources[i]); err != nil {
			return err
		}
	}
	for i := 0; forms && i < len(sources); i++ {
		if sources[i].kind == locationForm && x.credentials <= 1 {
			if err := x.from(&sources[i]); err != nil {
				return err
			}
		}
	}
	switch {
	case x.credentials > 1:
		return refuse(ReasonMultipleTokens)
	case x.credentials == 1 && x.token == "":
		return refuse(ReasonMalformedRequest)
	case x.credentials == 1:
		return nil
	case x.otherScheme:
		return refuse(ReasonOtherScheme)
	default:
		return refuse(ReasonMissingToken)
	}
}

func (x *extraction) from(s *TokenLocation) *Error {
	switch s.kind {
	case locationHeader:
		return x.fromHeader()
	case locationCookie:
		return x.fromCookie(s.name)
	case locationQuery:
		return x.fromQuery(s.name)
	case locationForm:
		return x.fromForm(s.name)
	case locationWebSocket:
		return x.fromWebSocket()
	}
	return nil
}

func (x *extraction) found(tokens ...string) {
	x.credentials += len(tokens)
	if len(tokens) > 0 {
		x.credential = credential{schemeBearer, tokens[0]}
	}
}

// fromHeader reads credentials = "Bearer" 1*SP b64token (RFC 6750 section 2.1). Go does not join
// header lines, so a second one is seen as one. The characters of the token are checked where it is
// decoded; see [extraction.explain].
func (x *extraction) fromHeader() *Error {
	if len(x.authorization) == 0 {
		return nil
	}
	value := x.authorization[0]
	const end = len(schemeBearer)
	switch {
	case len(value) > end && value[end] == ' ' && isBearer(value[:end]):
	case isBearer(value):
	default:
		scheme, _, _ := strings.Cut(value, " ")
		if !grammar.IsToken(scheme) {
			return refuse(ReasonMalformedRequest)
		}
		x.otherScheme = true
		return nil
	}
	token := strings.TrimLeft(value[end:], " ")
	if strings.HasPrefix(token, "\t") {
		return refuse(ReasonMalformedRequest)
	}
	x.inHeader = true
	x.found(token)
	return nil
}

// maxFirstWord limits how far explain looks for a second word, in bytes. Longer first words are no
// accident, and scanning them would help an attacker.
const maxFirstWord = 4 << 10

// explain returns the refusal of the extracted token. If the header has a second word, the request
// is malformed and not the token. That is looked for when the token has turned out to be none,
// because no good token has a space in it.
func (x *extraction) explain(err *Error) *Error {
	if err.Reason() == ReasonMalformedToken && x.inHeader &&
		strings.IndexByte(x.token[:min(len(x.token), maxFirstWord+1)], ' ') >= 0 {
		return refuse(ReasonMalformedRequest)
	}
	return err
}

// unusualHeader returns the Authorization header of the request, or "" if there is none or it is
// "Bearer", one space and the token.
func (x *extraction) unusualHeader() string {
	const prefix = len(schemeBearer) + len(" ")
	if len(x.authorization) == 0 || x.inHeader && len(x.authorization[0]) == prefix+len(x.token) {
		return ""
	}
	return x.authorization[0]
}

// fromCookie refuses what package net/http ignores: a cookie that is malformed, or one of too many.
func (x *extraction) fromCookie(name string) *Error {
	sent := 0
	for _, line := range x.request.Header.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if n, _, _ := strings.Cut(pair, "="); strings.TrimSpace(n) == name {
				sent++
			}
		}
	}
	cookies := x.request.CookiesNamed(name)
	if len(cookies) != sent {
		return refuse(ReasonMalformedRequest)
	}
	for _, cookie := range cookies {
		x.found(cookie.Value)
	}
	return nil
}

// fromQuery refuses a query it cannot parse: a part that is skipped could hold a second token. The
// parser's error quotes the query and is not kept.
func (x *extraction) fromQuery(name string) *Error {
	if x.request.URL == nil {
		return nil
	}
	query, err := url.ParseQuery(x.request.URL.RawQuery)
	if err != nil {
		return refuse(ReasonMalformedRequest)
	}
	x.found(query[name]...)
	return nil
}

// errTrailer stands for the error that quotes a body's trailer: nothing that a client sent goes
// into a log.
var errTrailer = errors.New("the trailer of the body is malformed")

func (x *extraction) fromForm(name string) *Error {
	r := x.request
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == "" {
		return nil
	}
	if isForm, unambiguous := declaresForm(r.Header); !unambiguous {
		return refuse(ReasonMalformedRequest)
	} else if !isForm {
		return nil
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
		return refuseFor(ReasonMalformedRequest, err)
	}
	if len(body) > maxFormBytes || int64(len(body)) < r.ContentLength {
		return refuse(ReasonMalformedRequest)
	}
	if len(body) == 0 && (len(r.PostForm) > 0 || r.PostForm != nil && r.ContentLength < 0) {
		return refuse(ReasonMalformedRequest) // it was read, and parsed as far as it could be
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse(ReasonMalformedRequest)
	}
	x.found(form[name]...)
	x.request = x.request.WithContext(x.request.Context())
	x.form = bytes.NewReader(body)
	x.request.Body = reread{x.form, original}
	return nil
}

// formType is the media type of the forms that can hold a token (RFC 6750 section 2.2).
const formType = "application/x-www-form-urlencoded"

// declaresForm reports whether a request says that its body is a form, and whether that is
// unambiguous. A type that net/http or another parser would read as a form, and this one would not,
// is ambiguous. net/http looks at the first of several types, and also reads a form whose type has
// a malformed parameter.
func declaresForm(h http.Header) (isForm, unambiguous bool) {
	types := h["Content-Type"]
	for _, value := range types {
		mediatype, _, err := mime.ParseMediaType(value)
		word, _, _ := strings.Cut(strings.TrimSpace(value), ";")
		word, _, _ = strings.Cut(word, ",")
		switch {
		case mediatype == formType && err == nil:
			isForm = true
		case mediatype == formType, // also with U+0130, which is an i to package mime
			grammar.Lower(strings.TrimSpace(word)) == formType:
			return true, false
		}
	}
	if !isForm {
		return false, true
	}
	encoding := h["Content-Encoding"]
	return true, len(types) == 1 && (len(encoding) == 0 || len(encoding) == 1 && grammar.Lower(encoding[0]) == "identity")
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

func (x *extraction) fromWebSocket() *Error {
	const field = "Sec-Websocket-Protocol"
	values := x.request.Header.Values(field)
	var kept []string
	stripped := false
	for _, value := range values {
		for entry := range strings.SplitSeq(value, ",") {
			entry = strings.Trim(entry, " \t")
			encoded, ok := strings.CutPrefix(entry, webSocketPrefix)
			if !ok {
				kept = append(kept, entry)
				continue
			}
			token, _, ok := jws.Decode(encoded, make([]byte, len(encoded)))
			if !ok {
				return refuse(ReasonMalformedRequest)
			}
			x.found(string(token))
			stripped = true
		}
	}
	if !stripped {
		return nil
	}
	x.request = x.request.WithContext(x.request.Context())
	x.request.Header = x.request.Header.Clone()
	x.request.Header.Del(field)
	if len(kept) > 0 {
		x.request.Header.Set(field, strings.Join(kept, ", "))
	}
	return nil
}

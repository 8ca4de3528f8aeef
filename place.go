package bearer

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/jws"
)

// place is a TokenLocation as a guard reads it, with what can be wrong there. The refusals are made
// once, because an attacker can cause them at will.
type place struct {
	TokenLocation
	ordered bool     // it is one of a FirstOf
	here    *finding // for a token that was found here, or nil if there is nothing to say

	twice      *Error // two credentials
	empty      *Error // a credential without a token
	malformed  *Error // no credential, and nothing else
	secondWord *Error // something behind the token, or before it
}

// places are the enabled places of a route, forms last.
type places struct {
	list    []place
	header  *place // the only one, if that is the Authorization header; or nil
	none    *Error // no credential in any of them
	several *Error // credentials in more than one
}

// finding says where a verified token was, and what the request's Authorization header was, or ""
// if there was none, or it is the scheme of the place, one space and the token.
type finding struct {
	at            *place
	authorization string
}

// newPlaces compiles the sources of a route. The hints are for all refusals.
func newPlaces(sources []TokenLocation, told *hints) *places {
	var plain, forms []place
	var names []string
	for i := range sources {
		for _, l := range sources[i].each() {
			p := place{TokenLocation: l, ordered: sources[i].kind == locationFirst}
			p.makeRefusals(told)
			names = append(names, l.place())
			if l.kind == locationForm {
				forms = append(forms, p)
			} else {
				plain = append(plain, p)
			}
		}
	}
	ps := &places{list: append(plain, forms...)}
	for i := range ps.list {
		if p := &ps.list[i]; p.kind != locationAuthorization || p.scheme != schemeBearer {
			p.here = &finding{at: p}
		}
	}
	if len(ps.list) == 1 && ps.list[0].kind == locationAuthorization {
		ps.header = &ps.list[0]
	}
	all := strings.Join(names, ", ")
	ps.none = because(ReasonMissingToken, "request.optional",
		"there is no credential in "+all, "does a proxy remove it, or does the client send it elsewhere?").on(told)
	ps.several = because(ReasonMultipleTokens, "request.single-credential",
		"there is a credential in more than one of these places: "+all,
		"let the client send one, or say with FirstOf which one counts").on(told)
	return ps
}

func (p *place) makeRefusals(told *hints) {
	at := p.place()
	of := func(reason Reason, rule, found, remedy string) *Error {
		return because(reason, rule, found, remedy).on(told)
	}
	p.twice = of(ReasonMultipleTokens, "request.single-credential", at+" was sent more than once",
		"does a proxy add one of its own?")
	p.empty = of(ReasonMalformedRequest, "request.grammar", "there is no token in "+at,
		"is a variable of the client unset?")
	p.malformed = of(ReasonMalformedRequest, "request.grammar", at+" cannot be read", "")
	p.secondWord = of(ReasonMalformedRequest, "request.grammar", "there is more than one token in "+at, "")
	switch p.kind {
	case locationHeader:
		if p.scheme == "" {
			p.secondWord = of(ReasonMalformedRequest, "request.grammar", "there is more than one word in "+at,
				"FromHeaderScheme is for a token behind a scheme")
		}
	case locationCookie:
		p.malformed = of(ReasonMalformedRequest, "request.readable", at+" cannot be read in full",
			"it has characters that RFC 6265 does not allow, or comes after too many other cookies")
	case locationQuery:
		p.malformed = of(ReasonMalformedRequest, "request.readable", "the query cannot be read in full",
			"a percent sign or a semicolon in it is not escaped")
	case locationForm:
		p.malformed = of(ReasonMalformedRequest, "request.readable", "the form cannot be read in full",
			"a percent sign or a semicolon in it is not escaped")
	case locationWebSocket:
		p.malformed = of(ReasonMalformedRequest, "request.grammar",
			"the token in Sec-WebSocket-Protocol is no base64url without padding", "encode the whole token once more")
	}
}

// Refusals that do not depend on the configuration of a place.
var (
	refusedTwoHeaders = fixed(ReasonMultipleTokens, "request.single-credential",
		"there are two or more Authorization headers", "does a proxy add one of its own?")
	refusedNoScheme = fixed(ReasonOtherScheme, "request.scheme",
		"the header holds a token without a scheme", `the client must send the scheme, such as "Bearer", a space and the token`)
	refusedBasic = fixed(ReasonOtherScheme, "request.scheme",
		"the header has the scheme Basic", "the client sends a name and a password")
	refusedDPoP = fixed(ReasonOtherScheme, "request.scheme",
		"the header has the scheme DPoP", "no proof is checked; let the issuer give this client unbound tokens")
	refusedScheme = fixed(ReasonOtherScheme, "request.scheme",
		"the header has another scheme than those that are enabled", "FromHeaderScheme enables one")
	refusedBrowser = fixed(ReasonMalformedRequest, "request.handshake",
		"the WebSocket handshake of a browser offers no subprotocol beside the token",
		"let the page offer one of the application's as well, and the handler select it")
)

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

// holdOnly reports whether no other place than this one holds a credential, or something that could
// be one. A form is not read for it, and counts as one.
func (ps *places) holdOnly(at *place, r *http.Request) bool {
	for i := range ps.list {
		p := &ps.list[i]
		if p.kind == at.kind && p.name == at.name {
			continue
		}
		if p.kind == locationForm {
			if isForm, unambiguous := declaresForm(r.Header); isForm || !unambiguous {
				return false
			}
		} else if _, found, refusal := p.read(r); found || refusal != nil {
			return false
		}
	}
	return true
}

// read returns the token that a place holds; found is false if it holds no credential. It reads no
// body: see [extraction.fromForm]. A refusal for another scheme says that there may be a credential
// of another place.
func (p *place) read(r *http.Request) (token string, found bool, refusal *Error) {
	switch p.kind {
	case locationHeader:
		return p.readHeader(r.Header[p.name])
	case locationCookie:
		return p.readCookie(r)
	case locationQuery:
		return p.readQuery(r.URL)
	case locationWebSocket:
		return p.readWebSocket(r.Header[webSocketField])
	}
	return "", false, nil
}

// readHeader reads the lines of a header. Go does not join them, so a second one is seen as one.
func (p *place) readHeader(lines []string) (token string, found bool, refusal *Error) {
	switch {
	case len(lines) == 0:
		return "", false, nil
	case len(lines) > 1:
		return "", false, p.twice
	case p.scheme == "":
		return lines[0], true, nil
	default:
		return p.readCredentials(lines[0])
	}
}

// readCredentials reads a scheme, 1*SP and a token, such as credentials of RFC 6750 section 2.1.
// The characters of the token are checked where it is decoded; see [extraction.explain].
func (p *place) readCredentials(value string) (token string, found bool, refusal *Error) {
	end := len(p.scheme)
	switch {
	case len(value) > end && value[end] == ' ' && isScheme(value[:end], p.scheme):
	case isScheme(value, p.scheme):
	default:
		scheme, _, several := strings.Cut(value, " ")
		if !grammar.IsToken(scheme) {
			return "", false, p.malformed
		}
		return "", false, otherScheme(scheme, several)
	}
	token = value[end:]
	for token != "" && token[0] == ' ' {
		token = token[1:]
	}
	if token != "" && token[0] == '\t' {
		return "", false, p.malformed
	}
	return token, true, nil
}

// otherScheme is the refusal of a header with another scheme than the enabled ones. Only registered
// schemes are named.
func otherScheme(scheme string, several bool) *Error {
	switch {
	case isScheme(scheme, "Basic"):
		return refusedBasic
	case isScheme(scheme, "DPoP"):
		return refusedDPoP
	case !several && strings.HasPrefix(scheme, "eyJ"): // as the header of a JWT begins, which is "{\""
		return refusedNoScheme
	default:
		return refusedScheme
	}
}

// readCookie refuses what package net/http ignores: a cookie that is malformed, or one of too many.
func (p *place) readCookie(r *http.Request) (token string, found bool, refusal *Error) {
	sent := 0
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if n, _, isPair := strings.Cut(pair, "="); strings.TrimSpace(n) == p.name {
				if sent++; !isPair {
					return "", false, p.malformed
				}
			}
		}
	}
	cookies := r.CookiesNamed(p.name)
	switch {
	case len(cookies) != sent:
		return "", false, p.malformed
	case sent > 1:
		return "", false, p.twice
	case sent == 0, cookies[0].Value == "":
		return "", false, nil
	default:
		return cookies[0].Value, true, nil
	}
}

// readQuery refuses a query it cannot parse: a part that is skipped could hold a second token. The
// parser's error quotes the query and is not kept.
func (p *place) readQuery(from *url.URL) (token string, found bool, refusal *Error) {
	if from == nil {
		return "", false, nil
	}
	query, err := url.ParseQuery(from.RawQuery)
	if err != nil {
		return "", false, p.malformed
	}
	return p.only(query[p.name])
}

// only returns the one token of a list.
func (p *place) only(tokens []string) (token string, found bool, refusal *Error) {
	switch len(tokens) {
	case 0:
		return "", false, nil
	case 1:
		return tokens[0], true, nil
	default:
		return "", false, p.twice
	}
}

// readWebSocket finds the entry of a handshake's subprotocols that is a token.
func (p *place) readWebSocket(lines []string) (token string, found bool, refusal *Error) {
	for entry := range subprotocols(lines) {
		encoded, ok := strings.CutPrefix(entry, webSocketPrefix)
		if !ok {
			continue
		}
		text, _, ok := jws.Decode(encoded, make([]byte, len(encoded)))
		switch {
		case !ok:
			return "", false, p.malformed
		case found:
			return "", false, p.twice
		}
		token, found = string(text), true
	}
	return token, found, nil
}

// subprotocols returns the entries of a Sec-WebSocket-Protocol header (RFC 6455 section 11.3.4).
func subprotocols(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for entry := range strings.SplitSeq(line, ",") {
				if !yield(strings.Trim(entry, " \t")) {
					return
				}
			}
		}
	}
}

// still reports whether a request holds the token where it was found, or nothing. A form is not
// read again: its body may have been read since.
func (p *place) still(r *http.Request, token string) bool {
	sent, found, refusal := p.read(r)
	return refusal == nil && (!found || sent == token)
}

// isCredentials reports whether an Authorization header is the scheme, one space and the token.
func isCredentials(header, scheme, token string) bool {
	sent, rest, _ := strings.Cut(header, " ")
	return rest == token && isScheme(sent, scheme)
}

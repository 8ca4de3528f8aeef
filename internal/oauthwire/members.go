package oauthwire

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/strictjson"
)

const formType = "application/x-www-form-urlencoded"

var (
	errForm      = errors.New("the answer cannot be read: it is not the form that its Content-Type says")
	errFormEnd   = errors.New("the answer cannot be read: it is a form, and whether all of it came is not known")
	errFormTwice = errors.New("the answer cannot be read: a parameter of the form occurs twice")
)

// members reads the body of an answer. A JSON object is one under whatever type: some servers call
// it text/html or text/plain, and it is complete by itself. A form is read only under its own type,
// as GitHub sends it, and only if it is known to be complete. The errors quote nothing.
func (a *answer) members() (strictjson.MemberList, error) {
	m, err := strictjson.Object(a.body)
	switch {
	case err == nil:
		return m, nil
	case isForm(a.header) && !a.whole:
		return nil, errFormEnd
	case isForm(a.header):
		return formMembers(a.body)
	case !isJSON(a.header):
		return nil, fmt.Errorf("the answer is not application/json, nor can it be read as that; is this the right URL? (%w)", err)
	}
	return nil, fmt.Errorf("the answer cannot be read: %w", err)
}

// formMembers returns the parameters of a form as members that are strings, by the rules of a JSON
// object: each occurs once, and is UTF-8.
func formMembers(body string) (strictjson.MemberList, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, errForm
	}
	m := make(strictjson.MemberList, 0, len(form))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		values := form[name]
		if len(values) != 1 {
			return nil, errFormTwice
		}
		value, err := json.Marshal(values[0])
		if err != nil || !utf8.ValidString(name) || !utf8.ValidString(values[0]) {
			return nil, errForm
		}
		m = append(m, strictjson.Member{Name: name, Value: string(value)})
	}
	return m, nil
}

func isForm(header http.Header) bool {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return kind == formType
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

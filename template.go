package bearer

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/weburl"
)

// The ids of the rules that hold here, in docs/rules.md.
const (
	ruleIssuer         = "claims.iss"
	ruleTemplate       = "issuer.template"
	ruleTemplateClaim  = "issuer.template-claim"
	ruleTemplateAccept = "issuer.template-accept"
	ruleRegistry       = "issuer.registry"
	ruleLookup         = "issuer.lookup"
	ruleLookupBounded  = "issuer.lookup-bounded"
	ruleAudienceFunc   = "claims.aud-request"
)

// maxTemplateValue is how long the value of a template's placeholder can be, in bytes.
const maxTemplateValue = 64

// template is a family of issuers whose names differ in one segment of the path; see
// [IssuerTemplate].
type template struct {
	before, after string // what stands around the placeholder
	claim         string // the path of the claim that must equal the value
	accept        func(ctx context.Context, value string) error
}

// readTemplate reads an issuer's name with a placeholder. Its errors complete a sentence that
// begins with the name.
func readTemplate(name string, insecureHTTP bool) (t template, err error) {
	before, rest, opened := strings.Cut(name, "{")
	label, after, closed := strings.Cut(rest, "}")
	_, host, _ := strings.Cut(before, "://")
	switch {
	case !opened || !closed || strings.ContainsAny(before+after, "{}"):
		return t, errors.New("does not have one placeholder, such as {tenant}, and no other braces")
	case !isTemplateValue(label):
		return t, errors.New("has a placeholder whose name is not made of letters and digits")
	case strings.IndexByte(host, '/') <= 0 || !strings.HasSuffix(before, "/") || after != "" && after[0] != '/':
		return t, errors.New("has a placeholder that is not a whole segment of the path")
	}
	if err := weburl.CheckIssuer(before+"x"+after, insecureHTTP); err != nil {
		return t, err
	}
	return template{before: before, after: after}, nil
}

// looksLikeTemplate reports whether a name has what [readTemplate] accepts.
func looksLikeTemplate(name string) bool {
	_, err := readTemplate(name, true)
	return err == nil
}

// templatesOverlap reports whether an iss can be of both templates, given by their names.
func templatesOverlap(one, other string) bool {
	a, b := strings.Split(one, "/"), strings.Split(other, "/")
	if len(a) != len(b) {
		return false
	}
	open := func(segment, other string) bool {
		return strings.HasPrefix(segment, "{") && (strings.HasPrefix(other, "{") || isTemplateValue(other))
	}
	for i := range a {
		if a[i] != b[i] && !open(a[i], b[i]) && !open(b[i], a[i]) {
			return false
		}
	}
	return true
}

// templateValue returns what an iss has in the place of the placeholder, and whether the rest is
// that of the template. Whether it can be a value is for [isTemplateValue] to say.
func templateValue[T string | []byte](t *template, iss T) (value T, fits bool) {
	end := len(iss) - len(t.after)
	if end <= len(t.before) || string(iss[:len(t.before)]) != t.before || string(iss[end:]) != t.after {
		return value, false
	}
	return iss[len(t.before):end], true
}

// isTemplateValue reports whether a text can stand for a placeholder: 1 to 64 letters, digits and
// the characters "-", "." and "_". "." and ".." are not values but directions in a path.
func isTemplateValue[T string | []byte](value T) bool {
	if len(value) == 0 || len(value) > maxTemplateValue || string(value) == "." || string(value) == ".." {
		return false
	}
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// covers reports whether an iss is one of the template's. A nil template covers none.
func (t *template) covers(iss string) bool {
	if t == nil {
		return false
	}
	value, fits := templateValue(t, iss)
	return fits && isTemplateValue(value)
}

// confirm checks that the claim of the template equals the value in iss. The issuer has signed
// both.
func (t *template) confirm(c *content) *Error {
	value, _ := templateValue(t, c.issuer)
	found, ok := find(c.payload, t.claim)
	switch {
	case !ok:
		return because(ReasonMissingClaim, ruleTemplateClaim,
			"the token has no claim "+strconv.Quote(t.claim),
			"name the claim that equals the placeholder of the issuer in IssuerTemplate")
	case !strictjson.Spells(found, value):
		return because(ReasonUnknownIssuer, ruleTemplateClaim,
			"the claim "+strconv.Quote(t.claim)+" does not equal "+strconv.Quote(value)+", the value in iss",
			"name the claim that equals the placeholder of the issuer in IssuerTemplate")
	}
	return nil
}

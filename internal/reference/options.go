package reference

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The rules of options. Without the option each is for, none of them refuses anything.
const (
	Template      Rule = "issuer.template"       // iss is that of the template
	TemplateClaim Rule = "issuer.template-claim" // the template's claim equals what stands for the placeholder
	Accepted      Rule = "issuer.template-accept"
	AnyPresent    Rule = "claims.any-present" // one of the claims is there
	Role          Rule = "route.role"         // the role is granted
)

// Options are what options of package bearer accept, or demand, beyond its defaults. They carry the
// names of those. The zero value is the defaults.
type Options struct {
	// TemplateClaim makes Issuer a template, with its placeholder in braces. Accept says which values
	// are trusted.
	TemplateClaim string
	Accept        func(value string) bool

	// AudienceFunc replaces Audience, for requests.
	AudienceFunc func(r *http.Request) string

	AnyPresent []string // AnyClaimPresent

	AnyAudience        bool // InsecureAnyAudience
	NoExpiry           bool // InsecureNoExpiry
	IgnoreConfirmation bool // InsecureIgnoreConfirmation
	NoIssuer           bool // InsecureNoIssuer
	IDTokens           bool // InsecureIDTokens

	// Pinned keys and secrets are tried one after the other if the token has no kid. Secrets always
	// are.
	Pinned bool

	ScopeClaim             []string // nil means scope and scp
	RolesClaim             []string // nil means roles
	RolesFromMembers       bool
	RolesSeparatedBySpaces bool

	// Role is what Handler demands; empty means nothing.
	Role string

	// Places are where tokens are; nil means the Authorization header with the scheme Bearer. Ordered
	// says that the first with a credential counts.
	Places  []Place
	Ordered bool
}

// Place is a header or a cookie.
type Place struct {
	Header, Scheme string // without a scheme the header holds the token alone
	Cookie         string
}

// maxTried is how many keys a token without a kid is tried with.
const maxTried = 4

// placeholder is the name of a template's variable segment, and segment its values.
var (
	placeholder = regexp.MustCompile(`\{[A-Za-z0-9._-]+\}`)
	segment     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// checkTemplate compares an iss with the template, and the claim with what stands for its
// placeholder.
func (r *Reference) checkTemplate(claims object) error {
	iss, _ := claims["iss"].(string)
	around := placeholder.Split(r.config.Issuer, -1)
	value, fits := strings.CutPrefix(iss, around[0])
	if fits {
		value, fits = strings.CutSuffix(value, around[1])
	}
	switch {
	case !fits || !segment.MatchString(value) || value == "." || value == "..":
		return refuse(Template, "iss is another")
	case find(claims, r.config.TemplateClaim) != value:
		return refuse(TemplateClaim, "%s is another", r.config.TemplateClaim)
	case !r.config.Accept(value):
		return refuse(Accepted, "%q is not trusted", value)
	}
	return nil
}

// checkPresent looks for one of the claims, of which null is none.
func (r *Reference) checkPresent(claims object) error {
	present := func(name string) bool { return claims[name] != nil }
	if len(r.config.AnyPresent) > 0 && !slices.ContainsFunc(r.config.AnyPresent, present) {
		return refuse(AnyPresent, "none of %q is there", r.config.AnyPresent)
	}
	return nil
}

// find returns the value at a path, whose dots step into objects or are a part of a name. It
// returns nil if there is none.
func find(o object, path string) any {
	if o.has(path) {
		return o[path]
	}
	for i := range path {
		if path[i] != '.' {
			continue
		}
		if nested, ok := o[path[:i]].(map[string]any); ok {
			if value := find(nested, path[i+1:]); value != nil {
				return value
			}
		}
	}
	return nil
}

// checkRole looks for a role in the claims that hold them.
func (r *Reference) checkRole(claims object) error {
	names := r.config.RolesClaim
	if names == nil {
		names = []string{"roles"}
	}
	for _, name := range names {
		if r.config.Role == "" || slices.Contains(r.rolesIn(find(claims, name)), r.config.Role) {
			return nil
		}
	}
	return refuse(Role, "the role is not granted")
}

// rolesIn reads one claim of roles.
func (r *Reference) rolesIn(value any) (roles []string) {
	switch value := value.(type) {
	case string:
		if r.config.RolesSeparatedBySpaces {
			return strings.Split(value, " ")
		}
		return []string{value}
	case []any:
		for _, element := range value {
			if role, ok := element.(string); ok {
				roles = append(roles, role)
			}
		}
	case map[string]any:
		for role, given := range value {
			if r.config.RolesFromMembers && given != nil && given != false {
				roles = append(roles, role)
			}
		}
	}
	return roles
}

// credentialIn finds the token in the places where it may be.
func (r *Reference) credentialIn(request *http.Request) (token string, err error) {
	if len(request.Header.Values("Authorization")) > 1 {
		return "", errBadRequest
	}
	found := 0
	for _, place := range r.config.Places {
		text, err := place.read(request)
		switch {
		case err == errNoCredential: //nolint:errorlint // it is never wrapped
			continue
		case err != nil:
			return "", err
		case r.config.Ordered:
			return text, nil
		}
		token, found = text, found+1
	}
	switch found {
	case 0:
		return "", errNoCredential
	case 1:
		return token, nil
	}
	return "", errBadRequest
}

func (p Place) read(request *http.Request) (string, error) {
	if p.Cookie != "" {
		return cookie(request, p.Cookie)
	}
	values := request.Header.Values(p.Header)
	switch {
	case len(values) == 0:
		return "", errNoCredential
	case len(values) > 1:
		return "", errBadRequest
	case p.Scheme != "":
		return behindScheme(values[0], p.Scheme)
	case values[0] == "" || strings.ContainsAny(values[0], " \t"):
		return "", errBadRequest
	}
	return values[0], nil
}

// cookie finds the one cookie of a name (RFC 6265 section 4.2.1). An empty one is none.
func cookie(request *http.Request, name string) (string, error) {
	var values []string
	for _, line := range request.Header.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if n, value, _ := strings.Cut(strings.TrimSpace(pair), "="); n == name {
				values = append(values, strings.Trim(value, `"`))
			}
		}
	}
	switch {
	case len(values) > 1:
		return "", errBadRequest
	case len(values) == 0 || values[0] == "":
		return "", errNoCredential
	}
	return values[0], nil
}

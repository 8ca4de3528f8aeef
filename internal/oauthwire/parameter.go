package oauthwire

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
)

// ParameterProblem says what is wrong with a parameter that the application adds to a request, and
// what to do; "" if nothing is. The reserved names are not the application's to set, and the form
// or query has what is there already. Of both, case does not count: some servers do not tell names
// apart by it.
func ParameterProblem(name, value string, reserved []string, form url.Values) string {
	switch {
	case !grammar.IsParameterName(name):
		return `a name has letters, digits and "-._" (RFC 6749 section 8.2)`
	case slices.ContainsFunc(reserved, func(other string) bool { return strings.EqualFold(other, name) }):
		return "this parameter is not to be set; leave it out"
	case HasParameter(form, name):
		return "set more than once; keep one (RFC 6749 section 3.1)"
	case value == "":
		return "the value is empty; give one, or leave the parameter out"
	}
	return ""
}

// HasParameter reports whether a form or query has a parameter, in whatever case.
func HasParameter(form url.Values, name string) bool {
	for other := range form {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// addTo returns a form with more in it. Neither is changed.
func addTo(form, more url.Values) url.Values {
	if len(more) == 0 {
		return form
	}
	all := maps.Clone(form)
	maps.Copy(all, more)
	return all
}

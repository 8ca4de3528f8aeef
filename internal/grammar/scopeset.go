package grammar

import (
	"slices"
	"strings"
)

// ScopeSet returns the one spelling of a scope of RFC 6749 section 3.3, in which neither order nor
// repetition means anything: its scope-tokens in the order of their bytes, each once. A text that
// is no scope stays as it is, so that the check for one still refuses it.
func ScopeSet(scope string) string {
	if isAscending(scope) {
		return scope
	}
	all := strings.Split(scope, " ")
	for _, one := range all {
		if !IsScopeToken(one) {
			return scope
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// isAscending reports whether the parts of a text between spaces are in ScopeSet's order. That
// takes no memory.
func isAscending(text string) bool {
	last := ""
	for part := range strings.SplitSeq(text, " ") {
		if part <= last {
			return text == ""
		}
		last = part
	}
	return true
}

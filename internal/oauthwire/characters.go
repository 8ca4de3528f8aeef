package oauthwire

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsPrintable reports whether a text is made of VSCHAR (RFC 6749 appendix A).
func IsPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// IsScope reports whether a text is made of scopes (RFC 6749 section 3.3). Servers are not exact
// about the spaces between them.
func IsScope(text string) bool { return IsPrintable(text) && !strings.ContainsAny(text, `"\`) }

// isScopeList reports whether a text is what RFC 6749 section 3.3 has for scope.
func isScopeList(text string) bool {
	return IsScope(text) && !slices.Contains(strings.Split(text, " "), "")
}

// IsURI reports whether a text is an absolute URI without a user name and a fragment.
func IsURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && u.User == nil && u.Host+u.Opaque+u.Path != "" && IsPrintable(text) && !strings.ContainsAny(text, " #")
}

// isText reports whether a text is UTF-8 without control characters.
func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

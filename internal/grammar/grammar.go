// Package grammar has the character classes of the RFCs on HTTP and OAuth 2.0, under their names.
//
// Each function whose name begins with Is reports whether a text consists of one or more characters
// of its class. An empty text is of no class.
package grammar

// IsToken is a token of RFC 9110 section 5.6.2, such as an authentication scheme.
func IsToken(text string) bool { return consistsOf(text, token) }

// IsToken68 is a token68 of RFC 9110 section 11.2, which is also the b64token of RFC 6750
// section 2.1: letters, digits and "-._~+/", and then any number of "=".
func IsToken68(text string) bool {
	end := len(text)
	for end > 0 && text[end-1] == '=' {
		end--
	}
	return consistsOf(text[:end], token68)
}

// IsScopeToken is a scope-token of RFC 6749 section 3.3, which the RFC's appendix A calls NQCHAR:
// printable ASCII but for the space, the quotation mark and the backslash.
func IsScopeToken(text string) bool { return consistsOf(text, nqchar) }

// IsNQSCHAR is what RFC 6749 appendix A and RFC 6750 section 3 allow in a quoted-string without
// escapes: NQCHAR and the space.
func IsNQSCHAR(text string) bool { return consistsOf(text, nqschar) }

// IsVSCHAR is the visible characters of ASCII and the space (RFC 6749 appendix A), such as those of
// a client_id.
func IsVSCHAR(text string) bool { return consistsOf(text, vschar) }

// IsFieldVChar is printable ASCII without the space: what a header field can hold as one word.
func IsFieldVChar(text string) bool { return consistsOf(text, vchar) }

// IsParameterName is a param-name or response-name of RFC 6749 section 8.2: letters, digits and
// "-._". Error codes are made of these characters in practice, too.
func IsParameterName(text string) bool { return consistsOf(text, nameChar) }

// Lower returns a text with A to Z in lower case. Unicode's rules would let look-alikes match, such
// as U+212A, the Kelvin sign.
func Lower(text string) string {
	for i := range len(text) {
		if 'A' <= text[i] && text[i] <= 'Z' {
			lower := []byte(text)
			for j := i; j < len(lower); j++ {
				if 'A' <= lower[j] && lower[j] <= 'Z' {
					lower[j] += 'a' - 'A'
				}
			}
			return string(lower)
		}
	}
	return text
}

// TokenPrefix returns the length of the token that a text begins with, or 0.
func TokenPrefix(text string) int { return prefix(text, token) }

// Token68Prefix returns the length of the token68 that a text begins with, or 0.
func Token68Prefix(text string) int {
	n := prefix(text, token68)
	for n > 0 && n < len(text) && text[n] == '=' {
		n++
	}
	return n
}

// class is a set of classes that a character can be in.
type class uint8

const (
	token class = 1 << iota
	token68
	nqchar
	nqschar
	vschar
	vchar
	nameChar
)

// classes says which classes each character is in. No character beyond ASCII is in any.
var classes = func() (table [256]class) {
	add := func(c class, characters string) {
		for i := range len(characters) {
			table[characters[i]] |= c
		}
	}
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	add(token, alphanumeric+"!#$%&'*+-.^_`|~")
	add(token68, alphanumeric+"-._~+/")
	add(nameChar, alphanumeric+"-._")
	for c := byte(' '); c <= '~'; c++ {
		table[c] |= vschar
		if c != ' ' {
			table[c] |= vchar
		}
		if c != '"' && c != '\\' {
			table[c] |= nqschar
			if c != ' ' {
				table[c] |= nqchar
			}
		}
	}
	return table
}()

func consistsOf(text string, c class) bool { return text != "" && prefix(text, c) == len(text) }

// prefix returns how many characters of a class a text begins with.
func prefix(text string, c class) int {
	for i := range len(text) {
		if classes[text[i]]&c == 0 {
			return i
		}
	}
	return len(text)
}

package jwks

import (
	"errors"
	"strings"
)

// keyIssuer is the member issuer of a JWK. No RFC defines it. Microsoft's key sets have it: one set
// serves many issuers there, and the member says which of them a key signs for: one issuer or,
// with a placeholder, a family of them.
type keyIssuer struct {
	text          string // as published
	template      bool   // there is a placeholder,
	before, after string // and this stands around it
}

var errIssuer = errors.New("its issuer is not a string, or empty, " +
	"or has a placeholder other than one whole segment of a URL's path")

// readIssuer reads the value of the member. A placeholder is a name in braces. A text that only
// looks like one is refused: what it leaves open is not clear, and a key must not sign for more
// issuers than it was published for.
func readIssuer(text string) (*keyIssuer, error) {
	before, rest, template := strings.Cut(text, "{")
	if !template {
		if text == "" || strings.Contains(text, "}") {
			return nil, errIssuer
		}
		return &keyIssuer{text: text}, nil
	}
	name, after, closed := strings.Cut(rest, "}")
	switch {
	case !closed || name == "" || strings.ContainsAny(name, "{/"):
		return nil, errIssuer
	case strings.ContainsAny(before+after, "{}"):
		return nil, errIssuer
	case !endsInPath(before) || after != "" && after[0] != '/':
		return nil, errIssuer
	}
	return &keyIssuer{text, true, before, after}, nil
}

// endsInPath reports whether the beginning of a URL ends where a segment of its path begins.
func endsInPath(beginning string) bool {
	_, rest, _ := strings.Cut(beginning, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host != "" && strings.HasSuffix(rest, "/") && !strings.ContainsAny(rest, "?#")
}

// fits reports whether a key with this member may sign tokens with this iss. Without the member,
// nil, it may sign any.
func (i *keyIssuer) fits(iss string) bool {
	if i == nil {
		return true
	}
	if !i.template {
		return iss == i.text
	}
	segment, found := strings.CutPrefix(iss, i.before)
	if !found {
		return false
	}
	segment, found = strings.CutSuffix(segment, i.after)
	return found && segment != "" && !strings.ContainsAny(segment, "/?#{}")
}

// published returns the member as it was published, or "".
func (i *keyIssuer) published() string {
	if i == nil {
		return ""
	}
	return i.text
}

// Issuer is the member issuer of the key, as it was published, or "" if there is none. It is an
// issuer, or a template of issuers, such as https://login.microsoftonline.com/{tenantid}/v2.0.
// [Key.SignsFor] compares it with a token's iss.
func (k Key) Issuer() string { return k.read().issuer.published() }

// SignsFor reports whether the key may have signed a token with this iss claim (RFC 7519 section
// 4.1.1). A key without a member issuer may have signed any; otherwise iss must equal that member.
// One placeholder in it, such as {tenantid}, stands for exactly one path segment, which is not
// empty.
func (k Key) SignsFor(iss string) bool { return k.read().issuer.fits(iss) }

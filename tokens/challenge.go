package tokens

import (
	"net/http"
	"strings"

	"github.com/bearer-go/bearer/internal/grammar"
)

const maxChallenges = 8 << 10 // bytes of an answer's WWW-Authenticate, all of its lines together; longer ones are not read

// challenges is what the challenges of an answer say of the token.
type challenges struct {
	invalid bool // one of the scheme Bearer has the error invalid_token (RFC 6750 section 3.1)
	errors  bool // one of the scheme Bearer has an error
	bearer  bool // one is of the scheme Bearer
	other   bool // one is of another scheme
}

// bare reports whether they give no reason: there are none, or those of Bearer alone, without an
// error.
func (c *challenges) bare() bool { return !c.errors && (c.bearer || !c.other) }

// challengesOf reads the challenges of an answer.
//
// A server that is not understood has said nothing, and one line that cannot be read makes the
// others doubtful: the caller gets the answer as it is, and that is all.
func challengesOf(header http.Header) (all challenges, ok bool) {
	lines := header.Values("WWW-Authenticate")
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if size > maxChallenges {
		return challenges{}, false
	}
	for _, line := range lines {
		if !all.read(line) {
			return challenges{}, false
		}
	}
	return all, true
}

// read reads a list of challenges (RFC 9110 section 11.6.1), and reports whether it can be read,
// and in one way only.
//
// Two dialects are read beside the grammar, since they are common and can mean but one thing:
// Amazon's API Gateway puts a space in place of the comma between parameters, and oauthlib and
// Google's ESP put a comma between the scheme and its first parameter.
func (c *challenges) read(list string) (ok bool) {
	var (
		bearer bool // what comes belongs to a challenge of that scheme,
		coded  bool // which has an error already
		bare   bool // a scheme and nothing else was read of the challenge
		open   bool // parameters may come: there was a scheme, and no token68 after it
	)
	for s := "," + list; ; {
		var before gap
		if s, before = cutGap(s); s == "" {
			return true
		}
		name, value, rest, isParam := cutParam(s)
		switch {
		case isParam:
			code := strings.EqualFold(name, "error")
			if !open || before == noGap || code && coded { // a parameter occurs once (RFC 9110 section 11.2)
				return false
			}
			c.errors = c.errors || bearer && code
			c.invalid = c.invalid || bearer && code && value == "invalid_token"
			coded, bare = coded || code, false
		case before == commaGap:
			name, rest = cutToken(s)
			bearer, coded, bare, open = strings.EqualFold(name, "Bearer"), false, true, true
			c.bearer, c.other = c.bearer || bearer, c.other || !bearer
		case before == spaceGap && bare:
			rest = s[grammar.Token68Prefix(s):]
			bare, open = false, false
		default:
			return false
		}
		s = rest // where nothing was cut off, it comes again without a gap before it
	}
}

// gap is what is between two parts of a list.
type gap int

const (
	noGap gap = iota
	spaceGap
	commaGap // with or without spaces; several are one (RFC 9110 section 5.6.1.2)
)

func cutGap(s string) (rest string, found gap) {
	rest = strings.TrimLeft(s, " \t,")
	switch cut := s[:len(s)-len(rest)]; {
	case strings.Contains(cut, ","):
		return rest, commaGap
	case cut != "":
		return rest, spaceGap
	}
	return rest, noGap
}

// cutParam cuts off a parameter: a name, "=", and a token or a quoted string as its value, perhaps
// with spaces around the "=".
func cutParam(s string) (name, value, rest string, ok bool) {
	name, rest = cutToken(s)
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " \t"), "=")
	if name == "" || !ok {
		return "", "", "", false
	}
	rest = strings.TrimLeft(rest, " \t")
	if strings.HasPrefix(rest, `"`) {
		value, rest, ok = cutQuoted(rest)
	} else {
		value, rest = cutToken(rest)
		ok = value != ""
	}
	return name, value, rest, ok
}

// cutToken cuts off a token (RFC 9110 section 5.6.2), "" if there is none.
func cutToken(s string) (token, rest string) {
	n := grammar.TokenPrefix(s)
	return s[:n], s[n:]
}

// cutQuoted cuts off a quoted string (RFC 9110 section 5.6.4), and returns what it stands for. It
// is not ok if it has no end, or a control character in it.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return "", "", false
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

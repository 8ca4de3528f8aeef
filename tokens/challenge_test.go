package tokens_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
)

// challengeLimit is what the package reads of WWW-Authenticate, in bytes.
const challengeLimit = 8 << 10

func challengeSays(lines ...string) bool {
	return tokens.SaysInvalidToken(http.Header{"Www-Authenticate": lines})
}

// The challenges that a request is sent again for (RFC 6750 section 3, RFC 9110 section 11.6.1).
var challengeCases = []struct {
	name  string
	lines []string
	says  bool
}{
	{"none", nil, false},
	{"empty", []string{""}, false},
	{"bare", []string{`Bearer`}, false},
	{"the example of RFC 6750", []string{`Bearer realm="example", error="invalid_token", error_description="The access token expired"`}, true},
	{"alone", []string{`Bearer error="invalid_token"`}, true},
	{"a token as the value", []string{`Bearer error=invalid_token`}, true},
	{"scheme and name in another case", []string{`bEARER ERROR="invalid_token"`}, true},
	{"the value in another case", []string{`Bearer error="Invalid_Token"`}, false},
	{"escapes", []string{`Bearer error="in\valid\_token"`}, true},
	{"spaces around the equals sign", []string{"Bearer error \t=\t \"invalid_token\""}, true},
	{"several spaces after the scheme", []string{`Bearer   error="invalid_token"`}, true},
	{"after the realm, without a space", []string{`Bearer realm="x",error="invalid_token"`}, true},
	{"empty elements", []string{`, ,Bearer realm="x",, ,error="invalid_token",,`}, true},
	{"a comma in another value", []string{`Bearer realm="a, b", error="invalid_token"`}, true},
	{"a quote in another value", []string{`Bearer realm="a\", b", error="invalid_token"`}, true},
	{"a backslash ends another value", []string{`Bearer realm="a\\", error="invalid_token"`}, true},
	{"obs-text in another value", []string{"Bearer realm=\"caf\xc3\xa9\", error=\"invalid_token\""}, true},
	{"another error", []string{`Bearer error="insufficient_scope"`}, false},
	{"an empty error", []string{`Bearer error=""`}, false},
	{"more than the error", []string{`Bearer error="invalid_token "`}, false},
	{"single quotes", []string{`Bearer error='invalid_token'`}, false},
	{"only the description", []string{`Bearer error_description="invalid_token"`}, false},
	{"as the scheme", []string{`invalid_token`}, false},
	{"as token68", []string{`Bearer invalid_token`}, false},

	{"after other schemes", []string{`Basic realm="x", Negotiate, NTLM dG9rZW4=, Bearer error="invalid_token"`}, true},
	{"before other schemes", []string{`Bearer error="invalid_token", Basic realm="x", Digest nonce="a", qop="auth"`}, true},
	{"on the second line", []string{`Basic realm="x"`, `Bearer error="invalid_token"`}, true},
	{"on the first of three lines", []string{`Bearer error="invalid_token"`, ``, `Negotiate`}, true},
	{"of the second Bearer challenge", []string{`Bearer realm="x", Bearer realm="y", error="invalid_token"`}, true},
	{"after another error of Bearer", []string{`Bearer error="insufficient_scope", Bearer error="invalid_token"`}, true},
	{"of another scheme", []string{`DPoP error="invalid_token"`}, false},
	{"of another scheme, after Bearer", []string{`Bearer realm="x", DPoP error="invalid_token"`}, false},
	{"of another scheme, on another line", []string{`Bearer realm="x"`, `DPoP error="invalid_token"`}, false},
	{"of a longer scheme", []string{`Bearer2 error="invalid_token"`}, false},
	{"Bearer as a realm", []string{`Basic realm=Bearer, error="invalid_token"`}, false},
	{"in a quoted string", []string{`Basic realm="x, Bearer error=\"invalid_token\""`}, false},
	{"in a quoted string, without escapes", []string{`Basic realm="Bearer error=invalid_token"`}, false},

	{"Amazon API Gateway: spaces for commas", []string{`Bearer scope="" error="invalid_token" error_description="the token has expired"`}, true},
	{"oauthlib, ESP: a comma after the scheme", []string{`Bearer, error="invalid_token"`}, true},
	{"the same after another challenge", []string{`Basic realm="x", Bearer, error="invalid_token"`}, true},

	{"quotes that are not escaped", []string{`Bearer error="invalid_token" error_description="cannot decode "n""`}, false},
	{"the error twice", []string{`Bearer error="invalid_token", error="insufficient_scope"`}, false},
	{"the error twice, the other first", []string{`Bearer error="insufficient_scope", Error="invalid_token"`}, false},
	{"the error twice in another scheme", []string{`Bearer error="invalid_token", DPoP error=a, error=b`}, false},
	{"no end of the string", []string{`Bearer error="invalid_token`}, false},
	{"no end of another string", []string{`Bearer error="invalid_token", realm="x`}, false},
	{"no end of a string, on another line", []string{`Bearer error="invalid_token"`, `Basic realm="x`}, false},
	{"an escape at the end", []string{`Bearer error="invalid_token\`}, false},
	{"no value", []string{`Bearer error=`}, false},
	{"no value, then one", []string{`Bearer realm=, error="invalid_token"`}, false},
	{"no name", []string{`Bearer ="x", error="invalid_token"`}, false},
	{"no name, after another parameter", []string{`Bearer realm="y", ="x", error="invalid_token"`}, false},
	{"no name and no value", []string{`Bearer =, error="invalid_token"`}, false},
	{"a string in place of token68", []string{`Negotiate "x", Bearer error="invalid_token"`}, false},
	{"a string in place of a scheme", []string{`"x", Bearer error="invalid_token"`}, false},
	{"token68 of equals signs alone", []string{`Negotiate ==, Bearer error="invalid_token"`}, false},
	{"two token68", []string{`Negotiate YWJj YWJj, Bearer error="invalid_token"`}, false},
	{"no scheme", []string{`error="invalid_token"`}, false},
	{"a challenge on two lines", []string{`Bearer realm="x"`, `error="invalid_token"`}, false},
	{"no comma before the next scheme", []string{`Basic realm="x" Bearer error="invalid_token"`}, false},
	{"two schemes without a comma", []string{`Negotiate Bearer error="invalid_token"`}, false},
	{"nothing between parameters", []string{`Bearer realm="x"error="invalid_token"`}, false},
	{"nothing between scheme and string", []string{`Bearer"x" error="invalid_token"`}, false},
	{"a parameter after token68", []string{`Bearer YWJj==, error="invalid_token"`}, false},
	{"a parameter after token68 and a space", []string{`Bearer YWJj== error="invalid_token"`}, false},
	{"token68 after a parameter", []string{`Bearer error="invalid_token" YWJj==`}, false},
	{"token68 without a space", []string{`Bearer/x, Bearer error="invalid_token"`}, false},
	{"a control character in a string", []string{"Bearer realm=\"\x01\", error=\"invalid_token\""}, false},
	{"an escaped control character", []string{"Bearer realm=\"\\\x7f\", error=\"invalid_token\""}, false},
	{"a tab in a string", []string{"Bearer realm=\"\t\", error=\"invalid_token\""}, true},
	{"a control character outside", []string{"Bearer error=\"invalid_token\"\x00"}, false},
	{"a semicolon", []string{`Bearer realm="x"; error="invalid_token"`}, false},
	{"not ASCII outside a string", []string{`Bearer réalm="x", error="invalid_token"`}, false},
}

func TestChallenges(t *testing.T) {
	for _, tt := range challengeCases {
		t.Run(tt.name, func(t *testing.T) {
			if got := challengeSays(tt.lines...); got != tt.says {
				t.Errorf("%q: says invalid_token %t, want %t", tt.lines, got, tt.says)
			}
		})
	}
}

// What is too long is not read, in one line or in many.
func TestChallengesAreBounded(t *testing.T) {
	const challenge = `Bearer error="invalid_token"`
	long := challenge + strings.Repeat(" ", challengeLimit-len(challenge))
	if !challengeSays(long) {
		t.Errorf("a challenge of %d bytes was not read", len(long))
	}
	if challengeSays(long + " ") {
		t.Errorf("a challenge of %d bytes was read", len(long)+1)
	}
	if !challengeSays(append(slices.Repeat([]string{","}, 100), challenge)...) {
		t.Error("a hundred short lines were not read")
	}
	if challengeSays(append(slices.Repeat([]string{","}, challengeLimit), challenge)...) {
		t.Error("many lines were read")
	}
}

// Whatever a server sends: it is read or not, and never misread.
func FuzzChallenges(f *testing.F) {
	seeds := 0
	for _, tt := range challengeCases {
		for _, line := range tt.lines {
			f.Add(line, "x")
			seeds++
		}
	}
	f.Add(`Bearer`, `x", error="invalid_token`)
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, line, value string) {
		says := challengeSays(line)
		folded := strings.ToLower(line)
		if says && (!strings.Contains(folded, "bearer") || !strings.Contains(folded, "error")) {
			t.Errorf("%q says invalid_token", line)
		}
		if len(line) > challengeLimit-1000 || len(value) > 1000 {
			return
		}
		// Other challenges make no difference where they can be told apart, on a line of their own
		// or joined by a proxy.
		for _, other := range []string{"Negotiate", "NTLM YWJj==", `Basic realm="x"`} {
			separate, joined := challengeSays(other, line), challengeSays(other+", "+line)
			if separate != says || says && !joined {
				t.Errorf("%q says %t, after %s %t, joined %t", line, says, other, separate, joined)
			}
			if separate, joined := challengeSays(line, other), challengeSays(line+", "+other); separate != says || says && !joined {
				t.Errorf("%q says %t, before %s %t, joined %t", line, says, other, separate, joined)
			}
		}
		if says && (challengeSays(line+", \x00") || challengeSays(line, `Basic realm="`)) {
			t.Errorf("%q: an answer that cannot be read is said to say invalid_token", line)
		}

		// A quoted string holds whatever is in it.
		clean := !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		if challengeSays(`Bearer realm=`+quoted) || challengeSays(`Basic realm=`+quoted+`, error="invalid_token"`) {
			t.Errorf("the value %q got out of its string", value)
		}
		if got := challengeSays(`Bearer realm=` + quoted + `, error="invalid_token"`); got != clean {
			t.Errorf("beside the value %q: says %t, want %t", value, got, clean)
		}
		if got := challengeSays(`Bearer error=` + quoted); got != (value == "invalid_token") {
			t.Errorf("error=%s: says %t", quoted, got)
		}
	})
}

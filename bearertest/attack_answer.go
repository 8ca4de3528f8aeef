package bearertest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// answer is what a client has to hear: the status, and the error code of the challenge (RFC 6750
// section 3.1), "" for none.
type answer struct {
	status int
	code   string
}

var (
	noCredential      = answer{http.StatusUnauthorized, ""}
	badRequest        = answer{http.StatusBadRequest, "invalid_request"}
	twoCredentials    = badRequest
	invalidToken      = answer{http.StatusUnauthorized, "invalid_token"}
	insufficientScope = answer{http.StatusForbidden, "insufficient_scope"}
	unavailable       = answer{http.StatusServiceUnavailable, ""}
)

func (a answer) String() string {
	if a.code == "" {
		return fmt.Sprintf("%d without an error code", a.status)
	}
	return fmt.Sprintf("%d %s", a.status, a.code)
}

// response is what a handler answered.
type response struct {
	status     int
	header     http.Header
	body       string
	panicked   any // what the handler panicked with; then there is no answer
	issuerDown bool
	reached    int            // how often the protected handler ran for it, if WithReached tells
	result     *http.Response // the answer as a client has it; its body is in body
}

func (got *response) passes() bool { return got.panicked == nil && got.status/100 == 2 }

// String describes the response for the developer who looks for what is wrong with the handler.
func (got *response) String() string {
	if got.panicked != nil {
		return fmt.Sprintf("the handler panics: %v", got.panicked)
	}
	text := fmt.Sprintf("the handler answers %d %s", got.status, http.StatusText(got.status))
	if challenges := got.header.Values("WWW-Authenticate"); len(challenges) > 0 {
		text += fmt.Sprintf(", WWW-Authenticate %q", challenges)
	}
	if body := strings.TrimSpace(got.body); body != "" {
		text += fmt.Sprintf(", body %.200q", body)
	}
	return text
}

// judge says what is wrong with a response to a request that must be refused with an answer.
func (got *response) judge(want answer, secrets []string) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if got.panicked != nil {
		return []string{got.String()}
	}
	if got.passes() {
		return []string{fmt.Sprintf("is let through with %d", got.status)}
	}
	if got.issuerDown && got.status == unavailable.status {
		want = unavailable
	}
	if got.status != want.status {
		wrong("is answered with %d, want %s", got.status, want)
	}
	if want == unavailable {
		got.judgeUnavailable(wrong)
	} else {
		got.judgeChallenge(want, wrong)
	}
	if !slices.ContainsFunc(got.header.Values("Cache-Control"), hasNoStore) {
		wrong("the answer lacks Cache-Control: no-store")
	}
	got.judgeProblem(wrong)
	return append(problems, got.judgeSilence(secrets)...)
}

func hasNoStore(cacheControl string) bool {
	return slices.ContainsFunc(strings.Split(cacheControl, ","), func(directive string) bool {
		return strings.EqualFold(strings.TrimSpace(directive), "no-store")
	})
}

// judgeUnavailable: a client that gets 503 has to learn when to come back, and not that its token
// is bad.
func (got *response) judgeUnavailable(wrong func(string, ...any)) {
	if got.header.Get("WWW-Authenticate") != "" {
		wrong("the answer has a WWW-Authenticate, which 503 must not")
	}
	text := got.header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 {
		wrong("the answer's Retry-After is %q, want whole seconds, one at least", text)
	}
}

// judgeChallenge checks WWW-Authenticate (RFC 9110 section 11.6.1, RFC 6750 section 3).
func (got *response) judgeChallenge(want answer, wrong func(string, ...any)) {
	var bearers []challenge
	for _, value := range got.header.Values("WWW-Authenticate") {
		challenges, ok := parseChallenges(value)
		if !ok {
			wrong("the answer's WWW-Authenticate is malformed: %q", value)
			return
		}
		for _, c := range challenges {
			if strings.EqualFold(c.scheme, "Bearer") {
				bearers = append(bearers, c)
			}
		}
	}
	if len(bearers) != 1 {
		wrong("the answer's WWW-Authenticate has %d challenges of the scheme Bearer, want one", len(bearers))
		return
	}
	params := bearers[0].params
	if params["error"] != want.code {
		wrong("the challenge's error is %q, want %q", params["error"], want.code)
	}
	if _, found := params["error"]; found && want.code == "" {
		wrong("the challenge has an error although no token was sent")
	}
	for _, name := range []string{"error_description", "error_uri"} {
		if _, found := params[name]; found && want.code == "" {
			wrong("the challenge has an %s although no token was sent", name)
		}
	}
	for name, allowed := range paramCharsets {
		if value, found := params[name]; found && !allowed.MatchString(value) {
			wrong("the challenge's %s has characters that it must not: %q", name, value)
		}
	}
}

// paramCharsets are what RFC 6750 section 3 allows in the parameters that it defines.
var paramCharsets = map[string]*regexp.Regexp{
	"error":             regexp.MustCompile(`^[\x20\x21\x23-\x5B\x5D-\x7E]+$`),
	"error_description": regexp.MustCompile(`^[\x20\x21\x23-\x5B\x5D-\x7E]+$`),
	"error_uri":         regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`),
	"scope":             regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$`),
}

// challenge is one challenge of a WWW-Authenticate, its parameters by their names in lower case and
// unquoted.
type challenge struct {
	scheme string
	params map[string]string
}

// The parts of a challenge: a scheme, and parameters that are tokens or quoted strings (RFC 9110
// sections 5.6 and 11.2).
const (
	tokenPattern  = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	quotedPattern = `"((?:[\t \x21\x23-\x5B\x5D-\x7E]|\\[\t \x21-\x7E])*)"`
	commaPattern  = `[\t ]*(?:,[\t ]*|$)`
)

var (
	challengeScheme = regexp.MustCompile(`^(` + tokenPattern + `)(?: +|` + commaPattern + `)`)
	challengeParam  = regexp.MustCompile(
		`^(` + tokenPattern + `)[\t ]*=[\t ]*(?:` + quotedPattern + `|(` + tokenPattern + `))` + commaPattern)
)

// parseChallenges reads a field value of WWW-Authenticate. A list that ends with a comma is no
// list, and no parameter comes twice.
func parseChallenges(value string) (list []challenge, ok bool) {
	if strings.HasSuffix(value, ",") {
		return nil, false
	}
	for value != "" {
		if m := challengeParam.FindStringSubmatch(value); m != nil && len(list) > 0 {
			name, params := strings.ToLower(m[1]), list[len(list)-1].params
			if _, twice := params[name]; twice {
				return nil, false
			}
			params[name] = m[2] + m[3]
			value = value[len(m[0]):]
			continue
		}
		m := challengeScheme.FindStringSubmatch(value)
		if m == nil {
			return nil, false
		}
		list = append(list, challenge{scheme: m[1], params: map[string]string{}})
		value = value[len(m[0]):]
	}
	return list, len(list) > 0
}

// judgeProblem: a body that claims to be a problem is one (RFC 9457 section 3).
func (got *response) judgeProblem(wrong func(string, ...any)) {
	mediaType, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
	if mediaType != "application/problem+json" || got.body == "" { // no body: the answer to HEAD
		return
	}
	var problem struct{ Status int }
	if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
		wrong("the body is not the JSON object that its Content-Type %q says", mediaType)
	} else if problem.Status != got.status {
		wrong("the body says status %d, the answer has %d", problem.Status, got.status)
	}
}

// judgeSilence: nothing of what was sent comes back, because the reader of the answer may not be
// the sender of the request.
func (got *response) judgeSilence(secrets []string) (problems []string) {
	places := []string{"the body", got.body}
	for name, values := range got.header {
		places = append(places, "the header "+name, name+": "+strings.Join(values, ", "))
	}
	for i := 0; i < len(places); i += 2 {
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(places[i+1], secret) }) {
			problems = append(problems, places[i]+" repeats something of the token")
		}
	}
	return problems
}

// again is the answer with its body to be read.
func (got *response) again() *http.Response {
	got.result.Body = io.NopCloser(strings.NewReader(got.body))
	return got.result
}

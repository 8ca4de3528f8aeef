package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
)

// challenger writes refusals.
type challenger struct {
	told         hints    // what every route tells
	own          sync.Map // of refusals that are made once, by those without hints; both are *Error
	errorHandler func(http.ResponseWriter, *http.Request, *Error)
}

// write answers a request with a refusal. An error that is not an [*Error] is 500.
func (c *challenger) write(w http.ResponseWriter, r *http.Request, err error) {
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal == nil {
		refusal = new(Error)
	}
	refusal = c.inform(refusal, nil)
	h := w.Header()
	body := &refusalWriter{ResponseWriter: w, refusal: refusal, others: otherChallenges(nil, h[challengeField])}
	delete(h, "Content-Length") // which an outer middleware may have set for another body
	if c.errorHandler != nil {
		body.setFields()
		c.errorHandler(body, r, refusal)
	}
	if !body.wrote {
		h["Content-Type"] = []string{"application/problem+json"}
		_, _ = body.Write(refusal.problem())
	}
}

// inform returns the refusal with what this service and its route tell in challenges. It allocates
// nothing for a refusal that is made once, unless the route has something of its own to tell.
func (c *challenger) inform(e *Error, route *hints) *Error {
	switch {
	case route != nil:
		return e.on(route)
	case e.hints != nil, c.told.realm == "" && c.told.metadata == "", !e.challenges():
		return e
	case !e.shared:
		return e.on(&c.told)
	}
	if own, ok := c.own.Load(e); ok {
		return own.(*Error) //nolint:forcetypeassert // nothing else is stored
	}
	own, _ := c.own.LoadOrStore(e, e.on(&c.told))
	return own.(*Error) //nolint:forcetypeassert // nothing else is stored
}

// Challenges returns the values of WWW-Authenticate that [Guard.WriteError] sends, one for each
// scheme (RFC 9110 section 11.6.1), such as `Bearer realm="orders", error="invalid_token", ...`. It
// is for answers that WriteError does not write: those of RPC, of gateways, and of error handlers.
// The refusals of a [Guard] have the realm, the scopes and the metadata of their Middleware and
// route. It returns nil unless the status is 400, 401 or 403.
func (e *Error) Challenges() []string {
	if !e.challenges() {
		return nil
	}
	if e.hints == nil {
		return []string{prepared[e.Reason()].challenge}
	}
	return []string{schemeBearer + e.params()}
}

// params returns the parameters of a Bearer challenge (RFC 6750 section 3), with a space before the
// first. Every one is fixed text or was checked when it was configured, so that none needs
// escaping.
func (e *Error) params() string {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+value+`"`)
		}
	}
	var told hints
	if e.hints != nil {
		told = *e.hints
	}
	add("realm", told.realm)
	if code := e.Code(); code != "" {
		add("error", code)
		add("error_description", e.Description())
	}
	switch e.Code() {
	case "", codeInsufficientScope:
		add("scope", strings.Join(told.scopes, " "))
	case codeInsufficientUserAuth:
		add("acr_values", strings.Join(told.acr, " "))
		if told.maxAge > 0 {
			add("max_age", strconv.FormatInt(int64(told.maxAge/time.Second), 10))
		}
	}
	add("resource_metadata", told.metadata)
	if len(params) == 0 {
		return ""
	}
	return " " + strings.Join(params, ", ")
}

const challengeField = "Www-Authenticate" // as package net/http spells it

// otherChallenges adds to a list what an application's handlers challenge with, without those of
// the scheme Bearer, which are the guard's to say, and without repetitions.
func otherChallenges(list, lines []string) []string {
	for _, line := range lines {
		if line = withoutBearer(line); line != "" && !slices.Contains(list, line) {
			list = append(list, line)
		}
	}
	return list
}

// withoutBearer takes the challenges of the scheme Bearer out of a list of challenges (RFC 9110
// section 11.6.1). A line without one stays as it is.
func withoutBearer(line string) string {
	var kept []string
	bearer, changed := false, false
	for rest := line; rest != ""; {
		var element string
		element, rest = cutElement(rest)
		element = strings.Trim(element, " \t")
		n := grammar.TokenPrefix(element)
		// A parameter is a token and an equals sign, perhaps with spaces between. All others begin a
		// challenge.
		if n > 0 && !strings.HasPrefix(strings.TrimLeft(element[n:], " \t"), "=") {
			bearer = isScheme(element[:n], schemeBearer)
		}
		if bearer {
			changed = true
		} else if element != "" {
			kept = append(kept, element)
		}
	}
	if !changed {
		return line
	}
	return strings.Join(kept, ", ")
}

// cutElement cuts a list at its first comma that is not in a quoted-string (RFC 9110 sections 5.6.1
// and 5.6.4).
func cutElement(list string) (element, rest string) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case quoted && list[i] == '\\':
			i++
		case !quoted && list[i] == ',':
			return list[:i], list[i+1:]
		}
	}
	return list, ""
}

// preparation is what follows from a reason alone.
type preparation struct {
	challenge string // of a service and a route with nothing to tell
	problem   []byte
}

// prepared has the preparation for each reason: most refusals are answers to attackers.
var prepared = prepare()

func prepare() map[Reason]preparation {
	all := make(map[Reason]preparation)
	for _, a := range append(slices.Clip(answers), internalError) {
		e := &Error{answer: &a}
		all[a.reason] = preparation{schemeBearer + e.params(), a.problem()}
	}
	return all
}

// problem returns the body of the refusal.
func (e *Error) problem() []byte { return prepared[e.Reason()].problem }

// problem is the body of a refusal (RFC 9457 section 3). Its type is "about:blank", which section
// 4.2.1 allows to leave out and which makes title the status's own phrase. code is the extension
// member that clients can rely on.
func (a *answer) problem() []byte {
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   Reason `json:"code"`
	}{http.StatusText(a.status), a.status, a.detail, a.reason})
	if err != nil {
		return nil // unreachable: only strings and an int are marshaled
	}
	return append(body, '\n')
}

// refusalWriter is what an error handler writes to. The status is fixed, and the fields of the
// refusal are set again right before they are sent, so that a handler can add to the answer but not
// take from it. It does not unwrap: a flush on the underlying writer would send 200.
type refusalWriter struct {
	http.ResponseWriter
	refusal *Error
	others  []string // challenges of other schemes, which handlers outside the guard have set
	wrote   bool
}

// setFields sets the fields of the refusal. Challenges of other schemes come behind its own.
func (w *refusalWriter) setFields() {
	h, e := w.Header(), w.refusal
	h["Cache-Control"] = []string{"no-store"}
	if e.StatusCode() == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{strconv.FormatInt(int64(e.RetryAfter()/time.Second), 10)}
	}
	challenges := append(e.Challenges(), otherChallenges(w.others, h[challengeField])...)
	if h[challengeField] = challenges; len(challenges) == 0 {
		delete(h, challengeField)
	}
}

// WriteHeader does nothing: the status is the refusal's, and is sent with the first byte of a body.
func (w *refusalWriter) WriteHeader(int) {}

func (w *refusalWriter) Write(b []byte) (int, error) {
	if !w.wrote && len(b) > 0 {
		w.wrote = true
		w.setFields()
		w.ResponseWriter.WriteHeader(w.refusal.StatusCode())
	}
	if !w.wrote {
		return 0, nil
	}
	return w.ResponseWriter.Write(b)
}

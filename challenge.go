package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WriteError answers a request with a refusal that [Middleware.Authenticate] returned: the status, the challenge of RFC 6750
// section 3, Cache-Control: no-store, Retry-After on 503, and a problem+json body (RFC 9457) or what [WithErrorHandler]
// writes. It decides nothing and discloses nothing: every text is fixed. An error that is not an [*Error] is 500.
func (m *Middleware) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal == nil {
		refusal = new(Error)
	}
	body := &refusalWriter{ResponseWriter: w, m: m.core, refusal: refusal}
	body.setHeader()
	body.Header().Del("Content-Length") // of a body that somebody outside had in mind
	if m.errorHandler != nil {
		m.errorHandler(body, r, refusal)
	}
	if !body.wrote {
		body.Header().Set("Content-Type", "application/problem+json")
		_, _ = body.Write(refusal.problem())
	}
}

// problem is the body of a refusal (RFC 9457 section 3). Its type is "about:blank", which section 4.2.1 lets us leave out
// and which makes title the status's own phrase; code is the extension member clients can rely on.
func (e *Error) problem() []byte {
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   Reason `json:"code"`
	}{http.StatusText(e.StatusCode()), e.StatusCode(), e.Description(), e.Reason()})
	if err != nil {
		return nil // cannot be: strings and a number
	}
	return append(body, '\n')
}

// challenge returns the value of WWW-Authenticate. Every parameter is fixed text or was checked when it was configured, so
// that none needs escaping.
func (m *core) challenge(e *Error) string {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+value+`"`)
		}
	}
	var hints hints
	for _, req := range e.reqs {
		req.hint(&hints)
	}
	add("realm", m.realm)
	if code := e.Code(); code != "" {
		add("error", code)
		add("error_description", e.Description())
	}
	switch e.Code() {
	case "", codeInsufficientScope:
		add("scope", strings.Join(hints.scopes, " "))
	case codeInsufficientUserAuth:
		add("acr_values", strings.Join(hints.acr, " "))
		if hints.maxAge > 0 {
			add("max_age", strconv.FormatInt(int64(hints.maxAge/time.Second), 10))
		}
	}
	add("resource_metadata", m.metadataURL)
	if len(params) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(params, ", ")
}

// refusalWriter is what an error handler writes to. The status is fixed, and the fields of the refusal are set again right before
// they go out, so that a handler can add to the answer but not take from it. It does not unwrap: a flush on the writer below
// would send 200.
type refusalWriter struct {
	http.ResponseWriter
	m       *core
	refusal *Error
	wrote   bool
}

func (w *refusalWriter) setHeader() {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch status := w.refusal.StatusCode(); status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		h.Set("WWW-Authenticate", w.m.challenge(w.refusal))
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.FormatInt(int64(w.refusal.RetryAfter()/time.Second), 10))
	}
}

// WriteHeader does nothing: the status is the refusal's, and goes out with the first byte of a body.
func (w *refusalWriter) WriteHeader(int) {}

func (w *refusalWriter) Write(b []byte) (int, error) {
	if !w.wrote && len(b) > 0 {
		w.wrote = true
		w.setHeader()
		w.ResponseWriter.WriteHeader(w.refusal.StatusCode())
	}
	if !w.wrote {
		return 0, nil
	}
	return w.ResponseWriter.Write(b)
}

// isQuotable reports whether s can stand in a quoted-string without escapes (RFC 6750 section 3: %x20-21 / %x23-5B / %x5D-7E).
func isQuotable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// challenger writes refusals.
type challenger struct {
	realm        string // "" for none
	metadataURL  string // of RFC 9728's document; "" for none
	errorHandler func(http.ResponseWriter, *http.Request, *Error)
}

// write answers a request with a refusal. An error that is not an [*Error] is 500.
func (c *challenger) write(w http.ResponseWriter, r *http.Request, err error) {
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal == nil {
		refusal = new(Error)
	}
	body := &refusalWriter{ResponseWriter: w, status: refusal.StatusCode(), fields: c.fields(refusal)}
	body.setFields()
	body.Header().Del("Content-Length") // which an outer middleware may have set for another body
	if c.errorHandler != nil {
		c.errorHandler(body, r, refusal)
	}
	if !body.wrote {
		body.Header().Set("Content-Type", "application/problem+json")
		_, _ = body.Write(refusal.problem())
	}
}

// fields returns the header fields of a refusal.
func (c *challenger) fields(e *Error) http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	switch e.StatusCode() {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		h["Www-Authenticate"] = c.challenges(e)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.FormatInt(int64(e.RetryAfter()/time.Second), 10))
	}
	return h
}

// challenges returns the values of WWW-Authenticate, one for each scheme (RFC 9110 section 11.6.1).
func (c *challenger) challenges(e *Error) []string {
	return []string{schemeBearer + c.params(e)}
}

// params returns the parameters of a Bearer challenge (RFC 6750 section 3), with a space before the
// first. Every one is fixed text or was checked when it was configured, so that none needs
// escaping.
func (c *challenger) params(e *Error) string {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+value+`"`)
		}
	}
	var route hints
	if e.hints != nil {
		route = *e.hints
	}
	add("realm", c.realm)
	if code := e.Code(); code != "" {
		add("error", code)
		add("error_description", e.Description())
	}
	switch e.Code() {
	case "", codeInsufficientScope:
		add("scope", strings.Join(route.scopes, " "))
	case codeInsufficientUserAuth:
		add("acr_values", strings.Join(route.acr, " "))
		if route.maxAge > 0 {
			add("max_age", strconv.FormatInt(int64(route.maxAge/time.Second), 10))
		}
	}
	add("resource_metadata", c.metadataURL)
	if len(params) == 0 {
		return ""
	}
	return " " + strings.Join(params, ", ")
}

// problem is the body of a refusal (RFC 9457 section 3). Its type is "about:blank", which section
// 4.2.1 allows to leave out and which makes title the status's own phrase. code is the extension
// member that clients can rely on.
func (e *Error) problem() []byte {
	body, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   Reason `json:"code"`
	}{http.StatusText(e.StatusCode()), e.StatusCode(), e.Description(), e.Reason()})
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
	status int
	fields http.Header
	wrote  bool
}

func (w *refusalWriter) setFields() {
	h := w.Header()
	for name, values := range w.fields {
		h[name] = append([]string(nil), values...)
	}
}

// WriteHeader does nothing: the status is the refusal's, and is sent with the first byte of a body.
func (w *refusalWriter) WriteHeader(int) {}

func (w *refusalWriter) Write(b []byte) (int, error) {
	if !w.wrote && len(b) > 0 {
		w.wrote = true
		w.setFields()
		w.ResponseWriter.WriteHeader(w.status)
	}
	if !w.wrote {
		return 0, nil
	}
	return w.ResponseWriter.Write(b)
}

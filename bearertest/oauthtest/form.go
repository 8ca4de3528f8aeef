package oauthtest

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
)

const maxForm = 1 << 20 // bytes of a request's body

// refusal is an error answer. The description tells the reader of a failed test why, and shows
// nothing of the request.
type refusal struct{ code, description string }

// reply is the answer of RFC 6749 section 5.2.
func (e *refusal) reply(w http.ResponseWriter) {
	status := http.StatusBadRequest
	switch e.code {
	case "invalid_client":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Basic") // which RFC 9110 section 15.5.2 demands of every 401
	case "temporarily_unavailable":
		status = http.StatusServiceUnavailable
	case "server_error":
		status = http.StatusInternalServerError
	}
	replyUncached(w, status, map[string]string{"error": e.code, "error_description": e.description})
}

// replyUncached sends JSON that no cache may keep (RFC 6749 section 5.1).
func replyUncached(w http.ResponseWriter, status int, v any) {
	body := mustJSON(v)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// form reads a request to an endpoint that takes forms. A request with another method is answered
// already, and ok is false.
func form(w http.ResponseWriter, r *http.Request) (values url.Values, refused *refusal, ok bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return nil, nil, false
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != "application/x-www-form-urlencoded" {
		return nil, &refusal{"invalid_request", "the body is not a form: see Content-Type"}, true
	}
	if r.URL.RawQuery != "" {
		// Credentials in a URL end up in logs (RFC 6749 section 2.3.1).
		return nil, &refusal{"invalid_request", "there are parameters in the URL; they belong into the body"}, true
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return nil, &refusal{"invalid_request", "the body breaks off, or is longer than 1 MiB"}, true
	}
	values, refused = parameters(string(body))
	return values, refused, true
}

// parameters reads an encoded form or query. A parameter without a value counts as absent, and one
// that is there twice is an error (RFC 6749 sections 3.1 and 3.2) but for those that are lists (RFC
// 8707 section 2, RFC 8693 section 2.1). With such an error the values are all there nevertheless.
func parameters(encoded string) (values url.Values, refused *refusal) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, &refusal{"invalid_request", "the parameters are not form-encoded"}
	}
	for name, all := range values {
		if len(all) > 1 && name != "resource" && name != "audience" {
			refused = &refusal{"invalid_request", "a parameter is there more than once"}
		}
		all = slices.DeleteFunc(all, func(value string) bool { return value == "" })
		if len(all) == 0 {
			delete(values, name)
			continue
		}
		values[name] = all
	}
	return values, refused
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("oauthtest: cannot be written as JSON: %v", err))
	}
	return data
}

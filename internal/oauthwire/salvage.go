package oauthwire

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/bearer-go/bearer/tokens"
)

// salvaged returns the refresh token of an answer that cannot be used as a whole, or the zero
// Secret. A server that rotates refresh tokens has ended the one that was sent, whatever is wrong
// with its answer: a byte that is not UTF-8, a member that occurs twice, another encoding. The
// answer must be a success with a complete body, and no web page.
func (a *answer) salvaged() tokens.Secret {
	types := strings.ToLower(strings.Join(a.header.Values("Content-Type"), ","))
	if !isSuccess(a.status) || strings.Contains(types, "html") {
		return tokens.Secret{}
	}
	if isForm(a.header) {
		if !a.whole {
			return tokens.Secret{}
		}
		return tokens.NewSecret(salvageForm(a.body))
	}
	return tokens.NewSecret(salvageJSON(a.body))
}

// salvageJSON returns the string refresh_token at the top level of a JSON object: of several, the
// last that can be sent back. The result is "" when there is none, when a member error says
// anything, and when the body is not one complete object. It accepts what encoding/json reads and
// strictjson refuses: bytes that are not UTF-8, members that occur twice, halves of surrogate
// pairs. A byte order mark is skipped (RFC 8259 section 8.1).
func salvageJSON(body string) string {
	body = strings.TrimPrefix(body, "\ufeff")
	if !json.Valid([]byte(body)) {
		return ""
	}
	d := json.NewDecoder(strings.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return ""
	}
	found := ""
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return ""
		}
		switch name {
		case "error":
			if saysError(string(value)) {
				return ""
			}
		case "refresh_token":
			var text string
			if json.Unmarshal(value, &text) == nil && text != "" && isRefreshToken(text) {
				found = text
			}
		}
	}
	return found
}

// salvageForm returns the parameter refresh_token of a form, or "" if it does not occur exactly
// once, cannot be sent back, or stands beside an error.
func salvageForm(body string) string {
	form, err := url.ParseQuery(body)
	found := form["refresh_token"]
	if err != nil || strings.Join(form["error"], "") != "" || len(found) != 1 || !isRefreshToken(found[0]) {
		return ""
	}
	return found[0]
}

// saysError reports whether the value of a member error is one (RFC 6749 section 5.2). Some servers
// send one that is empty with a success.
func saysError(value string) bool {
	switch value {
	case "", "null", "false", `""`:
		return false
	}
	return true
}

// isSuccess reports whether an answer with this status has a body that is the whole result (RFC
// 9110 section 15.3): 204 and 205 have none, and that of 206 is a part.
func isSuccess(status int) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent:
		return false
	}
	return 200 <= status && status < 300
}

// hasEnd reports whether a body that was read to io.EOF is known to be complete. Without a length,
// before HTTP/2, the end may be that of the connection alone (RFC 9112 section 6.3). A JSON object
// is complete by itself, a form is not.
func hasEnd(response *http.Response) bool {
	return response.ContentLength >= 0 || response.Uncompressed || len(response.TransferEncoding) > 0 || response.ProtoMajor >= 2
}

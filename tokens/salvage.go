package tokens

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const formType = "application/x-www-form-urlencoded"

// salvaged returns the refresh token of an answer that cannot be used as a whole, or the zero Secret. A
// server that rotates refresh tokens has ended the one that was sent, whatever else is wrong with its
// answer: a status such as 201, a byte that is not UTF-8, a member that occurs twice. So the new one
// counts if the answer is a success with a complete body that does not say error, and no web page.
func (a *answer) salvaged() Secret {
	if !isSuccess(a.status) || strings.Contains(strings.ToLower(strings.Join(a.header.Values("Content-Type"), ",")), "html") {
		return Secret{}
	}
	if kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); kind == formType {
		if !a.whole {
			return Secret{}
		}
		return NewSecret(salvageForm(a.body))
	}
	return NewSecret(salvageJSON(a.body))
}

// salvageJSON returns the text of the member refresh_token of a JSON object: of several, the last that
// could be sent back. The result is "" if there is none, if a member error says anything, and if the text is not one
// complete object. It accepts what strictjson refuses but encoding/json reads: bytes that are not
// UTF-8, members that occur twice, halves of surrogate pairs; and a byte order mark (RFC 8259 section
// 8.1).
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

// salvageForm returns the parameter refresh_token of a form, or "" if it does not occur exactly once,
// cannot be sent back, or stands beside an error.
func salvageForm(body string) string {
	form, err := url.ParseQuery(body)
	if values := form["refresh_token"]; err != nil || strings.Join(form["error"], "") != "" || len(values) != 1 || !isRefreshToken(values[0]) {
		return ""
	}
	return form.Get("refresh_token")
}

// saysError reports whether the value of a member error is one (RFC 6749 section 5.2). Some servers send
// one that is empty with a success.
func saysError(value string) bool {
	switch value {
	case "", "null", "false", `""`:
		return false
	}
	return true
}

// isSuccess reports whether an answer with this status has a body that is the whole result (RFC 9110
// section 15.3): 204 and 205 have none, and that of 206 is a part.
func isSuccess(status int) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent:
		return false
	}
	return 200 <= status && status < 300
}

// hasEnd reports whether the end of a body that was read to io.EOF is known to be its end. Without a
// length, before HTTP/2, it may be the end of the connection alone (RFC 9112 section 6.3). A JSON object tells by itself.
func hasEnd(response *http.Response) bool {
	return response.ContentLength >= 0 || response.Uncompressed || len(response.TransferEncoding) > 0 || response.ProtoMajor >= 2
}

package accesstoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/bearer-go/bearer/internal/strictjson"
)

const (
	// MaxExtra is the largest size of one extra member, in bytes: its name, the colon and its value,
	// as JSON. A larger one is left out.
	MaxExtra = 4 << 10

	// MaxExtras is the largest size of all extra members together, in bytes, as one JSON object.
	// Those that do not fit beside the ones before them are left out.
	MaxExtras = 16 << 10
)

// ErrExtras is why extra members are not accepted.
var ErrExtras = errors.New("Extras is not a JSON object of at most " + fmt.Sprint(MaxExtras) + " bytes")

// isRead reports whether a member of an answer is one that this module reads itself, and so is no
// extra member: most of them are secrets that have places of their own.
func isRead(name string) bool {
	switch name {
	case "access_token", "token_type", "expires_in", "refresh_in", "scope", "refresh_token", "id_token",
		"issued_token_type", "error", "error_description", "error_uri":
		return true
	}
	return false
}

// Extras returns the members of an answer that are not read otherwise, as the text of one JSON
// object, or "" if there are none. The text keeps nothing of the answer in memory.
func Extras(members strictjson.MemberList) string {
	var b strings.Builder
	for _, m := range members {
		if isRead(m.Name) || m.Value == "null" || len(m.Name)+len(m.Value) > MaxExtra {
			continue
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			continue
		}
		size := len(name) + len(":") + len(m.Value)
		if size > MaxExtra || b.Len()+len(",")+size+len("}") > MaxExtras {
			continue
		}
		separator := byte(',')
		if b.Len() == 0 {
			separator = '{'
		}
		b.WriteByte(separator)
		b.Write(name)
		b.WriteByte(':')
		b.WriteString(m.Value)
	}
	if b.Len() == 0 {
		return ""
	}
	return b.String() + "}"
}

// AreExtras reports whether a text can be what [Extras] returns.
func AreExtras(text string) bool {
	if text == "" {
		return true
	}
	_, err := strictjson.Object(text)
	return err == nil && len(text) <= MaxExtras
}

// Extra returns one of the extra members: the text of a string, and the JSON of any other value. It
// is "" if there is none with this name, or if it is null.
func Extra(extras, name string) string {
	if extras == "" || isRead(name) {
		return ""
	}
	members, err := strictjson.Object(extras)
	if err != nil {
		return ""
	}
	value := members.Value(name)
	if text, ok := strictjson.String(value); ok {
		return text
	}
	if value == "null" {
		return ""
	}
	return value
}

package reference

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// object is a JSON object. Its numbers are of type json.Number.
type object map[string]any

func (o object) has(name string) bool {
	_, found := o[name]
	return found
}

// decode decodes a part of a token. Every text but the one that an encoder writes is another
// spelling.
func (r *Reference) decode(part string) ([]byte, error) {
	if r.careless(Spelling) {
		return sloppyDecode(part), nil
	}
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, refuse(Spelling, "not base64url")
	}
	if base64.RawURLEncoding.EncodeToString(data) != part {
		return nil, refuse(Spelling, "not canonical")
	}
	return data, nil
}

// read reads a document that is one object and has one reading. The rule is the one that a bad
// document breaks.
func (r *Reference) read(rule Rule, data []byte) (object, error) {
	if r.careless(rule) {
		return sloppyRead(data), nil
	}
	if !utf8.Valid(data) {
		return nil, refuse(rule, "not UTF-8")
	}
	if !json.Valid(data) {
		return nil, refuse(rule, "not JSON")
	}
	if !paired(data) {
		return nil, refuse(rule, "half of a surrogate pair")
	}
	if why := walk(json.NewDecoder(bytes.NewReader(data)), 0); why != "" {
		return nil, refuse(rule, "%s", why)
	}
	var o object
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&o); err != nil || o == nil {
		return nil, refuse(rule, "not an object")
	}
	return o, nil
}

// escape is one escape of a string. Outside strings there is no backslash in JSON.
var escape = regexp.MustCompile(`\\(?:u([0-9A-Fa-f]{4})|.)`)

// paired reports whether every escaped high surrogate is followed at once by an escaped low one,
// and every low one preceded.
func paired(document []byte) bool {
	expected := -1 // where a low surrogate must stand
	for _, at := range escape.FindAllSubmatchIndex(document, -1) {
		var unit uint64
		if at[2] >= 0 {
			unit, _ = strconv.ParseUint(string(document[at[2]:at[3]]), 16, 16)
		}
		low := 0xDC00 <= unit && unit <= 0xDFFF
		if low != (expected == at[0]) || !low && expected >= 0 {
			return false
		}
		expected = -1
		if 0xD800 <= unit && unit <= 0xDBFF {
			expected = at[1]
		}
	}
	return expected < 0
}

// walk goes through the value that comes next, and says what is wrong with it. The decoder has
// unescaped the names.
func walk(decoder *json.Decoder, depth int) (wrong string) {
	token, _ := decoder.Token()
	bracket, ok := token.(json.Delim)
	if !ok {
		return ""
	}
	if depth == maxDepth {
		return "nested too deeply"
	}
	names := map[any]bool{}
	for decoder.More() {
		if bracket == '{' {
			name, _ := decoder.Token()
			if names[name] {
				return "a name twice"
			}
			names[name] = true
		}
		if wrong := walk(decoder, depth+1); wrong != "" {
			return wrong
		}
	}
	_, _ = decoder.Token()
	return ""
}

// numericDate reads a date, which is a number of seconds that is not negative and not after the
// year 9999.
func numericDate(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok || strings.HasPrefix(number.String(), "-") {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds > maxNumericDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

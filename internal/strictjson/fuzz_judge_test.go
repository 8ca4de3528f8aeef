package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/strictjson"
)

func absentName(members []strictjson.Member) string {
	for i := 0; ; i++ {
		name, taken := "absent"+strconv.Itoa(i), false
		for _, member := range members {
			taken = taken || member.Name == name
		}
		if !taken {
			return name
		}
	}
}

// checkValue compares the readers of one value with encoding/json, at every depth.
func checkValue(t *testing.T, value string) {
	members, isObject := strictjson.Members(value)
	elements, isArray := strictjson.Elements(value)
	text, isString := strictjson.String(value)
	if isObject != (value[0] == '{') || isArray != (value[0] == '[') || isString != (value[0] == '"') {
		t.Fatalf("%q: object %t, array %t, string %t", value, isObject, isArray, isString)
	}
	switch {
	case isObject:
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(value), &want); err != nil || len(want) != len(members) {
			t.Fatalf("%q has members %v", value, members)
		}
		for _, member := range members {
			if string(want[member.Name]) != member.Value {
				t.Fatalf("%q: member %q is %q", value, member.Name, member.Value)
			}
			checkValue(t, member.Value)
		}
	case isArray:
		var want []json.RawMessage
		if err := json.Unmarshal([]byte(value), &want); err != nil || len(want) != len(elements) {
			t.Fatalf("%q has elements %q", value, elements)
		}
		for i, element := range elements {
			if string(want[i]) != element {
				t.Fatalf("%q: element %d is %q", value, i, element)
			}
			checkValue(t, element)
			if !strictjson.AnyElement(value, func(e string) bool { return e == element }) {
				t.Fatalf("%q: element %d is not found", value, i)
			}
		}
		if strictjson.AnyElement(value, func(string) bool { return false }) {
			t.Fatalf("%q: an element is found that is not there", value)
		}
	case isString:
		var want string
		if err := json.Unmarshal([]byte(value), &want); err != nil || want != text {
			t.Fatalf("%q is %q, want %q", value, text, want)
		}
		if !strictjson.Spells(value, want) || strictjson.Spells(value, want+"a") || strictjson.Spells(value, "a"+want) {
			t.Fatalf("%q does not spell %q alone", value, want)
		}
	}
}

// judgeObject decides without the reader under test whether Object is to accept a document.
func judgeObject(doc []byte) error {
	if err := judge(doc); err != nil {
		return err
	}
	if bytes.TrimLeft(doc, " \t\r\n")[0] != '{' {
		return errors.New("not an object")
	}
	return nil
}

// judge decides the same for Unmarshal, which takes any value at the top.
func judge(doc []byte) error {
	if !utf8.Valid(doc) || !json.Valid(doc) {
		return errors.New("not JSON in UTF-8")
	}
	if loneSurrogate(doc) {
		return errors.New("half of a surrogate pair")
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	return judgeTokens(decoder, 0)
}

// judgeTokens goes through one value and finds what is nested too deeply, and names that repeat.
func judgeTokens(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	bracket, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth++; depth > strictjson.MaxDepth {
		return errors.New("too deep")
	}
	names := make(map[json.Token]bool)
	for decoder.More() {
		if bracket == '{' {
			name, err := decoder.Token()
			if err != nil {
				return err
			}
			if names[name] {
				return fmt.Errorf("duplicate %q", name)
			}
			names[name] = true
		}
		if err := judgeTokens(decoder, depth); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

var escapes = regexp.MustCompile(`(?s)\\(u[0-9a-fA-F]{4}|.)`)

// loneSurrogate looks for \ud800 to \udfff without a partner in valid JSON, where a backslash
// always begins an escape.
func loneSurrogate(doc []byte) bool {
	high := -1 // where a high surrogate ended
	for _, at := range escapes.FindAllIndex(doc, -1) {
		unit := uint64(0)
		if doc[at[0]+1] == 'u' {
			unit, _ = strconv.ParseUint(string(doc[at[0]+2:at[1]]), 16, 16)
		}
		low := unit >= 0xdc00 && unit <= 0xdfff
		if paired := high == at[0]; low != paired || high >= 0 && !paired {
			return true
		}
		high = -1
		if unit >= 0xd800 && unit <= 0xdbff {
			high = at[1]
		}
	}
	return high >= 0
}

// claims has a field for every turn the walk of Unmarshal can take.
type claims struct {
	Common
	*Linked
	Sub     string            `json:"sub"`
	Kid     *string           `json:"kid"`
	Big     int               `json:"SUB2"`
	Small   int               `json:"sub2"`
	List    []leaf            `json:"list"`
	Map     map[string]leaf   `json:"map"`
	Pointer *leaf             `json:"ptr"`
	Any     any               `json:"any"`
	Held    any               `json:"held"`
	Raw     json.RawMessage   `json:"raw"`
	Named   string            // "Named"
	Skipped string            `json:"-"`
	Words   map[string]string `json:"words"`
}

type Common struct {
	Iss string `json:"iss"`
	Sub string `json:"sub"` // hidden
}

type Linked struct {
	Linked string `json:"linked"`
}

type leaf struct {
	K    string `json:"k"`
	S    bool   `json:"s"`
	Next *leaf  `json:"next"`
}

// members decodes an object by encoding/json's rules for maps, which compare nothing.
func members(value []byte, decode func(member func(name string, v any))) error {
	var values map[string]json.RawMessage
	err := json.Unmarshal(value, &values)
	decode(func(name string, v any) {
		raw, ok := values[name]
		if !ok {
			return
		}
		if custom, ok := v.(func([]byte) error); ok {
			err = errors.Join(err, custom(raw))
		} else {
			err = errors.Join(err, json.Unmarshal(raw, v))
		}
	})
	return err
}

func decodeClaims(doc []byte, c *claims) error {
	return members(doc, func(member func(name string, v any)) {
		member("iss", &c.Iss)
		member("linked", func(raw []byte) error {
			c.Linked = &Linked{}
			return json.Unmarshal(raw, &c.Linked.Linked)
		})
		member("sub", &c.Sub)
		member("kid", &c.Kid)
		member("SUB2", &c.Big)
		member("sub2", &c.Small)
		member("list", func(raw []byte) error { return decodeList(raw, &c.List) })
		member("map", func(raw []byte) error { return decodeMap(raw, &c.Map) })
		member("ptr", func(raw []byte) error { return decodePointer(raw, &c.Pointer) })
		member("any", &c.Any)
		member("held", func(raw []byte) error {
			if string(raw) == "null" {
				c.Held = nil
				return nil
			}
			return decodeLeaf(raw, c.Held.(*leaf))
		})
		member("raw", &c.Raw)
		member("Named", &c.Named)
		member("words", &c.Words)
	})
}

func decodeLeaf(value []byte, l *leaf) error {
	return members(value, func(member func(name string, v any)) {
		member("k", &l.K)
		member("s", &l.S)
		member("next", func(raw []byte) error { return decodePointer(raw, &l.Next) })
	})
}

func decodePointer(value []byte, l **leaf) error {
	if string(value) == "null" {
		return nil
	}
	*l = &leaf{}
	return decodeLeaf(value, *l)
}

func decodeList(value []byte, list *[]leaf) error {
	var values []json.RawMessage
	err := json.Unmarshal(value, &values)
	if values != nil {
		*list = make([]leaf, len(values))
	}
	for i, raw := range values {
		err = errors.Join(err, decodeLeaf(raw, &(*list)[i]))
	}
	return err
}

func decodeMap(value []byte, m *map[string]leaf) error {
	var values map[string]json.RawMessage
	err := json.Unmarshal(value, &values)
	if values != nil {
		*m = make(map[string]leaf)
	}
	for name, raw := range values {
		var l leaf
		err = errors.Join(err, decodeLeaf(raw, &l))
		(*m)[name] = l
	}
	return err
}

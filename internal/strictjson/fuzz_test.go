package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// seed adds the documents of the table tests to a fuzz target.
func seed(f *testing.F, more ...string) {
	for _, table := range []map[string]string{accepted, refused} {
		if len(table) == 0 {
			f.Fatal("no seeds: a table is empty")
		}
		for _, doc := range table {
			f.Add([]byte(doc))
		}
	}
	for _, doc := range more {
		f.Add([]byte(doc))
	}
}

// FuzzObject holds Object to a second judge, which is made of encoding/json and a walk over its
// tokens.
func FuzzObject(f *testing.F) {
	seed(f, pair, `{"iss":"https://a.test","aud":["a","b"],"exp":1.7e9,"realm_access":{"roles":["x","\u0079"]}}`)
	f.Fuzz(func(t *testing.T, doc []byte) {
		input := string(doc)
		members, err := strictjson.Object(input)
		if err != nil && (!errors.Is(err, strictjson.ErrInvalid) || members != nil) {
			t.Fatalf("%v, %v", members, err)
		}
		if want := judgeObject(doc); (err == nil) != (want == nil) {
			t.Fatalf("Object says %v, the judge says %v", err, want)
		}
		absent := absentName(members)
		if value, found, findErr := strictjson.Find(doc, absent); found || value != nil || findErr != nil && err == nil {
			t.Fatalf("Find of an absent name: %q, %t, %v; Object says %v", value, found, findErr, err)
		}
		if string(doc) != input {
			t.Fatal("the document was changed")
		}
		if err != nil {
			return
		}

		var values map[string]json.RawMessage
		if err := json.Unmarshal(doc, &values); err != nil || len(values) != len(members) {
			t.Fatalf("encoding/json has %d members, %v; want %d", len(values), err, len(members))
		}
		for _, member := range members {
			if want, ok := values[member.Name]; !ok || string(want) != member.Value {
				t.Fatalf("member %q is %q, encoding/json has %q, %t", member.Name, member.Value, want, ok)
			}
			value, found, err := strictjson.Find(doc, member.Name)
			text, _, textErr := strictjson.Find(input, member.Name)
			if text != string(value) || err != textErr {
				t.Fatalf("Find(%q) is %q, %v in bytes and %q, %v in a string", member.Name, value, err, text, textErr)
			}
			if err != nil || !found || string(value) != member.Value {
				t.Fatalf("Find(%q) is %q, %t, %v; want %q", member.Name, value, found, err, member.Value)
			}
			checkValue(t, member.Value)
		}
	})
}

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

// FuzzUnmarshal compares Unmarshal with a decoder that is written by hand over maps, and so is
// case-exact.
func FuzzUnmarshal(f *testing.F) {
	seed(f, pair,
		`{"iss":"a","ISS":"b","linked":"c","Linked":"d","sub2":1,"SUB2":2,"Sub2":3,"Named":"e","named":"f","-":"g"}`,
		`{"kid":null,"KID":"x","list":[{"k":"a","K":"b"},{},null],"map":{"k":{"k":"a","\u212a":"b"},"K":{"S":true}}}`,
		`{"ptr":{"next":{"k":"a","K":"b","next":{"s":true,"\u017f":false}}},"raw":{"K":1}}`,
		`{"any":{"k":1,"K":2},"held":{"k":"a","K":"b"},"words":{"a":"b","A":"c"},"Skipped":"h"}`,
		`{"list":{},"map":[],"ptr":"x","held":[1],"kid":1,"SUB2":1e999}`,
		`{"list":[],"map":{},"held":null,"ptr":null,"raw":null}`,
		`{"Common":{"iss":"x"},"held":{"NEXT":{"k":"a"},"next":{"K":"a"}}}`, `[{"sub":"a"}]`, `null`, `"sub"`,
	)
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, want := claims{Held: &leaf{}}, claims{Held: &leaf{}}
		err := strictjson.Unmarshal(doc, &got)
		if judged := judge(doc); (judged != nil) != errors.Is(err, strictjson.ErrInvalid) {
			t.Fatalf("Unmarshal says %v, the judge says %v", err, judged)
		}
		if errors.Is(err, strictjson.ErrInvalid) {
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("a refused document wrote %+v", got)
			}
			return
		}
		if wantErr := decodeClaims(doc, &want); (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, the reference has %v", err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("\n got %+v\nwant %+v", got, want)
		}
	})
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

package strictjson_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// entriesOf returns the entries of a document, those that are broken in brackets.
func entriesOf(t *testing.T, document string) (shown string, ok bool, err error) {
	t.Helper()
	entries, ok, err := strictjson.Entries(document, "keys")
	var all []string
	for _, entry := range entries {
		text := entry.Value
		if entry.Err != nil {
			text = "<" + text + ">"
			if !errors.Is(entry.Err, strictjson.ErrInvalid) {
				t.Errorf("the error of %q is %v", entry.Value, entry.Err)
			}
		}
		all = append(all, text)
	}
	return strings.Join(all, " "), ok, err
}

func TestEntriesAreJudgedOneByOne(t *testing.T) {
	for document, want := range map[string]string{
		`{"keys":[]}`:                                      ``,
		`{"keys":[1,"a",null,[2],{"a":3}]}`:                `1 "a" null [2] {"a":3}`,
		`{"keys":[{"a":1,"a":2},{"b":3}]}`:                 `<{"a":1,"a":2}> {"b":3}`,
		`{"keys":[{"b":3},{"a":1,"\u0061":2}]}`:            `{"b":3} <{"a":1,"\u0061":2}>`,
		`{"keys":[{"a":{"b":1,"b":2}},3]}`:                 `<{"a":{"b":1,"b":2}}> 3`,
		`{"keys":[{"a":[{"b":1,"b":2}],"c":4},{"a":[]}]}`:  `<{"a":[{"b":1,"b":2}],"c":4}> {"a":[]}`,
		`{"keys":[{"a":1,"a":2,"a":3,"b":{"a":1}},3]}`:     `<{"a":1,"a":2,"a":3,"b":{"a":1}}> 3`,
		"{\"keys\":[\"a\nb\",1]}":                          "<\"a\nb\"> 1",
		"{\"keys\":[{\"a\x00\":1},1]}":                     "<{\"a\x00\":1}> 1",
		"{\"keys\":[\"\xff\xfe\",1]}":                      "<\"\xff\xfe\"> 1",
		"{\"keys\":[{\"\xc3\":\"]}\"},1]}":                 "<{\"\xc3\":\"]}\"}> 1",
		`{"keys":["\x\"]}",1]}`:                            `<"\x\"]}"> 1`,
		`{"keys":["\ud800",1]}`:                            `<"\ud800"> 1`,
		`{"keys":["\u12\"",1]}`:                            `<"\u12\""> 1`,
		`{"keys":["\\",1]}`:                                `"\\" 1`,
		"{\"keys\":[\"\x01\\\\\",1]}":                      "<\"\x01\\\\\"> 1",
		`{"a":{"keys":[1]},"keys":[2],"z":{"keys":[3,3]}}`: `2`,
		`{"keys":{"a":1}}`:                                 `none`,
		`{"keys":null}`:                                    `none`,
		`{"KEYS":[1]}`:                                     `none`,
		`{}`:                                               `none`,
	} {
		got, ok, err := entriesOf(t, document)
		if !ok && err == nil {
			got = "none"
		}
		if got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", document, got, err, want)
		}
	}
}

// What is outside of the entries is read as strictly as ever, and so is the structure of the
// entries, on which it depends where each ends.
func TestDocumentsWhoseEntriesAreNotClear(t *testing.T) {
	for _, document := range []string{
		``, `null`, `[]`, `[{"keys":[]}]`, `{"keys":[1]`, `{"keys":[1}`, `{"keys":[1]}x`, `{"keys":[1]}{}`,
		`{"keys":[],"keys":[]}`, `{"keys":[1],"k\u0065ys":[2]}`, `{"a":1,"a":2,"keys":[1]}`,
		`{"keys":[1],"a":{"b":1,"b":2}}`, "{\"keys\":[1],\"a\":\"\x01\"}", "{\"keys\":[1],\"\xff\":1}", `{"a":"\x","keys":[]}`,
		`{"keys":[1,]}`, `{"keys":[,1]}`, `{"keys":[1 2]}`, `{"keys":[{"a" 1}]}`, `{"keys":[{"a":1,}]}`, `{"keys":[{a:1}]}`,
		`{"keys":[{"a":1 "b":2}]}`, `{"keys":[01]}`, `{"keys":[NaN]}`, `{"keys":['a']}`, `{"keys":["a]}`, `{"keys":["a\"]}`,
		`{"keys":[{"a":1,"a":2]}`, `{"keys":[{"a":1,"a":2},}`, "{\"keys\":[\x01]}", "{\"keys\":[\"\x01]}", "\ufeff{\"keys\":[]}",
		`{"keys":[` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `]}`,
		"{\"keys\":[{\"a\":\"\x01\",\"b\":\"}]}",
	} {
		if got, _, err := entriesOf(t, document); !errors.Is(err, strictjson.ErrInvalid) || got != "" {
			t.Errorf("%q: %q, %v", document, got, err)
		}
	}
}

// fixed repairs the faults in strings that a lenient parser does not forgive.
func fixed(document string) string {
	var b strings.Builder
	inside, escaped := false, false
	for _, c := range []byte(document) {
		switch {
		case !inside:
			inside = c == '"'
		case escaped:
			escaped = false
			if !strings.ContainsRune(`"\/bfnrtu`, rune(c)) {
				c = 'n'
			}
		case c == '\\':
			escaped = true
		case c == '"':
			inside = false
		case c < ' ' || c >= 0x80:
			c = '?'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// FuzzEntries holds what Entries promises: a document without a fault reads as by Object, each entry
// is judged as it would be alone, and a broken one takes its fault with it. A lenient parser finds
// the same entries.
func FuzzEntries(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"a":1,"a":2},{"b":"c"}]}`, "{\"keys\":[\"\n\",{\"\xff\":[{}]}],\"x\":1}", `{"keys":["\x\"]",null]}`, `{"keys":{}}`,
		`{"a":[],"keys":[{"a":{"a":[1,2,{"b":1,"b":2}]}},true,"\ud800"]}`, `{"keys":[],"keys":[1]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		entries, ok, err := strictjson.Entries(document, "keys")
		whole, strictErr := strictjson.Object(document)
		broken := slices.ContainsFunc(entries, func(e strictjson.Entry) bool { return e.Err != nil })
		if (strictErr == nil) != (err == nil && !broken) {
			t.Fatalf("Object: %v, Entries: %v, broken: %v", strictErr, err, broken)
		}
		if err != nil {
			if len(entries) > 0 || ok {
				t.Errorf("entries beside an error: %v", err)
			}
			return
		}
		if strictErr == nil {
			elements, array := strictjson.Elements(whole.Value("keys"))
			if array != ok || len(elements) != len(entries) {
				t.Fatalf("%d elements, %d entries", len(elements), len(entries))
			}
		}
		texts := make([]string, len(entries))
		for i, entry := range entries {
			_, alone := strictjson.Object(`{"a":` + entry.Value + `}`)
			if (alone == nil) != (entry.Err == nil) {
				t.Errorf("%q alone: %v, among others: %v", entry.Value, alone, entry.Err)
			}
			if texts[i] = entry.Value; entry.Err != nil {
				texts[i] = "{}"
			}
		}
		repaired, err := strictjson.Object(`{"keys":[` + strings.Join(texts, ",") + `]}`)
		if elements, _ := strictjson.Elements(repaired.Value("keys")); err != nil || len(elements) != len(entries) {
			t.Errorf("with the broken entries replaced: %d entries, %v, want %d", len(elements), err, len(entries))
		}
		var lenient map[string]json.RawMessage
		var elements []json.RawMessage
		if json.Unmarshal([]byte(fixed(document)), &lenient) == nil && ok && lenient["keys"] != nil &&
			json.Unmarshal(lenient["keys"], &elements) == nil && len(elements) != len(entries) {
			t.Errorf("a lenient parser finds %d entries, not %d", len(elements), len(entries))
		}
	})
}

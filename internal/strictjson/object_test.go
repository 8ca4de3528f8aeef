package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bearer-go/bearer/internal/strictjson"
)

func TestObjectAccepts(t *testing.T) {
	for name, doc := range accepted {
		t.Run(name, func(t *testing.T) {
			members, err := strictjson.Object(doc)
			if err != nil {
				t.Fatalf("Object(%q): %v", doc, err)
			}
			if !json.Valid([]byte(doc)) {
				t.Error("encoding/json refuses the document")
			}
			var values map[string]json.RawMessage
			if err := json.Unmarshal([]byte(doc), &values); err != nil {
				t.Fatal(err)
			}
			if len(values) != len(members) {
				t.Errorf("%d members, encoding/json has %d", len(members), len(values))
			}
			for _, member := range members {
				if want, ok := values[member.Name]; !ok || string(want) != member.Value {
					t.Errorf("member %q is %q, encoding/json has %q (%t)", member.Name, member.Value, want, ok)
				}
			}
		})
	}
}

func TestObjectRefuses(t *testing.T) {
	for name, doc := range refused {
		t.Run(name, func(t *testing.T) {
			members, err := strictjson.Object(doc)
			if !errors.Is(err, strictjson.ErrInvalid) {
				t.Errorf("error %v is not ErrInvalid", err)
			}
			if members != nil {
				t.Errorf("members with an error: %v", members)
			}
			repeats := strings.Contains(err.Error(), "twice") // which Find does not look for
			_, found, err := strictjson.Find([]byte(doc), "no such name")
			if found || errors.Is(err, strictjson.ErrInvalid) == repeats {
				t.Errorf("Find reads to the end and says %t, %v", found, err)
			}
			if _, ok := strictjson.Members(doc); ok {
				t.Error("Members accepts it")
			}
		})
	}
}

// Every proper beginning of a document is unfinished.
func TestObjectRefusesEveryPrefix(t *testing.T) {
	const doc = `{"a":[1.5e+3,true,null,{"\ud83d\ude00":"é"}],"b":-0.5}`
	if _, err := strictjson.Object(doc); err != nil {
		t.Fatal(err)
	}
	for end := range len(doc) {
		if _, err := strictjson.Object(doc[:end]); !errors.Is(err, strictjson.ErrInvalid) {
			t.Errorf("%q: %v", doc[:end], err)
		}
	}
}

func TestObjectKeepsOrderAndSpelling(t *testing.T) {
	const doc = ` { "z" : 1.50 , "\u0061\n" : [ 1, 2 ] ,"m":"\u0041" } `
	members, err := strictjson.Object(doc)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ name, value string }{{"z", "1.50"}, {"a\n", "[ 1, 2 ]"}, {"m", `"\u0041"`}}
	if len(members) != len(want) {
		t.Fatalf("%d members, want %d", len(members), len(want))
	}
	for i, w := range want {
		if members[i].Name != w.name || members[i].Value != w.value {
			t.Errorf("member %d is %q: %q, want %q: %q", i, members[i].Name, members[i].Value, w.name, w.value)
		}
	}
}

// Depth is bounded before it costs stack: a document of nothing but brackets is refused like any
// other. An envelope has room for each document that is read by itself, and for nothing deeper.
func TestEnvelopeHasRoomForADocument(t *testing.T) {
	for document, good := range map[string]bool{
		nested(strictjson.MaxDepth):            true,
		nestedObjects(strictjson.MaxDepth):     true,
		nested(strictjson.MaxDepth + 1):        false,
		nestedObjects(strictjson.MaxDepth + 1): false,
		`{"a":1,"a":2}`:                        false,
	} {
		if _, err := strictjson.Object(document); (err == nil) != good {
			t.Errorf("by itself: %v", err)
		}
		members, err := strictjson.Envelope(` {"a":1,"b":` + document + `} `)
		if (err == nil) != good || good && (len(members) != 2 || members[1].Value != document) {
			t.Errorf("in an envelope: %v", err)
		}
	}
	// A name inside is none of the envelope's own, also when it looks like one.
	if _, err := strictjson.Envelope(`{"aab":{"acb":1},"acb":2}`); err != nil {
		t.Errorf("a name that is also inside: %v", err)
	}
	for _, refused := range []string{`[]`, `{}{}`, `{"a":1,"a":2}`, ``} {
		if _, err := strictjson.Envelope(refused); !errors.Is(err, strictjson.ErrInvalid) {
			t.Errorf("%q: %v", refused, err)
		}
	}
}

func TestVeryDeepDocumentsAreRefused(t *testing.T) {
	const depth = 1 << 20
	for name, doc := range map[string]string{
		"objects": strings.Repeat(`{"a":`, depth),
		"arrays":  `{"a":` + strings.Repeat("[", depth),
		"closed":  nested(depth),
	} {
		if _, err := strictjson.Object(doc); !errors.Is(err, strictjson.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if err := strictjson.Unmarshal([]byte(doc), new(tree)); !errors.Is(err, strictjson.ErrInvalid) {
			t.Errorf("%s: Unmarshal: %v", name, err)
		}
	}
}

// Names, values and texts are parts of the document, unless there is an escape in them.
func TestReadingCostsNoMemory(t *testing.T) {
	const doc = `{"iss":"https://issuer.test","aud":["a","b"],"nested":{"a":{"b":[{"c":1},{"c":2}]}},"x":"\u0061"}`
	data := []byte(doc)
	members, elements := make([]strictjson.Member, 0, 8), make([]string, 0, 8)
	for name, read := range map[string]func() bool{
		"Object": func() bool { m, err := strictjson.AppendObject(members, doc); return err == nil && len(m) == 4 },
		"Find":   func() bool { v, ok, err := strictjson.Find(data, "nested"); return err == nil && ok && v[0] == '{' },
		"absent": func() bool { _, ok, err := strictjson.Find(data, "no such name"); return err == nil && !ok },
		"Elements": func() bool {
			e, ok := strictjson.AppendStrings(elements, `["a","b","c"]`)
			return ok && len(e) == 3
		},
		"String":   func() bool { s, ok := strictjson.String(doc[7:28]); return ok && s == "https://issuer.test" },
		"no array": func() bool { _, ok := strictjson.AppendStrings(elements, doc); return !ok },
		"broken":   func() bool { _, err := strictjson.AppendObject(members, doc[:60]); return err != nil },
	} {
		if !read() {
			t.Errorf("%s does not read what it should", name)
		}
		if n := testing.AllocsPerRun(100, func() { read() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestErrorsAreConstant(t *testing.T) {
	texts := make(map[string]bool)
	for _, doc := range refused {
		_, err := strictjson.Object(doc)
		texts[err.Error()] = true
	}
	want := []string{
		"invalid JSON: a member name occurs twice in one object",
		"invalid JSON: data after the value",
		"invalid JSON: malformed",
		"invalid JSON: nested too deeply",
		"invalid JSON: not UTF-8",
		"invalid JSON: not an object",
	}
	var got []string
	for text := range texts {
		got = append(got, text)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("texts %q, want %q", got, want)
	}
}

// The names of a small object are compared one by one, those of a large one through an index: a
// duplicate is found wherever the two stand, on both sides of the border.
func TestDuplicatesAreFoundInSmallAndLargeObjects(t *testing.T) {
	for size := 14; size <= 19; size++ {
		for first := range size {
			for second := first + 1; second < size; second++ {
				var members []string
				for i := range size {
					name := strconv.Itoa(i)
					if i == second {
						name = fmt.Sprintf(`\u%04x`, '0'+first%10)
						if first > 9 {
							name = "1" + name
						}
					}
					members = append(members, `"`+name+`":0`)
				}
				doc := "{" + strings.Join(members, ",") + "}"
				for _, doc := range []string{doc, `{"outer":1,"in":` + doc + `}`} {
					if _, err := strictjson.Object(doc); !errors.Is(err, strictjson.ErrInvalid) {
						t.Errorf("%s: %v", doc, err)
					}
				}
			}
		}
	}
}

// Names that look alike to a shortcut are told apart, and one that stands twice is found, wherever
// others stand between.
func TestNamesThatAreAlikeAreToldApart(t *testing.T) {
	names := []string{""}
	for _, last := range []string{"", "a", "b", "c"} {
		for _, middle := range []string{"", "a", "b", "c"} {
			for _, first := range []string{"a", "b", "c"} {
				if name := first + middle + last; !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	for _, one := range names {
		for _, other := range names {
			_, err := strictjson.Object(fmt.Sprintf(`{%q:1,"x":2,%q:3,"y":4}`, one, other))
			if (err == nil) != (one != other) {
				t.Errorf("%q and %q: %v", one, other, err)
			}
		}
	}
}

func TestManyMembersAreRead(t *testing.T) {
	const n = 20_000
	doc := numbered(n)
	members, err := strictjson.Object(doc)
	if err != nil {
		t.Fatal(err)
	}
	if len(members) != n {
		t.Fatalf("%d members, want %d", len(members), n)
	}
	for i, member := range members {
		if want := strconv.Itoa(i); member.Name != want || member.Value != want {
			t.Fatalf("member %d is %q: %s", i, member.Name, member.Value)
		}
	}
	if members, err := strictjson.Object(`{"in":` + doc + `}`); err != nil || len(members) != 1 {
		t.Errorf("as an inner object: %d members, %v", len(members), err)
	}
	if _, err := strictjson.Object(numbered(n, `"0":0`)); !errors.Is(err, strictjson.ErrInvalid) {
		t.Errorf("duplicate of the first at the end: %v", err)
	}
	last := strconv.Itoa(n - 1)
	if value, ok, err := strictjson.Find([]byte(doc), last); err != nil || !ok || string(value) != last {
		t.Errorf("Find of the last: %s, %t, %v", value, ok, err)
	}
}

func TestFindReturnsTheNamedMember(t *testing.T) {
	const issuer = `"https://a.test"`
	tests := map[string]struct {
		doc   string
		value string
		found bool
		err   bool
	}{
		"first":                       {doc: `{"iss":"https://a.test","b":1}`, value: issuer, found: true},
		"last":                        {doc: ` { "b" : [1,{}] , "iss" : "https://a.test" } `, value: issuer, found: true},
		"escaped name":                {doc: `{"\u0069ss":"https://a.test"}`, value: issuer, found: true},
		"any kind of value":           {doc: `{"iss":{"x":[1, 2]}}`, value: `{"x":[1, 2]}`, found: true},
		"empty object":                {doc: `{}`},
		"absent":                      {doc: `{"a":1,"b":2}`},
		"only deeper":                 {doc: `{"a":{"iss":"x"},"b":[{"iss":"y"}]}`},
		"other case":                  {doc: `{"ISS":"x","Iss":"y","i` + "\u017f\u017f" + `":"z"}`},
		"other case before":           {doc: `{"ISS":"x","iss":"https://a.test"}`, value: issuer, found: true},
		"deeper before":               {doc: `{"a":{"iss":"x"},"iss":"https://a.test"}`, value: issuer, found: true},
		"second one not looked at":    {doc: `{"iss":"https://a.test","iss":"x"}`, value: issuer, found: true},
		"garbage after not looked at": {doc: `{"iss":"https://a.test" garbage`, value: issuer, found: true},
		"bad UTF-8 after":             {doc: "{\"iss\":\"https://a.test\",\"\xff", value: issuer, found: true},
		"value cut short":             {doc: `{"iss":"https://a.t`, err: true},
		"value malformed":             {doc: `{"iss":"\ud800"}`, err: true},
		"no colon":                    {doc: `{"iss" "https://a.test"}`, err: true},
		"malformed before":            {doc: `{"a":01,"iss":"https://a.test"}`, err: true},
		"bad UTF-8 before":            {doc: "{\"a\":\"\xff\",\"iss\":\"https://a.test\"}", err: true},
		"duplicate before":            {doc: `{"a":1,"a":2,"iss":"https://a.test"}`, value: issuer, found: true},
		"deeper duplicate before":     {doc: `{"a":{"b":1,"b":2},"iss":"https://a.test"}`, value: issuer, found: true},
		"escaped":                     {doc: `{"\u0069\u0073\u0073":"https://a.test"}`, value: issuer, found: true},
		"escaped, another":            {doc: `{"\u0069\u0073\u0073\u0073":"https://a.test"}`},
		"escaped, much longer":        {doc: `{"` + strings.Repeat(`\u0069`, 100) + `":1}`},
		"too deep before":             {doc: `{"a":` + nestedObjects(strictjson.MaxDepth) + `,"iss":1}`, err: true},
		"absent, data after":          {doc: `{"a":1}x`, err: true},
		"absent, unfinished":          {doc: `{"a":1`, err: true},
		"array":                       {doc: `["iss","https://a.test"]`, err: true},
		"array of objects":            {doc: `[{"iss":"https://a.test"}]`, err: true},
		"string":                      {doc: `"iss"`, err: true},
		"nothing":                     {doc: ``, err: true},
		"byte order mark":             {doc: "\ufeff{\"iss\":\"https://a.test\"}", err: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			value, found, err := strictjson.Find([]byte(tt.doc), "iss")
			if string(value) != tt.value || found != tt.found {
				t.Errorf("%q, %t; want %q, %t", value, found, tt.value, tt.found)
			}
			if tt.err != errors.Is(err, strictjson.ErrInvalid) || !tt.err && err != nil {
				t.Errorf("error %v, want one: %t", err, tt.err)
			}
		})
	}
}

func TestMembersReadsObjects(t *testing.T) {
	members, err := strictjson.Object(`{"realm_access":{"roles":["a","b"],"\u0078":{}}}`)
	if err != nil {
		t.Fatal(err)
	}
	inner, ok := strictjson.Members(members[0].Value)
	if !ok || len(inner) != 2 || inner[0].Name != "roles" || inner[1].Name != "x" ||
		inner[0].Value != `["a","b"]` {
		t.Errorf("members %v, %t", inner, ok)
	}
	if empty, ok := strictjson.Members(inner[1].Value); !ok || len(empty) != 0 {
		t.Errorf("empty object: %v, %t", empty, ok)
	}
	for _, value := range []string{``, `[]`, `"a"`, `1`, `null`, `true`, `{`, `{}{}`} {
		if _, ok := strictjson.Members(value); ok {
			t.Errorf("%q is an object", value)
		}
	}
}

func TestElementsReadsArrays(t *testing.T) {
	tests := map[string][]string{
		`[]`:                              {},
		`[ ]`:                             {},
		`[1]`:                             {`1`},
		`[ "a" , [ 1, 2 ] ,{"b" : 1} ]`:   {`"a"`, `[ 1, 2 ]`, `{"b" : 1}`},
		`[null,true,false,-1e5,"\u0041"]`: {`null`, `true`, `false`, `-1e5`, `"\u0041"`},
	}
	for value, want := range tests {
		elements, ok := strictjson.Elements(value)
		if !ok || len(elements) != len(want) {
			t.Errorf("%s: %q, %t", value, elements, ok)
			continue
		}
		for i := range want {
			if elements[i] != want[i] {
				t.Errorf("%s: element %d is %q", value, i, elements[i])
			}
		}
	}
	for _, value := range []string{
		``, `{}`, `"a"`, `1`, `null`, `[`, `[1`, `[1,]`, `[,]`, `[1 2]`, `[]]`, `[{"a":1,"a":2}]`,
	} {
		if elements, ok := strictjson.Elements(value); ok || elements != nil {
			t.Errorf("%q is an array: %q", value, elements)
		}
	}
}

// The texts of an array are those of its elements, and there are none unless each is a string.
func TestAppendStringsTakesArraysOfStrings(t *testing.T) {
	for _, value := range []string{
		`[]`, `[ ]`, `["a"]`, `[ "a" , "\u0062\n" ,""]`, `[1]`, `["a",null]`, `["a",["b"]]`, `{}`, `"a"`, `1`, `null`, ``, `[`, `["a`, `["a"`, `["a",]`, `[,]`,
		`["a" "b"]`, `["a"]]`, `["a"] x`, `["\x"]`, `["\ud800"]`, "[\"\xff\"]", "[\"\n\"]",
	} {
		want, ok := []string{"before"}, false
		if elements, isArray := strictjson.Elements(value); isArray {
			ok = true
			for _, e := range elements {
				s, isString := strictjson.String(e)
				want, ok = append(want, s), ok && isString
			}
		}
		if !ok {
			want = nil
		}
		if got, gotOK := strictjson.AppendStrings([]string{"before"}, value); gotOK != ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %t; want %q, %t", value, got, gotOK, want, ok)
		}
	}
}

// A string is read several bytes at a time. Every two bytes are judged alike wherever they stand in
// it.
func TestEveryByteIsJudgedAlikeAnywhereInAString(t *testing.T) {
	alone := make(map[string]bool) // whether two bytes may stand in a string
	for pair := range 1 << 16 {
		two := string([]byte{byte(pair >> 8), byte(pair)})
		encoded := `{"a":"` + two + `"}`
		alone[two] = json.Valid([]byte(encoded)) && utf8.ValidString(two)
	}
	for at := range 10 {
		before, after := strings.Repeat("x", at), strings.Repeat("y", 17-at)
		for two, good := range alone {
			document := `{"a":"` + before + two + after + `"}`
			members, err := strictjson.Object(document)
			if (err == nil) != good {
				t.Fatalf("%q after %d bytes: %v", two, at, err)
			}
			if err == nil && members[0].Value != document[5:len(document)-1] {
				t.Fatalf("%q after %d bytes: %s", two, at, members[0].Value)
			}
			n := 0
			if err := strictjson.Walk([]byte(document), 0, func(_, _ []byte) error { n++; return nil }); (err == nil) != good || good && n != 1 {
				t.Fatalf("%q after %d bytes, walked: %v", two, at, err)
			}
		}
	}
}

func TestStringReadsStrings(t *testing.T) {
	tests := map[string]string{
		`""`:                           "",
		`"alice"`:                      "alice",
		`"é€😀"`:                        "é€😀",
		`"\"\\\/\b\f\n\r\t"`:           "\"\\/\b\f\n\r\t",
		`"\u0041b\u00e9\u0000"`:        "Ab\u00e9\x00",
		`"a\ud83d\ude00b\uDBFF\uDFFF"`: "a\U0001f600b\U0010ffff",
		`"\\u0041"`:                    `\u0041`,
		`"\uFFFD"`:                     "\ufffd",
	}
	for value, want := range tests {
		if got, ok := strictjson.String(value); !ok || got != want {
			t.Errorf("%s: %q, %t; want %q", value, got, ok, want)
		}
	}
	for _, value := range []string{
		``, `"`, `"a`, `a`, `1`, `null`, `{}`, `["a"]`, `"a""b"`, `"a"b`, `"\ud800"`, `"\q"`, "\"\xff\"", "\"\n\"",
	} {
		if got, ok := strictjson.String(value); ok || got != "" {
			t.Errorf("%q is the string %q", value, got)
		}
	}
}

package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

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

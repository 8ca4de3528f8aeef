package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
)

func TestUnmarshalIsCaseExactAtEveryDepth(t *testing.T) {
	type embedding struct{ person }
	type pointerEmbedding struct{ *Person }
	type holder struct {
		Value   person                `json:"value"`
		Pointer **person              `json:"pointer"`
		List    []person              `json:"list"`
		Array   [2]person             `json:"array"`
		Map     map[string]person     `json:"map"`
		Numbers map[int][]*person     `json:"numbers"`
		Keys    map[netip.Addr]person `json:"keys"`
		Inline  struct {
			Sub string `json:"sub"`
		} `json:"inline"`
		Deep struct {
			Deeper []map[string]*person `json:"deeper"`
		} `json:"deep"`
	}
	alice := person{Sub: "alice"}
	pointer := &alice
	inline, deep := holder{}, holder{}
	inline.Inline.Sub = "alice"
	deep.Deep.Deeper = []map[string]*person{{"x": &alice}}
	tests := map[string]struct {
		doc       string
		got, want any
	}{
		"depth 1":          {pair, new(person), &alice},
		"depth 2":          {`{"value":` + pair + `}`, new(holder), &holder{Value: alice}},
		"depth 3 and more": {`{"deep":{"deeper":[{"x":` + pair + `}]}}`, new(holder), &deep},
		"pointer":          {`{"pointer":` + pair + `}`, new(holder), &holder{Pointer: &pointer}},
		"slice": {
			`{"list":[` + pair + `,` + pair + `]}`, new(holder), &holder{List: []person{alice, alice}},
		},
		"array": {`{"array":[` + pair + `]}`, new(holder), &holder{Array: [2]person{alice}}},
		"array, which is shorter": {
			`{"array":[{},` + pair + `,` + pair + `]}`, new(holder), &holder{Array: [2]person{{}, alice}},
		},
		"map": {
			`{"map":{"sub":` + pair + `}}`, new(holder), &holder{Map: map[string]person{"sub": alice}},
		},
		"map with numbers for keys": {
			`{"numbers":{"7":[` + pair + `]}}`, new(holder), &holder{Numbers: map[int][]*person{7: {&alice}}},
		},
		"map with text for keys": {
			`{"keys":{"::1":` + pair + `}}`, new(holder), &holder{Keys: map[netip.Addr]person{netip.IPv6Loopback(): alice}},
		},
		"map keeps all its names": {
			`{"map":{"a":` + pair + `,"A":` + pair + `}}`, new(holder), &holder{Map: map[string]person{"a": alice, "A": alice}},
		},
		"struct type without a name": {`{"inline":` + pair + `}`, new(holder), &inline},
		"embedded":                   {pair, new(embedding), &embedding{alice}},
		"embedded pointer":           {pair, new(pointerEmbedding), &pointerEmbedding{&Person{Sub: "alice"}}},
		"slice at the top":           {`[` + pair + `]`, new([]person), &[]person{alice}},
		"map at the top":             {`{"a":` + pair + `}`, new(map[string]person), &map[string]person{"a": alice}},
		"pointer at the top":         {pair, new(*person), &pointer},
		"the other one first":        {`{"SUB":"admin","sub":"alice"}`, new(person), &alice},
		"long s":                     {"{\"sub\":\"alice\",\"\u017fub\":\"admin\"}", new(person), &alice},
		"long s, escaped":            {`{"sub":"alice","\u017fub":"admin"}`, new(person), &alice},
		"right name, escaped":        {`{"\u0073ub":"alice","\u0053ub":"admin"}`, new(person), &alice},
		"white space": {
			" { \"Sub\" : 1 ,\t\"sub\" : \"alice\"\r\n, \"SUB\" : \"admin\" } ", new(person), &alice,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := strictjson.Unmarshal([]byte(tt.doc), tt.got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(tt.got, tt.want) {
				t.Errorf("got %+v, want %+v", tt.got, tt.want)
			}
		})
	}
}

func TestUnmarshalLeavesFieldsOfOtherNamesAlone(t *testing.T) {
	type keyed struct {
		Kid  string            `json:"kid"`
		Go   string            // no tag: the name in the document is "Go"
		In   *keyed            `json:"in"`
		List []keyed           `json:"list"`
		Map  map[string]*keyed `json:"map"`
	}
	tests := map[string]keyed{
		`{"KID":"x"}`:                                   {},
		"{\"\u212aid\":\"x\"}":                          {},
		`{"\u212aid":"x"}`:                              {},
		`{"go":"x","GO":"x","gO":1}`:                    {},
		`{"IN":{"kid":"x"}}`:                            {},
		`{"in":{"KID":"x"}}`:                            {In: &keyed{}},
		`{"in":{"in":{"Kid":"x"}}}`:                     {In: &keyed{In: &keyed{}}},
		`{"list":[{"KID":"x"}]}`:                        {List: []keyed{{}}},
		`{"list":[{},{"KID":"x"}]}`:                     {List: []keyed{{}, {}}},
		`{"map":{"kid":{"KID":"x"}}}`:                   {Map: map[string]*keyed{"kid": {}}},
		`{"kid ":"x"," kid":"x"}`:                       {},
		`{"kid":"a","in":null}`:                         {Kid: "a"},
		`{"Go":"a","go":"x"}`:                           {Go: "a"},
		`{"KID":["of","any",{"kind":1e999}],"kid":"a"}`: {Kid: "a"},
	}
	for doc, want := range tests {
		var got keyed
		if err := strictjson.Unmarshal([]byte(doc), &got); err != nil {
			t.Errorf("%s: %v", doc, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", doc, got, want)
		}
	}
}

func TestUnmarshalReadsRecursiveTypes(t *testing.T) {
	const doc = `{"name":"a","next":{"NAME":"x","next":{"name":"c"}},"children":[{"Name":"x"},{"name":"d"}],
		"index":{"name":{"name":"e","NAME":"x"}},"lists":[[{"name":"f","naMe":"x"}]]}`
	want := tree{
		Name: "a", Next: &tree{Next: &tree{Name: "c"}}, Children: []tree{{}, {Name: "d"}},
		Index: map[string]tree{"name": {Name: "e"}}, Lists: [][]*tree{{{Name: "f"}}},
	}
	var got tree
	if err := strictjson.Unmarshal([]byte(doc), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	var self selfEmbedding
	if err := strictjson.Unmarshal([]byte(`{"name":"a","NAME":"x"}`), &self); err != nil || self.Name != "a" {
		t.Errorf("%+v, %v", self, err)
	}
}

// An interface that holds a pointer is decoded into what the pointer points to, any other is
// replaced.
func TestUnmarshalFollowsPointersInInterfaces(t *testing.T) {
	target := struct {
		Pointer  any `json:"pointer"`
		Nil      any `json:"nil"`
		Value    any `json:"value"`
		NilTyped any `json:"nil_typed"`
		Twice    any `json:"twice"`
		Slice    []any
		Hidden   []any
	}{
		Pointer: &person{}, Value: person{}, NilTyped: (*person)(nil), Slice: []any{&person{}, &person{}},
		Hidden: []any{&person{}, &person{}}[:0],
	}
	var inner any = &person{}
	target.Twice = &inner
	hidden := target.Hidden[:2]
	doc := `{"pointer":` + pair + `,"nil":` + pair + `,"value":` + pair + `,"nil_typed":` + pair + `,"twice":` + pair +
		`,"Slice":[` + pair + `,` + pair + `,` + pair + `],"Hidden":[` + pair + `,` + pair + `]}`
	if err := strictjson.Unmarshal([]byte(doc), &target); err != nil {
		t.Fatal(err)
	}
	both := map[string]any{"sub": "alice", "SUB": "admin"}
	for name, got := range map[string]any{
		"nil": target.Nil, "value": target.Value, "nil_typed": target.NilTyped, "slice": target.Slice[2],
	} {
		if !reflect.DeepEqual(got, both) {
			t.Errorf("%s: %v, want both members", name, got)
		}
	}
	for name, got := range map[string]any{
		"pointer": target.Pointer, "twice": inner, "slice 0": target.Slice[0], "slice 1": target.Slice[1],
		"hidden 0": hidden[0], "hidden 1": hidden[1],
	} {
		if p, ok := got.(*person); !ok || p.Sub != "alice" {
			t.Errorf("%s: %v, want alice", name, got)
		}
	}
}

func TestUnmarshalGivesOwnDecodersTheRawValue(t *testing.T) {
	const raw = `{ "sub" : "alice", "SUB":[ 1.0 ] }`
	var target struct {
		Value    record            `json:"value"`
		Pointer  **record          `json:"pointer"`
		List     []record          `json:"list"`
		Map      map[string]record `json:"map"`
		Promoted recordPromoted    `json:"promoted"`
		Message  json.RawMessage   `json:"message"`
		Any      any               `json:"any"`
		Word     word              `json:"word"`
		Words    map[word]*word    `json:"words"`
		Time     time.Time         `json:"time"`
		Big      *big.Int          `json:"big"`
		Bytes    []byte            `json:"bytes"`
		Number   json.Number       `json:"number"`
		Quoted   int               `json:"quoted,string"`
	}
	target.Any = &record{}
	doc := `{"value":` + raw + `,"pointer":` + raw + `,"list":[` + raw + `],"map":{"a":` + raw + `},"promoted":` + raw + `,
		"message":` + raw + `,"any":` + raw + `,"word":"w","words":{"k":"v"},"time":"2026-01-02T03:04:05Z",
		"big":12345678901234567890,"bytes":"AQI=","number":1.50,"quoted":"7"}`
	if err := strictjson.Unmarshal([]byte(doc), &target); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"value": target.Value.Raw, "pointer": (*target.Pointer).Raw, "list": target.List[0].Raw, "map": target.Map["a"].Raw,
		"promoted": target.Promoted.Raw, "message": string(target.Message), "any": target.Any.(*record).Raw,
	} {
		if got != raw {
			t.Errorf("%s: got %q, want %q", name, got, raw)
		}
	}
	if target.Word.Text != "w" || target.Words[word{"k"}].Text != "v" || target.Time.Year() != 2026 ||
		target.Big.String() != "12345678901234567890" || string(target.Bytes) != "\x01\x02" ||
		target.Number != "1.50" || target.Quoted != 7 {
		t.Errorf("got %+v", target)
	}
}

// Whether encoding/json calls the method of a struct type without a name, or reads fields behind a
// name that is not exported, depends on the release. What it reads field by field is case-exact
// here, and what a method reads is given as it stands.
func TestUnmarshalReadsStructsWhoseDecoderIsOutOfReach(t *testing.T) {
	type outOfReach struct {
		record `json:"record"`
		twin   `json:"twin"` // its method and that of record cancel out, so that the whole does not decode itself
		Inline struct {
			record
			Sub string `json:"sub"`
		} `json:"inline"`
	}
	document := func(value string) []byte {
		return []byte(`{"inline":` + value + `,"record":` + value + `,"twin":` + value + `}`)
	}
	const alone = `{"sub":"alice"}`
	var want outOfReach
	if err := json.Unmarshal(document(alone), &want); err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{alone, pair} {
		var got outOfReach
		if err := strictjson.Unmarshal(document(value), &got); err != nil {
			t.Fatal(err)
		}
		expected := want
		for _, raw := range []*string{&expected.record.Raw, &expected.Inline.Raw} {
			if *raw != "" { // a method was called
				*raw = value
			}
		}
		if got != expected {
			t.Errorf("%s:\n got %+v\nwant %+v", value, got, expected)
		}
	}
	if want.Inline.Raw == "" && want.Inline.Sub == "" {
		t.Errorf("the test does not test: %+v", want)
	}
}

// The types below have fields that compete for a name. What encoding/json of the running release
// writes for them says which wins.
type (
	Base struct {
		ID     int `json:"id"`
		Name   int
		Tagged int `json:"Plain"`
		Below  int `json:"below"`
	}
	Other struct {
		ID    int `json:"id"` // with Base at the same depth: neither
		Plain int // loses against the tag of Base
		Extra int `json:"extra"`
	}
	Deep struct {
		Below int `json:"below"` // deeper than that of Base
		ID    int `json:"id"`    // deeper than the two that cancel out: hidden all the same
		Far   int `json:"far"`
	}
	Middle struct{ Deep }
	Left   struct{ Shared }
	Right  struct{ *Shared }
	Shared struct {
		Common int
		Mutual int `json:"mutual"`
	}
	number   int
	Number   int
	hidden   struct{ Visible int }
	pointers struct {
		*Base
		*Other
	}
)

func TestUnmarshalKnowsTheFieldsOfEncodingJSON(t *testing.T) {
	var full competing
	fill(reflect.ValueOf(&full).Elem(), new(int64))
	doc, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		`"below"`, `"Plain"`, `"-"`, `"größe"`, `"hid"`, `"Number"`, `"far"`, `"Far"`, `"Visible"`,
	} {
		if !strings.Contains(string(doc), name) {
			t.Errorf("the test does not test %s: %s", name, doc)
		}
	}

	var want, got competing
	if err := json.Unmarshal(doc, &want); err != nil {
		t.Fatal(err)
	}
	if err := strictjson.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("own document:\n got %+v\nwant %+v", got, want)
	}

	// The names of all the fields that lost are no names.
	got = competing{}
	const losers = `{"id":1,"Common":1,"mutual":1,"number":1,"Inner":1,"private":1,"Name ":1,"Dash":1,
		"Empty,omitempty":1,"in\"valid":1,"Comma":1,"Tagged":1,"Shared":1,"Base":{"Name":1},"Middle":{"far":1},
		"hidden":{"Visible":1},"Deep":{"far":1}}`
	if err := strictjson.Unmarshal([]byte(losers), &got); err != nil || got != (competing{}) {
		t.Errorf("names of no field: %+v, %v", got, err)
	}
}

type (
	AnyUnderName struct{ In map[string]any }
	AnyUnderTag  struct {
		In  map[string]any `json:"in"`
		Who map[string]any `json:"Person"`
	}
	PersonUnderTag struct {
		Tagged person `json:"In"`
	}
)

// The field that wins a name also says which names are fields inside its value.
func TestUnmarshalWalksTheFieldThatWins(t *testing.T) {
	var shallow struct {
		AnyUnderTag
		In     person `json:"in"`
		Person person // before the tagged one, which is deeper
	}
	err := strictjson.Unmarshal([]byte(`{"in":`+pair+`,"Person":`+pair+`}`), &shallow)
	if err != nil || shallow.In.Sub != "alice" || shallow.Person.Sub != "alice" ||
		shallow.AnyUnderTag.In != nil || shallow.Who != nil {
		t.Errorf("the shallower one: %+v, %v", shallow, err)
	}
	var tagged struct {
		AnyUnderName
		PersonUnderTag
	}
	var reversed struct {
		PersonUnderTag
		AnyUnderName
	}
	for _, v := range []any{&tagged, &reversed} {
		if err := strictjson.Unmarshal([]byte(`{"In":`+pair+`}`), v); err != nil {
			t.Error(err)
		}
	}
	if tagged.Tagged.Sub != "alice" || reversed.Tagged.Sub != "alice" || tagged.In != nil || reversed.In != nil {
		t.Errorf("the tagged one: %+v, %+v", tagged, reversed)
	}
}

func TestUnmarshalRefusesWhatObjectRefuses(t *testing.T) {
	for name, doc := range refused {
		if json.Valid([]byte(doc)) && !strings.HasPrefix(doc, "{") {
			continue // another value at the top is no error here
		}
		for _, v := range []any{new(any), new(person), new(map[string]any), new(tree)} {
			if err := strictjson.Unmarshal([]byte(doc), v); !errors.Is(err, strictjson.ErrInvalid) {
				t.Errorf("%s: into %T: %v", name, v, err)
			}
			if !reflect.ValueOf(v).Elem().IsZero() {
				t.Errorf("%s: %T was written to", name, v)
			}
		}
	}
	// Nothing of a document is skipped, whether or not a field asks for it.
	for _, doc := range []string{
		`{"name":"a","other":{"x":1,"x":2}}`, `{"next":{"name":"a","n\u0061me":"b"}}`, `{"OTHER":[01]}`, `{"children":[{},]}`,
		`{"index":{"a":{},"a":{}}}`, `{"children":[{}}`, `{"next":{}`, "{\"NAME\":\"\xff\"}",
		strings.Repeat(`{"next":`, 33) + `{}` + strings.Repeat(`}`, 33),
	} {
		if err := strictjson.Unmarshal([]byte(doc), new(tree)); !errors.Is(err, strictjson.ErrInvalid) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// Every accepted document decodes into a value without structs as encoding/json decodes it.
func TestUnmarshalAgreesWithEncodingJSONOnMaps(t *testing.T) {
	for name, doc := range accepted {
		var got, want map[string]json.RawMessage
		if err := strictjson.Unmarshal([]byte(doc), &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := json.Unmarshal([]byte(doc), &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestUnmarshalReportsTheErrorsOfEncodingJSON(t *testing.T) {
	type target struct {
		N    int                `json:"n"`
		In   person             `json:"in"`
		List []person           `json:"list"`
		Map  map[string]int     `json:"map"`
		Bad  map[bool]string    `json:"bad"`
		F    func()             `json:"f"`
		If   interface{ Foo() } `json:"if"`
		Word word               `json:"word"`
	}
	for _, doc := range []string{
		`{"n":"x"}`, `{"n":1.5}`, `{"n":{}}`, `{"n":[]}`, `{"n":1e999}`, `{"in":[]}`, `{"in":"x"}`, `{"in":{"sub":{}}}`,
		`{"list":{}}`, `{"list":[1]}`, `{"map":[]}`, `{"map":{"a":"b"}}`, `{"bad":{"true":"x"}}`, `{"f":{}}`,
		`{"if":{"a":1}}`, `{"if":[1]}`, `{"word":{}}`, `{"word":[]}`, `[]`, `"x"`, `1`,
	} {
		got, want := strictjson.Unmarshal([]byte(doc), new(target)), json.Unmarshal([]byte(doc), new(target))
		if want == nil || got == nil || got.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", doc, got, want)
		}
	}

	// encoding/json reads on after a value of the wrong kind, and so does this.
	var got target
	err := strictjson.Unmarshal([]byte(`{"n":"x","in":{"sub":"alice","SUB":1}}`), &got)
	if err == nil || got.In.Sub != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestUnmarshalWithoutATargetIsAnError(t *testing.T) {
	for name, v := range map[string]any{
		"nil": nil, "no pointer": person{}, "nil pointer": (*person)(nil), "map": map[string]any{},
	} {
		got, want := strictjson.Unmarshal([]byte(`{}`), v), json.Unmarshal([]byte(`{}`), v)
		var invalid *json.InvalidUnmarshalError
		if !errors.As(got, &invalid) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// Inside an embedded pointer, too, what it points to is what is decoded into.
func TestUnmarshalKeepsAFilledEmbeddedPointer(t *testing.T) {
	type Holder struct {
		Any any `json:"any"`
	}
	inner := &person{}
	target := struct{ *Holder }{&Holder{Any: inner}}
	if err := strictjson.Unmarshal([]byte(`{"any":`+pair+`}`), &target); err != nil || inner.Sub != "alice" {
		t.Errorf("%+v, %v", inner, err)
	}
}

// What the target holds already stays, unless the document says otherwise: as in encoding/json.
func TestUnmarshalKeepsWhatTheTargetHolds(t *testing.T) {
	filled := func() *tree {
		return &tree{
			Name: "a", Next: &tree{Name: "b"}, Children: []tree{{Name: "c"}, {Name: "d"}},
			Index: map[string]tree{"x": {Name: "e"}}, Any: &tree{Name: "f", Any: tree{Name: "g"}},
		}
	}
	for _, doc := range []string{
		`{}`, `null`, `{"next":null,"children":null,"any":null}`,
		`{"next":{},"children":[{}],"index":{"x":{},"y":{}},"any":{}}`,
		`{"any":{"name":"z","any":{"name":"y"}}}`, `{"children":[{"any":{"name":1}},{"name":"q"},{}],"any":[]}`, `{"any":1}`,
	} {
		got, want := filled(), filled()
		gotErr, wantErr := strictjson.Unmarshal([]byte(doc), got), json.Unmarshal([]byte(doc), want)
		if !reflect.DeepEqual(got, want) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("%s: got %+v, %v; want %+v, %v", doc, got, gotErr, want, wantErr)
		}
	}
}

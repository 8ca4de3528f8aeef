package strictjson_test

import (
	"errors"
	"reflect"
)

type person struct {
	Sub string `json:"sub"`
}

// The folding of encoding/json would let the second member of each pair win.
const pair = `{"sub":"alice","SUB":"admin"}`

// Person is exported, so that encoding/json can make one behind an embedded pointer.
type Person struct {
	Sub string `json:"sub"`
}

type tree struct {
	Name     string           `json:"name"`
	Next     *tree            `json:"next"`
	Children []tree           `json:"children"`
	Index    map[string]tree  `json:"index"`
	Lists    [][]*tree        `json:"lists"`
	Any      any              `json:"any"`
	Self     map[string]*tree `json:"self"`
}

type selfEmbedding struct {
	*selfEmbedding
	Name string `json:"name"`
}

// record keeps what its UnmarshalJSON was given.
type record struct {
	Raw string
	Sub string `json:"sub"`
}

func (r *record) UnmarshalJSON(data []byte) error { r.Raw = string(data); return nil }

type word struct{ Text string }

func (w *word) UnmarshalText(text []byte) error { w.Text = string(text); return nil }

type recordPromoted struct {
	record
	Sub string `json:"sub"`
}

type twin struct {
	Sub string `json:"sub"`
}

func (*twin) UnmarshalJSON([]byte) error { return errors.New("not to be called") }

type competing struct {
	Base
	*Other
	Middle
	Left
	Right // Shared comes twice at one depth: Common is neither's
	hidden
	number         // not exported and no struct: ignored
	Number         // a field of its own
	Shadow  Deep   `json:"shadow"`
	Inner   hidden `json:"-"`
	Dash    int    `json:"-,"`
	Empty   int    `json:",omitempty"`
	Invalid int    `json:"in\"valid"` // its name depends on the release
	Comma   int    `json:"with space/and:punct"`
	Unicode int    `json:"größe"`
	Far     int    // not tagged, not named far
	Upper   int    `json:"EXTRA"`
	Rival1  int    `json:"ID"` // what folding would find for the names that cancel out
	Rival2  int    `json:"COMMON"`
	Rival3  int    `json:"MUTUAL"`
	private int    // must stay out
	Tagged2 taggedEmbedding
	Pointed pointers
}

type taggedEmbedding struct {
	Base   `json:"base"`
	hidden `json:"hid"`
}

// fill sets every int that reflection may set to its own number.
func fill(v reflect.Value, next *int64) {
	switch v.Kind() {
	case reflect.Int:
		if v.CanSet() {
			*next++
			v.SetInt(*next)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	}
}

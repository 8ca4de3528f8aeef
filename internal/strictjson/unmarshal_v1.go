//go:build !(go1.27 && goexperiment.jsonv2)

package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"unicode"
)

// unmarshal leaves out of the document what encoding/json would match by folding, and has
// encoding/json decode the rest. Members that match no field are gone then, so that the offsets in
// its errors do not count them.
func unmarshal[T text](data T, v any) error {
	f := filter[T]{in: lexer[T]{data: data}, out: make([]byte, 0, len(data))}
	if err := f.value(reflect.ValueOf(v)); err != nil {
		return err
	}
	if err := f.in.end(); err != nil {
		return err
	}
	return json.Unmarshal(f.out, v)
}

// filter copies a document without the members that match a struct field by folding alone. It walks
// the value that will be decoded into beside the document, by the rules of encoding/json, and
// changes nothing in it. The document ends the walk, so that recursive types need no care.
type filter[T text] struct {
	in  lexer[T]
	out []byte
}

// value copies the next value, which will be decoded into v.
func (f *filter[T]) value(v reflect.Value) error {
	switch f.in.next() {
	case '{':
		switch v = settle(v); v.Kind() {
		case reflect.Struct:
			return f.structure(v)
		case reflect.Map:
			return f.mapping(v)
		}
	case '[':
		switch v = settle(v); v.Kind() {
		case reflect.Slice, reflect.Array:
			return f.list(v)
		}
	}
	start, end, err := f.in.span()
	f.out = append(f.out, f.in.data[start:end]...)
	return err
}

// structure copies an object which will be decoded into a struct.
func (f *filter[T]) structure(v reflect.Value) error {
	fields := fieldsOf(v.Type())
	f.out = append(f.out, '{')
	err := f.in.object(func(start int) error {
		index, ok := fields[string(f.in.names.last())]
		if !ok {
			return f.in.value()
		}
		f.member(start)
		return f.value(fieldByIndex(v, index))
	})
	f.out = append(f.out, '}')
	return err
}

// mapping copies an object which will be decoded into a map. Each member makes a new element,
// whatever the map holds.
func (f *filter[T]) mapping(v reflect.Value) error {
	element := reflect.Zero(v.Type().Elem())
	f.out = append(f.out, '{')
	err := f.in.object(func(start int) error {
		f.member(start)
		return f.value(element)
	})
	f.out = append(f.out, '}')
	return err
}

// list copies an array which will be decoded into a slice or an array. encoding/json decodes into
// the elements that are there already, those between the length and the capacity of a slice among
// them.
func (f *filter[T]) list(v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		v = v.Slice(0, v.Cap())
	}
	next, element := 0, reflect.Zero(v.Type().Elem())
	f.out = append(f.out, '[')
	err := f.in.array(func() error {
		f.separate('[')
		e := element
		if next < v.Len() {
			e = v.Index(next)
		}
		next++
		return f.value(e)
	})
	f.out = append(f.out, ']')
	return err
}

// member copies the name of a member and its colon.
func (f *filter[T]) member(start int) {
	f.separate('{')
	f.out = append(f.out, f.in.data[start:f.in.pos]...)
}

// separate puts a comma before everything but what comes first after the bracket. No value ends in
// that bracket.
func (f *filter[T]) separate(bracket byte) {
	if f.out[len(f.out)-1] != bracket {
		f.out = append(f.out, ',')
	}
}

// settle follows pointers, and interfaces that hold one, to the value that encoding/json will
// decode an object or an array into, with an empty one where a nil pointer stands. It returns the
// zero Value where the type decodes itself. This is the function indirect of encoding/json, without
// its effects.
func settle(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer && v.Type().Name() != "" && v.CanInterface() &&
		decodesItself(reflect.PointerTo(v.Type())) {
		return reflect.Value{}
	}
	for {
		if v.Kind() == reflect.Interface && !v.IsNil() {
			if e := v.Elem(); e.Kind() == reflect.Pointer && !e.IsNil() {
				v = e
			}
		}
		if v.Kind() != reflect.Pointer {
			return v
		}
		if v.CanInterface() && decodesItself(v.Type()) {
			return reflect.Value{}
		}
		if v.IsNil() {
			v = reflect.Zero(v.Type().Elem())
			continue
		}
		pointer := v
		v = v.Elem()
		if v.Kind() == reflect.Interface && v.Elem().Equal(pointer) {
			return v // an interface that holds its own address
		}
	}
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func decodesItself(t reflect.Type) bool {
	return t.NumMethod() > 0 && (t.Implements(unmarshaler) || t.Implements(textUnmarshaler))
}

// fieldByIndex returns a field that may lie in an embedded struct, of an empty one where an
// embedded pointer is nil.
func fieldByIndex(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v = reflect.Zero(v.Type().Elem())
			} else {
				v = v.Elem()
			}
		}
		v = v.Field(i)
	}
	return v
}

var fieldCache sync.Map // reflect.Type -> map[string][]int

// fieldsOf returns the fields of a struct that encoding/json knows: their JSON names and their
// places.
func fieldsOf(t reflect.Type) map[string][]int {
	if fields, ok := fieldCache.Load(t); ok {
		return fields.(map[string][]int)
	}
	fields, _ := fieldCache.LoadOrStore(t, readFields(t))
	return fields.(map[string][]int)
}

// candidate is a field that may be the one its name stands for.
type candidate struct {
	index     []int
	tagged    bool // the name is from a tag
	ambiguous bool // there is another one of the same rank: the name stands for no field
}

// embedded is a struct whose fields belong to the struct it is embedded in.
type embedded struct {
	typ   reflect.Type
	index []int
	twice bool // embedded more than once at the same depth
}

// readFields goes through a struct and those embedded in it, one depth after the other. The rules
// are those of Go for embedded fields, where a tagged field goes before the others of its depth
// (see [json.Marshal]).
func readFields(t reflect.Type) map[string][]int {
	names := make(map[string]candidate)
	visited := make(map[reflect.Type]bool)
	for level := []embedded{{typ: t}}; len(level) > 0; {
		var next []embedded
		for _, e := range level {
			if visited[e.typ] {
				continue
			}
			visited[e.typ] = true
			for i := range e.typ.NumField() {
				index := append(e.index[:len(e.index):len(e.index)], i)
				field := e.typ.Field(i)
				name, inner, ok := classify(field)
				switch {
				case !ok:
				case inner != nil:
					next = embed(next, inner, index)
				case name != "":
					offer(names, name, candidate{index: index, tagged: true, ambiguous: e.twice})
				default:
					offer(names, field.Name, candidate{index: index, ambiguous: e.twice})
				}
			}
		}
		level = next
	}

	fields := make(map[string][]int, len(names))
	for name, c := range names {
		if !c.ambiguous {
			fields[name] = c.index
		}
	}
	return fields
}

// classify says what encoding/json makes of a field: the name from its tag, if it has one, or the
// struct whose fields take the field's place, or false if it ignores the field.
func classify(field reflect.StructField) (name string, inner reflect.Type, ok bool) {
	typ := field.Type
	if typ.Kind() == reflect.Pointer && typ.Name() == "" {
		typ = typ.Elem()
	}
	isStruct := typ.Kind() == reflect.Struct
	tag := field.Tag.Get("json")
	if tag == "-" || !field.IsExported() && !(field.Anonymous && isStruct) {
		return "", nil, false
	}
	if name, _, _ = strings.Cut(tag, ","); !validName(name) {
		name = ""
	}
	if field.Anonymous && isStruct && name == "" {
		return "", typ, true
	}
	return name, nil, true
}

// embed adds a struct to those of the next depth.
func embed(next []embedded, typ reflect.Type, index []int) []embedded {
	for i := range next {
		if next[i].typ == typ {
			next[i].twice = true
			return next
		}
	}
	return append(next, embedded{typ: typ, index: index})
}

// offer gives a name to a field, unless one of higher rank has it. Fields are offered in the order
// of their depth.
func offer(names map[string]candidate, name string, c candidate) {
	held, taken := names[name]
	switch {
	case !taken, len(held.index) == len(c.index) && c.tagged && !held.tagged:
		names[name] = c
	case len(held.index) == len(c.index) && c.tagged == held.tagged:
		held.ambiguous = true
		names[name] = held
	}
}

// validName reports whether encoding/json takes a name from a tag.
func validName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return name != ""
}

package strictjson

import (
	"encoding/json"
	"reflect"
)

// Unmarshal decodes data into the value that v points to, as [json.Unmarshal] of the running Go
// release does, with two differences. A member sets a struct field only if its name is the field's
// name, byte for byte, at every depth: encoding/json falls back on a comparison that folds case and
// Unicode look-alikes (s and U+017F, k and U+212A), so that {"sub":"alice","SUB":"admin"} would be
// the admin. And what breaks the rules of [Object] is an error that wraps [ErrInvalid], and then
// nothing has been written to v. Data may be any one JSON value.
//
// A nil v, or one that is no pointer, is a [json.InvalidUnmarshalError].
//
// A type with a method UnmarshalJSON gets its value as it stands in the document: what such a
// method makes of the names is its own business. So is what a field asks for in its tag: since Go
// 1.27 a field with the option case:ignore folds case. Of two members that set one field, or one
// element of a map, the second is an error there.
//
// What encoding/json does differs from release to release: since Go 1.27 it is built on
// encoding/json/v2, which calls decoding methods, and takes names from tags, that it passed over
// before. GOEXPERIMENT=nojsonv2 brings back the old one.
func Unmarshal[T text](data T, v any) error {
	if target := reflect.ValueOf(v); target.Kind() != reflect.Pointer || target.IsNil() {
		return &json.InvalidUnmarshalError{Type: reflect.TypeOf(v)}
	}
	return unmarshal(data, v)
}

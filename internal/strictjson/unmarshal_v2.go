//go:build go1.27 && goexperiment.jsonv2

package strictjson

import (
	"encoding/json"
	"encoding/json/jsontext"
	jsonv2 "encoding/json/v2"
)

// strict is what json.Unmarshal does here, but for names: the options it is made of, and then those
// that this package changes.
//
// The build tag of this file says that encoding/json is built on encoding/json/v2. Should a later
// release drop it, the tests that compare this package with encoding/json fail.
var strict = jsonv2.JoinOptions(
	json.DefaultOptionsV1(),
	jsonv2.MatchCaseInsensitiveNames(false),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false),
)

// unmarshal judges the document by the rules of this package, depth among them, and then has
// encoding/json/v2 decode it.
func unmarshal[T text](data T, v any) error {
	l := lexer[T]{data: data}
	if err := l.value(); err != nil {
		return err
	}
	if err := l.end(); err != nil {
		return err
	}
	return jsonv2.Unmarshal([]byte(data), v, strict)
}

package strictjson_test

import (
	"fmt"
	"strings"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// nested returns an object with this many objects and arrays around its innermost value.
func nested(depth int) string {
	arrays := depth - 1
	return `{"a":` + strings.Repeat("[", arrays) + strings.Repeat("]", arrays) + `}`
}

// nestedObjects returns this many objects one within the other.
func nestedObjects(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
}

// numbered returns an object of n members "0", "1" and so on, and then the others.
func numbered(n int, others ...string) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"%d":%d`, i, i))
	}
	return "{" + strings.Join(append(members, others...), ",") + "}"
}

var accepted = map[string]string{
	"empty object":                    `{}`,
	"white space everywhere":          " \t\r\n{ \"a\" :\n[ 1 ,\t2 ] , \"b\"\r: { } } \n",
	"white space in empty containers": `{"a":[ ],"b":{ }}`,
	"empty name":                      `{"":1}`,
	"literals":                        `{"a":true,"b":false,"c":null}`,
	"integers":                        `{"a":0,"b":-0,"c":10,"d":-12345678901234567890}`,
	"fractions":                       `{"a":0.0,"b":-1.50,"c":100.001}`,
	"exponents":                       `{"a":1e5,"b":1E+05,"c":-0.1e-10,"d":0e0}`,
	"number beyond float64":           `{"a":1e999}`,
	"names that differ in case":       `{"sub":1,"SUB":2,"Sub":3}`,
	"names that differ by look-alike": `{"sub":1,"` + "\u017f" + `ub":2}`,
	"names that differ by form":       `{"` + "\u00e9" + `":1,"e` + "\u0301" + `":2}`,
	"a name that starts another":      `{"a":1,"ab":2,"":3,"b":4}`,
	"same name at other depths":       `{"a":{"a":{"a":1}},"b":{"a":[{"a":1},{"a":2}]}}`,
	"name of a closed object again":   `{"x":{"y":1,"z":2},"y":1,"z":{"y":2}}`,
	"every short escape":              `{"a":"\"\\\/\b\f\n\r\t"}`,
	"unicode escapes":                 `{"a":"\u0041\u00e9\u20AC\u0000\uFFFD\uffff"}`,
	"surrogate pair":                  `{"a":"\ud83d\ude00\uDBFF\uDFFF"}`,
	"escaped backslash before u":      `{"a":"\\ud800"}`,
	"escaped name":                    `{"\u0073ub":"alice"}`,
	"DEL and raw UTF-8":               `{"a":"` + "\x7f\u0080\u07ff\uffff\U0010ffff\ufffd\ufeff" + `"}`,
	"sixteen members":                 numbered(16),
	"seventeen members":               numbered(17),
	"large object in a large object":  numbered(20, `"in":`+numbered(20)),
	"deepest array":                   nested(strictjson.MaxDepth),
	"deepest object":                  nestedObjects(strictjson.MaxDepth),
	"depth counts what is open":       `{"a":[` + strings.Repeat("[],{},", 100) + `[]]}`,
}

var refused = map[string]string{
	"nothing":                          ``,
	"only white space":                 " \n",
	"array at the top":                 `[{"a":1}]`,
	"string at the top":                `"a"`,
	"number at the top":                `1`,
	"null at the top":                  `null`,
	"byte order mark":                  "\ufeff{}",
	"no-break space before":            "\u00a0{}",
	"form feed before":                 "\f{}",
	"NUL before":                       "\x00{}",
	"NUL after":                        "{}\x00",
	"NUL between tokens":               "{\"a\"\x00:1}",
	"garbage after":                    `{}x`,
	"second object":                    `{}{}`,
	"closing bracket after":            `{}}`,
	"comma after":                      `{},`,
	"unfinished object":                `{`,
	"unfinished name":                  `{"a`,
	"name alone":                       `{"a"`,
	"name and colon":                   `{"a":`,
	"unfinished member":                `{"a":1`,
	"unfinished after comma":           `{"a":1,`,
	"trailing comma in object":         `{"a":1,}`,
	"leading comma in object":          `{,"a":1}`,
	"only a comma in object":           `{,}`,
	"no colon":                         `{"a" 1}`,
	"two colons":                       `{"a"::1}`,
	"no comma":                         `{"a":1 "b":2}`,
	"no value":                         `{"a":}`,
	"wrong closing bracket":            `{"a":[1}}`,
	"wrong closing bracket of object":  `{"a":1]`,
	"unquoted name":                    `{a:1}`,
	"single quotes":                    `{'a':1}`,
	"number as a name":                 `{1:1}`,
	"comment":                          `{"a":1/*x*/}`,
	"line comment":                     "{\"a\":1//x\n}",
	"trailing comma in array":          `{"a":[1,]}`,
	"leading comma in array":           `{"a":[,1]}`,
	"unfinished array":                 `{"a":[1`,
	"no comma in array":                `{"a":[1 2]}`,
	"literal in capitals":              `{"a":True}`,
	"literal cut short":                `{"a":tru}`,
	"literal cut short at the end":     `{"a":nul`,
	"literal with a wrong last letter": `{"a":trux}`,
	"literal with a wrong end":         `{"a":fulse}`,
	"high surrogate, no backslash":     `{"a":"\ud800xudc00"}`,
	"high surrogate, no u":             `{"a":"\ud800\ndc00"}`,
	"literal run on":                   `{"a":nullx}`,
	"NaN":                              `{"a":NaN}`,
	"Infinity":                         `{"a":Infinity}`,
	"minus Infinity":                   `{"a":-Infinity}`,
	"leading zero":                     `{"a":01}`,
	"minus and leading zero":           `{"a":-01}`,
	"plus sign":                        `{"a":+1}`,
	"minus alone":                      `{"a":-}`,
	"two minus signs":                  `{"a":--1}`,
	"no digit before the point":        `{"a":.5}`,
	"no digit after the point":         `{"a":1.}`,
	"no digit between point and e":     `{"a":1.e5}`,
	"no digit in the exponent":         `{"a":1e}`,
	"no digit after the sign":          `{"a":1e+}`,
	"two points":                       `{"a":1.2.3}`,
	"hexadecimal":                      `{"a":0x10}`,
	"digit separator":                  `{"a":1_000}`,
	"number at the end of the data":    `{"a":1`,
	"full-width digit":                 `{"a":` + "\uff11" + `}`,
	"line feed in a string":            "{\"a\":\"x\ny\"}",
	"tab in a string":                  "{\"a\":\"\t\"}",
	"NUL in a string":                  "{\"a\":\"\x00\"}",
	"last control character":           "{\"a\":\"\x1f\"}",
	"control character in a name":      "{\"\x01\":1}",
	"unknown escape":                   `{"a":"\x41"}`,
	"escaped single quote":             `{"a":"\'"}`,
	"escape in capitals":               `{"a":"\N"}`,
	"\\U escape":                       `{"a":"\U0041"}`,
	"short unicode escape":             `{"a":"\u004"}`,
	"unicode escape of no digits":      `{"a":"\u00g0"}`,
	"unicode escape with a sign":       `{"a":"\u+041"}`,
	"backslash at the end":             `{"a":"\`,
	"unicode escape at the end":        `{"a":"\u00`,
	"unfinished string":                `{"a":"x`,
	"high surrogate alone":             `{"a":"\ud800"}`,
	"low surrogate alone":              `{"a":"\udc00"}`,
	"high surrogate before text":       `{"a":"\ud800x"}`,
	"high surrogate, other escape":     `{"a":"\ud800\n"}`,
	"high surrogate, other unit":       `{"a":"\ud800\u0041"}`,
	"two high surrogates":              `{"a":"\ud800\ud800\udc00"}`,
	"surrogates in the wrong order":    `{"a":"\udc00\ud800"}`,
	"half a pair at the end":           `{"a":"\ud800\udc0`,
	"high surrogate in a name":         `{"\ud800":1}`,
	"bad byte":                         "{\"a\":\"\xff\"}",
	"continuation byte alone":          "{\"a\":\"\x80\"}",
	"UTF-8 cut short":                  "{\"a\":\"\xe2\x82\"}",
	"overlong UTF-8":                   "{\"a\":\"\xc0\xaf\"}",
	"surrogate in UTF-8":               "{\"a\":\"\xed\xa0\x80\"}",
	"beyond the last character":        "{\"a\":\"\xf4\x90\x80\x80\"}",
	"bad byte in a name":               "{\"a\xff\":1}",
	"bad byte deep inside":             "{\"a\":[{\"b\":[\"\xfe\"]}]}",
	"duplicate name":                   `{"sub":"alice","sub":"admin"}`,
	"duplicate name, equal values":     `{"a":1,"a":1}`,
	"duplicate of escaped name":        `{"\u0073ub":1,"sub":2}`,
	"escaped duplicate":                `{"sub":1,"s\u0075b":2}`,
	"two spellings of an escape":       `{"\u00e9":1,"\u00E9":2}`,
	"escaped and raw character":        `{"` + "\U0001f600" + `":1,"\ud83d\ude00":2}`,
	"duplicate empty name":             `{"":1,"":2}`,
	"duplicate around an object":       `{"a":{"b":1,"c":2},"a":1}`,
	"duplicate at depth two":           `{"x":{"a":1,"a":2}}`,
	"duplicate at depth three":         `{"x":{"y":{"a":1,"b":2,"a":3}}}`,
	"duplicate in an array":            `{"x":[1,{"a":1,"a":2}]}`,
	"duplicate in a large object":      numbered(100, `"57":0`),
	"escaped duplicate, large object":  numbered(100, `"5\u0037":0`),
	"one level too deep":               nested(strictjson.MaxDepth + 1),
	"one object too deep":              nestedObjects(strictjson.MaxDepth + 1),
}

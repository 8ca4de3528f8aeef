package strictjson

import (
	"encoding/hex"
	"unicode/utf16"
	"unicode/utf8"
)

// plain holds the ASCII characters that stand for themselves in a string (RFC 8259 section 7).
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// word returns the eight bytes from i on as one number.
func word[T text](data T, i int) uint64 {
	b := data[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// plainWord reports whether eight bytes are all plain. It may be false where they are: what it does
// not pass is looked at byte by byte. A subtraction takes the high bit into the lowest byte that is
// too small for it, and into no byte below that.
func plainWord(w uint64) bool {
	const each = 0x0101010101010101 // one in every byte
	control, quote, backslash := w-each*0x20, (w^each*'"')-each, (w^each*'\\')-each
	return (w|control|quote|backslash)&(each*0x80) == 0
}

// quoted reads the string that begins with the quotation mark at pos. It returns what stands
// between the marks, whether there is an escape in it, and where it ends.
func quoted[T text](data T, pos int) (raw T, escaped bool, end int, err error) {
	start := pos + 1
	for i := start; ; {
		for i+8 <= len(data) && plainWord(word(data, i)) {
			i += 8
		}
		for i < len(data) && plain[data[i]] {
			i++
		}
		if i == len(data) {
			return raw, false, pos, errSyntax
		}
		switch c := data[i]; {
		case c == '"':
			return data[start:i], escaped, i + 1, nil
		case c == '\\':
			_, size := escape(data[i:])
			if size == 0 {
				return raw, false, pos, errSyntax
			}
			escaped = true
			i += size
		case c < utf8.RuneSelf: // a control character
			return raw, false, pos, errSyntax
		default:
			r, size := utf8.DecodeRuneInString(string(data[i:min(i+utf8.UTFMax, len(data))]))
			if r == utf8.RuneError && size == 1 {
				return raw, false, pos, errUTF8
			}
			i += size
		}
	}
}

// appendUnescaped appends what quoted returned, its escapes replaced.
func appendUnescaped[T text](unescaped []byte, raw T) []byte {
	start := 0
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			i++
			continue
		}
		unescaped = append(unescaped, raw[start:i]...)
		r, size := escape(raw[i:])
		unescaped = utf8.AppendRune(unescaped, r)
		i += size
		start = i
	}
	return append(unescaped, raw[start:]...)
}

// escape reads the escape at the beginning of s (RFC 8259 section 7): the character it stands for,
// and its size in s, which is 0 for what is no escape. A character outside the basic plane is a
// pair of escapes; half of a pair stands for nothing.
func escape[T text](s T) (r rune, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := escapedUnit(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, _ := escapedUnit(s[6:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// escapedUnit reads \uXXXX, one unit of UTF-16.
func escapedUnit[T text](s T) (rune, bool) {
	var unit [2]byte
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	if _, err := hex.Decode(unit[:], []byte(s[2:6])); err != nil {
		return 0, false
	}
	return rune(unit[0])<<8 | rune(unit[1]), true
}

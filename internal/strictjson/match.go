package strictjson

// Spells reports whether a value is the string with this text. The value is part of a document that
// [Object] has accepted. It costs no memory if the text is short: what a token says in escapes is
// not unescaped when it is too long to be the text.
func Spells(value, text string) bool {
	if value == "" || value[0] != '"' {
		return false
	}
	raw, escaped, end, err := quoted(value, 0)
	return err == nil && end == len(value) && spells(raw, escaped, text)
}

// spells reports whether what quoted returned is a text.
func spells[T text](raw T, escaped bool, text string) bool {
	const longest = 6 // bytes of an escape for one byte
	if escaped && len(raw) <= longest*len(text) {
		var room [64]byte // for the texts that are looked for, so that this costs no memory
		return string(appendUnescaped(room[:0], raw)) == text
	}
	return equal(raw, T(text))
}

// AnyElement reports whether a value is an array with an element for which is returns true, and
// stops at the first. It gets the elements as they stand in the document, of which the value is
// part as that of [Elements] is. It costs no memory.
func AnyElement(value string, is func(element string) bool) bool {
	l := lexer[string]{data: value, seeks: true} // so that no names are kept
	if l.next() != '[' {
		return false
	}
	found := false
	_ = l.array(func() error {
		start, end, err := l.span()
		if found = err == nil && is(value[start:end]); found {
			return errFound
		}
		return err
	})
	return found
}

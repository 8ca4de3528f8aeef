package strictjson

// An Entry is one element of an array whose elements are judged one by one.
type Entry struct {
	// Value is the element as it stands in the document.
	Value string
	// Err is why the element breaks the rules of [Object], and nil if it keeps them. It wraps
	// [ErrInvalid].
	Err error
}

// Entries reads a document that is one JSON object by the rules of [Object], and returns the
// elements of the member with this name if that is an array, and otherwise false. The elements
// alone may break some of the rules, each at its own cost: a member name that occurs twice, and in
// a string a control character, an escape that is none, half of a surrogate pair, or bytes that are
// not UTF-8.
//
// None of these faults moves the end of a string, which is the first quotation mark after an even
// number of backslashes, and what is not in a string follows the grammar to the character. So every
// reader that goes on after such a fault finds the same elements. Any other fault, and nesting
// beyond [MaxDepth], refuses the document.
func Entries(document, name string) (entries []Entry, ok bool, err error) {
	l := lexer[string]{data: document}
	err = l.document(func(int) error {
		if l.names.last() != name || l.next() != '[' {
			return l.value()
		}
		ok = true
		return l.array(func() error {
			l.forgives, l.fault = true, nil
			start, end, err := l.span()
			entries = append(entries, Entry{document[start:end], l.fault})
			l.forgives, l.fault = false, nil
			return err
		})
	})
	if err != nil {
		return nil, false, err
	}
	return entries, ok, nil
}

// excuse goes on behind a string that was not accepted, and notes why, where a fault in a string is
// forgiven. A string without an end is a fault in the structure of the document.
func (l *lexer[T]) excuse(fault error) error {
	if !l.forgives {
		return fault
	}
	for i := l.pos + 1; i < len(l.data); i++ {
		switch l.data[i] {
		case '\\':
			i++
		case '"':
			l.pos = i + 1
			if l.fault == nil {
				l.fault = fault
			}
			return nil
		}
	}
	return fault
}

// Package strictjson reads JSON the way a security decision needs it: a document has one reading,
// or it is refused.
//
// RFC 8259 leaves to the parser what a repeated member name means (section 4), what bytes that are
// not UTF-8 mean (section 8.1) and what half of a surrogate pair means (section 8.2), and
// encoding/json answers all three with tolerance: the last name wins, and bad text becomes U+FFFD.
// Two parties that choose differently read two tokens out of one signature. Here a document is
// valid UTF-8 without a byte order mark, no object in it has two members of one name (compared
// after unescaping), every surrogate is paired, nothing but white space stands around the value,
// and nesting ends at [MaxDepth]. Member names are compared byte for byte: "SUB" is not "sub".
package strictjson

import (
	"errors"
	"fmt"
)

// MaxDepth is how deep objects and arrays may be nested. The outermost one counts as 1, so that a
// document of MaxDepth opening brackets in a row is still read.
const MaxDepth = 32

// smallObject is the number of members up to which a name is looked for among its siblings one by
// one. A larger object gets an index, so that reading one of many thousands of members does not
// take time in the square of their number.
const smallObject = 16

// ErrInvalid is wrapped by every refusal of this package. The texts are constant: no part of the
// input is in them.
var ErrInvalid = errors.New("invalid JSON")

var (
	errSyntax    = fmt.Errorf("%w: malformed", ErrInvalid)
	errNotObject = fmt.Errorf("%w: not an object", ErrInvalid)
	errTrailing  = fmt.Errorf("%w: data after the value", ErrInvalid)
	errUTF8      = fmt.Errorf("%w: not UTF-8", ErrInvalid)
	errDuplicate = fmt.Errorf("%w: a member name occurs twice in one object", ErrInvalid)
	errDepth     = fmt.Errorf("%w: nested too deeply", ErrInvalid)
	errNames     = fmt.Errorf("%w: too many members", ErrInvalid)
)

// errFound ends a reading early, on purpose. It never leaves this package.
var errFound = errors.New("found")

// Member is one member of a JSON object.
type Member struct {
	// Name is the member's name, unescaped.
	Name string

	// Value is the member's value as it stands in the document, without the white space around it.
	// It is never empty.
	Value string
}

// Object reads a document that is one JSON object, judges all of it, and returns the members of
// that object in their order. An empty object has no members and no error. Every error wraps
// [ErrInvalid].
//
// Names and values are parts of the document, and keep it in memory.
func Object(document string) (MemberList, error) { return AppendObject(nil, document) }

// Envelope is [Object] for an object whose members are whole documents, as a file has them that
// keeps one. The object itself is no level of nesting, so every document that Object reads can be
// read inside it.
func Envelope(document string) (MemberList, error) { return appendObject(nil, document, -1) }

// AppendObject is [Object] with a place for the members: it appends them to a slice.
func AppendObject(members []Member, document string) ([]Member, error) {
	return appendObject(members, document, 0)
}

// appendObject reads an object that stands at this depth.
func appendObject(members []Member, document string, depth int) ([]Member, error) {
	l := lexer[string]{data: document, depth: depth}
	err := l.document(func(int) error {
		name := l.names.last()
		start, end, err := l.span()
		members = append(members, Member{name, document[start:end]})
		return err
	})
	if err != nil {
		return nil, err
	}
	return members, nil
}

// Walk reads a document that is one JSON object by the rules of [Object], and calls member for each
// member of that object as it comes, before it is known whether the rest is valid. An error of
// member ends the walk and is returned. An object in which the names at all depths are more than
// maxNames is refused, unless that is 0: the names cost memory.
func Walk[T text](document T, maxNames int, member func(name, value T) error) error {
	l := lexer[T]{data: document, maxNames: maxNames}
	return l.document(func(int) error {
		name := l.names.last()
		start, end, err := l.span()
		if err != nil {
			return err
		}
		return member(name, document[start:end])
	})
}

// Find returns the value of the first member with this name of an object, and stops there. It is
// for what must be known before the document can be trusted, such as the issuer whose key verifies
// it. What comes after the value is not read, so a found value says nothing of the rest. What comes
// before it follows the rules of [Object], except that names may repeat, so that it costs no
// memory. An error wraps [ErrInvalid]. False without an error means that the object has no such
// member.
func Find[T text](document T, name string) (value T, found bool, err error) {
	l := lexer[T]{data: document, seeks: true, wanted: name}
	err = l.document(func(int) error {
		here := l.found
		start, end, err := l.span()
		if err == nil && here {
			value, err = document[start:end], errFound
		}
		return err
	})
	if err == errFound {
		return value, true, nil
	}
	return value, false, err
}

// MaxSpelling is the length of the longest spelling of a string of so many bytes, with its
// quotation marks: an escape has up to 6 bytes for one.
func MaxSpelling(bytes int) int { return 6*bytes + 2 }

// Members returns the members of a value that is an object, as [Object] does, and false for any
// other value. The value is part of a document that [Object] has accepted; one that Object would
// refuse is false as well.
func Members(value string) ([]Member, bool) {
	members, err := Object(value)
	return members, err == nil
}

// Elements returns the elements of a value that is an array, each as it stands in the document, and
// false for any other value. The value is part of a document that [Object] has accepted; an array
// that could not be is false as well.
func Elements(value string) (elements []string, ok bool) {
	l := lexer[string]{data: value}
	if !l.elements(func() error {
		start, end, err := l.span()
		elements = append(elements, value[start:end])
		return err
	}) {
		return nil, false
	}
	return elements, true
}

// AppendStrings appends the texts of a value that is an array of strings to a list, and returns
// false for any other value, which like that of [Elements] is part of a document.
func AppendStrings(list []string, value string) (appended []string, ok bool) {
	l := lexer[string]{data: value}
	if !l.elements(func() error {
		if l.next() != '"' {
			return errSyntax
		}
		raw, escaped, end, err := quoted(value, l.pos)
		if l.pos = end; escaped {
			raw = string(appendUnescaped(nil, raw))
		}
		list = append(list, raw)
		return err
	}) {
		return nil, false
	}
	return list, true
}

// elements reads a whole document that is an array, and reports whether it is one.
func (l *lexer[T]) elements(element func() error) bool {
	return l.next() == '[' && l.array(element) == nil && l.end() == nil
}

// String returns the text of a value that is a string, unescaped, and false for any other value.
// The value is part of a document that [Object] has accepted; a string that could not be is false
// as well. Of a string the text is a part of it, unless there is an escape in it.
func String[T text](value T) (unescaped T, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return unescaped, false
	}
	raw, escaped, end, err := quoted(value, 0)
	if err != nil || end != len(value) {
		return unescaped, false
	}
	if escaped {
		return T(appendUnescaped(nil, raw)), true
	}
	return raw, true
}

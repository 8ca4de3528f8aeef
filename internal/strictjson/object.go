// Package strictjson reads JSON the way a security decision needs it: a document has one reading, or it is refused.
//
// RFC 8259 leaves to the parser what a repeated member name means (section 4), what bytes that are not UTF-8 mean
// (section 8.1) and what half of a surrogate pair means (section 8.2), and encoding/json answers all three with
// tolerance: the last name wins, and bad text becomes U+FFFD. Two parties that choose differently read two tokens out
// of one signature. Here a document is valid UTF-8 without a byte order mark, no object in it has two members of one
// name (compared after unescaping), every surrogate is paired, nothing but white space stands around the value, and
// nesting ends at [MaxDepth]. Member names are compared byte for byte: "SUB" is not "sub".
package strictjson

import (
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested. The outermost one counts as 1, so that a document of MaxDepth
// opening brackets in a row is still read.
const MaxDepth = 32

// smallObject is the number of members up to which a name is looked for among its siblings one by one. A larger object
// gets an index, so that reading one of many thousands of members does not take time in the square of their number.
const smallObject = 16

// ErrInvalid is wrapped by every refusal of this package. The texts are constant: no part of the input is in them.
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

	// Value is the member's value as it stands in the document, without the white space around it. It is never empty.
	Value string
}

// Object reads a document that is one JSON object, judges all of it, and returns the members of that object in their
// order. An empty object has no members and no error. Every error wraps [ErrInvalid].
//
// Names and values are parts of the document, and keep it in memory.
func Object(document string) ([]Member, error) { return AppendObject(nil, document) }

// Envelope is [Object] for an object whose members are whole documents, as a file has them that
// keeps one. The object itself is no level of nesting, so every document that Object reads can be
// read inside it.
func Envelope(document string) ([]Member, error) { return appendObject(nil, document, -1) }

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

// Walk reads a document that is one JSON object by the rules of [Object], and calls member for each member of that object as it
// comes, before it is known whether the rest is valid. An error of member ends the walk and is returned. An object in which the
// names at all depths are more than maxNames is refused, unless that is 0: the names cost memory.
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

// Find returns the value of the first member with this name of the object that a document holds, and stops there: a look
// ahead for what must be known before the document can be trusted, such as the issuer whose key shall verify it. What
// comes after the value is not looked at, so a found value says nothing of the rest; what comes before it is held to
// the rules of [Object], but that names may repeat, so that it costs no memory. An error wraps [ErrInvalid]. False without an error
// means that the object has no such member.
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

// Members returns the members of a value that is an object, as [Object] does, and false for any other value. The value
// is part of a document that [Object] has accepted; one that Object would refuse is false as well.
func Members(value string) ([]Member, bool) {
	members, err := Object(value)
	return members, err == nil
}

// Elements returns the elements of a value that is an array, each as it stands in the document, and false for any other
// value. The value is part of a document that [Object] has accepted; an array that could not be is false as well.
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

// AppendStrings appends the texts of a value that is an array of strings to a list, and returns false for any other value,
// which like that of [Elements] is part of a document.
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

// String returns the text of a value that is a string, unescaped, and false for any other value. The value is part of a
// document that [Object] has accepted; a string that could not be is false as well. Of a string the text is a part of it,
// unless there is an escape in it.
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

// text is what a document can be: a string, whose parts cost nothing, or bytes, which can be read where they are.
type text interface{ string | []byte }

// lexer reads one document from its beginning to its end. There is no other reader of JSON text in this package.
type lexer[T text] struct {
	data  T
	pos   int // everything before it is read
	depth int // of objects and arrays now open

	names    nameStack[T] // of the members read so far, of the objects now open, the outermost object first
	maxNames int          // that were read in all; 0: any number
	read     int          // names

	seeks  bool // names are compared with the wanted one, and not kept
	wanted string
	found  bool // the last name was it
}

// nameStack is a stack of unescaped member names. The first ones stand in it and not in a slice, so that a lexer on the stack
// of a goroutine needs nothing on the heap.
type nameStack[T text] struct {
	n    int
	room [smallObject]T
	more []T
}

// last returns the name on top.
func (s *nameStack[T]) last() T { return s.at(s.n - 1) }

// at returns the name with this index from the bottom.
func (s *nameStack[T]) at(i int) T {
	if i < len(s.room) {
		return s.room[i]
	}
	return s.more[i-len(s.room)]
}

// push adds a name.
func (s *nameStack[T]) push(raw T) {
	if s.n < len(s.room) {
		s.room[s.n] = raw
	} else {
		s.more = append(s.more, raw)
	}
	s.n++
}

// cut takes off all names above the lowest n.
func (s *nameStack[T]) cut(n int) {
	s.n = n
	s.more = s.more[:max(0, n-len(s.room))]
}

// siblings are the names of one object: those of a stack from the index first on.
type siblings[T text] struct {
	stack *nameStack[T]
	first int
	marks uint64              // a bit for each of them, which several may share
	index map[string]struct{} // those judged so far; nil while they are few
}

// repeated reports whether the last name is also among those before it.
func (s *siblings[T]) repeated() bool {
	last := s.stack.n - 1
	name := s.stack.at(last)
	if last-s.first < smallObject {
		mark := mark(name)
		if s.marks&mark == 0 {
			s.marks |= mark
			return false
		}
		for i := s.first; i < last; i++ {
			if equal(s.stack.at(i), name) {
				return true
			}
		}
		return false
	}
	if s.index == nil {
		s.index = make(map[string]struct{}, 4*smallObject)
		for i := s.first; i < last; i++ {
			s.index[string(s.stack.at(i))] = struct{}{}
		}
	}
	size := len(s.index)
	s.index[string(name)] = struct{}{}
	return len(s.index) == size
}

// mark chooses a bit for a name by its length and its ends, which tells most names of one object apart.
func mark[T text](name T) uint64 {
	n := uint(len(name))
	if n > 0 {
		n += 5*uint(name[0]) + 3*uint(name[len(name)-1])
	}
	return 1 << (n % 64)
}

// equal compares two texts. Converting both to strings would cost an allocation for each, as long as they are of any type.
func equal[T text](a, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// next skips white space (RFC 8259 section 2) and returns the byte that follows, without reading it. At the end of the
// document it returns 0, which may not stand between the tokens either.
func (l *lexer[T]) next() byte {
	for ; l.pos < len(l.data); l.pos++ {
		switch c := l.data[l.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end reads what may follow the value of a document: white space.
func (l *lexer[T]) end() error {
	if l.next(); l.pos < len(l.data) {
		return errTrailing
	}
	return nil
}

// document reads a whole document, which must be an object.
func (l *lexer[T]) document(member func(start int) error) error {
	if l.next() != '{' {
		return errNotObject
	}
	if err := l.object(member); err != nil {
		return err
	}
	return l.end()
}

// span reads a value and returns where it begins and where it ends, without the white space around it.
func (l *lexer[T]) span() (start, end int, err error) {
	l.next()
	start = l.pos
	err = l.value()
	return start, l.pos, err
}

// value reads a value of any kind.
func (l *lexer[T]) value() error {
	switch l.next() {
	case '"':
		var err error
		_, _, l.pos, err = quoted(l.data, l.pos)
		return err
	case '{':
		return l.object(nil)
	case '[':
		return l.array(nil)
	case 't':
		return l.literal("true")
	case 'f':
		return l.literal("false")
	case 'n':
		return l.literal("null")
	default:
		return l.number()
	}
}

// object reads an object, of which next has seen the bracket. For each member, after its name and the colon, it calls
// member with the offset at which the name begins; the name is the last of l.names then, and member reads the value. A
// nil member reads and forgets. The names of the outermost object are left on l.names, those of any other are not.
func (l *lexer[T]) object(member func(start int) error) error {
	if err := l.open(); err != nil {
		return err
	}
	if l.next() == '}' {
		l.close()
		return nil
	}
	siblings := siblings[T]{stack: &l.names, first: l.names.n}
	for {
		if l.next() != '"' {
			return errSyntax
		}
		start := l.pos
		raw, escaped, end, err := quoted(l.data, l.pos)
		if err != nil {
			return err
		}
		l.pos = end
		if l.next() != ':' {
			return errSyntax
		}
		l.pos++
		if err := l.named(&siblings, raw, escaped); err != nil {
			return err
		}

		if member == nil {
			err = l.value()
		} else {
			err = member(start)
		}
		if err != nil {
			return err
		}

		switch l.next() {
		case ',':
			l.pos++
		case '}':
			l.close()
			if (l.depth > 0 || member == nil) && !l.seeks {
				l.names.cut(siblings.first)
			}
			return nil
		default:
			return errSyntax
		}
	}
}

// named takes note of a member's name.
func (l *lexer[T]) named(siblings *siblings[T], raw T, escaped bool) error {
	if l.seeks {
		l.found = spells(raw, escaped, l.wanted)
		return nil
	}
	if l.read++; l.maxNames > 0 && l.read > l.maxNames {
		return errNames
	}
	if escaped {
		raw = T(appendUnescaped(nil, raw))
	}
	if l.names.push(raw); siblings.repeated() {
		return errDuplicate
	}
	return nil
}

// array reads an array, of which next has seen the bracket. It calls element where an element begins; element reads it.
// A nil element reads and forgets.
func (l *lexer[T]) array(element func() error) error {
	if err := l.open(); err != nil {
		return err
	}
	if l.next() == ']' {
		l.close()
		return nil
	}
	for {
		var err error
		if element == nil {
			err = l.value()
		} else {
			err = element()
		}
		if err != nil {
			return err
		}
		switch l.next() {
		case ',':
			l.pos++
		case ']':
			l.close()
			return nil
		default:
			return errSyntax
		}
	}
}

// open reads the opening bracket of an object or an array.
func (l *lexer[T]) open() error {
	if l.depth == MaxDepth {
		return errDepth
	}
	l.depth++
	l.pos++
	return nil
}

// close reads the closing bracket of an object or an array.
func (l *lexer[T]) close() {
	l.depth--
	l.pos++
}

// literal reads one of the three words of JSON. What follows it is the caller's to judge.
func (l *lexer[T]) literal(word string) error {
	if rest := l.data[l.pos:]; len(rest) < len(word) || string(rest[:len(word)]) != word {
		return errSyntax
	}
	l.pos += len(word)
	return nil
}

// number reads a number (RFC 8259 section 6): no plus sign, no leading zero, and a digit on both sides of the point.
func (l *lexer[T]) number() error {
	l.skip('-', '-')
	first := l.pos
	if n := l.digits(); n == 0 || n > 1 && l.data[first] == '0' {
		return errSyntax
	}
	if l.skip('.', '.') && l.digits() == 0 {
		return errSyntax
	}
	if l.skip('e', 'E') {
		l.skip('+', '-')
		if l.digits() == 0 {
			return errSyntax
		}
	}
	return nil
}

// skip reads one byte if it is either of two.
func (l *lexer[T]) skip(one, other byte) bool {
	if l.pos == len(l.data) || l.data[l.pos] != one && l.data[l.pos] != other {
		return false
	}
	l.pos++
	return true
}

// digits reads the digits that stand here and returns their number.
func (l *lexer[T]) digits() int {
	start := l.pos
	for l.pos < len(l.data) && '0' <= l.data[l.pos] && l.data[l.pos] <= '9' {
		l.pos++
	}
	return l.pos - start
}

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

// plainWord reports that eight bytes all are plain. It may be false where they are: what it does not pass is looked at byte by
// byte. A subtraction takes the high bit into the lowest byte that is too small for it, and into no byte below that.
func plainWord(w uint64) bool {
	const each = 0x0101010101010101 // one in every byte
	control, quote, backslash := w-each*0x20, (w^each*'"')-each, (w^each*'\\')-each
	return (w|control|quote|backslash)&(each*0x80) == 0
}

// quoted reads the string that begins with the quotation mark at pos. It returns what stands between the marks, whether there
// is an escape in it, and where it ends.
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

// escape reads the escape at the beginning of s (RFC 8259 section 7): the character it stands for, and its size in s,
// which is 0 for what is no escape. A character outside the basic plane is a pair of escapes; half of a pair stands for
// nothing.
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

package strictjson

// text is what a document can be: a string, whose parts cost nothing, or bytes, which can be read
// where they are.
type text interface{ string | []byte }

// lexer reads one document from its beginning to its end. There is no other reader of JSON text in
// this package.
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

	// forgives makes a fault that leaves the structure of the document alone a note in fault, which
	// keeps the first one; see [excuse].
	forgives bool
	fault    error
}

// nameStack is a stack of unescaped member names. The first ones stand in it and not in a slice, so
// that a lexer on the stack of a goroutine needs nothing on the heap.
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

// mark chooses a bit for a name by its length and its ends, which tells most names of one object
// apart.
func mark[T text](name T) uint64 {
	n := uint(len(name))
	if n > 0 {
		n += 5*uint(name[0]) + 3*uint(name[len(name)-1])
	}
	return 1 << (n % 64)
}

// equal compares two texts. Converting both to strings would cost an allocation for each, as long
// as they are of any type.
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

// next skips white space (RFC 8259 section 2) and returns the byte that follows, without reading
// it. At the end of the document it returns 0, which may not stand between the tokens either.
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

// span reads a value and returns where it begins and where it ends, without the white space around
// it.
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
		_, _, end, err := quoted(l.data, l.pos)
		if err != nil {
			return l.excuse(err)
		}
		l.pos = end
		return nil
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

// object reads an object, of which next has seen the bracket. For each member, after its name and
// the colon, it calls member with the offset at which the name begins; the name is the last of
// l.names then, and member reads the value. A nil member reads and forgets. The names of the
// outermost object are left on l.names, those of any other are not.
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
		if err == nil {
			l.pos = end
		} else if err = l.excuse(err); err != nil {
			return err
		}
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
	if l.fault != nil {
		return nil // the names of what is refused are of no interest, and may be broken
	}
	if l.read++; l.maxNames > 0 && l.read > l.maxNames {
		return errNames
	}
	if escaped {
		raw = T(appendUnescaped(nil, raw))
	}
	if l.names.push(raw); siblings.repeated() {
		if l.forgives {
			l.fault = errDuplicate
			return nil
		}
		return errDuplicate
	}
	return nil
}

// array reads an array, of which next has seen the bracket. It calls element where an element
// begins; element reads it. A nil element reads and forgets.
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

// number reads a number (RFC 8259 section 6): no plus sign, no leading zero, and a digit on both
// sides of the point.
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

package jwks

import "time"

// When an empty array of keys is a withdrawal. A server that answers so once, or for a few minutes,
// is more likely to be starting or broken, and every good token would be refused. An issuer that
// goes on saying it means it. An hour is also the default of how long any other withdrawn key is
// accepted at most (see [WithLifetime]). Until then its keys count as unavailable, and the last
// ones are used.
const (
	withdrawalAnswers = 3         // empty sets in a row, with nothing else between them,
	withdrawalTime    = time.Hour // and from the first to the last of them
)

// emptied counts the answers in a row that were a JWK Set without keys.
type emptied struct {
	n     int
	since time.Time
}

// end ends the row: something else was the answer, or there was none.
func (e *emptied) end() { *e = emptied{} }

// withdrawn takes note of what reading an answer came to, and reports whether it says, once more
// and for long enough, that there are no keys.
func (e *emptied) withdrawn(err error, now time.Time) bool {
	if err != errEmpty { //nolint:errorlint // it is never wrapped
		e.end()
		return false
	}
	if e.n == 0 {
		e.since = now
	}
	e.n++
	return e.n >= withdrawalAnswers && elapsed(e.since, now) >= withdrawalTime
}

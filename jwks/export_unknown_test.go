package jwks

import "time"

// The bounds of the search for unknown key ids.
const (
	MaxMissing = maxMissing
	MaxWaiting = maxWaiting
)

// Missing returns how many key ids the set remembers as missing, and Waiting how many requests wait for their turn.
func (s *Set) Missing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unknown.missing)
}

func (s *Set) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknown.waiting
}

// AnswersMissing reports whether keys that were loaded then are answer enough now for a key id that
// was first searched for at the time asked.
func AnswersMissing(asked, loaded, now time.Time) bool {
	m := missing{1: {asked, shortestMiss}}
	return m.holds(1, loaded, now)
}

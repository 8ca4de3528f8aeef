package jwks

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

package tokens

// HoldLocks takes the locks of a Manager and one of its Sources.
func HoldLocks(m *Manager, s *Source) (release func()) {
	s.mu.Lock()
	m.mu.Lock()
	return func() {
		m.mu.Unlock()
		s.mu.Unlock()
	}
}

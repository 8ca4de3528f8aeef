package tokens

// HoldLocks takes the locks of a Manager, one of its Sources, and a memory store.
func HoldLocks(m *Manager, s *Source, store Store) (release func()) {
	memory := store.(*memoryStore)
	memory.mu.Lock()
	s.mu.Lock()
	m.mu.Lock()
	return func() {
		m.mu.Unlock()
		s.mu.Unlock()
		memory.mu.Unlock()
	}
}

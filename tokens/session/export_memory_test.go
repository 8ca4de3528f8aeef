package session

// MemorySize returns how many records and locks a memory store has.
func MemorySize(s Store) (records, locks int) {
	m := s.(*memoryStore)
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records), len(m.locks)
}

// HoldLock takes the lock of a memory store.
func HoldLock(s Store) (release func()) {
	m := s.(*memoryStore)
	m.mu.Lock()
	return m.mu.Unlock
}

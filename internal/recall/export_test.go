package recall

// Size returns how many values a Map has a weak pointer to.
func Size[K comparable, V any](m *Map[K, V]) int { return len(m.forgotten) }

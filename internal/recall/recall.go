// Package recall is a map whose owner bounds it without losing track of what it forgets: a value
// that was forgotten and that something else still holds is found again. So there are never two
// values of one key in use.
package recall

import (
	"container/list"
	"weak"
)

// minSweep is how many forgotten values are not looked through for those that are gone.
const minSweep = 64

// Map has the values that it remembers, in the order in which they were kept last, and weak
// pointers to those that it was told to forget. A value leads to its key. Make a Map with [New]. It
// is not safe for concurrent use.
type Map[K comparable, V any] struct {
	key        func(*V) K
	remembered map[K]*list.Element // of *V
	order      *list.List          // the one that was not kept for the longest time is at the front
	forgotten  map[K]weak.Pointer[V]
	sweepAt    int // forgotten are looked through when there are so many
}

// New returns an empty Map. Key returns the key of a value, which never changes.
func New[K comparable, V any](key func(*V) K) *Map[K, V] {
	return &Map[K, V]{
		key: key, remembered: make(map[K]*list.Element), order: list.New(), sweepAt: minSweep,
	}
}

// Find returns the value of a key, nil if there is none. One that was forgotten is found for as
// long as it is reachable from elsewhere, and perhaps until the next garbage collection.
func (m *Map[K, V]) Find(key K) *V {
	if e, ok := m.remembered[key]; ok {
		return e.Value.(*V)
	}
	return m.forgotten[key].Value()
}

// Remembers reports whether a value is remembered.
func (m *Map[K, V]) Remembers(v *V) bool {
	e, ok := m.remembered[m.key(v)]
	return ok && e.Value.(*V) == v
}

// Keep remembers a value, which is new or was found, and puts it at the end of the order.
func (m *Map[K, V]) Keep(v *V) {
	key := m.key(v)
	if e, ok := m.remembered[key]; ok {
		m.order.MoveToBack(e)
		return
	}
	delete(m.forgotten, key)
	m.remembered[key] = m.order.PushBack(v)
}

// Oldest returns the value that was not kept for the longest time, nil if none is remembered.
func (m *Map[K, V]) Oldest() *V {
	if e := m.order.Front(); e != nil {
		return e.Value.(*V)
	}
	return nil
}

// Forget forgets a value that is remembered. It can still be found.
func (m *Map[K, V]) Forget(v *V) {
	key := m.key(v)
	m.order.Remove(m.remembered[key])
	delete(m.remembered, key)
	if len(m.forgotten) >= m.sweepAt {
		m.sweep()
	}
	if m.forgotten == nil {
		m.forgotten = make(map[K]weak.Pointer[V])
	}
	m.forgotten[key] = weak.Make(v)
}

// sweep drops the pointers to values that are gone. The next time is when there are twice as many
// as are left. So a value costs the same, however many are forgotten. The map is made again,
// because one does not shrink.
func (m *Map[K, V]) sweep() {
	left := make(map[K]weak.Pointer[V])
	for key, p := range m.forgotten {
		if p.Value() != nil {
			left[key] = p
		}
	}
	m.forgotten, m.sweepAt = left, max(minSweep, 2*len(left))
}

// Remove takes a value out of the Map. It is not found any more.
func (m *Map[K, V]) Remove(v *V) {
	key := m.key(v)
	if e, ok := m.remembered[key]; ok {
		m.order.Remove(e)
		delete(m.remembered, key)
	}
	delete(m.forgotten, key)
}

// Len returns how many values are remembered.
func (m *Map[K, V]) Len() int { return m.order.Len() }

// Remembered returns the values that are remembered, in their order.
func (m *Map[K, V]) Remembered() []*V {
	all := make([]*V, 0, m.order.Len())
	for e := m.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*V))
	}
	return all
}

// All returns the values that can be found: those that are remembered, in their order, and then the
// others.
func (m *Map[K, V]) All() []*V {
	all := m.Remembered()
	for _, p := range m.forgotten {
		if v := p.Value(); v != nil {
			all = append(all, v)
		}
	}
	return all
}

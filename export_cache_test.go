package bearer

import (
	"fmt"
)

// The hooks of the cache's tests: what it holds, and ways to put tokens where they are in each other's way.

// CacheSize returns how many entries the queues of the cache hold and how many bytes those are said to take, what was forgotten
// early included, and how many entries can be found.
func (m *Middleware) CacheSize() (entries, bytes, found int) {
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if table := c.table.Load(); table != nil {
		for i := range *table {
			for e := (*table)[i].Load(); e != nil; e = e.next.Load() {
				found++
			}
		}
	}
	return c.entries(), c.bytes(), found
}

// CachePlaces returns how many places the table and the ghosts of the cache have.
func (m *Middleware) CachePlaces() (table, ghosts int) {
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.table.Load(); t != nil {
		table = len(*t)
	}
	return table, len(c.ghosts)
}

// CheckCache looks at whether queues, chains, sums and bounds of the cache agree with each other.
func (m *Middleware) CheckCache() error {
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	queued := make(map[*cached]bool)
	for _, q := range []*cacheQueue{&c.fresh, &c.small, &c.main} {
		entries, bytes := 0, 0
		var last *cached
		for e := q.oldest; e != nil; e = e.later {
			if queued[e] {
				return fmt.Errorf("an entry is queued twice")
			}
			queued[e], last = !e.gone, e
			entries++
			bytes += e.size
		}
		if entries != q.entries || bytes != q.bytes || last != q.newest {
			return fmt.Errorf("a queue says %d entries of %d bytes, and holds %d of %d", q.entries, q.bytes, entries, bytes)
		}
	}
	if n := c.entries(); n > c.maxEntries {
		return fmt.Errorf("%d entries, want at most %d", n, c.maxEntries)
	}
	if n := c.bytes(); n > c.maxBytes {
		return fmt.Errorf("%d bytes, want at most %d", n, c.maxBytes)
	}
	table := c.table.Load()
	if table == nil {
		if len(queued) > 0 {
			return fmt.Errorf("%d entries without a table", len(queued))
		}
		return nil
	}
	tokens := make(map[string]bool)
	for i := range *table {
		length := 0
		for e := (*table)[i].Load(); e != nil; e = e.next.Load() {
			if length++; length > maxChain {
				return fmt.Errorf("a chain of more than %d entries", maxChain)
			}
			if !queued[e] {
				return fmt.Errorf("an entry is in a chain twice, or in no queue, or gone")
			}
			if tokens[e.token] {
				return fmt.Errorf("a token has two entries")
			}
			tokens[e.token] = true
			delete(queued, e)
		}
	}
	for _, live := range queued {
		if live {
			return fmt.Errorf("a queued entry is in no chain, though not gone")
		}
	}
	return nil
}

// CachedToken returns the cache's own copy of a token, and whether there is one. It counts as a use.
func (m *Middleware) CachedToken(token string) (string, bool) {
	e := m.cache.recall(token)
	if e == nil {
		return "", false
	}
	return e.token, true
}

// OneChain gives the cache a table of one chain, as if every hash were the same in its place. Nothing may be cached yet.
func (m *Middleware) OneChain() {
	table := make(cacheTable, 1)
	m.cache.ghosts = make([]uint64, 1)
	m.cache.table.Store(&table)
}

// Collide gives the entry of one token the hash of another. No request may be under way, and there must be OneChain.
func (m *Middleware) Collide(token, other string) {
	m.cache.recall(token).hash = m.cache.hash(other)
}

// HeaderKnown reports whether a header is remembered, given as it stands in a token.
func (m *Middleware) HeaderKnown(text string) bool {
	_, known := m.headers.recall(text)
	return known
}

// HeadersKnown returns how many headers are remembered, and how many there is room for.
func (m *Middleware) HeadersKnown() (known, places int) {
	for i := range m.headers.slots {
		if m.headers.slots[i].Load() != nil {
			known++
		}
	}
	return known, len(m.headers.slots)
}

// ShareKeys has a Middleware use the key sets of another one that has the same issuers.
func (m *Middleware) ShareKeys(of *Middleware) {
	for name, iss := range m.issuers {
		if iss.keys != nil {
			_ = iss.keys.Close()
			iss.keys = of.issuers[name].keys
		}
	}
}

// HoldLocks takes the lock of the cache until release is called.
func (m *Middleware) HoldLocks() (release func()) {
	m.cache.mu.Lock()
	return m.cache.mu.Unlock
}

// CacheUses returns how many uses of its entries the cache counts.
func (m *Middleware) CacheUses() (uses int) {
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range []*cacheQueue{&c.fresh, &c.small, &c.main} {
		for e := q.oldest; e != nil; e = e.later {
			uses += int(e.uses.Load())
		}
	}
	return uses
}

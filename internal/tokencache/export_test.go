package tokencache

import "fmt"

// MaxChain and MaxSize are limits that the tests are about.
const (
	MaxChain = maxChain
	MaxSize  = maxSize
	Overhead = overhead
)

// Size returns how many entries the queues have and how many bytes those take, with entries that were
// removed before their turn, and how many entries can be found.
func (c *Cache[V]) Size() (entries, bytes, found int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.table.Load(); t != nil {
		for i := range *t {
			for e := (*t)[i].Load(); e != nil; e = e.next.Load() {
				found++
			}
		}
	}
	return c.entries(), c.bytes(), found
}

// Slots returns how many slots the table and the ghosts have.
func (c *Cache[V]) Slots() (table, ghosts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.table.Load(); t != nil {
		table = len(*t)
	}
	return table, len(c.ghosts)
}

// Uses returns how many uses of its entries the cache counts.
func (c *Cache[V]) Uses() (uses int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range []*queue[V]{&c.fresh, &c.small, &c.main} {
		for e := q.oldest; e != nil; e = e.later {
			uses += int(e.uses.Load())
		}
	}
	return uses
}

// OneChain gives an empty cache a table of one chain, as if every hash were the same in its slot.
func (c *Cache[V]) OneChain() {
	t := make(table[V], 1)
	c.ghosts = make([]uint64, 1)
	c.table.Store(&t)
}

// Collide gives the entry of one token the hash of another. Nothing else may use the cache, and there
// must be OneChain.
func (c *Cache[V]) Collide(token, other string) { c.Get(token).hash = c.hash(other) }

// Check reports whether queues, chains, sums and limits agree with each other.
func (c *Cache[V]) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	queued := make(map[*Entry[V]]bool)
	for _, q := range []*queue[V]{&c.fresh, &c.small, &c.main} {
		entries, bytes := 0, 0
		var last *Entry[V]
		for e := q.oldest; e != nil; e = e.later {
			if _, twice := queued[e]; twice {
				return fmt.Errorf("an entry is queued twice")
			}
			queued[e], last = !e.gone, e
			entries++
			bytes += e.size
		}
		if entries != q.entries || bytes != q.bytes || last != q.newest {
			return fmt.Errorf("a queue counts %d entries of %d bytes, and has %d of %d",
				q.entries, q.bytes, entries, bytes)
		}
	}
	if n := c.entries(); n > c.maxEntries {
		return fmt.Errorf("%d entries, want at most %d", n, c.maxEntries)
	}
	if n := c.bytes(); n > c.maxBytes {
		return fmt.Errorf("%d bytes, want at most %d", n, c.maxBytes)
	}
	t := c.table.Load()
	if t == nil {
		if len(queued) > 0 {
			return fmt.Errorf("%d entries without a table", len(queued))
		}
		return nil
	}
	tokens := make(map[string]bool)
	for i := range *t {
		length := 0
		for e := (*t)[i].Load(); e != nil; e = e.next.Load() {
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

// Package tokencache is a bounded cache of values under long random texts, such as verified tokens.
//
// A Cache is read without a lock. It is a hash table with chains, and queues by which a mutex
// decides what stays: S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
// 2023). New entries wait in a small queue. Only those that are used again move to the main queue,
// so that a flood of tokens that come once does not displace those in use. An entry that left the
// small queue not long ago, and comes back, goes to the main queue at once.
//
// Two things are not in the paper, because its traces have no attacker. Before the small queue
// there is a fresh one, whose uses do not count: a token that is sent twice in a row was used once.
// And a large entry, which takes the space of many, stays in the small queue.
package tokencache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// The bounds of a cache, unless its owner sets others.
const (
	DefaultEntries = 16384    // entries
	DefaultBytes   = 32 << 20 // bytes

	MaxEntries = 1 << 24
	MinBytes   = 64 << 10
)

const (
	// overhead is about what an entry takes in addition to its value, in bytes: its share of the
	// table, the entry itself and what the allocator adds.
	overhead = 768

	// maxUses is where the count of an entry's uses ends. A higher count would only make it take
	// longer to remove an entry.
	maxUses = 3

	// smallPart is the share of the cache that is for new entries: one tenth, as in the paper.
	// freshPart is the share of the newest among them.
	smallPart, freshPart = 10, 100

	// largeEntry is the size from which an entry is large, in average entries of a full cache. An
	// average entry is taken to be no smaller than by default, so that a few claims more do not make
	// a token large.
	largeEntry   = 8
	smallestMean = DefaultBytes / DefaultEntries

	// maxSpared is how often one insertion spares an entry because it was used, and maxEvicted how
	// many entries it evicts at most. The two bound how long an insertion holds the lock. An entry
	// larger than maxSize would need more evictions.
	maxSpared  = 256
	maxEvicted = 256
	maxSize    = maxEvicted * overhead

	// maxChain is how many entries a chain holds. Few have the same hash by chance, but an issuer
	// that publishes a key for each of its tokens can give all of them the same signature.
	maxChain = 16
)

// Cache is a bounded cache. All methods are safe for concurrent use. Make one with [New].
type Cache[V any] struct {
	maxEntries int // 0: it stores nothing
	maxBytes   int
	seed       maphash.Seed

	table atomic.Pointer[table[V]] // nil until the first entry, and after Close

	mu                 sync.Mutex // guards everything below, and every change of a chain
	closed             bool
	fresh, small, main queue[V]

	// ghosts are the hashes of entries that left the small queue, each in its slot, where the next
	// one replaces it.
	ghosts []uint64
}

// New returns a cache of that many entries, which together take about that many bytes. It allocates
// nothing before the first entry. A cache of 0 entries stores nothing.
func New[V any](entries, bytes int) *Cache[V] {
	return &Cache[V]{
		maxEntries: min(entries, bytes/overhead), // more would not fit
		maxBytes:   bytes,
		seed:       maphash.MakeSeed(),
	}
}

// Entry is a token and its value. They are one piece of memory, and what [Cache.Get] looks at is
// beside the value: with many tokens, a hit mostly waits for memory. An Entry must not be copied.
type Entry[V any] struct {
	later *Entry[V] // in the queue
	gone  bool      // from the chain, though not from the queue
	size  int       // in bytes

	uses  atomic.Int32
	next  atomic.Pointer[Entry[V]] // in the chain
	hash  uint64                   // of the token: it finds the entry, and decides nothing
	token string

	Value V
}

// table is an array of chains.
type table[V any] []atomic.Pointer[Entry[V]]

func (t table[V]) chain(hash uint64) *atomic.Pointer[Entry[V]] { return &t[hash%uint64(len(t))] }

// queue is a queue of entries, the oldest first.
type queue[V any] struct {
	oldest, newest *Entry[V]
	entries, bytes int
}

func (q *queue[V]) push(e *Entry[V]) {
	if e.later = nil; q.newest == nil {
		q.oldest = e
	} else {
		q.newest.later = e
	}
	q.newest = e
	q.entries++
	q.bytes += e.size
}

func (q *queue[V]) pop() *Entry[V] {
	e := q.oldest
	if q.oldest = e.later; q.oldest == nil {
		q.newest = nil
	}
	e.later = nil
	q.entries--
	q.bytes -= e.size
	return e
}

// Get returns the entry of a token, or nil. The whole text is compared.
func (c *Cache[V]) Get(token string) *Entry[V] {
	t := c.table.Load()
	if t == nil {
		return nil
	}
	hash := c.hash(token)
	for e := t.chain(hash).Load(); e != nil; e = e.next.Load() {
		if e.hash == hash && e.token == token {
			if uses := e.uses.Load(); uses < maxUses {
				e.uses.CompareAndSwap(uses, uses+1)
			}
			return e
		}
	}
	return nil
}

// hash hashes the end of a token, which is the end of its signature and so as good as random. The
// seed protects against issuers that can choose signatures.
func (c *Cache[V]) hash(token string) uint64 {
	const enough = 32 // characters: 192 bits
	return maphash.String(c.seed, token[max(0, len(token)-enough):])
}

// Stores reports whether a value of this size, in bytes, will be stored. A cache does not store
// what would displace too much.
func (c *Cache[V]) Stores(size int) bool {
	return c.maxEntries > 0 && size+overhead <= min(c.maxBytes/(2*smallPart), maxSize)
}

// Add stores a new entry under a token, in the place of an older one. The size is about what the
// value takes in bytes, with the token. Nothing is stored if the cache does not [Cache.Stores] it,
// or if too many tokens have the same hash. The caller must have cloned the token if it is part of
// a longer text, which would stay in memory.
func (c *Cache[V]) Add(token string, size int, e *Entry[V]) {
	if !c.Stores(size) {
		return
	}
	e.token, e.hash, e.size = token, c.hash(token), size+overhead

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	t := c.table.Load()
	if t == nil {
		made := make(table[V], c.maxEntries)
		t = &made
		c.ghosts = make([]uint64, len(made))
		c.table.Store(t)
	}
	chain := t.chain(e.hash)
	length := 0
	for other := chain.Load(); other != nil; other = other.next.Load() {
		if other.token == e.token {
			c.unlink(other)
			length = 0
			break
		}
		length++
	}
	if length >= maxChain {
		return
	}
	returns := *c.ghost(e) == e.hash && !c.large(e)
	c.makeRoom(e.size, returns)
	if returns {
		*c.ghost(e) = 0
		c.main.push(e)
	} else {
		c.fresh.push(e)
	}
	if c.fresh.entries > c.maxEntries/freshPart {
		aged := c.fresh.pop()
		aged.uses.Store(0)
		c.small.push(aged)
	}
	e.next.Store(chain.Load())
	chain.Store(e)
}

// ghost is the slot of an entry among the ghosts. The caller holds the lock.
func (c *Cache[V]) ghost(e *Entry[V]) *uint64 { return &c.ghosts[e.hash%uint64(len(c.ghosts))] }

// large reports whether an entry takes the space of many. A large entry waits in the small queue
// for as long as it is used.
func (c *Cache[V]) large(e *Entry[V]) bool {
	return e.size > largeEntry*max(c.maxBytes/c.maxEntries, smallestMean)
}

// makeRoom evicts until there is room for an entry of this size, which goes to the main queue or
// else to the fresh one. It ends: maxEvicted entries are at least as large as the largest that is
// stored. The caller holds the lock.
func (c *Cache[V]) makeRoom(size int, toMain bool) {
	coming := size // into the part for new entries
	if toMain {
		coming = 0
	}
	spared := 0
	for c.entries() >= c.maxEntries || c.bytes()+size > c.maxBytes {
		if c.evict(coming, spared < maxSpared) {
			spared++
		}
	}
}

// entries and bytes are those of all queues.
func (c *Cache[V]) entries() int { return c.fresh.entries + c.small.entries + c.main.entries }
func (c *Cache[V]) bytes() int   { return c.fresh.bytes + c.small.bytes + c.main.bytes }

// evict takes one step towards room for an entry, of which so many bytes come into the part for new
// entries. It removes one entry. Or, if it may, it spares one that was used, which then gets
// another round with its count lowered. The caller holds the lock, and one of the queues is not
// empty.
func (c *Cache[V]) evict(coming int, maySpare bool) (spared bool) {
	queue := &c.main
	entries, bytes := c.fresh.entries+c.small.entries, c.fresh.bytes+c.small.bytes+coming
	if queue.entries == 0 || entries > 0 && (entries > c.maxEntries/smallPart || bytes > c.maxBytes/smallPart) {
		if queue = &c.small; queue.entries == 0 {
			queue = &c.fresh
		}
	}
	e := queue.pop()
	uses := e.uses.Load()
	switch {
	case e.gone:
	case uses == 0 || !maySpare || queue == &c.fresh:
		if queue != &c.main {
			*c.ghost(e) = e.hash
		}
		c.unlink(e)
	case queue == &c.main:
		e.uses.Store(uses - 1)
		c.main.push(e)
		return true
	default:
		e.uses.Store(0)
		if c.large(e) {
			c.small.push(e)
		} else {
			c.main.push(e)
		}
		return true
	}
	return false
}

// Remove removes an entry. Its place in the queue stays taken until its turn comes.
func (c *Cache[V]) Remove(e *Entry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlink(e)
}

// unlink takes an entry out of its chain. A goroutine that is reading the chain still gets past it.
// The caller holds the lock.
func (c *Cache[V]) unlink(e *Entry[V]) {
	t := c.table.Load()
	if e.gone || t == nil {
		return
	}
	e.gone = true
	link := t.chain(e.hash)
	for link.Load() != e {
		link = &link.Load().next
	}
	link.Store(e.next.Load())
}

// Close removes everything. A closed cache stores nothing.
func (c *Cache[V]) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.table.Store(nil)
	c.fresh, c.small, c.main, c.ghosts = queue[V]{}, queue[V]{}, queue[V]{}, nil
}

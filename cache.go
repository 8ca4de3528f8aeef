package bearer

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// The bounds of the cache, unless WithCache sets others.
const (
	DefaultCacheEntries = 16384    // tokens
	DefaultCacheBytes   = 32 << 20 // bytes

	maxCacheEntries = 1 << 24
	minCacheBytes   = 64 << 10

	// cachedOverhead is about what an entry takes beside its texts and lists, in bytes, its part of the table among it.
	cachedOverhead = 768

	// maxUses is where the count of an entry's uses ends: more would only make it take longer to forget a token.
	maxUses = 3

	// smallPart is the part of the cache that is for new tokens: one of so many, as in the paper. freshPart is that of the newest
	// among them.
	smallPart, freshPart = 10, 100

	// largeToken is how many places a token takes at least that never comes into the main queue.
	// A place is as large as the average token can be, and no smaller than by default, or else a few
	// claims more would make a token large.
	largeToken    = 8
	smallestPlace = DefaultCacheBytes / DefaultCacheEntries

	// maxSpared is how often in one insertion a token is spared because it was used, and maxEvicted how many are evicted at most.
	// The two bound for how long an insertion holds the lock. maxCached, in bytes, is the size of a token for which so many make room.
	maxSpared  = 256
	maxEvicted = 256
	maxCached  = maxEvicted * cachedOverhead

	// maxChain is how many tokens a chain holds. Few have the same place by chance, but an issuer that publishes a key for
	// each of its tokens can give them all the same signature.
	maxChain = 16

	// cachedUnlimited is how long a token without exp is remembered; see InsecureNoExpiry.
	cachedUnlimited = 5 * time.Minute
)

// cache remembers verified tokens: facts, never decisions. That the signature is good and the claims are well formed and meant for
// us does not change while the key is in the issuer's set; everything that does change is looked at each time, in confirm.
//
// It is a hash table whose chains are read without a lock, and queues by which a mutex decides what stays: S3-FIFO (Yang
// et al., "FIFO queues are all you need for cache eviction", SOSP 2023). New tokens wait in a small queue, from which only those
// that are used again come into the main one, so that a flood of tokens that come once does not displace those in use. A token
// that left the small queue not long ago, and comes back, goes to the main one at once.
//
// Two things are not in the paper, because its traces have no attacker. Before the small queue there is a fresh one, whose uses do
// not count: a token that is sent twice in a row was used once. And a token that takes the places of many stays in the small queue.
type cache struct {
	maxEntries int // 0: there is no cache
	maxBytes   int
	seed       maphash.Seed

	table atomic.Pointer[cacheTable] // nil until a token is remembered, and after close

	mu                 sync.Mutex // guards everything below, and every change of a chain
	closed             bool
	fresh, small, main cacheQueue
	ghosts             []uint64 // the hashes of tokens that left the small queue, each at its place; another takes it over
}

// ghost is the place of a token among the ghosts. The caller holds the lock.
func (c *cache) ghost(e *cached) *uint64 { return &c.ghosts[e.hash%uint64(len(c.ghosts))] }

// cacheTable is an array of chains.
type cacheTable []atomic.Pointer[cached]

// cached is a verified token.
type cached struct {
	token     string // the principal's, nearer by
	principal *principal
	hash      uint64 // of the token: it finds the place, and decides nothing
	size      int    // in bytes
	iss       *issuer
	kid       string // of the header, as the next one is
	algorithm string
	key       jwks.Key
	from, to  time.Time // judgeTimes lets it pass at the first and until just before the second

	uses  atomic.Int32
	next  atomic.Pointer[cached] // in the chain
	later *cached                // in the queue
	gone  bool                   // from the chain, though not from the queue
}

// cacheQueue is a queue of entries, the oldest first.
type cacheQueue struct {
	oldest, newest *cached
	entries, bytes int
}

func (q *cacheQueue) push(c *cached) {
	if c.later = nil; q.newest == nil {
		q.oldest = c
	} else {
		q.newest.later = c
	}
	q.newest = c
	q.entries++
	q.bytes += c.size
}

func (q *cacheQueue) pop() *cached {
	c := q.oldest
	if q.oldest = c.later; q.oldest == nil {
		q.newest = nil
	}
	c.later = nil
	q.entries--
	q.bytes -= c.size
	return c
}

// recall returns the entry of a token, or nil. The whole text is compared.
func (c *cache) recall(token string) *cached {
	table := c.table.Load()
	if table == nil {
		return nil
	}
	hash := c.hash(token)
	for e := table.chain(hash).Load(); e != nil; e = e.next.Load() {
		if e.hash == hash && e.token == token {
			if uses := e.uses.Load(); uses < maxUses {
				e.uses.CompareAndSwap(uses, uses+1)
			}
			return e
		}
	}
	return nil
}

// hash finds the place of a token by its end, which is the end of a signature, and so as good as random. The seed is there for
// who can choose signatures.
func (c *cache) hash(token string) uint64 {
	const enough = 32 // characters: 192 bits
	return maphash.String(c.seed, token[max(0, len(token)-enough):])
}

func (t cacheTable) chain(hash uint64) *atomic.Pointer[cached] { return &t[hash%uint64(len(t))] }

// remember adds a token that was verified at this time. The principal is not shared yet.
func (c *cache) remember(p *principal, iss *issuer, kid string, key jwks.Key, now time.Time) {
	if c.maxEntries == 0 {
		return
	}
	size := p.size() + len(kid)
	if size > min(c.maxBytes/(2*smallPart), maxCached) { // it would displace too much
		return
	}
	token := strings.Clone(p.sent.token) // which was part of a request's header, and would keep that in memory
	p.sent.token = token
	claims := p.claims.read()
	e := &cached{token: token, principal: p, hash: c.hash(token), size: size, iss: iss, kid: kid, algorithm: claims.algorithm, key: key}
	e.from, e.to = iss.validity(claims, now)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	table := c.table.Load()
	if table == nil {
		made := make(cacheTable, c.maxEntries)
		table = &made
		c.ghosts = make([]uint64, len(made))
		c.table.Store(table)
	}
	chain := table.chain(e.hash)
	length := 0
	for other := chain.Load(); other != nil; other = other.next.Load() {
		if other.token == e.token {
			c.unlink(other) // verified anew: another key or a later time
			length = 0
			break
		}
		length++
	}
	if length >= maxChain {
		return
	}
	returns := *c.ghost(e) == e.hash && !c.large(e)
	c.makeRoom(size, returns)
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

// large reports whether a token takes the places of many. Such tokens wait in the small queue for as long as they are used.
func (c *cache) large(e *cached) bool {
	return e.size > largeToken*max(c.maxBytes/c.maxEntries, smallestPlace)
}

// makeRoom evicts until there is room for an entry of this size, which comes into the main queue at once, or else into the fresh
// one. It ends: maxEvicted entries are at least as large as one that is remembered. The caller holds the lock.
func (c *cache) makeRoom(size int, toMain bool) {
	coming := size // into the part for new tokens
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
func (c *cache) entries() int { return c.fresh.entries + c.small.entries + c.main.entries }
func (c *cache) bytes() int   { return c.fresh.bytes + c.small.bytes + c.main.bytes }

// size is about what a remembered token takes in memory.
func (p *principal) size() int {
	const text = 16 // bytes of a string, beside its characters
	claims := p.claims.read()
	lists := cap(claims.audience) + cap(claims.scopes) + cap(claims.roles)
	size := cachedOverhead + len(p.sent.token) + len(claims.payload) + text*lists
	if strings.IndexByte(claims.payload, '\\') >= 0 {
		size += len(claims.payload) // a claim that was unescaped is a copy: no longer than this
	}
	return size
}

// evict takes one step towards room for an entry, of which so many bytes come into the part for new tokens: it forgets one, or
// spares one that was used, if it may, which gets none a further round more often than it was used. The caller holds the lock, and
// one of the queues is not empty.
func (c *cache) evict(coming int, maySpare bool) (spared bool) {
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

// forget removes an entry that is not good any more. Its place in the queue stays taken until its turn comes.
func (c *cache) forget(e *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlink(e)
}

// unlink takes an entry out of its chain. Whoever is reading the chain meanwhile still comes past it. The caller holds the lock.
func (c *cache) unlink(e *cached) {
	table := c.table.Load()
	if e.gone || table == nil {
		return
	}
	e.gone = true
	link := table.chain(e.hash)
	for link.Load() != e {
		link = &link.Load().next
	}
	link.Store(e.next.Load())
}

// close forgets everything, for good.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.table.Store(nil)
	c.fresh, c.small, c.main, c.ghosts = cacheQueue{}, cacheQueue{}, cacheQueue{}, nil
}

// confirm looks at everything about a remembered token that may have changed: its key, and the time. Neither a principal nor an
// error means that the token is to be verified anew, which will say what is wrong with it.
func (m *core) confirm(ctx context.Context, e *cached, ev *Event) (*principal, *Error) {
	var now time.Time
	if e.iss.keys == nil {
		now = time.Now()
	} else {
		held, at, err := e.iss.keys.Holds(ctx, e.iss.name, e.kid, e.algorithm, e.key)
		if err != nil {
			ev.Issuer, ev.Algorithm = e.iss.name, e.algorithm
			return nil, noKey(err)
		}
		if !held { // also when the issuer now binds the key to other issuers: then it is another key
			m.cache.forget(e)
			return nil, nil
		}
		now = at
	}
	if now.Before(e.from) || !now.Before(e.to) {
		m.cache.forget(e)
		return nil, nil
	}
	ev.Issuer, ev.Algorithm, ev.KeyID, ev.Cached = e.iss.name, e.algorithm, e.key.ID(), true
	return e.principal, nil
}

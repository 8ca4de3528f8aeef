package tokens

import (
	"container/list"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/pacing"
)

// Manager keeps one token for each [Key]. It is made by [NewManager], does nothing until a token is
// asked for, and is safe for concurrent use. It prints as "[secret]".
type Manager struct {
	opaque
	*hiddenManager
}

type hiddenManager struct{ *managerState }

type managerState struct {
	fetcher Fetcher
	timeout time.Duration
	maxKeys int
	logger  *slog.Logger
	observe func(context.Context, Event)

	descriptions bool // are logged

	ctx     context.Context // of every fetch; it ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup

	closers  closers
	renewals *pacing.Allowance // shared with other Managers, if these are of sessions

	hashKey [sha256.Size]byte // of the hashes of callers' tokens; random

	mu      sync.Mutex                 // guards what follows, and the end of ctx; it is taken last
	sources map[sourceID]*list.Element // of *Source
	order   *list.List                 // the one that was not asked for or fetched for the longest time is at the front
}

// sourceID is what a Manager finds a source by.
type sourceID struct {
	key    Key
	caller string // a keyed hash of the caller's tokens, "" for a source that they do not matter to
}

// NewManager returns a Manager over a Fetcher. It does no I/O and starts nothing. The error is
// every mistake in the configuration, each a [*ConfigError].
func NewManager(fetcher Fetcher, opts ...ManagerOption) (*Manager, error) {
	c := configureManager(fetcher, opts)
	if err := configErrors(c.All); err != nil {
		return nil, err
	}
	m := &Manager{hiddenManager: &hiddenManager{&managerState{
		fetcher: fetcher, observe: c.observe.Get(), logger: c.logger.Or(slog.Default()),
		timeout: c.timeout.Or(defaultFetchTimeout), maxKeys: c.maxKeys.Or(defaultMaxKeys),
		descriptions: c.descriptions.Given(),
		sources:      make(map[sourceID]*list.Element), order: list.New(), renewals: new(pacing.Allowance),
	}}}
	if f, ok := fetcher.(pacing.Sharer); ok {
		m.renewals = f.Allowance()
	}
	_, _ = rand.Read(m.hashKey[:]) // it never fails
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

// Source returns the source of tokens for a key: the same one each time, until it is forgotten; see
// [WithMaxKeys]. It does no I/O. A key that the Fetcher cannot serve is an error of [Source.Token].
func (m *Manager) Source(key Key) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.find(sourceID{key: key}); s != nil {
		return s
	}
	s := newSource(&sourceState{m: m, key: key})
	m.remember(s)
	return s
}

// callerSource returns the source of a key for callers whose tokens have a hash.
func (m *Manager) callerSource(parent *Source, hash string) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(parent) // or it would be forgotten before those that were made for it
	if s := m.find(sourceID{parent.key, hash}); s != nil {
		return s
	}
	s := newSource(&sourceState{m: m, key: parent.key, parent: parent, callerHash: hash})
	m.remember(s)
	return s
}

// find returns a source that is remembered, or nil. The caller holds the lock.
func (m *Manager) find(id sourceID) *Source {
	found, ok := m.sources[id]
	if !ok {
		return nil
	}
	m.order.MoveToBack(found)
	return found.Value.(*Source)
}

// remember adds a source, in place of the oldest if there are too many. The caller holds the lock.
func (m *Manager) remember(s *Source) {
	m.sources[s.id()] = m.order.PushBack(s)
	for m.order.Len() > m.maxKeys {
		oldest := m.order.Remove(m.order.Front()).(*Source)
		delete(m.sources, oldest.id())
	}
}

// keep notes that a source is used. One that was forgotten is remembered again, unless another has
// taken its place. The caller holds the lock.
func (m *Manager) keep(s *Source) {
	switch e, ok := m.sources[s.id()]; {
	case !ok:
		m.remember(s)
	case e.Value == s:
		m.order.MoveToBack(e)
	}
}

// begin lets a fetch begin, unless the Manager is closed. The caller that began it calls
// m.running.Done.
func (m *Manager) begin(s *Source) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	m.running.Add(1)
	m.keep(s)
	return true
}

// all returns the sources that are remembered, in their order.
func (m *Manager) all() []*Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Source, 0, m.order.Len())
	for e := m.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*Source))
	}
	return all
}

// Reset resets the sources of all keys that the Manager remembers, as [Source.Reset] does.
func (m *Manager) Reset() {
	for _, s := range m.all() {
		s.reset()
	}
}

// Close ends every fetch under way, waits until the Fetcher has returned from each, and forgets all
// tokens. Afterwards [Source.Token] gives [ErrClosed]; only the Source of a key that was forgotten
// before hands out what it has until that is stale. It may be called more than once.
//
// The error is what the Fetcher's closers returned, see [Request.AtClose]: with package session, a
// StoreError when there is a refresh token that could still not be saved, and is lost with the
// process. Call Close again to try again.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.cancel()
	m.mu.Unlock()
	m.running.Wait()
	m.Reset()
	return m.closers.close(m.logger)
}

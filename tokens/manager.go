package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/pacing"
	"github.com/bearer-go/bearer/internal/recall"
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

	mu      sync.Mutex                         // guards what follows, and the end of ctx; it is taken last
	sources *recall.Map[sourceID, sourceState] // kept when they are asked for or fetched
}

// sourceID is what a Manager finds a source by.
type sourceID struct {
	key    Key
	caller string // a keyed hash of the caller's tokens, "" for a source that they do not matter to
}

// NewManager returns a Manager over a Fetcher. It does no I/O and starts nothing. The error is
// every mistake in the configuration, each a [*ConfigError], or of package oauth if it is in the
// options of a grant.
func NewManager(fetcher Fetcher, opts ...ManagerOption) (*Manager, error) {
	c := configureManager(fetcher, opts)
	if err := c.mistakes(fetcher); err != nil {
		return nil, err
	}
	m := &Manager{hiddenManager: &hiddenManager{&managerState{
		fetcher: fetcher, observe: c.observe.Get(), logger: c.logger.Or(slog.Default()),
		timeout: c.timeout.Or(defaultFetchTimeout), maxKeys: c.maxKeys.Or(defaultMaxKeys),
		descriptions: c.descriptions.Given(),
		sources:      recall.New((*sourceState).id), renewals: new(pacing.Allowance),
	}}}
	if f, ok := fetcher.(pacing.Sharer); ok {
		m.renewals = f.Allowance()
	}
	_, _ = rand.Read(m.hashKey[:]) // it never fails
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

// Source returns the source of tokens for a key. It is the same one each time, and for each key
// that means the same token, also one that the Manager has forgotten ([WithMaxKeys]) and that a
// caller still holds. It does no I/O. A key that the Fetcher cannot serve is an error of
// [Source.Token].
func (m *Manager) Source(key Key) *Source {
	key = key.canonical()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(sourceID{key: key})
	if s == nil {
		s = newSource(&sourceState{m: m, key: key})
	}
	m.keep(s)
	return s
}

// callerSource returns the source of a key for callers whose tokens have a hash.
func (m *Manager) callerSource(parent *Source, hash string) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(parent) // or it would be forgotten before those that were made for it
	s := m.find(sourceID{parent.key, hash})
	if s == nil {
		s = newSource(&sourceState{m: m, key: parent.key, parent: parent, callerHash: hash})
	}
	m.keep(s)
	return s
}

// find returns a source that is remembered or still held, or nil. The caller holds the lock.
func (m *Manager) find(id sourceID) *Source {
	if s := m.sources.Find(id); s != nil {
		return s.source
	}
	return nil
}

// keep notes that a source is used, and remembers it, in place of the oldest if there are too many.
// The caller holds the lock.
func (m *Manager) keep(s *Source) {
	m.sources.Keep(s.sourceState)
	for m.sources.Len() > m.maxKeys {
		m.sources.Forget(m.sources.Oldest())
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

// remembered returns the sources that are remembered, in their order.
func (m *Manager) remembered() []*sourceState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources.Remembered()
}

// all returns every source that can hand out a token: those that are remembered, and those that are
// still held.
func (m *Manager) all() []*sourceState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources.All()
}

// Reset resets the sources of all keys, as [Source.Reset] does. Those that the Manager has
// forgotten and that a caller still holds are among them.
func (m *Manager) Reset() {
	for _, s := range m.all() {
		s.reset()
	}
}

// Close ends every fetch under way, waits until the Fetcher has returned from each, and forgets all
// tokens. Afterwards [Source.Token] gives [ErrClosed]. It may be called more than once.
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

package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// sessionStore is a Store that does as it is told.
type sessionStore struct {
	session.Store

	mu     sync.Mutex
	names  map[string]bool
	leases []time.Duration
	onLoad func(ctx context.Context, name string) error                                      // nil passes, as does a nil error
	onSave func(ctx context.Context, pass func() (int64, error)) (int64, error)              // nil passes
	onDel  func(ctx context.Context) error                                                   // nil passes, as does a nil error
	onLock func(ctx context.Context, pass func() (func(), error)) (unlock func(), err error) // nil passes
}

func newSessionStore() *sessionStore {
	return &sessionStore{Store: session.NewMemoryStore(), names: make(map[string]bool)}
}

// beside is another process's view of the same records: with locks of its own, as after the end of
// a lease.
func (s *sessionStore) beside() *sessionStore {
	other := &sessionStore{Store: s.Store, names: make(map[string]bool)}
	other.onLock = func(context.Context, func() (func(), error)) (func(), error) { return func() {}, nil }
	return other
}

func (s *sessionStore) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *sessionStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	s.mu.Lock()
	s.names[name] = true
	hook := s.onLoad
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, name); err != nil {
			return nil, 0, err
		}
	}
	return s.Store.Load(ctx, name)
}

func (s *sessionStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	s.mu.Lock()
	hook := s.onSave
	s.mu.Unlock()
	pass := func() (int64, error) { return s.Store.Save(ctx, name, data, version) }
	if hook != nil {
		return hook(ctx, pass)
	}
	return pass()
}

func (s *sessionStore) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	hook := s.onDel
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return s.Store.Delete(ctx, name)
}

func (s *sessionStore) Lock(ctx context.Context, name string, lease time.Duration) (func(), error) {
	s.mu.Lock()
	s.leases = append(s.leases, lease)
	hook := s.onLock
	s.mu.Unlock()
	pass := func() (func(), error) { return s.Store.Lock(ctx, name, lease) }
	if hook != nil {
		return hook(ctx, pass)
	}
	return pass()
}

// name returns the name of the one record that was asked for.
func (s *sessionStore) name(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) != 1 {
		t.Fatalf("%d names were asked for, want 1", len(s.names))
	}
	for name := range s.names {
		return name
	}
	return ""
}

// record returns the members of the one record, or nil if there is none.
func (s *sessionStore) record(t *testing.T) map[string]any {
	t.Helper()
	data, _, err := s.Store.Load(context.Background(), s.name(t))
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	var members map[string]any
	if err != nil || json.Unmarshal(data, &members) != nil {
		t.Fatalf("the record cannot be read: %v", err)
	}
	return members
}

// fail makes every Save fail, until it is given nil.
func (s *sessionStore) fail(err error) {
	s.set(func() {
		s.onSave = nil
		if err != nil {
			s.onSave = func(context.Context, func() (int64, error)) (int64, error) { return 0, err }
		}
	})
}

var errDiskFull = errors.New("disk full")

func sessionSlowSave(before, after time.Duration) func(context.Context, func() (int64, error)) (int64, error) {
	return func(_ context.Context, pass func() (int64, error)) (int64, error) {
		<-time.After(max(1, before))
		version, err := pass()
		<-time.After(max(1, after))
		return version, err
	}
}

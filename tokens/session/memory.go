package session

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// NewMemoryStore returns a [Store] that ends with the process, for tests and for what need not
// survive. What it holds is bounded by what is saved and not deleted; of a deleted record, and of a
// lock that has ended, nothing is left.
func NewMemoryStore() Store {
	return &memoryStore{hiddenMemory: &hiddenMemory{&memoryState{records: make(map[string]memoryRecord), locks: make(map[string]*memoryLock)}}}
}

type memoryStore struct {
	opaque
	*hiddenMemory
}

type hiddenMemory struct{ *memoryState }

type memoryState struct {
	mu      sync.Mutex
	last    int64 // the version that was given last: no two records ever have the same one
	records map[string]memoryRecord
	locks   map[string]*memoryLock
}

type memoryRecord struct {
	data    []byte
	version int64
}

func (s *memoryStore) Load(ctx context.Context, name string) ([]byte, int64, error) {
	if err := checkName(ctx, name); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record, ok := s.records[name]
	if !ok {
		return nil, 0, ErrNotFound
	}
	return bytes.Clone(record.data), record.version, nil
}

func (s *memoryStore) Save(ctx context.Context, name string, data []byte, version int64) (int64, error) {
	if err := checkName(ctx, name); err != nil {
		return 0, err
	}
	if len(data) > maxKept {
		return 0, errKept
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[name].version != version { // that of a record which is not there is 0
		return 0, ErrConflict
	}
	s.last++
	s.records[name] = memoryRecord{bytes.Clone(data), s.last}
	return s.last, nil
}

func (s *memoryStore) Delete(ctx context.Context, name string) error {
	if err := checkName(ctx, name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, name)
	return nil
}

// memoryLock is there as long as a caller has it or waits for it.
type memoryLock struct {
	held  chan struct{} // has room for one
	users int
}

func (s *memoryStore) Lock(ctx context.Context, name string, lease time.Duration) (func(), error) {
	if err := checkLock(ctx, name, lease); err != nil {
		return nil, err
	}
	lock := s.joinLock(name)
	select {
	case lock.held <- struct{}{}:
	case <-ctx.Done():
		s.leaveLock(name, lock)
		return nil, context.Cause(ctx)
	}
	var once sync.Once
	release := func() {
		once.Do(func() {
			<-lock.held
			s.leaveLock(name, lock)
		})
	}
	timer := time.AfterFunc(lease, release)
	return func() {
		timer.Stop()
		release()
	}, nil
}

func (s *memoryStore) joinLock(name string) *memoryLock {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock := s.locks[name]
	if lock == nil {
		lock = &memoryLock{held: make(chan struct{}, 1)}
		s.locks[name] = lock
	}
	lock.users++
	return lock
}

func (s *memoryStore) leaveLock(name string, lock *memoryLock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock.users--
	if lock.users == 0 {
		delete(s.locks, name)
	}
}

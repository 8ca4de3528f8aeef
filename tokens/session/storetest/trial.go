package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

// trial is one run of one case.
type trial struct {
	testing.TB
	one, other session.Store // over the same records
	bubble     bool          // waiting takes no time
}

// context is one that a Store has no reason to see ended.
func (t *trial) context() context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (t *trial) must(err error, what string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantError checks that something is refused, and not by one of the errors that say something of
// the record.
func (t *trial) wantError(err error, what string) {
	t.Helper()
	if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) {
		t.Errorf("%s: the error is %v, want one that is neither ErrNotFound nor ErrConflict", what, err)
	}
}

func (t *trial) save(store session.Store, name, data string, version int64) int64 {
	t.Helper()
	saved, err := store.Save(t.context(), name, []byte(data), version)
	if err != nil {
		t.Fatalf("Save of %.20q in version %d: %v", name, version, err)
	}
	if saved <= 0 || saved == version {
		t.Fatalf("Save of %.20q in version %d returned the version %d, want another one, above zero", name, version, saved)
	}
	return saved
}

// conflict checks that the record "a" is not in a version.
func (t *trial) conflict(store session.Store, version int64) {
	t.Helper()
	const name = "a"
	saved, err := store.Save(t.context(), name, []byte("x"), version)
	if !errors.Is(err, session.ErrConflict) {
		t.Errorf("Save of %.20q in version %d: version %d, error %v, want ErrConflict", name, version, saved, err)
	}
}

func (t *trial) want(store session.Store, name, data string, version int64) {
	t.Helper()
	loaded, at, err := store.Load(t.context(), name)
	if err != nil || string(loaded) != data || at != version {
		t.Fatalf("Load of %.20q: %.20q (%d bytes) in version %d, error %v, want %.20q (%d bytes) in version %d",
			name, loaded, len(loaded), at, err, data, len(data), version)
	}
}

func (t *trial) wantNone(store session.Store, name string) {
	t.Helper()
	data, version, err := store.Load(t.context(), name)
	if !errors.Is(err, session.ErrNotFound) {
		t.Fatalf("Load of %.20q: %.20q in version %d, error %v, want ErrNotFound", name, data, version, err)
	}
}

// lock locks, until the end of the trial if unlock is not called before.
func (t *trial) lock(store session.Store, name string, lease time.Duration) (unlock func()) {
	t.Helper()
	unlock, err := store.Lock(t.context(), name, lease)
	if err != nil {
		t.Fatalf("Lock of %.20q: %v", name, err)
	}
	t.Cleanup(unlock)
	return unlock
}

// tryLock locks and unlocks, and reports an error. It may run in any goroutine.
func (t *trial) tryLock(store session.Store, name string, wait time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	unlock, err := store.Lock(ctx, name, longLease)
	if err != nil {
		t.Errorf("Lock of %.20q: %v", name, err)
		return
	}
	unlock()
}

// wantLocked checks that no caller gets the lock within a moment.
func (t *trial) wantLocked(store session.Store, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	unlock, err := store.Lock(ctx, name, longLease)
	if err == nil {
		unlock()
		t.Fatalf("%.20q is locked, and another one gets the lock", name)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Lock of %.20q until the context ends: %v, want its cause", name, err)
	}
}

// crowd does something in many goroutines at once, half of them with the other Store.
func (t *trial) crowd(do func(store session.Store, n int)) {
	var all sync.WaitGroup
	for n := range crowd {
		store := t.one
		if n%2 == 1 {
			store = t.other
		}
		all.Go(func() { do(store, n) })
	}
	all.Wait()
}

// oneSaves lets many save in one version, and returns the next.
func (t *trial) oneSaves(name string, version int64) int64 {
	t.Helper()
	type saved struct {
		data    string
		version int64
	}
	var winner atomic.Pointer[saved]
	t.crowd(func(store session.Store, n int) {
		data := fmt.Sprintf("saver %d", n)
		next, err := store.Save(t.context(), name, []byte(data), version)
		switch {
		case err == nil:
			if !winner.CompareAndSwap(nil, &saved{data, next}) {
				t.Errorf("two have saved %q in version %d", name, version)
			}
		case !errors.Is(err, session.ErrConflict):
			t.Errorf("Save of %q in version %d: %v, want ErrConflict or none", name, version, err)
		}
	})
	w := winner.Load()
	if w == nil {
		t.Fatalf("of %d who save %q in version %d none has", crowd, name, version)
	}
	t.want(t.one, name, w.data, w.version)
	t.want(t.other, name, w.data, w.version)
	return w.version
}

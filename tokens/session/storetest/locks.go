package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bearer-go/bearer/tokens/session"
)

func lockAndUnlock(t *trial) {
	unlock := t.lock(t.one, "a", longLease)
	t.wantLocked(t.other, "a")
	t.wantLocked(t.one, "a")
	entered := make(chan struct{})
	go func() {
		defer close(entered)
		t.tryLock(t.other, "a", patience)
	}()
	unlock()
	<-entered
}

func manyLockers(t *trial) {
	const times = 3 // that each locks
	var inside, total atomic.Int32
	t.crowd(func(store session.Store, _ int) {
		for range times {
			unlock, err := store.Lock(t.context(), "a", longLease)
			if err != nil {
				t.Errorf("Lock: %v", err)
				return
			}
			if inside.Add(1) != 1 {
				t.Errorf("two have the lock at once")
			}
			<-time.After(time.Millisecond)
			inside.Add(-1)
			total.Add(1)
			unlock()
		}
	})
	if total.Load() != crowd*times {
		t.Errorf("of %d who locked %d had the lock", crowd*times, total.Load())
	}
}

func locksApart(t *trial) {
	names := []string{"a", "A", "a ", "b", "a/b", strings.Repeat("n", 256), strings.Repeat("n", 255) + "m"}
	for n := range many {
		names = append(names, fmt.Sprint("name ", n))
	}
	for _, name := range names {
		t.lock(t.one, name, longLease)
	}
	t.wantLocked(t.other, "a")
	t.wantLocked(t.other, "b")
	t.want(t.other, "a", "x", t.save(t.one, "a", "x", 0))
}

func manyWaiters(t *trial) {
	t.lock(t.one, "a", longLease)
	ctx, cancel := context.WithCancel(t.Context()) // they wait for longer than the others
	var waiting sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		waiting.Wait()
	})
	for range crowd {
		waiting.Go(func() {
			if unlock, err := t.other.Lock(ctx, "a", longLease); err == nil {
				unlock()
				t.Errorf("two have the lock at once")
			}
		})
	}
	<-time.After(moment)
	t.lock(t.other, "b", longLease)
	for _, name := range []string{"a", "b", "c"} {
		t.want(t.other, name, "x", t.save(t.other, name, "x", 0))
		t.must(t.other.Delete(t.context(), name), "Delete")
	}
}

func lockWithoutRecord(t *trial) {
	unlock := t.lock(t.one, "a", longLease)
	t.wantNone(t.one, "a")
	unlock()
	t.wantNone(t.other, "a")
	t.save(t.one, "a", "x", 0)
}

func lockedRecord(t *trial) {
	t.lock(t.one, "a", longLease)
	version := t.save(t.one, "a", "first", 0)
	t.wantLocked(t.other, "a")
	t.want(t.other, "a", "first", version)
	version = t.save(t.other, "a", "second", version)
	t.want(t.one, "a", "second", version)
	t.wantLocked(t.other, "a")
	t.must(t.one.Delete(t.context(), "a"), "Delete")
	t.wantLocked(t.other, "a")
	t.want(t.other, "a", "again", t.save(t.one, "a", "again", 0))
	t.wantLocked(t.other, "a")
}

func unlockTwice(t *trial) {
	unlock := t.lock(t.one, "a", longLease)
	var both sync.WaitGroup
	both.Go(unlock)
	both.Go(unlock)
	both.Wait()
	second := t.lock(t.other, "a", longLease)
	unlock()
	t.wantLocked(t.one, "a")
	second()
	t.lock(t.one, "a", longLease)
	unlock()
	second()
	t.wantLocked(t.other, "a")
}

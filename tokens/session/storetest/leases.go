package storetest

import (
	"context"
	"fmt"
	"math"
	"time"
)

func leaseEnds(t *trial) {
	t.lock(t.one, "a", shortLease)
	t.lock(t.other, "a", shortLease) // waits
	t.lock(t.one, "a", longLease)
	t.wantLocked(t.other, "a")
}

// leaseLasts looks whether a lock is cut short. A Store that allows no more than some minutes is
// found in a bubble alone.
func leaseLasts(t *trial) {
	lease, held := heldLease, heldLease-800*time.Millisecond // the clock runs on, however slow the machine is
	if t.bubble {
		lease, held = longLease, longLease-2*moment
	}
	t.lock(t.one, "a", lease)
	<-time.After(held)
	t.wantLocked(t.other, "a")
}

func leaseBegins(t *trial) {
	unlock := t.lock(t.one, "a", longLease)
	entered := make(chan func(), 1)
	go func() {
		defer close(entered)
		second, err := t.other.Lock(t.context(), "a", passed)
		if err != nil {
			t.Errorf("Lock: %v", err)
			return
		}
		entered <- second
	}()
	<-time.After(passed * 7 / 10)
	unlock()
	second, ok := <-entered
	if !ok {
		return
	}
	defer second()
	<-time.After(passed / 2)
	t.wantLocked(t.one, "a")
}

func extremeLeases(t *trial) {
	for _, lease := range []time.Duration{1, time.Microsecond, time.Millisecond - 1} {
		t.lock(t.one, "a", lease)
		t.lock(t.other, "a", lease) // waits
	}
	t.lock(t.one, "a", math.MaxInt64)
	t.wantLocked(t.other, "a")
}

func unlockAfterLease(t *trial) {
	unlock := t.lock(t.one, "a", shortLease)
	t.lock(t.other, "a", longLease)
	unlock()
	t.wantLocked(t.one, "a")
	unlock()
	t.wantLocked(t.other, "a")
}

func badLease(t *trial) {
	for _, lease := range []time.Duration{0, -1, -time.Hour} {
		unlock, err := t.one.Lock(t.context(), "a", lease)
		t.wantError(err, fmt.Sprintf("Lock with the lease %s", lease))
		if err == nil {
			unlock()
		}
	}
	t.lock(t.other, "a", longLease)
}

func contextAfterLock(t *trial) {
	ctx, cancel := context.WithCancel(t.context())
	unlock, err := t.one.Lock(ctx, "a", longLease)
	t.must(err, "Lock")
	cancel()
	t.wantLocked(t.other, "a")
	unlock()
	t.lock(t.other, "a", longLease)
}

func deadlineAfterLock(t *trial) {
	ctx, cancel := context.WithTimeout(t.context(), passed)
	defer cancel()
	unlock, err := t.one.Lock(ctx, "a", longLease)
	t.must(err, "Lock")
	<-ctx.Done()
	t.wantLocked(t.other, "a")
	unlock()
	t.lock(t.other, "a", longLease)
}

func lockLeavesRecord(t *trial) {
	version := t.save(t.one, "a", "x", 0)
	t.lock(t.one, "a", longLease)()
	t.want(t.other, "a", "x", version)
	t.lock(t.one, "a", shortLease)
	t.lock(t.other, "a", longLease)() // waits
	t.want(t.other, "a", "x", version)
}

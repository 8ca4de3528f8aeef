package flight

import (
	"context"
	"time"
)

// A Backoff is how the bound of the pause after failures grows with their number.
type Backoff struct {
	First time.Duration // the bound after one failure; it doubles with each further one
	Max   time.Duration // up to this
}

// Bound returns the longest pause after so many failures in a row.
func (b Backoff) Bound(failures int) time.Duration {
	bound := b.First
	for ; failures > 1 && bound < b.Max; failures-- {
		bound *= 2
	}
	return min(bound, b.Max)
}

// Sleep waits for a time, or until wake is closed, and returns true. It returns false when the
// context ends before. A nil wake is never closed.
func Sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

package flight

import (
	"context"
	"time"
)

// A Call is one piece of work that any number of callers wait for. No caller can cancel it. Make it
// with [NewCall].
type Call[T any] struct {
	done   chan struct{} // closed by Finish, after which the rest never changes
	result T
	err    error
}

// NewCall returns a call that has not finished.
func NewCall[T any]() *Call[T] { return &Call[T]{done: make(chan struct{})} }

// FinishedCall returns a call that has finished with a result.
func FinishedCall[T any](result T) *Call[T] {
	c := NewCall[T]()
	c.Finish(result, nil)
	return c
}

// Finish ends the call, and with it the wait of every caller. The owner calls it once.
func (c *Call[T]) Finish(result T, err error) {
	c.result, c.err = result, err
	close(c.done)
}

// Finished reports whether the call has finished.
func (c *Call[T]) Finished() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Wait waits until the call finishes, and reports whether it did. It gives up at a time, which is
// zero for never, and when the context ends. A call that has finished before counts even if it is
// too late for both.
func (c *Call[T]) Wait(ctx context.Context, until time.Time) bool {
	if c.Finished() {
		return true
	}
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-c.done:
		return true
	case <-late:
		return false
	case <-ctx.Done():
		return false
	}
}

// Result returns what the call has finished with.
func (c *Call[T]) Result() (T, error) { return c.result, c.err }

package session

import "fmt"

// StoreError is what came of a [Store] that could not do its part. It is a matter of trying again.
type StoreError struct {
	Op  string // what was asked for: "lock", "load", "save" or "delete"
	Err error  // what the Store said; [ErrConflict] when another process was faster although this one had the lock
}

// Error names the operation and what the Store said.
func (e *StoreError) Error() string {
	return fmt.Sprintf("session: the store cannot %s the session: %v", e.Op, e.Err)
}

// Unwrap returns Err.
func (e *StoreError) Unwrap() error { return e.Err }

package session

import (
	"fmt"

	"github.com/bearer-go/bearer/internal/optional"
)

// StoreError is what came of a [Store] that could not do its part. It is a matter of trying again,
// except with a refresh token that could not be saved; see [Session.Adopt].
type StoreError struct {
	Op  string // what was asked for: "lock", "load", "save" or "delete"
	Err error  // what the Store said; [ErrConflict] when another process was faster although this one had the lock
}

// Error names the operation and what the Store said.
func (e *StoreError) Error() string {
	return fmt.Sprintf("session: the store cannot %s the record: %v", e.Op, e.Err)
}

// Unwrap returns Err.
func (e *StoreError) Unwrap() error { return e.Err }

// ConfigError is one mistake in a configuration. [New], [NewSessions], [NewLogin], [OpenLogin],
// [LoadLogin], [NewFileStore] and [NewSealedStore] return all of them at once, joined with
// [errors.Join].
type ConfigError struct {
	// Option is the option or the function at fault, such as "WithResource".
	Option string
	// Subject is what it was given for. It is "" here: every option is for the whole.
	Subject string
	// Value is what was given. It is "" for secrets and for values that cannot be printed.
	Value string
	// Problem says what is wrong with the value and what to do.
	Problem string
}

// Error returns the option, the value and what to do, in one line.
func (e *ConfigError) Error() string { return optional.Mistake(*e).Text("session") }

// configErrors returns the mistakes as one error, or nil if there are none.
func configErrors(mistakes []optional.Mistake) error {
	return optional.Join(mistakes, func(m optional.Mistake) error { return new(ConfigError(m)) })
}

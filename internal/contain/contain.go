// Package contain runs code of the application, such as a Fetcher, a Store or a RoundTripper, so
// that a panic in it ends there.
//
// Every goroutine that packages tokens, oauth and session start and that runs such code uses this
// package. In a goroutine of the application a panic goes to the caller, except one of an Observer,
// a log handler or a Closer.
package contain

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
)

// Call runs call and then done: with the error of call, with one that says who panicked, or with
// one that says who did not return because runtime.Goexit ended the goroutine. A panic is logged
// with the stack, and without its value, which may hold a secret.
func Call(ctx context.Context, logger *slog.Logger, who string, call func() error, done func(err error)) {
	var err error
	returned := false
	defer func() {
		defer func() { done(err) }() // also when the log handler ends the goroutine
		switch {
		case returned:
		case recover() != nil:
			err = errors.New(who + " panicked")
			LogPanic(ctx, logger, who)
		default:
			err = errors.New(who + " did not return")
		}
	}()
	err = call()
	returned = true
}

// Tell is [Call] for code that returns nothing.
func Tell(ctx context.Context, logger *slog.Logger, who string, call func()) {
	Call(ctx, logger, who, func() error { call(); return nil }, func(error) {})
}

// LogPanic logs that someone's code panicked. It outlives a log handler that does so, too.
func LogPanic(ctx context.Context, logger *slog.Logger, who string) {
	defer func() { _ = recover() }() // of the log handler: there is no other place to say so
	logger.ErrorContext(ctx, "tokens: code of the application panicked",
		slog.String("who", who), slog.String("stack", string(debug.Stack())))
}

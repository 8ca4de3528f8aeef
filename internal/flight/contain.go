package flight

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Recover runs work and then done, with the error of the work. A panic of the work is an error with
// its value in the text. It also is an error when work ends its goroutine, as [runtime.Goexit]
// does: then done is the last that runs on it.
//
// It calls no method of the error, whose type may be the application's.
func Recover(who string, work func() error, done func(err error)) {
	recoverInto(who, work, func(value any) error {
		return fmt.Errorf("%s panicked: %v", who, value)
	}, done)
}

// Contain is [Recover] for work whose panics may hold a secret. It logs a panic with the stack and
// without the value, which is not in the error either.
func Contain(
	ctx context.Context, logger *slog.Logger, who string, work func() error, done func(err error),
) {
	recoverInto(who, work, func(any) error {
		LogPanic(ctx, logger, who)
		return errors.New(who + " panicked")
	}, done)
}

// Tell is [Contain] for code that returns nothing.
func Tell(ctx context.Context, logger *slog.Logger, who string, call func()) {
	Contain(ctx, logger, who, func() error { call(); return nil }, func(error) {})
}

// recoverInto is [Recover] with a function that makes the error of a panic.
func recoverInto(
	who string, work func() error, panicked func(value any) error, done func(err error),
) {
	err := errors.New(who + " ended its goroutine") // work, or panicked with its log handler
	returned := false
	defer func() {
		defer func() { done(err) }()
		if returned {
			return
		}
		if value := recover(); value != nil {
			err = panicked(value)
		}
	}()
	err = work()
	returned = true
}

// LogPanic logs that code of the application panicked, with the stack. It is for the deferred
// function that has recovered the panic. A log handler that panics does no harm.
func LogPanic(ctx context.Context, logger *slog.Logger, who string) {
	defer func() { _ = recover() }() // of the log handler: there is no other place to say so
	logger.ErrorContext(ctx, "tokens: code of the application panicked",
		slog.String("who", who), slog.String("stack", string(debug.Stack())))
}

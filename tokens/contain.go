package tokens

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
)

// contain calls code of the application, such as a Fetcher, a Store or a RoundTripper. A panic of
// it ends here, as a failure of what it was called for. Every goroutine that this package starts
// and that runs such code uses contain. In a goroutine of the application a panic goes to the
// caller, but for that of an Observer, a log handler or a Closer.
//
// In each case contain then calls done: with the error of the call, with one that says who
// panicked, or with one that says who did not return because runtime.Goexit ended the goroutine. A
// panic is logged with the stack, and without its value, which may hold a secret.
func contain(ctx context.Context, logger *slog.Logger, who string, call func() error, done func(err error)) {
	var err error
	returned := false
	defer func() {
		defer func() { done(err) }() // also when the log handler ends the goroutine
		switch {
		case returned:
		case recover() != nil:
			err = errors.New(who + " panicked")
			logPanic(ctx, logger, who)
		default:
			err = errors.New(who + " did not return")
		}
	}()
	err = call()
	returned = true
}

// tell calls code of the application that returns nothing, as contain does.
func tell(ctx context.Context, logger *slog.Logger, who string, call func()) {
	contain(ctx, logger, who, func() error { call(); return nil }, func(error) {})
}

func logPanic(ctx context.Context, logger *slog.Logger, who string) {
	defer func() { _ = recover() }() // of the log handler: there is no other place to say so
	logger.ErrorContext(ctx, "tokens: code of the application panicked",
		slog.String("who", who), slog.String("stack", string(debug.Stack())))
}

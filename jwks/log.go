package jwks

import (
	"context"
	"log/slog"
)

// contained is a logger whose handler does not panic. The log is written on the goroutine of a
// fetch, where a panic of the application's handler would end the process.
func contained(logger *slog.Logger) *slog.Logger {
	return slog.New(containedHandler{logger.Handler()})
}

// containedHandler drops what its handler panics at: there is no other place to say so.
type containedHandler struct{ slog.Handler }

func (h containedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, level)
}

func (h containedHandler) Handle(ctx context.Context, record slog.Record) error {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, record)
}

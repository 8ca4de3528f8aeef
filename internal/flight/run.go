package flight

import (
	"context"
	"log/slog"
)

// Run is [Contain] for work that may not return when its context ends. At that moment late is
// called on another goroutine, so that the callers who wait need not wait for the work. When the
// work does return, done is called all the same, after late and with wasLate set.
func Run(
	ctx context.Context, logger *slog.Logger, who string,
	work func() error, late func(), done func(err error, wasLate bool),
) {
	released := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(released)
		late()
	})
	Contain(ctx, logger, who, work, func(err error) {
		wasLate := !stop()
		if wasLate {
			<-released
		}
		done(err, wasLate)
	})
}

package webclient

import (
	"context"
	"errors"
	"fmt"
)

// Ended returns why a context has ended. The error is context.DeadlineExceeded or context.Canceled,
// and whatever cause there is as well.
func Ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

package oauthwire

import (
	"context"
	"sync"

	"github.com/bearer-go/bearer/internal/webclient"
)

// slots are the requests that may be under way at once.
type slots chan struct{}

// enter waits until another request may be made. The caller that was let in calls leave, which may
// be called more than once.
func (s slots) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s <- struct{}{}:
		return sync.OnceFunc(func() { <-s }), nil
	case <-ctx.Done():
		return nil, webclient.Ended(ctx)
	}
}

// slots returns those of an operation. Each endpoint has its own: one that hangs does not stop the
// other one.
func (c *Client) slots(op string) slots {
	if op == OpRevocation {
		return c.revocations
	}
	return c.requests
}

package oauthwire

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/webclient"
)

var errNoTurn = fmt.Errorf("too many requests were under way; see WithMaxRequests: %w",
	context.DeadlineExceeded)

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

// enter waits until a request may be made, and returns what ends it. Each endpoint has its own
// slots: one that hangs does not stop the other one.
//
// A request with something from outside needs one of the callers' slots first. So not all that wait
// for a request are caused by outsiders, and the service's own tokens and refreshes get their turn.
func (c *Client) enter(ctx context.Context, q Call) (leave func(), err error) {
	ctx, cancel := q.waiting(ctx)
	defer cancel()
	switch {
	case q.Op == OpRevocation:
		return c.revocations.enter(ctx)
	case !q.Outside:
		return c.requests.enter(ctx)
	}
	leaveCallers, err := c.callers.enter(ctx)
	if err != nil {
		return nil, err
	}
	leaveRequests, err := c.requests.enter(ctx)
	if err != nil {
		leaveCallers()
		return nil, err
	}
	return func() {
		leaveRequests()
		leaveCallers()
	}, nil
}

// waiting is the context in which a call waits until it may be made. A quarter of its time is left
// for the request. Otherwise, while more comes than the endpoint can answer, the first in line
// would have no time left, and every request would be given up after it was sent. A lasting call is
// not given up, and may wait for all of its time.
func (q Call) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || q.Lasting {
		return ctx, func() {}
	}
	left := time.Until(deadline)
	return context.WithTimeoutCause(ctx, left-left/4, errNoTurn)
}

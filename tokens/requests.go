package tokens

import (
	"context"
	"sync"

	"github.com/bearer-go/bearer/internal/webclient"
)

// DefaultMaxRequests is how many requests a [Client] makes at once; see [MaxRequests].
const DefaultMaxRequests = 16

// MaxRequests sets how many requests a Client makes at once to the token endpoint, and to the
// revocation endpoint besides: [DefaultMaxRequests] of each by default, at least 1. Further requests
// wait, the first one first, for as long as their contexts allow; [FetchTimeout] counts that time
// too. A request is given up after 10 seconds, so that an endpoint which answers some of them never
// keeps the others waiting for longer.
//
// Of the requests to the token endpoint a quarter, rounded up, is kept free of those that outsiders
// can cause in any number, each with another token or code: [Client.Exchange], [Client.JWTBearer]
// without [AssertionPerKey], and [Login.Finish]. With 1 nothing is kept free.
func MaxRequests(n int) ClientOption {
	return func(c *clientConfig) {
		switch {
		case n < 1:
			c.wrong("MaxRequests(%d): a Client needs at least 1", n)
		case c.maxRequests != 0:
			c.wrong("MaxRequests: given twice; keep one")
		}
		c.maxRequests = max(n, 1)
	}
}

// slots are the requests that may be under way at once.
type slots chan struct{}

// enter waits until another request may be made. The one that was let in calls leave, which may be
// called more than once.
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
// What comes from outside has to have one of the callers' slots first. So not all that wait for a
// request are outsiders', and the service's own tokens and refreshes have their turn.
func (c *Client) enter(ctx context.Context, q call) (leave func(), err error) {
	switch {
	case q.op == opRevocation:
		return c.revocations.enter(ctx)
	case !q.outside:
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

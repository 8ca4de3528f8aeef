package session

import (
	"context"
	"errors"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// maxTurns is how often a fetch locks the session when the machine is suspended each time.
const maxTurns = 3

var errOverslept = errors.New("the machine was suspended while it had the session locked, or its clock was set")

// wallNow is the time by the wall clock alone.
func wallNow() time.Time { return time.Now().Round(0) }

// overslept returns errOverslept when the time in which this turn may begin to ask the server is
// over by the wall clock. The contexts of a turn go by the monotonic clock, which stands still
// while a machine is suspended. The lease goes on: another process may have sent the refresh token
// meanwhile, and the server takes a second use for a theft. The time counts from when the session
// would have been locked without a suspension, because the lease may have begun before Lock
// returned. A clock that was set ahead looks the same, and costs another lock.
func (t *turn) overslept() error {
	if t.f.wall().Sub(t.lockedWall) >= t.ahead {
		return errOverslept
	}
	return nil
}

// fetch is inTurn, repeated after a suspension.
func (f *refresher) fetch(ctx context.Context, name string, q tokens.Request) (response *tokens.Response, err error) {
	for range maxTurns {
		response, err = f.inTurn(ctx, name, q)
		if !errors.Is(err, errOverslept) {
			break
		}
	}
	return response, err
}

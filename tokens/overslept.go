package tokens

import (
	"errors"
	"time"
)

// maxTurns is how often a fetch locks the session when the machine is suspended each time.
const maxTurns = 3

var errOverslept = errors.New("the machine was suspended while it had the session locked, or its clock was set")

// wallNow is the time by the wall clock alone.
func wallNow() time.Time { return time.Now().Round(0) }

// overslept is errOverslept when the time in which this turn may begin to ask the server is over by the
// wall clock. The contexts of a turn go by the monotonic clock, which stands still while a machine is
// suspended, but the lease does not: another process may have sent the refresh token meanwhile, and the
// server takes a second use for a theft. So it is asked right before the refresh token is sent. A
// suspension counts from when the lock was asked for: it may have been locked before it. A clock that was set ahead looks
// the same, and costs no more than locking again.
func (t *turn) overslept() error {
	now := time.Now()
	suspended := t.f.wall().Sub(t.askedWall) - now.Sub(t.asked)
	if now.Sub(t.locked)+max(0, suspended) >= t.ahead {
		return errOverslept
	}
	return nil
}

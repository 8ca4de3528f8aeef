// Package pacing says how often an authorization server is asked: how long to wait after failures,
// and how many renewals a server that refuses its tokens may cause.
package pacing

import (
	"math/rand/v2"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
)

const (
	firstBackoff = 500 * time.Millisecond

	// MaxBackoff is the largest bound of a pause after failures, on top of what a server asks for.
	MaxBackoff = 30 * time.Second

	// MaxRetryAfter is how much of a Retry-After is honoured.
	MaxRetryAfter = 5 * time.Minute

	// After a failure that stays until someone changes something, a pause is between these.
	minPermanentPause = 30 * time.Second
	maxPermanentPause = 5 * time.Minute

	maxLateSpread = 10 * time.Second // over which those come back who were told shortly before its end
)

// Failure is what a pause depends on.
type Failure struct {
	Permanent  bool          // asking again does not help
	RetryAfter time.Duration // what the server asks for
	Pause      time.Duration // the whole pause of which RetryAfter is what is left; 0 if it is all of it
}

// Pause returns for how long nothing is asked after so many failures in a row. Its bound doubles
// from half a second to [MaxBackoff], and it is random all the way down to nothing ("full jitter"),
// so that those who failed together do not come back together. What the server asks for is added.
//
// A server that says when it will be back says so to a whole fleet. So the random part is at least
// twice what it asked for, up to MaxBackoff: of a fleet that was told 15 seconds or more, one in
// sixty comes back in any half second. Those who are told in the last moments of a pause, and so
// have little left of it, spread over half of the whole of it, up to 10 seconds.
func Pause(failures int, last Failure) time.Duration {
	if last.Permanent {
		return minPermanentPause + rand.N(maxPermanentPause-minPermanentPause) //nolint:gosec // it spreads attempts and is no secret
	}
	bound := flight.Backoff{First: firstBackoff, Max: MaxBackoff}.Bound(failures)
	asked, late := min(max(last.RetryAfter, 0), MaxRetryAfter), min(last.Pause/2, maxLateSpread)
	return asked + 1 + rand.N(max(bound, min(2*asked, MaxBackoff), late)) //nolint:gosec // it spreads attempts and is no secret
}

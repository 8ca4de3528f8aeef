package jwks

import "time"

// elapsed is how long ago a moment was: by the monotonic clock or by the wall clock, whichever says
// more. The monotonic clock stands still while the machine sleeps. The wall clock may be set back,
// which makes nothing younger, or forward, which costs a fetch.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

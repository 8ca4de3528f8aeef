package tokens

import "time"

// latest is the time, as far as is known: by this machine's clock, or by that of another which
// obtained a token of the record since. A clock that is behind is found out by that.
func (r *record) latest(now time.Time) time.Time {
	for i := range r.Tokens {
		if requested := r.Tokens[i].Requested; requested.After(now) {
			now = requested
		}
	}
	return now
}

// isFromFuture reports whether a token was requested later than the clocks of two machines may
// differ. One of them is wrong then, and its age is not known.
func (t *storedToken) isFromFuture(now time.Time) bool { return t.Requested.Sub(now) > maxSkew }

// age is how old a token is, at least.
func (t *storedToken) age(latest time.Time) time.Duration { return max(0, latest.Sub(t.Requested)) }

package pacing

import (
	"sync"
	"time"
)

const (
	// RepeatedAfter is how long a token that replaced a refused one must have been in use to be
	// renewed at once when it is refused, too. A renewal before that is one of an [Allowance].
	RepeatedAfter = 10 * time.Minute

	repeatedBurst = 10
	repeatedEvery = 10 * time.Second
)

// An Allowance bounds the renewals of tokens that are refused again and again: 10 at once, and
// another every 10 seconds. One server that refuses all that it gets, from many users, would
// otherwise make each of them renew twice a minute.
type Allowance struct {
	mu   sync.Mutex
	full time.Time // when all of it is available again, if nothing is taken
}

// Take takes one renewal, and reports whether there was one.
func (a *Allowance) Take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	full := a.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(repeatedEvery)
	if full.Sub(now) > repeatedBurst*repeatedEvery {
		return false
	}
	a.full = full
	return true
}

// A Sharer is a Fetcher whose Managers share an Allowance, as those of all Sessions of a Client do.
type Sharer interface {
	// Allowance returns what they share.
	Allowance() *Allowance
}

package tokens

import (
	"sync"
	"time"
)

const (
	// A token that a server refused is renewed at once. So is the next one of the same key if it was
	// in use for repeatedAfter; if it is refused earlier, the renewal is one of those that all keys
	// share: repeatedBurst of them, and another each repeatedEvery.
	repeatedAfter = 10 * time.Minute
	repeatedBurst = 10
	repeatedEvery = 10 * time.Second
)

// allowance bounds the renewals of tokens that are refused again and again. One server that refuses
// all that it gets, from many users, would otherwise make each of them renew twice a minute.
type allowance struct {
	mu   sync.Mutex
	full time.Time // when all of it is there again, if nothing is taken
}

// take takes one renewal if there is one.
func (a *allowance) take(now time.Time) bool {
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

package jwks

import (
	"math/rand/v2"
	"time"
)

// A refresh starts somewhere between these parts of the lifetime: before its end, and not in a
// whole fleet at once.
const refreshFrom, refreshTo = 0.8, 0.9

// A State says what the cached keys are good for.
type State string

// The states. Each but the first follows from the age of the cached keys.
const (
	// StateCold means that no keys were ever loaded: requests wait for the first ones.
	StateCold State = "cold"
	// StateFresh means that requests are served from the cached keys, without a lock.
	StateFresh State = "fresh"
	// StateStale means that the keys are past their lifetime. They are served while they are being
	// refreshed, or cannot be.
	StateStale State = "stale"
	// StateExpired means that the keys are too old to be trusted: requests wait as when cold.
	StateExpired State = "expired"
)

// usable reports whether requests are served from the cached keys.
func (s State) usable() bool { return s == StateFresh || s == StateStale }

// snapshot is a key set and its place in time. Once stored it never changes.
type snapshot struct {
	keySet
	document string // what the keys were read from; "" when there is no file to write
	loaded   time.Time
	restored bool // from the file of last known good keys

	withdrawn bool // the issuer has withdrawn all keys; there are none

	// Ages, in ascending order. From the first on a request starts a refresh and does not wait.
	refreshAfter, staleAfter, expiresAfter time.Duration
}

// age is how long ago the keys were asked for.
func (s *snapshot) age(now time.Time) time.Duration { return elapsed(s.loaded, now) }

// state is the state of a set whose last loaded keys are these: nil for none.
func (s *snapshot) state(now time.Time) State {
	if s == nil {
		return StateCold
	}
	if s.pinned {
		return StateFresh
	}
	switch age := s.age(now); {
	case age >= s.expiresAfter:
		return StateExpired
	case age >= s.staleAfter:
		return StateStale
	default:
		return StateFresh
	}
}

// due reports whether it is time to start a refresh. Keys that are not due are fresh. It compares
// times as age does, but without what age does for times that are far apart, because every request
// calls it.
func (s *snapshot) due(now time.Time) bool {
	return !s.pinned &&
		(now.Sub(s.loaded) >= s.refreshAfter || time.Duration(now.UnixNano()-s.loaded.UnixNano()) >= s.refreshAfter)
}

// snapshot places an answer in time. It replaces the older one, which may be nil.
func (p *policy) snapshot(a answer, asked time.Time, older *snapshot) *snapshot {
	lifetime := a.lifetime
	if lifetime < 0 {
		lifetime = defaultLifetime
	}
	lifetime = min(max(lifetime, p.shortest), p.longest)
	part := refreshFrom + (refreshTo-refreshFrom)*rand.Float64()
	return &snapshot{
		keySet:       a.keys.adopt(older),
		document:     a.document,
		withdrawn:    a.withdrawn,
		loaded:       asked,
		refreshAfter: time.Duration(part * float64(lifetime)),
		staleAfter:   lifetime,
		expiresAfter: p.maxStaleness,
	}
}

// restored places keys from a file in time. They are stale from the beginning, and setting the
// clock back makes them no younger.
func (p *policy) restored(k kept, now time.Time) *snapshot {
	loaded := now.Add(-now.Sub(k.loaded)) // the same time, with the monotonic clock's reading of now
	return &snapshot{keySet: k.keys, loaded: loaded, expiresAfter: p.maxFileAge, restored: true}
}

package jwks

import (
	"slices"
	"time"
)

// Stats is what a [Set] is doing, for dashboards and alerts. It is for operators: LastError may
// name internal hosts.
type Stats struct {
	// Source is the issuer, the URL or the file that the keys come from, or "Static", "PEM" or
	// "PublicKeys". For several sources it is all of them.
	Source string
	// State says what the keys are good for. Pinned keys are always [StateFresh]. After [Set.Close]
	// it is [StateCold].
	State State
	// Age is how long ago the issuer was asked for the keys. It is zero when there are none, and
	// for pinned keys.
	Age time.Duration
	// Keys counts the keys that can be used, and Refused the entries of the key set that cannot.
	Keys, Refused int
	// Fetches counts the fetches that came to an end since the set was made, and Failures those of
	// them that failed. Discovery is part of a fetch.
	Fetches, Failures int
	// Fetching reports whether a fetch is under way.
	Fetching bool
	// LastError is why the last fetch failed, and "" when it did not.
	LastError string
	// NextAttempt is the time from which on a request starts the next fetch; a token with an
	// unknown key id may start one sooner. It is zero when there will be none: for pinned keys, and
	// after [Set.Close].
	NextAttempt time.Time
}

// counts is what happened since the set was made.
type counts struct{ fetches, failures int }

// Stats returns what the set is doing now. It starts no fetch. For several sources ([AnyOf]) the
// numbers are sums. The state is that of the source with the best keys, because requests are served
// while one source has them; the age is the highest, LastError names each source that fails, and
// NextAttempt is the earliest. [Set.SourceStats] has them one by one.
func (s *Set) Stats() Stats {
	if s.parts != nil {
		return s.total()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	snap := s.current.Load()
	stats := Stats{
		Source:   s.name,
		State:    snap.state(now),
		Fetches:  s.counts.fetches,
		Failures: s.counts.failures,
		Fetching: s.fetch != nil,
	}
	if snap != nil {
		stats.Keys, stats.Refused = len(snap.keys), len(snap.refused)
	}
	if s.failures.count > 0 {
		stats.LastError = excerpt(s.failures.last.Error(), maxLoggedError)
	}
	if s.closed || snap != nil && snap.pinned {
		return stats
	}
	stats.NextAttempt = now.Add(s.failures.pause(stats.State, now))
	if snap == nil {
		return stats
	}
	stats.Age = snap.age(now)
	expiresAt := now.Add(snap.expiresAfter - stats.Age)
	// When the keys expire, the pause becomes a short one.
	if stats.NextAttempt.After(expiresAt) && stats.State.usable() {
		stats.NextAttempt = expiresAt.Add(s.failures.pause(StateExpired, expiresAt))
	}
	if refreshAt := now.Add(snap.refreshAfter - stats.Age); refreshAt.After(stats.NextAttempt) {
		stats.NextAttempt = refreshAt
	}
	return stats
}

// SourceStats returns the [Stats] of each source, in the order of [AnyOf]: one, for a set of one
// source.
func (s *Set) SourceStats() []Stats {
	sources := s.sources()
	all := make([]Stats, len(sources))
	for i, source := range sources {
		all[i] = source.Stats()
	}
	return all
}

// fromBest is the states, that with the best keys first.
var fromBest = []State{StateFresh, StateStale, StateExpired, StateCold}

// total returns the Stats of several sources as those of one.
func (s *Set) total() Stats {
	total := Stats{Source: s.name, State: StateCold}
	for _, one := range s.SourceStats() {
		if slices.Index(fromBest, one.State) < slices.Index(fromBest, total.State) {
			total.State = one.State
		}
		total.Age = max(total.Age, one.Age)
		total.Keys += one.Keys
		total.Refused += one.Refused
		total.Fetches += one.Fetches
		total.Failures += one.Failures
		total.Fetching = total.Fetching || one.Fetching
		if one.LastError != "" {
			if total.LastError != "" {
				total.LastError += "; "
			}
			total.LastError += one.Source + ": " + one.LastError
		}
		if next := one.NextAttempt; !next.IsZero() && (total.NextAttempt.IsZero() || next.Before(total.NextAttempt)) {
			total.NextAttempt = next
		}
	}
	return total
}

package tokens

import "time"

// Stats is what became of one key, since its [Source] was made. It holds nothing secret.
//
// If the Fetcher needs tokens of the callers, there are several with one Key in [Manager.Stats]:
// one for each token that callers bring, and one for the Source itself, which has no token.
type Stats struct {
	Key Key

	Fetches    int // tokens that were obtained, the first and those after it
	Reuses     int // tokens that were found in a Store
	Failures   int // fetches that brought none
	TurnedAway int // calls of Token that were answered with the last failure, in the pause after it
	Retries    int // requests that a Transport sent again after a 401

	// What follows is zero when the last fetch brought a token.

	FailuresInARow int       // attempts that brought none, since the last one that did
	LastError      error     // what the last of them said
	NextAttempt    time.Time // when the next may begin

	LastFetch time.Time // when a token last came; zero if none did
	Refresh   time.Time // when the token becomes stale, and zero without one
	Expiry    time.Time // when it ends, as its server said
	Refused   bool      // by a server, and no other has come yet
	Fetching  bool      // a fetch is under way
}

// count adds what came of a fetch.
func (s *Stats) count(ev Event, now time.Time) {
	switch ev.Kind {
	case eventFetch, eventRefresh:
		s.Fetches++
		s.LastFetch = now
	case eventReuse:
		s.Reuses++
		s.LastFetch = now
	case eventFailure:
		s.Failures++
	}
}

// Stats returns what became of the key so far.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Key, stats.Refused, stats.Fetching = s.key, s.refused, s.fetch != nil
	if s.failures > 0 {
		stats.FailuresInARow, stats.LastError, stats.NextAttempt = s.failures, s.err, s.next
	}
	if s.token != nil {
		stats.Refresh, stats.Expiry = s.token.dueWall, s.token.expiry
	}
	return stats
}

// Stats returns those of all keys that the Manager remembers, the one that was not asked for or
// fetched for the longest time first.
func (m *Manager) Stats() []Stats {
	var all []Stats
	for _, s := range m.remembered() {
		all = append(all, s.source.Stats())
	}
	return all
}

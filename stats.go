package bearer

import (
	"encoding/json"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// Stats is what a [Middleware] is doing, for dashboards and alerts; see [Middleware.Stats]. In JSON
// names are in lower case, durations are in seconds, and times are in RFC 3339.
type Stats struct {
	// Issuers has one entry for each source of an issuer's keys, in the order of the [WithIssuer]
	// options. That is one for each issuer that has a key set, and more for [jwks.AnyOf]. Those of a
	// [Registry] follow, by name: no more issuers than [WithMaxIssuers] allows.
	Issuers []KeyStats `json:"issuers"`
}

// KeyStats is what the key set of one issuer is doing. It is for operators: LastError may name
// internal hosts.
type KeyStats struct {
	// Issuer is the issuer as given to [WithIssuer] or [Registry.Add], or as it was looked up.
	Issuer string
	// Source is the issuer or the URL that the keys come from, or "Static", "PEM" or "PublicKeys".
	Source string
	// State says whether the keys can be used. Pinned keys are always fresh.
	State jwks.State
	// Age is how long ago the issuer was asked for the keys. It is zero when there are none, and
	// for pinned keys.
	Age time.Duration
	// Keys counts the keys that can be used, and Refused the entries of the key set that cannot.
	Keys, Refused int
	// Fetches counts the fetches that ended since [New], and Failures those of them that failed.
	// Discovery is part of a fetch.
	Fetches, Failures int
	// Fetching reports whether a fetch is under way.
	Fetching bool
	// LastError is why the last fetch failed, and "" when it did not.
	LastError string
	// NextAttempt is the time from which on a request starts the next fetch. A token with an
	// unknown key id may start one sooner. It is zero when there will be none: for pinned keys, and
	// after [Middleware.Close].
	NextAttempt time.Time
}

// MarshalJSON writes the statistics with lower-case names and units.
func (s KeyStats) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Issuer      string     `json:"issuer"`
		Source      string     `json:"source"`
		State       jwks.State `json:"state"`
		Age         float64    `json:"age_seconds"`
		Keys        int        `json:"keys"`
		Refused     int        `json:"refused_keys"`
		Fetches     int        `json:"fetches"`
		Failures    int        `json:"failures"`
		Fetching    bool       `json:"fetching"`
		LastError   string     `json:"last_error,omitempty"`
		NextAttempt time.Time  `json:"next_attempt,omitzero"`
	}{
		s.Issuer, s.Source, s.State, s.Age.Seconds(), s.Keys, s.Refused,
		s.Fetches, s.Failures, s.Fetching, s.LastError, s.NextAttempt,
	})
}

package tokens

import (
	"context"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
)

// What [Event].Kind says.
const (
	eventFetch   = "fetch"
	eventRefresh = "refresh"
	eventReuse   = "reuse"
	eventFailure = "failure"
	eventBackoff = "backoff"
	eventRetry   = "retry"
)

// Event is something that happened to the token of a key; see [WithObserver]. Handing out a cached
// token is none.
type Event struct {
	// Kind is what happened:
	//
	//   - "fetch": a first token was obtained
	//   - "refresh": a token was obtained in place of another
	//   - "reuse": a token was found in a Store, where another process had left it
	//   - "failure": no token could be obtained
	//   - "backoff": a caller that needs a token was turned away, in the pause after a failure
	//   - "retry": a Transport sent a request again, with another token, after a 401
	Kind string

	// Key is as the application gave it. Its Subject may be a person's name, and none of its fields
	// is bounded in number: what becomes the label of a metric is for the application to choose.
	Key Key

	// Duration is how long the fetch took; 0 for "backoff" and "retry".
	Duration time.Duration

	// Err is why, for "failure" and "backoff".
	Err error

	// RetryAfter is the time to the next attempt, for "failure".
	RetryAfter time.Duration
}

func (m *Manager) report(ctx context.Context, ev Event) {
	if m.observe != nil {
		flight.Tell(ctx, m.logger, "the Observer", func() { m.observe(ctx, ev) })
	}
}

// retried is for a Transport to say that it sent a request again.
func (s *Source) retried(ctx context.Context) {
	s.mu.Lock()
	s.stats.Retries++
	s.mu.Unlock()
	s.m.report(ctx, Event{Kind: eventRetry, Key: s.key})
}

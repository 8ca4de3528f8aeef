package tokens

import (
	"context"
	"time"

	"github.com/bearer-go/bearer/internal/contain"
)

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	EventFetch   EventKind = "fetch"   // a first token was obtained
	EventRefresh EventKind = "refresh" // a token was obtained in place of another
	EventReuse   EventKind = "reuse"   // a token was found in a Store, where another process had left it
	EventFailure EventKind = "failure" // no token could be obtained
	EventBackoff EventKind = "backoff" // somebody who needs a token was turned away, in the pause after a failure
	EventRetry   EventKind = "retry"   // a Transport sent a request again, with another token, after a 401
)

// Event is something that happened to the token of a key; see [Observer]. Handing out a token that is at hand is none.
type Event struct {
	Kind EventKind // what happened

	// Key is as the application gave it. Its Subject may be a person's name, and none of its fields is bounded in number: what
	// becomes the label of a metric is for the application to choose.
	Key Key

	// Duration is how long the fetch took; 0 for EventBackoff and EventRetry.
	Duration time.Duration

	// Err is why, for EventFailure and EventBackoff.
	Err error

	// RetryAfter is the time to the next attempt, for EventFailure.
	RetryAfter time.Duration
}

func (m *Manager) report(ctx context.Context, ev Event) {
	if m.observe != nil {
		contain.Tell(ctx, m.logger, "the Observer", func() { m.observe(ctx, ev) })
	}
}

// retried is for a Transport to say that it sent a request again.
func (s *Source) retried(ctx context.Context) {
	s.mu.Lock()
	s.stats.Retries++
	s.mu.Unlock()
	s.m.report(ctx, Event{Kind: EventRetry, Key: s.key})
}

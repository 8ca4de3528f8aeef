package bearer

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// Outcome is what a guard decided.
type Outcome string

// The outcomes.
const (
	OutcomeAllowed     Outcome = "allowed"     // the request goes on, with claims
	OutcomeAnonymous   Outcome = "anonymous"   // the request goes on without a token; see Optional
	OutcomeRefused     Outcome = "refused"     // 400, 401 or 403
	OutcomeUnavailable Outcome = "unavailable" // 503
)

// Event is one decision, for metrics and traces; see [WithObserver]. A request causes one event per Middleware that it meets; a
// further guard of the same Middleware adds one only when it refuses what the first allowed.
//
// Every field is a value this service already knew, so that none can be chosen by an attacker and each is fit for a metric's
// label: Issuer is "" until it matched a configured one, KeyID until a key verified the signature, and Algorithm until it was
// found on the issuer's list.
type Event struct {
	Outcome   Outcome
	Reason    Reason // "" unless refused or unavailable
	Issuer    string
	KeyID     string
	Algorithm string
	Cached    bool          // the token had been verified before: its signature was not verified again
	Duration  time.Duration // of the decision
}

// start returns the time when an observer wants to know how long a decision took.
func (m *core) start() (started time.Time) {
	if m.observe != nil {
		started = time.Now()
	}
	return started
}

// decided reports a decision to the observer.
func (m *core) decided(ctx context.Context, ev *Event, started time.Time) {
	if m.observe != nil {
		ev.Duration = time.Since(started)
		m.observe(ctx, *ev)
	}
}

// refused completes a refusal with what the route tells clients, and reports it to the log and the observer.
func (m *core) refused(ctx context.Context, ev *Event, started time.Time, rt *route, err *Error) *Error {
	if m.logger.Enabled(ctx, slog.LevelDebug) {
		m.logRefusal(ctx, ev, err)
	}
	if m.observe != nil {
		ev.Reason, ev.Outcome = err.Reason(), OutcomeRefused
		if err.StatusCode() == http.StatusServiceUnavailable {
			ev.Outcome = OutcomeUnavailable
		}
		m.decided(ctx, ev, started)
	}
	return err.on(rt.reqs)
}

func (m *core) logRefusal(ctx context.Context, ev *Event, err *Error) {
	attrs := []slog.Attr{slog.String("reason", string(err.Reason())), slog.Int("status", err.StatusCode())}
	for _, a := range []slog.Attr{
		slog.String("issuer", ev.Issuer), slog.String("kid", ev.KeyID), slog.String("alg", ev.Algorithm),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if err.cause != nil {
		attrs = append(attrs, slog.Any("cause", err.cause))
	}
	m.logger.LogAttrs(ctx, slog.LevelDebug, "bearer: request refused", attrs...)
}

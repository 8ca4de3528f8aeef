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

// Event is one decision, for metrics and traces; see [WithObserver]. A request causes one event for
// each Middleware that it meets. A further guard of the same Middleware adds one only if it refuses
// what the first allowed.
//
// Every field is a value that this service already knew. An attacker can choose none of them, and
// each is fit for a metric's label: Issuer is "" until it matched a configured one, KeyID until a
// key verified the signature, and Algorithm until it was found on the issuer's list.
type Event struct {
	Outcome   Outcome
	Reason    Reason // "" unless refused, unavailable, or anonymous by StaleCookieIsAnonymous
	Issuer    string
	KeyID     string
	Algorithm string
	Cached    bool          // the token was verified before, and its signature was not verified again
	Duration  time.Duration // of the decision
}

// reporter tells the log and the observer of decisions.
type reporter struct {
	logger  *slog.Logger
	observe func(context.Context, Event) // or nil
}

// start returns the time if an observer is to learn how long a decision took.
func (r *reporter) start() (started time.Time) {
	if r.observe != nil {
		started = time.Now()
	}
	return started
}

// decided reports a decision to the observer.
func (r *reporter) decided(ctx context.Context, ev *Event, started time.Time) {
	if r.observe != nil {
		ev.Duration = time.Since(started)
		r.observe(ctx, *ev)
	}
}

// refused reports a refusal to the log and the observer.
func (r *reporter) refused(ctx context.Context, ev *Event, started time.Time, err *Error) {
	if r.logger.Enabled(ctx, slog.LevelDebug) {
		r.log(ctx, ev, err)
	}
	if r.observe != nil {
		ev.Reason, ev.Outcome = err.Reason(), OutcomeRefused
		if err.StatusCode() == http.StatusServiceUnavailable {
			ev.Outcome = OutcomeUnavailable
		}
		r.decided(ctx, ev, started)
	}
}

// ignored logs why a token counts as none.
func (r *reporter) ignored(ctx context.Context, ev *Event, err *Error) {
	attrs := []slog.Attr{slog.String("reason", string(err.Reason())), slog.String("issuer", ev.Issuer)}
	if err.cause != nil {
		attrs = append(attrs, slog.Any("cause", err.cause))
	}
	r.logger.LogAttrs(ctx, slog.LevelDebug, "bearer: a stale cookie counts as no token", attrs...)
}

func (r *reporter) log(ctx context.Context, ev *Event, err *Error) {
	attrs := []slog.Attr{
		slog.String("reason", string(err.Reason())), slog.Int("status", err.StatusCode()),
	}
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
	r.logger.LogAttrs(ctx, slog.LevelDebug, "bearer: request refused", attrs...)
}

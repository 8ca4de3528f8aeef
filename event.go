package bearer

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
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

	// These are no decisions on a request. Their events have the issuer, and the cause of a failure.
	OutcomeKeysFailing Outcome = "keys_failing" // fetching the issuer's keys begins to fail
	OutcomeKeysWorking Outcome = "keys_working" // it works again
)

// Event is one decision, for metrics, traces and audit; see [WithObserver]. A request causes one
// event for each Middleware that it meets. A further guard of the same Middleware adds one only if
// it refuses what the first allowed. Two outcomes are about an issuer's keys and not about a
// request: they come once when fetching keys begins to fail, again when the keys become stale or
// expire meanwhile, and once when it works again. An issuer with several sources of keys
// ([jwks.AnyOf]) has these events for each of them.
//
// An attacker can choose no field. Issuer is "" until it matched a configured or registered one,
// KeyID until a key verified the signature, and Algorithm until it was found on the issuer's list.
// Issuer is the name of an [IssuerTemplate] with its placeholder, whatever the token's own is.
// These, Outcome and Reason have few values, and are fit for a metric's label. Subject and ClientID
// are those of a person and a program: they are for audit, and not for labels.
type Event struct {
	Outcome   Outcome
	Reason    Reason // "" unless refused, unavailable, or anonymous by StaleCookieIsAnonymous
	Cause     error  // why in particular, for operators, as [Error.Unwrap] returns it; or nil
	Issuer    string
	KeyID     string
	Algorithm string
	Subject   string        // of a token that was verified, also if the route then refused it
	ClientID  string        // the same, as [Claims.ClientID]
	Route     string        // the pattern that [http.ServeMux] found for the request, or ""
	Cached    bool          // the token was verified before, and its signature was not verified again
	Duration  time.Duration // of the decision
}

// reporter tells the log and the observer of decisions.
type reporter struct {
	logger  *slog.Logger
	observe func(context.Context, Event) // or nil
	warned  [len(setupReasons)]warning
}

// warnEvery is how often a refusal with one of setupReasons is logged at Warn: anyone can cause
// them. The others in between are counted, and logged at Debug as all refusals are.
const warnEvery = time.Minute

// warning limits the warnings for one reason.
type warning struct {
	pausing atomic.Bool
	held    atomic.Uint64 // refusals since the last warning
}

// due reports whether a refusal is logged at Warn, and how many before it were not.
func (w *warning) due() (held uint64, due bool) {
	if w.pausing.Load() || w.pausing.Swap(true) {
		w.held.Add(1)
		return 0, false
	}
	time.AfterFunc(warnEvery, func() { w.pausing.Store(false) })
	return w.held.Swap(0), true
}

// trace is what is recorded of a token on its way through the pipeline: values that matched the
// configuration or a key, so that they are safe to export.
type trace struct {
	Issuer, KeyID, Algorithm string
	Cached                   bool
}

// decision is what becomes an event.
type decision struct {
	trace
	outcome Outcome
	ignored *Error        // why a token counted as none; or nil
	started time.Time     // if an observer is to learn how long it took
	request *http.Request // nil under [Guard.Verify]
	claims  *Claims       // of a token that was verified, also if the route refuses it; or nil
}

// start begins the decision on a request, which is allowed until it is refused.
func (r *reporter) start(d *decision, request *http.Request) {
	d.outcome, d.request = OutcomeAllowed, request
	if r.observe != nil {
		d.started = time.Now()
	}
}

// decided reports a request that goes on to the observer.
func (r *reporter) decided(ctx context.Context, d *decision) {
	if r.observe != nil {
		r.observe(ctx, d.event(d.outcome, d.ignored))
	}
}

// event returns the event of a decision. err is why a token was refused or ignored, or nil.
func (d *decision) event(outcome Outcome, err *Error) Event {
	ev := Event{
		Outcome: outcome, Issuer: d.Issuer, KeyID: d.KeyID, Algorithm: d.Algorithm, Cached: d.Cached,
		Subject: d.claims.Subject(), ClientID: d.claims.ClientID(), Duration: time.Since(d.started),
	}
	if err != nil {
		ev.Reason, ev.Cause = err.Reason(), err.cause
	}
	if d.request != nil {
		ev.Route = d.request.Pattern
	}
	return ev
}

// refused reports a refusal to the log and the observer.
func (r *reporter) refused(ctx context.Context, d *decision, err *Error) {
	level, held := slog.LevelDebug, uint64(0)
	if i := err.setup - 1; i >= 0 && r.logger.Enabled(ctx, slog.LevelWarn) {
		var due bool
		if held, due = r.warned[i].due(); due {
			level = slog.LevelWarn
		}
	}
	if r.logger.Enabled(ctx, level) {
		r.log(ctx, level, &d.trace, held, err)
	}
	if r.observe != nil {
		outcome := OutcomeRefused
		if err.StatusCode() == http.StatusServiceUnavailable {
			outcome = OutcomeUnavailable
		}
		r.observe(ctx, d.event(outcome, err))
	}
}

// keys reports to the observer that fetching an issuer's keys fails, or works again if failure is
// nil.
func (r *reporter) keys(issuer string, failure error) {
	ev := Event{Outcome: OutcomeKeysFailing, Cause: failure, Issuer: issuer}
	if failure == nil {
		ev.Outcome = OutcomeKeysWorking
	}
	r.observe(context.Background(), ev)
}

// ignored logs why a token counts as none.
func (r *reporter) ignored(ctx context.Context, d *decision, err *Error) {
	d.outcome, d.ignored = OutcomeAnonymous, err
	attrs := []slog.Attr{slog.String("reason", string(err.Reason())), slog.String("issuer", d.Issuer)}
	if err.cause != nil {
		attrs = append(attrs, slog.Any("cause", err.cause))
	}
	r.logger.LogAttrs(ctx, slog.LevelDebug, "bearer: a stale cookie counts as no token", attrs...)
}

func (r *reporter) log(ctx context.Context, level slog.Level, ev *trace, held uint64, err *Error) {
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
	if held > 0 {
		attrs = append(attrs, slog.Uint64("refused_alike_before", held))
	}
	r.logger.LogAttrs(ctx, level, "bearer: request refused", attrs...)
}

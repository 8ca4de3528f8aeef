package bearer

import (
	"context"
	"time"

	"github.com/bearer-go/bearer/internal/expiry"
)

// UntilExpiry returns a context that ends when the verified token of a request does, for handlers
// that outlive it: streams of server-sent events, WebSockets, long downloads. Give it the context
// of the request, or one made from it. The token ends
//
//   - when exp and the [Leeway] have passed,
//   - when its issuer no longer has its key, which is noticed within the lifetime of the key set,
//   - when its issuer was removed from its [Registry], which is noticed within a minute,
//   - when the keys have been unavailable for so long that every request gets 503,
//   - when the lookup of its Registry fails, once what it said before is too old ([WithLookup]),
//   - and with [Middleware.Close].
//
// [context.Cause] is then the [*Error] that a guard would answer a request with. The context also
// ends with the one that it was made from, with that one's cause, and it is kept in memory until
// then: so give it one that ends with the stream.
//
// A context without a verified token is returned as it is: one of no guard, of an [Optional] guard
// without a token, and one of [NewContext]. Under [InsecureNoExpiry] a token without exp ends with
// its key alone. What a route requires is not looked at again, and neither [IssuerTemplate]'s
// function nor [AudienceFunc] is asked: a stream that is to notice a change of these passes its
// request to [Guard.Authenticate] from time to time.
//
// No goroutine waits for the end. A Middleware has two timers for all of its streams, and looks at
// each key once, however many streams depend on it, as often as the key set is refreshed and once a
// minute at least.
func UntilExpiry(ctx context.Context) context.Context {
	p, ok := ctx.Value(contextKey{}).(*principal)
	if !ok {
		return ctx
	}
	return p.by.streams.Watch(ctx, p.verified)
}

// streamRules say when the verified token of a stream ends.
type streamRules struct{}

func newStreams() *expiry.Watcher[*verified, verifiedBy] {
	return expiry.New[*verified, verifiedBy](streamRules{})
}

// End returns the time from which on the token has expired. The end of a token without exp is only
// a time at which it is judged again.
func (streamRules) End(t *verified) (end time.Time) {
	if !t.content.expiry.IsZero() {
		end = t.to
	}
	return end
}

// Ended returns the refusal of an expired token.
func (streamRules) Ended(t *verified) error {
	if err := t.issuer.rules.judgeTimes(&t.content, time.Now()); err != nil {
		return err
	}
	return refuse(ReasonExpired) // the clock was set back meanwhile
}

// DependsOn returns the key that verified the token.
func (streamRules) DependsOn(t *verified) verifiedBy {
	return verifiedBy{t.by, t.issuer, t.content.issuer, t.hint, t.content.algorithm, t.key}
}

// Holds reports whether the issuer is still trusted and has the key. An issuer of a registry whose
// answer is too old is looked up once for all of its streams.
func (streamRules) Holds(ctx context.Context, on verifiedBy) (bool, error) {
	live := on.issuer.live
	if live != nil && !live.counts(time.Now()) {
		now, refusal := on.by.roster.find(ctx, []byte(on.iss))
		switch {
		case refusal == refusedOldAnswer: // there are many to look up, and this one's turn comes
			if live.member.gone.Load() {
				return true, nil
			}
		case refusal != nil:
			return false, refusal
		case now != on.issuer:
			return false, nil
		}
		live.member.use(time.Now())
	}
	held, _, err := on.issuer.stillHolds(ctx, on.iss, &on.hint, on.alg, on.key)
	switch {
	case err == nil:
		return held, nil
	case live != nil && live.member != nil && live.member.gone.Load():
		return false, nil // the keys were closed with their issuer, and another may have its name
	default:
		return false, err
	}
}

// Judge verifies a token again whose key is gone. It may have been published again, with another
// member beside it.
func (streamRules) Judge(ctx context.Context, t *verified) (*verified, error) {
	again, err := t.by.verify(ctx, t.token, new(trace))
	if err != nil {
		return nil, err
	}
	return again, nil
}

// Next returns how long it takes until the key set may change: until its next fetch, or a moment
// while one is under way. An issuer that is still to be looked up has its turn in a second.
func (streamRules) Next(on verifiedBy) time.Duration {
	if live := on.issuer.live; live != nil && live.member != nil && !live.member.counts(time.Now()) {
		return time.Second
	}
	if on.issuer.set == nil {
		return expiry.MostPause
	}
	stats := on.issuer.set.Stats()
	switch {
	case stats.Fetching:
		return expiry.LeastPause
	case stats.NextAttempt.IsZero():
		return expiry.MostPause
	default:
		return time.Until(stats.NextAttempt)
	}
}

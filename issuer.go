package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/jwks"
)

// issuer is one trusted issuer, or the issuers of one template: its algorithms, its keys, and the
// rules for its claims. It never changes. Nothing of it is shared with another issuer.
type issuer struct {
	name       string // of a template, with the placeholder
	algorithms []*jws.Algorithm
	types      []string // as mediaType gives them
	names      claimNames
	rules      claimRules

	secret any        // of HMAC, a []byte; nil if there are keys
	set    *jwks.Set  // nil if there is a secret
	keys   keyset.Set // the same set

	live *live // nil for most issuers
}

// verifySignature checks the algorithm, the type, the key and the signature of a token with this
// iss. It returns the key that verified the signature, or nil for a secret, and the time at which
// the issuer held it.
func (iss *issuer) verifySignature(
	ctx context.Context, name string, t *signedToken, ev *Event,
) (key *keyset.Key, at time.Time, refusal *Error) {
	alg := t.header.alg
	if alg == nil || !slices.Contains(iss.algorithms, alg) {
		return nil, at, refuse(ReasonAlgorithm)
	}
	ev.Algorithm = alg.Name
	if !slices.Contains(iss.types, t.header.typ) {
		return nil, at, refuse(ReasonType)
	}
	if iss.secret != nil {
		if alg.Verify(t.signingInput, t.signature, iss.secret) != nil {
			return nil, at, refuse(ReasonSignature)
		}
		return nil, time.Now(), nil
	}
	found, at, err := iss.keys.Candidates(ctx, name, t.header.kid, alg.Name)
	if err != nil {
		return nil, at, noKey(err)
	}
	for _, key := range found.Keys() {
		if alg.Verify(t.signingInput, t.signature, key.Public) == nil {
			ev.KeyID = key.ID
			return key, at, nil
		}
	}
	return nil, at, refuse(ReasonSignature)
}

// stillHolds reports whether the issuer still has the key that verified a token with this iss, and
// with this key id and algorithm in its header, and at what time. A key of nil stands for the
// issuer's secret.
func (iss *issuer) stillHolds(
	ctx context.Context, name, kid, alg string, key *keyset.Key,
) (held bool, at time.Time, refusal *Error) {
	if iss.keys == nil {
		return true, time.Now(), nil
	}
	held, at, err := iss.keys.Holds(ctx, name, kid, alg, key)
	if err != nil {
		return false, at, noKey(err)
	}
	return held, at, nil
}

// unlessRemoved returns a refusal, or the one of a removed issuer if it was removed meanwhile: its
// keys were closed, and that is no outage.
func (iss *issuer) unlessRemoved(refusal *Error) *Error {
	if iss.live != nil && iss.live.member != nil && iss.live.member.removed.Load() {
		return refusedRemoved
	}
	return refusal
}

// noKey is the refusal when there is no key to verify a token with. The cause tells the operator of
// a key that is published for other issuers only. The client does not learn of it.
func noKey(err error) *Error {
	switch {
	case err == jwks.ErrKeyNotFound: //nolint:errorlint // with more in it, it is a cause
		return refuse(ReasonUnknownKey)
	case errors.Is(err, jwks.ErrKeyNotFound):
		return refuseFor(ReasonUnknownKey, err)
	default:
		return keysUnavailable(err)
	}
}

// keysUnavailable is the refusal when the keys cannot be fetched. That is no fault of the token.
func keysUnavailable(err error) *Error {
	e := refuseFor(ReasonKeysUnavailable, err)
	if unavailable, ok := errors.AsType[*jwks.UnavailableError](err); ok {
		e.retryAfter = unavailable.RetryAfter
	}
	return e
}

// ready waits within ctx for the issuer's keys, and starts to fetch them if need be.
func (iss *issuer) ready(ctx context.Context) error {
	if iss.set == nil {
		return nil
	}
	if err := iss.set.Ready(ctx); err != nil {
		return fmt.Errorf("bearer: issuer %q: %w", iss.name, err)
	}
	return nil
}

// report adds what the issuer's key set is doing.
func (iss *issuer) report(all *Stats) {
	if iss.set == nil {
		return
	}
	s := iss.set.Stats()
	all.Issuers = append(all.Issuers, KeyStats{
		Issuer: iss.name, Source: s.Source, State: s.State, Age: s.Age,
		Keys: s.Keys, Refused: s.Refused, Fetches: s.Fetches, Failures: s.Failures,
		Fetching: s.Fetching, LastError: s.LastError, NextAttempt: s.NextAttempt,
	})
}

// close ends the fetches of the issuer's keys.
func (iss *issuer) close() {
	if iss.set != nil {
		_ = iss.set.Close() // a key set's Close returns nil
	}
}

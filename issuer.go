package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/jwks"
)

// issuer is one trusted issuer: its algorithms, its keys, and the rules for its claims. It never
// changes. Nothing of it is shared with another issuer.
type issuer struct {
	name       string
	algorithms []*jws.Algorithm
	types      []string // as mediaType gives them
	names      claimNames
	rules      claimRules

	secret any        // of HMAC, a []byte; nil if there are keys
	set    *jwks.Set  // nil if there is a secret
	keys   keyset.Set // the same set
}

// verifySignature checks the algorithm, the type, the key and the signature of a token. It returns
// the key that verified the signature, or nil for a secret, and the time at which the issuer held
// it.
func (iss *issuer) verifySignature(
	ctx context.Context, t *signedToken, ev *Event,
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
	found, at, err := iss.keys.Candidates(ctx, iss.name, t.header.hint(), alg.Name)
	if err != nil {
		return nil, at, noKey(err)
	}
	for _, key := range found.Keys() {
		if alg.Verify(t.signingInput, t.signature, key.Public) == nil {
			ev.KeyID = key.ID
			return key, at, nil
		}
	}
	return nil, at, notVerified(&found)
}

// notVerified is the refusal when none of the candidates verifies the signature. It is made once
// for each key. While one of several sources of keys is down, the key may be one of those.
func notVerified(found *keyset.Candidates) *Error {
	if found.Missing != nil {
		return keysUnavailable(found.Missing)
	}
	tried := found.Keys()
	first, made := tried[0], &tried[0].Refusals[len(tried)-1]
	if e, ok := made.Load().(*Error); ok {
		return e
	}
	name := "which has no kid"
	if first.ID != "" {
		name = strconv.Quote(first.ID[:min(len(first.ID), maxShownKeyID)])
	}
	text := "the signature does not verify with the one key that fits, " + name
	if len(tried) > 1 {
		text = fmt.Sprintf("the signature verifies with none of the %d keys that fit, the first of them %s", len(tried), name)
	}
	e := because(ReasonSignature, "jws.signature", text,
		"the token was changed or forged, or signed with another key of the same kid")
	made.Store(e)
	return e
}

// maxShownKeyID is how much of a key id a cause shows, in bytes.
const maxShownKeyID = 64

// stillHolds reports whether the issuer still has the key that verified a token with this hint and
// algorithm in its header, and at what time. A key of nil stands for the issuer's secret.
func (iss *issuer) stillHolds(
	ctx context.Context, hint keyset.Hint, alg string, key *keyset.Key,
) (held bool, at time.Time, refusal *Error) {
	if iss.keys == nil {
		return true, time.Now(), nil
	}
	held, at, err := iss.keys.Holds(ctx, iss.name, hint, alg, key)
	if err != nil {
		return false, at, noKey(err)
	}
	return held, at, nil
}

// noKey is the refusal when there is no key to verify a token with. The cause tells the operator
// why, and is made once for each reason. The client does not learn of it.
func noKey(err error) *Error {
	miss, ok := errors.AsType[*keyset.Miss](err)
	if !ok {
		return keysUnavailable(err)
	}
	if e, ok := miss.Refusal.Load().(*Error); ok {
		return e
	}
	e := because(ReasonUnknownKey, miss.Rule, strings.TrimPrefix(miss.Error(), "jwks: "), "")
	miss.Refusal.Store(e)
	return e
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
	for _, s := range iss.set.SourceStats() {
		all.Issuers = append(all.Issuers, KeyStats{
			Issuer: iss.name, Source: s.Source, State: s.State, Age: s.Age,
			Keys: s.Keys, Refused: s.Refused, Fetches: s.Fetches, Failures: s.Failures,
			Fetching: s.Fetching, LastError: s.LastError, NextAttempt: s.NextAttempt,
		})
	}
}

// close ends the fetches of the issuer's keys.
func (iss *issuer) close() {
	if iss.set != nil {
		_ = iss.set.Close() // a key set's Close returns nil
	}
}

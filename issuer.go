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

// issuer is one trusted issuer, or the issuers of one template: its algorithms, its keys, and the
// rules for its claims. It never changes. Nothing of it is shared with another issuer.
type issuer struct {
	name       string // of a template, with the placeholder
	algorithms []*jws.Algorithm
	types      []string               // as mediaType gives them
	refused    func() *refusedHeaders // made when they are first needed
	names      claimNames
	rules      claimRules

	secrets []any      // of HMAC, each a []byte; nil if there are keys alone
	set     *jwks.Set  // nil if there are secrets alone
	keys    keyset.Set // the same set

	live *live // nil for most issuers
}

// verifySignature checks the algorithm, the type, the key and the signature of a token with this
// iss. It returns the key that verified the signature, or nil for a secret, and the time at which
// the issuer held it.
func (iss *issuer) verifySignature(
	ctx context.Context, name string, t *signedToken, ev *trace,
) (key *keyset.Key, at time.Time, refusal *Error) {
	alg := t.header.Algorithm
	if alg == nil || !slices.Contains(iss.algorithms, alg) {
		return nil, at, iss.refused().algorithm(alg)
	}
	ev.Algorithm = alg.Name
	if !slices.Contains(iss.types, t.header.Type) {
		return nil, at, iss.refused().typ(t.header.Type)
	}
	if alg.Symmetric() { // a key of the set is never a secret, nor a secret a key
		if !iss.verifyWithSecrets(t, alg) {
			return nil, at, refusedSecret
		}
		return nil, time.Now(), nil
	}
	found, at, err := iss.keys.Candidates(ctx, name, t.header.Hint, alg.Name)
	if err != nil {
		return nil, at, noKey(err)
	}
	key = t.verifiedWith(alg, found.Keys(), nil)
	for range maxLooks {
		if key != nil || !found.Guessed {
			break
		}
		tried := found
		if found, at, err = iss.keys.Named(ctx, name, t.header.Hint, alg.Name, found.Since); err != nil {
			return nil, at, noKey(err)
		}
		key = t.verifiedWith(alg, found.Keys(), tried.Keys())
	}
	if key == nil {
		return nil, at, notVerified(&found)
	}
	ev.KeyID = key.ID
	return key, at, nil
}

// maxLooks is how often the set is asked again for one token: once for each source that there can
// be.
const maxLooks = 8

// verifiedWith returns the first of the keys that verifies the signature, or nil. Those that were
// tried do not.
func (t *signedToken) verifiedWith(alg *jws.Algorithm, keys, tried []*keyset.Key) *keyset.Key {
	for _, key := range keys {
		if !slices.Contains(tried, key) && alg.Verify(t.signingInput, t.signature, key.Public) == nil {
			return key
		}
	}
	return nil
}

// notVerified is the refusal when none of the candidates verifies the signature. It is made once
// for each key. While one of several sources of keys is down, the key may be one of those, and so
// it may be where a source has more keys than a token without a key id is tried with.
func notVerified(found *keyset.Candidates) *Error {
	if found.Missing != nil {
		return keysUnavailable(found.Missing)
	}
	if found.Untried != nil {
		return noKey(found.Untried)
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

var refusedSecret = fixed(ReasonSignature, "key.secrets", "none of the issuer's secrets verifies the signature",
	"compare HMACSecret with the issuer's secret; one that is given in base64 may have to be decoded first")

// verifyWithSecrets reports whether one of the issuer's secrets verifies a token. It tries all, so
// that the time it takes does not tell which one did.
func (iss *issuer) verifyWithSecrets(t *signedToken, alg *jws.Algorithm) bool {
	verified := false
	for _, secret := range iss.secrets {
		if alg.Verify(t.signingInput, t.signature, secret) == nil {
			verified = true
		}
	}
	return verified
}

// stillHolds reports whether the issuer still has the key that verified a token with this iss, and
// with this hint and algorithm in its header, and at what time. A key of nil stands for one of the
// issuer's secrets, which it has as long as it lives.
func (iss *issuer) stillHolds(
	ctx context.Context, name string, hint *keyset.Hint, alg string, key *keyset.Key,
) (held bool, at time.Time, refusal *Error) {
	if key == nil {
		return true, time.Now(), nil
	}
	held, at, err := iss.keys.Holds(ctx, name, *hint, alg, key)
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

// tell has changes of the issuer's keys reported.
func (iss *issuer) tell(r *reporter) {
	if iss.keys != nil && r.observe != nil {
		iss.keys.Observe(func(failure error) { r.keys(iss.name, failure) })
	}
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

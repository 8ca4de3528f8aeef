package jwks

import (
	"context"
	"errors"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
)

func init() { //nolint:gochecknoinits // the one way for package bearer into a set
	keyset.Of = func(set any) keyset.Set { return pipeline{set.(*Set)} }
}

// pipeline shows a set to package bearer.
type pipeline struct{ set *Set }

// Candidates returns the keys of [Set.Keys] that sign for an issuer, as if the set had no others.
// Where there are none but those of other issuers, the error wraps [ErrKeyNotFound].
func (p pipeline) Candidates(
	ctx context.Context, iss string, hint keyset.Hint, alg string,
) (all keyset.Candidates, at time.Time, err error) {
	return p.find(ctx, &query{hint: hint, marked: hint.Thumbprint != keyset.Thumbprint{}, iss: iss}, alg)
}

// Named is Candidates after a guess of it.
func (p pipeline) Named(
	ctx context.Context, iss string, hint keyset.Hint, alg string, since time.Time,
) (all keyset.Candidates, at time.Time, err error) {
	ctx, cancel := p.set.patient(ctx, since)
	defer cancel()
	q := query{hint: hint, marked: hint.Thumbprint != keyset.Thumbprint{}, iss: iss, named: true}
	if q.anyOf() {
		left := p.set.settle(ctx)
		all, at, err = p.find(ctx, &q, alg)
		all.Guessed, all.Since = all.Guessed && left, since
		return all, at, err
	}
	all, at, err = p.find(ctx, &q, alg)
	if _, missed := errors.AsType[*keyset.Miss](err); missed {
		// Every source has answered, and may have other keys now that the token does not name.
		q.named = false
		if others, now, none := p.find(ctx, &q, alg); none == nil {
			others.Guessed = false
			return others, now, nil
		}
	}
	return all, at, err
}

func (p pipeline) find(
	ctx context.Context, q *query, alg string,
) (all keyset.Candidates, at time.Time, err error) {
	var found candidates
	if at, err = p.set.candidates(ctx, q, alg, &found); err != nil {
		return all, at, err
	}
	for _, key := range found.keys[:found.n] {
		all.Add(&key.Key)
	}
	all.Missing, all.Untried, all.Guessed = found.missing, found.untried, found.guessed
	all.Since = found.since
	return all, at, nil
}

// Holds reports whether a key is among the candidates. A key is the same after a refresh if its id,
// its algorithm, its member issuer, its certificate and the public key are.
func (p pipeline) Holds(
	ctx context.Context, iss string, hint keyset.Hint, alg string, key *keyset.Key,
) (held bool, at time.Time, err error) {
	if at = time.Now(); p.set.leads(iss, hint, alg, key, at) {
		return true, at, nil
	}
	q := query{hint: hint, marked: hint.Thumbprint != keyset.Thumbprint{}, iss: iss}
	var found candidates
	at, err = p.set.candidates(ctx, &q, alg, &found)
	for _, k := range found.keys[:found.n] {
		if &k.Key == key {
			return true, at, nil
		}
	}
	return false, at, err
}

// Observe has f called when fetching keys begins to fail and works again.
func (p pipeline) Observe(f func(failure error)) {
	p.set.observe = f
	for _, part := range p.set.parts {
		part.observe = f
	}
}

// changed tells the observer, if there is one.
func (s *Set) changed(failure error) {
	if s.observe != nil {
		defer func() { _ = recover() }() // of the application's function, which is not the fetch's
		s.observe(failure)
	}
}

// leads reports whether a key is still the first with the key id of a token, and fits. That is the
// usual answer, and needs no list of candidates.
func (s *Set) leads(iss string, hint keyset.Hint, alg string, key *keyset.Key, now time.Time) bool {
	snap := s.current.Load()
	if snap == nil || hint.KeyID == "" || hint.Thumbprint != (keyset.Thumbprint{}) || snap.due(now) {
		return false
	}
	for _, k := range snap.keys {
		if k.ID != hint.KeyID {
			continue
		}
		algorithm, ok := jws.Lookup(alg)
		return ok && &k.Key == key && k.fits(algorithm) && (k.issuer == nil || k.issuer.fits(iss))
	}
	return false
}

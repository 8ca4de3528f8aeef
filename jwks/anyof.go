package jwks

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/flight"
	"github.com/bearer-go/bearer/internal/keyset"
)

// maxSources is how many sources a set can have. Each is asked for a key id that none of them has,
// within its own budget.
const maxSources = 8

// AnyOf is several sources of the keys of one issuer: two regions, an old and a new place during a
// move, or a pinned key beside published ones. A token is verified with the keys of any of them.
// There are 1 to 8, none of them an AnyOf.
//
// Each source has its own options, fetches, budget for unknown key ids and last-known-good file,
// and each is as patient with its issuer as if it were the only one. A token whose key one of them
// has never waits for another. A key id that none has is looked for in all of them at once. While
// one of them is unavailable such a token is, too: the answer is an [*UnavailableError] and not
// [ErrKeyNotFound]. In package bearer the same holds for a token whose signature none of the known
// keys verifies.
//
// Chosen keys without a key id, as those of [PEM], answer to every key id, so that none is unknown
// beside them. Package bearer tries them first, and looks for the key that the token names if none
// of them verifies the signature: that token is tried with up to 8 keys. The same holds for a
// certificate that a token without a key id names (x5t#S256), and keys whose certificate is not
// known. Callers of [Set.Keys] and [Set.Keyfunc] get them until another source has the key, after
// its next fetch.
//
// A token with neither is tried with the keys that the sources have. If none of them verifies it,
// package bearer waits for the sources whose keys are stale or missing, as each would make it wait
// alone, and no longer than until one of them has its key.
//
// Together there are at most 4 chosen keys without a key id, as in one source.
//
// A key that was withdrawn from one source is accepted for as long as another has it. A token waits
// for no source with stale keys once another has fresh ones that fit it as well. With neither a key
// id nor a certificate every key does, and one that was withdrawn in a time without requests is
// then accepted until the next fetch of its source ends. A request that waits holds about 5 KiB
// more for each source than the package documentation says.
func AnyOf(sources ...Source) Source {
	sources = slices.Clone(sources)
	names := make([]string, len(sources))
	for i, source := range sources {
		names[i] = source.name
	}
	return Source{name: "AnyOf(" + strings.Join(names, ", ") + ")", several: true, parts: sources}
}

// newAny makes the set of several sources.
func newAny(source Source, defaults []Option) (*Set, error) {
	all := configure(defaults)
	if len(source.parts) == 0 || len(source.parts) > maxSources {
		all.Add("AnyOf", "", "there are %d sources; give 1 to %d", len(source.parts), maxSources)
	}
	if all.file.Given() {
		all.Add("WithLastKnownGood", all.file.Get().String(), "several sources cannot share a file; give each its own")
	}
	var sets []*Set
	var chosen keySet // the keys without a kid of all sources: a token is tried with them together
	files, places := make(map[string]bool), make(map[string]bool)
	for i, part := range source.parts {
		if part.several || part.open == nil {
			all.Add("AnyOf", "", "source %d is empty or an AnyOf; list sources that are neither", i+1)
			continue
		}
		c := configure(defaults)
		c.All = nil // they were judged
		c.override(configure(part.options))
		opened := part.prepare(c)
		if path := filepath.Clean(c.file.Get().path); c.file.Given() && !all.file.Given() {
			if files[path] {
				c.Add("WithLastKnownGood", c.file.Get().String(), "another source has this file; give each its own")
			}
			files[path] = true
		}
		if opened.fetcher != nil {
			if place := opened.fetcher.String(); places[place] {
				c.Add("AnyOf", "", "source %d is there twice; keep one", i+1)
			} else {
				places[place] = true
			}
		}
		for _, key := range opened.keys.keys {
			if !slices.ContainsFunc(chosen.keys, key.samePublic) {
				chosen.keys = append(chosen.keys, key)
			}
		}
		if len(c.All) == 0 {
			sets = append(sets, part.make(c, opened))
		}
		for _, mistake := range c.All {
			mistake.Subject = part.name
			all.All = append(all.All, mistake)
		}
	}
	if err := chosen.judgeUnnamed(); err != nil && len(all.All) == 0 {
		all.Add("AnyOf", "", "in all sources, %v", err)
	}
	if err := all.err(); err != nil {
		for _, set := range sets {
			_ = set.Close()
		}
		return nil, err
	}
	set := &Set{&setHandle{&setState{name: source.name, logger: sets[0].logger, parts: sets}}}
	return set, nil
}

// sources returns the sets that have keys of their own: the parts, or this one.
func (s *Set) sources() []*Set {
	if s.parts != nil {
		return s.parts
	}
	return []*Set{s}
}

// findInAny is find for several sources.
func (s *Set) findInAny(ctx context.Context, q *query, found *candidates) (at time.Time, err error) {
	at = time.Now()
	arrived := at
	var waited bool
	if *found, waited = s.cached(ctx, q, at); waited {
		at = time.Now()
	}
	if found.n == 0 {
		bounded, cancel := s.patient(ctx, arrived)
		defer cancel()
		*found, err = s.askAll(bounded, q)
		if err == errCrowded && q.marked && !q.named { //nolint:errorlint // there is one of each
			*found, err = s.askForNamed(bounded, q)
		}
		at = time.Now()
	}
	found.since = arrived
	return at, err
}

// askForNamed asks every source for the certificate that a token names. Too many keys may have it:
// that stays the reason if no source has one that does.
func (s *Set) askForNamed(ctx context.Context, q *query) (found candidates, err error) {
	named := *q
	named.named = true
	found, err = s.askAll(ctx, &named)
	if _, missed := errors.AsType[*keyset.Miss](err); missed {
		err = errCrowded
	}
	return found, err
}

// patient returns a context that ends when a token that came at that time has waited long enough:
// for as long as the most patient source would make it wait alone. Several sources are waited for
// one after the other, and each begins to count when its turn comes.
func (s *Set) patient(ctx context.Context, arrived time.Time) (context.Context, context.CancelFunc) {
	wait := staleWait + searchWait
	for _, part := range s.parts {
		wait = max(wait, part.policy.coldWait)
	}
	return context.WithDeadlineCause(ctx, arrived.Add(wait), errFetchUnderWay)
}

// cached returns the candidates among the keys that the sources have now, and reports whether it
// waited for newer ones. It does that, as a set of one source does, only for sources with stale
// keys, and only if no other source has the key: one that fits, such as a key without a key id, is
// not the one that the token names. Each source whose keys are due or missing starts a fetch.
func (s *Set) cached(ctx context.Context, q *query, now time.Time) (found candidates, waited bool) {
	var seen [maxSources]*snapshot
	var missing error
	var untried *keyset.Miss
	var fresh, stale fit
	read, behind := false, false
	for i, part := range s.parts {
		snap := part.current.Load()
		state := snap.state(now)
		read = read || snap == nil || !snap.pinned
		if !state.usable() || snap.due(now) {
			if _, err := part.attempt(snap, now); !state.usable() && missing == nil {
				if missing = err; err == nil {
					missing = &UnavailableError{RetryAfter: retrySoon, cause: errFetchUnderWay}
				}
			}
		}
		behind = behind || state != StateFresh
		if !state.usable() {
			continue
		}
		switch best := snap.best(q); {
		case best == unfit:
			if untried == nil && q.hint.KeyID == "" {
				untried = snap.tooMany(q)
			}
			continue
		case state == StateFresh:
			fresh = max(fresh, best)
		default:
			stale = max(stale, best)
		}
		seen[i] = snap
	}
	if stale > fresh {
		waited = true
		s.renew(ctx, q, &seen, stale, now)
	}
	found = join(seen[:len(s.parts)], q)
	found.missing, found.untried = missing, untried
	if q.anyOf() {
		found.guessed = found.n > 0 && behind
	} else {
		found.guessed = found.guessed && read
	}
	return found, waited
}

// settle waits until one of the sources without fresh keys has newer ones, or none of them will
// have any soon. It reports whether there are others left to wait for.
func (s *Set) settle(ctx context.Context) (left bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	now := time.Now()
	outcomes, waiting := make(chan bool, maxSources), 0
	for _, part := range s.parts {
		seen := part.current.Load()
		if seen.state(now) == StateFresh {
			continue
		}
		waiting++
		go func() {
			changed := false
			flight.Recover("waiting for newer keys", func() error {
				newer, err := part.refresh(ctx, seen, now)
				changed = err == nil && newer != seen
				return err
			}, func(error) { outcomes <- changed })
		}()
	}
	for ; waiting > 0; waiting-- {
		if <-outcomes {
			return waiting > 1
		}
	}
	return false
}

// renew replaces stale keys by newer ones, in all sources at the same time, and waits no longer
// than until one of them has fresh keys that fit the token as well.
func (s *Set) renew(ctx context.Context, q *query, seen *[maxSources]*snapshot, stale fit, now time.Time) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		i     int
		newer *snapshot
	}
	outcomes, waiting := make(chan outcome, maxSources), 0
	for i, snap := range seen {
		if snap.state(now) != StateStale {
			continue
		}
		waiting++
		go func() {
			o := outcome{i, snap} // as it was, if there are none
			flight.Recover("waiting for newer keys", func() error {
				newer, err := s.parts[i].refresh(ctx, snap, now)
				if err == nil {
					o.newer = newer
				}
				return err
			}, func(error) { outcomes <- o })
		}()
	}
	for ; waiting > 0; waiting-- {
		o := <-outcomes
		seen[o.i] = o.newer
		if o.newer.best(q) >= stale && o.newer.state(time.Now()) == StateFresh {
			return
		}
	}
}

// join returns the candidates of several snapshots, of which some may be nil. A token without a key
// id is tried with all of them or with none, and if some have its certificate, with those alone.
// Otherwise the keys with its key id come first: pinned keys without one answer to every key id,
// and would take their places.
func join(snaps []*snapshot, q *query) (all candidates) {
	all.limit = maxCandidates
	var found [maxSources]candidates
	for i, snap := range snaps {
		if snap == nil {
			continue
		}
		found[i] = snap.candidates(q)
		for _, key := range found[i].keys[:found[i].n] {
			if q.names(key) {
				all.take(key, q)
			}
		}
	}
	if all.guessed = all.n == 0; all.guessed || q.hint.KeyID != "" {
		for i := range found {
			for _, key := range found[i].keys[:found[i].n] {
				if !q.names(key) {
					all.take(key, q)
				}
			}
		}
	}
	if all.crowded {
		return candidates{crowded: true, limit: maxCandidates}
	}
	return all
}

// take adds a key unless there is a copy of it.
func (c *candidates) take(key *key, q *query) {
	if q.hint.KeyID == "" {
		c.addOf(key)
	} else if !c.holdsCopyOf(key) {
		c.add(key)
	}
}

// askAll asks every source, at the same time, and returns what the sources have as soon as one of
// them has a key.
func (s *Set) askAll(ctx context.Context, q *query) (found candidates, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what the others wait for goes on without this token
	type outcome struct {
		i     int
		found candidates
		err   error
	}
	outcomes, own := make(chan outcome, len(s.parts)), *q
	for i, part := range s.parts {
		go func() {
			o, mine := outcome{i: i}, own
			flight.Recover("looking for a key", func() error {
				_, err := part.find(ctx, &mine, &o.found)
				return err
			}, func(err error) {
				o.err = err
				outcomes <- o
			})
		}()
	}
	errs := make([]error, len(s.parts))
	for range s.parts {
		o := <-outcomes
		if o.err == nil {
			if found, _ = s.cached(ctx, q, time.Now()); found.n == 0 && !found.crowded {
				found = o.found
			}
			if found.n > 0 {
				return found, nil
			}
			return found, errCrowded
		}
		errs[o.i] = o.err
	}
	return found, s.noneOf(errs)
}

// noneOf is why no source has a key for a token, given why each has none. What is not known of one
// source is not known.
func (s *Set) noneOf(errs []error) error {
	var unavailable *UnavailableError
	for i, err := range errs {
		u, ok := errors.AsType[*UnavailableError](err)
		if !ok {
			continue
		}
		cause := fmt.Errorf("%s: %w", s.parts[i].name, u.cause)
		if unavailable == nil {
			unavailable = &UnavailableError{RetryAfter: u.RetryAfter, cause: cause}
			continue
		}
		unavailable.RetryAfter = min(unavailable.RetryAfter, u.RetryAfter)
		unavailable.cause = fmt.Errorf("%w; %w", unavailable.cause, cause)
	}
	if unavailable != nil {
		return unavailable
	}
	for _, err := range errs {
		if err != errUnknownID && err != errNoneFits { //nolint:errorlint // there is one of each
			return err // which says more
		}
	}
	return errs[0]
}

// readyAny is Ready for several sources.
func (s *Set) readyAny(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		i   int
		err error
	}
	outcomes := make(chan outcome, len(s.parts))
	for i, part := range s.parts {
		// Each starts its fetch, also if another is ready at once.
		go func() {
			flight.Recover("waiting for keys", func() error { return part.Ready(ctx) },
				func(err error) { outcomes <- outcome{i, err} })
		}()
	}
	errs := make([]error, len(s.parts))
	for range s.parts {
		o := <-outcomes
		if o.err == nil {
			return nil
		}
		errs[o.i] = o.err
	}
	return s.noneOf(errs)
}

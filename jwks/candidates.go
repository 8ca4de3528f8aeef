package jwks

import (
	"hash/maphash"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
)

// query is what is known of the key of a token.
type query struct {
	hint      keyset.Hint
	marked    bool           // there is a thumbprint
	algorithm *jws.Algorithm // nil for any

	iss       string
	anyIssuer bool // the iss does not count

	named bool // keys that the token does not name do not count; see [query.names]
}

func (q *query) fits(key *key) bool {
	return key.fits(q.algorithm) && (q.anyIssuer || key.issuer == nil || key.issuer.fits(q.iss))
}

// names reports whether the token names a key that fits: by its key id or, without one, by its
// certificate. A token with neither leaves it to the set, and then every key is as good.
func (q *query) names(key *key) bool {
	switch {
	case q.hint.KeyID != "":
		return key.ID != ""
	case q.marked:
		return key.thumbprint == q.hint.Thumbprint
	default:
		return true
	}
}

// anyOf reports whether the token does not say which of the keys that fit is its own.
func (q *query) anyOf() bool { return q.hint.KeyID == "" && !q.marked }

// contradicts reports whether the token names another certificate than the key has.
func (q *query) contradicts(key *key) bool {
	return q.marked && key.thumbprint != q.hint.Thumbprint && key.thumbprint != keyset.Thumbprint{}
}

// searchID is what the set remembers of a query that a search did not answer.
func (q *query) searchID() uint64 {
	if q.hint.KeyID != "" {
		return missingID(q.hint.KeyID)
	}
	return missingThumbprint(q.hint.Thumbprint)
}

func missingThumbprint(t keyset.Thumbprint) uint64 { return maphash.Bytes(missingSeed, t[:]) }

// knows reports whether reading the set again is no way to find out more about a key. A key id that
// is there, but not usable for the token, is an answer.
func (s *keySet) knows(q *query) bool {
	switch {
	case s.pinned:
		return true
	case q.hint.KeyID != "":
		return s.ids[q.hint.KeyID] != nil
	case !q.marked:
		return true
	}
	for _, key := range s.keys {
		if key.thumbprint == q.hint.Thumbprint {
			return true
		}
	}
	return false
}

// candidates are the keys that may have signed a token, as [Set.Keys] describes them.
type candidates struct {
	keys   [maxCandidates]*key
	n      uint8
	costly uint8 // of the n

	crowded bool  // the token has no key id, and there are more keys than it may be tried with
	limit   uint8 // how many those are

	untried *keyset.Miss // why the keys of one of several sources are not among these, though they fit

	missing error // why one of several sources has no keys now
	guessed bool  // see [keyset.Candidates]

	since time.Time // when the token came, where there are several sources
}

// add adds a key, unless the token is not to be tried with more. It reports whether there was room.
func (c *candidates) add(key *key) bool {
	if c.n == maxCandidates || key.costly && c.costly == maxCostly {
		return false
	}
	if key.costly {
		c.costly++
	}
	c.keys[c.n] = key
	c.n++
	return true
}

// tooMany is why none of the keys is tried that fit a token without a key id, and nil if they are
// not too many.
func (s *keySet) tooMany(q *query) *keyset.Miss {
	switch found := s.candidates(q); {
	case !found.crowded:
		return nil
	case found.limit == 1:
		return errAmbiguous
	default:
		return errCrowded
	}
}

// list returns the keys as users of the package see them.
func (c *candidates) list() []Key {
	keys := make([]Key, c.n)
	for i, key := range c.keys[:c.n] {
		keys[i] = Key{key}
	}
	return keys
}

// candidates returns the keys that may have signed a token. Keys that are bound to other issuers
// are passed over before anything is counted: they would take the places of this issuer's own.
func (s *keySet) candidates(q *query) (found candidates) {
	if q.hint.KeyID == "" {
		return s.withoutID(q)
	}
	for _, key := range s.keys {
		if key.ID == q.hint.KeyID && q.fits(key) && !q.contradicts(key) {
			found.add(key)
		}
	}
	if s.chosen && !q.named {
		for _, key := range s.keys {
			if key.ID == "" && q.fits(key) && !q.contradicts(key) {
				found.add(key)
			}
		}
	}
	return found
}

// fit says how well the keys of a source fit a token.
type fit int

const (
	unfit   fit = iota // there is none for it
	guessed            // the token names a key, and it is none of those that fit
	exact
)

// best returns how well the first of the candidates fits. Those that the token names come first.
func (s *keySet) best(q *query) fit {
	switch found := s.candidates(q); {
	case found.n == 0:
		return unfit
	case !q.names(found.keys[0]):
		return guessed
	default:
		return exact
	}
}

// withoutID returns the candidates of a token without a key id. Its thumbprint selects the keys
// that have it. Otherwise all keys fit that do not contradict it. Which of several keys of an
// issuer that is would be a guess, and the token was free to say. Of those that the operator chose,
// a token is tried with as many as any.
func (s *keySet) withoutID(q *query) (found candidates) {
	found.limit = 1
	if s.chosen {
		found.limit = maxCandidates
	}
	if q.marked {
		for _, key := range s.keys {
			if key.thumbprint == q.hint.Thumbprint && q.fits(key) {
				found.addOf(key)
			}
		}
	}
	if found.n == 0 && !found.crowded && !(q.named && q.marked) {
		for _, key := range s.keys {
			if q.fits(key) && !q.contradicts(key) {
				found.addOf(key)
			}
			if found.crowded {
				break
			}
		}
	}
	if found.crowded {
		return candidates{crowded: true, limit: found.limit}
	}
	return found
}

// holdsCopyOf reports whether there is the same public key already.
func (c *candidates) holdsCopyOf(key *key) bool {
	for _, other := range c.keys[:c.n] {
		if other.samePublic(key) {
			return true
		}
	}
	return false
}

// addOf is add for a token without a key id, which is tried with all keys that fit or with none.
// Copies of a key count once.
func (c *candidates) addOf(key *key) {
	if c.holdsCopyOf(key) {
		return
	}
	if !c.add(key) || c.n > c.limit {
		c.crowded = true
	}
}

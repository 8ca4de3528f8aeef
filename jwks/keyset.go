package jwks

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
)

const (
	maxKeys       = 256 // entries of a JWK Set
	maxCandidates = keyset.MaxCandidates
	maxCostly     = 1 // expensive keys that one token is tried with

	// Bytes of a server's texts that are logged.
	maxLoggedID    = 64
	maxLoggedError = 512
)

var (
	errNoKeys  = errors.New("it has no array of keys, or an empty one")
	errTooMany = fmt.Errorf("it has more than %d keys", maxKeys)
)

// keySet is what a JWK Set says (RFC 7517 section 5), or what the operator pinned. It never
// changes.
type keySet struct {
	pinned  bool
	keys    []*key          // those that can be used, in the order of the set
	ids     map[string]bool // every key id of the set, also of the keys that cannot be used
	refused []refusal
}

// refusal is an entry of a JWK Set that is not used, and why not.
type refusal struct {
	id     string
	reason error
}

// parse reads a JWK Set. Each entry is judged alone, so that one bad key does not take the others
// down, and a set is a set even if no entry can be used: tokens are then refused for good reason.
// What is not a set, or an empty one, is an error, for that is how broken servers answer. The texts
// of the errors are constant.
func parse(document string) (keySet, error) {
	members, err := strictjson.Object(document)
	if err != nil {
		return keySet{}, err
	}
	entries, _ := strictjson.Elements(members.Value("keys"))
	if len(entries) == 0 {
		return keySet{}, errNoKeys
	}
	if len(entries) > maxKeys {
		return keySet{}, errTooMany
	}
	set := keySet{ids: make(map[string]bool)}
	for _, entry := range entries {
		id, key, err := readKey(entry)
		if id != "" {
			set.ids[id] = true
		}
		switch {
		case err != nil:
			set.refused = append(set.refused, refusal{id, err})
		case !slices.ContainsFunc(set.keys, key.same):
			set.keys = append(set.keys, key)
		}
	}
	return set, nil
}

// unnamed counts the keys without a key id, and the expensive ones among them that fit one
// algorithm: the most of any.
func (s *keySet) unnamed() (n, costly int) {
	fitting := make(map[*jws.Algorithm]int)
	for _, key := range s.keys {
		if key.ID != "" {
			continue
		}
		n++
		for _, algorithm := range key.algorithms {
			if key.costly {
				fitting[algorithm]++
				costly = max(costly, fitting[algorithm])
			}
		}
	}
	return n, costly
}

// knows reports whether fetching the set again is no way to find out more about a key id. A key id
// that is there, but not usable for the token, is an answer.
func (s *keySet) knows(id string) bool { return s.pinned || id == "" || s.ids[id] }

// candidates are the keys that may have signed a token, as [Set.Keys] describes them.
type candidates struct {
	keys   [maxCandidates]*key
	n      int
	costly int // of the n
}

// add adds a key, if the token is not to be tried with enough already.
func (c *candidates) add(key *key) {
	if c.n == maxCandidates || key.costly && c.costly == maxCostly {
		return
	}
	if key.costly {
		c.costly++
	}
	c.keys[c.n] = key
	c.n++
}

// list returns the keys as users of the package see them.
func (c *candidates) list() []Key {
	keys := make([]Key, c.n)
	for i, key := range c.keys[:c.n] {
		keys[i] = Key{key}
	}
	return keys
}

// candidates returns the keys that may have signed a token with this key id and iss; of any
// algorithm, or for any iss, if that is nil. Keys that are bound to other issuers are passed over
// before anything is counted: they would take the places of this issuer's own.
func (s *keySet) candidates(id string, algorithm *jws.Algorithm, iss *string) (found candidates) {
	for _, key := range s.keys {
		if id != "" && key.ID != id || !key.fits(algorithm) || !key.serves(iss) {
			continue
		}
		if id == "" && found.n > 0 {
			return candidates{} // which of them is a guess, and the token was free to say
		}
		found.add(key)
	}
	if s.pinned && id != "" {
		for _, key := range s.keys {
			if key.ID == "" && key.fits(algorithm) && key.serves(iss) {
				found.add(key)
			}
		}
	}
	return found
}

// adopt returns the set with the keys of an older one in the place of those that are the same, so
// that they can be recognised.
func (s keySet) adopt(older *snapshot) keySet {
	if older == nil {
		return s
	}
	s.keys = slices.Clone(s.keys)
	for i, key := range s.keys {
		if n := slices.IndexFunc(older.keys, key.same); n >= 0 {
			s.keys[i] = older.keys[n]
		}
	}
	return s
}

// logRefused tells the operator once of each key that is not used: those of the set before it were
// told of then.
func logRefused(logger *slog.Logger, name string, refused []refusal, before *snapshot) {
	for i, r := range refused {
		if before != nil && slices.Contains(before.refused, r) || slices.Contains(refused[:i], r) {
			continue
		}
		logger.Warn("a published key is not used", "source", name, "kid", excerpt(r.id, maxLoggedID), "reason", r.reason.Error())
	}
}

// excerpt is the beginning of a text, for the log.
func excerpt(text string, limit int) string { return text[:min(len(text), limit)] }

package jwks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

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
	errNoKeys  = errors.New("it has no array of keys")
	errEmpty   = errors.New("it has an empty array of keys")
	errTooMany = fmt.Errorf("it has more than %d keys", maxKeys)
	errBroken  = errors.New("none of its keys can be read")
)

// keySet is what a JWK Set says (RFC 7517 section 5), or what the operator gave. It never changes.
type keySet struct {
	chosen bool // by the operator, key by key
	pinned bool // chosen, and never read again

	keys    []*key                  // those that can be used, in the order of the set
	ids     map[string]*keyset.Miss // every key id of the set, and why it may be of no help to a token
	refused []refusal
}

// refusal is an entry of a JWK Set that is not used, and why not.
type refusal struct {
	id     string
	reason error
}

// byteOrderMark may stand before JSON text, and parsers may ignore it (RFC 8259 section 8.1).
const byteOrderMark = "\uFEFF"

// readEntries returns the entries of a JWK Set. The texts of the errors are constant.
func readEntries(document string) ([]strictjson.Entry, error) {
	entries, ok, err := strictjson.Entries(strings.TrimPrefix(document, byteOrderMark), "keys")
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errNoKeys
	case len(entries) == 0:
		return nil, errEmpty
	case len(entries) > maxKeys:
		return nil, errTooMany
	case !slices.ContainsFunc(entries, func(e strictjson.Entry) bool { return e.Err == nil && e.Value[0] == '{' }):
		return nil, fmt.Errorf("%w: %w", errBroken, cmp.Or(entries[0].Err, errEntry))
	}
	return entries, nil
}

// parse reads a JWK Set. Each entry is judged alone, so that one bad key does not take the others
// down, and a set is a set even if no entry can be used: tokens are then refused for good reason.
// What is not a set, or an empty one, or has no entry that can be read, is an error, for that is
// how broken servers and proxies answer.
func parse(document string, jwtSVID bool) (keySet, error) {
	entries, err := readEntries(document)
	if err != nil {
		return keySet{}, err
	}
	set := keySet{ids: make(map[string]*keyset.Miss)}
	for _, entry := range entries {
		id, key, err := readKey(entry, jwtSVID)
		if id != "" && (set.ids[id] == nil || err == nil) {
			set.ids[id] = missOf(id, err)
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

// repaired returns a JWK Set that parse has read as one that package strictjson reads as a whole:
// an empty object stands for each entry that is broken.
func repaired(document string) string {
	document = strings.TrimPrefix(document, byteOrderMark)
	entries, err := readEntries(document)
	sound := func(e strictjson.Entry) bool { return e.Err == nil }
	if err != nil || !slices.ContainsFunc(entries, func(e strictjson.Entry) bool { return !sound(e) }) {
		return document
	}
	texts := make([]string, len(entries))
	for i, entry := range entries {
		if texts[i] = "{}"; sound(entry) {
			texts[i] = entry.Value
		}
	}
	return `{"keys":[` + strings.Join(texts, ",") + `]}`
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

// judgeUnnamed refuses chosen keys of which a token could be tried with more than is allowed.
func (s *keySet) judgeUnnamed() error {
	switch unnamed, costly := s.unnamed(); {
	case unnamed > maxCandidates:
		return fmt.Errorf("%d keys have no kid, but a token is tried with at most %d; "+
			"give fewer, or a JWK Set with kids", unnamed, maxCandidates)
	case costly > maxCostly:
		return fmt.Errorf("%d keys without a kid, for one algorithm, are on P-521 or have more than %d bits, "+
			"but a token is tried with at most %d; give smaller ones, or a JWK Set with kids",
			costly, manyRSABits, maxCostly)
	}
	return nil
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
// told of then. An entry that a good set has for something else is worth no more than Debug.
func logRefused(logger *slog.Logger, name string, refused []refusal, before *snapshot) {
	for i, r := range refused {
		if before != nil && slices.Contains(before.refused, r) || slices.Contains(refused[:i], r) {
			continue
		}
		level := slog.LevelWarn
		if r.reason == errEncryption || r.reason == errX509SVID { //nolint:errorlint // they are never wrapped
			level = slog.LevelDebug
		}
		logger.Log(context.Background(), level, "a published key is not used",
			"source", name, "kid", excerpt(r.id, maxLoggedID), "reason", r.reason.Error())
	}
}

// excerpt is the beginning of a text, for the log.
func excerpt(text string, limit int) string { return text[:min(len(text), limit)] }

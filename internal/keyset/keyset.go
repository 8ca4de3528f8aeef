// Package keyset is the way from package bearer into a [jwks.Set], for what verifying a token needs
// beyond the set's public API: the identity of a key, and the time of an answer.
//
// [jwks.Set]: https://pkg.go.dev/github.com/bearer-go/bearer/jwks#Set
package keyset

import (
	"context"
	"crypto"
	"time"
)

// MaxCandidates is how many keys one token is tried with. Each costs a verification.
const MaxCandidates = 4

// Key is one public key of a set. Its address is its identity: a set returns the same address for
// as long as it holds the key, also after a refresh. A Key never changes.
type Key struct {
	ID     string           // "" if it has none
	Public crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// Candidates are the keys that may have signed a token.
type Candidates struct {
	keys [MaxCandidates]*Key
	n    int
}

// Add adds a key. There are at most [MaxCandidates].
func (c *Candidates) Add(key *Key) {
	c.keys[c.n] = key
	c.n++
}

// Keys returns the keys, in the order in which they are tried.
func (c *Candidates) Keys() []*Key { return c.keys[:c.n] }

// Set is what package bearer asks a key set. All methods wait for a fetch where one is needed,
// within the context and the set's own bounds.
type Set interface {
	// Candidates returns the keys that may have signed a token with this iss, and with this key id
	// and algorithm in its header; kid is "" for a token without one. There is at least one key, or
	// an error. Keys that are published for other issuers are left out. It also returns the time of
	// the answer, for the caller's own checks: reading the clock again would be the most expensive
	// part of a request.
	Candidates(ctx context.Context, iss, kid, alg string) (Candidates, time.Time, error)

	// Holds reports whether Candidates would return this key now. It is for tokens that were
	// verified with the key before: as long as the set holds the key, verifying the signature again
	// tells nothing new. Its errors and its time are those of Candidates.
	Holds(ctx context.Context, iss, kid, alg string, key *Key) (bool, time.Time, error)
}

// noSearch is the key of a context in which no search is made.
type noSearch struct{}

// WithoutSearch returns a context in which a set does not search for an unknown key id by fetching
// the keys again: it answers from the keys that it has. That is for requests of operators, which
// must not spend the budget of searches.
func WithoutSearch(ctx context.Context) context.Context {
	return context.WithValue(ctx, noSearch{}, true)
}

// Searches reports whether searches are made in a context.
func Searches(ctx context.Context) bool { return ctx.Value(noSearch{}) == nil }

// Of returns the Set of a *jwks.Set. Package jwks sets it when the program starts.
var Of func(set any) Set

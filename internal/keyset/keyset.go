// Package keyset is the way from packages bearer and oauth into a [jwks.Set], for what verifying a
// token needs beyond the set's public API: the identity of a key, and the time of an answer.
//
// [jwks.Set]: https://pkg.go.dev/github.com/bearer-go/bearer/jwks#Set
package keyset

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"sync/atomic"
	"time"
)

// MaxCandidates is how many keys one token is tried with. Each costs a verification.
const MaxCandidates = 4

// Key is one public key of a set. Its address is its identity: a set returns the same address for
// as long as it holds the key, also after a refresh. A Key never changes.
type Key struct {
	ID     string           // "" if it has none
	Public crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey

	// Refusals is room for what package bearer says when this key, the first of so many, does not
	// verify a signature. It is made once, because anyone can cause it at will.
	Refusals [MaxCandidates]atomic.Value
}

// Thumbprint tells certificates apart: it is the SHA-256 of a certificate (x5t#S256, RFC 7515
// section 4.1.8). The zero Thumbprint is none.
type Thumbprint [sha256.Size]byte

// MaxThumbprint is the length of the longest text that is read as a thumbprint, in bytes. A correct
// one has 43. Some issuers encode the hexadecimal text, which gives 86.
const MaxThumbprint = 128

// base64Thumbprint is the length of a correct text.
const base64Thumbprint = 43

// ThumbprintOf reads the text of a header or of a JWK. A text that is no SHA-256 in base64url
// equals only the same text: issuers with another encoding have it in both places. An empty text is
// none, and of a longer one than [MaxThumbprint] the beginning counts.
func ThumbprintOf[T string | []byte](text T) (t Thumbprint) {
	if len(text) == 0 {
		return t
	}
	const other = " is no SHA-256"
	var room [MaxThumbprint + len(other)]byte
	n := copy(room[:MaxThumbprint], text)
	if n == base64Thumbprint {
		size, err := base64.RawURLEncoding.Strict().Decode(t[:], room[:n])
		if err == nil && size == len(t) && t != (Thumbprint{}) { // the zero one must not count as none
			return t
		}
	}
	return sha256.Sum256(append(room[:n], other...))
}

// A Hint is what the header of a token says of its key.
type Hint struct {
	KeyID      string     // kid; "" if there is none
	Thumbprint Thumbprint // x5t#S256; zero if there is none
}

// A Miss is why a set has no key for a token. Sets make one for each reason and not for each token,
// because anyone can cause it at will.
type Miss struct {
	Err     error        // wraps jwks.ErrKeyNotFound
	Rule    string       // the id of the rule in docs/rules.md
	Refusal atomic.Value // room for what package bearer makes of it, once
}

func (m *Miss) Error() string { return m.Err.Error() }

// Unwrap returns the reason.
func (m *Miss) Unwrap() error { return m.Err }

// Candidates are the keys that may have signed a token.
type Candidates struct {
	keys [MaxCandidates]*Key
	n    int

	// Missing is why the keys of one of several sources are not known now, and nil if all are. If
	// none of the keys verifies the signature, it is not known whether the token is good.
	Missing error

	// Untried is why the keys of one of several sources are not among these, though more than one of
	// them fits a token without a key id, and nil if there is no such source. If none of these
	// verifies the signature, one of those may.
	Untried *Miss

	// Guessed says that there are several sources, and that [Set.Named] may have other keys, if none
	// of these verifies the signature: the token names a key, by its key id or its certificate, and
	// these are keys without one; or it names none, and a source has no fresh keys.
	Guessed bool

	// Since is when the token came, for [Set.Named]: what it has waited for counts there, too. It is
	// the zero time unless there are several sources.
	Since time.Time
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
	// Candidates returns the keys that may have signed a token with this iss, and with this hint
	// and algorithm in its header. There is at least one key, or an error, which is a [*Miss] if
	// the set has no such key. Keys that are published for other issuers are left out. It also
	// returns the time of the answer, for the caller's own checks: reading the clock again would be
	// the most expensive part of a request.
	Candidates(ctx context.Context, iss string, hint Hint, alg string) (Candidates, time.Time, error)

	// Named is Candidates where its answer was a guess, and waits where Candidates did not. It looks
	// for the key that the token names, and returns other keys only if no source has that one. For a
	// token that names none it waits until one more source has newer keys; its answer is a guess
	// while there are others to wait for. A token that came at the time since waits no longer, in
	// all, than the most patient source would make it wait alone.
	Named(
		ctx context.Context, iss string, hint Hint, alg string, since time.Time,
	) (Candidates, time.Time, error)

	// Holds reports whether Candidates would return this key now. It is for tokens that were
	// verified with the key before: as long as the set holds the key, verifying the signature again
	// tells nothing new. Its errors and its time are those of Candidates.
	Holds(ctx context.Context, iss string, hint Hint, alg string, key *Key) (bool, time.Time, error)

	// Observe has f called when fetching keys begins to fail, with the error, again when it fails
	// on in another state of the keys, and with nil when it works again. It must be called before
	// the set is used. f runs on the goroutine of a fetch, which recovers its panics.
	Observe(f func(failure error))
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

// Package accesstoken holds what is demanded of every access token, and how long one is used.
package accesstoken

import (
	"errors"
	"fmt"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
)

const (
	// MaxSize is the largest size of a token, in bytes.
	MaxSize = 64 << 10

	// MaxScope is the largest size of what it allows, in bytes.
	MaxScope = 16 << 10

	// EarliestRefresh is the part of its life from which on a token becomes stale, unless its server
	// says when: at random between this and LatestRefresh.
	EarliestRefresh = 0.70

	// LatestRefresh is the part of its life at which a token is stale.
	LatestRefresh = 0.85

	unsaidLife = 5 * time.Minute  // of a token whose server does not say (RFC 6749 section 5.1 leaves it open)
	maxMargin  = 10 * time.Second // before a token's end, from when on it is not handed out; a tenth of its life if that is less

	// A refresh_in that is earlier than the later of these counts as that: a server that names the
	// next moment would be asked all the time.
	minRefreshIn   = 10 * time.Second
	minRefreshPart = 10 // the first tenth of its life
)

var (
	// ErrType is why a token is not accepted that cannot be sent as a bearer token.
	ErrType = errors.New("the token is of a type that is not Bearer")

	// ErrScopeSize is why one is not accepted whose scope is longer than [MaxScope].
	ErrScopeSize = fmt.Errorf("scope is longer than %d bytes", MaxScope)
)

// Ages are those at which a token ends, becomes stale and is expired.
type Ages struct {
	Life time.Duration // it ends
	Due  time.Duration // its server wants it to be renewed; 0 if that does not say when, or too late for it to matter
	Over time.Duration // it is not handed out any more
}

// AgesOf returns the ages of a token by what its server says, 0 for what it does not.
func AgesOf(expiresIn, refreshIn time.Duration) Ages {
	a := Ages{Life: expiresIn}
	if a.Life == 0 {
		a.Life = unsaidLife
	}
	a.Over = a.Life - min(maxMargin, a.Life/10)
	if refreshIn > 0 {
		refreshIn = max(refreshIn, minRefreshIn, a.Life/minRefreshPart)
	}
	if refreshIn < a.Over {
		a.Due = refreshIn
	}
	return a
}

// IsSendable reports whether a token can stand in a header. It is visible ASCII, of which RFC 6750
// section 2.1 allows some and RFC 6749 appendix A.12 all, and at most [MaxSize] long.
func IsSendable(token string) bool { return len(token) <= MaxSize && grammar.IsFieldVChar(token) }

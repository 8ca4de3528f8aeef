package tokens

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	unsaidLife = 5 * time.Minute  // of a token whose server does not say (RFC 6749 section 5.1 leaves it open)
	maxMargin  = 10 * time.Second // before a token's end, from when on it is not handed out; a tenth of its life if that is less

	// A refresh_in that is earlier than the later of these counts as that: a server that names the next moment would be
	// asked all the time.
	minRefreshIn   = 10 * time.Second
	minRefreshPart = 10 // the first tenth of its life

	maxTokenSize = 64 << 10 // bytes of one
	maxScope     = 16 << 10 // bytes of what it allows

	// Between these parts of its life a token becomes stale, at random, unless the server says when.
	earliestRefresh = 0.70
	latestRefresh   = 0.85

	// When the server says when, it is a little later, at random within this part of the time until
	// then, or of the time that is left then if that is less: a fleet that started together would
	// renew together otherwise.
	refreshSpread = 0.10
)

// Token is an access token. It does not change and prints as "[secret]".
type Token struct {
	opaque

	// authorization is "Bearer " and the token, behind a pointer: package fmt looks into a field of any struct that a Token may be
	// copied to, and follows none.
	authorization *string
	hash          *string // of its source, behind a pointer as well

	scope  string    // as granted, with whatever spaces
	expiry time.Time // without the monotonic clock, as are all times with Wall in their name

	due, dueWall   time.Time // it is stale from then on
	over, overWall time.Time // it is expired from then on
}

const bearerPrefix = "Bearer "

// AccessToken returns the token itself. That of the zero Token is "".
func (t *Token) AccessToken() string { return strings.TrimPrefix(t.Authorization(), bearerPrefix) }

// Authorization returns the value of an Authorization header with the token (RFC 6750 section 2.1). That of the zero Token is "".
func (t *Token) Authorization() string {
	if t.authorization == nil {
		return ""
	}
	return *t.authorization
}

// Scopes returns what the token allows, as granted, or as asked for when the server did not say.
func (t *Token) Scopes() []string { return strings.Fields(t.scope) }

// Expiry returns when the token ends, as its server said. [Source.Token] stops handing it out a little earlier.
func (t *Token) Expiry() time.Time { return t.expiry }

var (
	errNoToken   = errors.New("the answer has no access token that could be sent")
	errTokenType = errors.New("the token is of a type that is not Bearer")
	errLife      = errors.New("the token's life is negative")
	errScopeSize = fmt.Errorf("scope is longer than %d bytes", maxScope)
)

// newToken judges a response. A server's answer is what the network gave: that the token can stand in a header is made sure of here,
// for every Fetcher.
func newToken(response *Response, key Key, asked time.Time) (*Token, error) {
	switch {
	case response == nil || !isSendable(response.AccessToken.Reveal()):
		return nil, errNoToken
	case !strings.EqualFold(response.TokenType, "Bearer"):
		return nil, errTokenType
	case response.ExpiresIn < 0 || response.RefreshIn < 0:
		return nil, errLife
	case len(response.Scope) > maxScope:
		return nil, errScopeSize
	}
	from := asked
	if !response.Requested.IsZero() { // a time out of a Store has no monotonic clock, and may be of one that is ahead
		from = asked.Add(min(0, response.Requested.Sub(asked)))
	}
	life, due, over := lifetimes(response.ExpiresIn, response.RefreshIn)
	if due == 0 {
		due = time.Duration((earliestRefresh + rand.Float64()*(latestRefresh-earliestRefresh)) * float64(life))
	} else {
		due += time.Duration(rand.Float64() * refreshSpread * float64(min(due, over-due)))
	}
	scope := response.Scope
	if scope == "" {
		scope = key.Scope
	}
	authorization := bearerPrefix + response.AccessToken.Reveal()
	t := &Token{
		authorization: &authorization,
		scope:         scope,
		expiry:        from.Add(life).Round(0),
		due:           from.Add(due),
		over:          from.Add(over),
	}
	t.dueWall, t.overWall = t.due.Round(0), t.over.Round(0)
	return t, nil
}

// lifetimes are the ages at which a token ends, becomes stale and is expired, by what its server says. Due is 0 when that does not
// say when, or not a time at which there is anything to be done. One that is too early is later.
func lifetimes(expiresIn, refreshIn time.Duration) (life, due, over time.Duration) {
	life = expiresIn
	if life == 0 {
		life = unsaidLife
	}
	over = life - min(maxMargin, life/10)
	if refreshIn > 0 {
		refreshIn = max(refreshIn, minRefreshIn, life/minRefreshPart)
	}
	if refreshIn < over {
		due = refreshIn
	}
	return life, due, over
}

// isSendable reports that a token can stand in a header: b64token of RFC 6750 section 2.1, or at least visible ASCII, which is what
// RFC 6749 appendix A.12 allows, and not too long for one.
func isSendable(token string) bool {
	if len(token) > maxTokenSize {
		return false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return false
		}
	}
	return token != ""
}

// isFresh reports that nothing is to be done about it yet. Of the two clocks either can say no.
func (t *Token) isFresh(now time.Time) bool { return now.Before(t.due) && now.Before(t.dueWall) }

// isUsable reports that it can be handed out.
func (t *Token) isUsable(now time.Time) bool { return now.Before(t.over) && now.Before(t.overWall) }

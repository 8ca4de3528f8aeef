package tokens

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
)

// refreshSpread spreads the refresh points that a server names: a token becomes stale a little
// later, at random within this part of the time until then, or of the time that is left then if
// that is less. A fleet that started together would renew together otherwise.
const refreshSpread = 0.10

// Token is an access token. It does not change and prints as "[secret]".
type Token struct {
	opaque

	// authorization is "Bearer " and the token, behind a pointer: package fmt looks into a field of
	// any struct that a Token may be copied to, and follows none.
	authorization *string
	callerHash    *string // of its source, behind a pointer as well

	extras Secret    // other members of the answer
	scope  string    // as granted, with whatever spaces
	expiry time.Time // without the monotonic clock, as are all times with Wall in their name

	due, dueWall   time.Time // it is stale from then on
	over, overWall time.Time // it is expired from then on
}

const bearerPrefix = "Bearer "

// AccessToken returns the token itself. That of the zero Token is "".
func (t *Token) AccessToken() string { return strings.TrimPrefix(t.Authorization(), bearerPrefix) }

// Authorization returns the value of an Authorization header with the token (RFC 6750 section 2.1).
// That of the zero Token is "".
func (t *Token) Authorization() string {
	if t.authorization == nil {
		return ""
	}
	return *t.authorization
}

// Scopes returns what the token allows, as granted, or as asked for when the server did not say.
func (t *Token) Scopes() []string { return strings.Fields(t.scope) }

// Expiry returns when the token ends, as its server said. [Source.Token] stops handing it out a
// little earlier.
func (t *Token) Expiry() time.Time { return t.expiry }

var (
	errNoToken = errors.New("the answer has no access token that could be sent")
	errLife    = errors.New("the token's life is negative")
)

// newToken judges a response. A server's answer is what the network gave: that the token can stand
// in a header is made sure of here, for every Fetcher.
func newToken(response *Response, key Key, asked time.Time) (*Token, error) {
	switch {
	case response == nil || !accesstoken.IsSendable(response.AccessToken.Reveal()):
		return nil, errNoToken
	case response.TokenType != "" && !strings.EqualFold(response.TokenType, "Bearer"):
		return nil, accesstoken.ErrType
	case response.ExpiresIn < 0 || response.RefreshIn < 0:
		return nil, errLife
	case len(response.Scope) > accesstoken.MaxScope:
		return nil, accesstoken.ErrScopeSize
	case !accesstoken.AreExtras(response.Extras.Reveal()):
		return nil, accesstoken.ErrExtras
	}
	from := asked
	if !response.Requested.IsZero() { // a time out of a Store has no monotonic clock, and may be of one that is ahead
		from = asked.Add(min(0, response.Requested.Sub(asked)))
	}
	ages := accesstoken.AgesOf(response.ExpiresIn, response.RefreshIn)
	due := ages.Due
	if response.Final {
		due = ages.Over
	} else if due == 0 {
		part := accesstoken.EarliestRefresh + rand.Float64()*(accesstoken.LatestRefresh-accesstoken.EarliestRefresh)
		due = time.Duration(part * float64(ages.Life))
	} else {
		due += time.Duration(rand.Float64() * refreshSpread * float64(min(due, ages.Over-due)))
	}
	scope := response.Scope
	if scope == "" {
		scope = key.Scope
	}
	authorization := bearerPrefix + response.AccessToken.Reveal()
	t := &Token{
		authorization: &authorization,
		extras:        response.Extras,
		scope:         scope,
		expiry:        from.Add(ages.Life).Round(0),
		due:           from.Add(due),
		over:          from.Add(ages.Over),
	}
	t.dueWall, t.overWall = t.due.Round(0), t.over.Round(0)
	return t, nil
}

// isFresh reports whether nothing is to be done about it yet. Of the two clocks either can say no.
func (t *Token) isFresh(now time.Time) bool { return now.Before(t.due) && now.Before(t.dueWall) }

// isUsable reports whether it can be handed out.
func (t *Token) isUsable(now time.Time) bool { return now.Before(t.over) && now.Before(t.overWall) }

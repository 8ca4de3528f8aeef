package session

import (
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/tokens"
)

// storedToken is an access token, and the key that it was granted for.
type storedToken struct {
	Resource string `json:"resource,omitempty"`
	Audience string `json:"audience,omitempty"`
	Scope    string `json:"scope,omitempty"`

	AccessToken string        `json:"access_token"`
	Type        string        `json:"type"`
	Granted     string        `json:"granted,omitempty"`
	Requested   time.Time     `json:"requested"`
	ExpiresIn   time.Duration `json:"expires_in,omitempty"` // nanoseconds
	RefreshIn   time.Duration `json:"refresh_in,omitempty"` // nanoseconds
	Extras      string        `json:"extras,omitempty"`     // see tokens.Response
	Final       bool          `json:"final,omitempty"`      // there is no refresh token to obtain another with
}

// over is its age from when on it is not handed out.
func (t *storedToken) over() time.Duration {
	return accesstoken.AgesOf(t.ExpiresIn, t.RefreshIn).Over
}

// due is its age from when on it is renewed. It is the earliest that a Manager chooses: a process
// that comes later renews it anyway. One that is final is not renewed.
func (t *storedToken) due() time.Duration {
	if t.Final {
		return t.over()
	}
	ages := accesstoken.AgesOf(t.ExpiresIn, t.RefreshIn)
	if ages.Due == 0 {
		return time.Duration(accesstoken.EarliestRefresh * float64(ages.Life))
	}
	return ages.Due
}

// isFor reports whether it was granted for a key. The scopes of a record may be in any order: a
// version of the library that knew none has written it, or a Fetcher in between made the key. One
// that is final is also for the key that names the scope that was granted: there is no server to
// ask for it.
func (t *storedToken) isFor(key tokens.Key) bool {
	scope := grammar.ScopeSet(key.Scope)
	return t.Resource == key.Resource && t.Audience == key.Audience &&
		(grammar.ScopeSet(t.Scope) == scope || t.Final && grammar.ScopeSet(t.Granted) == scope)
}

// latest is the time, as far as is known: by this machine's clock, or by that of another which
// obtained a token of the record since. A clock that is behind is found out by that.
func (r *record) latest(now time.Time) time.Time {
	for i := range r.Tokens {
		if requested := r.Tokens[i].Requested; requested.After(now) {
			now = requested
		}
	}
	return now
}

// isFromFuture reports whether a token was requested later than the clocks of two machines may
// differ. One of them is wrong then, and its age is not known. In place of one that is final there
// is no other, so that the clocks may differ by as much as those of the login.
func (t *storedToken) isFromFuture(now time.Time) bool {
	skew := maxSkew
	if t.Final {
		skew = maxLoginSkew
	}
	return t.Requested.Sub(now) > skew
}

// age is how old a token is, at least.
func (t *storedToken) age(latest time.Time) time.Duration { return max(0, latest.Sub(t.Requested)) }

// find returns the token for a request, unless it is the one that is to be replaced or has reached
// an age. One from the future is new if the clocks of two machines can be that far apart. Otherwise
// it is none: a clock is wrong, and its age is not known.
func (r *record) find(q tokens.Request, now time.Time, limit func(*storedToken) time.Duration) *tokens.Response {
	latest := r.latest(now)
	for i := range r.Tokens {
		t := &r.Tokens[i]
		replaced := q.Previous != nil && q.Previous.AccessToken() == t.AccessToken
		passed := t.age(latest)
		if !t.isFor(q.Key) || replaced || t.isFromFuture(now) || passed >= limit(t) {
			continue
		}
		return &tokens.Response{
			AccessToken: tokens.NewSecret(t.AccessToken), TokenType: t.Type, Scope: t.Granted,
			Requested: now.Add(-passed), ExpiresIn: t.ExpiresIn, RefreshIn: t.RefreshIn, Reused: true, Final: t.Final,
			Extras: tokens.NewSecret(t.Extras),
		}
	}
	return nil
}

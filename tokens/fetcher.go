package tokens

import (
	"context"
	"time"

	"github.com/bearer-go/bearer/internal/callertoken"
)

// A Fetcher obtains tokens. A Client of package oauth makes one for each grant, and package session
// one for refresh tokens; [FetcherFunc] is one's own. One that wraps another gives it the [Request]
// that came, a copy with another Key if need be: a Request has more in it than its fields show.
type Fetcher interface {
	// Fetch obtains a token. It is called for several keys at once, and for one key at a time, but
	// for a second time when the first has not returned in time, or the source was reset. If it
	// needs tokens of the callers, it is also called at once for several callers with one key; what
	// is kept by the key alone, as by a cache, would be one caller's token for another. The context
	// has a deadline and the values of the caller that caused it, except the hooks of
	// net/http/httptrace, but does not end with it: others wait for the same token. A panic is a
	// failure, and logged.
	//
	// An error that is, or wraps, an [*Error] tells the [Manager] when to ask again. What a Fetch
	// returns after the context ended is used nevertheless, unless another has brought a token
	// since.
	//
	// A Fetcher that wraps another passes the Request on, changed or not, and does not make its
	// own: with it the other registers what is to be done when the Manager is closed; see
	// [Request.AtClose].
	Fetch(ctx context.Context, r Request) (*Response, error)
}

// FetcherFunc is a [Fetcher] made of a function.
type FetcherFunc func(ctx context.Context, r Request) (*Response, error)

// Fetch calls f.
func (f FetcherFunc) Fetch(ctx context.Context, r Request) (*Response, error) { return f(ctx, r) }

// isNilFetcher reports whether there is no Fetcher, or no function in one.
func isNilFetcher(fetcher Fetcher) bool {
	f, ok := fetcher.(FetcherFunc)
	return fetcher == nil || ok && f == nil
}

// Request is what a [Fetcher] is asked for. A copy stands for the same request.
type Request struct {
	Key Key // which token is meant

	// Previous is the token that is to be replaced, because it is near its end or because a server
	// refused it. A Fetcher that keeps tokens must not return it from there. It is nil for the
	// first one.
	Previous *Token

	source *Source           // that asks; nil for a Request that no Manager made
	given  []callertoken.Set // the tokens of those who called Source.Token
}

// Response is what came of a [Request]: an access token response (RFC 6749 section 5.1). It prints
// as "[secret]".
type Response struct {
	opaque

	AccessToken Secret // visible ASCII, at most 64 KiB
	TokenType   string // "" or "Bearer", in whatever case: there is no other that a Transport could use

	// ExpiresIn is the life of the token, from Requested. 0 means that the server did not say: five
	// minutes then.
	ExpiresIn time.Duration

	// RefreshIn is when the server wants it to be renewed, from Requested. 0, or a time that is not
	// before its end, means that the server did not say. Less than a tenth of its life, or than 10
	// seconds, counts as the greater of the two.
	RefreshIn time.Duration

	// Scope is what was granted, "" if that is what was asked for. It has at most 16 KiB.
	Scope string

	// Requested is when the request for it was sent. A zero time, and one after Fetch was called,
	// counts as when that was: a time out of a Store may be of a clock that is ahead.
	Requested time.Time

	// Reused says that it was not fetched: another process had, and left it in a Store.
	Reused bool

	// Final says that no other can be obtained in its place, as after a login that brought no
	// refresh token: it is not renewed ahead of its end, whatever RefreshIn says.
	Final bool

	// RefreshToken and IDToken came with it. A [Manager] does not use them.
	RefreshToken, IDToken Secret

	// Extras are the other members of the answer, as one JSON object of at most 16 KiB, or "" if
	// there are none; see [Response.Extra].
	Extras Secret

	// obtained says for which tokens of a caller it was obtained; nil if there are none, or that is
	// not known.
	obtained *callertoken.Set
}

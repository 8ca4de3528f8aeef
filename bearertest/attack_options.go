package bearertest

import (
	"net/http"
	"slices"

	"github.com/bearer-go/bearer"
)

// AttackOption says what [Attack] cannot know of a handler.
type AttackOption func(*attack)

// WithRequest chooses the request that the attacks are put into. The function is called for each
// and returns a new one every time, without any credential. Default: GET /.
func WithRequest(request func() *http.Request) AttackOption {
	if request == nil {
		panic("bearertest: WithRequest: the function is nil")
	}
	return func(a *attack) { a.request = request }
}

// WithTokensFrom says that the handler takes tokens from these places, as bearer.WithTokensFrom
// does. A second token there is then expected to be refused as one too many, and a token there
// alone is no attack. bearer.FromHeader must be among them, for that is the way the attacks come.
// Default: the Authorization header alone.
func WithTokensFrom(sources ...bearer.TokenLocation) AttackOption {
	if !slices.Contains(sources, bearer.FromHeader()) {
		panic("bearertest: WithTokensFrom: bearer.FromHeader is missing; the attacks come in the Authorization header")
	}
	sources = slices.Clone(sources)
	return func(a *attack) { a.sources = sources }
}

// WithoutKeyIDs says that the handler was given keys that have no key id, as with jwks.PEM and
// jwks.PublicKeys. Such a key answers to every kid, so that the attacks whose only fault is the kid
// are left out.
func WithoutKeyIDs() AttackOption {
	return func(a *attack) { a.withoutKeyIDs = true }
}

// WithReached tells how often the protected handler ran. The function is called before and after
// each request, and returns a count that the handler raises by one with each call, even when its
// answer is never seen. A handler that runs for a request that is then refused fails the test: it
// may have placed an order. With [WithSubject] requests come at the same time, so the count must be
// safe for concurrent use. It panics when the function is nil. Default: Attack knows of the handler
// what its answers tell.
func WithReached(count func() int) AttackOption {
	if count == nil {
		panic("bearertest: WithReached: the function is nil")
	}
	return func(a *attack) { a.reached = count }
}

// WithFreshHandler attacks handlers that have no keys while the issuer is down, answers web pages
// or publishes no keys. The function is called for each fault, and returns a handler that trusts
// the issuer like the one under attack and has asked it for nothing yet. Forged tokens are refused
// or answered with 503. A good one is let through or answered with 503, because a refusal would
// tell the client to throw it away. The faults are the issuer's own, so no other test uses it
// meanwhile; one that stands is back afterwards. It panics when the function is nil. Default:
// Attack leaves the issuer as it is.
func WithFreshHandler(fresh func() http.Handler) AttackOption {
	if fresh == nil {
		panic("bearertest: WithFreshHandler: the function is nil")
	}
	return func(a *attack) { a.fresh = fresh }
}

// WithPartner says that the handler also trusts another issuer, whose tokens it lets through as
// they are. Each issuer's keys are good for its own tokens: what one signs in the name of the other
// is refused. It panics when the partner is nil. Default: there is one issuer.
func WithPartner(partner *Issuer) AttackOption {
	if partner == nil {
		panic("bearertest: WithPartner: the partner is nil")
	}
	return func(a *attack) { a.partner = partner }
}

// WithSubject reads out of the route's answer for whom it was made: the sub of the token. Tokens of
// two subjects are then sent in turn, at the same time, and with headers and parameters that name
// the other. Both subjects are let through by the route; it may refuse what names the other with a
// status of 4xx. The function may read the answer's body, and is called from several goroutines at
// once. It panics when the function is nil. Default: Attack does not know for whom an answer is.
func WithSubject(subject func(answer *http.Response) string) AttackOption {
	if subject == nil {
		panic("bearertest: WithSubject: the function is nil")
	}
	return func(a *attack) { a.subject = subject }
}

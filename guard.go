package bearer

import (
	"context"
	"net/http"
	"sync/atomic"
)

// A Guard is the compiled rule of one route: what [Middleware.Guard] makes of its options.
// Handlers, adapters for frameworks and gateways hold one. It does not change and is safe for
// concurrent use. The zero value cannot be used.
type Guard struct{ *guard }

// guard is what a Guard works with, behind a pointer so that printing a Guard prints an address.
type guard struct {
	core *core
	rule *routeRule
}

// core is what all guards of a Middleware share.
type core struct {
	verifier   verifier
	reporter   reporter
	challenger challenger
	sources    *places // unless a route has its own
	closed     atomic.Bool
}

// newGuard returns the guard of a route, or every mistake in its options.
func (c *core) newGuard(opts []RouteOption) (*Guard, error) {
	rule, err := newRouteRule(opts, c.sources, &c.challenger.told)
	if err != nil {
		return nil, err
	}
	return &Guard{&guard{c, rule}}, nil
}

// Handler returns a handler that calls next for requests that [Guard.Authenticate] lets through,
// and answers all others with [Guard.WriteError]. It panics if next is nil.
//
// OPTIONS is not exempt: a handler for CORS goes outside this one.
func (g *Guard) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("bearer: Handler: next is nil")
	}
	inner := g.guard
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authenticated, err := inner.authenticate(r)
		if err != nil {
			inner.core.challenger.write(w, r, err)
			return
		}
		next.ServeHTTP(w, authenticated)
	})
}

// Authenticate decides on a request and never writes. It returns the request for the handler, whose
// context carries the claims ([FromContext]). Or it returns an [*Error], which is for
// [Guard.WriteError], and then the request must go no further.
//
// A request that a guard of the same Middleware has verified already is not verified from the start
// again: only what can change is checked, which is the time and the key, and what this route
// requires. A [TokensFrom] of this route has no effect then. This goes by the context. A request
// made with the context of a verified one counts as verified, unless it has an Authorization header
// that is not the verified one's, or another token in the place where the verified one was. (A form
// is not read a second time.)
func (g *Guard) Authenticate(r *http.Request) (*http.Request, error) {
	request, err := g.authenticate(r)
	if err != nil {
		return nil, err // not a nil *Error in an error that is not nil
	}
	return request, nil
}

// Verify takes the text of a token through the same pipeline, for gRPC, WebSocket messages and
// queues. A [Func] gets a nil request. [Optional] and [TokensFrom] have no effect here, and an
// empty token is refused. The error is an [*Error].
func (g *Guard) Verify(ctx context.Context, token string) (*Claims, error) {
	var d decision
	g.core.reporter.start(&d, nil)
	err := g.verify(ctx, token, &d)
	if err != nil {
		return nil, g.refused(ctx, &d, err)
	}
	g.core.reporter.decided(ctx, &d)
	return d.claims, nil
}

// WriteError answers a request with a refusal that [Guard.Authenticate] returned: the status, the
// challenge of RFC 6750 section 3, Cache-Control: no-store, Retry-After on 503, and a problem+json
// body (RFC 9457) or what [WithErrorHandler] writes. It decides nothing and discloses nothing:
// every text is fixed. An error that is not an [*Error] is 500.
func (g *Guard) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	g.core.challenger.write(w, r, err)
}

// authenticate is Authenticate with a typed error.
func (g *guard) authenticate(r *http.Request) (*http.Request, *Error) {
	core, ctx := g.core, r.Context()
	var d decision
	core.reporter.start(&d, r)
	known := verifiedIn(r, &core.verifier) // a context, or nil
	var request *http.Request
	var err *Error
	switch {
	case core.closed.Load():
		err = refuse(ReasonClosed)
	case known != nil:
		request, err = g.passAgain(r, known, &d)
	default:
		request, err = g.pass(r, &d)
	}
	if err != nil {
		return nil, g.refused(ctx, &d, err)
	}
	if known == nil || d.outcome == OutcomeAnonymous {
		core.reporter.decided(ctx, &d)
	}
	return request, nil
}

// pass takes a request through the whole pipeline.
func (g *guard) pass(r *http.Request, d *decision) (*http.Request, *Error) {
	x := extraction{request: r}
	if err := x.extract(g.rule.places); err != nil {
		if err.Reason() == ReasonMissingToken && g.rule.passesAnonymous() && len(x.authorization) == 0 {
			d.outcome = OutcomeAnonymous
			return withoutClaims(x.request), nil
		}
		return nil, err
	}
	token, err := g.core.verifier.verify(r.Context(), x.token, &d.trace)
	var found *finding
	if err == nil {
		d.claims = &token.claims
		found = x.finding() // before a Func, which can change the header
		err = g.check(r.Context(), x.request, token)
	}
	switch {
	case err == nil:
		x.rewind()
		return withVerified(x.request, token, found), nil
	case g.rule.staleCookie && g.ignores(r, x.at, err):
		return g.passStale(x.request, d, err)
	default:
		return nil, x.explain(err)
	}
}

// passAgain takes a request that was verified before through what can change.
func (g *guard) passAgain(r *http.Request, known *principal, d *decision) (*http.Request, *Error) {
	token, err := g.core.verifier.verifyAgain(r.Context(), known.verified, &d.trace)
	if err == nil {
		d.claims = &token.claims
		err = g.check(r.Context(), r, token)
	}
	switch {
	case err == nil && token == known.verified:
		return r, nil
	case err == nil:
		return withVerified(r, token, known.found), nil
	case g.rule.staleCookie && known.found != nil && g.ignores(r, known.found.at, err):
		return g.passStale(r, d, err)
	default:
		return nil, err
	}
}

// ignores reports whether a refused token counts as none on a route that says so of stale cookies:
// it is one and the only credential, and the route takes anonymous requests. Any other refusal than
// that of the token stands, a 503 above all: then the token may be good.
func (g *guard) ignores(r *http.Request, at *place, err *Error) bool {
	return g.rule.passesAnonymous() && at.kind == locationCookie &&
		err.Code() == codeInvalidToken && len(r.Header["Authorization"]) == 0 && g.rule.places.holdOnly(at, r)
}

// passStale lets a request with a stale cookie pass as anonymous.
func (g *guard) passStale(r *http.Request, d *decision, err *Error) (*http.Request, *Error) {
	d.claims = nil
	g.core.reporter.ignored(r.Context(), d, err)
	return withoutClaims(r), nil
}

// verify is Verify with a typed error.
func (g *guard) verify(ctx context.Context, token string, d *decision) *Error {
	if g.core.closed.Load() {
		return refuse(ReasonClosed)
	}
	if token == "" {
		return refuse(ReasonMissingToken)
	}
	verified, err := g.core.verifier.verify(ctx, token, &d.trace)
	if err != nil {
		return err
	}
	d.claims = &verified.claims
	return g.check(ctx, nil, verified)
}

// check judges what can differ from one request to the next, whatever was verified before: first
// what the issuer's options ask, which no route can leave out, and then what the route requires.
// The request is nil under Verify.
func (g *guard) check(ctx context.Context, r *http.Request, token *verified) *Error {
	if live := token.issuer.live; live != nil {
		if err := live.judge(ctx, r, &token.content, token.aud); err != nil {
			return err
		}
	}
	return g.rule.check(r, &token.claims)
}

// refused reports a refusal, and returns it as that of this route.
func (g *guard) refused(ctx context.Context, d *decision, err *Error) *Error {
	g.core.reporter.refused(ctx, d, err)
	return g.core.challenger.inform(err, g.rule.hints)
}

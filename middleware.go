package bearer

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
)

// Middleware verifies bearer tokens. It is configured by [New], does not change afterwards, and is safe for concurrent use. The zero
// value is of no use. It prints a fixed text; a copy of what a *Middleware points to prints an address.
type Middleware struct{ *corePointer }

// corePointer is one more pointer to the content, as that of [Claims] is.
type corePointer struct{ *core }

// core is what a Middleware works with.
type core struct {
	issuers       map[string]*issuer // by the exact value of iss
	longestIssuer int                // bytes of a value of iss that can be one of them, however it is escaped
	order         []*issuer          // as configured
	sources       []TokenSource
	maxTokenSize  int
	realm         string
	metadata      []byte // RFC 9728's document; nil: none
	metadataURL   string
	logger        *slog.Logger
	observe       func(context.Context, Event)
	errorHandler  func(http.ResponseWriter, *http.Request, *Error)
	closed        atomic.Bool
	headers       headerMemo
	cache         cache
	scratch       sync.Pool // of *[]byte, to decode tokens into
}

// New returns a Middleware for the given issuers. It performs no I/O and starts nothing: keys are fetched on the first request
// that needs them, or by [Middleware.Ready]. When the configuration has mistakes it returns all of them at once, as
// [*ConfigError] values joined with [errors.Join].
func New(opts ...Option) (*Middleware, error) {
	c := &config{m: &core{
		issuers:      make(map[string]*issuer),
		sources:      defaultSources,
		maxTokenSize: DefaultMaxTokenSize,
		logger:       slog.Default(),
		headers:      headerMemo{seed: maphash.MakeSeed()},
		cache:        cache{maxEntries: DefaultCacheEntries, maxBytes: DefaultCacheBytes, seed: maphash.MakeSeed()},
	}}
	for _, opt := range opts {
		if opt == nil {
			c.wrong("New", "nil", "an option is nil; leave it out")
			continue
		}
		opt(c)
	}
	return c.build()
}

// Handler returns a handler that calls next for requests that [Middleware.Authenticate] lets through, and answers all others
// with [Middleware.WriteError]. It panics when next or a requirement is nil, and when there are two [TokensFrom].
//
// OPTIONS is not exempt: a handler for CORS goes outside this one.
func (m *Middleware) Handler(next http.Handler, reqs ...Requirement) http.Handler {
	if next == nil {
		panic("bearer: Handler: next is nil")
	}
	rt, core := wired(reqs), m.core
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authenticated, err := core.decide(r, &rt)
		if err != nil {
			m.WriteError(w, r, err)
			return
		}
		next.ServeHTTP(w, authenticated)
	})
}

// Require is [Middleware.Handler] in the form that routers such as chi take in their chains.
func (m *Middleware) Require(reqs ...Requirement) func(http.Handler) http.Handler {
	reqs = wired(reqs).reqs
	return func(next http.Handler) http.Handler { return m.Handler(next, reqs...) }
}

// Authenticate decides on a request and never writes to it. It returns the request that the handler shall see, whose context
// carries the claims ([FromContext]), or an [*Error] to be given to [Middleware.WriteError]; then the request must go no
// further. It is what an adapter for a framework is made of.
//
// A request that this Middleware has verified already, on its way through an outer guard, is not verified again: only the
// requirements are checked, and a [TokensFrom] of the inner guard has no say. This goes by the context: a request made with the
// context of a verified one counts as verified, unless it has an Authorization header that is not the verified one's.
//
// Like [Middleware.Handler] it panics when a requirement is nil.
func (m *Middleware) Authenticate(r *http.Request, reqs ...Requirement) (*http.Request, error) {
	rt := routeOf(reqs)
	request, err := m.decide(r, &rt)
	if err != nil {
		return nil, err // not a nil *Error in an error that is not nil
	}
	return request, nil
}

// decide is Authenticate for a route.
func (m *core) decide(r *http.Request, rt *route) (*http.Request, *Error) {
	started, ctx := m.start(), r.Context()

	before, _ := ctx.Value(contextKey{}).(*principal)
	if before.covers(r, m) && !m.closed.Load() {
		if err := rt.check(r, before.claims); err != nil {
			c := before.claims.read()
			return nil, m.refused(ctx, &Event{Issuer: c.issuer, KeyID: c.keyID, Algorithm: c.algorithm}, started, rt, err)
		}
		return r, nil
	}

	ev := &Event{Outcome: OutcomeAllowed}
	request, now, err := m.authenticate(r, rt, ev)
	if err != nil {
		return nil, m.refused(ctx, ev, started, rt, err)
	}
	m.decided(ctx, ev, started)
	if now == nil {
		if before == nil || before.claims == nil {
			return request, nil // nobody else's claims are in the way
		}
		now = &principal{}
	}
	return request.WithContext(context.WithValue(ctx, contextKey{}, now)), nil
}

// authenticate takes a request through the whole pipeline. Without an error, the principal is nil only for an anonymous request
// on an optional route.
func (m *core) authenticate(r *http.Request, rt *route, ev *Event) (*http.Request, *principal, *Error) {
	if m.closed.Load() {
		return nil, nil, refuse(ReasonClosed)
	}
	sources := m.sources
	if rt.sources != nil {
		sources = rt.sources
	}
	x := extraction{request: r}
	if err := x.extract(sources); err != nil {
		if err.Reason() == ReasonMissingToken && rt.passesAnonymous() && len(x.authorization) == 0 {
			ev.Outcome = OutcomeAnonymous
			return x.request, nil, nil
		}
		return nil, nil, err
	}
	p, err := m.verify(r.Context(), x.token, ev)
	if err != nil {
		if err.Reason() == ReasonMalformedToken && x.secondWord() {
			err = refuse(ReasonMalformedRequest)
		}
		return nil, nil, err
	}
	p = x.credential(p) // before a Func, which can change the header

	if err := rt.check(x.request, p.claims); err != nil { // what a Func judges is what the handler gets
		return nil, nil, err
	}
	x.rewind()
	return x.request, p, nil
}

// Verify takes a token's text through the same pipeline, for gRPC, WebSocket messages and queues. A [Func] requirement gets a
// nil request; [Optional] and [TokensFrom] mean nothing here, and an empty token is refused. The error is an [*Error].
func (m *Middleware) Verify(ctx context.Context, token string, reqs ...Requirement) (*Claims, error) {
	core := m.core
	started, rt, ev := core.start(), routeOf(reqs), &Event{Outcome: OutcomeAllowed}
	claims, err := core.verifyFor(ctx, token, &rt, ev)
	if err != nil {
		return nil, core.refused(ctx, ev, started, &rt, err)
	}
	core.decided(ctx, ev, started)
	return claims, nil
}

func (m *core) verifyFor(ctx context.Context, token string, rt *route, ev *Event) (*Claims, *Error) {
	if m.closed.Load() {
		return nil, refuse(ReasonClosed)
	}
	if token == "" {
		return nil, refuse(ReasonMissingToken)
	}
	p, err := m.verify(ctx, token, ev)
	if err != nil {
		return nil, err
	}
	return p.claims, rt.check(nil, p.claims)
}

// Close ends every fetch under way and releases what the Middleware holds. Afterwards every request is answered with 503. It may
// be called more than once and always returns nil.
func (m *Middleware) Close() error {
	m.closed.Store(true)
	m.cache.close()
	for _, iss := range m.order {
		if iss.keys != nil {
			_ = iss.keys.Close() // a key set's Close returns nil
		}
	}
	return nil
}

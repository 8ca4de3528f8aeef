package bearer

import (
	"context"
	"net/http"
)

type contextKey struct{}

// principal is what a context carries. by is the Middleware that verified the claims, and nil for claims that were put
// there with NewContext: only a Middleware's own mark makes it skip verification.
type principal struct {
	claims        *Claims
	by            *Middleware
	authorization string // the request's Authorization header at that time, "" for none
}

// covers reports whether a Middleware has verified this request already. A context can be handed on to another request, such
// as one out of a batch; that one is verified anew when it brings a credential of its own.
func (p principal) covers(r *http.Request, m *Middleware) bool {
	if p.by != m {
		return false
	}
	values := r.Header.Values("Authorization")
	return len(values) == 0 || len(values) == 1 && values[0] == p.authorization
}

// FromContext returns the claims of the request's verified token. ok is false when the request was not guarded, or passed an
// [Optional] guard without a token.
func FromContext(ctx context.Context) (claims *Claims, ok bool) {
	p, ok := ctx.Value(contextKey{}).(principal)
	return p.claims, ok && p.claims != nil
}

// NewContext returns a context that carries claims, for code that hands a request on outside HTTP, such as a queue's consumer
// after [Middleware.Verify]. Claims put there this way never satisfy a guard: a request that meets one later is verified
// from its token. To test a handler with made-up claims, use bearertest.NewContext.
func NewContext(ctx context.Context, claims *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, principal{claims: claims})
}

// ClaimsAs decodes the claims of the request's verified token into a T, for claims this package does not know. It returns
// [ErrNoClaims] when there are none, or the error of [Claims.Decode].
func ClaimsAs[T any](ctx context.Context) (T, error) {
	var v T
	claims, ok := FromContext(ctx)
	if !ok {
		return v, ErrNoClaims
	}
	err := claims.Decode(&v)
	return v, err
}

package bearer

import (
	"context"
	"net/http"
	"strings"
)

type contextKey struct{}

// principal is what a context carries. by is the Middleware that verified the claims, and nil for claims that were put
// there with NewContext: only a Middleware's own mark makes it skip verification. It is shared and never changes.
type principal struct {
	claims *Claims // nil for an anonymous request
	by     *core
	sent   *sent // nil unless by is not
}

// sent is the credential of a principal. It has a place of its own, so that a context that is printed with a verb that does not fit
// shows an address: package fmt follows one pointer, to the principal.
type sent struct {
	token string // the one that was verified

	// authorization is the request's Authorization header, when it is not "Bearer" and the token.
	authorization string
}

// covers reports whether a Middleware has verified this request already. A context can be handed on to another request, such
// as one out of a batch; that one is verified anew when it brings a credential of its own.
func (p *principal) covers(r *http.Request, m *core) bool {
	if p == nil || p.by != m {
		return false
	}
	switch values := r.Header["Authorization"]; len(values) {
	case 0:
		return true
	case 1:
		scheme, token, _ := strings.Cut(values[0], " ")
		return token == p.sent.token && isBearer(scheme) || p.sent.authorization != "" && values[0] == p.sent.authorization
	default:
		return false
	}
}

// FromContext returns the claims of the request's verified token. ok is false when the request was not guarded, or passed an
// [Optional] guard without a token.
func FromContext(ctx context.Context) (claims *Claims, ok bool) {
	p, ok := ctx.Value(contextKey{}).(*principal)
	if !ok || p.claims == nil {
		return nil, false
	}
	return p.claims, true
}

// NewContext returns a context that carries claims, for code that hands a request on outside HTTP, such as a queue's consumer
// after [Middleware.Verify]. Claims put there this way never satisfy a guard: a request that meets one later is verified
// from its token. To test a handler with made-up claims, use bearertest.NewContext.
func NewContext(ctx context.Context, claims *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, &principal{claims: claims})
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

package bearer

import (
	"context"
	"fmt"
	"net/http"
)

// contextKey is the key of what a context carries: a *principal of a verified token, or a *Claims,
// which is that of [NewContext], or nil for an anonymous request.
type contextKey struct{}

// principal is the context of a request that was verified: what [context.WithValue] returns, in
// less memory and time.
type principal struct {
	context.Context
	*verified

	// Where the token was, or nil for the Authorization header with Bearer, one space and the token.
	// It is a pointer like the other two fields, because package fmt follows one pointer of a request
	// with a verb that does not fit.
	found *finding
}

func (p *principal) Value(key any) any {
	if key == (contextKey{}) {
		return p
	}
	return p.Context.Value(key)
}

// Format keeps package fmt from printing the token, whatever the verb.
func (p *principal) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprint(f, p.Context, ".WithValue(bearer.Claims)")
}

// withVerified returns a request whose context carries a verified token.
func withVerified(r *http.Request, token *verified, found *finding) *http.Request {
	return r.WithContext(&principal{Context: r.Context(), verified: token, found: found})
}

// withoutClaims returns a request whose context carries no claims.
func withoutClaims(r *http.Request) *http.Request {
	if _, found := FromContext(r.Context()); !found {
		return r
	}
	return r.WithContext(NewContext(r.Context(), nil))
}

// verifiedIn returns the context of this very request if the verifier has verified its token
// already, or nil. A context can be handed on to another request, such as one out of a batch. That
// request is verified from its own credential if it brings another one where isOf looks.
func verifiedIn(r *http.Request, by *verifier) *principal {
	p, ok := r.Context().Value(contextKey{}).(*principal)
	if !ok || p.by != by || !p.isOf(r) {
		return nil
	}
	return p
}

// isOf reports whether a request brings the verified credential, or none, in the Authorization
// header and in the place where the token was.
func (p *principal) isOf(r *http.Request) bool {
	header, scheme, other := r.Header["Authorization"], schemeBearer, ""
	if p.found != nil {
		other = p.found.authorization
		if p.found.at.kind == locationAuthorization {
			scheme = p.found.at.scheme
		}
	}
	switch {
	case len(header) > 1:
		return false
	case len(header) == 1 && !isCredentials(header[0], scheme, p.token) && (other == "" || header[0] != other):
		return false
	default:
		return p.found == nil || p.found.at.still(r, p.token)
	}
}

// FromContext returns the claims of the request's verified token. ok is false when the request was
// not guarded, or passed an [Optional] guard without a token.
func FromContext(ctx context.Context) (claims *Claims, ok bool) {
	switch value := ctx.Value(contextKey{}).(type) {
	case *principal:
		return &value.claims, true
	case *Claims:
		return value, value != nil
	default:
		return nil, false
	}
}

// NewContext returns a context that carries claims, for code that hands a request on outside HTTP,
// such as a queue's consumer after [Guard.Verify]. Claims that were put there this way never
// satisfy a guard: a request that meets one later is verified from its token. To test a handler
// with made-up claims, use bearertest.NewContext.
func NewContext(ctx context.Context, claims *Claims) context.Context {
	return context.WithValue(ctx, contextKey{}, claims)
}

// ClaimsAs decodes the claims of the request's verified token into a T, for claims that this
// package does not know. It returns [ErrNoClaims] when there are none, or the error of
// [Claims.Decode].
func ClaimsAs[T any](ctx context.Context) (T, error) {
	var v T
	claims, ok := FromContext(ctx)
	if !ok {
		return v, ErrNoClaims
	}
	err := claims.Decode(&v)
	return v, err
}

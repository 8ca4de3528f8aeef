package bearertest

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/jws"
)

// NewContext returns a context in which a handler finds claims, as behind a middleware that
// verified a token of them, but without an issuer, keys or a request. Claims are laid over those of
// [Issuer.Token], by an issuer "https://issuer.test" unless they name one. It is for testing a
// handler alone: a middleware in front of it still demands a token.
//
// The claims went through the pipeline of package bearer, signed with a secret that no other code
// knows (so their algorithm is HS256 and they have no key id), trusting the iss and the first aud
// that they name. The options are those of the service that say how claims are read, such as
// bearer.RolesClaim; options about keys and algorithms do not fit. Claims that the pipeline
// refuses, such as an exp in the past, fail the test.
func NewContext(ctx context.Context, tb testing.TB, claims Claims, opts ...bearer.IssuerOption) context.Context {
	tb.Helper()
	const algorithm = "HS256"
	method, _ := jws.Lookup(algorithm)
	secret := make([]byte, method.MinSecret())
	_, _ = rand.Read(secret) // never fails: the program ends instead

	all := merge(standardClaims(defaultURL, defaultAudience), claims)
	token := compact(method, secret, mustJSON(merge(standardHeader(algorithm, ""))), mustJSON(all))

	opts = append([]bearer.IssuerOption{bearer.HMACSecret(secret)}, opts...)
	auth, err := bearer.New(bearer.WithIssuer(firstString(all["iss"]), firstString(all["aud"]), opts...))
	if err != nil {
		tb.Fatalf("bearertest: NewContext: %v", err)
	}
	verified, err := auth.Guard().Verify(ctx, token)
	if err != nil {
		tb.Fatalf("bearertest: NewContext: these claims would be refused: %v", err)
	}
	return bearer.NewContext(ctx, verified)
}

// firstString is the string that a claim is or begins with, or "".
func firstString(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []string:
		if len(value) > 0 {
			return value[0]
		}
	case []any:
		if len(value) > 0 {
			return firstString(value[0])
		}
	}
	return ""
}

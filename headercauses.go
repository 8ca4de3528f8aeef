package bearer

import (
	"slices"
	"strings"

	"github.com/bearer-go/bearer/internal/jws"
)

// refusedHeaders are the refusals of an issuer's tokens by the algorithm and the type in their
// headers. They are made once, because an attacker can cause them at will.
type refusedHeaders struct {
	algorithms       map[*jws.Algorithm]*Error
	types            map[string]*Error
	unknownAlgorithm *Error
	unknownType      *Error
}

// namedTypes are the types of tokens that a refusal names: those of RFC 9068, OpenID Connect
// Back-Channel Logout, RFC 8417, RFC 9449, RFC 9101, RFC 9701 and SPIFFE.
var namedTypes = []string{
	accessTokenType, "jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-authz-req+jwt",
	"token-introspection+jwt", "jose", "id_token",
}

// newRefusedHeaders makes the refusals for an issuer with these algorithms and types.
func newRefusedHeaders(algorithms []*jws.Algorithm, types []string) *refusedHeaders {
	r := &refusedHeaders{algorithms: make(map[*jws.Algorithm]*Error), types: make(map[string]*Error)}
	var allowed []string
	for _, alg := range algorithms {
		allowed = append(allowed, alg.Name)
	}
	byAlgorithm := func(found string) *Error {
		return because(ReasonAlgorithm, "jws.alg-allowed",
			"it is signed with "+found+", and this issuer's tokens may be signed with "+strings.Join(allowed, ", "),
			"Algorithms says which are allowed")
	}
	for _, alg := range jws.All() {
		if !slices.Contains(algorithms, alg) {
			r.algorithms[alg] = byAlgorithm(alg.Name)
		}
	}
	r.unknownAlgorithm = byAlgorithm("an unknown algorithm")
	byType := func(found string) *Error {
		return because(ReasonType, "jws.typ-allowed",
			"its typ is "+found+", and this issuer's tokens may have "+strings.Join(types, ", "),
			"TokenTypes says which are allowed; a token without typ counts as jwt")
	}
	for _, typ := range namedTypes {
		if !slices.Contains(types, typ) {
			r.types[typ] = byType(typ)
		}
	}
	r.unknownType = byType("another one")
	return r
}

// algorithm returns the refusal of an algorithm, which is nil if it is not known.
func (r *refusedHeaders) algorithm(alg *jws.Algorithm) *Error {
	if e := r.algorithms[alg]; e != nil {
		return e
	}
	return r.unknownAlgorithm
}

// typ returns the refusal of a type.
func (r *refusedHeaders) typ(typ string) *Error {
	if e := r.types[typ]; e != nil {
		return e
	}
	return r.unknownType
}

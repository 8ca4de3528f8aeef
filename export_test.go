package bearer

import (
	"context"

	"github.com/bearer-go/bearer/internal/jws"
)

// VerifySignature takes a token through the checks that do not need claims: the shape, the header, the
// algorithm, the type, the key and the signature. It is for published test vectors, whose payloads are
// no claims sets, and calls what verify calls, in its order.
func (m *Middleware) VerifySignature(ctx context.Context, issuer, token string) error {
	compact, ok := jws.Split(token)
	if !ok {
		return misshapen(token)
	}
	signed, err := readToken(compact, make([]byte, len(token)), &m.core.verifier.headers)
	if err != nil {
		return err
	}
	iss, v := m.core.verifier.issuers[issuer], &m.core.verifier
	if iss == nil {
		if iss, err = v.roster.find(ctx, []byte(issuer)); err != nil {
			return err
		}
	}
	if _, _, err := iss.verifySignature(ctx, issuer, &signed, new(trace)); err != nil {
		return err
	}
	return nil
}

// Refusal is the error for a reason, as requests get it.
func Refusal(reason Reason) *Error { return refuse(reason) }

// CachedToken returns the cache's own copy of a token, and whether there is one. It counts as a use.
func (m *Middleware) CachedToken(token string) (string, bool) {
	e := m.core.verifier.cache.Get(token)
	if e == nil {
		return "", false
	}
	return e.Value.token, true
}

// ShareKeys has a Middleware use the key sets of another one that has the same issuers.
func (m *Middleware) ShareKeys(of *Middleware) {
	share := func(iss, shared *issuer) {
		if iss.set != nil {
			iss.close()
			iss.set, iss.keys = shared.set, shared.keys
		}
	}
	for name, iss := range m.core.verifier.issuers {
		share(iss, of.core.verifier.issuers[name])
	}
	for i, iss := range m.core.verifier.templates {
		share(iss, of.core.verifier.templates[i])
	}
}

// Unknown is how many issuers are remembered as unknown to the lookup.
func (r *Registry) Unknown() int {
	r.roster.mu.RLock()
	defer r.roster.mu.RUnlock()
	return len(r.roster.unknown)
}

// Shut closes the registry alone, which is the last thing that [Middleware.Close] does.
func (r *Registry) Shut() { r.roster.close() }

// Streams returns how many contexts of UntilExpiry have not ended.
func (m *Middleware) Streams() int { return m.core.verifier.streams.Len() }

// ExplainedRules are the rules that a report can say failed, before those of a route.
func ExplainedRules() (rules []string) {
	for _, s := range pipeline {
		rules = append(rules, s.rule)
	}
	return append(rules, ruleAudienceFunc, ruleTemplateAccept)
}

// StreamHolds looks at what a stream of the request with this context depends on.
func StreamHolds(ctx context.Context) (bool, error) {
	rules := streamRules{}
	return rules.Holds(ctx, rules.DependsOn(ctx.Value(contextKey{}).(*principal).verified))
}

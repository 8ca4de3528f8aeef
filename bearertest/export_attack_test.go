package bearertest

import (
	"net/http"
	"slices"
	"testing"
)

// AttackRun is one run of Attack, which can be repeated on several handlers that trust the same issuer.
type AttackRun struct{ a *attack }

// AttackFinding is what Attack reports of one variant.
type AttackFinding struct{ Rule, Variant, Problem string }

// NewAttack makes the variants ready.
func NewAttack(tb testing.TB, issuer *Issuer, opts ...AttackOption) AttackRun {
	tb.Helper()
	return AttackRun{newAttack(tb, issuer, opts)}
}

// Begin is what Attack does first; it returns what Attack would stop with.
func (r AttackRun) Begin(handler http.Handler) string { return r.a.begin(handler) }

// On runs the attacks of the rules with these names, or of all rules.
func (r AttackRun) On(handler http.Handler, rules ...string) (findings []AttackFinding) {
	a := *r.a
	a.volleys = func() []volley {
		return slices.DeleteFunc(slices.Clone(r.a.volleys()), func(v volley) bool {
			return len(rules) > 0 && !slices.Contains(rules, v.name)
		})
	}
	for _, f := range a.run(handler) {
		findings = append(findings, AttackFinding{f.rule, f.variant, f.problem})
	}
	return findings
}

// Variants returns the names of the variants of a rule that apply.
func (r AttackRun) Variants(rule string) (names []string) {
	for _, v := range r.a.volleys() {
		if v.name != rule {
			continue
		}
		for _, s := range v.shots {
			names = append(names, s.name)
		}
	}
	return names
}

// AttackRules returns the names of the rules, in their order.
func AttackRules() (names []string) {
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// AttackVariants returns the names of all variants of a rule, whether or not they apply.
func AttackVariants(rule string) (names []string) {
	for _, r := range rules() {
		if r.name != rule {
			continue
		}
		for _, v := range r.variants {
			names = append(names, v.name)
		}
	}
	return names
}

package jws_test

import (
	"testing"

	"github.com/bearer-go/bearer/internal/jws"
)

// The first is the example of OpenID Connect Core appendix A.3, the others follow from the RFCs.
func TestHalfHashIsThatOfTheAlgorithm(t *testing.T) {
	for name, want := range map[string]string{
		"RS256": "77QmUPtjPfzWtF2AnpK9RQ", "PS256": "77QmUPtjPfzWtF2AnpK9RQ", "ES256": "77QmUPtjPfzWtF2AnpK9RQ",
	} {
		alg, _ := jws.Lookup(name)
		if got := alg.HalfHash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, length := range map[string]int{"RS256": 22, "ES384": 32, "PS512": 43, "ES512": 43, "EdDSA": 43} {
		alg, _ := jws.Lookup(name)
		if got := alg.HalfHash("token"); len(got) != length {
			t.Errorf("%s: %q has %d characters, want %d", name, got, len(got), length)
		}
	}
}

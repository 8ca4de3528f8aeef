package bearer_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
	"github.com/bearer-go/bearer/jwks"
)

// The cases of other projects' test suites get the answers that those suites expect, or the answer
// that a verdict pins. Those of the layer http are in interop/vectors_test.go.

func TestForeignTokensUpToTheSignature(t *testing.T) {
	t.Parallel()
	for _, c := range vectors.Foreign(t, vectors.LayerJWS) {
		t.Run(c.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				advanceTo(c.Now)
				answer := "accepted"
				if auth, err := bearer.New(append(c.Config.Options(), quiet())...); err != nil {
					answer = "refused by New"
				} else {
					defer func() { _ = auth.Close() }()
					if err := auth.VerifySignature(t.Context(), c.Config.Issuers[0].Name, c.Token); err != nil {
						answer = string(reasonOf(t, err))
					}
				}
				c.Check(t, answer, (answer == "accepted") == c.Expected.Accept)
			})
		})
	}
}

func TestForeignKeySets(t *testing.T) {
	t.Parallel()
	for _, c := range vectors.Foreign(t, vectors.LayerKeys) {
		t.Run(c.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				advanceTo(c.Now)
				set, err := jwks.New(c.Config.Issuers[0].Source(),
					jwks.WithHTTPClient(c.Config.Client()), jwks.WithLogger(slog.New(slog.DiscardHandler)))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = set.Close() }()
				answer, want := "found", "found"
				for _, lookup := range c.Expected.Lookups {
					keys, _ := set.Keys(t.Context(), lookup.Kid, lookup.Alg) // no key is an error
					answer += fmt.Sprint(" ", len(keys))
					want += fmt.Sprint(" ", lookup.Found)
				}
				c.Check(t, answer, answer == want)
			})
		})
	}
}

// Each verdict cites a rule, and is about a case that the file says the library differs in.
func TestEveryForeignVerdictCitesARule(t *testing.T) {
	rules := make(map[string]bool)
	for _, row := range tableRows(t, "docs/rules.md", "", rulesColumns) {
		rules[codeOf(row[0])[0]] = true
	}
	for id, verdict := range vectors.Verdicts {
		if !rules[verdict.Rule] {
			t.Errorf("%s: docs/rules.md has no rule %s", id, verdict.Rule)
		}
	}
	for id, rule := range vectors.Agreed {
		if !rules[rule] {
			t.Errorf("%s: docs/rules.md has no rule %s", id, rule)
		}
	}
	differ := 0
	for _, layer := range []string{vectors.LayerHTTP, vectors.LayerJWS, vectors.LayerKeys} {
		for _, c := range vectors.Foreign(t, layer) {
			if vectors.Agreed[c.ID] == "" && (c.Verdict == vectors.ProductRight || c.Verdict == vectors.ProductStrict) {
				differ++
				if _, ok := vectors.Verdicts[c.ID]; !ok {
					t.Errorf("no verdict on %s", c.ID)
				}
			}
		}
	}
	if differ != len(vectors.Verdicts) {
		t.Errorf("%d verdicts for %d cases", len(vectors.Verdicts), differ)
	}
}

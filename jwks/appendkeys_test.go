package jwks_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// AppendKeys leaves what is there where it is, and adds nothing to it when it fails.
func TestAppendKeysKeepsWhatIsThere(t *testing.T) {
	a, b := edJWK("a"), edJWK("b")
	set := issuer(a, b).remote(t)
	keys := []jwks.Key{keyOf(t, set, "b", "EdDSA")}
	for kid, want := range map[string]int{"a": 2, "z": 1} {
		got, _, err := set.AppendKeys(t.Context(), keys, issuerURL, kid, "EdDSA")
		if len(got) != want || got[0].ID() != "b" || (err == nil) != (want == 2) {
			t.Errorf("%q: %q, %v", kid, ids(got), err)
		}
	}
}

// The time that an answer comes with is when it was true, and not when it was asked for.
func TestAnswerComesWithTheTimeAtWhichItWasTrue(t *testing.T) {
	const wait = time.Second
	for name, kid := range map[string]string{"found": "a", "not found": "z"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				set := w.discover(t)
				answers := map[string]func() time.Time{
					"AppendKeys": func() time.Time {
						_, at, err := set.AppendKeys(t.Context(), nil, issuerURL, kid, "EdDSA")
						if (err == nil) != (name == "found") {
							t.Errorf("AppendKeys: %v", err)
						}
						return at
					},
					"Holds": func() time.Time {
						_, at, err := set.Holds(t.Context(), issuerURL, kid, "EdDSA", jwks.Key{})
						if (err == nil) != (name == "found") {
							t.Errorf("Holds: %v", err)
						}
						return at
					},
				}
				for call, answer := range answers {
					<-time.After(time.Hour) // the keys are due, and the request waits for them
					w.put(keysURL, after(wait, says(200, keySet(edJWK("a")))))
					started := time.Now()
					if at := answer(); at.Sub(started) != wait {
						t.Errorf("%s answers after %s for %s", call, time.Since(started), at.Sub(started))
					}
				}
				if kid == "z" { // a search while the keys are fresh
					<-time.After(time.Minute)
					started := time.Now()
					if at := answers["AppendKeys"](); at.Sub(started) != wait {
						t.Errorf("a search answers after %s for %s", time.Since(started), at.Sub(started))
					}
				}
			})
		})
	}
}

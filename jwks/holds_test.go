package jwks_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// keyOf returns the one key that Keys has for a key id.
func keyOf(t *testing.T, set *jwks.Set, kid, alg string) jwks.Key {
	t.Helper()
	keys, err := set.Keys(t.Context(), kid, alg)
	if err != nil || len(keys) != 1 {
		t.Fatalf("Keys(%q, %q): %q, %v", kid, alg, ids(keys), err)
	}
	return keys[0]
}

// holds says in a word how a call of Holds ended.
func holds(set *jwks.Set, ctx context.Context, kid, alg string, key jwks.Key) string { //nolint:revive // like Holds
	return holdsFor(set, ctx, issuerURL, kid, alg, key)
}

//nolint:revive // like Holds
func holdsFor(set *jwks.Set, ctx context.Context, iss, kid, alg string, key jwks.Key) string {
	held, _, err := set.Holds(ctx, iss, kid, alg, key)
	switch {
	case err != nil && held:
		return "held, with an error"
	case err != nil:
		return outcome(nil, err)
	case held:
		return "held"
	default:
		return "not held"
	}
}

func wantHeld(t *testing.T, set *jwks.Set, kid, alg string, key jwks.Key, expected string) {
	t.Helper()
	if got := holds(set, t.Context(), kid, alg, key); got != expected {
		t.Errorf("Holds(%q, %q): %s, want %s", kid, alg, got, expected)
	}
}

// A key is the same for as long as the issuer says the same of it, whatever else it says.
func TestHoldsTheSameKeyAfterARefresh(t *testing.T) {
	a, b := edJWK("a"), edJWK("b")
	for name, test := range map[string]struct {
		keys     []jwk
		expected string
	}{
		"the same":                      {[]jwk{a}, "held"},
		"the same twice":                {[]jwk{a, a}, "held"},
		"another one after it":          {[]jwk{a, b}, "held"},
		"another one before it":         {[]jwk{b, a}, "held"},
		"another of the same key id":    {[]jwk{edJWK("a"), a}, "held"},
		"also for one algorithm":        {[]jwk{a.with(jwk{"alg": "EdDSA"}), a}, "held"},
		"of the same use":               {[]jwk{a.with(jwk{"use": "sig"})}, "held"},
		"for the same operations":       {[]jwk{a.with(jwk{"key_ops": []string{"verify"}})}, "held"},
		"with an unknown member":        {[]jwk{a.with(jwk{"x-y": 1})}, "held"},
		"another under its key id":      {[]jwk{edJWK("a")}, "not held"},
		"under another key id":          {[]jwk{a.with(jwk{"kid": "b"})}, "not found"},
		"without a key id":              {[]jwk{a.with(jwk{"kid": nil})}, "not found"},
		"removed":                       {[]jwk{b}, "not found"},
		"for encryption":                {[]jwk{a.with(jwk{"use": "enc"})}, "not found"},
		"not for verifying":             {[]jwk{a.with(jwk{"key_ops": []string{"sign"}})}, "not found"},
		"with a private part":           {[]jwk{a.with(jwk{"d": b64(make([]byte, 32))})}, "not found"},
		"for encryption beside another": {[]jwk{a.with(jwk{"use": "enc"}), edJWK("a")}, "not held"},
		"for one algorithm":             {[]jwk{a.with(jwk{"alg": "EdDSA"})}, "not held"},
		"bound to an issuer":            {[]jwk{a.with(jwk{"issuer": issuerURL})}, "not held"},
		"bound to a broken issuer":      {[]jwk{a.with(jwk{"issuer": ""})}, "not found"},
		"bound to one beside itself":    {[]jwk{a.with(jwk{"issuer": issuerURL}), a}, "held"},
		"after four others":             {[]jwk{edJWK("a"), edJWK("a"), edJWK("a"), edJWK("a"), a}, "not held"},
		"after three others":            {[]jwk{edJWK("a"), edJWK("a"), edJWK("a"), a}, "held"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(a)
				set := w.discover(t)
				key := keyOf(t, set, "a", "EdDSA")
				wantHeld(t, set, "a", "EdDSA", key, "held")
				w.put(keysURL, says(200, keySet(test.keys...)))
				untilStale()
				wantHeld(t, set, "a", "EdDSA", key, test.expected)
				untilStale()
				wantHeld(t, set, "a", "EdDSA", key, test.expected)
				untilStale()
				wantHeld(t, set, "a", "EdDSA", key, test.expected)
			})
		})
	}
}

// A key that the issuer binds to other issuers than before is another key, so that who verified
// with it looks again.
func TestHoldsNoKeyWhoseMemberIssuerChanged(t *testing.T) {
	a := edJWK("a")
	both := func(expected string) map[string]string {
		return map[string]string{personal: expected, contoso: expected}
	}
	for name, test := range map[string]struct {
		before, after any
		expected      map[string]string // by the iss of the token
	}{
		"the same": {tenants, tenants, both("held")},
		"another issuer": {
			tenants, personal, map[string]string{personal: "not held", contoso: "not found"},
		},
		"another template": {tenants, "https://login.microsoftonline.example/{tid}/v2.0", both("not held")},
		"none any more":    {personal, nil, both("not held")},
		"null":             {personal, json.RawMessage("null"), both("not found")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(a.with(jwk{"issuer": test.before}))
				set := w.discover(t)
				key := keyOf(t, set, "a", "EdDSA")
				w.put(keysURL, says(200, keySet(a.with(jwk{"issuer": test.after}))))
				untilStale()
				for _, iss := range []string{personal, contoso} {
					if got := holdsFor(set, t.Context(), iss, "a", "EdDSA", key); got != test.expected[iss] {
						t.Errorf("%s: %s, want %s", iss, got, test.expected[iss])
					}
				}
			})
		})
	}
}

// Holds says what Keys would.
func TestHoldsAgreesWithKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ec := edJWK("a"), newJWK("a", p256Key.Public())
		w := issuer(a, ec)
		set := w.discover(t)
		ed, p256 := keyOf(t, set, "a", "EdDSA"), keyOf(t, set, "a", "ES256")
		strange := keyOf(t, issuer(a).discover(t), "a", "EdDSA")
		for name, test := range map[string]struct {
			kid, alg string
			key      jwks.Key
			expected string
		}{
			"itself":                       {"a", "EdDSA", ed, "held"},
			"by the other name":            {"a", "Ed25519", ed, "held"},
			"the other one":                {"a", "ES256", p256, "held"},
			"under the other's algorithm":  {"a", "ES256", ed, "not held"},
			"without a key id":             {"", "EdDSA", ed, "held"},
			"of another set":               {"a", "EdDSA", strange, "not held"},
			"no key":                       {"a", "EdDSA", jwks.Key{}, "not held"},
			"an algorithm no key fits":     {"a", "ES384", ed, "not found"},
			"HMAC":                         {"a", "HS256", ed, "not found"},
			"none":                         {"a", "none", ed, "not found"},
			"no algorithm":                 {"a", "", ed, "not found"},
			"an algorithm in another case": {"a", "eddsa", ed, "not found"},
			"a key id in another case":     {"A", "EdDSA", ed, "not found"},
			"an unknown key id":            {"z", "EdDSA", ed, "not found"},
		} {
			if got := holds(set, t.Context(), test.kid, test.alg, test.key); got != test.expected {
				t.Errorf("%s: %s, want %s", name, got, test.expected)
			}
		}
		// Without a key id, a second key that fits makes it a guess.
		w.put(keysURL, says(200, keySet(a, edJWK("b"))))
		untilStale()
		wantHeld(t, set, "", "EdDSA", ed, "not found")
		want(t, set, "", "EdDSA", "not found")
		wantHeld(t, set, "a", "EdDSA", ed, "held")
		_ = set.Close()
		wantHeld(t, set, "a", "EdDSA", ed, "closed")
	})
}

// A key that was gone is not the same when it comes back: it was withdrawn in between.
func TestHoldsNoKeyThatWasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edJWK("a")
		w := issuer(a)
		set := w.discover(t)
		key := keyOf(t, set, "a", "EdDSA")
		w.put(keysURL, says(200, keySet(edJWK("b"))))
		untilStale()
		wantHeld(t, set, "a", "EdDSA", key, "not found")
		w.put(keysURL, says(200, keySet(a)))
		untilStale()
		wantHeld(t, set, "a", "EdDSA", key, "not held")
		wantHeld(t, set, "a", "EdDSA", keyOf(t, set, "a", "EdDSA"), "held")
	})
}

func TestHoldsPublishedKeysThroughRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []jwk
		for _, kid := range []string{"a", "b", "c", "d", "e", "f"} {
			all = append(all, edJWK(kid))
		}
		w := issuer(all[:2]...)
		set := w.discover(t)
		for i := range len(all) - 2 {
			leaves, stays := all[i]["kid"].(string), all[i+1]["kid"].(string)
			old, kept := keyOf(t, set, leaves, "EdDSA"), keyOf(t, set, stays, "EdDSA")
			w.put(keysURL, says(200, keySet(all[i+2], all[i+1])))
			untilStale()
			wantHeld(t, set, stays, "EdDSA", kept, "held")
			wantHeld(t, set, leaves, "EdDSA", old, "not found")
		}
	})
}

func TestHoldsKeysWhenNothingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := edJWK("a"), edJWK("b")
		w := issuer()
		w.put(keysURL, tagged(`"1"`, keySet(a)))
		set := w.discover(t)
		key := keyOf(t, set, "a", "EdDSA")
		for range 3 {
			untilStale()
			wantHeld(t, set, "a", "EdDSA", key, "held")
			wantTag(t, w, keysURL, `"1"`)
		}
		w.put(keysURL, tagged(`"2"`, keySet(b, a)))
		for range 3 {
			untilStale()
			wantHeld(t, set, "a", "EdDSA", key, "held")
		}
		wantTag(t, w, keysURL, `"2"`)
		other := keyOf(t, set, "b", "EdDSA")
		w.put(keysURL, tagged(`"3"`, keySet(b)))
		for range 3 {
			untilStale()
			wantHeld(t, set, "a", "EdDSA", key, "not found")
			wantHeld(t, set, "b", "EdDSA", other, "held")
		}
	})
}

func TestHoldsKeysFromTheFileOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edJWK("a")
		k := newKeep(t, a)
		k.w.put(keysURL, down)
		set := k.open()
		key := keyOf(t, set, "a", "EdDSA")
		wantHeld(t, set, "a", "EdDSA", key, "held")
		k.w.put(keysURL, says(200, keySet(edJWK("b"), a)))
		untilStale()
		wantHeld(t, set, "a", "EdDSA", key, "held")
		k.w.put(keysURL, says(200, keySet(edJWK("a"))))
		untilStale()
		wantHeld(t, set, "a", "EdDSA", key, "not held")
	})
}

// Holds starts fetches, waits for them and fails as Keys does.
func TestHoldsFailsAsKeysDoesDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edJWK("a")
		w := issuer(a)
		set := w.discover(t, jwks.WithMaxStaleness(3*time.Hour))
		key := keyOf(t, set, "a", "EdDSA")
		w.put(keysURL, down)
		w.put(discoveryURL, down)
		untilStale()
		fetched := w.count(keysURL)
		wantHeld(t, set, "a", "EdDSA", key, "held")
		synctest.Wait()
		if w.count(keysURL) == fetched {
			t.Error("the stale keys were not refreshed")
		}
		untilStale()
		wantHeld(t, set, "a", "EdDSA", key, "unavailable")
		wantHeld(t, set, "z", "EdDSA", key, "unavailable")
		w.put(keysURL, says(200, keySet(a)))
		w.put(discoveryURL, says(200, metadata(issuerURL, keysURL)))
		<-time.After(time.Minute)
		wantHeld(t, set, "a", "EdDSA", key, "held")

		w.put(keysURL, hangs)
		untilStale()
		<-time.After(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if lasted := took(func() {
			if got := holds(set, ctx, "a", "EdDSA", key); got != "unavailable" {
				t.Errorf("Holds: %s", got)
			}
		}); lasted != time.Second {
			t.Errorf("waited %v, want the request's own second", lasted)
		}
	})
}

// The time that Holds returns is that of its answer, and not of the question.
func TestHoldsTellsTheTimeOfItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := edJWK("a")
		w := issuer(a)
		set := w.discover(t)
		key := keyOf(t, set, "a", "EdDSA")
		for _, test := range []struct {
			idle, takes time.Duration
			kid         string
		}{
			{0, 0, "a"},
			{2 * time.Hour, time.Second, "a"},
			{2 * time.Hour, 2 * time.Second, "a"},
			{25 * time.Hour, 4 * time.Second, "a"},
			{0, time.Second, "unknown"},
		} {
			<-time.After(max(1, test.idle))
			w.put(keysURL, after(test.takes+time.Nanosecond, says(200, keySet(a))))
			if test.takes == 2*time.Second {
				w.put(keysURL, hangs) // no request waits longer for it
			}
			asked := time.Now()
			_, at, err := set.Holds(t.Context(), issuerURL, test.kid, "EdDSA", key)
			if lasted := time.Since(asked); !at.Equal(time.Now()) || lasted < test.takes || test.kid == "a" && err != nil {
				t.Errorf("after %v: %v, %v behind, after %v", test.idle, err, time.Since(at), lasted)
			}
			<-time.After(10 * time.Second)
			w.put(keysURL, says(200, keySet(a)))
			untilStale()
			wantHeld(t, set, "a", "EdDSA", key, "held")
		}
	})
}

// An unknown key id is looked for once, and within the same budget as in Keys.
func TestHoldsSearchesAsKeysDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		key := keyOf(t, set, "a", "EdDSA")
		fetched := w.count(keysURL)
		for range 5 {
			wantHeld(t, set, "z", "EdDSA", key, "not found")
		}
		wantFetches(t, w, keysURL, fetched+1)
		want(t, set, "z", "EdDSA", "not found")
		wantFetches(t, w, keysURL, fetched+1)
	})
}

func TestHoldsPinnedKeysForever(t *testing.T) {
	named, unnamed := edJWK("a"), edJWK("")
	set := open(t, jwks.Static([]byte(keySet(named, unnamed))), newWeb())
	both, err := set.Keys(t.Context(), "a", "EdDSA")
	if err != nil || len(both) != 2 {
		t.Fatalf("%q, %v", ids(both), err)
	}
	for _, key := range both {
		wantHeld(t, set, "a", "EdDSA", key, "held")
	}
	wantHeld(t, set, "z", "EdDSA", both[0], "not held")
	wantHeld(t, set, "z", "EdDSA", both[1], "held")
	wantHeld(t, set, "", "EdDSA", both[0], "held")
	wantHeld(t, set, "", "EdDSA", both[1], "held")
}

// Every request of a known token asks, so it must cost nothing.
func TestHoldsAllocatesNothing(t *testing.T) {
	w := issuer(edJWK("a"), edJWK("b"), newJWK("", p256Key.Public()))
	fetched := w.discover(t)
	pinned := open(t, jwks.Static([]byte(keySet(edJWK("a"), edJWK("b"), newJWK("", p256Key.Public())))), w)
	for name, set := range map[string]*jwks.Set{"fetched": fetched, "pinned": pinned} {
		key, nameless := keyOf(t, set, "b", "EdDSA"), keyOf(t, set, "", "ES256")
		ctx := t.Context()
		if n := testing.AllocsPerRun(100, func() {
			if held, _, err := set.Holds(ctx, issuerURL, "b", "EdDSA", key); !held || err != nil {
				t.Error(held, err)
			}
			if held, _, err := set.Holds(ctx, issuerURL, "", "ES256", nameless); !held || err != nil {
				t.Error(held, err)
			}
			if held, _, err := set.Holds(ctx, issuerURL, "a", "EdDSA", key); held || err != nil {
				t.Error(held, err)
			}
			_, _, err := set.Holds(ctx, issuerURL, "a", "none", key)
			if !errors.Is(err, jwks.ErrKeyNotFound) {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

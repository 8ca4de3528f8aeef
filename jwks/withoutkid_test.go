package jwks_test

import (
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/jwks"
)

// A token without a kid is tried with the keys that the operator chose, and with the one key of an
// issuer that fits, however often it is published.
// Rules: key.no-kid.
func TestTokenWithoutKeyID(t *testing.T) {
	one := newJWK("", edKey.Public())
	named := func(kid string) jwk { return one.with(jwk{"kid": kid}) }
	large := func(kid string, different int64) jwk {
		n := new(big.Int).SetBytes(odd(4097))
		return newJWK(kid, &rsa.PublicKey{N: n.Add(n, big.NewInt(22*different)), E: 65537})
	}
	four := []jwk{edJWK("a"), edJWK("b"), edJWK("c"), edJWK("d")}
	for name, test := range map[string]struct {
		set             []jwk
		alg             string
		fetched, pinned int
	}{
		"one key":                       {four[:1], "EdDSA", 1, 1},
		"two keys":                      {four[:2], "EdDSA", 0, 2},
		"four keys":                     {four, "EdDSA", 0, 4},
		"five keys":                     {append(four[:4:4], edJWK("e")), "EdDSA", 0, 0},
		"five keys, one a copy":         {append(four[:4:4], four[0].with(jwk{"kid": "e"})), "EdDSA", 0, 4},
		"five keys, one does not fit":   {append(four[:4:4], newJWK("e", p256Key.Public())), "EdDSA", 0, 4},
		"copies":                        {[]jwk{named("a"), named("b"), one, named("c"), named("d"), named("e")}, "EdDSA", 1, 1},
		"copies for two algorithms":     {[]jwk{newJWK("a", rsaKey.Public()).with(jwk{"alg": "RS256"}), newJWK("b", rsaKey.Public())}, "RS256", 1, 1},
		"copies and another":            {[]jwk{named("a"), named("b"), edJWK("c")}, "EdDSA", 0, 2},
		"two that are costly":           {[]jwk{large("a", 1), large("b", 2)}, "RS256", 0, 0},
		"one that is costly, and small": {[]jwk{large("a", 1), newJWK("b", rsaKey.Public())}, "RS256", 0, 2},
		"copies of a costly one":        {[]jwk{large("a", 1), large("b", 1)}, "RS256", 1, 1},
		"with and without kid":          {[]jwk{one, edJWK("a")}, "EdDSA", 0, 2},
		"none for the algorithm":        {four, "ES256", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb()
			w.put(keysURL, says(200, keySet(test.set...)))
			pinned := jwks.Static([]byte(keySet(test.set...)))
			for set, n := range map[*jwks.Set]int{w.remote(t): test.fetched, open(t, pinned, w): test.pinned} {
				keys, err := set.Keys(t.Context(), "", test.alg)
				if len(keys) != n || (n == 0) != errors.Is(err, jwks.ErrKeyNotFound) {
					t.Errorf("%s: %d keys, %v, want %d", set.Stats().Source, len(keys), err, n)
				}
			}
			wantOneFetch(t, w)
		})
	}
}

func wantOneFetch(t *testing.T, w *web) {
	t.Helper()
	if got := w.count(keysURL); got != 1 {
		t.Errorf("%d fetches: a token without a key id is no reason for another", got)
	}
}

// Rules: key.no-kid.
func TestPEMAndPublicKeysAreTriedWithoutKeyID(t *testing.T) {
	one, two := newEdKey(), newEdKey()
	for _, source := range []jwks.Source{
		jwks.PEM([]byte(pkix(one.Public()) + pkix(two.Public()))), jwks.PublicKeys(one.Public(), two.Public(), one.Public()),
	} {
		for _, kid := range []string{"", "any"} {
			if keys, err := open(t, source, newWeb()).Keys(t.Context(), kid, "EdDSA"); len(keys) != 2 || err != nil {
				t.Errorf("%q: %d keys, %v", kid, len(keys), err)
			}
		}
	}
}

// The operator learns why a token was not tried with any key: from the error, and once from the log.
// Rules: key.no-kid.
func TestCrowdedTokenSaysWhy(t *testing.T) {
	five := keySet(edJWK("a"), edJWK("b"), edJWK("c"), edJWK("d"), edJWK("e"))
	w := newWeb()
	w.put(keysURL, says(200, five))
	for says, source := range map[string]jwks.Source{
		"more than 4 keys": jwks.Static([]byte(five)), "several keys are for its algorithm": jwks.Remote(keysURL),
	} {
		var log logs
		set, err := jwks.New(source, jwks.WithHTTPClient(w.client()), jwks.WithLogger(log.logger()))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err = set.Keys(t.Context(), "", "EdDSA")
			if !errors.Is(err, jwks.ErrKeyNotFound) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "put the kid in its tokens") {
				t.Errorf("%v, want %q", err, says)
			}
		}
		if n := len(log.lines("a token is refused", says, "WARN")); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		_ = set.Close()
	}
}

// Each reason for which there is no key has its text, which names a kid only if it is published.
func TestReasonsWhyThereIsNoKey(t *testing.T) {
	long := strings.Repeat("k", 100)
	set := open(t, jwks.Static([]byte(keySet(edJWK("a"), newJWK("rs", rsaKey.Public()), edJWK("enc").with(jwk{"use": "enc"}),
		edJWK(long).with(jwk{"use": "x"}), edJWK("line\nbreak").with(jwk{"use": "x"})))), newWeb())
	forged := strings.Repeat("\x1b[2J\n", 200)
	for _, test := range []struct{ kid, alg, says string }{
		{"z", "EdDSA", "no published key has its kid"},
		{forged, "EdDSA", "no published key has its kid"},
		{"rs", "EdDSA", `the key with its kid, "rs", is not for its algorithm`},
		{"enc", "EdDSA", `the key with its kid, "enc", is published and cannot be used: it is for encryption`},
		{long, "EdDSA", `the key with its kid, "` + long[:64] + `", is published and cannot be used: its use is not sig`},
		{"line\nbreak", "EdDSA", `the key with its kid, "line\nbreak", is`},
		{"", "ES256", "it has no kid, and no key is for its algorithm"},
		{"a", "HS256", "its algorithm is not one of public keys"},
	} {
		_, err := set.Keys(t.Context(), test.kid, test.alg)
		if !errors.Is(err, jwks.ErrKeyNotFound) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%.20q: %v, want %q", test.kid, err, test.says)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 400) {
			t.Errorf("the error has what an attacker wrote: %q", err)
		}
		if n := testing.AllocsPerRun(10, func() { _, _ = set.Keys(t.Context(), test.kid, test.alg) }); n > 0 {
			t.Errorf("%.20q: %v allocations: anyone can send such a token", test.kid, n)
		}
	}
}

package jwks_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/jwks"
)

// certified is a certificate of a key: as x5c has it, and its thumbprint.
func certified(key crypto.Signer) (x5c []string, x5t string) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(der)
	return []string{base64.StdEncoding.EncodeToString(der)}, b64(sum[:])
}

// byCertificate says in a word, or in key ids, what a set has for a token.
func byCertificate(t *testing.T, set *jwks.Set, kid, x5t, alg string) string {
	t.Helper()
	keys, err := set.KeysByCertificate(t.Context(), kid, x5t, alg)
	if err != nil {
		return outcome(nil, err)
	}
	return ids(keys)
}

// x5t#S256 selects a key only where there is no kid, and refuses one that contradicts it. A key
// whose certificate is not known is neither selected nor refused by it.
// Rules: key.thumbprint.
func TestThumbprintSelectsAKeyWithoutKeyID(t *testing.T) {
	one, two := newEdKey(), newEdKey()
	x5c1, x5t1 := certified(one)
	x5c2, x5t2 := certified(two)
	said := func(kid string, key crypto.Signer, x5t string) jwk {
		return newJWK(kid, key.Public()).with(jwk{"x5t#S256": x5t})
	}
	computed := func(kid string, key crypto.Signer, x5c []string) jwk {
		return newJWK(kid, key.Public()).with(jwk{"x5c": x5c})
	}
	both := []jwk{said("a", one, x5t1), said("b", two, x5t2)}
	for name, test := range map[string]struct {
		set      []jwk
		kid, x5t string
		want     string
	}{
		"the first":                        {both, "", x5t1, "a"},
		"the second":                       {both, "", x5t2, "b"},
		"neither":                          {both, "", b64(make([]byte, 32)), "not found"},
		"none given":                       {both, "", "", "not found"},
		"computed":                         {[]jwk{computed("a", one, x5c1), computed("b", two, x5c2)}, "", x5t2, "b"},
		"of another key's certificate":     {[]jwk{computed("a", one, x5c2), edJWK("b")}, "", x5t2, "not found"},
		"of the second certificate":        {[]jwk{computed("a", one, append(x5c2[:1:1], x5c1...)), edJWK("b")}, "", x5t1, "not found"},
		"the member comes before x5c":      {[]jwk{said("a", one, x5t2).with(jwk{"x5c": x5c1}), edJWK("b")}, "", x5t1, "b"},
		"another encoding on both sides":   {[]jwk{said("a", one, "ABCD"), said("b", two, x5t2)}, "", "ABCD", "a"},
		"another encoding on one side":     {[]jwk{said("a", one, "ABCD"), said("b", two, x5t2)}, "", "ABCE", "not found"},
		"kid and thumbprint agree":         {both, "a", x5t1, "a"},
		"kid and thumbprint disagree":      {both, "a", x5t2, "not found"},
		"kid and computed one disagree":    {[]jwk{computed("a", one, x5c1)}, "a", x5t2, "not found"},
		"kid, the certificate not known":   {[]jwk{edJWK("a")}, "a", x5t1, "a"},
		"kid, a broken member":             {[]jwk{said("a", one, "").with(jwk{"x5t#S256": 1})}, "a", x5t1, "a"},
		"kid, a member that is too long":   {[]jwk{said("a", one, strings.Repeat("a", 129))}, "a", x5t1, "a"},
		"kid, a certificate of another":    {[]jwk{computed("a", one, x5c2)}, "a", x5t1, "a"},
		"kid, a broken certificate":        {[]jwk{computed("a", one, []string{"!"})}, "a", x5t1, "a"},
		"an unknown kid":                   {both, "z", x5t1, "not found"},
		"only one key, not known":          {[]jwk{edJWK("a")}, "", x5t1, "a"},
		"only one key, another":            {[]jwk{both[1]}, "", x5t1, "not found"},
		"one not known beside another":     {[]jwk{edJWK("a"), both[1]}, "", x5t1, "a"},
		"two not known":                    {[]jwk{edJWK("a"), edJWK("b")}, "", x5t1, "not found"},
		"one that has it beside two":       {[]jwk{edJWK("a"), edJWK("b"), said("c", one, x5t1)}, "", x5t1, "c"},
		"two keys say they have it":        {[]jwk{said("a", one, x5t1), said("b", two, x5t1)}, "", x5t1, "not found"},
		"copies have it":                   {[]jwk{said("a", one, x5t1), said("b", one, x5t1)}, "", x5t1, "a"},
		"of a key for another algorithm":   {[]jwk{newJWK("a", p256Key.Public()).with(jwk{"x5t#S256": x5t1}), edJWK("b")}, "", x5t1, "b"},
		"an empty one is none, as for kid": {[]jwk{both[0]}, "", "", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb()
			w.put(keysURL, says(200, keySet(test.set...)))
			if got := byCertificate(t, w.remote(t), test.kid, test.x5t, "EdDSA"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Rules: key.thumbprint.
func TestPinnedKeysAreSelectedByThumbprintToo(t *testing.T) {
	one, two := newEdKey(), newEdKey()
	_, x5t := certified(one)
	set := open(t, jwks.Static([]byte(keySet(newJWK("a", one.Public()).with(jwk{"x5t#S256": x5t}), newJWK("", two.Public())))), newWeb())
	for _, test := range []struct{ kid, x5t, want string }{
		{"", x5t, "a"}, {"a", x5t, "a "}, {"", b64(make([]byte, 32)), ""}, {"", "", "a "}, {"a", b64(make([]byte, 32)), ""},
	} {
		if got := byCertificate(t, set, test.kid, test.x5t, "EdDSA"); got != test.want {
			t.Errorf("%q, %q: %q, want %q", test.kid, test.x5t, got, test.want)
		}
	}
}

// A key that the issuer has begun to use is looked for by its certificate, as by its key id, and
// within the same budget.
// Rules: key.search-bounded.
func TestUnknownThumbprintIsSearchedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newEdKey(), newEdKey()
		_, x5t1 := certified(one)
		_, x5t2 := certified(two)
		first := newJWK("", one.Public()).with(jwk{"x5t#S256": x5t1})
		w := issuer(first)
		set := w.discover(t)
		if got := byCertificate(t, set, "", x5t1, "EdDSA"); got != "" {
			t.Fatal(got)
		}
		w.put(keysURL, says(200, keySet(first, newJWK("", two.Public()).with(jwk{"x5t#S256": x5t2}))))
		if got := byCertificate(t, set, "", x5t2, "EdDSA"); got != "" {
			t.Errorf("a new certificate: %s", got)
		}
		wantFetches(t, w, keysURL, 2)
		for i := range 100 {
			if got := byCertificate(t, set, "", strings.Repeat("x", i+1), "EdDSA"); got != "not found" {
				t.Fatalf("a made-up one: %s", got)
			}
		}
		if n := w.count(keysURL); n > 5+2+100 {
			t.Errorf("%d fetches", n)
		}
		fetched := w.count(keysURL)
		if got := byCertificate(t, set, "", "x", "EdDSA"); got != "not found" || w.count(keysURL) > fetched+1 {
			t.Errorf("again: %s, %d fetches more", got, w.count(keysURL)-fetched)
		}
	})
}

// A cached token is looked at again with what its header says.
// Rules: key.thumbprint.
func TestHeldKeyFitsTheThumbprintStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newEdKey(), newEdKey()
		_, x5t1 := certified(one)
		_, x5t2 := certified(two)
		a := newJWK("a", one.Public()).with(jwk{"x5t#S256": x5t1})
		w := issuer(a, newJWK("b", two.Public()).with(jwk{"x5t#S256": x5t2}))
		set := w.discover(t)
		keys, err := set.KeysByCertificate(t.Context(), "", x5t1, "EdDSA")
		if err != nil {
			t.Fatal(err)
		}
		held := func(kid, x5t string) bool {
			held, err := set.HoldsByCertificate(t.Context(), kid, x5t, "EdDSA", keys[0])
			if err != nil && !errors.Is(err, jwks.ErrKeyNotFound) {
				t.Error(err)
			}
			return held
		}
		if !held("", x5t1) || !held("a", x5t1) || !held("a", "") || held("", "") || held("", x5t2) || held("a", x5t2) {
			t.Error("a key is held for another certificate, or not for its own")
		}
		w.put(keysURL, says(200, keySet(a.with(jwk{"x5t#S256": x5t2}))))
		<-time.After(20 * time.Minute)
		if held("", x5t1) || held("a", x5t1) {
			t.Error("a key is held although its certificate changed")
		}
	})
}

func TestKeyfuncHonoursTheThumbprint(t *testing.T) {
	one, two := newEdKey(), newEdKey()
	_, x5t1 := certified(one)
	_, x5t2 := certified(two)
	set := issuer(newJWK("a", one.Public()).with(jwk{"x5t#S256": x5t1}), newJWK("b", two.Public()).with(jwk{"x5t#S256": x5t2})).discover(t)
	for _, test := range []struct {
		header map[string]any
		want   int
	}{
		{map[string]any{"x5t#S256": x5t1}, 1},
		{map[string]any{"x5t#S256": x5t1, "kid": "a"}, 1},
		{map[string]any{"x5t#S256": x5t2, "kid": "a"}, 0},
		{map[string]any{}, 0},
	} {
		test.header["alg"] = "EdDSA"
		if n := keysFor(t, set, test.header, jwt.MapClaims{}); n != test.want {
			t.Errorf("%v: %d keys, want %d", test.header, n, test.want)
		}
	}
	if _, err := set.Keyfunc().Keyfunc(&jwt.Token{Header: map[string]any{"alg": "EdDSA", "x5t#S256": 1}}); err == nil {
		t.Error("a number is taken for a thumbprint")
	}
}

package jwks_test

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/jwks"
)

// Issuers of Microsoft Entra ID, which binds its keys by the member issuer.
const (
	tenants  = "https://login.microsoftonline.example/{tenantid}/v2.0" // of the keys for tokens of organizations
	contoso  = "https://login.microsoftonline.example/11111111-2222-4333-8444-555555555555/v2.0"
	personal = "https://login.microsoftonline.example/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
)

// boundTo is a key whose member issuer is this.
func boundTo(t *testing.T, issuer any) jwks.Key {
	t.Helper()
	w := newWeb()
	w.put(keysURL, says(200, keySet(edJWK("a").with(jwk{"issuer": issuer}))))
	return keyOf(t, w.remote(t), "a", "EdDSA")
}

func TestKeySignsForTheIssuerThatItsMemberNames(t *testing.T) {
	type issuers []string
	for member, test := range map[string]struct{ signsFor, doesNot issuers }{
		personal: {
			issuers{personal},
			issuers{
				contoso, tenants, "", personal + "/", personal[:len(personal)-1],
				"https://LOGIN" + personal[len("https://login"):],
			},
		},
		tenants: {
			issuers{contoso, personal, "https://login.microsoftonline.example/x/v2.0"},
			issuers{
				"", tenants, contoso + "/", "https://login.microsoftonline.example//v2.0",
				"https://login.microsoftonline.example/v2.0", "https://login.microsoftonline.example/a/b/v2.0",
				"https://login.microsoftonline.example/a/v1.0", "https://login.microsoftonline.example.evil.example/a/v2.0",
				"http://login.microsoftonline.example/a/v2.0",
				"https://evil.example/?https://login.microsoftonline.example/a/v2.0",
				"https://login.microsoftonline.example/a?/v2.0", "https://login.microsoftonline.example/a#/v2.0",
				"https://login.microsoftonline.example/a/v2.0?x", "https://login.microsoftonline.example/",
			},
		},
		"https://sts.windows.example/{tid}/": {
			issuers{"https://sts.windows.example/11111111/"},
			issuers{
				"https://sts.windows.example/11111111", "https://sts.windows.example//",
				"https://sts.windows.example/", contoso,
			},
		},
		"https://idp.example/{x}": {
			issuers{"https://idp.example/a"},
			issuers{"https://idp.example/", "https://idp.example", "https://idp.example/a/", "https://idp.example/a/b"},
		},
		"accounts.example": {issuers{"accounts.example"}, issuers{"https://accounts.example", "", "Accounts.example"}},
	} {
		key := boundTo(t, member)
		if key.Issuer() != member {
			t.Errorf("Issuer() is %q, want %q", key.Issuer(), member)
		}
		for _, iss := range test.signsFor {
			if !key.SignsFor(iss) {
				t.Errorf("a key bound to %q does not sign for %q", member, iss)
			}
		}
		for _, iss := range test.doesNot {
			if key.SignsFor(iss) {
				t.Errorf("a key bound to %q signs for %q", member, iss)
			}
		}
	}
}

func TestKeyWithoutTheMemberIssuerSignsForAny(t *testing.T) {
	key := boundTo(t, nil)
	if key.Issuer() != "" || !key.SignsFor(contoso) || !key.SignsFor("") {
		t.Errorf("issuer %q, signs for a tenant: %v", key.Issuer(), key.SignsFor(contoso))
	}
}

// Two entries that differ in nothing but the member are two keys: each is for its own issuers.
func TestOneKeyForTwoIssuersIsTwoKeys(t *testing.T) {
	a, other := edJWK("a"), "https://other.example"
	first, second := a.with(jwk{"issuer": personal}), a.with(jwk{"issuer": other})
	set := issuer(first, second, first).remote(t)
	keys, err := set.Keys(t.Context(), "a", "EdDSA")
	if err != nil || len(keys) != 2 || keys[0].Issuer() != personal || keys[1].Issuer() != other {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// Pinned keys are bound as well: Static reads the same JSON.
func TestPinnedKeysAreBoundToTheirIssuers(t *testing.T) {
	set := open(t, jwks.Static([]byte(keySet(edJWK("a").with(jwk{"issuer": tenants})))), newWeb())
	if key := keyOf(t, set, "a", "EdDSA"); key.Issuer() != tenants || key.SignsFor("https://other.example") {
		t.Errorf("issuer %q", key.Issuer())
	}
}

// A pinned key without a key id answers to every key id, and to its own issuers alone.
func TestPinnedKeysWithoutAKeyIDAreForTheirIssuers(t *testing.T) {
	own, other := edJWK("").with(jwk{"issuer": contoso}), edJWK("").with(jwk{"issuer": personal})
	set := open(t, jwks.Static([]byte(keySet(other, own))), newWeb())
	for _, kid := range []string{"", "any"} {
		for iss, expected := range map[string]int{contoso: 1, personal: 1, "https://other.example": 0} {
			found, _, err := set.AppendKeys(t.Context(), nil, iss, kid, "EdDSA")
			if len(found) != expected || (err == nil) != (expected == 1) {
				t.Errorf("%q, %s: %d keys, %v", kid, iss, len(found), err)
			}
			if len(found) == 1 && found[0].Issuer() != iss {
				t.Errorf("%q, %s: the key of %s", kid, iss, found[0].Issuer())
			}
		}
	}
}

// What knows no token cannot compare its iss: it does not have a key that is bound.
func TestVerificationKeySetHasNoBoundKey(t *testing.T) {
	for _, member := range []string{personal, tenants} {
		set := issuer(edJWK("a").with(jwk{"issuer": member})).remote(t)
		all, err := set.Keyfunc().VerificationKeySet(t.Context())
		if len(all.Keys) != 0 || !errors.Is(err, jwks.ErrKeyNotFound) {
			t.Errorf("%s: %d keys, %v", member, len(all.Keys), err)
		}
	}
}

// Keys for other issuers take no place of a token's own: AppendKeys and Keyfunc know its iss.
func TestKeysForOtherIssuersArePassedOver(t *testing.T) {
	own := newJWK("k", newECKey(elliptic.P521()).Public()).with(jwk{"issuer": tenants})
	keys := []jwk{newJWK("k", p521Key.Public()).with(jwk{"issuer": personal})} // an expensive one
	for i := range 5 {
		keys = append(keys, edJWK("k").with(jwk{"issuer": fmt.Sprint("https://other.example/", i)}))
	}
	last := edJWK("k").with(jwk{"issuer": contoso})
	keys = append(keys, own, last, newJWK("", p256Key.Public()).with(jwk{"issuer": contoso}),
		newJWK("", newECKey(elliptic.P256()).Public()).with(jwk{"issuer": personal}))
	set := issuer(keys...).remote(t)
	for name, test := range map[string]struct {
		iss, kid, alg string
		expected      error
		member        string // of the one key
	}{
		"behind an expensive key":  {contoso, "k", "ES512", nil, tenants},
		"behind four others":       {contoso, "k", "EdDSA", nil, contoso},
		"without a key id":         {contoso, "", "ES256", nil, contoso},
		"for others alone":         {"https://one.more.example", "k", "EdDSA", jwks.ErrKeyOfOther, ""},
		"for others, without one":  {"https://one.more.example", "", "ES512", jwks.ErrKeyNotFound, ""},
		"of no algorithm":          {contoso, "k", "RS256", jwks.ErrKeyNotFound, ""},
		"an iss that is not there": {"", "k", "ES512", jwks.ErrKeyOfOther, ""},
	} {
		found, _, err := set.AppendKeys(t.Context(), nil, test.iss, test.kid, test.alg)
		if !errors.Is(err, test.expected) || (err == nil) != (len(found) == 1) {
			t.Errorf("%s: %d keys, %v", name, len(found), err)
		}
		if len(found) == 1 {
			if found[0].Issuer() != test.member {
				t.Errorf("%s: the key of %q", name, found[0].Issuer())
			}
			held, _, err := set.Holds(t.Context(), test.iss, test.kid, test.alg, found[0])
			if !held || err != nil {
				t.Errorf("%s: Holds says %v, %v", name, held, err)
			}
		}
		header := map[string]any{"alg": test.alg, "kid": test.kid}
		if n := keysFor(t, set, header, jwt.MapClaims{"iss": test.iss}); n != len(found) {
			t.Errorf("%s: Keyfunc has %d keys, want %d", name, n, len(found))
		}
	}
}

// With the key set of another version of the issuer all tokens are refused, and the client is told
// no more than that the key is not known.
func TestOperatorIsToldOnceOfKeysForOtherIssuers(t *testing.T) {
	var log logs
	w := newWeb()
	w.put(keysURL, says(200, keySet(edJWK("a").with(jwk{"issuer": tenants}))))
	set := w.remote(t, jwks.WithLogger(log.logger()))
	for _, iss := range []string{
		contoso, "https://sts.windows.example/1/", "https://sts.windows.example/2/",
	} {
		_, _, err := set.AppendKeys(t.Context(), nil, iss, "a", "EdDSA")
		if want := iss != contoso; errors.Is(err, jwks.ErrKeyOfOther) != want {
			t.Errorf("%s: %v", iss, err)
		}
		if lines := log.lines(""); iss == contoso && len(lines) > 0 {
			t.Errorf("%s: logged %q", iss, lines)
		}
	}
	lines := log.lines("published for another issuer", `"kid":"a"`, tenants, `"level":"WARN"`)
	if len(lines) != 1 || len(log.lines("")) != 1 || len(log.lines("sts.windows")) > 0 {
		t.Errorf("logged %q", log.lines(""))
	}
}

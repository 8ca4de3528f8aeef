package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer/jwks"
)

// sign makes a token with golang-jwt.
func sign(t *testing.T, method jwt.SigningMethod, kid string, private any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice"})
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var methods = jwt.WithValidMethods([]string{"RS256", "PS256", "ES256", "EdDSA"})

func TestKeyfuncVerifiesWithGolangJWT(t *testing.T) {
	w := issuer(newJWK("rsa", rsaKey.Public()).with(jwk{"alg": "RS256"}), newJWK("ec", p256Key.Public()),
		newJWK("ed", edKey.Public()), newJWK("refused", p256Key.Public()).with(jwk{"use": "enc"}))
	k := w.discover(t).Keyfunc()
	for name, test := range map[string]struct {
		token string
		good  bool
	}{
		"RS256":                 {sign(t, jwt.SigningMethodRS256, "rsa", rsaKey), true},
		"ES256":                 {sign(t, jwt.SigningMethodES256, "ec", p256Key), true},
		"EdDSA":                 {sign(t, jwt.SigningMethodEdDSA, "ed", edKey), true},
		"no kid":                {sign(t, jwt.SigningMethodES256, "", p256Key), true},
		"another alg than says": {sign(t, jwt.SigningMethodPS256, "rsa", rsaKey), false},
		"another key":           {sign(t, jwt.SigningMethodES256, "ec", newECKey(p256Key.Curve)), false},
		"a key of another type": {sign(t, jwt.SigningMethodEdDSA, "ec", edKey), false},
		"a refused key":         {sign(t, jwt.SigningMethodES256, "refused", p256Key), false},
		"an unknown key":        {sign(t, jwt.SigningMethodES256, "unknown", p256Key), false},
	} {
		_, err := jwt.Parse(test.token, k.Keyfunc, methods)
		if (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// keysFor is what golang-jwt is given for a token of this header and iss: how many keys, or an
// error.
func keysFor(t *testing.T, set *jwks.Set, header map[string]any, claims jwt.Claims) int {
	t.Helper()
	key, err := set.Keyfunc().Keyfunc(&jwt.Token{Header: header, Claims: claims})
	switch {
	case err == nil && key == nil:
		t.Error("no key and no error")
	case errors.Is(err, jwks.ErrKeyNotFound) && errors.Is(err, jwkset.ErrKeyNotFound) &&
		errors.Is(err, keyfunc.ErrKeyfunc):
	case err != nil:
		t.Error(err)
	default:
		if several, ok := key.(jwt.VerificationKeySet); ok {
			return len(several.Keys)
		}
		return 1
	}
	return 0
}

// A token that names no key is tried with as many pinned keys as Keys has for it: a forged one would
// cost a verification for each.
func TestKeyfuncWithoutAKeyIDTriesWhatKeysHas(t *testing.T) {
	many := make([]jwk, 256)
	for i := range many {
		many[i] = edJWK(fmt.Sprint(i))
	}
	ec, alone := newJWK("ec", p256Key.Public()), []jwk{edJWK("a")}
	for name, test := range map[string]struct {
		keys     []jwk
		alg      string
		expected int
	}{
		"one key":               {alone, "EdDSA", 1},
		"one that does not fit": {alone, "ES256", 0},
		"one that fits":         {[]jwk{alone[0], ec}, "ES256", 1},
		"two that fit":          {[]jwk{alone[0], edJWK("b"), ec}, "EdDSA", 2},
		"256":                   {many, "EdDSA", 0},
		"an HMAC":               {alone, "HS256", 0},
	} {
		set := open(t, jwks.Static([]byte(keySet(test.keys...))), newWeb())
		if n := keysFor(t, set, map[string]any{"alg": test.alg}, jwt.MapClaims{}); n != test.expected {
			t.Errorf("%s: tried with %d keys, want %d", name, n, test.expected)
		}
		all, err := set.Keyfunc().VerificationKeySet(t.Context())
		one := len(test.keys) == 1
		if one != (len(all.Keys) == 1) || one != (err == nil) || !one && !errors.Is(err, jwks.ErrKeyNotFound) {
			t.Errorf("%s: VerificationKeySet has %d keys, %v", name, len(all.Keys), err)
		}
	}
}

func TestKeyfuncWithAKeyIDTriesItsKeys(t *testing.T) {
	several := make([]jwk, 6)
	for i := range several {
		several[i] = edJWK("a")
	}
	private := newEdKey()
	keys := append(several[:2:2], newJWK("a", private.Public()), newJWK("a", p256Key.Public()), edJWK("b"))
	set := issuer(keys...).remote(t)
	for name, test := range map[string]struct {
		header   map[string]any
		expected int
	}{
		"several keys":         {map[string]any{"alg": "EdDSA", "kid": "a"}, 3},
		"one that fits":        {map[string]any{"alg": "ES256", "kid": "a"}, 1},
		"none that fits":       {map[string]any{"alg": "RS256", "kid": "b"}, 0},
		"an HMAC":              {map[string]any{"alg": "HS256", "kid": "a"}, 0},
		"an empty key id":      {map[string]any{"alg": "ES256", "kid": ""}, 1},
		"without an algorithm": {map[string]any{"kid": "a"}, 0},
	} {
		if n := keysFor(t, set, test.header, jwt.MapClaims{}); n != test.expected {
			t.Errorf("%s: tried with %d keys, want %d", name, n, test.expected)
		}
	}
	if n := keysFor(t, issuer(several...).remote(t), map[string]any{"alg": "EdDSA", "kid": "a"}, nil); n != 4 {
		t.Errorf("tried with %d keys, want at most 4", n)
	}
	// Each of them is tried.
	if _, err := jwt.Parse(sign(t, jwt.SigningMethodEdDSA, "a", private), set.Keyfunc().Keyfunc, methods); err != nil {
		t.Error(err)
	}
	number := &jwt.Token{Header: map[string]any{"alg": "EdDSA", "kid": 7}}
	if _, err := set.Keyfunc().Keyfunc(number); !errors.Is(err, keyfunc.ErrKeyfunc) {
		t.Errorf("a number for a key id: %v", err)
	}
}

// Keys that are bound to issuers by their member issuer are for the tokens of those alone.
func TestKeyfuncUsesBoundKeysForTheirIssuersAlone(t *testing.T) {
	a := edJWK("a")
	person := jwk{"issuer": personal}
	set := issuer(a.with(jwk{"issuer": tenants}), edJWK("a").with(person), edJWK("b").with(person)).remote(t)
	for _, test := range []struct {
		kid      string
		claims   jwt.Claims
		expected int
	}{
		{"a", jwt.MapClaims{"iss": contoso}, 1},
		{"a", &jwt.RegisteredClaims{Issuer: personal}, 2}, // the template allows it
		{"a", jwt.MapClaims{"iss": "https://other.example"}, 0},
		{"a", jwt.MapClaims{"iss": 7}, 0},
		{"a", jwt.MapClaims{}, 0},
		{"a", nil, 0},
		{"b", jwt.MapClaims{"iss": personal}, 1},
		{"b", jwt.MapClaims{"iss": contoso}, 0},
	} {
		if n := keysFor(t, set, map[string]any{"alg": "EdDSA", "kid": test.kid}, test.claims); n != test.expected {
			t.Errorf("%q for %v: tried with %d keys, want %d", test.kid, test.claims, n, test.expected)
		}
	}
}

func TestKeyfuncReportsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(newJWK("ec", p256Key.Public()))
		k := w.discover(t).Keyfunc()
		_, err := jwt.Parse(sign(t, jwt.SigningMethodES256, "unknown", p256Key), k.Keyfunc, methods)
		if !errors.Is(err, jwks.ErrKeyNotFound) || !errors.Is(err, jwkset.ErrKeyNotFound) {
			t.Errorf("unknown key: %v", err)
		}
		w.put(keysURL, hangs)
		k = w.remote(t).Keyfunc()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for name, kid := range map[string]string{"with a kid": "ec", "without": ""} {
			_, err = jwt.Parse(sign(t, jwt.SigningMethodES256, kid, p256Key), k.KeyfuncCtx(ctx), methods)
			var unavailable *jwks.UnavailableError
			if !errors.As(err, &unavailable) || errors.Is(err, jwks.ErrKeyNotFound) {
				t.Errorf("%s, issuer hangs: %v", name, err)
			}
		}
	})
}

func TestKeyfuncFollowsRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("old"))
		k := w.discover(t).Keyfunc()
		if _, err := k.Storage().KeyRead(t.Context(), "old"); err != nil {
			t.Fatal(err)
		}
		w.put(keysURL, says(200, keySet(newJWK("new", edKey.Public()))))
		if _, err := jwt.Parse(sign(t, jwt.SigningMethodEdDSA, "new", edKey), k.Keyfunc, methods); err != nil {
			t.Error(err)
		}
	})
}

func TestKeyfuncUsesPinnedKeys(t *testing.T) {
	set, err := jwks.New(jwks.PublicKeys(edKey.Public()))
	if err != nil {
		t.Fatal(err)
	}
	for _, kid := range []string{"", "any"} {
		if _, err := jwt.Parse(sign(t, jwt.SigningMethodEdDSA, kid, edKey), set.Keyfunc().Keyfunc, methods); err != nil {
			t.Errorf("kid %q: %v", kid, err)
		}
	}
}

func TestStorageHasOneKeyForAKeyID(t *testing.T) {
	first := edJWK("a")
	storage := issuer(first, edJWK("a"), edJWK("b")).remote(t).Keyfunc().Storage()
	key, err := storage.KeyRead(t.Context(), "a")
	if err != nil || key.Marshal().X != first["x"] {
		t.Errorf("got %v, %v, want the first", key.Marshal(), err)
	}
	if _, err := storage.KeyRead(t.Context(), ""); !errors.Is(err, jwks.ErrKeyNotFound) {
		t.Errorf("an empty key id: %v", err)
	}
}

func TestStorageIsReadOnly(t *testing.T) {
	set := issuer(edJWK("a"), edJWK("b")).remote(t)
	storage := set.Keyfunc().Storage()
	ctx := t.Context()
	key, err := storage.KeyRead(ctx, "a")
	if err != nil || key.Marshal().KID != "a" {
		t.Fatal(key, err)
	}
	if _, err := storage.KeyDelete(ctx, "a"); err == nil {
		t.Error("KeyDelete succeeds")
	}
	if err := storage.KeyWrite(ctx, key); err == nil {
		t.Error("KeyWrite succeeds")
	}
	if err := storage.KeyReplaceAll(ctx, nil); err == nil {
		t.Error("KeyReplaceAll succeeds")
	}
	all, err := storage.KeyReadAll(ctx)
	if err != nil || len(all) != 2 {
		t.Errorf("%d keys, %v", len(all), err)
	}
	clear(all)
	want(t, set, "a", "EdDSA", "found")
}

func TestStorageMarshalsItsKeys(t *testing.T) {
	storage := issuer(edJWK("a"), edJWK("b")).remote(t).Keyfunc().Storage()
	ctx := t.Context()
	for name, write := range map[string]func() (string, error){
		"JSON":        func() (string, error) { b, err := storage.JSON(ctx); return string(b), err },
		"JSONPublic":  func() (string, error) { b, err := storage.JSONPublic(ctx); return string(b), err },
		"JSONPrivate": func() (string, error) { b, err := storage.JSONPrivate(ctx); return string(b), err },
		"JSONWithOptions": func() (string, error) {
			b, err := storage.JSONWithOptions(ctx, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
			return string(b), err
		},
		"Marshal": func() (string, error) { m, err := storage.Marshal(ctx); return mustJSON(m), err },
		"MarshalWithOptions": func() (string, error) {
			m, err := storage.MarshalWithOptions(ctx, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
			return mustJSON(m), err
		},
	} {
		text, err := write()
		if err != nil || strings.Count(text, `"kty":"OKP"`) != 2 || strings.Contains(text, `"d"`) {
			t.Errorf("%s: %s %v", name, text, err)
		}
	}

	w := newWeb()
	w.put(keysURL, down)
	failing := w.remote(t).Keyfunc().Storage()
	if _, err := failing.JSON(ctx); !errors.Is(err, errDown) {
		t.Errorf("JSON: %v", err)
	}
	if _, err := failing.Marshal(ctx); outcome(nil, err) != "unavailable" {
		t.Errorf("Marshal: %v", err)
	}
}

// A source with several keys has no place in the one answer, but they count.
func TestVerificationKeySetOfSeveralSourcesIsNoGuess(t *testing.T) {
	w := newWeb()
	w.put(eastURL, says(200, keySet(edJWK("a"), edJWK("b"))))
	set := open(t, jwks.AnyOf(jwks.PublicKeys(newEdKey().Public()), jwks.Remote(eastURL)), w)
	want(t, set, "a", "EdDSA", "found")
	if err := set.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := set.Keyfunc().Storage().KeyReadAll(t.Context()); err != nil { // waits for both
		t.Fatal(err)
	}
	if keys, err := set.Keyfunc().VerificationKeySet(t.Context()); !errors.Is(err, jwks.ErrKeyNotFound) {
		t.Errorf("%d keys, %v", len(keys.Keys), err)
	}
}

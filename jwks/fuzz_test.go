package jwks_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/MicahParks/jwkset"

	"github.com/bearer-go/bearer/jwks"
)

// soundKey judges a key that the set gives out by other means than the set does.
func soundKey(t *testing.T, key any) {
	t.Helper()
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.E < 3 || key.E%2 == 0 || key.E > 1<<17 {
			t.Errorf("an RSA key of %d bits with exponent %d is used", bits, key.E)
		}
		if new(big.Int).Mod(key.N, big.NewInt(2)).Sign() == 0 {
			t.Error("an RSA key with an even modulus is used")
		}
	case *ecdsa.PublicKey:
		curves := map[elliptic.Curve]ecdh.Curve{
			elliptic.P256(): ecdh.P256(), elliptic.P384(): ecdh.P384(), elliptic.P521(): ecdh.P521(),
		}
		point, err := key.Bytes()
		if err == nil {
			_, err = curves[key.Curve].NewPublicKey(point)
		}
		if err != nil {
			t.Errorf("an ECDSA key is used that is none: %v", err)
		}
	case ed25519.PublicKey:
		y := slices.Clone(key)
		slices.Reverse(y)
		y[0] &= 0x7f
		if len(key) != 32 || isSmallOrder(new(big.Int).SetBytes(y)) {
			t.Errorf("the Ed25519 key %x is used", key)
		}
	default:
		t.Errorf("a %T is used", key)
	}
}

// A JWK Set, whatever it is, never makes the set panic, and no key comes out of it that proves nothing.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"keys":[]}`, `{"keys":[{}]}`, `{"keys":[null]}`, `{"keys":[{"kty":"RSA","n":"","e":""}]}`,
		keySet(newJWK("a", rsaKey.Public()), newJWK("b", p256Key.Public()), newJWK("c", edKey.Public())),
		keySet(newJWK("", rsaKey.Public()).with(jwk{"alg": "PS256", "use": "sig", "key_ops": []string{"verify"}})),
		keySet(newJWK("", p384Key.Public()), newJWK("", p521Key.Public()).with(jwk{"x5c": []string{""}})),
		keySet(newJWK("", rsaKey.Public()), newJWK("c", edKey.Public())),
		strings.Replace(keySet(newJWK("a", rsaKey.Public()), newJWK("c", edKey.Public())), `"c"`, "\"c\r\"", 1),
		keySet(offTheCurve(), edJWK("k").with(jwk{"x": b64(make([]byte, 32))})),
		keySet(newJWK("k", rsaKey.Public()).with(jwk{"n": b64(odd(1024))})),
		keySet(newJWK("k", rsaKey.Public()).with(jwk{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})})),
		`{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"OKP","crv":"X25519","x":"CQ"}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(strings.NewReader(document))}, nil
		})}
		set, err := jwks.New(jwks.Remote(keysURL), jwks.WithHTTPClient(client), jwks.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = set.Close() }()
		all, err := set.Keyfunc().Storage().KeyReadAll(t.Context())
		var loose struct{ Keys []json.RawMessage }
		var most int
		if json.Unmarshal([]byte(document), &loose) == nil {
			most = len(loose.Keys)
		} else { // an entry may be broken in itself, which costs that entry alone
			most = strings.Count(document, "{") - 1
		}
		if err == nil && len(all) > max(most, 0) {
			t.Errorf("%d keys come out of at most %d", len(all), most)
		}
		for _, key := range all {
			soundKey(t, key.Key())
			checkCandidates(t, set, key)
		}
		_, err = jwks.New(jwks.Static([]byte(document)), jwks.WithLogger(slog.New(slog.DiscardHandler)))
		if err == nil && len(all) == 0 {
			t.Error("pinned, it has keys")
		}
	})
}

// checkCandidates asks the set for the key in each way that a token can. Without a key id a token may get a key that has one: the
// only key that fits.
func checkCandidates(t *testing.T, set *jwks.Set, key jwkset.JWK) {
	t.Helper()
	kid, said := key.Marshal().KID, string(key.Marshal().ALG)
	for _, alg := range []string{"RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "HS256"} {
		keys, err := set.Keys(t.Context(), kid, alg)
		if got := outcome(keys, err); got != "found" && got != "not found" || len(keys) > 4 {
			t.Errorf("%s: %s, %d keys", alg, got, len(keys))
		}
		for _, candidate := range keys {
			if kid != "" && candidate.ID() != kid || candidate.Algorithm() != "" && candidate.Algorithm() != alg {
				t.Errorf("%q for %q is a candidate for %q and %s (%s)", candidate.ID(), candidate.Algorithm(), kid, alg, said)
			}
			soundKey(t, candidate.Public())
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

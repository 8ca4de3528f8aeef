package jwks_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/jwks"
)

// One bad entry never takes the good one beside it down, is logged once with its reason, and keeps
// its key id known.
// Rules: key.quality.
func TestKeysThatAreRefused(t *testing.T) {
	rs, ec, ed := newJWK("k", rsaKey.Public()), newJWK("k", p256Key.Public()), newJWK("k", edKey.Public())
	p256 := elliptic.P256()
	zeroX, zeroY := newJWK("k", keyWithLeadingZero(p256, 1)), newJWK("k", keyWithLeadingZero(p256, 33))
	p521 := newJWK("k", p521Key.Public())
	bound := func(issuer string) jwk { return ed.with(jwk{"issuer": json.RawMessage(issuer)}) }
	type refused struct {
		entry  any
		alg    string // that the key would be good for
		reason string
	}
	tests := map[string]refused{
		"null":               {nil, "EdDSA", "not a JSON object"},
		"a string":           {"key", "EdDSA", "not a JSON object"},
		"an array":           {[]any{ed}, "EdDSA", "not a JSON object"},
		"kid a number":       {ed.with(jwk{"kid": 7}), "EdDSA", "kid is not a string"},
		"kid null":           {map[string]any{"kty": "OKP", "kid": nil}, "EdDSA", "kid is not a string"},
		"without a type":     {ed.with(jwk{"kty": nil}), "EdDSA", "type"},
		"an unknown type":    {ed.with(jwk{"kty": "AKP"}), "EdDSA", "type"},
		"a type in capitals": {ed.with(jwk{"kty": "okp"}), "EdDSA", "type"},
		"a type that is a list": {
			ed.with(jwk{"kty": []string{"OKP"}}), "EdDSA", "type",
		},

		"use enc":                {ed.with(jwk{"use": "enc"}), "EdDSA", "use"},
		"use in capitals":        {ed.with(jwk{"use": "SIG"}), "EdDSA", "use"},
		"use empty":              {ed.with(jwk{"use": ""}), "EdDSA", "use"},
		"use a list":             {ed.with(jwk{"use": []string{"sig"}}), "EdDSA", "use"},
		"key_ops without verify": {ed.with(jwk{"key_ops": []string{"sign", "encrypt"}}), "EdDSA", "key_ops"},
		"key_ops empty":          {ed.with(jwk{"key_ops": []string{}}), "EdDSA", "key_ops"},
		"key_ops a string":       {ed.with(jwk{"key_ops": "verify"}), "EdDSA", "key_ops"},
		"use sig, key_ops not":   {ed.with(jwk{"use": "sig", "key_ops": []string{"encrypt"}}), "EdDSA", "key_ops"},

		"alg unknown":             {ed.with(jwk{"alg": "EdDSA2"}), "EdDSA", "alg"},
		"alg empty":               {ed.with(jwk{"alg": ""}), "EdDSA", "alg"},
		"alg a list":              {ed.with(jwk{"alg": []string{"EdDSA"}}), "EdDSA", "alg"},
		"alg none":                {ed.with(jwk{"alg": "none"}), "EdDSA", "alg"},
		"alg for encryption":      {rs.with(jwk{"alg": "RSA-OAEP"}), "RS256", "alg"},
		"alg symmetric":           {rs.with(jwk{"alg": "HS256"}), "RS256", "alg"},
		"alg of another type":     {ec.with(jwk{"alg": "RS256"}), "ES256", "alg"},
		"alg of another curve":    {ec.with(jwk{"alg": "ES384"}), "ES256", "alg"},
		"alg that does not exist": {ec.with(jwk{"alg": "ES521"}), "ES256", "alg"},

		"issuer null":                       {bound("null"), "EdDSA", "issuer"},
		"issuer a number":                   {bound("7"), "EdDSA", "issuer"},
		"issuer a list":                     {bound(`["https://idp.example"]`), "EdDSA", "issuer"},
		"issuer empty":                      {bound(`""`), "EdDSA", "issuer"},
		"issuer with two placeholders":      {bound(`"https://idp.example/{a}/{b}"`), "EdDSA", "issuer"},
		"issuer with one placeholder twice": {bound(`"https://idp.example/{a}/{a}/"`), "EdDSA", "issuer"},
		"issuer with an open brace":         {bound(`"https://idp.example/{a"`), "EdDSA", "issuer"},
		"issuer with a closing brace":       {bound(`"https://idp.example/a}"`), "EdDSA", "issuer"},
		"issuer with braces in braces":      {bound(`"https://idp.example/{{a}}"`), "EdDSA", "issuer"},
		"issuer with a brace too many":      {bound(`"https://idp.example/{a}/}"`), "EdDSA", "issuer"},
		"issuer with braces reversed":       {bound(`"https://idp.example/}{a}"`), "EdDSA", "issuer"},
		"issuer with an empty placeholder":  {bound(`"https://idp.example/{}/v2.0"`), "EdDSA", "issuer"},
		"issuer with a slash in braces":     {bound(`"https://idp.example/{a/b}"`), "EdDSA", "issuer"},
		"issuer with half a segment":        {bound(`"https://idp.example/t-{a}/"`), "EdDSA", "issuer"},
		"issuer with half a segment more":   {bound(`"https://idp.example/{a}-t/"`), "EdDSA", "issuer"},
		"issuer with any host":              {bound(`"https://{a}/v2.0"`), "EdDSA", "issuer"},
		"issuer with any subdomain":         {bound(`"https://{a}.idp.example/"`), "EdDSA", "issuer"},
		"issuer with any query":             {bound(`"https://idp.example/?t=/{a}"`), "EdDSA", "issuer"},
		"issuer with any fragment":          {bound(`"https://idp.example/#/{a}"`), "EdDSA", "issuer"},
		"issuer that is a placeholder":      {bound(`"{a}"`), "EdDSA", "issuer"},
		"issuer without a host":             {bound(`"/{a}/"`), "EdDSA", "issuer"},

		"symmetric":                 {jwk{"kty": "oct", "kid": "k", "k": b64(make([]byte, 64))}, "HS256", "private or symmetric"},
		"symmetric without a k":     {jwk{"kty": "oct", "kid": "k"}, "HS256", "type"},
		"symmetric and public":      {ed.with(jwk{"k": "AA"}), "EdDSA", "private or symmetric"},
		"EC private":                {ec.with(jwk{"d": "AA"}), "ES256", "private or symmetric"},
		"Ed25519 private":           {ed.with(jwk{"d": b64(edKey.Seed())}), "EdDSA", "private or symmetric"},
		"RSA private":               {rs.with(jwk{"d": "AA"}), "RS256", "private or symmetric"},
		"RSA private, only p":       {rs.with(jwk{"p": "AA"}), "RS256", "private or symmetric"},
		"RSA private, only q":       {rs.with(jwk{"q": "AA"}), "RS256", "private or symmetric"},
		"RSA private, only dp":      {rs.with(jwk{"dp": "AA"}), "RS256", "private or symmetric"},
		"RSA private, only dq":      {rs.with(jwk{"dq": "AA"}), "RS256", "private or symmetric"},
		"RSA private, only qi":      {rs.with(jwk{"qi": "AA"}), "RS256", "private or symmetric"},
		"RSA private, only oth":     {rs.with(jwk{"oth": []any{}}), "RS256", "private or symmetric"},
		"a private part of no type": {ed.with(jwk{"d": 0}), "EdDSA", "private or symmetric"},

		"RSA without n":             {rs.with(jwk{"n": nil}), "RS256", "missing or broken"},
		"RSA n a number":            {rs.with(jwk{"n": 3233}), "RS256", "missing or broken"},
		"RSA n not base64url":       {rs.with(jwk{"n": "+/+/"}), "RS256", "missing or broken"},
		"RSA of 1024 bits":          {rs.with(jwk{"n": b64(odd(1024))}), "RS256", "modulus"},
		"RSA of 2047 bits":          {rs.with(jwk{"n": b64(odd(2047))}), "RS256", "modulus"},
		"RSA of 2047 bits, padded":  {rs.with(jwk{"n": b64(append(make([]byte, 64), odd(2047)...))}), "RS256", "modulus"},
		"RSA of 8193 bits":          {rs.with(jwk{"n": b64(odd(8193))}), "RS256", "modulus"},
		"RSA n even":                {rs.with(jwk{"n": b64(new(big.Int).Lsh(big.NewInt(5), 2046).Bytes())}), "RS256", "modulus"},
		"RSA with ROCA":             {rs.with(jwk{"n": b64(rocaModulus().Bytes())}), "RS256", "CVE-2017-15361"},
		"RSA without e":             {rs.with(jwk{"e": nil}), "RS256", "exponent"},
		"RSA e not base64url":       {rs.with(jwk{"e": "!!!!"}), "RS256", "exponent"},
		"RSA e zero":                {rs.with(jwk{"e": "AA"}), "RS256", "exponent"},
		"RSA e 1":                   {rs.with(jwk{"e": "AQ"}), "RS256", "exponent"},
		"RSA e 2":                   {rs.with(jwk{"e": "Ag"}), "RS256", "exponent"},
		"RSA e even":                {rs.with(jwk{"e": b64([]byte{1, 0, 0})}), "RS256", "exponent"},
		"RSA e above 2^17":          {rs.with(jwk{"e": b64([]byte{2, 0, 1})}), "RS256", "exponent"},
		"RSA e of 31 bits":          {rs.with(jwk{"e": b64([]byte{0x7f, 0xff, 0xff, 0xff})}), "RS256", "exponent"},
		"RSA e of 32 bits":          {rs.with(jwk{"e": b64([]byte{0x80, 0, 0, 1})}), "RS256", "exponent"},
		"RSA e 65537 above 64 bits": {rs.with(jwk{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}), "RS256", "exponent"},
		"RSA e 3 above 64 bits":     {rs.with(jwk{"e": b64([]byte{1, 0, 0, 0, 0, 0, 0, 0, 3})}), "RS256", "exponent"},

		"EC without y":       {ec.with(jwk{"y": nil}), "ES256", "missing or broken"},
		"EC without a curve": {ec.with(jwk{"crv": nil}), "ES256", "missing or broken"},
		"EC off the curve":   {offTheCurve(), "ES256", "not on its curve"},
		"EC at zero": {
			ec.with(jwk{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}),
			"ES256", "not on its curve",
		},
		"EC x above the field": {
			ec.with(jwk{"x": b64(append([]byte{1}, make([]byte, 32)...))}), "ES256", "not on its curve",
		},
		"EC x without its leading zero": {zeroX.with(jwk{"x": resized(zeroX["x"], -1)}), "ES256", "full size"},
		"EC y without its leading zero": {zeroY.with(jwk{"y": resized(zeroY["y"], -1)}), "ES256", "full size"},
		"EC x after a zero":             {ec.with(jwk{"x": resized(ec["x"], 1)}), "ES256", "full size"},
		"EC y after a zero":             {ec.with(jwk{"y": resized(ec["y"], 1)}), "ES256", "full size"},
		"P-521 x after a zero":          {p521.with(jwk{"x": resized(p521["x"], 1)}), "ES512", "full size"},
		"EC x with a line break":        {zeroX.with(jwk{"x": resized(zeroX["x"], -1) + "\n"}), "ES256", "full size"},
		"EC x after a zero, padded":     {ec.with(jwk{"x": resized(ec["x"], 1) + "="}), "ES256", "full size"},
		"EC on another curve":           {ec.with(jwk{"crv": "P-384"}), "ES384", "not on its curve"},
		"EC on secp256k1":               {ec.with(jwk{"crv": "secp256k1"}), "ES256", "curve is not"},
		"EC on P-224":                   {newJWK("k", newECKey(elliptic.P224()).Public()), "ES256", "curve is not"},
		"EC on Ed25519":                 {ec.with(jwk{"crv": "Ed25519"}), "ES256", "curve is not"},
		"EC curve in small letters":     {ec.with(jwk{"crv": "p-256"}), "ES256", "curve is not"},
		"OKP without x":                 {ed.with(jwk{"x": nil}), "EdDSA", "missing or broken"},
		"OKP X25519": {
			ed.with(jwk{"crv": "X25519", "x": b64(append([]byte{9}, make([]byte, 31)...))}),
			"EdDSA", "is for encryption",
		},
		"OKP Ed448":                  {ed.with(jwk{"crv": "Ed448"}), "EdDSA", "curve is not"},
		"OKP P-256":                  {ed.with(jwk{"crv": "P-256"}), "EdDSA", "curve is not"},
		"Ed25519 of 31 bytes":        {ed.with(jwk{"x": b64(make([]byte, 31))}), "EdDSA", "missing or broken"},
		"Ed25519 of 33 bytes":        {ed.with(jwk{"x": b64(make([]byte, 33))}), "EdDSA", "missing or broken"},
		"Ed25519 x not base64url":    {ed.with(jwk{"x": strings.Repeat("+", 43)}), "EdDSA", "missing or broken"},
		"an alg that the key is not": {ed.with(jwk{"alg": "ES256"}), "EdDSA", "alg"},
	}
	for i, encoding := range smallOrderEncodings() {
		tests[fmt.Sprintf("Ed25519 small order %d", i)] = refused{ed.with(jwk{"x": b64(encoding)}), "EdDSA", "small order"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logs
				w := newWeb()
				w.put(keysURL, says(200, keySetOf(test.entry, edJWK("good"))))
				set := w.remote(t, jwks.WithLogger(log.detailed()))
				want(t, set, "good", "EdDSA", "found")
				want(t, set, "k", test.alg, "not found")
				for range 10 {
					<-time.After(10 * time.Minute)
					want(t, set, "good", "EdDSA", "found")
				}
				synctest.Wait()
				level := `"level":"WARN"`
				if len(log.lines("is for encryption")) > 0 {
					level = `"level":"DEBUG"`
				}
				lines := log.lines("a published key is not used", level, keysURL)
				if len(lines) != 1 || len(log.lines(test.reason)) != 1 {
					t.Errorf("logged %q, want one line with %q", lines, test.reason)
				}
				if object, ok := test.entry.(jwk); ok && object["kid"] == "k" {
					before := w.count(keysURL)
					want(t, set, "k", "ES512", "not found")
					if w.count(keysURL) != before || len(log.lines(`"kid":"k"`)) != 1 {
						t.Error("the key id is not known")
					}
				}
			})
		})
	}
}

func TestKeysThatAreUsed(t *testing.T) {
	const allRSA = "RS256 RS384 RS512 PS256 PS384 PS512"
	almost3 := &rsa.PublicKey{N: almostROCA(3), E: 65537}
	almost167 := &rsa.PublicKey{N: almostROCA(167), E: 65537}
	rs, ec, ed := newJWK("k", rsaKey.Public()), newJWK("k", p256Key.Public()), newJWK("k", edKey.Public())
	zeroX, zeroY := keyWithLeadingZero(elliptic.P256(), 1), keyWithLeadingZero(elliptic.P256(), 33)
	largeX := keyWithLeadingZero(elliptic.P521(), 1)
	shortX := newJWK("k", largeX)
	shortX["x"] = resized(shortX["x"], -1)
	exponent3 := rsaKey.PublicKey
	exponent3.E = 3
	exponent17 := rsaKey.PublicKey
	exponent17.E = 1<<17 - 1
	for name, test := range map[string]struct {
		entry     jwk
		algs      string // of which it is usable for each
		algorithm string // that it says
		public    crypto.PublicKey
	}{
		"RSA":                   {rs, allRSA, "", rsaKey.Public()},
		"RSA for one alg":       {rs.with(jwk{"alg": "PS384"}), "PS384", "PS384", rsaKey.Public()},
		"RSA e 3":               {newJWK("k", &exponent3), allRSA, "", &exponent3},
		"RSA e of 17 bits":      {newJWK("k", &exponent17), allRSA, "", &exponent17},
		"RSA e with zeros":      {rs.with(jwk{"e": "AAABAAE"}), allRSA, "", rsaKey.Public()},
		"RSA, ROCA but for 3":   {newJWK("k", almost3), allRSA, "", almost3},
		"RSA, ROCA but for 167": {newJWK("k", almost167), allRSA, "", almost167},
		"RSA padded":            {rs.with(jwk{"e": "AQAB==", "n": rs["n"].(string) + "=="}), allRSA, "", rsaKey.Public()},
		"P-256":                 {ec, "ES256", "", p256Key.Public()},
		"P-256, x from 0":       {newJWK("k", zeroX), "ES256", "", zeroX},
		"P-256, y from 0":       {newJWK("k", zeroY), "ES256", "", zeroY},
		"P-521, x without a 0":  {shortX, "ES512", "", largeX},
		"P-256 padded":          {ec.with(jwk{"x": ec["x"].(string) + "="}), "ES256", "", p256Key.Public()},
		"P-384":                 {newJWK("k", p384Key.Public()), "ES384", "", p384Key.Public()},
		"P-521":                 {newJWK("k", p521Key.Public()).with(jwk{"alg": "ES512"}), "ES512", "ES512", p521Key.Public()},
		"Ed25519":               {ed, "EdDSA Ed25519", "", edKey.Public()},
		"Ed25519 as EdDSA":      {ed.with(jwk{"alg": "EdDSA"}), "EdDSA Ed25519", "EdDSA", edKey.Public()},
		"Ed25519 as RFC 9864":   {ed.with(jwk{"alg": "Ed25519"}), "EdDSA Ed25519", "EdDSA", edKey.Public()},
		"use and key_ops": {
			ed.with(jwk{"use": "sig", "key_ops": []string{"verify", "x-other"}}), "EdDSA Ed25519", "", edKey.Public(),
		},
		"broken certificate": {
			ed.with(jwk{"x5c": []string{"!"}, "x5t": "!", "x5u": "http://x", "x5t#S256": 1}),
			"EdDSA Ed25519", "", edKey.Public(),
		},
		"unknown members": {
			ed.with(jwk{"ext": true, "Use": "enc", "D": "AA", "nbf": 7}), "EdDSA Ed25519", "", edKey.Public(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb()
			w.put(keysURL, says(200, keySet(test.entry)))
			set := w.remote(t)
			for _, alg := range []string{
				"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
			} {
				keys, err := set.Keys(t.Context(), "k", alg)
				usable := slices.Contains(strings.Fields(test.algs), alg)
				if usable != (outcome(keys, err) == "found") {
					t.Errorf("%s: %s", alg, outcome(keys, err))
				}
				if !usable {
					continue
				}
				key := keys[0]
				if len(keys) != 1 || key.ID() != "k" || key.Algorithm() != test.algorithm ||
					!key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(test.public) {
					t.Errorf("%s: got %v", alg, keys)
				}
			}
		})
	}
}

// Rules: key.kid.
func TestCandidatesFitKeyIDAndAlgorithm(t *testing.T) {
	rsa1, rsa2 := newJWK("", rsaKey.Public()), newJWK("", rsaKey2.Public())
	many := make([]jwk, 0, 6)
	for range 6 {
		many = append(many, edJWK("same"))
	}
	for name, test := range map[string]struct {
		set      []jwk
		static   bool
		kid, alg string
		expected int
	}{
		"one key id, several keys": {
			set: []jwk{rsa1.with(jwk{"kid": "a"}), rsa2.with(jwk{"kid": "a"})},
			kid: "a", alg: "RS256", expected: 2,
		},
		"one key id, several types": {
			set: []jwk{rsa1.with(jwk{"kid": "a"}), edJWK("a")},
			kid: "a", alg: "EdDSA", expected: 1,
		},
		"one key id, several algorithms": {
			set: []jwk{rsa1.with(jwk{"kid": "a", "alg": "RS256"}), rsa2.with(jwk{"kid": "a", "alg": "PS256"})},
			kid: "a", alg: "PS256", expected: 1,
		},
		"at most four": {set: many, kid: "same", alg: "EdDSA", expected: 4},
		"the same entry twice": {
			set: []jwk{rsa1.with(jwk{"kid": "a"}), rsa1.with(jwk{"kid": "a"})},
			kid: "a", alg: "RS256", expected: 1,
		},
		"the same key twice, other kid": {
			set: []jwk{rsa1.with(jwk{"kid": "a"}), rsa1.with(jwk{"kid": "b"})},
			kid: "b", alg: "RS256", expected: 1,
		},
		"the same key for two algorithms": {
			set: []jwk{rsa1.with(jwk{"kid": "a", "alg": "RS256"}), rsa1.with(jwk{"kid": "a", "alg": "PS256"})},
			kid: "a", alg: "PS256", expected: 1,
		},
		"key ids in capitals": {set: []jwk{edJWK("a")}, kid: "A", alg: "EdDSA"},
		"no key id, one fits": {
			set: []jwk{edJWK("a"), rsa1.with(jwk{"kid": "b"})},
			alg: "EdDSA", expected: 1,
		},
		"no key id, one fits by alg": {
			set: []jwk{rsa1.with(jwk{"kid": "a", "alg": "RS256"}), rsa2.with(jwk{"kid": "b", "alg": "PS256"})},
			alg: "PS256", expected: 1,
		},
		"no key id, two fit":             {set: []jwk{edJWK("a"), edJWK("b")}, alg: "EdDSA"},
		"no key id, none fits":           {set: []jwk{edJWK("a")}, alg: "ES256"},
		"no key id on both sides":        {set: []jwk{rsa1, edJWK("a")}, alg: "RS256", expected: 1},
		"a remote key without one":       {set: []jwk{rsa1}, kid: "any", alg: "RS256"},
		"an empty one is none":           {set: []jwk{rsa1.with(jwk{"kid": ""})}, alg: "RS256", expected: 1},
		"a pinned key without one":       {set: []jwk{rsa1}, static: true, kid: "any", alg: "RS256", expected: 1},
		"a pinned key that does not fit": {set: []jwk{rsa1}, static: true, kid: "any", alg: "ES256"},
		"pinned keys with and without": {
			set:    []jwk{rsa1, rsa2.with(jwk{"kid": "a"})},
			static: true, kid: "a", alg: "RS256", expected: 2,
		},
		"a pinned key with another": {
			set:    []jwk{rsa1.with(jwk{"kid": "a"})},
			static: true, kid: "b", alg: "RS256",
		},
		"a refused key id, a pinned key": {
			set:    []jwk{{"kty": "EC", "kid": "a"}, rsa1},
			static: true, kid: "a", alg: "RS256", expected: 1,
		},
		"pinned keys, token without one": {set: []jwk{rsa1, rsa2}, static: true, alg: "RS256", expected: 2},
		"pinned keys, token with any": {
			set:    []jwk{rsa1, rsa2},
			static: true, kid: "any", alg: "RS256", expected: 2,
		},
		"pinned, at most four in all": {set: append(many[:4:4], rsa1), static: true, kid: "same", alg: "EdDSA", expected: 4},
		"pinned, the named ones come first": {
			set:    []jwk{rsa1, edJWK("a"), edJWK("")},
			static: true, kid: "a", alg: "EdDSA", expected: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb()
			w.put(keysURL, says(200, keySet(test.set...)))
			source := jwks.Remote(keysURL)
			if test.static {
				source = jwks.Static([]byte(keySet(test.set...)))
			}
			keys, err := open(t, source, w).Keys(t.Context(), test.kid, test.alg)
			expected := "found"
			if test.expected == 0 {
				expected = "not found"
			}
			if len(keys) != test.expected || outcome(keys, err) != expected {
				t.Errorf("%s, %d keys, want %d: %v", outcome(keys, err), len(keys), test.expected, err)
			}
			if len(keys) > 0 && strings.Contains(name, "first") && keys[0].ID() != test.kid {
				t.Errorf("got %s", ids(keys))
			}
		})
	}
}

// One token costs a few verifications at most, and one expensive one: anyone can make a token that
// fails with all of its candidates.
// Rules: key.work-bounded.
func TestCandidatesHaveOneCostlyKeyAtMost(t *testing.T) {
	key := func(kid string, bits uint, different byte) jwk {
		n := new(big.Int).SetBytes(odd(bits))
		return newJWK(kid, &rsa.PublicKey{N: n.Add(n, big.NewInt(22*int64(different))), E: 65537})
	}
	four := func(bits uint) []jwk {
		return []jwk{key("a", bits, 0), key("a", bits, 1), key("a", bits, 2), key("a", bits, 3)}
	}
	p521 := func(kid string) jwk { return newJWK(kid, newECKey(elliptic.P521()).Public()) }
	for name, test := range map[string]struct {
		set      []jwk
		kid, alg string
		expected int
		costly   int
	}{
		"four of 8192 bits":         {four(8192), "a", "RS256", 1, 1},
		"four of 4097 bits":         {four(4097), "a", "PS512", 1, 1},
		"four of 4096 bits":         {four(4096), "a", "RS256", 4, 0},
		"a small one after large":   {[]jwk{key("a", 8192, 0), key("a", 8192, 1), key("a", 2048, 2)}, "a", "RS256", 2, 1},
		"large ones after a small":  {[]jwk{key("a", 2048, 0), key("a", 8192, 1), key("a", 8192, 2)}, "a", "RS256", 2, 1},
		"large ones of two key ids": {[]jwk{key("a", 8192, 0), key("b", 8192, 1)}, "b", "RS256", 1, 1},
		"four on P-521":             {[]jwk{p521("a"), p521("a"), p521("a"), p521("a")}, "a", "ES512", 1, 1},
		"no key id, one large":      {[]jwk{key("a", 8192, 0), p521("b")}, "", "RS256", 1, 1},
		"no key id, two large":      {[]jwk{key("a", 8192, 0), key("b", 8192, 1)}, "", "RS256", 0, 0},
		"no key id, two on P-521":   {[]jwk{p521("a"), p521("")}, "", "ES512", 0, 0},
	} {
		w := newWeb()
		w.put(keysURL, says(200, keySet(test.set...)))
		for kind, source := range map[string]jwks.Source{
			"fetched": jwks.Remote(keysURL),
			"pinned":  jwks.Static([]byte(keySet(test.set...))),
		} {
			keys, _ := open(t, source, w).Keys(t.Context(), test.kid, test.alg)
			costly := 0
			for _, key := range keys {
				if large, ok := key.Public().(*rsa.PublicKey); !ok || large.N.BitLen() > 4096 {
					costly++
				}
			}
			if len(keys) != test.expected || costly != test.costly {
				t.Errorf("%s, %s: %d keys, %d of them costly, want %d and %d",
					name, kind, len(keys), costly, test.expected, test.costly)
			}
		}
	}
}

func TestCandidatesBelongToTheCaller(t *testing.T) {
	set := issuer(edJWK("a").with(jwk{"kid": "a"}), edJWK("a")).remote(t)
	keys, err := set.Keys(t.Context(), "a", "EdDSA")
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	keys[0], keys[1] = jwks.Key{}, jwks.Key{}
	want(t, set, "a", "EdDSA", "found")
	if again, _ := set.Keys(t.Context(), "a", "EdDSA"); ids(again) != "a a" {
		t.Errorf("a caller changed the set: %q", ids(again))
	}
}

func TestRefusedKeysAreLoggedOnceUntilTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		bad := jwk{"kty": "X", "kid": "a"}
		w := issuer(bad, bad, bad.with(jwk{"kid": strings.Repeat("long", 1000)}))
		set := w.discover(t, jwks.WithLogger(log.logger()))
		step := func(lines int) {
			t.Helper()
			<-time.After(11 * time.Minute)
			want(t, set, "a", "EdDSA", "not found")
			synctest.Wait()
			if n := len(log.lines("a published key is not used")); n != lines {
				t.Errorf("%d lines in the log, want %d", n, lines)
			}
		}
		step(2)
		step(2)
		w.put(keysURL, says(200, keySet(jwk{"kty": "OKP", "kid": "a"})))
		step(3) // another reason
		w.put(keysURL, says(200, keySet(edJWK("a").with(jwk{"kid": "b"}), jwk{"kty": "OKP", "kid": "a"})))
		step(3)
		if lines := log.lines("longlong"); len(lines) != 1 || len(lines[0]) > 400 {
			t.Errorf("a long key id was logged as %d bytes", len(lines[0]))
		}
	})
}

func TestSmallOrderEncodingsAreComplete(t *testing.T) {
	encodings := smallOrderEncodings()
	if len(encodings) != 14 {
		t.Fatalf("%d encodings, want those of 7 ys with both signs", len(encodings))
	}
	for _, encoding := range encodings {
		y := slices.Clone(encoding)
		y[31] &= 0x7f
		slices.Reverse(y)
		if !isSmallOrder(new(big.Int).SetBytes(y)) {
			t.Errorf("%x is not of small order", encoding)
		}
	}
	if isSmallOrder(big.NewInt(4)) || isSmallOrder(times(big.NewInt(4), new(big.Int).ModInverse(big.NewInt(5), edP))) {
		t.Error("the test calls the base point one of small order")
	}
}

// Why the points are refused: under this key, one signature that anyone can write down is good for
// every message.
func TestSmallOrderKeyVerifiesEveryMessage(t *testing.T) {
	neutral := make([]byte, 32)
	neutral[0] = 1
	signature := append(slices.Clone(neutral), make([]byte, 32)...)
	for i := range uint64(100) {
		message := binary.BigEndian.AppendUint64([]byte(`{"sub":"admin"}`), i)
		if !ed25519.Verify(neutral, message, signature) {
			t.Fatalf("message %d is not verified: the demonstration is broken", i)
		}
	}
	w := newWeb()
	w.put(keysURL, says(200, keySet(newJWK("a", ed25519.PublicKey(neutral)), edJWK("b"))))
	want(t, w.remote(t), "a", "EdDSA", "not found")
	if _, err := jwks.New(jwks.PublicKeys(ed25519.PublicKey(neutral))); err == nil {
		t.Errorf("PublicKeys takes %s", hex.EncodeToString(neutral))
	}
}

// The keys that come out verify what the private keys sign.
func TestKeysVerifySignatures(t *testing.T) {
	set := issuer(newJWK("rsa", rsaKey.Public()), newJWK("p256", p256Key.Public()), newJWK("p384", p384Key.Public()),
		newJWK("p521", p521Key.Public()), newJWK("ed", edKey.Public())).remote(t)
	for alg, test := range map[string]struct {
		kid     string
		private any
	}{
		"RS256": {"rsa", rsaKey}, "PS512": {"rsa", rsaKey}, "ES256": {"p256", p256Key}, "ES384": {"p384", p384Key},
		"ES512": {"p521", p521Key}, "EdDSA": {"ed", edKey}, "Ed25519": {"ed", edKey},
	} {
		a, _ := jws.Lookup(alg)
		signature, err := a.Sign("message", test.private)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := set.Keys(t.Context(), test.kid, alg)
		if err != nil || a.Verify("message", signature, keys[0].Public()) != nil {
			t.Errorf("%s: the signature is not verified: %v", alg, err)
		}
	}
}

// A key is small, and the document that it was read from may be long.
func TestKeysKeepNoDocumentInMemory(t *testing.T) {
	const sets, padding = 16, 1 << 19
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	for alg, key := range map[string]jwk{
		"EdDSA": newJWK("a", edKey.Public()), "RS256": newJWK("a", rsaKey.Public()), "ES256": newJWK("a", p256Key.Public()),
	} {
		before := heap()
		var kept []*jwks.Set
		for range sets {
			w := newWeb()
			w.put(keysURL, says(200, keySet(key.with(jwk{"padding": strings.Repeat("x", padding)}))))
			kept = append(kept, w.remote(t))
			want(t, kept[len(kept)-1], "a", alg, "found")
			w.put(keysURL, down)
		}
		if grown := int64(heap()) - int64(before); grown > sets*padding/4 {
			t.Errorf("%s: %d sets keep %d bytes", alg, sets, grown)
		}
		runtime.KeepAlive(kept)
	}
}

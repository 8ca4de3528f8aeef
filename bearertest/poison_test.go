package bearertest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/bearertest"
)

// published returns the key set that is served now, as text and as its entries.
func published(tb testing.TB, issuer *bearertest.Issuer) (text []byte, entries []json.RawMessage) {
	tb.Helper()
	text = document(tb, issuer, "/jwks")
	var set struct{ Keys []json.RawMessage }
	_ = json.Unmarshal(text, &set)
	return text, set.Keys
}

// Whether an entry is wrong in the way that its name says, and in no other.
func TestPoisonedEntries(t *testing.T) {
	decoded := func(text string) []byte {
		b, _ := base64.RawURLEncoding.Strict().DecodeString(text)
		return b
	}
	point := func(jwk map[string]string) error {
		raw := slices.Concat([]byte{4}, decoded(jwk["x"]), decoded(jwk["y"]))
		_, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
		return err
	}
	rsaSizes := func(jwk map[string]string) [2]int64 {
		return [2]int64{int64(len(decoded(jwk["n"])) * 8), new(big.Int).SetBytes(decoded(jwk["e"])).Int64()}
	}
	type check = func(jwk map[string]string) bool
	checks := map[bearertest.Fault]check{
		bearertest.PoisonUnknownType: func(jwk map[string]string) bool {
			return jwk["kty"] == "unknown" && jwk["crv"] == "P-256" && point(jwk) == nil
		},
		bearertest.PoisonUnknownCurve: func(jwk map[string]string) bool {
			return jwk["kty"] == "EC" && jwk["crv"] == "unknown" && point(jwk) == nil
		},
		bearertest.PoisonBase64: func(jwk map[string]string) bool {
			rest, broken := strings.CutPrefix(jwk["x"], "!")
			return broken && len(decoded("A"+rest)) == 32 && len(decoded(jwk["y"])) == 32
		},
		bearertest.PoisonShortCoordinate: func(jwk map[string]string) bool {
			return len(decoded(jwk["x"])) == 30 && len(decoded(jwk["y"])) == 32
		},
		bearertest.PoisonOffCurve: func(jwk map[string]string) bool {
			return len(decoded(jwk["x"])) == 32 && len(decoded(jwk["y"])) == 32 && point(jwk) != nil
		},
		bearertest.PoisonWeakRSA:      func(jwk map[string]string) bool { return rsaSizes(jwk) == [2]int64{1024, 65537} },
		bearertest.PoisonEvenExponent: func(jwk map[string]string) bool { return rsaSizes(jwk) == [2]int64{2048, 65536} },
		bearertest.PoisonSmallOrder: func(jwk map[string]string) bool {
			public := ed25519.PublicKey(decoded(jwk["x"]))
			forged := slices.Concat(public, make([]byte, 32))
			return ed25519.Verify(public, []byte("one"), forged) && ed25519.Verify(public, []byte("another"), forged)
		},
		bearertest.PoisonSymmetricKey: func(jwk map[string]string) bool {
			return jwk["kty"] == "oct" && len(decoded(jwk["k"])) == 32 && jwk["alg"] == "HS256"
		},
		bearertest.PoisonEncryptionKey: func(jwk map[string]string) bool {
			return jwk["use"] == "enc" && jwk["kty"] == "EC" && point(jwk) == nil && jwk["d"] == ""
		},
	}
	for kind, good := range checks {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				issuer.Rotate()
				_, want := published(t, issuer)
				issuer.SetFault(kind)
				first, entries := published(t, issuer)
				var jwk map[string]string
				if len(entries) != 3 || json.Unmarshal(entries[0], &jwk) != nil ||
					string(entries[1]) != string(want[0]) || string(entries[2]) != string(want[1]) {
					t.Fatalf("the key set is %s, want one entry before the good ones", first)
				}
				forSigning := kind != bearertest.PoisonEncryptionKey
				if jwk["kid"] != "poison" || (jwk["use"] == "sig") != forSigning || !good(jwk) {
					t.Errorf("the entry is %v", jwk)
				}
				if again, _ := published(t, issuer); string(again) != string(first) {
					t.Error("the next answer is another one")
				}
				issuer.SetFault(kind)
				again, _ := published(t, issuer)
				if string(again) == string(first) && kind != bearertest.PoisonSmallOrder {
					t.Error("SetFault makes the same key twice")
				}
			})
		})
	}
	t.Run(string(bearertest.PoisonNullEntry), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer := bearertest.NewIssuer()
			issuer.SetFault(bearertest.PoisonNullEntry)
			text, _ := published(t, issuer)
			if want := strings.Replace(string(issuer.KeySet()), "[", "[null,", 1); string(text) != want {
				t.Errorf("the key set is %s", text)
			}
		})
	})
}

// The keys that need the issuer's algorithm, with each type of key there is. Golang-jwt judges
// them.
func TestPoisonedEntriesOfTheIssuersAlgorithm(t *testing.T) {
	for _, algorithm := range []string{"ES256", "ES512", "PS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(algorithm))
				entry := func(kind bearertest.Fault) (jwk, good map[string]string) {
					issuer.SetFault(kind)
					text, entries := published(t, issuer)
					if len(entries) != 2 || json.Unmarshal(entries[0], &jwk) != nil ||
						json.Unmarshal(entries[1], &good) != nil {
						t.Fatalf("%s: the key set is %s", kind, text)
					}
					return jwk, good
				}
				jwk, good := entry(bearertest.PoisonPrivateKey)
				if jwk["kid"] != "poison" || jwk["alg"] != algorithm || !privateFits(jwk) {
					t.Errorf("the private key is %v", jwk)
				}
				if jwk["x"]+jwk["n"] == good["x"]+good["n"] {
					t.Error("the issuer gives its own private key away")
				}
				jwk, good = entry(bearertest.PoisonEncryptionKey)
				if jwk["use"] != "enc" || jwk["kty"] != good["kty"] || jwk["crv"] != good["crv"] {
					t.Errorf("the encryption key is %v", jwk)
				}
				for range 2 { // after a rotation, too
					jwk, good = entry(bearertest.PoisonDuplicateKeyID)
					if jwk["kid"] != issuer.KeyID() || good["kid"] != issuer.KeyID() || jwk["alg"] != algorithm ||
						jwk["x"]+jwk["n"] == good["x"]+good["n"] {
						t.Errorf("the duplicate of %v is %v", good, jwk)
					}
					issuer.RotateWithoutOverlap()
					if text, _ := published(t, issuer); strings.Count(string(text), issuer.KeyID()) != 2 {
						t.Errorf("after a rotation the key set is %s", text)
					}
				}
			})
		})
	}
}

// privateFits reports whether the d of a JWK is the private half of the rest.
func privateFits(jwk map[string]string) bool {
	number := func(name string) *big.Int {
		b, _ := base64.RawURLEncoding.DecodeString(jwk[name])
		return new(big.Int).SetBytes(b)
	}
	d, _ := base64.RawURLEncoding.DecodeString(jwk["d"])
	switch jwk["kty"] {
	case "RSA":
		m := big.NewInt(42)
		c := new(big.Int).Exp(m, number("e"), number("n"))
		return c.Exp(c, number("d"), number("n")).Cmp(m) == 0
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-521": elliptic.P521()}[jwk["crv"]]
		private, err := ecdsa.ParseRawPrivateKey(curve, d)
		if err != nil {
			return false
		}
		point, err := private.PublicKey.Bytes()
		return err == nil && bytes.HasSuffix(point, number("y").Bytes()) && bytes.Contains(point, number("x").Bytes())
	default:
		x := number("x").FillBytes(make([]byte, 32))
		return len(d) == ed25519.SeedSize && bytes.Equal(ed25519.NewKeyFromSeed(d)[32:], x)
	}
}

func TestPoisonedDocuments(t *testing.T) {
	for kind, good := range map[bearertest.Fault]func(text, whole string) bool{
		bearertest.PoisonTruncated: func(text, whole string) bool {
			return strings.HasPrefix(whole, text) && !json.Valid([]byte(text)) && len(text) > 10
		},
		bearertest.PoisonNullDocument:  func(text, _ string) bool { return text == "null" },
		bearertest.PoisonEmptyDocument: func(text, _ string) bool { return text == "{}" },
		bearertest.PoisonDuplicateMember: func(text, whole string) bool {
			before, isLast := strings.CutSuffix(text, ","+whole[1:])
			return isLast && json.Valid([]byte(before+"}")) && strings.Count(before, `"poison"`) == 1
		},
		bearertest.PoisonTooManyKeys: func(text, whole string) bool {
			var set struct {
				Keys []struct{ Kid, Kty, X string }
			}
			if json.Unmarshal([]byte(text), &set) != nil || len(set.Keys) != 10_001 || len(text) >= 1<<20 {
				return false
			}
			kids := make(map[string]bool)
			for _, key := range set.Keys[:10_000] {
				kids[key.Kid] = key.Kty == "OKP" && len(key.X) == 43
			}
			return len(kids) == 10_000 && kids["poison-9999"] && strings.HasSuffix(text, strings.TrimPrefix(whole, `{"keys":[`))
		},
	} {
		for _, algorithm := range []string{"ES256", "RS256"} {
			t.Run(string(kind)+" "+algorithm, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(algorithm))
					issuer.SetFault(kind)
					if text := document(t, issuer, "/jwks"); !good(string(text), string(issuer.KeySet())) {
						t.Errorf("the key set is %.200s", text)
					}
				})
			})
		}
	}
}

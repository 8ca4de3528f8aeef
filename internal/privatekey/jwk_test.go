package privatekey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/internal/privatekey"
)

type members map[string]any

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf is the private JWK of one of keys.
func jwkOf(t testing.TB, name string) members {
	t.Helper()
	switch key := keys()[name].(type) {
	case *rsa.PrivateKey:
		number := func(n *big.Int) string { return b64(n.Bytes()) }
		return members{
			"kty": "RSA", "n": number(key.N), "e": number(big.NewInt(int64(key.E))), "d": number(key.D),
			"p": number(key.Primes[0]), "q": number(key.Primes[1]), "dp": number(key.Precomputed.Dp),
			"dq": number(key.Precomputed.Dq), "qi": number(key.Precomputed.Qinv),
		}
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		scalar, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		return members{"kty": "EC", "crv": name, "d": b64(scalar), "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PrivateKey:
		return members{"kty": "OKP", "crv": "Ed25519", "d": b64(key.Seed()), "x": b64(key.Public().(ed25519.PublicKey))}
	}
	panic(name)
}

// with returns the JWK with members added or replaced; nil takes one away.
func (m members) with(more members) string {
	m = maps.Clone(m)
	maps.Copy(m, more)
	maps.DeleteFunc(m, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestJWKOfEachKind(t *testing.T) {
	t.Parallel()
	for _, name := range good {
		got := wantKey(t, jwkOf(t, name).with(nil), name)
		if got.ID != "" || got.Algorithm != "" {
			t.Errorf("%s: key %q for %q", name, got.ID, got.Algorithm)
		}
		if _, err := got.Signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil && name != "Ed25519" {
			t.Error(err)
		}
	}
	for name, tt := range map[string]struct {
		kind          string
		more          members
		id, algorithm string
	}{
		"all that a key says": {
			"RSA", members{"kid": "2026 \u00e9", "alg": "RS256", "use": "sig", "key_ops": []string{"verify", "sign"}}, "2026 \u00e9", "RS256",
		},
		"PS384":               {"RSA", members{"alg": "PS384"}, "", "PS384"},
		"ES512":               {"P-521", members{"alg": "ES512"}, "", "ES512"},
		"the new name":        {"Ed25519", members{"alg": "Ed25519"}, "", "EdDSA"},
		"null members":        {"P-256", members{"kid": json.RawMessage("null"), "alg": json.RawMessage("null"), "use": json.RawMessage("null")}, "", ""},
		"unknown members":     {"P-256", members{"x5c": 7, "iat": 1}, "", ""},
		"without CRT members": {"RSA", members{"dp": nil, "dq": nil, "qi": nil}, "", ""},
		"white space around":  {"P-256", nil, "", ""},
		"no leading zeros":    {"P-521", members{"d": trimmed(t, "d"), "x": trimmed(t, "x"), "y": trimmed(t, "y")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wantKey(t, "\n "+jwkOf(t, tt.kind).with(tt.more)+" \n", tt.kind); got.ID != tt.id || got.Algorithm != tt.algorithm {
				t.Errorf("key %q for %q", got.ID, got.Algorithm)
			}
		})
	}
}

// trimmed is a number of the key on P-521 without its leading zeros.
func trimmed(t testing.TB, name string) string {
	number, err := base64.RawURLEncoding.DecodeString(jwkOf(t, "P-521")[name].(string))
	if err != nil {
		t.Fatal(err)
	}
	return b64([]byte(strings.TrimLeft(string(number), "\x00")))
}

func TestJWKThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	other := jwkOf(t, "another RSA")
	const (
		notFitting = "do not fit each other"
		missing    = "missing, or is not base64url"
		unusable   = "the key cannot be used"
		noPurpose  = "not for signatures"
		noAlg      = "its alg is not one"
	)
	for name, tt := range map[string]struct {
		kind string
		more members
		want string
	}{
		"no type":                   {"RSA", members{"kty": nil}, "not a JSON object that is a JWK"},
		"another type":              {"RSA", members{"kty": "DSA"}, unusable},
		"a symmetric key":           {"RSA", members{"kty": "oct", "k": "aHVudGVyMg"}, "symmetric"},
		"a set":                     {"RSA", members{"kty": nil, "keys": []any{}}, "JWK Set"},
		"a public RSA key":          {"RSA", members{"d": nil}, "public key"},
		"a public EC key":           {"P-256", members{"d": nil}, "public key"},
		"a public Ed25519 key":      {"Ed25519", members{"d": nil}, "public key"},
		"a kid that is a number":    {"P-256", members{"kid": 7}, "kid is empty or not a string"},
		"an empty kid":              {"P-256", members{"kid": ""}, "kid is empty or not a string"},
		"for encryption":            {"RSA", members{"use": "enc"}, noPurpose},
		"for verifying alone":       {"RSA", members{"key_ops": []string{"verify"}}, noPurpose},
		"operations that are none":  {"RSA", members{"key_ops": "sign"}, noPurpose},
		"an alg for encryption":     {"RSA", members{"alg": "RSA-OAEP"}, noAlg},
		"no alg at all":             {"RSA", members{"alg": "none"}, noAlg},
		"an alg for another key":    {"P-256", members{"alg": "RS256"}, noAlg},
		"an alg of another curve":   {"P-256", members{"alg": "ES384"}, noAlg},
		"an alg for a secret":       {"P-256", members{"alg": "HS256"}, noAlg},
		"three primes":              {"RSA", members{"oth": []any{}}, "oth"},
		"no primes":                 {"RSA", members{"p": nil, "q": nil}, "no primes"},
		"one prime":                 {"RSA", members{"q": nil}, missing},
		"no modulus":                {"RSA", members{"n": nil}, missing},
		"no exponent":               {"RSA", members{"e": nil}, missing},
		"an empty exponent":         {"RSA", members{"e": ""}, missing},
		"an exponent of 0":          {"RSA", members{"e": "AA"}, missing},
		"an exponent of 1":          {"RSA", members{"e": "AQ"}, notFitting},
		"a long exponent":           {"RSA", members{"e": other["n"]}, notFitting},
		"a modulus with padding":    {"RSA", members{"n": jwkOf(t, "RSA")["n"].(string) + "=="}, missing},
		"another modulus":           {"RSA", members{"n": other["n"]}, notFitting},
		"another private exponent":  {"RSA", members{"d": other["d"]}, notFitting},
		"another p":                 {"RSA", members{"p": other["p"]}, notFitting},
		"primes of 1":               {"RSA", members{"p": "AQ", "q": jwkOf(t, "RSA")["n"]}, notFitting},
		"another dp":                {"RSA", members{"dp": other["dp"]}, notFitting},
		"another dq":                {"RSA", members{"dq": other["dq"]}, notFitting},
		"another qi":                {"RSA", members{"qi": other["qi"]}, notFitting},
		"a qi that is no number":    {"RSA", members{"qi": "!"}, notFitting},
		"a short RSA key":           {"weak RSA", nil, "fewer than 2048 bits"},
		"no curve":                  {"P-256", members{"crv": nil}, unusable},
		"P-224":                     {"P-224", nil, unusable},
		"another curve":             {"P-256", members{"crv": "P-384"}, notFitting},
		"a longer number":           {"P-256", members{"d": jwkOf(t, "P-384")["d"]}, missing},
		"no y":                      {"P-256", members{"y": nil}, missing},
		"another y":                 {"P-256", members{"y": jwkOf(t, "P-256")["x"]}, notFitting},
		"a scalar of 0":             {"P-256", members{"d": "AA"}, notFitting},
		"a scalar beyond the order": {"P-256", members{"d": b64([]byte(strings.Repeat("\xff", 32)))}, notFitting},
		"another Edwards curve":     {"Ed25519", members{"crv": "Ed448"}, unusable},
		"X25519":                    {"Ed25519", members{"crv": "X25519"}, unusable},
		"a short seed":              {"Ed25519", members{"d": "AAAA"}, missing},
		"another seed":              {"Ed25519", members{"d": b64(make([]byte, 32))}, notFitting},
		"no public Ed25519 key":     {"Ed25519", members{"x": nil}, missing},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, jwkOf(t, tt.kind).with(tt.more), tt.want) })
	}
	good := jwkOf(t, "P-256").with(nil)
	for name, text := range map[string]string{
		"cut short": good[:len(good)/2], "garbage after it": good + "hunter2hunter2", "two": good + good,
		"a member twice": strings.Replace(good, "{", `{"kty":"EC",`, 1), "nothing": "{}",
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, text, "not a JSON object that is a JWK") })
	}
	wantRefused(t, good+strings.Repeat(" ", privatekey.MaxSize-len(good)+1), "longer than 16384 bytes")
	wantKey(t, good+strings.Repeat(" ", privatekey.MaxSize-len(good)), "P-256")
}

package bearer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
	"github.com/bearer-go/bearer/jwks"
)

// vectorFile is one of Wycheproof's files, as C2SP/wycheproof has them in testvectors_v1.
type vectorFile struct {
	NumberOfTests int           `json:"numberOfTests"`
	Groups        []vectorGroup `json:"testGroups"`
}

type vectorGroup struct {
	Comment string          `json:"comment"`
	Private json.RawMessage `json:"private"` // a JWK or a JWK Set
	Public  json.RawMessage `json:"public"`  // likewise; absent for HMAC
	Tests   []vector        `json:"tests"`
}

type vector struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	JWS     json.RawMessage `json:"jws"` // a string, null, or the JSON serialization as an object
	JWE     json.RawMessage `json:"jwe"`
	Result  string          `json:"result"`
	Flags   []string        `json:"flags"`
}

func (v vector) token(t testing.TB) string {
	t.Helper()
	raw := v.JWS
	if raw == nil {
		raw = v.JWE
	}
	if len(raw) == 0 {
		t.Fatalf("tcId %d has neither jws nor jwe", v.ID)
	}
	if raw[0] == '{' {
		return string(raw)
	}
	var token string
	if err := json.Unmarshal(raw, &token); err != nil { // null leaves it empty
		t.Fatal(err)
	}
	return token
}

// vectorJWK is what the configuration of a tuple needs to know of a JWK.
type vectorJWK struct {
	Kty, Alg, Kid, Crv, K    string
	N, E, D, P, Q, X, Y, Use string
	raw                      json.RawMessage
}

// jwksOf takes a JWK or a JWK Set apart.
func jwksOf(t testing.TB, raw json.RawMessage) (list []vectorJWK) {
	t.Helper()
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{raw}
	}
	for _, raw := range set.Keys {
		jwk := vectorJWK{raw: raw}
		if err := json.Unmarshal(raw, &jwk); err != nil {
			t.Fatal(err)
		}
		list = append(list, jwk)
	}
	return list
}

func (k vectorJWK) bytes(t testing.TB, value string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// algorithm is what the JWK says, or otherwise what its family is commonly used with.
func (k vectorJWK) algorithm() string {
	switch {
	case k.Alg != "":
		return k.Alg
	case k.Kty == "EC":
		return "ES256"
	case k.Kty == "oct":
		return "HS256"
	default:
		return "RS256"
	}
}

// keys are those a verifier is given.
func (g vectorGroup) keys(t testing.TB) []vectorJWK {
	t.Helper()
	if g.Public != nil {
		return jwksOf(t, g.Public)
	}
	return jwksOf(t, g.Private)
}

// options configures a tuple with a group's keys, as an operator would: public keys as a set, a
// secret as HMACSecret, and of several secrets the one that the token names. The algorithms are
// those of the keys.
func (g vectorGroup) options(t testing.TB, token string) []bearer.IssuerOption {
	t.Helper()
	keys := g.keys(t)
	secrets := 0
	for _, k := range keys {
		if k.Kty == "oct" {
			secrets++
		}
	}
	var opts []bearer.IssuerOption
	var public []json.RawMessage
	var algorithms []string
	for _, k := range keys {
		switch {
		case k.Kty != "oct":
			public = append(public, k.raw)
		case secrets > 1 && k.Kid != kidOf(token):
			continue
		default:
			opts = append(opts, bearer.HMACSecret(k.bytes(t, k.K)))
		}
		if alg := k.algorithm(); !slices.Contains(algorithms, alg) {
			algorithms = append(algorithms, alg)
		}
	}
	if public != nil {
		opts = append(opts, bearer.Keys(jwks.Static(marshal(t, map[string]any{"keys": public}))))
	}
	return append(opts, bearer.Algorithms(algorithms...))
}

// kidOf reads a token's kid with a lenient reader; "" for none.
func kidOf(token string) string {
	var header struct{ Kid string }
	part, _, _ := strings.Cut(token, ".")
	if raw, err := base64.RawURLEncoding.DecodeString(part); err == nil {
		_ = json.Unmarshal(raw, &header)
	}
	return header.Kid
}

// judge takes a vector through the steps up to the signature. A mistake in the configuration is a
// refusal, too.
func (g vectorGroup) judge(t testing.TB, token string) error {
	t.Helper()
	return judgeWith(t, token, g.options(t, token))
}

// judgeWidely is judge for an operator who accepts every algorithm of the keys' kind and leaves the
// choice to the key set.
func (g vectorGroup) judgeWidely(t testing.TB, token string) error {
	t.Helper()
	opts := g.options(t, token)
	if g.Public == nil {
		return judgeWith(t, token, opts) // a secret does not say what it is for
	}
	opts[len(opts)-1] = bearer.Algorithms("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
	return judgeWith(t, token, opts)
}

func judgeWith(t testing.TB, token string, opts []bearer.IssuerOption) error {
	t.Helper()
	auth, err := bearer.New(bearer.WithIssuer(iss, aud, opts...))
	if err != nil {
		return err
	}
	defer func() { _ = auth.Close() }()
	return auth.VerifySignature(t.Context(), iss, token)
}

const (
	wycheproofJWS    = "json_web_signature_test.json"
	wycheproofJWK    = "json_web_key_test.json"
	wycheproofCrypto = "json_web_crypto_test.json"
)

// readVectors skips the test when no folder of vectors is named. It fails the test when the file is
// missing or not whole.
func readVectors(t testing.TB, name string) vectorFile {
	t.Helper()
	want, ok := map[string]struct{ tests, groups, valid, jwe int }{
		wycheproofJWS:    {401, 23, 46, 0},
		wycheproofJWK:    {26, 25, 5, 0},
		wycheproofCrypto: {83, 8, 6, 34},
	}[name]
	if !ok {
		t.Fatalf("no such file: %s", name)
	}
	var file vectorFile
	vectors.Read(t, &file, "wycheproof/"+name)
	got := want
	got.tests, got.groups, got.valid, got.jwe = 0, len(file.Groups), 0, 0
	for _, g := range file.Groups {
		for _, v := range g.Tests {
			got.tests++
			if v.Result == "valid" {
				got.valid++
			}
			if v.JWE != nil {
				got.jwe++
			}
		}
	}
	if got != want || file.NumberOfTests != want.tests {
		t.Fatalf("%s has %+v, want %+v", name, got, want)
	}
	return file
}

func findVector(t testing.TB, file string, id int) (vectorGroup, vector) {
	t.Helper()
	for _, g := range readVectors(t, file).Groups {
		for _, v := range g.Tests {
			if v.ID == id {
				return g, v
			}
		}
	}
	t.Fatalf("%s has no tcId %d", file, id)
	return vectorGroup{}, vector{}
}

// edited replaces one text in a JWK. A key that is absent stays absent.
func edited(t testing.TB, raw json.RawMessage, old, replacement string) json.RawMessage {
	t.Helper()
	if raw == nil {
		return nil
	}
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(strings.Replace(text.String(), old, replacement, 1))
}

// ownGroup is a group like those of the files, with a key of our own and no vector. A secret has no
// public JWK.
func ownGroup(t testing.TB, alg string, key any) (g vectorGroup) {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kid": "kid-" + strings.ToLower(alg), "alg": alg}
	secret := make(map[string]string)
	switch key := key.(type) {
	case []byte:
		jwk["kty"], secret["k"] = "oct", encode(key)
	case *rsa.PrivateKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
		secret["d"], secret["p"], secret["q"] = encode(key.D.Bytes()), encode(key.Primes[0].Bytes()), encode(key.Primes[1].Bytes())
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		d, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", key.Params().Name, encode(point[1:1+half]), encode(point[1+half:])
		secret["d"] = encode(d)
	}
	if jwk["kty"] != "oct" {
		g.Public = marshal(t, jwk)
	}
	maps.Copy(jwk, secret)
	g.Private = marshal(t, jwk)
	return g
}

func marshal(t testing.TB, value any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// encodedMessage undoes an RSA signature: what was signed, padding and all (RFC 8017 section 9.2).
func (k vectorJWK) encodedMessage(t testing.TB, signature []byte) []byte {
	t.Helper()
	n := new(big.Int).SetBytes(k.bytes(t, k.N))
	e := new(big.Int).SetBytes(k.bytes(t, k.E))
	return new(big.Int).Exp(new(big.Int).SetBytes(signature), e, n).FillBytes(make([]byte, (n.BitLen()+7)/8))
}

package bearer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
	"github.com/golang-jwt/jwt/v5"
)

// vectorFile is one of Wycheproof's files; see testdata/wycheproof/README.md.
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

// algorithm is what the JWK says, or else what its family is commonly used with.
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

// options configures a tuple with a group's keys, as an operator would: public keys as a set, a secret as HMACSecret, and of
// several secrets the one that the token names. The algorithms are those of the keys.
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
		set, err := json.Marshal(map[string]any{"keys": public})
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, bearer.Keys(jwks.Static(set)))
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

// judge takes a vector through the steps up to the signature. A mistake in the configuration is a refusal, too.
func (g vectorGroup) judge(t testing.TB, token string) error {
	t.Helper()
	return judgeWith(t, token, g.options(t, token))
}

// judgeWidely is judge for an operator who accepts every algorithm of the keys' kind and leaves the choice to the key set.
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

// readVectors fails the test when the file is not there, or is not whole.
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
	data, err := os.ReadFile(filepath.Join("testdata", "wycheproof", name))
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
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

// upstreamFaults are the vectors of json_web_signature_test.json whose result is not what RFC 7515 says. Each names why, and
// how to see it.
var upstreamFaults = map[int]struct {
	reason string
	holds  func(file vectorFile, g vectorGroup, v vector) bool
}{
	346: {"the key is for PS256, the token says PS384 (RFC 7517 section 4.4)", otherAlgorithm("PS256", "PS384")},
	350: {"the key is for PS256, the token says PS384 (RFC 7517 section 4.4)", otherAlgorithm("PS256", "PS384")},
	347: {"the key is for ES521, which is no registered algorithm; the token says ES512", otherAlgorithm("ES521", "ES512")},
	351: {"the key is for ES521, which is no registered algorithm; the token says ES512", otherAlgorithm("ES521", "ES512")},
	367: {"is the valid 357, byte for byte", same(357)},
	370: {"is the valid 357, byte for byte", same(357)},
	372: {`holds a "?", which is not base64url (RFC 7515 section 2), and is the valid 357 without it`, same(357, "?")},
	373: {`holds a "?", which is not base64url (RFC 7515 section 2), and is the valid 357 without it`, same(357, "?")},
}

func otherAlgorithm(key, token string) func(vectorFile, vectorGroup, vector) bool {
	return func(_ vectorFile, g vectorGroup, v vector) bool {
		return v.Result == "valid" && bytes.Contains(g.Public, []byte(`"`+key+`"`)) &&
			bytes.Contains(v.JWS, []byte(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+token+`"`))))
	}
}

// same reports that a vector equals another one once the extra text, which it must hold, is left out.
func same(id int, extra ...string) func(vectorFile, vectorGroup, vector) bool {
	return func(_ vectorFile, g vectorGroup, v vector) bool {
		text := string(v.JWS)
		for _, x := range extra {
			if !strings.Contains(text, x) {
				return false
			}
			text = strings.ReplaceAll(text, x, "")
		}
		return slices.ContainsFunc(g.Tests, func(other vector) bool {
			return other.ID == id && other.Result == "valid" && string(other.JWS) == text
		})
	}
}

// Every vector gets the result that Wycheproof states, from the steps up to the signature, with upstreamFaults as the only
// exceptions: one that stops deviating is a failure, too.
// Rules: jws.signature.
func TestWycheproof(t *testing.T) {
	for _, name := range []string{wycheproofJWS, wycheproofJWK, wycheproofCrypto} {
		file := readVectors(t, name)
		seen := 0
		for _, g := range file.Groups {
			for _, v := range g.Tests {
				fault, faulty := upstreamFaults[v.ID]
				faulty = faulty && name == wycheproofJWS
				t.Run(fmt.Sprintf("%s/%d %s", strings.TrimSuffix(name, "_test.json"), v.ID, v.Comment), func(t *testing.T) {
					// Encryption hides claims and says nothing about who wrote them: a valid JWE is no access token either.
					want := v.Result == "valid" && v.JWE == nil
					for _, err := range []error{g.judge(t, v.token(t)), g.judgeWidely(t, v.token(t))} {
						if accepted := err == nil; accepted != (want != faulty) {
							t.Errorf("%q, flags %q: accepted is %v (%v), but upstream says %s", v.Comment, v.Flags, accepted, err, v.Result)
						}
					}
					if faulty && !fault.holds(file, g, v) {
						t.Errorf("the vector is not faulty any more: %s", fault.reason)
					}
				})
				if faulty {
					seen++
				}
			}
		}
		if name == wycheproofJWS && seen != len(upstreamFaults) {
			t.Errorf("%d of the %d faulty vectors are in the file", seen, len(upstreamFaults))
		}
	}
}

// A vector may be refused for a reason other than the one it is about, and would then prove nothing. Where a key is at fault,
// the fault alone is mended here, and the same token is accepted.
func TestWycheproofRefusesForTheStatedReason(t *testing.T) {
	tests := []struct {
		file     string
		id       int
		old, new string // in the JWK
	}{
		{wycheproofJWS, 353, `"use":"enc"`, `"use":"sig"`},
		{wycheproofJWS, 354, `"use":"enc"`, `"use":"sig"`},
		{wycheproofJWS, 355, `"key_ops":["encrypt"]`, `"key_ops":["verify"]`},
		{wycheproofJWS, 356, `"key_ops":["encrypt"]`, `"key_ops":["verify"]`},
		{wycheproofJWS, 346, `"alg":"PS256"`, `"alg":"PS384"`},
		{wycheproofJWS, 350, `"alg":"PS256"`, `"alg":"PS384"`},
		{wycheproofJWS, 347, `"alg":"ES521"`, `"alg":"ES512"`},
		{wycheproofJWS, 351, `"alg":"ES521"`, `"alg":"ES512"`},
		{wycheproofJWK, 1, `},{`, `}],"others":[{`},                                   // the public key beside the secret
		{wycheproofJWK, 4, `Bingge","kid":"kid-aes-sign"`, `Bingge","kid":"other"`},   // the kid that is there twice
		{wycheproofJWK, 6, `"alg":"RSA1_5","use":"enc"`, `"alg":"RS256","use":"sig"`}, // a key for encryption
		{wycheproofJWK, 19, `"alg":"ES521"`, `"alg":"ES256"`},                         // no such algorithm
		{wycheproofJWK, 20, `"alg":"ES224"`, `"alg":"ES256"`},                         // likewise
		{wycheproofJWK, 21, `"use":"enc"`, `"use":"sig"`},                             // a key for encryption
		{wycheproofJWK, 22, `LqEw9nVgnw"`, `LqEw9nVgmw"`},                             // a point off the curve
		{wycheproofJWK, 23, `"crv":"P-384"`, `"crv":"P-256"`},                         // another curve than the algorithm's
		{wycheproofJWK, 24, `"kty":"RSA"`, `"kty":"EC"`},                              // another type than the members'
		{wycheproofJWK, 25, `"alg":"A256GCM"`, `"alg":"HS256"`},                       // not an algorithm for signatures
		{wycheproofJWK, 26, `"alg":"A256KW"`, `"alg":"HS256"`},                        // likewise
		{wycheproofCrypto, 47, `},{`, `}],"others":[{`},                               // the public key beside the secret
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s/%d", strings.TrimSuffix(tt.file, "_test.json"), tt.id), func(t *testing.T) {
			g, v := findVector(t, tt.file, tt.id)
			if err := g.judge(t, v.token(t)); err == nil {
				t.Fatal("accepted as it is")
			}
			g.Private, g.Public = mend(t, g.Private, tt.old, tt.new), mend(t, g.Public, tt.old, tt.new)
			if err := g.judge(t, v.token(t)); err != nil {
				t.Errorf("refused with a mended key: %v", err)
			}
		})
	}
}

// A key that is too weak cannot be mended. Its vectors are signed correctly, so that nothing but the key is at fault.
func TestWycheproofWeakKeysSignCorrectly(t *testing.T) {
	for _, id := range []int{7, 8, 9, 10, 11, 12, 16, 17, 18} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			g, v := findVector(t, wycheproofJWK, id)
			key := g.keys(t)[0]
			parts := strings.Split(v.token(t), ".")
			input, signature := parts[0]+"."+parts[1], key.bytes(t, parts[2])
			switch key.Kty {
			case "oct":
				if err := jwt.GetSigningMethod(key.Alg).Verify(input, signature, key.bytes(t, key.K)); err != nil {
					t.Error(err)
				}
			case "RSA":
				hash := sha256.Sum256([]byte(input))
				if em := key.encodedMessage(t, signature); !bytes.HasSuffix(em, hash[:]) {
					t.Error("the signature is not over the token's hash")
				}
			default:
				t.Errorf("kty %q", key.Kty)
			}
			if err := g.judge(t, v.token(t)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// encodedMessage undoes an RSA signature: what was signed, padding and all (RFC 8017 section 9.2).
func (k vectorJWK) encodedMessage(t testing.TB, signature []byte) []byte {
	t.Helper()
	n := new(big.Int).SetBytes(k.bytes(t, k.N))
	e := new(big.Int).SetBytes(k.bytes(t, k.E))
	return new(big.Int).Exp(new(big.Int).SetBytes(signature), e, n).FillBytes(make([]byte, (n.BitLen()+7)/8))
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

// mend replaces one text in a JWK. A key that is not there stays away.
func mend(t testing.TB, raw json.RawMessage, old, replacement string) json.RawMessage {
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

// The JWE vectors above meet a tuple that their keys cannot configure. Here a service that works meets them, and none gets
// past its shape: compact JWE has five parts (RFC 7516 section 7.1).
func TestEncryptedTokensAreRefused(t *testing.T) {
	auth := mustNew(t, bearer.WithIssuer(iss, aud, bearer.HMACSecret(bytes.Repeat([]byte("k"), 32))))
	encrypted := 0
	for _, g := range readVectors(t, wycheproofCrypto).Groups {
		for _, v := range g.Tests {
			if v.JWE != nil {
				encrypted++
				wantReason(t, auth, v.token(t), bearer.ReasonMalformedToken)
			}
		}
	}
	if encrypted != 34 {
		t.Errorf("%d encrypted tokens, want 34", encrypted)
	}
}

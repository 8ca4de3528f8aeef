package bearer_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/golang-jwt/jwt/v5"
)

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

// same reports whether a vector equals another one without the extra text, which it must contain.
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
func TestWycheproofSignatures(t *testing.T) {
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
// the fault alone is corrected here, and the same token is accepted.
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
			g.Private, g.Public = edited(t, g.Private, tt.old, tt.new), edited(t, g.Public, tt.old, tt.new)
			if err := g.judge(t, v.token(t)); err != nil {
				t.Errorf("refused with a corrected key: %v", err)
			}
		})
	}
}

// A key that is too weak cannot be corrected. Its vectors are signed correctly, so that nothing but the key is at fault.
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

// The JWE vectors above meet a tuple that their keys cannot configure. Here a service that works meets them, and none gets
// past its shape: compact JWE has five parts (RFC 7516 section 7.1).
func TestWycheproofEncryptedTokensAreRefused(t *testing.T) {
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

// refusedGroups are those of json_web_signature_test.json whose key must not verify any token: ES521 is no algorithm, and
// the others are keys for encryption.
var refusedGroups = []int{11, 15, 17, 18, 19, 20}

// What Wycheproof does to tokens without claims is done here to real ones, signed with its private
// keys. The whole Middleware tells the good from the manipulated.
func TestWycheproofKeysTellGoodTokensFromManipulated(t *testing.T) {
	t.Parallel()
	for i, g := range readVectors(t, wycheproofJWS).Groups {
		t.Run(fmt.Sprintf("%d %s", i, g.Comment), func(t *testing.T) {
			if !slices.Contains(refusedGroups, i) {
				checkManipulations(t, g)
				return
			}
			s := newSigner(t, g)
			good := s.sign(t, b64(s.header(s.alg)), b64(goodClaims()))
			auth, err := bearer.New(bearer.WithIssuer(iss, aud, g.options(t, good)...))
			if err == nil {
				defer func() { _ = auth.Close() }()
				_, err = auth.Guard().Verify(t.Context(), good)
			}
			if err == nil {
				t.Fatal("a key that must not be used verified a token")
			}
		})
	}
}

// takenPaddings is how many of Wycheproof's 214 PKCS #1 paddings, the good one among them, hold the hash unharmed.
const takenPaddings = 198

// Wycheproof's wrong PKCS #1 paddings, taken over to the hash of real claims.
// Rules: jws.signature.
func TestWycheproofPaddingsOverRealClaims(t *testing.T) {
	t.Parallel()
	group := readVectors(t, wycheproofJWS).Groups[2]
	s := newSigner(t, group)
	input := b64(s.header(s.alg)) + "." + b64(goodClaims())
	auth := mustNew(t, bearer.WithIssuer(iss, aud, group.options(t, input)...))
	taken := 0
	for _, v := range group.Tests {
		if !slices.Contains(v.Flags, "ModifiedPadding") && v.Result != "valid" {
			continue
		}
		signature, ok := s.takeOver(t, v, input)
		if !ok {
			continue
		}
		taken++
		t.Run(fmt.Sprintf("%d %s", v.ID, v.Comment), func(t *testing.T) {
			want := bearer.ReasonSignature
			if v.Result == "valid" {
				want = ""
			}
			wantReason(t, auth, withSignature(input, signature), want)
		})
	}
	if taken != takenPaddings {
		t.Errorf("%d paddings were taken over, want %d", taken, takenPaddings)
	}
}

// The keys of json_web_key_test.json verify real claims exactly where Wycheproof says that they verify anything.
// Rules: key.quality.
func TestWycheproofWeakAndMisusedKeysVerifyNoClaims(t *testing.T) {
	for i, g := range readVectors(t, wycheproofJWK).Groups {
		t.Run(fmt.Sprintf("%d %s", i, g.Comment), func(t *testing.T) {
			s := newSigner(t, g)
			input := b64(s.header(s.alg)) + "." + b64(goodClaims())
			var signature []byte
			if _, ok := s.key.(*rsa.PrivateKey); ok { // crypto/rsa may refuse to sign with such a key
				if signature, ok = s.takeOver(t, g.Tests[0], input); !ok {
					t.Fatal("the vector is not signed with the key")
				}
			} else {
				signature = s.signWith(t, s.method, input)
			}
			token := withSignature(input, signature)
			auth, err := bearer.New(bearer.WithIssuer(iss, aud, g.options(t, token)...))
			if err == nil {
				defer func() { _ = auth.Close() }()
				_, err = auth.Guard().Verify(t.Context(), token)
			}
			if accepted, want := err == nil, g.Tests[0].Result == "valid"; accepted != want {
				t.Errorf("accepted is %v (%v), want %v", accepted, err, want)
			}
		})
	}
}

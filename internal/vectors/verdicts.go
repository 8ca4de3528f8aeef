package vectors

import "testing"

// A Verdict says why the library answers a case otherwise than the suite expects.
type Verdict struct {
	Answer string // of the library; see Case.Check
	Rule   string // its id in docs/rules.md
	Why    string
}

// Why several cases differ.
const (
	guessedKey  = "several keys fit, and the token does not say which: the library does not guess (RFC 7515 appendix D allows it)"
	unnamedKey  = "a fetched key without a kid is not tried for a token with one (RFC 7517 section 4.5 and RFC 7515 section 4.1.4 allow it)"
	noCurve     = "crv must be present (RFC 7518 section 6.2.1.1)"
	otherCurve  = "explicit curve parameters must not be used (RFC 5480 section 2.1.1)"
	otherAlpha  = "+ and / are not in the alphabet of base64url (RFC 7518 section 2)"
	padded      = "base64url has no padding here (RFC 7515 section 2)"
	salt        = "the salt is as long as the hash (RFC 7518 section 3.5)"
	optionalAlg = "alg is optional (RFC 7517 section 4.4)"
	unreachable = "an issuer without keys says nothing about the token, and 401 would tell the client to throw it away (RFC 9110 section 15.6.4)"
	twoMethods  = "a client must not send the token twice (RFC 6750 sections 2 and 3.1)"
)

// Agreed are the cases that the file calls product-strict and that the library now decides as the
// suite does, with the rule.
var Agreed = map[string]string{
	"firebase/php-jwt/jwk/d is null":                 "key.entry",  // null counts as absent
	"google/jwt_verify_lib/ec/NoKidOK":               "key.no-kid", // copies of one key count once
	"google/jwt_verify_lib/okp/NoKidOK":              "key.no-kid",
	"eclipse/microprofile-jwt-auth TCK/cookie/empty": "request.empty-cookie",
}

// Verdicts pins the answer to every case that the library decides otherwise than the suite, by the
// case's id.
var Verdicts = map[string]Verdict{
	"google/jwt_verify_lib/rsa/NoKidOK":           {"unknown_key", "key.kid", guessedKey},
	"google/jwt_verify_lib/rsa/NoKidLongExpOK":    {"unknown_key", "key.kid", guessedKey},
	"google/jwt_verify_lib/rsa/OkPublicKeyNotAlg": {"unknown_key", "key.kid", guessedKey},
	"google/jwt_verify_lib/rsa/OkPublicKeyNotKid": {"unknown_key", "key.kid", guessedKey},
	"envoyproxy/envoy/auth/OkJWT":                 {"unknown_key", "key.kid", guessedKey},
	"google/jwt_verify_lib/ec/PubkeyNoKidOK":      {"unknown_key", "key.kid", unnamedKey},
	"google/jwt_verify_lib/okp/PubkeyNoKidOK":     {"unknown_key", "key.kid", unnamedKey},
	"google/jwt_verify_lib/rsa/KidTokenKeyNotKid": {"unknown_key", "key.kid", unnamedKey},
	"google/jwt_verify_lib/x509/NoKidToken":       {"malformed_token", "jws.one-spelling", padded},
	"google/jwt_verify_lib/x509/RealToken":        {"keys_unavailable", "key.available", "a map of certificates is no JWK Set (RFC 7517 section 5)"},
	"envoyproxy/envoy/auth/TrailingCommaJwks":     {"keys_unavailable", "key.available", "no comma follows the last element (RFC 8259 section 5)"},
	"envoyproxy/envoy/auth/PubkeyFetchFail":       {"keys_unavailable", "key.available", unreachable},
	"istio/istio/invalid key set":                 {"keys_unavailable", "key.available", unreachable},
	"istio/istio/expired, CORS preflight":         {"token_expired", "guard.every-method", "a preflight carries no token; CORS stands outside the guard"},
	"istio/istio/params/both, same token":         {"multiple_tokens", "request.single-credential", twoMethods},
	"envoyproxy/envoy/auth/TwoTokensAllGood":      {"multiple_tokens", "request.single-credential", twoMethods},
	"firebase/php-jwt/encode-decode ES256":        {"refused by New", "key.quality", otherCurve},
	"auth0/node-jsonwebtoken/asymmetric/ecdsa-public.pem": {
		"refused by New", "key.quality", otherCurve,
	},
	"auth0/node-jsonwebtoken/asymmetric/ecdsa-public-x509.pem": {
		"refused by New", "key.quality", otherCurve,
	},
	"golang-jwt/jwt/padding/Validated example padded token with padding enabled": {
		"malformed_token", "jws.one-spelling", padded,
	},
	"eclipse/microprofile-jwt-auth TCK/no name claims": {
		"accepted", "claims.required", "MicroProfile alone demands sub, upn or preferred_username",
	},
	"eclipse/microprofile-jwt-auth TCK/JWK instead of a set": {
		"refused by New", "config.no-empty-value", "a set has an array of keys (RFC 7517 section 5)",
	},

	"golang-jwt/jwt/pss/Basic PS256": {"bad_signature", "jws.signature", salt},
	"golang-jwt/jwt/pss/Basic PS384": {"bad_signature", "jws.signature", salt},
	"golang-jwt/jwt/pss/Basic PS512": {"bad_signature", "jws.signature", salt},
	"golang-jwt/jwt/ed25519/Basic Ed25519": {
		"algorithm_not_allowed", "jws.alg-allowed", "ED25519 is no registered name (RFC 8037 section 3.1), and case counts (RFC 7515 section 4.1.1)",
	},
	"golang-jwt/jwt/padding/Validated padded token with padding enabled": {"malformed_token", "jws.one-spelling", padded},
	"Keats/jsonwebtoken/hmac/decode_token with a secret of 6 bytes": {
		"refused by New", "key.secret-size", "the secret is at least as long as the hash (RFC 7518 section 3.2)",
	},

	"google/jwt_verify_lib/jwks_test/JwksECMissingBothAlgCrvES256": {"found 0", "key.quality", noCurve},
	"google/jwt_verify_lib/jwks_test/JwkECMissingCrv":              {"found 0", "key.quality", noCurve},
	"google/jwt_verify_lib/jwks_test/JwksECUnspecifiedCrv":         {"found 0 0 0", "key.quality", noCurve},
	"AzureAD/identitymodel/keys/JsonWebKeyRsaNoKidString":          {"found 0", "key.quality", otherAlpha},
	"AzureAD/identitymodel/keys/JsonWebKeyString":                  {"found 0", "key.quality", otherAlpha},
	"AzureAD/identitymodel/keys/JsonWebKeyString2":                 {"found 0", "key.quality", otherAlpha},
	"firebase/php-jwt/jwk/no alg":                                  {"found 1", "key.kid", optionalAlg},
	"tink-crypto/tink-go jwt/jwk/TestJWKSetToPublicKeysetInvalidES256PublicKeys/without algorithm": {
		"found 1", "key.kid", optionalAlg,
	},
	"tink-crypto/tink-go jwt/jwk/TestJWKSetToPublicKeysetInvalidES256PublicKeys/multiple key ops": {
		"found 1", "key.kid", "sign and verify together are allowed (RFC 7517 section 4.3)",
	},
	"tink-crypto/tink-go jwt/jwk/TestJWKSetEd25519KeysNotSupported": {
		"found 1", "key.quality", "Ed25519 keys are good (RFC 8037)",
	},
}

// Check compares the library's answer with what the suite expects, or with the verdict. The answer
// is "accepted", "refused by New", the reason of a refusal, or the number of keys that each lookup
// found.
func (c Case) Check(t testing.TB, answer string, asExpected bool) {
	t.Helper()
	verdict, differs := Verdicts[c.ID]
	switch {
	case differs && (asExpected || answer != verdict.Answer):
		t.Errorf("the answer is %s (as the suite expects: %v), but the verdict is %s: %s", answer, asExpected, verdict.Answer, verdict.Why)
	case !differs && !asExpected:
		t.Errorf("the answer is %s; the suite expects %+v", answer, c.Expected)
	}
}

package bearertest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/bearer-go/bearer"
)

// rule is one rule of a guard and the ways to break it. The number in its name is the step at which package bearer applies it.
type rule struct {
	name     string
	want     answer // to its variants, unless they say otherwise
	variants []variant
}

// variant is one way to break a rule: a token that is forged, or a good one that is put elsewhere.
type variant struct {
	name  string
	forge func(k *kit) string                 // the token; "" when the issuer's keys do not allow it; nil for a good one
	put   func(r *http.Request, token string) // how it is sent; nil for in the header
	want  answer                              // zero: the rule's
	from  bearer.TokenSource                  // the place that put puts it into, if a handler may take tokens from there

	// stray is for requests that are not the route's own, and so may be answered by something else.
	// It reports whether the answer is that of the protected handler.
	stray func(got *response) bool
}

const (
	keyRule   = "4.6 key"
	scopeRule = "4.11 scope"
)

func rules() []rule {
	return []rule{
		{"4.1 one credential", badRequest, credentialVariants},
		{"4.2 size", invalidToken, sizeVariants},
		{"4.2 shape", invalidToken, shapeVariants},
		{"4.2 one spelling", invalidToken, spellingVariants},
		{"4.4 header", invalidToken, headerVariants},
		{"4.4 extensions", invalidToken, extensionVariants},
		{"4.4 embedded keys", invalidToken, embeddedKeyVariants},
		{"4.5 issuer", invalidToken, issuerVariants},
		{"4.5 algorithm", invalidToken, algorithmVariants},
		{"4.5 type", invalidToken, typeVariants},
		{"4.5 other tokens", invalidToken, otherTokenVariants},
		{keyRule, invalidToken, keyVariants},
		{"4.7 signature", invalidToken, signatureVariants},
		{"4.8 claims", invalidToken, claimsVariants},
		{"4.8 claim types", invalidToken, claimTypeVariants},
		{"4.9 times", invalidToken, timeVariants},
		{"4.9 audience", invalidToken, audienceVariants},
		{"4.9 confirmation", invalidToken, confirmationVariants},
		{scopeRule, insufficientScope, scopeVariants},
	}
}

// authorization puts these field lines into the header, with T for the token.
func authorization(lines ...string) func(*http.Request, string) {
	return func(r *http.Request, token string) {
		for _, line := range lines {
			r.Header["Authorization"] = append(r.Header["Authorization"], strings.ReplaceAll(line, "T", token))
		}
	}
}

// field puts a token into another field of the header.
func field(name, prefix string) func(*http.Request, string) {
	return func(r *http.Request, token string) { r.Header.Set(name, prefix+token) }
}

// One request carries one credential: one field line, the scheme Bearer in any case, spaces, one token (RFC 6750 section 2.1).
var credentialVariants = []variant{
	{name: "two headers with one token", put: authorization("Bearer T", "Bearer T")},
	{name: "two headers, the first bad", put: authorization("Bearer x", "Bearer T")},
	{name: "two headers, the second bad", put: authorization("Bearer T", "Bearer x")},
	{name: "two headers, the first of another scheme", put: authorization("Basic eDp5", "Bearer T")},
	{name: "two headers, the first empty", put: authorization("", "Bearer T")},
	{name: "two tokens in one header", put: authorization("Bearer T, Bearer T")},
	{name: "another scheme behind a comma", put: authorization("Bearer T, Basic eDp5")},
	{name: "a second word", put: authorization("Bearer T T")},
	{name: "no token", put: authorization("Bearer")},
	{name: "spaces for a token", put: authorization("Bearer  ")},
	{name: "an empty header", put: authorization("")},
	{name: "a tab for a separator", put: authorization("Bearer\tT")},
	{name: "a tab behind the separator", put: authorization("Bearer \tT")},
	{name: "a no-break space for a separator", put: authorization("Bearer\u00a0T")},
	{name: "a line feed for a separator", put: authorization("Bearer\nT")},
	{name: "a colon for a separator", put: authorization("Bearer:T")},
	{name: "a colon behind the scheme", put: authorization("Bearer: T")},
	{name: "an equals sign for a separator", put: authorization("Bearer=T")},
	{name: "a space before the scheme", put: authorization(" Bearer T")},
	{name: "a space behind the token", put: authorization("Bearer T ")},
	{name: "a scheme with a Cyrillic letter", put: authorization("B\u0435arer T")},
	{name: "no separator", put: authorization("BearerT"), want: noCredential},
	{name: "no scheme", put: authorization("T"), want: noCredential},
	{name: "the scheme JWT", put: authorization("JWT T"), want: noCredential},
	{name: "the scheme DPoP", put: authorization("DPoP T"), want: noCredential},
	{name: "the scheme Basic", put: authorization("Basic T"), want: noCredential},
	{name: "a field for proxies", put: field("Proxy-Authorization", "Bearer "), want: noCredential},
	{name: "a field of one's own", put: field("X-Access-Token", ""), want: noCredential},
	{name: "a cookie", from: bearer.FromCookie(), want: noCredential, put: field("Cookie", "access_token=")},
	{name: "the query", from: bearer.FromQuery(), want: noCredential, put: func(r *http.Request, token string) {
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&access_token="+token, "&")
	}},
	{name: "a form", from: bearer.FromForm(), want: noCredential, put: func(r *http.Request, token string) {
		form := "access_token=" + token
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(form)), int64(len(form))
	}},
	{name: "a WebSocket subprotocol", from: bearer.FromWebSocket(), want: noCredential, put: func(r *http.Request, token string) {
		field("Sec-Websocket-Protocol", "base64url.bearer.authorization.")(r, encode([]byte(token)))
	}},
}

// tooMuch is more than any guard of package bearer can be told to read.
const tooMuch = 1 << 20

// A token has a size at which it is not worth reading.
var sizeVariants = []variant{
	{name: "a claim of a megabyte", forge: func(k *kit) string {
		return k.withClaims(Claims{"padding": strings.Repeat("x", tooMuch)})
	}},
	{name: "a header of a megabyte", forge: func(k *kit) string {
		return k.withHeader(Claims{"padding": strings.Repeat("x", tooMuch)})
	}},
	{name: "a megabyte of white space", forge: func(k *kit) string {
		return k.withClaimsText("{" + strings.Repeat(" ", tooMuch) + k.payload[1:])
	}},
}

// A token is a JWS in compact serialization: three parts between two dots (RFC 7515 section 7.1).
var shapeVariants = []variant{
	{name: "one part", forge: func(k *kit) string { return k.parts[0] }},
	{name: "two parts", forge: func(k *kit) string { return k.parts[0] + "." + k.parts[1] }},
	{name: "four parts", forge: func(k *kit) string { return k.good + ".AAAA" }},
	{name: "five parts, as of an encrypted token", forge: func(k *kit) string { return k.good + ".AAAA.AAAA" }},
	{name: "two tokens with a dot between", forge: func(k *kit) string { return k.good + "." + k.good }},
	{name: "a dot before", forge: func(k *kit) string { return "." + k.good }},
	{name: "a dot behind", forge: func(k *kit) string { return k.good + "." }},
	{name: "two dots for one", forge: func(k *kit) string { return strings.Replace(k.good, ".", "..", 1) }},
	{name: "nothing but dots", forge: func(*kit) string { return ".." }},
	{name: "the flattened JSON serialization", forge: (*kit).flattened},
	{name: "the general JSON serialization", forge: (*kit).general},
}

// A token has one spelling: base64url without padding, line breaks and bits left over (RFC 7515 section 2, RFC 4648 section 3.5).
var spellingVariants = []variant{
	{name: "padding behind the header", forge: func(k *kit) string { return k.respelled(0, padded) }},
	{name: "padding behind the payload", forge: func(k *kit) string { return k.respelled(1, padded) }},
	{name: "padding behind the signature", forge: func(k *kit) string { return k.respelled(2, padded) }},
	{name: "the header in standard base64", forge: func(k *kit) string { return k.respelled(0, standard) }},
	{name: "the payload in standard base64", forge: func(k *kit) string { return k.respelled(1, standard) }},
	{name: "the signature in standard base64", forge: func(k *kit) string { return k.respelled(2, standard) }},
	{name: "a bit left over in the header", forge: func(k *kit) string { return k.respelled(0, leftOver) }},
	{name: "a bit left over in the payload", forge: func(k *kit) string { return k.respelled(1, leftOver) }},
	{name: "a bit left over in the signature", forge: func(k *kit) string { return k.respelled(2, leftOver) }},
	{name: "a line break in the header", forge: func(k *kit) string { return k.respelled(0, broken) }},
	{name: "a line break in the payload", forge: func(k *kit) string { return k.respelled(1, broken) }},
	{name: "a line break in the signature", forge: func(k *kit) string { return k.respelled(2, broken) }},
	{name: "a line break behind the token", forge: func(k *kit) string { return k.good + "\n" }},
}

// The header is one JSON object with one reading (RFC 7515 section 4, RFC 8259), and alg, kid and typ are strings.
var headerVariants = []variant{
	{name: "alg twice", forge: func(k *kit) string { return k.withHeaderText(first(k.header, `"alg":"none"`)) }},
	{name: "kid twice", forge: func(k *kit) string { return k.withHeaderText(first(k.header, `"kid":"other"`)) }},
	{name: "typ twice", forge: func(k *kit) string { return k.withHeaderText(first(k.header, `"typ":"JWT"`)) }},
	{name: "alg twice, once escaped", forge: func(k *kit) string { return k.withHeaderText(first(k.header, `"\u0061lg":"none"`)) }},
	{name: "a name twice deep inside", forge: func(k *kit) string { return k.withHeaderText(last(k.header, `"x":[{"a":1,"a":2}]`)) }},
	{name: "ALG for alg", forge: func(k *kit) string { return k.withHeaderText(renamed(k.header, "alg", `"ALG"`)) }},
	{name: "Alg after an alg of none", forge: func(k *kit) string {
		return k.withHeaderText(first(renamed(k.header, "alg", `"Alg"`), `"alg":"none"`))
	}},
	{name: "Kid after an unknown kid", forge: func(k *kit) string { return k.withKeyIDAs(`"Kid"`) }},
	{name: "kid with a Kelvin sign after an unknown kid", forge: func(k *kit) string { return k.withKeyIDAs(`"\u212aid"`) }},
	{name: "an object behind", forge: func(k *kit) string { return k.withHeaderText(k.header + "{}") }},
	{name: "a letter behind", forge: func(k *kit) string { return k.withHeaderText(k.header + "x") }},
	{name: "a NUL behind", forge: func(k *kit) string { return k.withHeaderText(k.header + "\x00") }},
	{name: "a byte order mark before", forge: func(k *kit) string { return k.withHeaderText("\ufeff" + k.header) }},
	{name: "text before", forge: func(k *kit) string { return k.withHeaderText(")]}',\n" + k.header) }},
	{name: "an array around", forge: func(k *kit) string { return k.withHeaderText("[" + k.header + "]") }},
	{name: "null", forge: func(k *kit) string { return k.withHeaderText("null") }},
	{name: "an empty object", forge: func(k *kit) string { return k.withHeaderText("{}") }},
	{name: "no JSON", forge: func(k *kit) string { return k.withHeaderText("header") }},
	{name: "a comma too many", forge: func(k *kit) string { return k.withHeaderText(last(k.header, "")) }},
	{name: "no end", forge: func(k *kit) string { return k.withHeaderText(k.header[:len(k.header)-1]) }},
	{name: "a byte that is not UTF-8", forge: func(k *kit) string { return k.withHeaderText(last(k.header, "\"x\":\"\xff\"")) }},
	{name: "half of a surrogate pair", forge: func(k *kit) string { return k.withHeaderText(last(k.header, `"x":"\ud800"`)) }},
	{name: "a thousand arrays", forge: func(k *kit) string { return k.withHeaderText(last(k.header, `"x":`+nested(1000))) }},
	{name: "no alg", forge: func(k *kit) string { return k.withHeader(Claims{"alg": nil}) }},
	{name: "an empty alg", forge: func(k *kit) string { return k.withHeader(Claims{"alg": ""}) }},
	{name: "null for alg", forge: func(k *kit) string { return k.withHeader(Claims{"alg": json.RawMessage("null")}) }},
	{name: "an array for alg", forge: func(k *kit) string { return k.withHeader(Claims{"alg": []string{k.issuer.algorithm}}) }},
	{name: "a number for kid", forge: func(k *kit) string { return k.withHeader(Claims{"kid": 1}) }},
	{name: "null for kid", forge: func(k *kit) string { return k.withHeader(Claims{"kid": json.RawMessage("null")}) }},
	{name: "an array for kid", forge: func(k *kit) string { return k.withHeader(Claims{"kid": []string{k.issuer.KeyID()}}) }},
	{name: "a number for typ", forge: func(k *kit) string { return k.withHeader(Claims{"typ": 1}) }},
	{name: "null for typ", forge: func(k *kit) string { return k.withHeader(Claims{"typ": json.RawMessage("null")}) }},
	{name: "an array for typ", forge: func(k *kit) string { return k.withHeader(Claims{"typ": []string{"at+jwt"}}) }},
}

// An extension that must be understood is refused, for none is (RFC 7515 section 4.1.11, RFC 7797).
var extensionVariants = []variant{
	{name: "crit that names an unknown member", forge: func(k *kit) string {
		return k.withHeader(Claims{"crit": []string{canaryClaim}, canaryClaim: k.canary})
	}},
	{name: "crit that names a known member", forge: func(k *kit) string {
		return k.withHeader(Claims{"crit": []string{"exp"}, "exp": time.Now().Add(time.Minute)})
	}},
	{name: "crit that names b64", forge: func(k *kit) string {
		return k.withHeader(Claims{"crit": []string{"b64"}, "b64": true})
	}},
	{name: "crit that names nothing", forge: func(k *kit) string { return k.withHeader(Claims{"crit": []string{}}) }},
	{name: "crit that is a string", forge: func(k *kit) string { return k.withHeader(Claims{"crit": "exp"}) }},
	{name: "crit that is null", forge: func(k *kit) string { return k.withHeader(Claims{"crit": json.RawMessage("null")}) }},
	{name: "b64 true", forge: func(k *kit) string { return k.withHeader(Claims{"b64": true}) }},
	{name: "b64 false", forge: func(k *kit) string { return k.withHeader(Claims{"b64": false}) }},
}

// A token does not bring its own key (RFC 8725 section 3.10). These are signed by the attacker.
var embeddedKeyVariants = []variant{
	{name: "jwk", forge: func(k *kit) string {
		return k.attacked(Claims{"jwk": k.attackersJWK("")})
	}},
	{name: "jwk with our kid", forge: func(k *kit) string {
		return k.attacked(Claims{"jwk": k.attackersJWK(k.issuer.KeyID())})
	}},
	{name: "jwk without a kid in the header", forge: func(k *kit) string {
		return k.attacked(Claims{"jwk": k.attackersJWK(""), "kid": nil})
	}},
	{name: "jwk with the attacker's kid", forge: func(k *kit) string {
		return k.attacked(Claims{"jwk": k.attackersJWK(k.attacker.KeyID()), "kid": k.attacker.KeyID()})
	}},
	{name: "jku", forge: func(k *kit) string {
		return k.attacked(Claims{"jku": dataURL(k.attacker.KeySet())})
	}},
	{name: "jku with the attacker's kid", forge: func(k *kit) string {
		return k.attacked(Claims{"jku": dataURL(k.attacker.KeySet()), "kid": k.attacker.KeyID()})
	}},
	{name: "x5c", forge: func(k *kit) string {
		return k.attacked(Claims{"x5c": []string{base64.StdEncoding.EncodeToString(k.attackersCertificate())}})
	}},
	{name: "x5u", forge: func(k *kit) string {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: k.attackersCertificate()}
		return k.attacked(Claims{"x5u": dataURL(pem.EncodeToMemory(block))})
	}},
}

// The issuer is ours, compared character by character (RFC 8725 section 3.8, RFC 9068 section 4).
var issuerVariants = []variant{
	{name: "another", forge: func(k *kit) string { return k.withClaims(Claims{"iss": "https://" + k.canary + ".example"}) }},
	{name: "none", forge: func(k *kit) string { return k.withClaims(Claims{"iss": nil}) }},
	{name: "null", forge: func(k *kit) string { return k.withClaim("iss", "null") }},
	{name: "empty", forge: func(k *kit) string { return k.withClaims(Claims{"iss": ""}) }},
	{name: "a slash at the end", forge: func(k *kit) string { return k.withClaims(Claims{"iss": withSlash(k.issuer.url)}) }},
	{name: "in capitals", forge: func(k *kit) string { return k.withClaims(Claims{"iss": strings.ToUpper(k.issuer.url)}) }},
	{name: "another scheme", forge: func(k *kit) string {
		_, rest, _ := strings.Cut(k.issuer.url, "://")
		return k.withClaims(Claims{"iss": "ftp://" + rest})
	}},
	{name: "ours at the beginning", forge: func(k *kit) string { return k.withClaims(Claims{"iss": k.issuer.url + ".example"}) }},
	{name: "ours as a user name", forge: func(k *kit) string { return k.withClaims(Claims{"iss": k.issuer.url + "@evil.example"}) }},
	{name: "ours at the end", forge: func(k *kit) string {
		return k.withClaims(Claims{"iss": "https://evil.example/" + k.issuer.url})
	}},
	{name: "a space behind", forge: func(k *kit) string { return k.withClaims(Claims{"iss": k.issuer.url + " "}) }},
	{name: "an array", forge: func(k *kit) string { return k.withClaims(Claims{"iss": []string{k.issuer.url}}) }},
	{name: "an object", forge: func(k *kit) string { return k.withClaims(Claims{"iss": Claims{"url": k.issuer.url}}) }},
}

// withSlash puts a slash at the end of a URL, or takes it away.
func withSlash(url string) string {
	if trimmed, found := strings.CutSuffix(url, "/"); found {
		return trimmed
	}
	return url + "/"
}

// The service chooses the algorithm, not the token (RFC 8725 sections 2.1, 3.1 and 3.2).
var algorithmVariants = []variant{
	{name: "none with an empty signature", forge: func(k *kit) string { return k.unsigned("none") }},
	{name: "None with an empty signature", forge: func(k *kit) string { return k.unsigned("None") }},
	{name: "NONE with an empty signature", forge: func(k *kit) string { return k.unsigned("NONE") }},
	{name: "nOnE with an empty signature", forge: func(k *kit) string { return k.unsigned("nOnE") }},
	{name: "none with some signature", forge: func(k *kit) string { return k.unsigned("none") + k.parts[2] }},
	{name: "none with a good signature", forge: func(k *kit) string { return k.withHeader(Claims{"alg": "none"}) }},
	{name: "HS256 with our key in PEM", forge: func(k *kit) string { return k.hmac("HS256", k.publicPEM()) }},
	{name: "HS256 with our key in PEM, trimmed", forge: func(k *kit) string { return k.hmac("HS256", bytes.TrimSpace(k.publicPEM())) }},
	{name: "HS256 with our key in PEM of PKCS #1", forge: func(k *kit) string {
		public, ok := k.issuer.PublicKey().(*rsa.PublicKey)
		if !ok {
			return ""
		}
		block := &pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)}
		return k.hmac("HS256", pem.EncodeToMemory(block))
	}},
	{name: "HS256 with our key in DER", forge: func(k *kit) string { return k.hmac("HS256", k.publicDER()) }},
	{name: "HS256 with our key as a JWK", forge: func(k *kit) string {
		return k.hmac("HS256", mustJSON(publicMembers(k.issuer.PublicKey())))
	}},
	{name: "HS256 with an empty secret", forge: func(k *kit) string { return k.hmac("HS256", nil) }},
	{name: "HS384 with our key in PEM", forge: func(k *kit) string { return k.hmac("HS384", k.publicPEM()) }},
	{name: "HS512 with our key in PEM", forge: func(k *kit) string { return k.hmac("HS512", k.publicPEM()) }},
	{name: "RS256 that is not", forge: func(k *kit) string { return k.lying("RS256") }},
	{name: "PS256 that is not", forge: func(k *kit) string { return k.lying("PS256") }},
	{name: "ES256 that is not", forge: func(k *kit) string { return k.lying("ES256") }},
	{name: "ES384 that is not", forge: func(k *kit) string { return k.lying("ES384") }},
	{name: "EdDSA that is not", forge: func(k *kit) string { return k.lying("EdDSA") }},
	{name: "an algorithm of encryption", forge: func(k *kit) string { return k.lying("dir") }},
	{name: "an unknown one", forge: func(k *kit) string { return k.lying(k.canary) }},
	{name: "ours in lower case", forge: func(k *kit) string { return k.lying(strings.ToLower(k.issuer.algorithm)) }},
	{name: "ours with a space behind", forge: func(k *kit) string { return k.lying(k.issuer.algorithm + " ") }},
}

// The type is that of an access token or of a plain JWT (RFC 8725 section 3.11, RFC 9068 section 4).
var typeVariants = []variant{
	{name: "a DPoP proof", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "dpop+jwt"}) }},
	{name: "a logout token", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "logout+jwt"}) }},
	{name: "a security event", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "secevent+jwt"}) }},
	{name: "an authorization request", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "oauth-authz-req+jwt"}) }},
	{name: "an answer of introspection", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "token-introspection+jwt"}) }},
	{name: "a logout token's media type", forge: func(k *kit) string {
		return k.withHeader(Claims{"typ": "application/logout+jwt"})
	}},
	{name: "an unknown one", forge: func(k *kit) string { return k.withHeader(Claims{"typ": k.canary}) }},
	{name: "an empty one", forge: func(k *kit) string { return k.withHeader(Claims{"typ": ""}) }},
	{name: "ours with a space behind", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "at+jwt "}) }},
	{name: "ours with a parameter", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "at+jwt;v=1"}) }},
	{name: "ours as text", forge: func(k *kit) string { return k.withHeader(Claims{"typ": "text/at+jwt"}) }},
	{name: "application twice", forge: func(k *kit) string {
		return k.withHeader(Claims{"typ": "application/application/at+jwt"})
	}},
}

// plainJWT is the header of a token that does not say what it is for.
var plainJWT = Claims{"typ": "JWT"}

// A token of another kind is no access token, even if its type does not tell (RFC 8725 section 2.8).
var otherTokenVariants = []variant{
	{name: "at_hash of an ID token", forge: func(k *kit) string {
		return k.signed(plainJWT, Claims{"at_hash": k.canary, "nonce": k.canary})
	}},
	{name: "at_hash, without a type", forge: func(k *kit) string {
		return k.signed(Claims{"typ": nil}, Claims{"at_hash": k.canary})
	}},
	{name: "c_hash of an ID token", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"c_hash": k.canary}) }},
	{name: "s_hash of an ID token", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"s_hash": k.canary}) }},
	{name: "events of a logout token", forge: func(k *kit) string {
		events := Claims{"http://schemas.openid.net/event/backchannel-logout": Claims{}}
		return k.signed(plainJWT, Claims{"events": events, "sid": k.canary})
	}},
	{name: "token_use id", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"token_use": "id"}) }},
	{name: "token_use refresh", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"token_use": "refresh"}) }},
	{name: "token_use in an array", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"token_use": []string{"access"}}) }},
	{name: "the claim typ ID", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"typ": "ID"}) }},
	{name: "the claim typ id", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"typ": "id"}) }},
	{name: "the claim typ Refresh", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"typ": "Refresh"}) }},
	{name: "the claim typ Offline", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"typ": "Offline"}) }},
	{name: "the claim typ Logout", forge: func(k *kit) string { return k.signed(plainJWT, Claims{"typ": "Logout"}) }},
}

// The key is the one that kid names among the issuer's. The signatures are good.
var keyVariants = []variant{
	{name: "an unknown kid", forge: func(k *kit) string { return k.withKeyID(k.canary) }},
	{name: "the kid of another's key", forge: func(k *kit) string { return k.withKeyID(k.attacker.KeyID()) }},
	{name: "our kid with a letter behind", forge: func(k *kit) string { return k.withKeyID(k.issuer.KeyID() + "x") }},
	{name: "our kid without its last letter", forge: func(k *kit) string {
		kid := k.issuer.KeyID()
		return k.withKeyID(kid[:len(kid)-1])
	}},
	{name: "our kid in capitals", forge: func(k *kit) string { return k.withKeyID(strings.ToUpper(k.issuer.KeyID())) }},
	{name: "our kid with a NUL behind", forge: func(k *kit) string { return k.withKeyID(k.issuer.KeyID() + "\x00") }},
	{name: "a path", forge: func(k *kit) string { return k.withKeyID("../../../../dev/null") }},
	{name: "a statement of SQL", forge: func(k *kit) string { return k.withKeyID("x' UNION SELECT 'x';--") }},
	{name: "a pattern", forge: func(k *kit) string { return k.withKeyID("*") }},
	{name: "a URL", forge: func(k *kit) string { return k.withKeyID(dataURL(k.issuer.KeySet())) }},
	{name: "no kid, and two keys", forge: func(k *kit) string {
		if !k.issuer.hasPrevious() {
			return ""
		}
		return k.withKeyID(nil)
	}},
}

// The signature is made with that key over this header and this payload.
var signatureVariants = []variant{
	{name: "none", forge: func(k *kit) string { return k.withSignature(nil) }},
	{name: "zeros", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return make([]byte, len(s)) })
	}},
	{name: "the first bit flipped", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { s[0] ^= 0x80; return s })
	}},
	{name: "the last bit flipped", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { s[len(s)-1] ^= 1; return s })
	}},
	{name: "a byte too short", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return s[:len(s)-1] })
	}},
	{name: "half of it", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return s[:len(s)/2] })
	}},
	{name: "a zero byte behind", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return append(s, 0) })
	}},
	{name: "a zero byte before", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return append([]byte{0}, s...) })
	}},
	{name: "twice", forge: func(k *kit) string {
		return k.edited(func(s []byte) []byte { return append(s, s...) })
	}},
	{name: "that of another token", forge: func(k *kit) string {
		other := k.withClaims(Claims{"sub": "mallory"})
		return k.parts[0] + "." + k.parts[1] + other[strings.LastIndexByte(other, '.'):]
	}},
	{name: "another payload under it", forge: func(k *kit) string {
		return k.parts[0] + "." + encode([]byte(strings.Replace(k.payload, "{", `{"admin":true,`, 1))) + "." + k.parts[2]
	}},
	{name: "another header over it", forge: func(k *kit) string {
		return encode([]byte(last(k.header, `"x":1`))) + "." + k.parts[1] + "." + k.parts[2]
	}},
	{name: "another's key under our kid", forge: func(k *kit) string { return k.attacked(nil) }},
	{name: "ECDSA in DER", forge: func(k *kit) string { return k.ecdsa(der) }},
	{name: "ECDSA, the numbers exchanged", forge: func(k *kit) string {
		return k.ecdsa(func(r, s, _ *big.Int, size int) []byte { return concat(size, s, r) })
	}},
	{name: "ECDSA, the numbers a byte longer", forge: func(k *kit) string {
		return k.ecdsa(func(r, s, _ *big.Int, size int) []byte { return concat(size+1, r, s) })
	}},
	{name: "ECDSA, the numbers of the curve's order", forge: func(k *kit) string {
		return k.ecdsa(func(_, _, n *big.Int, size int) []byte { return concat(size, n, n) })
	}},
	{name: "ECDSA, the numbers zero and one", forge: func(k *kit) string {
		return k.ecdsa(func(_, _, _ *big.Int, size int) []byte { return concat(size, new(big.Int), big.NewInt(1)) })
	}},
	{name: "RSA with the other padding", forge: func(k *kit) string {
		own, _ := k.hash()
		return k.rsa("RS", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: own}) + k.rsa("PS", own)
	}},
	{name: "RSA with another hash", forge: func(k *kit) string {
		_, another := k.hash()
		return k.rsa("RS", another) + k.rsa("PS", &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: another})
	}},
	{name: "RSA plus the modulus", forge: (*kit).rsaPlusModulus},
	{name: "PSS without a salt", forge: func(k *kit) string { return k.pss(func(crypto.Hash) int { return 0 }) }},
	{name: "PSS with a salt a byte too short", forge: func(k *kit) string {
		return k.pss(func(own crypto.Hash) int { return own.Size() - 1 })
	}},
	{name: "PSS with the longest salt", forge: func(k *kit) string {
		return k.pss(func(crypto.Hash) int { return rsa.PSSSaltLengthAuto })
	}},
	{name: "Ed25519 plus the order", forge: (*kit).ed25519PlusOrder},
	{name: "Ed25519ph", forge: (*kit).ed25519Prehashed},
}

// The claims are one JSON object with one reading (RFC 7519 section 4, RFC 8259).
var claimsVariants = []variant{
	{name: "iss twice", forge: func(k *kit) string { return k.withClaimsText(first(k.payload, `"iss":"https://evil.example"`)) }},
	{name: "the audience twice", forge: func(k *kit) string {
		if k.audience == "" {
			return ""
		}
		return k.withClaimsText(first(k.payload, fmt.Sprintf(`%q:"other"`, k.audienceClaim)))
	}},
	{name: "sub twice", forge: func(k *kit) string { return k.withClaimsText(first(k.payload, `"sub":"mallory"`)) }},
	{name: "exp twice", forge: func(k *kit) string { return k.withClaimsText(first(k.payload, `"exp":1`)) }},
	{name: "exp twice, once escaped", forge: func(k *kit) string { return k.withClaimsText(first(k.payload, `"\u0065xp":1`)) }},
	{name: "an unknown claim twice", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"x":1,"x":1`)) }},
	{name: "a name twice deep inside", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"x":[{"a":{"b":1,"b":2}}]`)) }},
	{name: "EXP for exp", forge: func(k *kit) string { return k.withClaimsText(renamed(k.payload, "exp", `"EXP"`)) }},
	{name: "Exp after an exp that has passed", forge: func(k *kit) string {
		return k.withClaimsText(first(renamed(k.payload, "exp", `"Exp"`), `"exp":1`))
	}},
	{name: "the audience in capitals", forge: func(k *kit) string {
		if k.audience == "" {
			return ""
		}
		return k.withClaimsText(renamed(k.payload, k.audienceClaim, fmt.Sprintf("%q", strings.ToUpper(k.audienceClaim))))
	}},
	{name: "iss with long s", forge: func(k *kit) string { return k.withClaimsText(renamed(k.payload, "iss", `"i\u017f\u017f"`)) }},
	{name: "an object behind", forge: func(k *kit) string { return k.withClaimsText(k.payload + `{"sub":"mallory"}`) }},
	{name: "a letter behind", forge: func(k *kit) string { return k.withClaimsText(k.payload + "x") }},
	{name: "a NUL behind", forge: func(k *kit) string { return k.withClaimsText(k.payload + "\x00") }},
	{name: "a no-break space behind", forge: func(k *kit) string { return k.withClaimsText(k.payload + "\u00a0") }},
	{name: "a byte order mark before", forge: func(k *kit) string { return k.withClaimsText("\ufeff" + k.payload) }},
	{name: "text before", forge: func(k *kit) string { return k.withClaimsText(")]}',\n" + k.payload) }},
	{name: "an array around", forge: func(k *kit) string { return k.withClaimsText("[" + k.payload + "]") }},
	{name: "a comma too many", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, "")) }},
	{name: "no end", forge: func(k *kit) string { return k.withClaimsText(k.payload[:len(k.payload)-1]) }},
	{name: "NaN", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"nbf":NaN`)) }},
	{name: "a number with a zero before", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"nbf":01`)) }},
	{name: "a comment", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"x":1/**/`)) }},
	{name: "single quotes", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `'x':1`)) }},
	{name: "a byte that is not UTF-8", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, "\"x\":\"\xff\"")) }},
	{name: "an overlong slash", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, "\"x\":\"\xc0\xaf\"")) }},
	{name: "half of a surrogate pair", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"x":"\udc00"`)) }},
	{name: "a surrogate pair the wrong way round", forge: func(k *kit) string {
		return k.withClaimsText(last(k.payload, `"x":"\udc00\ud800"`))
	}},
	{name: "half of a surrogate pair in a name", forge: func(k *kit) string {
		return k.withClaimsText(last(k.payload, `"\ud800":1`))
	}},
	{name: "a thousand arrays", forge: func(k *kit) string { return k.withClaimsText(last(k.payload, `"x":`+nested(1000))) }},
}

// The claims that a decision rests on have the types of RFC 7519 section 4.1.
var claimTypeVariants = []variant{
	{name: "exp in a string", forge: func(k *kit) string { return k.withClaim("exp", `"4102444800"`) }},
	{name: "exp of NaN in a string", forge: func(k *kit) string { return k.withClaim("exp", `"NaN"`) }},
	{name: "exp as a date of RFC 3339", forge: func(k *kit) string { return k.withClaim("exp", `"2099-01-01T00:00:00Z"`) }},
	{name: "exp null", forge: func(k *kit) string { return k.withClaim("exp", "null") }},
	{name: "exp true", forge: func(k *kit) string { return k.withClaim("exp", "true") }},
	{name: "exp in an array", forge: func(k *kit) string { return k.withClaim("exp", "[4102444800]") }},
	{name: "exp in an object", forge: func(k *kit) string { return k.withClaim("exp", `{"seconds":4102444800}`) }},
	{name: "exp negative", forge: func(k *kit) string { return k.withClaim("exp", "-1") }},
	{name: "exp beyond all numbers", forge: func(k *kit) string { return k.withClaim("exp", "1e400") }},
	{name: "exp beyond 64 bits", forge: func(k *kit) string { return k.withClaim("exp", "18446744073709551616") }},
	{name: "exp in nanoseconds", forge: func(k *kit) string { return k.withClaim("exp", "4102444800000000000") }},
	{name: "exp of 1e15", forge: func(k *kit) string { return k.withClaim("exp", "1e15") }},
	{name: "exp in the year 10000", forge: func(k *kit) string { return k.withClaim("exp", "253402300800") }},
	{name: "nbf in a string", forge: func(k *kit) string { return k.withClaim("nbf", `"0"`) }},
	{name: "nbf negative", forge: func(k *kit) string { return k.withClaim("nbf", "-1") }},
	{name: "nbf null", forge: func(k *kit) string { return k.withClaim("nbf", "null") }},
	{name: "iat in a string", forge: func(k *kit) string { return k.withClaim("iat", `"0"`) }},
	{name: "iat negative", forge: func(k *kit) string { return k.withClaim("iat", "-1e3") }},
	{name: "aud with a number beside ours", forge: func(k *kit) string { return k.withClaims(Claims{"aud": []any{k.audience, 1}}) }},
	{name: "aud with null beside ours", forge: func(k *kit) string { return k.withClaims(Claims{"aud": []any{k.audience, nil}}) }},
	{name: "aud in an array too deep", forge: func(k *kit) string { return k.withClaims(Claims{"aud": []any{[]any{k.audience}}}) }},
	{name: "aud in an object", forge: func(k *kit) string { return k.withClaims(Claims{"aud": Claims{"service": k.audience}}) }},
	{name: "sub a number", forge: func(k *kit) string { return k.withClaim("sub", "1") }},
	{name: "sub null", forge: func(k *kit) string { return k.withClaim("sub", "null") }},
	{name: "sub in an array", forge: func(k *kit) string { return k.withClaim("sub", `["alice"]`) }},
	{name: "jti a number", forge: func(k *kit) string { return k.withClaim("jti", "1") }},
	{name: "jti an object", forge: func(k *kit) string { return k.withClaim("jti", "{}") }},
}

// pastLeeway is more than clocks may differ, whatever the leeway is set to, and for how long the attacks before take.
const pastLeeway = 5*time.Minute + 30*time.Second

// A token has a time to live, and this is it (RFC 7519 sections 4.1.4 to 4.1.6).
var timeVariants = []variant{
	{name: "no exp", forge: func(k *kit) string { return k.withClaims(Claims{"exp": nil}) }},
	{name: "exp a moment beyond the leeway", forge: func(k *kit) string {
		return k.withClaims(Claims{"exp": time.Now().Add(-pastLeeway)})
	}},
	{name: "exp with a fraction", forge: func(k *kit) string {
		return k.withClaim("exp", fmt.Sprintf("%d.5", time.Now().Add(-pastLeeway).Unix()))
	}},
	{name: "exp a year ago", forge: func(k *kit) string { return k.withClaims(Claims{"exp": time.Now().AddDate(-1, 0, 0)}) }},
	{name: "exp zero", forge: func(k *kit) string { return k.withClaim("exp", "0") }},
	{name: "nbf a moment beyond the leeway", forge: func(k *kit) string {
		return k.withClaims(Claims{"nbf": time.Now().Add(pastLeeway)})
	}},
	{name: "nbf in a year", forge: func(k *kit) string { return k.withClaims(Claims{"nbf": time.Now().AddDate(1, 0, 0)}) }},
	{name: "iat a moment beyond the leeway", forge: func(k *kit) string {
		return k.withClaims(Claims{"iat": time.Now().Add(pastLeeway)})
	}},
	{name: "iat in a year", forge: func(k *kit) string {
		return k.withClaims(Claims{"iat": time.Now().AddDate(1, 0, 0), "exp": time.Now().AddDate(1, 0, 1)})
	}},
}

// withAudience is a token that is meant for somebody else.
func (k *kit) withAudience(audience any) string {
	return k.withClaims(Claims{k.audienceClaim: audience})
}

// withAudienceLike is a token that is meant for another with nearly our name. There is none when
// the tokens name no audience.
func (k *kit) withAudienceLike(change func(ours string) string) string {
	if k.audience == "" || change(k.audience) == k.audience {
		return ""
	}
	return k.withAudience(change(k.audience))
}

// The token is meant for this service, named character by character (RFC 7519 section 4.1.3, RFC 8725 section 3.9).
var audienceVariants = []variant{
	{name: "none", forge: func(k *kit) string { return k.withAudience(nil) }},
	{name: "another", forge: func(k *kit) string { return k.withAudience("https://" + k.canary + ".example") }},
	{name: "others", forge: func(k *kit) string { return k.withAudience([]string{k.canary, "other"}) }},
	{name: "an empty string", forge: func(k *kit) string { return k.withAudience("") }},
	{name: "an empty array", forge: func(k *kit) string { return k.withAudience([]string{}) }},
	{name: "a star", forge: func(k *kit) string { return k.withAudience("*") }},
	{name: "ours without its last letter", forge: func(k *kit) string {
		return k.withAudienceLike(func(ours string) string { return ours[:len(ours)-1] })
	}},
	{name: "ours with a letter behind", forge: func(k *kit) string {
		return k.withAudienceLike(func(ours string) string { return ours + "x" })
	}},
	{name: "ours with a slash", forge: func(k *kit) string { return k.withAudienceLike(withSlash) }},
	{name: "ours with a space behind", forge: func(k *kit) string {
		return k.withAudienceLike(func(ours string) string { return ours + " " })
	}},
	{name: "ours among others in one string", forge: func(k *kit) string {
		return k.withAudienceLike(func(ours string) string { return "other " + ours })
	}},
	{name: "ours in capitals", forge: func(k *kit) string { return k.withAudienceLike(strings.ToUpper) }},
	{name: "the issuer", forge: func(k *kit) string { return k.withAudience(k.issuer.url) }},
}

// A token that is bound to a key is worth nothing to who cannot prove it, and nothing here checks a proof (RFC 7800, RFC 8705
// section 3, RFC 9449 section 6).
var confirmationVariants = []variant{
	{name: "a DPoP key", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"jkt": k.attacker.KeyID()}}) }},
	{name: "a certificate", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"x5t#S256": k.attacker.KeyID()}}) }},
	{name: "a key", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"jwk": k.attackersJWK("")}}) }},
	{name: "a kid", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"kid": k.canary}}) }},
	{name: "an empty object", forge: func(k *kit) string { return k.withClaim("cnf", "{}") }},
	{name: "a string", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": k.canary}) }},
	{name: "null", forge: func(k *kit) string { return k.withClaim("cnf", "null") }},
}

// A scope is granted when it is one of the words between spaces, and these are U+0020 (RFC 6749 section 3.3).
var scopeVariants = []variant{
	{name: "tabs between scopes", forge: func(k *kit) string { return k.glued("\t") }},
	{name: "line feeds between scopes", forge: func(k *kit) string { return k.glued("\n") }},
	{name: "commas between scopes", forge: func(k *kit) string { return k.glued(",") }},
	{name: "no-break spaces between scopes", forge: func(k *kit) string { return k.glued("\u00a0") }},
	{name: "a longer scope that begins with ours", forge: func(k *kit) string { return k.affixed("", "x") }},
	{name: "a longer scope that ends with ours", forge: func(k *kit) string { return k.affixed("x", "") }},
	{name: "an array with all in one string", forge: func(k *kit) string {
		if len(k.scopes) == 0 {
			return ""
		}
		return k.withClaims(Claims{"scope": []string{"x " + strings.Join(k.scopes, " ")}})
	}},
}

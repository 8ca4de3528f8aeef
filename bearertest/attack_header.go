package bearertest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"
)

// This file holds the attacks on the rules of a token's header.

// The header is one JSON object with one reading (RFC 7515 section 4, RFC 8259), and alg, kid and
// typ are strings.
var headerVariants = []variant{
	{name: "alg twice", forge: func(k *kit) string { return k.withHeaderText(first(k.header, `"alg":"none"`)) }},
	{name: "kid twice", forge: func(k *kit) string { return k.withHeaderText(first(k.header, `"kid":"other","kid":"other"`)) }},
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
	{name: "b64 false", forge: func(k *kit) string { return k.withHeader(Claims{"b64": false}) }},
	{name: "b64 null", forge: func(k *kit) string { return k.withHeader(Claims{"b64": json.RawMessage("null")}) }},
	{name: "b64 true in a string", forge: func(k *kit) string { return k.withHeader(Claims{"b64": "true"}) }},
	{name: "b64 of one", forge: func(k *kit) string { return k.withHeader(Claims{"b64": 1}) }},
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
		return k.attacked(Claims{"jku": dataURL(k.attackersKeySet())})
	}},
	{name: "jku with the attacker's kid", forge: func(k *kit) string {
		return k.attacked(Claims{"jku": dataURL(k.attackersKeySet()), "kid": k.attacker.KeyID()})
	}},
	{name: "x5c", forge: func(k *kit) string {
		return k.certified(func(der []byte) Claims {
			return Claims{"x5c": []string{base64.StdEncoding.EncodeToString(der)}}
		})
	}},
	{name: "x5u", forge: func(k *kit) string {
		return k.certified(func(der []byte) Claims {
			return Claims{"x5u": dataURL(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
		})
	}},
}

// The service chooses the algorithm, not the token (RFC 8725 sections 2.1, 3.1 and 3.2).
var algorithmVariants = []variant{
	{name: "none with an empty signature", forge: func(k *kit) string { return k.unsigned("none") }},
	{name: "None with an empty signature", forge: func(k *kit) string { return k.unsigned("None") }},
	{name: "NONE with an empty signature", forge: func(k *kit) string { return k.unsigned("NONE") }},
	{name: "nOnE with an empty signature", forge: func(k *kit) string { return k.unsigned("nOnE") }},
	{name: "none with some signature", forge: func(k *kit) string { return k.unsigned("none") + k.parts[2] }},
	{name: "none with a good signature", forge: func(k *kit) string { return k.withHeader(Claims{"alg": "none"}) }},
	{name: "HS256 with our key in PEM", forge: func(k *kit) string { return k.confused("HS256", (*kit).publicPEM) }},
	{name: "HS256 with our key in PEM, trimmed", forge: func(k *kit) string {
		return k.confused("HS256", func(k *kit) []byte { return bytes.TrimSpace(k.publicPEM()) })
	}},
	{name: "HS256 with our key in PEM of PKCS #1", forge: func(k *kit) string {
		public, ok := k.issuer.PublicKey().(*rsa.PublicKey)
		if !ok {
			return ""
		}
		block := &pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)}
		return k.hmac("HS256", pem.EncodeToMemory(block))
	}},
	{name: "HS256 with our key in DER", forge: func(k *kit) string { return k.confused("HS256", (*kit).publicDER) }},
	{name: "HS256 with our key as a JWK", forge: func(k *kit) string {
		return k.confused("HS256", func(k *kit) []byte { return mustJSON(publicMembers(k.issuer.PublicKey())) })
	}},
	{name: "HS256 with an empty secret", forge: func(k *kit) string { return k.hmac("HS256", nil) }},
	{name: "HS256 with the secret of an example", forge: func(k *kit) string { return k.hmac("HS256", []byte("your-256-bit-secret")) }},
	{name: "HS256 with the secret secret", forge: func(k *kit) string { return k.hmac("HS256", []byte("secret")) }},
	{name: "HS384 with our key in PEM", forge: func(k *kit) string { return k.confused("HS384", (*kit).publicPEM) }},
	{name: "HS512 with our key in PEM", forge: func(k *kit) string { return k.confused("HS512", (*kit).publicPEM) }},
	{name: "HS512 with an empty secret", forge: func(k *kit) string { return k.hmac("HS512", nil) }},
	{name: "HS256 that is not", forge: func(k *kit) string { return k.lying("HS256") }},
	{name: "HS512 that is not", forge: func(k *kit) string { return k.lying("HS512") }},
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

// The type is that of an access token or of a plain JWT (RFC 8725 section 3.11, RFC 9068 section
// 4).
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

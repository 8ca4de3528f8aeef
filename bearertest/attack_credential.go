package bearertest

import (
	"io"
	"net/http"
	"strings"

	"github.com/bearer-go/bearer"
)

// This file holds the attacks on the rules of how a credential is sent, and of the text of a token.

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

// One request carries one credential: one field line, the scheme Bearer in any case, spaces, one
// token (RFC 6750 section 2.1).
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
	{name: "a field of its own", put: field("X-Access-Token", ""), want: noCredential},
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

// A token has one spelling: base64url without padding, line breaks and bits left over (RFC 7515
// section 2, RFC 4648 section 3.5).
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

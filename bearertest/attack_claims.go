package bearertest

import (
	"fmt"
	"strings"
	"time"
)

// This file holds the attacks on the rules of the claims, and of a scope.

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

// plainJWT is the header of a token that does not say what it is for.
var plainJWT = Claims{"typ": "JWT"}

// A token of another kind is no access token, even if its type does not tell (RFC 8725 section
// 2.8).
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

// pastLeeway is more than clocks may differ, whatever the leeway is set to, and for how long the
// attacks before take.
const pastLeeway = 5*time.Minute + 30*time.Second

// A token has an end, and it has not passed (RFC 7519 section 4.1.4).
var expiryVariants = []variant{
	{name: "no exp", forge: func(k *kit) string { return k.withClaims(Claims{"exp": nil}) }},
	{name: "exp a moment beyond the leeway", forge: func(k *kit) string {
		return k.withClaims(Claims{"exp": time.Now().Add(-pastLeeway)})
	}},
	{name: "exp with a fraction", forge: func(k *kit) string { return k.withFraction("exp", -pastLeeway) }},
	{name: "exp a year ago", forge: func(k *kit) string { return k.withClaims(Claims{"exp": time.Now().AddDate(-1, 0, 0)}) }},
	{name: "exp zero", forge: func(k *kit) string { return k.withClaim("exp", "0") }},
}

// A token is not used before its time (RFC 7519 section 4.1.5).
var notBeforeVariants = []variant{
	{name: "nbf a moment beyond the leeway", forge: func(k *kit) string {
		return k.withClaims(Claims{"nbf": time.Now().Add(pastLeeway)})
	}},
	{name: "nbf with a fraction", forge: func(k *kit) string { return k.withFraction("nbf", pastLeeway) }},
	{name: "nbf in a year", forge: func(k *kit) string { return k.withClaims(Claims{"nbf": time.Now().AddDate(1, 0, 0)}) }},
}

// A token was not issued in the future (RFC 7519 section 4.1.6).
var issuedAtVariants = []variant{
	{name: "iat a moment beyond the leeway", forge: func(k *kit) string {
		return k.withClaims(Claims{"iat": time.Now().Add(pastLeeway)})
	}},
	{name: "iat with a fraction", forge: func(k *kit) string { return k.withFraction("iat", pastLeeway) }},
	{name: "iat in a year", forge: func(k *kit) string {
		return k.withClaims(Claims{"iat": time.Now().AddDate(1, 0, 0), "exp": time.Now().AddDate(1, 0, 1)})
	}},
}

// withFraction is a token with a date that has a fraction of a second.
func (k *kit) withFraction(claim string, fromNow time.Duration) string {
	return k.withClaim(claim, fmt.Sprintf("%d.5", time.Now().Add(fromNow).Unix()))
}

// withAudience is a token that is meant for another service.
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

// The token is meant for this service, named character by character (RFC 7519 section 4.1.3, RFC
// 8725 section 3.9).
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

// A token that is bound to a key is worth nothing to who cannot prove it, and nothing here checks a
// proof (RFC 7800, RFC 8705 section 3, RFC 9449 section 6).
var confirmationVariants = []variant{
	{name: "a DPoP key", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"jkt": k.attacker.KeyID()}}) }},
	{name: "a certificate", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"x5t#S256": k.attacker.KeyID()}}) }},
	{name: "a key", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"jwk": k.attackersJWK("")}}) }},
	{name: "a kid", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": Claims{"kid": k.canary}}) }},
	{name: "an empty object", forge: func(k *kit) string { return k.withClaim("cnf", "{}") }},
	{name: "a string", forge: func(k *kit) string { return k.withClaims(Claims{"cnf": k.canary}) }},
	{name: "null", forge: func(k *kit) string { return k.withClaim("cnf", "null") }},
}

// A scope is granted when it is one of the words between spaces, and these are U+0020 (RFC 6749
// section 3.3).
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

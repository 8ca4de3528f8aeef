package bearer_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

type c = bearertest.Claims

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// edit replaces one of a token's three parts.
func edit(token string, part int, f func(string) string) string {
	parts := strings.Split(token, ".")
	parts[part] = f(parts[part])
	return strings.Join(parts, ".")
}

// A token has one spelling, that of compact serialization (RFC 7515 section 7.1, RFC 4648 section
// 3.5).
// Rules: jws.compact, jws.one-spelling.
func TestTokenHasOneSpelling(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, good := newAuth(t, issuer), issuer.Token()
	wantReason(t, auth, good, "")
	for name, token := range map[string]string{
		"one part":                 "e30",
		"two parts":                strings.Join(strings.Split(good, ".")[:2], "."),
		"four parts":               good + ".e30",
		"five parts":               good + ".e30.e30",
		"empty header":             edit(good, 0, func(string) string { return "" }),
		"empty payload":            edit(good, 1, func(string) string { return "" }),
		"empty signature":          edit(good, 2, func(string) string { return "" }),
		"padding":                  good + "=",
		"padding in the middle":    edit(good, 1, func(s string) string { return s + "=" }),
		"standard alphabet":        edit(good, 2, func(string) string { return "ab+/" }),
		"line feed at the end":     good + "\n",
		"line break in the middle": edit(good, 1, func(s string) string { return s[:4] + "\r\n" + s[4:] }),
		"leading space":            " " + good,
		"trailing space":           good + " ",
		"NUL":                      good + "\x00",
		"beyond ASCII":             good + "é",
		"trailing bits":            edit(good, 2, func(s string) string { return s[:len(s)-1] + string(nextBase64(s[len(s)-1])) }),
		"impossible length":        edit(good, 2, func(string) string { return "abcde" }),
		"JSON serialization":       `{"payload":"e30","protected":"e30","signature":"e30"}`,
		"dots":                     "..",
		"a megabyte of dots, cut":  strings.Repeat(".", 16<<10),
	} {
		t.Run(name, func(t *testing.T) { wantReason(t, auth, token, bearer.ReasonMalformedToken) })
	}
}

// nextBase64 changes only the lowest bit of a base64url digit, which carries no data at the end of 64 bytes.
func nextBase64(digit byte) byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return digits[strings.IndexByte(digits, digit)^1]
}

// Rules: jws.size.
func TestTokenLongerThanTheLimitIsRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	token := issuer.Token(c{"padding": strings.Repeat("x", 100)})
	exact := newAuth(t, issuer, bearer.WithMaxTokenSize(len(token)))
	wantReason(t, exact, token, "")
	less := newAuth(t, issuer, bearer.WithMaxTokenSize(len(token)-1))
	wantReason(t, less, token, bearer.ReasonTokenTooLarge)

	standard := newAuth(t, issuer)
	wantReason(t, standard, strings.Repeat("a", (16<<10)), bearer.ReasonMalformedToken)
	wantReason(t, standard, strings.Repeat("a", (16<<10)+1), bearer.ReasonTokenTooLarge)
}

// The header is one JSON object with one reading, and an extension is never ignored (RFC 7515
// section 4.1.11).
// Rules: jws.header, jws.crit, key.kid.
func TestTokenHeaderIsReadStrictly(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	payload := payloadOf(t, issuer.Token())
	kid := issuer.KeyID()
	for name, tt := range map[string]struct {
		header string
		want   bearer.Reason
	}{
		"good":               {`{"alg":"ES256","kid":"` + kid + `"}`, ""},
		"white space":        {" {\n\"alg\" : \"ES256\" }\t", ""},
		"unknown member":     {`{"alg":"ES256","x":{"y":[1]}}`, ""},
		"not an object":      {`["ES256"]`, bearer.ReasonMalformedToken},
		"null":               {`null`, bearer.ReasonMalformedToken},
		"trailing data":      {`{"alg":"ES256"}{}`, bearer.ReasonMalformedToken},
		"byte order mark":    {"\ufeff" + `{"alg":"ES256"}`, bearer.ReasonMalformedToken},
		"invalid UTF-8":      {"{\"alg\":\"ES256\",\"x\":\"\xff\"}", bearer.ReasonMalformedToken},
		"no alg":             {`{"kid":"` + kid + `"}`, bearer.ReasonMalformedToken},
		"alg not a string":   {`{"alg":["ES256"]}`, bearer.ReasonMalformedToken},
		"alg null":           {`{"alg":null}`, bearer.ReasonMalformedToken},
		"ALG":                {`{"ALG":"ES256"}`, bearer.ReasonMalformedToken},
		"alg twice":          {`{"alg":"ES256","alg":"ES256"}`, bearer.ReasonMalformedToken},
		"alg twice, escaped": {`{"alg":"none","\u0061lg":"ES256"}`, bearer.ReasonMalformedToken},
		"nested name twice":  {`{"alg":"ES256","x":{"y":1,"y":2}}`, bearer.ReasonMalformedToken},
		"kid not a string":   {`{"alg":"ES256","kid":1}`, bearer.ReasonMalformedToken},
		"kid null":           {`{"alg":"ES256","kid":null}`, bearer.ReasonMalformedToken},
		"typ not a string":   {`{"alg":"ES256","typ":{}}`, bearer.ReasonMalformedToken},
		"crit":               {`{"alg":"ES256","crit":["exp"],"exp":1}`, bearer.ReasonUnsupportedHeader},
		"crit empty":         {`{"alg":"ES256","crit":[]}`, bearer.ReasonUnsupportedHeader},
		"b64 false":          {`{"alg":"ES256","b64":false}`, bearer.ReasonUnsupportedHeader},
		"unknown key":        {`{"alg":"ES256","kid":"other"}`, bearer.ReasonUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, auth, issuer.SignRaw([]byte(tt.header), payload), tt.want)
		})
	}
}

func payloadOf(t testing.TB, token string) []byte {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// A token does not bring its own key (RFC 8725 section 3.10): the attacker's key in the header changes nothing.
// Rules: jws.embedded-keys.
func TestEmbeddedKeysAreNotUsed(t *testing.T) {
	issuer, attacker := bearertest.NewIssuer(), bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(attacker.KeySet(), &set); err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]c{
		"jwk": {"jwk": set.Keys[0], "kid": issuer.KeyID()},
		"jku": {"jku": attacker.URL() + "/jwks", "kid": issuer.KeyID()},
		"x5u": {"x5u": "https://attacker.example/cert.pem", "kid": issuer.KeyID()},
		"x5c": {"x5c": []string{"MIIB"}, "kid": issuer.KeyID()},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, auth, attacker.Sign(header, c{"iss": issuer.URL(), "aud": issuer.Audience()}), bearer.ReasonSignature)
		})
	}
}

// The algorithm and the type are on the issuer's lists.
// Rules: jws.alg-allowed, jws.typ-allowed.
func TestAlgorithmAndTypeAreOnTheIssuersLists(t *testing.T) {
	issuer := bearertest.NewIssuer()
	tests := []struct {
		name   string
		opts   []bearer.IssuerOption
		header c
		want   bearer.Reason
	}{
		{"at+jwt", nil, c{"typ": "at+jwt"}, ""},
		{"AT+JWT", nil, c{"typ": "AT+JWT"}, ""},
		{"application/at+jwt", nil, c{"typ": "application/at+jwt"}, ""},
		{"Application/At+Jwt", nil, c{"typ": "Application/At+Jwt"}, ""},
		{"JWT", nil, c{"typ": "JWT"}, ""},
		{"absent", nil, c{"typ": nil}, ""},
		{"empty", nil, c{"typ": ""}, bearer.ReasonType},
		{"two prefixes", nil, c{"typ": "application/application/at+jwt"}, bearer.ReasonType},
		{"look-alike", nil, c{"typ": "JWſ"}, bearer.ReasonType},
		{"dpop+jwt", nil, c{"typ": "dpop+jwt"}, bearer.ReasonType},
		{"logout+jwt", nil, c{"typ": "logout+jwt"}, bearer.ReasonType},
		{"secevent+jwt", nil, c{"typ": "secevent+jwt"}, bearer.ReasonType},
		{"only at+jwt, JWT", []bearer.IssuerOption{bearer.TokenTypes("at+jwt")}, c{"typ": "JWT"}, bearer.ReasonType},
		{"only at+jwt, absent", []bearer.IssuerOption{bearer.TokenTypes("at+jwt")}, c{"typ": nil}, bearer.ReasonType},
		{"only at+jwt", []bearer.IssuerOption{bearer.TokenTypes("at+jwt")}, nil, ""},
		{"own type", []bearer.IssuerOption{bearer.TokenTypes("application/Example+JWT")}, c{"typ": "example+jwt"}, ""},
		{"none", nil, c{"alg": "none"}, bearer.ReasonAlgorithm},
		{"NONE", nil, c{"alg": "NONE"}, bearer.ReasonAlgorithm},
		{"HS256", nil, c{"alg": "HS256"}, bearer.ReasonAlgorithm},
		{"not on the default list", nil, c{"alg": "RS384"}, bearer.ReasonAlgorithm},
		{"not on the list", []bearer.IssuerOption{bearer.Algorithms("RS256")}, nil, bearer.ReasonAlgorithm},
		{"in lower case", nil, c{"alg": "es256"}, bearer.ReasonAlgorithm},
		{"of another kind of key", nil, c{"alg": "RS256"}, bearer.ReasonUnknownKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantReason(t, newTuple(t, issuer, tt.opts...), issuer.Sign(tt.header), tt.want)
		})
	}
}

// Every algorithm verifies what it signed, and Ed25519 (RFC 9864) is EdDSA's other name on both sides.
// Rules: jws.alg-allowed, jws.signature.
func TestEveryAlgorithmVerifiesItsTokens(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"} {
		t.Run(name, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(name))
			auth := newTuple(t, issuer, bearer.Algorithms(name))
			claims, err := auth.Guard().Verify(t.Context(), issuer.Token())
			if err != nil {
				t.Fatal(err)
			}
			want := name
			if name == "Ed25519" {
				want = "EdDSA"
			}
			if claims.Algorithm() != want || claims.KeyID() != issuer.KeyID() {
				t.Errorf("verified with %s and key %q", claims.Algorithm(), claims.KeyID())
			}
			wantReason(t, auth, edit(issuer.Token(), 2, func(s string) string { return "AAAA" + s[4:] }), bearer.ReasonSignature)
			if want == "EdDSA" {
				wantReason(t, auth, issuer.Sign(c{"alg": "EdDSA"}), "")
				wantReason(t, auth, issuer.Sign(c{"alg": "Ed25519"}), "")
			}
		})
	}
}

// Rules: jws.alg-allowed.
func TestHMACIsAcceptedOnlyWhereConfigured(t *testing.T) {
	secret := []byte(strings.Repeat("k", 64))
	for alg, opts := range map[string][]bearer.IssuerOption{
		"HS256": {bearer.HMACSecret(secret)},
		"HS384": {bearer.HMACSecret(secret), bearer.Algorithms("HS384")},
		"HS512": {bearer.HMACSecret(secret), bearer.Algorithms("HS256", "HS512")},
	} {
		t.Run(alg, func(t *testing.T) {
			auth := mustNew(t, bearer.WithIssuer("joe", aud, opts...))
			token := hmacToken(t, alg, secret, map[string]any{"iss": "joe", "aud": aud, "exp": time.Now().Unix() + 60})
			wantReason(t, auth, token, "")
			wantReason(t, auth, hmacToken(t, alg, []byte("other"), map[string]any{"iss": "joe", "aud": aud, "exp": time.Now().Unix() + 60}), bearer.ReasonSignature)
		})
	}
}

// A token that shows itself to be of another kind is refused, unless its typ says at+jwt.
// Rules: claims.access-token.
func TestOtherKindsOfTokenAreRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	for name, claims := range map[string]c{
		"at_hash": {"at_hash": "x"}, "c_hash": {"c_hash": "x"}, "s_hash": {"s_hash": "x"}, "events": {"events": c{}},
		"token_use id": {"token_use": "id"}, "token_use of another type": {"token_use": 1},
		"typ ID": {"typ": "ID"}, "typ id": {"typ": "id"}, "typ Refresh": {"typ": "Refresh"}, "typ Offline": {"typ": "Offline"}, "typ Logout": {"typ": "Logout"},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, auth, issuer.Sign(c{"typ": "JWT"}, claims), bearer.ReasonNotAccessToken)
			wantReason(t, auth, issuer.Sign(c{"typ": nil}, claims), bearer.ReasonNotAccessToken)
			wantReason(t, auth, issuer.Sign(c{"typ": "at+jwt"}, claims), "")
		})
	}
	wantReason(t, auth, issuer.Sign(c{"typ": "JWT"}, c{"token_use": "access", "typ": "Bearer"}), "")
}

// Each issuer is one tuple: neither its keys nor its audience nor its options serve another.
// Rules: key.per-issuer, claims.iss.
func TestIssuersAreSeparate(t *testing.T) {
	one := bearertest.NewIssuer(bearertest.WithURL("https://one.example"), bearertest.WithAudience("one"))
	two := bearertest.NewIssuer(bearertest.WithURL("https://two.example"), bearertest.WithAudience("two"))
	auth := mustNew(t,
		bearer.WithIssuer(one.URL(), "one", bearer.Keys(jwks.Static(one.KeySet()))),
		bearer.WithIssuer(two.URL(), "two", bearer.Keys(jwks.Static(two.KeySet())), bearer.Algorithms("ES256"), bearer.TokenTypes("at+jwt")),
	)
	wantReason(t, auth, one.Token(), "")
	wantReason(t, auth, two.Token(), "")
	wantReason(t, auth, one.Token(c{"iss": two.URL(), "aud": "two"}), bearer.ReasonUnknownKey)
	wantReason(t, auth, one.Sign(c{"kid": two.KeyID()}, c{"iss": two.URL(), "aud": "two"}), bearer.ReasonSignature)
	wantReason(t, auth, one.Token(c{"aud": "two"}), bearer.ReasonAudience)
	wantReason(t, auth, one.Sign(c{"typ": "JWT"}), "")
	wantReason(t, auth, two.Sign(c{"typ": "JWT"}), bearer.ReasonType)
	for _, unknown := range []string{"https://three.example", "https://one.example/", "https://ONE.example", "", "one"} {
		wantReason(t, auth, one.Token(c{"iss": unknown}), bearer.ReasonUnknownIssuer)
	}
	wantReason(t, auth, one.Token(c{"iss": nil}), bearer.ReasonMissingClaim)
	wantReason(t, auth, one.Token(c{"iss": []string{one.URL()}}), bearer.ReasonMalformedClaims)
}

// An unknown issuer and a forbidden algorithm end before any key is fetched.
// Rules: guard.cheap-first.
func TestRefusedBeforeAnyFetch(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	wantReason(t, auth, issuer.Token(c{"iss": "https://other.example"}), bearer.ReasonUnknownIssuer)
	wantReason(t, auth, issuer.Sign(c{"alg": "none"}), bearer.ReasonAlgorithm)
	wantReason(t, auth, issuer.Sign(c{"typ": "dpop+jwt"}), bearer.ReasonType)
	wantReason(t, auth, "a.b.c", bearer.ReasonMalformedToken)
	wantReason(t, auth, edit(issuer.Token(), 2, func(s string) string { return s + "AAA" }), bearer.ReasonMalformedToken)
	if n := issuer.Requests(); n != 0 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// The claims set is one JSON object with one reading, and its registered claims have their types.
// Rules: claims.json, claims.types.
func TestClaimsAreReadStrictly(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	exp := time.Now().Add(time.Minute).Unix()
	head := fmt.Sprintf(`{"iss":%q,"aud":%q`, issuer.URL(), issuer.Audience())
	good := head + fmt.Sprintf(`,"exp":%d`, exp)
	for name, tt := range map[string]struct {
		payload string
		want    bearer.Reason
	}{
		"good":                     {good + `}`, ""},
		"aud in an array":          {fmt.Sprintf(`{"iss":%q,"aud":["x",%q],"exp":%d}`, issuer.URL(), issuer.Audience(), exp), ""},
		"fraction of a second":     {head + fmt.Sprintf(`,"exp":%d.5}`, exp), ""},
		"exponent":                 {head + `,"exp":9e9}`, ""},
		"members in other case":    {good + `,"SUB":1,"Iss":"x","AUD":2,"EXP":"never"}`, ""},
		"trailing data":            {good + `}x`, bearer.ReasonMalformedClaims},
		"two objects":              {good + `}{}`, bearer.ReasonMalformedClaims},
		"sub twice":                {good + `,"sub":"alice","sub":"admin"}`, bearer.ReasonMalformedClaims},
		"sub twice, escaped":       {good + `,"sub":"alice","\u0073ub":"admin"}`, bearer.ReasonMalformedClaims},
		"iss twice":                {good + fmt.Sprintf(`,"iss":%q}`, issuer.URL()), bearer.ReasonMalformedClaims},
		"name twice, nested":       {good + `,"a":[{"b":1,"b":1}]}`, bearer.ReasonMalformedClaims},
		"invalid UTF-8":            {good + ",\"x\":\"\xc3\"}", bearer.ReasonMalformedClaims},
		"lone surrogate":           {good + `,"x":"\ud800"}`, bearer.ReasonMalformedClaims},
		"depth 33":                 {good + `,"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, bearer.ReasonMalformedClaims},
		"depth 32":                 {good + `,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, ""},
		"not an object":            {`"claims"`, bearer.ReasonMalformedClaims},
		"array":                    {`[` + good + `}]`, bearer.ReasonMalformedClaims},
		"exp a string":             {head + fmt.Sprintf(`,"exp":"%d"}`, exp), bearer.ReasonMalformedClaims},
		"exp null":                 {head + `,"exp":null}`, bearer.ReasonMalformedClaims},
		"exp negative":             {head + `,"exp":-1}`, bearer.ReasonMalformedClaims},
		"exp negative zero":        {head + `,"exp":-0}`, bearer.ReasonMalformedClaims},
		"exp after the year 9999":  {head + `,"exp":253402300800}`, bearer.ReasonMalformedClaims},
		"exp in the year 9999":     {head + `,"exp":253402300799}`, ""},
		"exp beyond 64 bits":       {head + `,"exp":18446744073709551616}`, bearer.ReasonMalformedClaims},
		"exp beyond float64":       {head + `,"exp":1e400}`, bearer.ReasonMalformedClaims},
		"exp a fraction too large": {head + `,"exp":253402300799.5}`, bearer.ReasonMalformedClaims},
		"exp NaN":                  {head + `,"exp":NaN}`, bearer.ReasonMalformedClaims},
		"nbf a string":             {good + `,"nbf":"0"}`, bearer.ReasonMalformedClaims},
		"iat an object":            {good + `,"iat":{}}`, bearer.ReasonMalformedClaims},
		"sub a number":             {good + `,"sub":1}`, bearer.ReasonMalformedClaims},
		"jti a number":             {good + `,"jti":1}`, bearer.ReasonMalformedClaims},
		"client_id a number":       {good + `,"client_id":1}`, bearer.ReasonMalformedClaims},
		"aud a number":             {fmt.Sprintf(`{"iss":%q,"aud":1,"exp":%d}`, issuer.URL(), exp), bearer.ReasonMalformedClaims},
		"aud with a number":        {fmt.Sprintf(`{"iss":%q,"aud":[%q,1],"exp":%d}`, issuer.URL(), issuer.Audience(), exp), bearer.ReasonMalformedClaims},
		"aud nested":               {fmt.Sprintf(`{"iss":%q,"aud":[[%q]],"exp":%d}`, issuer.URL(), issuer.Audience(), exp), bearer.ReasonMalformedClaims},
		"aud null":                 {fmt.Sprintf(`{"iss":%q,"aud":null,"exp":%d}`, issuer.URL(), exp), bearer.ReasonMalformedClaims},
		"ID token, then good":      {good + `,"typ":"ID","token_use":"access"}`, bearer.ReasonNotAccessToken},
		"no token_use, then good":  {good + `,"token_use":"id","typ":"Bearer"}`, bearer.ReasonNotAccessToken},
		"at_hash, then good":       {good + `,"at_hash":"x","token_use":"access","typ":"Bearer"}`, bearer.ReasonNotAccessToken},
		"good, then a nonce hash":  {good + `,"token_use":"access","typ":"Bearer","c_hash":"x"}`, bearer.ReasonNotAccessToken},
		"EXP alone":                {head + fmt.Sprintf(`,"EXP":%d}`, exp), bearer.ReasonMissingClaim},
		"AUD alone":                {fmt.Sprintf(`{"iss":%q,"AUD":%q,"exp":%d}`, issuer.URL(), issuer.Audience(), exp), bearer.ReasonAudience},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, auth, issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(tt.payload)), tt.want)
		})
	}
}

// Under a clock that stands still the bounds are exact.
// Rules: claims.exp, claims.nbf, claims.iat, claims.lifetime.
func TestTimesHaveExactBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		issuer := bearertest.NewIssuer()
		at := func(d time.Duration) time.Time { return now.Add(d) }
		strict := []bearer.IssuerOption{bearer.Leeway(0)}
		tests := []struct {
			name   string
			opts   []bearer.IssuerOption
			claims c
			want   bearer.Reason
		}{
			{"expired to the leeway", nil, c{"exp": at(-30 * time.Second)}, bearer.ReasonExpired},
			{"expired within the leeway", nil, c{"exp": at(-29 * time.Second)}, ""},
			{"expires now", strict, c{"exp": at(0)}, bearer.ReasonExpired},
			{"expires in a second", strict, c{"exp": at(time.Second)}, ""},
			{"most leeway", []bearer.IssuerOption{bearer.Leeway(5 * time.Minute)}, c{"exp": at(-299 * time.Second)}, ""},
			{"no exp", nil, c{"exp": nil}, bearer.ReasonMissingClaim},
			{"no exp, allowed", []bearer.IssuerOption{bearer.InsecureNoExpiry()}, c{"exp": nil}, ""},
			{"exp is checked nevertheless", []bearer.IssuerOption{bearer.InsecureNoExpiry()}, c{"exp": at(-time.Hour)}, bearer.ReasonExpired},
			{"exp zero", nil, c{"exp": 0}, bearer.ReasonExpired},
			{"nbf at the leeway", nil, c{"nbf": at(30 * time.Second)}, ""},
			{"nbf beyond the leeway", nil, c{"nbf": at(31 * time.Second)}, bearer.ReasonNotYetValid},
			{"nbf now", strict, c{"nbf": at(0)}, ""},
			{"nbf in a second", strict, c{"nbf": at(time.Second)}, bearer.ReasonNotYetValid},
			{"iat at the leeway", nil, c{"iat": at(30 * time.Second)}, ""},
			{"iat beyond the leeway", nil, c{"iat": at(31 * time.Second)}, bearer.ReasonIssuedInFuture},
			{"no iat", nil, c{"iat": nil}, ""},
			{"lifetime at the limit", []bearer.IssuerOption{bearer.MaxLifetime(time.Hour)}, c{"iat": at(0), "exp": at(time.Hour)}, ""},
			{"lifetime over the limit", []bearer.IssuerOption{bearer.MaxLifetime(time.Hour)}, c{"iat": at(0), "exp": at(time.Hour + time.Second)}, bearer.ReasonLifetime},
			{"lifetime without iat", []bearer.IssuerOption{bearer.MaxLifetime(time.Hour)}, c{"iat": nil}, bearer.ReasonMissingClaim},
			{"lifetime without exp", []bearer.IssuerOption{bearer.MaxLifetime(time.Hour), bearer.InsecureNoExpiry()}, c{"exp": nil}, bearer.ReasonMissingClaim},
		}
		for _, tt := range tests {
			auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), issuer.Audience(),
				append(tt.opts, bearer.Keys(jwks.Static(issuer.KeySet())))...))
			if err != nil {
				t.Fatal(err)
			}
			_, err = auth.Guard().Verify(t.Context(), issuer.Token(tt.claims))
			if got := reasonOf(t, err); got != tt.want {
				t.Errorf("%s: reason %q, want %q", tt.name, got, tt.want)
			}
			_ = auth.Close()
		}
	})
}

// Rules: claims.aud.
func TestAudienceNamesTheService(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithAudience("orders"))
	url := issuer.URL()
	keys := bearer.Keys(jwks.Static(issuer.KeySet()))
	one := mustNew(t, bearer.WithIssuer(url, "orders", keys))
	more := mustNew(t, bearer.WithIssuer(url, "orders", keys, bearer.Audiences("stock", "https://api.example")))
	cognito := mustNew(t, bearer.WithIssuer(url, "client-1", keys, bearer.AudienceClaim("client_id")))
	open := mustNew(t, bearer.WithIssuer(url, "", keys, bearer.InsecureAnyAudience()))
	tests := []struct {
		name   string
		auth   *bearer.Middleware
		claims c
		want   bearer.Reason
	}{
		{"equal", one, nil, ""},
		{"among others", one, c{"aud": []string{"x", "orders"}}, ""},
		{"another", one, c{"aud": "stock"}, bearer.ReasonAudience},
		{"prefix", one, c{"aud": "order"}, bearer.ReasonAudience},
		{"other case", one, c{"aud": "Orders"}, bearer.ReasonAudience},
		{"trailing slash", one, c{"aud": "orders/"}, bearer.ReasonAudience},
		{"none", one, c{"aud": nil}, bearer.ReasonAudience},
		{"empty array", one, c{"aud": []string{}}, bearer.ReasonAudience},
		{"empty string", one, c{"aud": ""}, bearer.ReasonAudience},
		{"one of several", more, c{"aud": "https://api.example"}, ""},
		{"none of several", more, c{"aud": "x"}, bearer.ReasonAudience},
		{"other claim", cognito, c{"aud": nil, "client_id": "client-1"}, ""},
		{"other claim, aud does not count", cognito, c{"aud": "client-1", "client_id": "x"}, bearer.ReasonAudience},
		{"other claim absent", cognito, c{"aud": nil, "client_id": nil}, bearer.ReasonAudience},
		{"other claim with a foreign aud", cognito, c{"aud": "stock", "client_id": "client-1"}, bearer.ReasonAudience},
		{"other claim with an empty aud", cognito, c{"aud": []string{}, "client_id": "client-1"}, ""},
		{"other claim, and aud too", cognito, c{"aud": []string{"x", "client-1"}, "client_id": "client-1"}, ""},
		{"any", open, c{"aud": "whatever"}, ""},
		{"any, absent", open, c{"aud": nil}, ""},
		{"any, malformed", open, c{"aud": 1}, bearer.ReasonMalformedClaims},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantReason(t, tt.auth, issuer.Token(tt.claims), tt.want) })
	}
}

// RFC 7800 section 3.1: a bound token is not a bearer token while nothing checks the proof.
// Rules: claims.cnf.
func TestSenderConstrainedTokensAreRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, loose := newAuth(t, issuer), newTuple(t, issuer, bearer.InsecureIgnoreConfirmation())
	for _, cnf := range []any{c{"jkt": "x"}, c{"x5t#S256": "x"}, c{}, "x", json.RawMessage("null")} {
		wantReason(t, auth, issuer.Token(c{"cnf": cnf}), bearer.ReasonSenderConstrained)
		wantReason(t, loose, issuer.Token(c{"cnf": cnf}), "")
	}
}

// Rules: claims.required.
func TestRFC9068ProfileRequiresItsClaims(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newTuple(t, issuer, bearer.RFC9068())
	wantReason(t, auth, issuer.Token(), "")
	wantReason(t, auth, issuer.Sign(c{"typ": "JWT"}), bearer.ReasonType)
	wantReason(t, auth, issuer.Sign(c{"typ": nil}), bearer.ReasonType)
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
		wantReason(t, auth, issuer.Token(c{name: nil}), bearer.ReasonMissingClaim)
	}
	for _, name := range []string{"sub", "client_id", "jti"} {
		wantReason(t, auth, issuer.Token(c{name: "", "azp": "app"}), bearer.ReasonMissingClaim)
	}
}

// The first step that fails is the one that is reported.
// Rules: guard.first-failure.
func TestFirstFailingStepDecides(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	broken := func(token string) string { return edit(token, 2, func(s string) string { return "AAAA" + s[4:] }) }
	for _, tt := range []struct {
		token string
		want  bearer.Reason
	}{
		{broken(issuer.Sign(c{"crit": []string{"x"}}, c{"iss": "x", "exp": 1})), bearer.ReasonUnsupportedHeader},
		{broken(issuer.Sign(c{"alg": "none", "typ": "x"}, c{"iss": "x", "exp": 1})), bearer.ReasonUnknownIssuer},
		{broken(issuer.Sign(c{"alg": "none", "typ": "x"}, c{"exp": 1})), bearer.ReasonAlgorithm},
		{broken(issuer.Sign(c{"typ": "x", "kid": "x"}, c{"exp": 1})), bearer.ReasonType},
		{broken(issuer.Sign(c{"kid": "x"}, c{"exp": 1})), bearer.ReasonUnknownKey},
		{broken(issuer.Sign(nil, c{"exp": 1, "sub": 1})), bearer.ReasonSignature},
		{issuer.Sign(nil, c{"exp": 1, "sub": 1}), bearer.ReasonMalformedClaims},
		{issuer.Sign(nil, c{"exp": 1, "aud": "x", "cnf": c{}}), bearer.ReasonExpired},
		{issuer.Sign(nil, c{"aud": "x", "cnf": c{}}), bearer.ReasonAudience},
	} {
		wantReason(t, auth, tt.token, tt.want, bearer.Scopes("none-has-this"))
	}
}

// A signature is looked at when it is as long as that of the largest RSA key, 8192 bits, and no token is that has a longer one.
func TestSignatureLongerThanAnyKeyIsRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	for _, claims := range []c{nil, {"padding": strings.Repeat("x", 4<<10)}} {
		for size, want := range map[int]bearer.Reason{
			1: bearer.ReasonSignature, 1023: bearer.ReasonSignature, 1024: bearer.ReasonSignature,
			1025: bearer.ReasonMalformedToken, 4096: bearer.ReasonMalformedToken,
		} {
			token := edit(issuer.Token(claims), 2, func(string) string { return b64(strings.Repeat("x", size)) })
			wantReason(t, auth, token, want)
		}
	}
}

// Go's base64 decoder skips line breaks. Wherever they stand, and whatever the length of the part, they make another spelling.
// Rules: jws.one-spelling.
func TestLineBreaksAnywhereAreRefused(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithAlgorithm("EdDSA"))
	auth := newAuth(t, issuer)
	for n := range 4 {
		token := issuer.Sign(c{"x": strings.Repeat("x", n)}, c{"y": strings.Repeat("y", n)})
		wantReason(t, auth, token, "")
		for i := range len(token) + 1 {
			for _, lineBreak := range []string{"\n", "\r", "\r\n", "\n\n\n\n"} {
				wantReason(t, auth, token[:i]+lineBreak+token[i:], bearer.ReasonMalformedToken)
			}
		}
	}
}

// A date that no clock shows counts as absent where a claim may be.
func TestAuthTimeBeyondTheYear9999IsAbsent(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	for value, absent := range map[int64]bool{253402300799: false, 253402300800: true, math.MaxInt64: true} {
		claims, err := auth.Guard().Verify(t.Context(), issuer.Token(c{"auth_time": value}))
		if err != nil || claims.AuthTime().IsZero() != absent {
			t.Errorf("auth_time %d: %v, %v", value, claims.AuthTime(), err)
		}
	}
}

// Requests that wait for keys hold no more memory than their tokens need.
func TestWaitingRequestsHoldLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		issuer.SetFault(bearertest.Hang)
		auth := newAuth(t, issuer, bearer.WithMaxTokenSize(1<<20))
		token := issuer.Token()
		var before, waiting runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { wantReason(t, auth, token, bearer.ReasonKeysUnavailable) })
		}
		synctest.Wait()
		runtime.ReadMemStats(&waiting)
		if held := int64(waiting.HeapAlloc) - int64(before.HeapAlloc); held > 20<<20 {
			t.Errorf("200 waiting requests hold %d MiB", held>>20)
		}
		wg.Wait()
	})
}

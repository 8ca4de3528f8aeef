package reference_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/reference"
)

const (
	issuer   = "https://issuer.test"
	audience = "https://api.test"
	instant  = 2_000_000_000 // the time at which all tokens are judged

	goodHeader = `{"alg":"EdDSA","kid":"a","typ":"at+jwt"}`
	goodClaims = `{"iss":"https://issuer.test","aud":"https://api.test","exp":2000000060}`
)

var (
	now     = time.Unix(instant, 0)
	ours    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	another = ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize)))
)

func named(kid string, key ed25519.PrivateKey) reference.Key {
	return reference.Key{ID: kid, Public: key.Public()}
}

func trusting(keys ...reference.Key) *reference.Reference {
	return reference.New(reference.Config{Issuer: issuer, Audience: audience, Keys: keys})
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign returns a token with exactly these texts.
func sign(key ed25519.PrivateKey, header, claims string) string {
	input := encode(header) + "." + encode(claims)
	return input + "." + encode(string(ed25519.Sign(key, []byte(input))))
}

// with is a JSON object with members added at its end.
func with(object, members string) string {
	return strings.TrimSuffix(object, "}") + "," + members + "}"
}

// swap replaces what is there.
func swap(t *testing.T, object, old, replacement string) string {
	t.Helper()
	if !strings.Contains(object, old) {
		t.Fatalf("there is no %s in %s", old, object)
	}
	return strings.Replace(object, old, replacement, 1)
}

// deep is a member that makes its object so deep.
func deep(depth int) string {
	return `"x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1)
}

// judged fails the test unless the error is of this rule; of none if it is "".
func judged(t *testing.T, err error, want reference.Rule) {
	t.Helper()
	var refusal *reference.Refusal
	switch {
	case err == nil && want != "":
		t.Errorf("it is accepted, want it to break %q", want)
	case err != nil && !errors.As(err, &refusal):
		t.Errorf("the error %v is no Refusal", err)
	case err != nil && refusal.Rule != want:
		t.Errorf("%v, want %q", err, want)
	}
}

// The limits of the header and the claims, from both sides. A token that names a rule breaks that
// one alone.
func TestRulesOfHeaderAndClaimsHaveTheirLimits(t *testing.T) {
	const none reference.Rule = ""
	for _, test := range []struct {
		header, claims string
		want           reference.Rule
	}{
		{goodHeader, goodClaims, none},

		{" " + goodHeader + "\r\n", "\t" + goodClaims + " ", none},
		{with(goodHeader, deep(32)), with(goodClaims, deep(32)), none},
		{with(goodHeader, deep(33)), goodClaims, reference.Header},
		{goodHeader, with(goodClaims, deep(33)), reference.Claims},
		{with(goodHeader, `"ALG":"none"`), with(goodClaims, `"EXP":1`), none}, // other names
		{with(goodHeader, `"x":1,"\u0078":2`), goodClaims, reference.Header},
		{goodHeader, with(goodClaims, `"x":[{"y":1,"y":2}]`), reference.Claims},
		{goodHeader, with(goodClaims, `"x":[{"y":1},{"y":2}]`), none},
		{goodHeader, with(goodClaims, `"x":"\ud83d\ude00 \\ud800 \ufffd `+"\ufffd"+`"`), none},
		{goodHeader, with(goodClaims, `"x":"\ud83d"`), reference.Claims},
		{goodHeader, with(goodClaims, `"x":"\ud83dx\ude00"`), reference.Claims},
		{goodHeader, with(goodClaims, `"x":"\ud83d\n\ude00"`), reference.Claims},
		{goodHeader, with(goodClaims, `"x":"\ude00"`), reference.Claims},
		{goodHeader, with(goodClaims, `"x":"\ud83d","\ude00":1`), reference.Claims},
		{goodHeader, with(goodClaims, "\"x\":\"\xff\""), reference.Claims},
		{goodHeader, goodClaims + "x", reference.Claims},
		{goodHeader, "[" + goodClaims + "]", reference.Claims},
		{goodHeader, "null", reference.Claims},

		{`{"kid":"a"}`, goodClaims, reference.Header},
		{`{"alg":"","kid":"a"}`, goodClaims, reference.Header},
		{`{"alg":"EdDSA","kid":1}`, goodClaims, reference.Header},
		{`{"alg":"EdDSA","typ":null}`, goodClaims, reference.Header},
		{with(goodHeader, `"crit":[]`), goodClaims, reference.Extensions},
		{with(goodHeader, `"b64":true`), goodClaims, none},
		{with(goodHeader, `"b64":false`), goodClaims, reference.Extensions},
		{with(goodHeader, `"b64":"true"`), goodClaims, reference.Extensions},
		{with(goodHeader, `"b64":null`), goodClaims, reference.Extensions},
		{with(goodHeader, `"crit":["b64"],"b64":true`), goodClaims, reference.Extensions},
		{with(goodHeader, `"jku":"https://evil.example","jwk":{},"x5c":[],"x5u":""`), goodClaims, none},

		{goodHeader, swap(t, goodClaims, "issuer.test", "issuer.test/"), reference.Issuer},
		{goodHeader, swap(t, goodClaims, `"https://issuer.test"`, "null"), reference.Issuer},
		{goodHeader, swap(t, goodClaims, `"iss"`, `"ISS"`), reference.Issuer},

		{swap(t, goodHeader, "EdDSA", "Ed25519"), goodClaims, none},
		{swap(t, goodHeader, "EdDSA", "none"), goodClaims, reference.Algorithm},
		{swap(t, goodHeader, "EdDSA", "eddsa"), goodClaims, reference.Algorithm},
		{swap(t, goodHeader, "EdDSA", "HS256"), goodClaims, reference.Algorithm},
		{swap(t, goodHeader, "EdDSA", "RS384"), goodClaims, reference.Algorithm}, // not on the default list
		{swap(t, goodHeader, "EdDSA", "ES384"), goodClaims, reference.KeyID},     // on the list, but not this key's
		{swap(t, goodHeader, "EdDSA", "ES512"), goodClaims, reference.KeyID},
		{swap(t, goodHeader, "EdDSA", "ES256"), goodClaims, reference.KeyID}, // on the list, but not this key's

		{swap(t, goodHeader, "at+jwt", "application/AT+JWT"), goodClaims, none},
		{swap(t, goodHeader, "at+jwt", "JWT"), goodClaims, none},
		{swap(t, goodHeader, `,"typ":"at+jwt"`, ""), goodClaims, none},
		{swap(t, goodHeader, "at+jwt", ""), goodClaims, reference.Type},
		{swap(t, goodHeader, "at+jwt", "application/application/jwt"), goodClaims, reference.Type},
		{swap(t, goodHeader, "at+jwt", "text/jwt"), goodClaims, reference.Type},
		{swap(t, goodHeader, "at+jwt", "logout+jwt"), goodClaims, reference.Type},

		{goodHeader, with(goodClaims, `"at_hash":"x","typ":"ID"`), none}, // at+jwt says what it is
		{swap(t, goodHeader, "at+jwt", "JWT"), with(goodClaims, `"token_use":"access","typ":"Bearer"`), none},
		{swap(t, goodHeader, "at+jwt", "JWT"), with(goodClaims, `"events":null`), reference.OtherTokens},
		{swap(t, goodHeader, "at+jwt", "JWT"), with(goodClaims, `"token_use":1`), reference.OtherTokens},
		{swap(t, goodHeader, "at+jwt", "JWT"), with(goodClaims, `"typ":"OFFLINE"`), reference.OtherTokens},

		{swap(t, goodHeader, `"a"`, `"b"`), goodClaims, reference.KeyID},
		{swap(t, goodHeader, `"kid":"a",`, ""), goodClaims, none},
		{swap(t, goodHeader, `"a"`, `""`), goodClaims, none},

		{goodHeader, with(goodClaims, `"sub":"","jti":""`), none},
		{goodHeader, with(goodClaims, `"sub":1`), reference.ClaimTypes},
		{goodHeader, with(goodClaims, `"jti":null`), reference.ClaimTypes},
		{goodHeader, with(goodClaims, `"nbf":0,"iat":1.5e9`), none},
		{goodHeader, with(goodClaims, `"nbf":-0`), reference.ClaimTypes},
		{goodHeader, with(goodClaims, `"iat":"0"`), reference.ClaimTypes},
		{goodHeader, swap(t, goodClaims, "2000000060", "253402300799"), none},
		{goodHeader, swap(t, goodClaims, "2000000060", "253402300799.5"), reference.ClaimTypes},
		{goodHeader, swap(t, goodClaims, "2000000060", "1e400"), reference.ClaimTypes},

		{goodHeader, swap(t, goodClaims, "2000000060", "1999999971"), none},
		{goodHeader, swap(t, goodClaims, "2000000060", "1999999970.5"), none},
		{goodHeader, swap(t, goodClaims, "2000000060", "1999999970"), reference.Expiry},
		{goodHeader, with(goodClaims, `"nbf":2000000030`), none},
		{goodHeader, with(goodClaims, `"nbf":2000000030.5`), reference.NotBefore},
		{goodHeader, with(goodClaims, `"iat":2000000031`), reference.IssuedAt},
		{goodHeader, swap(t, goodClaims, `"exp"`, `"EXP"`), reference.Expiry},

		{goodHeader, swap(t, goodClaims, `"https://api.test"`, `["x","https://api.test"]`), none},
		{goodHeader, swap(t, goodClaims, `"https://api.test"`, `["https://api.test",1]`), reference.ClaimTypes},
		{goodHeader, swap(t, goodClaims, `"https://api.test"`, `{"x":"https://api.test"}`), reference.ClaimTypes},
		{goodHeader, swap(t, goodClaims, `"https://api.test"`, `[]`), reference.Audience},
		{goodHeader, swap(t, goodClaims, `"https://api.test"`, `"https://API.test"`), reference.Audience},
		{goodHeader, swap(t, goodClaims, `"aud"`, `"AUD"`), reference.Audience},

		{goodHeader, with(goodClaims, `"cnf":{}`), reference.Confirmation},
	} {
		t.Run(test.header+"."+test.claims, func(t *testing.T) {
			judged(t, trusting(named("a", ours)).Verify(sign(ours, test.header, test.claims), now), test.want)
		})
	}
}

func TestRulesOfTheTextHaveTheirLimits(t *testing.T) {
	good := sign(ours, goodHeader, goodClaims)
	parts := strings.Split(good, ".")
	fill := func(size int) string {
		return sign(ours, goodHeader, with(goodClaims, fmt.Sprintf(`"x":"%0*d"`, size, 0)))
	}
	size := 0
	for len(fill(size+1)) <= 16<<10 {
		size++
	}
	for name, test := range map[string]struct {
		token string
		want  reference.Rule
	}{
		"good":                      {good, ""},
		"as long as it may be":      {fill(size), ""},
		"longer":                    {fill(size + 1), reference.Size},
		"empty":                     {"", reference.Shape},
		"two parts":                 {parts[0] + "." + parts[1], reference.Shape},
		"four parts":                {good + ".", reference.Shape},
		"no header":                 {"." + parts[1] + "." + parts[2], reference.Shape},
		"no payload":                {parts[0] + ".." + parts[2], reference.Shape},
		"no signature":              {parts[0] + "." + parts[1] + ".", reference.Signature},
		"padding":                   {good + "==", reference.Spelling},
		"a line break":              {parts[0] + "\n." + parts[1] + "." + parts[2], reference.Spelling},
		"a bit left over":           {good[:len(good)-1] + string(good[len(good)-1]+1), reference.Spelling},
		"another token's signature": {parts[0] + "." + parts[1] + "." + strings.Split(fill(1), ".")[2], reference.Signature},
		"another's signature":       {sign(another, goodHeader, goodClaims), reference.Signature},
	} {
		t.Run(name, func(t *testing.T) {
			judged(t, trusting(named("a", ours)).Verify(test.token, now), test.want)
		})
	}
}

func TestKeyIDAndAlgorithmChooseTheKey(t *testing.T) {
	without := swap(t, goodHeader, `"kid":"a",`, "")
	for name, test := range map[string]struct {
		header string
		keys   []reference.Key
		want   reference.Rule
	}{
		"the one of the kid":              {goodHeader, []reference.Key{named("b", another), named("a", ours)}, ""},
		"two of the kid":                  {goodHeader, []reference.Key{named("a", another), named("a", ours)}, ""},
		"the wrong one of the kid":        {goodHeader, []reference.Key{named("b", ours), named("a", another)}, reference.Signature},
		"none of the kid":                 {goodHeader, []reference.Key{named("b", ours)}, reference.KeyID},
		"one without a kid":               {goodHeader, []reference.Key{named("", ours)}, ""},
		"no kid, one key":                 {without, []reference.Key{named("a", ours)}, ""},
		"no kid, two keys":                {without, []reference.Key{named("a", ours), named("b", another)}, reference.KeyID},
		"a key of the same algorithm":     {goodHeader, []reference.Key{{ID: "a", Algorithm: "Ed25519", Public: ours.Public()}}, ""},
		"a key of another algorithm":      {goodHeader, []reference.Key{{ID: "a", Algorithm: "ES256", Public: ours.Public()}}, reference.KeyID},
		"the private key, which is wrong": {goodHeader, []reference.Key{{ID: "a", Public: ours}}, reference.KeyID},
	} {
		t.Run(name, func(t *testing.T) {
			judged(t, trusting(test.keys...).Verify(sign(ours, test.header, goodClaims), now), test.want)
		})
	}
}

func TestEveryAlgorithmVerifies(t *testing.T) {
	for _, algorithm := range []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
	} {
		t.Run(algorithm, func(t *testing.T) {
			issuer := bearertest.NewIssuer(bearertest.WithAlgorithm(algorithm))
			config := reference.Config{
				Issuer: issuer.URL(), Audience: issuer.Audience(), Algorithms: []string{algorithm},
				Keys: []reference.Key{{ID: issuer.KeyID(), Public: issuer.PublicKey()}},
			}
			first, second := issuer.Token(), issuer.Token()
			judged(t, reference.New(config).Verify(first, time.Now()), "")
			exchanged := first[:strings.LastIndexByte(first, '.')] + second[strings.LastIndexByte(second, '.'):]
			judged(t, reference.New(config).Verify(exchanged, time.Now()), reference.Signature)
		})
	}
}

// The answers of RFC 6750 section 3. That those of every rule are right, and that each rule can be
// taken out, is tested with bearertest.Attack.
func TestHandlerAnswersAsRFC6750Says(t *testing.T) {
	const demanded = "orders:read"
	live := bearertest.NewIssuer()
	handler := reference.New(reference.Config{
		Issuer: live.URL(), Audience: live.Audience(), Scope: demanded,
		Keys: []reference.Key{{ID: live.KeyID(), Public: live.PublicKey()}},
	}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	granted := func(claims bearertest.Claims) []string { return []string{"Bearer " + live.Token(claims)} }
	for name, test := range map[string]struct {
		authorization []string
		status        int
		challenge     string
	}{
		"good":              {granted(bearertest.Claims{"scope": "profile orders:read"}), 204, ""},
		"scp":               {granted(bearertest.Claims{"scp": []string{"orders:read"}}), 204, ""},
		"another scope":     {granted(bearertest.Claims{"scope": "orders:reader"}), 403, `Bearer error="insufficient_scope"`},
		"no scope":          {granted(nil), 403, `Bearer error="insufficient_scope"`},
		"expired":           {granted(bearertest.Claims{"exp": 1}), 401, `Bearer error="invalid_token"`},
		"no token":          {nil, 401, "Bearer"},
		"another scheme":    {[]string{"Basic eDp5"}, 401, "Bearer"},
		"two headers":       {[]string{"Bearer x", "Bearer x"}, 400, `Bearer error="invalid_request"`},
		"no token behind":   {[]string{"Bearer"}, 400, `Bearer error="invalid_request"`},
		"two tokens behind": {[]string{"Bearer x y"}, 400, `Bearer error="invalid_request"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header["Authorization"] = test.authorization
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if got := w.Header().Get("WWW-Authenticate"); w.Code != test.status || got != test.challenge {
				t.Errorf("%d %q, want %d %q", w.Code, got, test.status, test.challenge)
			}
		})
	}
}

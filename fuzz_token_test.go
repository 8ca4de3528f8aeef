package bearer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/vectors"
)

// tokenSeed is a token and a piece of it to replace, so that the fuzzer starts close to a good
// token.
type tokenSeed struct {
	text    string
	at, cut uint16
	insert  string
}

func (s tokenSeed) token() string {
	at := min(int(s.at), len(s.text))
	end := min(at+int(s.cut), len(s.text))
	return s.text[:at] + s.insert + s.text[end:]
}

func tokenSeeds(t testing.TB, minted []string) (seeds []tokenSeed) {
	t.Helper()
	for _, token := range minted {
		seeds = append(seeds, tokenSeed{text: token})
		first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
		for _, at := range []int{0, first, last + 1, len(token) - 1, len(token)} {
			for _, insert := range []string{"", "A", "=", "\n"} {
				seeds = append(seeds, tokenSeed{token, uint16(at), 0, insert}, tokenSeed{token, uint16(at), 1, insert})
			}
		}
	}
	if vectors.Available() {
		for _, name := range []string{wycheproofJWS, wycheproofCrypto} {
			for _, g := range readVectors(t, name).Groups {
				for _, v := range g.Tests[:min(17, len(g.Tests))] {
					seeds = append(seeds, tokenSeed{text: v.token(t)})
				}
			}
		}
	}
	for _, example := range readRFCExamples(t).JWS {
		seeds = append(seeds, tokenSeed{text: example.Token})
	}
	return seeds
}

// A token is accepted if and only if it is one that was minted, in the spelling in which it was
// minted. No option changes that, but for those that demand other claims.
func FuzzToken(f *testing.F) {
	targets := newFuzzTargets(f)
	seeds := tokenSeeds(f, targets[0].minted)
	checkSeeds(f, seeds, func(s tokenSeed) bool { return targets[0].verify(f, s.token()) != nil })
	for i, s := range seeds {
		f.Add(s.text, s.at, s.cut, s.insert, uint8(0))
		f.Add(s.text, s.at, s.cut, s.insert, uint8(i%len(targets)))
	}
	f.Fuzz(func(t *testing.T, text string, at, cut uint16, insert string, setting uint8) {
		token, target := tokenSeed{text, at, cut, insert}.token(), targets[int(setting)%len(targets)]
		accepted, minted := target.verify(t, token) != nil, slices.Contains(target.minted, token)
		if accepted != minted && (accepted || target == targets[0]) {
			t.Errorf("accepted is %v, minted is %v: %q", accepted, minted, token)
		}
	})
}

var headerSeeds = []string{
	`{"alg":"EdDSA"}`,
	`{"alg":"Ed25519"}`,
	`{"alg":"EdDSA","kid":"kid-ed-sign"}`,
	`{"alg":"EdDSA","kid":"kid-ed-sign","typ":"at+jwt"}`,
	`{"alg":"EdDSA","typ":"application/AT+JWT"}`,
	" {\r\n\t\"alg\" : \"EdDSA\" , \"typ\" : \"JWT\" } ",
	`{"alg":"EdDSA","kid":"kid-ed-sign","jwk":{"kty":"OKP"},"jku":"https://attacker.example"}`,
	`{"alg":"EdDSA","kid":"kid-rs256"}`,
	`{"alg":"EdDSA","kid":"other"}`,
	`{"alg":"EdDSA","kid":""}`,
	`{"alg":"EdDSA","kid":null}`,
	`{"alg":"EdDSA","typ":"dpop+jwt"}`,
	`{"alg":"EdDSA","typ":"JW` + "\u017f" + `"}`,
	`{"alg":"EdDSA","typ":""}`,
	`{"alg":"EdDSA","crit":["exp"]}`,
	`{"alg":"EdDSA","b64":true}`,
	`{"alg":"EdDSA","b64":false}`,
	`{"alg":"EdDSA","b64":"true"}`,
	`{"alg":"EdDSA","crit":["b64"],"b64":true}`,
	`{"alg":"EdDSA","typ":"application/application/jwt"}`,
	`{"alg":"EdDSA","nonce":"x"}`,
	`{"alg":"ES384","kid":"kid-ed-sign"}`,
	`{"alg":"EdDSA","CRIT":["exp"]}`,
	`{"alg":"EdDSA","alg":"EdDSA"}`,
	`{"alg":"none","\u0061lg":"EdDSA"}`,
	`{"ALG":"EdDSA"}`,
	`{"alg":["EdDSA"]}`,
	`{"alg":"none"}`,
	`{"alg":"HS256"}`,
	`{"alg":"RS256","kid":"kid-rs256"}`,
	`{"alg":"EdDSA","x":{"y":1,"y":2}}`,
	`{"alg":"EdDSA","x":"\ud800"}`,
	"{\"alg\":\"EdDSA\",\"x\":\"\xff\"}",
	"\ufeff" + `{"alg":"EdDSA"}`,
	`{"alg":"EdDSA"}{}`,
	`{"alg":"EdDSA"}` + "\x00",
	`{"alg":"EdDSA","x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
	`{"alg":"EdDSA","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
	`["EdDSA"]`,
	`null`,
	``,
}

// If correctly signed claims are accepted, their header is one JSON object with one reading. It
// names the key's algorithm, an accepted type and the key that signed, and has no extensions.
func FuzzHeader(f *testing.F) {
	target := newFuzzTarget(f)
	checkSeeds(f, headerSeeds, func(s string) bool { return target.verify(f, target.sign(s, fuzzClaims)) != nil })
	for _, s := range headerSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		claims := target.verify(t, target.sign(string(header), fuzzClaims))
		if claims == nil {
			return
		}
		members := readIndependently(t, header)
		if alg := members["alg"]; alg != "EdDSA" && alg != "Ed25519" {
			t.Errorf("alg is %v", alg)
		}
		if kid, found := members["kid"]; found && kid != fuzzKeyID && kid != "" {
			t.Errorf("kid is %v", kid)
		}
		if typ, found := members["typ"]; found && !regexp.MustCompile(`^(?i:(application/)?(at\+jwt|jwt))$`).MatchString(fmt.Sprint(typ)) {
			t.Errorf("typ is %v", typ)
		}
		if _, found := members["crit"]; found {
			t.Error("crit was ignored")
		}
		if b64, found := members["b64"]; found && b64 != true {
			t.Errorf("b64 is %v", b64)
		}
		if claims.KeyID() != fuzzKeyID || claims.Algorithm() != "EdDSA" {
			t.Errorf("verified by key %q with %q", claims.KeyID(), claims.Algorithm())
		}
	})
}

// A request passes exactly if its one Authorization header is the scheme, in any case, one or more
// spaces and the token (RFC 6750 section 2.1). Every other request gets the answer of its reason,
// which does not repeat the header.
func FuzzAuthorization(f *testing.F) {
	target := newFuzzTarget(f)
	good := target.minted[0]
	var tokens []string
	for _, token := range target.minted {
		tokens = append(tokens, regexp.QuoteMeta(token))
	}
	pattern := regexp.MustCompile(`^[Bb][Ee][Aa][Rr][Ee][Rr] +(` + strings.Join(tokens, "|") + `)$`)
	seeds := []string{
		"Bearer " + good, "bearer " + good, "BEARER   " + good, "Bearer " + target.minted[1],
		good, "Bearer", "Bearer ", "Bearer\t" + good, "Bearer\u00a0" + good, "Bearer" + good, " Bearer " + good, "Bearer " + good + " ",
		"Bearer " + good + "\t", "Bearer " + good + "," + good, "Bearer " + good + ", Bearer " + good, "Bearer " + good + " " + good,
		"Bearer token=" + good, `Bearer "` + good + `"`, "Basic " + good, "DPoP " + good, "Basic YTpi", "", " ", ",", "Bearer,Bearer",
		"B\u00e9arer " + good, "Bearer " + good + "\r\nX: y", "Bearer\x00" + good, "Bearer " + strings.Repeat("A", 20<<10),
	}
	checkSeeds(f, seeds, pattern.MatchString)
	for _, value := range seeds {
		f.Add(value, "", false)
		f.Add(value, value, true)
	}
	f.Fuzz(func(t *testing.T, first, second string, both bool) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = []string{first}
		if both {
			r.Header["Authorization"] = []string{first, second}
		}
		authenticated, err := target.auth.Guard().Authenticate(r)
		if want := !both && pattern.MatchString(first); (err == nil) != want {
			t.Fatalf("let in is %v, want %v (%v): %q", err == nil, want, err, r.Header["Authorization"])
		}
		if err == nil {
			if _, ok := bearer.FromContext(authenticated.Context()); !ok {
				t.Error("let in without claims")
			}
			return
		}
		w := httptest.NewRecorder()
		target.auth.Guard().WriteError(w, r, err)
		if w.Code != http.StatusBadRequest && w.Code != http.StatusUnauthorized {
			t.Errorf("status %d: %q", w.Code, first)
		}
		if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("answered with %v", w.Header())
		}
		if answer := fmt.Sprint(w.Header(), w.Body); len(first) > 16 && strings.Contains(answer, first) {
			t.Errorf("the answer repeats the header: %s", answer)
		}
	})
}

package bearer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/reference"
	"github.com/bearer-go/bearer/internal/vectors"
	"github.com/bearer-go/bearer/jwks"
	"github.com/golang-jwt/jwt/v5"
)

// fuzzTarget is a Middleware whose tokens are the same in every process that takes part in fuzzing, and the reference that it
// is held against: both trust the same issuer, audience and keys by the same defaults.
type fuzzTarget struct {
	auth      *bearer.Middleware
	reference *reference.Reference
	ed        ed25519.PrivateKey
	minted    []string // every token that is good
}

const fuzzKeyID = "kid-ed-sign"

// fuzzClaims are accepted until the end of the year 2099.
var fuzzClaims = fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"alice","exp":4102444799}`, iss, aud)

func newFuzzTarget(t testing.TB) *fuzzTarget {
	t.Helper()
	f := &fuzzTarget{ed: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))}
	public := f.ed.Public().(ed25519.PublicKey)
	set := []json.RawMessage{fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`,
		fuzzKeyID, base64.RawURLEncoding.EncodeToString(public))}
	trusted := []reference.Key{{ID: fuzzKeyID, Public: public}}
	f.minted = append(f.minted, f.sign(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, fuzzKeyID), fuzzClaims))

	// (R, n-S) is ECDSA's second signature over a text, which RFC 7518 allows. A fuzzer does not find it.
	for _, alg := range []string{"ES256", "RS256"} {
		g := ownGroup(t, alg, fixedKey(t, alg))
		s := newSigner(t, g)
		set = append(set, g.Public)
		key := reference.Key{ID: s.jwk.Kid, Algorithm: s.alg}
		input := b64(s.header(s.alg)) + "." + b64(fuzzClaims)
		var signature []byte
		switch private := s.key.(type) {
		case *rsa.PrivateKey:
			key.Public, signature = private.Public(), s.signWith(t, s.method, input)
		case *ecdsa.PrivateKey:
			key.Public, signature = private.Public(), signES256(t, private, input)
		}
		trusted = append(trusted, key)
		f.minted = append(f.minted, withSignature(input, signature))
	}

	source, err := json.Marshal(map[string]any{"keys": set})
	if err != nil {
		t.Fatal(err)
	}
	f.auth = mustNew(t, bearer.WithIssuer(iss, aud, bearer.Keys(jwks.Static(source))))
	f.reference = reference.New(reference.Config{Issuer: iss, Audience: aud, Keys: trusted})
	return f
}

// signES256 signs deterministically (RFC 6979).
func signES256(t testing.TB, key *ecdsa.PrivateKey, input string) []byte {
	t.Helper()
	hash := jwt.SigningMethodES256.Hash.New()
	hash.Write([]byte(input))
	der, err := key.Sign(nil, hash.Sum(nil), jwt.SigningMethodES256.Hash)
	if err != nil {
		t.Fatal(err)
	}
	var signature []byte
	for rest := der[2:]; len(rest) > 0; { // SEQUENCE of two INTEGER, each with its sign
		number := rest[2 : 2+rest[1]]
		rest = rest[2+len(number):]
		signature = append(signature, bytes.Join([][]byte{make([]byte, 32), number}, nil)[len(number):]...)
	}
	return signature
}

// sign makes a token of exactly this header and this payload.
func (f *fuzzTarget) sign(header, payload string) string {
	input := b64(header) + "." + b64(payload)
	return withSignature(input, ed25519.Sign(f.ed, []byte(input)))
}

// verify reports whether the token is accepted. It holds for every token that the error is a 401 of ours, that no claims come
// with it, that it does not repeat the token, and that what the reference refuses is refused.
func (f *fuzzTarget) verify(t testing.TB, token string) *bearer.Claims {
	t.Helper()
	before := time.Now()
	claims, err := f.auth.Guard().Verify(t.Context(), token)
	after := time.Now()
	if err != nil {
		var refusal *bearer.Error
		if !errors.As(err, &refusal) || refusal.StatusCode() != http.StatusUnauthorized {
			t.Fatalf("the error is %T: %v", err, err)
		}
		if claims != nil {
			t.Fatal("claims leave with an error")
		}
		if len(token) > 16 && strings.Contains(err.Error(), token) {
			t.Fatalf("the error repeats the token: %v", err)
		}
		return nil
	}
	if err := f.reference.Verify(token, before); err != nil {
		// The clock may have passed an nbf in between.
		if late := f.reference.Verify(token, after); late != nil {
			t.Fatalf("accepted, but the reference refuses: %v\n%s", err, token)
		}
	}
	return claims
}

// checkSeeds fails when the seeds are none, or do not reach both sides of the decision: then nothing is fuzzed in earnest.
func checkSeeds[T any](f *testing.F, seeds []T, accepted func(T) bool) {
	f.Helper()
	good := 0
	for _, seed := range seeds {
		if accepted(seed) {
			good++
		}
	}
	if good == 0 || good == len(seeds) {
		f.Fatalf("%d of %d seeds are accepted, want some of both kinds", good, len(seeds))
	}
}

// tokenSeed is a token, and a piece of it to replace: the fuzzer need not find a good token to come close to one.
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

// A token is accepted if and only if it is one that was minted, in the spelling in which it was minted.
func FuzzToken(f *testing.F) {
	target := newFuzzTarget(f)
	seeds := tokenSeeds(f, target.minted)
	checkSeeds(f, seeds, func(s tokenSeed) bool { return target.verify(f, s.token()) != nil })
	for _, s := range seeds {
		f.Add(s.text, s.at, s.cut, s.insert)
	}
	f.Fuzz(func(t *testing.T, text string, at, cut uint16, insert string) {
		token := tokenSeed{text, at, cut, insert}.token()
		accepted, minted := target.verify(t, token) != nil, slices.Contains(target.minted, token)
		if accepted != minted {
			t.Errorf("accepted is %v, minted is %v: %q", accepted, minted, token)
		}
	})
}

// readIndependently reads a document with encoding/json, and fails the test where a document that was accepted is not valid UTF-8,
// is no JSON object, or has a member name twice.
func readIndependently(t testing.TB, document []byte) (object map[string]any) {
	t.Helper()
	if !utf8.Valid(document) || !json.Valid(document) {
		t.Fatalf("accepted, but not JSON in UTF-8: %q", document)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // or else a number too large for a float64 ends the walk
	if name, twice := repeatedName(t, decoder); twice {
		t.Fatalf("accepted, but %q is there twice: %s", name, document)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("accepted, but more follows: %s", document)
	}
	decoder = json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || object == nil {
		t.Fatalf("accepted, but not an object (%v): %s", err, document)
	}
	return object
}

// repeatedName walks over the next value and looks for an object with a name that it has twice.
func repeatedName(t testing.TB, decoder *json.Decoder) (name string, found bool) {
	t.Helper()
	token, err := decoder.Token()
	if err != nil {
		t.Fatal(err)
	}
	open, ok := token.(json.Delim)
	if !ok {
		return "", false
	}
	names := make(map[string]bool)
	for decoder.More() {
		if open == '{' {
			token, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			name = token.(string)
			if names[name] {
				return name, true
			}
			names[name] = true
		}
		if name, found := repeatedName(t, decoder); found {
			return name, true
		}
	}
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	return "", false
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

// A header under which correctly signed claims are accepted is one JSON object with one reading, for the key's algorithm, of
// an accepted type, for the key that signed, and without extensions.
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
		for _, name := range []string{"crit", "b64"} {
			if _, found := members[name]; found {
				t.Errorf("%s was ignored", name)
			}
		}
		if claims.KeyID() != fuzzKeyID || claims.Algorithm() != "EdDSA" {
			t.Errorf("verified by key %q with %q", claims.KeyID(), claims.Algorithm())
		}
	})
}

// claimsSeeds are claims sets. ISS, AUD and FUTURE stand for what is accepted.
var claimsSeeds = []string{
	`{"iss":ISS,"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"aud":["other",AUD],"exp":FUTURE,"sub":"alice","jti":"1","client_id":"c","iat":1,"nbf":1}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE.5,"scope":"a b","scp":["c"],"roles":["admin"],"auth_time":1,"acr":"2"}`,
	`{"iss":ISS,"aud":AUD,"exp":4.102444799e9}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"other":41E2444799}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"SUB":"mallory","sub":"alice"}`,
	" {\n\"iss\" : ISS , \"aud\" : AUD , \"exp\" : FUTURE } ",
	`{"exp":FUTURE,"x":{"iss":"other"},"iss":ISS,"aud":[AUD]}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"scope":{"a":1},"roles":7}`,
	`{"iss":ISS,"aud":AUD}`,
	`{"iss":ISS,"aud":AUD,"exp":"FUTURE"}`,
	`{"iss":ISS,"aud":AUD,"exp":1300819380}`,
	`{"iss":ISS,"aud":AUD,"exp":-1}`,
	`{"iss":ISS,"aud":AUD,"exp":1e400}`,
	`{"iss":ISS,"aud":AUD,"exp":9223372036854775808}`,
	`{"iss":ISS,"aud":AUD,"exp":253402300799.9}`,
	`{"iss":ISS,"aud":AUD,"exp":null}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"nbf":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"iat":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"cnf":{"jkt":"x"}}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"cnf":null}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"at_hash":"x"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"token_use":"id"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"typ":"Refresh"}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"events":{}}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"sub":1}`,
	`{"iss":ISS,"aud":[AUD,1],"exp":FUTURE}`,
	`{"iss":ISS,"aud":[[AUD]],"exp":FUTURE}`,
	`{"iss":ISS,"aud":[],"exp":FUTURE}`,
	`{"iss":ISS,"aud":"other","exp":FUTURE}`,
	`{"iss":ISS,"exp":FUTURE}`,
	`{"iss":[ISS],"aud":AUD,"exp":FUTURE}`,
	`{"iss":"other","aud":AUD,"exp":FUTURE}`,
	`{"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"iss":ISS,"aud":AUD,"exp":FUTURE}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"\u0065xp":1}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"x":[{"y":1,"y":2}]}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,"x":"\udc00"}`,
	"{\"iss\":ISS,\"aud\":AUD,\"exp\":FUTURE,\"x\":\"\xc0\x80\"}",
	`{"iss":ISS,"aud":AUD,"exp":FUTURE}{}`,
	`{"iss":ISS,"aud":AUD,"exp":FUTURE,}`,
	`[{"iss":ISS,"aud":AUD,"exp":FUTURE}]`,
	`"Payload"`,
	`null`,
}

// claimsSeed is a claims set, and whether the header says that it is an access token's.
type claimsSeed struct {
	payload string
	marked  bool
}

func (s claimsSeed) header() string {
	if s.marked {
		return `{"alg":"EdDSA","typ":"at+jwt"}`
	}
	return `{"alg":"EdDSA"}`
}

// Claims that are accepted, correctly signed, are one JSON object with one reading, ours by iss and aud, and good by the clock. What
// the accessors say is what the document says.
func FuzzClaims(f *testing.F) {
	target := newFuzzTarget(f)
	replace := strings.NewReplacer("ISS", fmt.Sprintf("%q", iss), "AUD", fmt.Sprintf("%q", aud), "FUTURE", "4102444799")
	var seeds []claimsSeed
	for _, s := range claimsSeeds {
		seeds = append(seeds, claimsSeed{replace.Replace(s), false}, claimsSeed{replace.Replace(s), true})
	}
	checkSeeds(f, seeds, func(s claimsSeed) bool { return target.verify(f, target.sign(s.header(), s.payload)) != nil })
	for _, s := range seeds {
		f.Add([]byte(s.payload), s.marked)
	}
	f.Fuzz(func(t *testing.T, payload []byte, marked bool) {
		seed := claimsSeed{string(payload), marked}
		before := time.Now()
		claims := target.verify(t, target.sign(seed.header(), seed.payload))
		if claims == nil {
			return
		}
		members := readIndependently(t, payload)
		checkAccepted(t, claims, members, before, time.Now())
		others := []string{"at_hash", "c_hash", "s_hash", "events"}
		if slices.ContainsFunc(others, func(name string) bool { _, found := members[name]; return found }) && !marked {
			t.Errorf("another kind of token: %s", payload)
		}
	})
}

// checkAccepted holds accepted claims against the document, as encoding/json reads it into a map.
func checkAccepted(t testing.TB, claims *bearer.Claims, members map[string]any, before, after time.Time) {
	t.Helper()
	date := func(name string) (float64, bool) {
		value, found := members[name]
		if !found {
			return 0, false
		}
		number, ok := value.(json.Number)
		if !ok {
			t.Fatalf("%s is no number: %v", name, value)
		}
		seconds, err := number.Float64()
		if err != nil || seconds < 0 {
			t.Fatalf("%s is out of range: %v", name, value)
		}
		return seconds, true
	}
	leeway := (30 * time.Second).Seconds()
	if exp, found := date("exp"); !found || exp+leeway < float64(before.Unix()) {
		t.Errorf("exp is %v", members["exp"])
	}
	for _, name := range []string{"nbf", "iat"} {
		if when, found := date(name); found && when-leeway > float64(after.Unix()+1) {
			t.Errorf("%s is %v", name, members[name])
		}
	}
	if members["iss"] != iss || claims.Issuer() != iss {
		t.Errorf("iss is %v", members["iss"])
	}
	list, ok := members["aud"].([]any)
	if !ok {
		list = []any{members["aud"]}
	}
	if !slices.Contains(list, any(aud)) || fmt.Sprint(list) != fmt.Sprint(claims.Audience()) {
		t.Errorf("aud is %v, Audience is %v", members["aud"], claims.Audience())
	}
	if _, found := members["cnf"]; found {
		t.Error("cnf was ignored")
	}
	for name, got := range map[string]string{"sub": claims.Subject(), "jti": claims.ID()} {
		if want, found := members[name]; found && want != got || !found && got != "" {
			t.Errorf("%s is %v, and %q for the handler", name, want, got)
		}
	}
	var decoded map[string]json.RawMessage // a number may be too large for a float64, and is a number all the same
	if err := claims.Decode(&decoded); err != nil || len(decoded) != len(members) {
		t.Errorf("Decode finds %d members of %d (%v)", len(decoded), len(members), err)
	}
}

// Bits of FuzzConfig's flags: which options are given.
const (
	withAudiences = 1 << iota
	withAudienceClaim
	withJWKSURL
	withDiscover
	withRemote
	withStatic
	withPEM
	withAlgorithms
	withTokenTypes
	withRFC9068
	withLeeway
	withMaxLifetime
	withScopeClaim
	withRolesClaim
	withHMACSecret
	withAnyAudience
	withInsecureHTTP
	withNoExpiry
	withRealm
	withMetadata
	withMaxTokenSize
	withTokensFrom
	withTwoIssuers
	withTwoLeeways
)

type configSeed struct {
	issuer, audience, text string // text: what every other option takes
	leeway, lifetime       int64
	size                   int
	flags                  uint32
}

const secretMark = "never-in-an-error:"

func (s configSeed) options() []bearer.Option {
	var issuerOpts []bearer.IssuerOption
	var opts []bearer.Option
	for flag, opt := range map[uint32]bearer.IssuerOption{
		withAudiences:     bearer.Audiences(s.text),
		withAudienceClaim: bearer.AudienceClaim(s.text),
		withJWKSURL:       bearer.JWKSURL(s.text),
		withDiscover:      bearer.Keys(jwks.Discover(s.text)),
		withRemote:        bearer.Keys(jwks.Remote(s.text)),
		withStatic:        bearer.Keys(jwks.Static([]byte(s.text))),
		withPEM:           bearer.Keys(jwks.PEM([]byte(s.text))),
		withAlgorithms:    bearer.Algorithms(s.text),
		withTokenTypes:    bearer.TokenTypes(s.text),
		withRFC9068:       bearer.RFC9068(),
		withLeeway:        bearer.Leeway(time.Duration(s.leeway)),
		withMaxLifetime:   bearer.MaxLifetime(time.Duration(s.lifetime)),
		withScopeClaim:    bearer.ScopeClaim(s.text),
		withRolesClaim:    bearer.RolesClaim(s.text),
		withHMACSecret:    bearer.HMACSecret([]byte(secretMark + s.text)),
		withAnyAudience:   bearer.InsecureAnyAudience(),
		withInsecureHTTP:  bearer.InsecureHTTP(),
		withNoExpiry:      bearer.InsecureNoExpiry(),
		withTwoLeeways:    bearer.Leeway(time.Duration(s.leeway)),
	} {
		if s.flags&flag != 0 {
			issuerOpts = append(issuerOpts, opt)
		}
	}
	for flag, opt := range map[uint32]bearer.Option{
		withRealm:        bearer.WithRealm(s.text),
		withMetadata:     bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: s.text, Scopes: []string{s.audience}}),
		withMaxTokenSize: bearer.WithMaxTokenSize(s.size),
		withTokensFrom:   bearer.WithTokensFrom(bearer.FromHeader(), bearer.FromCookie(s.text)),
		withTwoIssuers:   bearer.WithIssuer(s.issuer, s.audience, issuerOpts...),
	} {
		if s.flags&flag != 0 {
			opts = append(opts, opt)
		}
	}
	return append(opts, bearer.WithIssuer(s.issuer, s.audience, issuerOpts...))
}

var configSeeds = []configSeed{
	{issuer: "https://issuer.example", audience: "orders"},
	{issuer: "http://127.0.0.1:8080", audience: "orders"},
	{issuer: "http://issuer.example", audience: "orders"},
	{issuer: "http://issuer.example", audience: "orders", flags: withInsecureHTTP},
	{issuer: "https://issuer.example"},
	{issuer: "https://issuer.example", flags: withAnyAudience},
	{issuer: "https://issuer.example", audience: "orders", flags: withAnyAudience},
	{audience: "orders"},
	{issuer: "joe", audience: "orders", text: strings.Repeat("k", 32), flags: withHMACSecret},
	{issuer: "joe", audience: "orders", text: "HS512", flags: withHMACSecret | withAlgorithms},
	{issuer: "joe", audience: "orders", text: "RS256", flags: withHMACSecret | withAlgorithms},
	{issuer: "https://issuer.example", audience: "orders", text: "RS256", flags: withAlgorithms},
	{issuer: "https://issuer.example", audience: "orders", text: "nOnE", flags: withAlgorithms},
	{issuer: "https://issuer.example", audience: "orders", text: "HS256", flags: withAlgorithms},
	{issuer: "https://issuer.example", audience: "orders", text: "https://keys.example/jwks", flags: withJWKSURL},
	{issuer: "https://issuer.example", audience: "orders", text: "http://keys.example/jwks", flags: withRemote},
	{issuer: "https://issuer.example", audience: "orders", text: "https://other.example", flags: withDiscover},
	{issuer: "joe", audience: "orders", text: `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`, flags: withStatic},
	{issuer: "joe", audience: "orders", text: `{"keys":[]}`, flags: withStatic},
	{issuer: "joe", audience: "orders", text: "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", flags: withPEM},
	{issuer: "joe", audience: "orders", text: "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n", flags: withPEM},
	{issuer: "https://issuer.example", audience: "orders", leeway: int64(6 * time.Minute), flags: withLeeway},
	{issuer: "https://issuer.example", audience: "orders", leeway: -1, flags: withLeeway},
	{issuer: "https://issuer.example", audience: "orders", lifetime: -1, flags: withMaxLifetime},
	{issuer: "https://issuer.example", audience: "orders", size: 1<<20 + 1, flags: withMaxTokenSize},
	{issuer: "https://issuer.example", audience: "orders", leeway: int64(time.Minute), lifetime: int64(time.Hour), flags: withLeeway | withMaxLifetime},
	{issuer: "https://issuer.example", audience: "orders", flags: withTwoLeeways | withLeeway},
	{issuer: "https://issuer.example", audience: "orders", flags: withTwoIssuers},
	{issuer: "https://issuer.example", audience: "orders", flags: withRFC9068 | withTokenTypes | withNoExpiry | withAudienceClaim | withAnyAudience},
	{issuer: "https://issuer.example", audience: "orders", text: "x", size: 1, flags: withAudiences | withScopeClaim | withRolesClaim | withMaxTokenSize | withTokensFrom},
	{issuer: "https://issuer.example", audience: "orders", flags: withAudiences | withScopeClaim | withRolesClaim | withMaxTokenSize | withTokensFrom | withRealm},
	{issuer: "https://issuer.example", audience: "orders", text: "https://api.example/v1", flags: withMetadata | withRealm},
	{issuer: "https://issuer.example", audience: `a"b`, text: "https://api.example", flags: withMetadata},
	{issuer: "https://issuer.example", audience: "orders", text: `https://api.example/"`, flags: withMetadata},
	{issuer: "https://issuer.example", audience: "orders", text: `a", error="x`, flags: withRealm},
	{issuer: "https://issuer.example", audience: "orders", text: "a\r\nX: y", flags: withRealm},
	{issuer: "joe", audience: "orders", text: strings.Repeat("k", 32), flags: withHMACSecret | withJWKSURL},
	{issuer: "https://issuer.example", audience: "orders", text: "x", flags: withRFC9068 | withTokenTypes},
	{issuer: "https://issuer.example", audience: "orders", flags: withRFC9068 | withNoExpiry},
	{issuer: "https://issuer.example", audience: "orders", text: "x", flags: withRFC9068 | withAudienceClaim},
	{issuer: "https://issuer.example", flags: withRFC9068 | withAnyAudience},
}

// everyConfigSeed adds each option alone, with nothing in it and with something.
func everyConfigSeed() []configSeed {
	seeds := slices.Clone(configSeeds)
	for flag := uint32(withAudiences); flag <= withTwoLeeways; flag <<= 1 {
		for _, text := range []string{"", "x"} {
			seeds = append(seeds, configSeed{issuer: "https://issuer.example", audience: "orders", text: text, flags: flag})
		}
	}
	return seeds
}

// New never panics and does no I/O. Each of its errors is a *ConfigError that says something and keeps the secret; and a
// configuration that it accepts is one that was meant: nothing empty, nothing out of bounds, and closed to unsigned tokens.
func FuzzConfig(f *testing.F) {
	seeds := everyConfigSeed()
	checkSeeds(f, seeds, func(s configSeed) bool { _, err := bearer.New(s.options()...); return err == nil })
	for _, s := range seeds {
		f.Add(s.issuer, s.audience, s.text, s.leeway, s.lifetime, s.size, s.flags)
	}
	f.Fuzz(func(t *testing.T, issuer, audience, text string, leeway, lifetime int64, size int, flags uint32) {
		s := configSeed{issuer, audience, text, leeway, lifetime, size, flags}
		offline := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("New or an unsigned token caused I/O")
			return nil, errors.New("offline")
		})}
		auth, err := bearer.New(append(s.options(), bearer.WithHTTPClient(offline))...)
		if err != nil {
			if auth != nil {
				t.Error("a Middleware beside an error")
			}
			for _, mistake := range configErrors(t, err) {
				if mistake.Option == "" || mistake.Problem == "" {
					t.Errorf("an error that says nothing: %+v", mistake)
				}
				if strings.Contains(mistake.Error(), secretMark) {
					t.Errorf("an error with the secret: %v", mistake)
				}
			}
			return
		}
		defer func() { _ = auth.Close() }()
		s.checkMeant(t)
		claims := b64(fmt.Sprintf(`{"iss":%q,"aud":%q,"exp":4102444799}`, issuer, audience))
		for _, token := range []string{
			b64(`{"alg":"none"}`) + "." + claims + ".",
			b64(`{"alg":"none"}`) + "." + claims + ".AAAA",
			hmacToken(t, "HS256", []byte(""), map[string]any{"iss": issuer, "aud": audience, "exp": int64(4102444799)}),
		} {
			if _, err := auth.Guard().Verify(t.Context(), token); err == nil {
				t.Errorf("accepts %s", token)
			}
		}
	})
}

// checkMeant fails the test for an accepted configuration that nobody can have meant.
func (s configSeed) checkMeant(t testing.TB) {
	t.Helper()
	has := func(flags uint32) bool { return s.flags&flags != 0 }
	for problem, found := range map[string]bool{
		"no issuer":                           s.issuer == "",
		"no audience":                         s.audience == "" && !has(withAnyAudience),
		"an audience that is not looked at":   s.audience != "" && has(withAnyAudience),
		"an empty option":                     s.text == "" && has(withAudiences|withAudienceClaim|withAlgorithms|withTokenTypes|withScopeClaim|withRolesClaim|withRealm|withMetadata|withTokensFrom),
		"no keys":                             s.text == "" && has(withJWKSURL|withDiscover|withRemote|withStatic|withPEM),
		"a leeway out of bounds":              has(withLeeway) && (s.leeway < 0 || s.leeway > int64(5*time.Minute)),
		"a lifetime that is none":             has(withMaxLifetime) && s.lifetime <= 0,
		"a size out of bounds":                has(withMaxTokenSize) && (s.size < 1 || s.size > 1<<20),
		"an option twice":                     has(withTwoLeeways) && has(withLeeway) || has(withTwoIssuers),
		"alg none":                            has(withAlgorithms) && strings.EqualFold(s.text, "none"),
		"a short secret":                      has(withHMACSecret) && len(secretMark)+len(s.text) < 32,
		"a secret beside public keys":         has(withHMACSecret) && has(withJWKSURL|withDiscover|withRemote|withStatic|withPEM),
		"RFC 9068 and what contradicts it":    has(withRFC9068) && has(withTokenTypes|withNoExpiry|withAudienceClaim|withAnyAudience),
		"keys over http":                      has(withJWKSURL|withRemote|withDiscover) && !has(withInsecureHTTP) && !isSafe(s.text),
		"discovery over http":                 !has(withJWKSURL|withDiscover|withRemote|withStatic|withPEM|withHMACSecret|withInsecureHTTP) && !isSafe(s.issuer),
		"a realm that breaks out of a header": has(withRealm) && strings.ContainsAny(s.text, "\"\\\r\n"),
	} {
		if found {
			t.Errorf("accepted: %s (%+v)", problem, s)
		}
	}
}

// isSafe reports whether nobody on the network can change what is fetched from a URL.
func isSafe(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || host == "::1" || strings.HasPrefix(host, "127."))
}

// A request is let in exactly if its one Authorization header is the scheme, in any case, one or more spaces and the token (RFC
// 6750 section 2.1); every other one is answered as the reason says, and the answer does not repeat it.
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

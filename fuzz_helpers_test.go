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
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/reference"
	"github.com/bearer-go/bearer/jwks"
	"github.com/golang-jwt/jwt/v5"
)

// fuzzTarget is a Middleware and the reference that it is compared with. Both trust the same
// issuer, audience and keys by the same defaults. Their tokens are the same in every fuzzing
// process.
type fuzzTarget struct {
	auth      *bearer.Middleware
	reference *reference.Reference
	ed        ed25519.PrivateKey
	minted    []string // every token that is good
}

const fuzzKeyID = "kid-ed-sign"

// fuzzClaims are accepted until the end of the year 2099.
var fuzzClaims = fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"alice","exp":4102444799}`, iss, aud)

// newFuzzTarget is that of the defaults.
func newFuzzTarget(t testing.TB) *fuzzTarget {
	t.Helper()
	return newFuzzTargets(t)[0]
}

// fuzzSetting is an option as a fuzz target has it: what it adds to the Middleware, and what the
// reference knows of that.
type fuzzSetting struct {
	issuer     string
	opts       []bearer.IssuerOption
	options    reference.Options
	trusted    []reference.Key
	algorithms []string
}

// fuzzSettings are those that newly accept tokens, or look at other claims. The first is none.
func fuzzSettings() []fuzzSetting {
	all := func(string) bool { return true }
	return []fuzzSetting{
		{issuer: iss},
		{issuer: iss, opts: []bearer.IssuerOption{bearer.InsecureNoIssuer()}, options: reference.Options{NoIssuer: true}},
		{issuer: iss, opts: []bearer.IssuerOption{bearer.InsecureIDTokens()}, options: reference.Options{IDTokens: true}},
		{issuer: iss, opts: []bearer.IssuerOption{bearer.AnyClaimPresent("sub", "tid")}, options: reference.Options{AnyPresent: []string{"sub", "tid"}}},
		{
			issuer: iss + "/{tenant}", opts: []bearer.IssuerOption{bearer.IssuerTemplate("x.tid", acceptAll)},
			options: reference.Options{TemplateClaim: "x.tid", Accept: all},
		},
		{issuer: iss, opts: []bearer.IssuerOption{
			bearer.ClientIDClaim("cid", "client_id"), bearer.ScopeClaim("x.scope", "scope"), bearer.RolesClaim("x.roles", "roles"),
			bearer.RolesFromMembers(), bearer.RolesSeparatedBySpaces(),
		}},
		{
			issuer: iss, opts: []bearer.IssuerOption{bearer.HMACSecretBesideKeys(matrixSecrets()...)},
			trusted: secretKeys(), algorithms: []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "HS256"},
		},
	}
}

// newFuzzTargets are one for each of fuzzSettings, with the same keys.
func newFuzzTargets(t testing.TB) (targets []*fuzzTarget) {
	t.Helper()
	f := &fuzzTarget{ed: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))}
	public := f.ed.Public().(ed25519.PublicKey)
	set := []json.RawMessage{fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`,
		fuzzKeyID, base64.RawURLEncoding.EncodeToString(public))}
	trusted := []reference.Key{{ID: fuzzKeyID, Public: public}}
	f.minted = append(f.minted, f.sign(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"at+jwt"}`, fuzzKeyID), fuzzClaims))

	// (R, n-S) is ECDSA's second signature over a text, which RFC 7518 allows. A fuzzer does not
	// find it.
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
	for _, set := range fuzzSettings() {
		target := *f
		target.auth = mustNew(t, quiet(), bearer.WithIssuer(set.issuer, aud, append(set.opts, bearer.Keys(jwks.Static(source)))...))
		target.reference = reference.New(reference.Config{
			Issuer: set.issuer, Audience: aud, Keys: append(slices.Clone(trusted), set.trusted...), Algorithms: set.algorithms, Options: set.options,
		})
		targets = append(targets, &target)
	}
	return targets
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

// verify reports whether the token is accepted. It checks for every token that an error is a 401 of
// this package, comes without claims and does not repeat the token, and that what the reference
// refuses is refused.
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

// checkSeeds fails if there are no seeds, or if they do not reach both sides of the decision,
// because such fuzzing tests nothing.
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

// readIndependently reads an accepted document with encoding/json. It fails the test if the
// document is not valid UTF-8, is not a JSON object, or has a member name twice.
func readIndependently(t testing.TB, document []byte) (object map[string]any) {
	t.Helper()
	if !utf8.Valid(document) || !json.Valid(document) {
		t.Fatalf("accepted, but not JSON in UTF-8: %q", document)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // otherwise a number too large for a float64 ends the walk
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

// repeatedName reads the next value and looks for an object that has a name twice.
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

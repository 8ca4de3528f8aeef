package bearer_test

import (
	"crypto"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/reference"
)

// oracleService is the service that the reference is asked about, and the key of its tokens.
type oracleService struct {
	signer signer
	group  vectorGroup
	good   string
	tokens []string
}

// edits are what is done to the claims of a good token.
var edits = []func(claims c){
	func(c) {},
	member("iss", nil), member("iss", ""), member("iss", jsonNull), member("iss", []string{matrixIssuer}), member("iss", 1),
	member("iss", "https://evil.example"), member("iss", matrixIssuer+"/"), member("iss", strings.ToUpper(matrixIssuer)),
	member("iss", matrixTemplate), member("iss", "https://login.test/acme/v2.0/acme/v2.0"),
	tenantNamed("beta", "beta"), tenantNamed("beta", "acme"), tenantNamed("other", "other"), tenantNamed("acme", "other"), tenantNamed("other", "acme"), tenantNamed("ACME", "ACME"),
	tenantNamed("", ""), tenantNamed(".", "."), tenantNamed("..", ".."), tenantNamed("a b", "a b"), tenantNamed("a/b", "a/b"),
	tenantNamed("%61cme", "acme"), tenantNamed("{tenant}", "{tenant}"), tenantNamed(strings.Repeat("a", 65), strings.Repeat("a", 65)),
	member("tid", nil), member("tid", jsonNull), member("tid", []string{"acme"}), member("tid", 7),
	member("aud", nil), member("aud", "other"), member("aud", []string{}), member("aud", []string{"other", aud}), member("aud", ""),
	member("aud", jsonNull), member("aud", []any{aud, 1}),
	member("at_hash", "x"), member("c_hash", "x"), member("s_hash", "x"), member("events", c{}), member("events", jsonNull),
	member("token_use", "id"), member("token_use", "access"), member("token_use", "refresh"), member("token_use", []string{"id"}),
	member("typ", "ID"), member("typ", "Refresh"), member("typ", "Logout"), member("typ", "Offline"), member("typ", "Bearer"),
	member("scope", nil), member("scope", "profile"), member("scope", "x"+matrixScope), member("scope", "a\t"+matrixScope),
	member("scope", []string{matrixScope}), member("scope", []string{"a " + matrixScope}), member("scope", c{matrixScope: true}),
	member("scp", matrixScope), member("scp", []string{"a", matrixScope}), member("scope", 7),
	instead("scope", "ext", c{"permissions": matrixScope}), instead("scope", "ext", c{"permissions": []string{"a", matrixScope}}),
	instead("scope", "ext.permissions", matrixScope), instead("scope", "permissions", matrixScope), instead("scope", "roles", matrixScope),
	member("roles", nil), member("roles", "admin"), member("roles", "user admin"), member("roles", "user\tadmin"),
	member("roles", []string{"user", "user admin"}), member("roles", c{"admin": c{}}), member("roles", c{"admin": false}),
	member("roles", c{"admin": jsonNull}), member("roles", c{"user": c{"admin": true}}), member("roles", []any{1, "admin"}),
	member("roles", []any{c{"admin": true}}),
	instead("roles", "ext", c{"groups": []string{"admin"}}), instead("roles", "ext", c{"groups": "user admin"}),
	instead("roles", "ext", c{"groups": c{"admin": 1}}), instead("roles", "ext.groups", "admin"), instead("roles", "groups", []string{"admin"}),
	member("cid", 1), member("client_id", 1), member("cnf", c{"jkt": "x"}), member("sub", 1), member("exp", nil), member("exp", 1),
	member("nbf", int64(4102444799)), member("iat", int64(4102444799)),
}

// jsonNull stands for null, because nil removes a member.
type null struct{}

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

var jsonNull null

func member(name string, value any) func(c) {
	return func(claims c) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
}

// instead is a claim in the place of another.
func instead(other, name string, value any) func(c) {
	return func(claims c) {
		delete(claims, other)
		claims[name] = value
	}
}

// tenantNamed says that the token is of a tenant, in iss and in the claim.
func tenantNamed(inIssuer, inClaim string) func(c) {
	return func(claims c) { claims["iss"], claims["tid"] = "https://login.test/"+inIssuer+"/v2.0", inClaim }
}

// newOracleService makes the tokens, which are the same for all settings.
func newOracleService(t testing.TB, algorithm string) *oracleService {
	t.Helper()
	o := &oracleService{group: ownGroup(t, algorithm, fixedKey(t, algorithm))}
	o.signer = newSigner(t, o.group)
	kid := o.signer.jwk.Kid
	sign := func(header, claims c, alg string, key any) {
		o.tokens = append(o.tokens, signedBy(header, claims, alg, key))
	}
	good := func() c {
		return c{
			"iss": matrixIssuer, "aud": aud, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "tid": "acme", "cid": "x",
			"scope": "profile " + matrixScope, "roles": []string{"user", matrixRole},
		}
	}
	header := func(more c) c { return merged(c{"alg": algorithm, "kid": kid}, more) }
	o.good = signedBy(header(nil), good(), algorithm, o.signer.key)
	types := []c{{}, {"typ": "at+jwt"}, {"typ": "application/at+jwt"}, {"typ": "text/at+jwt"}, {"typ": "logout+jwt"}, {"typ": "dpop+jwt"}}
	random := rand.New(rand.NewPCG(13, 13))
	for i, edit := range edits {
		for _, typ := range types[:2] {
			claims := good()
			edit(claims)
			sign(header(typ), claims, algorithm, o.signer.key)
		}
		for range 3 { // and others with it
			claims := good()
			for range 1 + random.IntN(2) {
				edits[random.IntN(len(edits))](claims)
			}
			edits[i](claims)
			sign(header(types[random.IntN(len(types))]), claims, algorithm, o.signer.key)
		}
	}
	replace := strings.NewReplacer("ISS", fmt.Sprintf("%q", matrixIssuer), "AUD", fmt.Sprintf("%q", aud), "FUTURE", "4102444799")
	for _, seed := range claimsSeeds {
		o.tokens = append(o.tokens, o.signer.sign(t, b64(o.signer.header(algorithm)), b64(replace.Replace(seed))))
	}
	for _, seed := range headerSeeds {
		text := strings.NewReplacer("EdDSA", algorithm, fuzzKeyID, kid).Replace(seed)
		o.tokens = append(o.tokens, o.signer.sign(t, b64(text), strings.Split(o.good, ".")[1]))
	}
	for _, use := range otherUses {
		sign(c{"alg": "ES256", "kid": use}, good(), "ES256", keyFor(use))
		sign(c{"alg": "ES256"}, good(), "ES256", keyFor(use))
	}
	for _, id := range []any{nil, "x", kid} { // keys that some settings trust, and some that none does
		with := func(alg string) c {
			h := c{"alg": alg}
			member("kid", id)(h)
			return h
		}
		sign(with("ES256"), good(), "ES256", anotherKey())
		for _, secret := range append(matrixSecrets(), slices.Collect(maps.Values(o.signer.publicBytes(t)))...) {
			for _, alg := range []string{"HS256", "HS384"} {
				sign(with(alg), good(), alg, secret)
			}
		}
	}
	return o
}

// service trusts the issuer of the tokens.
func (o *oracleService) service(t testing.TB) *service {
	t.Helper()
	s := ownService(t, o.group)
	s.algorithms = nil
	if !s.public() {
		return s
	}
	keys := []json.RawMessage{o.group.Public}
	for _, use := range otherUses { // published beside it
		point, err := keyFor(use).PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, marshal(t, c{
			"kty": "EC", "crv": "P-256", "kid": use, "use": use, "x": b64(string(point[1:33])), "y": b64(string(point[33:])),
		}))
	}
	s.document = marshal(t, c{"keys": keys})
	s.client.documents[s.keysURL] = s.document
	return s
}

// otherUses are those of keys that verify no token by default.
var otherUses = []string{"enc", "x509-svid", "jwt-svid"}

// reference is the judge of what a setting may accept.
func (o *oracleService) reference(s *service, options reference.Options, more []reference.Key, algorithms []string) reference.Config {
	config := reference.Config{Issuer: s.name, Audience: aud, Algorithms: algorithms, Options: options}
	key := reference.Key{ID: o.signer.jwk.Kid, Algorithm: o.signer.alg}
	switch private := o.signer.key.(type) {
	case []byte:
		key.ID, key.Public = "", private
		if algorithms == nil {
			config.Algorithms = []string{o.signer.alg}
		}
	case interface{ Public() crypto.PublicKey }:
		key.Public = private.Public()
	}
	config.Keys = append([]reference.Key{key}, more...)
	return config
}

// What the reference refuses no setting accepts. What a setting accepts beyond the defaults is what
// its options are for: the reference knows these.
// Rules: config.insecure.
func TestMatrixAcceptsNothingThatTheReferenceRefuses(t *testing.T) {
	t.Parallel()
	services := make(map[string]*oracleService)
	for _, set := range matrix() {
		algorithm := set.algorithm
		if algorithm == "" {
			algorithm = "ES256"
		}
		o := services[algorithm]
		if o == nil {
			o = newOracleService(t, algorithm)
			services[algorithm] = o
		}
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			base := o.service(t)
			s, fits := base.with(set)
			if !fits {
				t.Fatal("the options do not fit")
			}
			auth, err := middleware(t, s)
			if err != nil {
				t.Fatal(err)
			}
			if err := auth.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			total, beyond := 0, 0
			for _, demand := range []struct {
				scope, role string
				route       bearer.RouteOption
			}{{matrixScope, "", bearer.Scopes(matrixScope)}, {"", matrixRole, bearer.Roles(matrixRole)}} {
				usual := o.reference(base, reference.Options{Role: demand.role}, nil, nil)
				widened := o.reference(s, set.reference, set.trusted, set.algorithms)
				widened.Role = demand.role
				usual.Scope, widened.Scope = demand.scope, demand.scope
				handler := s.guarded(auth, noContent, demand.route)
				allowed, byDefault := reference.New(widened).Handler(noContent), reference.New(usual).Handler(noContent)
				for r := range o.requests(set) {
					if answerOf(t, handler, r) != accepted {
						continue
					}
					total++
					if code(allowed, r) != http.StatusNoContent {
						t.Errorf("accepted, but the reference refuses it with %d: %v", code(allowed, r), shown(r))
					}
					if code(byDefault, r) != http.StatusNoContent {
						beyond++
					}
				}
			}
			t.Logf("%d requests accepted, %d of them beyond the defaults", total, beyond)
			if total < 20 || beyond > 0 != set.widens {
				t.Errorf("%d requests accepted, %d of them beyond the defaults; widens is %v", total, beyond, set.widens)
			}
		})
	}
}

func code(handler http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

// shown is what a test that fails says of a request.
func shown(r *http.Request) string {
	text := fmt.Sprint(r.Host, " ", r.Header)
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" .=[];\"", r) }) {
		if plain, _, ok := jws.Decode(part, make([]byte, len(part))); ok && strings.HasPrefix(string(plain), "{") {
			text = strings.ReplaceAll(text, part, string(plain))
		}
	}
	return text
}

// requests are those with each of the tokens where it belongs and in the place that is new, one to a
// host without an audience, and those with credentials in several places.
func (o *oracleService) requests(set setting) func(yield func(*http.Request) bool) {
	return func(yield func(*http.Request) bool) {
		send := func(r *http.Request) bool { return yield(r) }
		elsewhere := requestWith(inAuthorization, o.good)
		elsewhere.Host = "none.example"
		if !send(elsewhere) {
			return
		}
		for i, token := range o.tokens {
			if costly := o.signer.alg == "ES384" || o.signer.alg == "ES512"; costly && i%8 > 0 {
				continue // the curve is the difference
			}
			if !send(requestWith(inAuthorization, token)) || set.moved != nil && !send(requestWith(set.moved, token)) {
				return
			}
		}
		if set.moved == nil {
			return
		}
		bad := o.good[:len(o.good)-8] + "AAAAAAAA"
		for _, authorization := range [][]string{
			nil,
			{"Bearer " + o.good},
			{"token " + o.good},
			{"Bearer " + bad},
			{""},
			{"Bearer"},
			{"Basic YTpi"},
			{o.good},
			{"Bearer " + o.good, "Token " + o.good},
			{"Bearer " + o.good + " x"},
			{"Bearer   " + o.good},
		} {
			for _, header := range [][]string{nil, {o.good}, {bad}, {""}, {"Bearer " + o.good}, {o.good, o.good}, {o.good + " "}} {
				for _, forwarded := range [][]string{nil, {"Bearer " + o.good}, {o.good}, {"Basic YTpi"}} {
					for _, cookie := range [][]string{
						nil,
						{"session=" + o.good},
						{"session="},
						{"session=" + bad},
						{"session=" + o.good + "; session="},
						{"session=", "session=" + o.good},
						{"other=" + o.good},
						{"x=1; session=" + o.good},
						{`session="` + o.good + `"`},
					} {
						r := httptest.NewRequest(http.MethodGet, "/", nil)
						for name, lines := range map[string][]string{
							"Authorization": authorization, "X-Token": header, "X-Forwarded-Authorization": forwarded, "Cookie": cookie,
						} {
							if lines != nil {
								r.Header[name] = lines
							}
						}
						if !send(r) {
							return
						}
					}
				}
			}
		}
	}
}

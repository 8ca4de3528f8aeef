package bearer_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/reference"
	"github.com/bearer-go/bearer/jwks"
)

// setting is one row of the matrix: an option, or some that go together, switched on in a service.
type setting struct {
	name string
	// on switches the options on, or reports false if they do not fit the service.
	on func(s *service) bool

	algorithm string                              // of the tokens; "" for ES256
	claims    bearertest.Claims                   // that the tokens have
	moved     func(r *http.Request, token string) // puts a token into the place that is new
	stale     bool                                // the route is optional, and a stale cookie counts as anonymous

	opens   []string // the attacks that get through, because the option's name says so
	accepts []string // the cases of other projects that are accepted, for the same reason
	differs []change // the other answers to vectors and manipulated tokens

	reference  reference.Options
	trusted    []reference.Key // beside those of the service
	algorithms []string        // of the reference; nil for those of the service
	widens     bool            // tokens are accepted that are not by default
}

// change is an answer that an option changes, and why that opens nothing.
type change struct{ was, is, why string }

// The tokens of the matrix are of one issuer, which a template fits, too.
const (
	matrixIssuer   = "https://login.test/acme/v2.0"
	matrixTemplate = "https://login.test/{tenant}/v2.0"
	matrixScope    = "orders:read"
	matrixRole     = "admin"
)

// listed says why attackers gain nothing where HS256 is on the list.
const listed = "HS256 is on the list, and what made the signature is not the secret"

// matrix has every option that issue 13 lists. Whatever the function literals here call counts as
// tested; TestMatrixHasEveryOption reads them.
func matrix() []setting {
	places := func(sources ...bearer.TokenLocation) func(*service) bool {
		return func(s *service) bool { return s.from(sources...) }
	}
	issuer := func(opts ...bearer.IssuerOption) func(*service) bool {
		return func(s *service) bool {
			s.issuer = append(s.issuer, opts...)
			return true
		}
	}
	authorization := reference.Place{Header: "Authorization", Scheme: "Bearer"}
	idTokens := attacksOn(
		"claims.access-token", "at_hash of an ID token", "at_hash, without a type", "c_hash of an ID token", "s_hash of an ID token",
		"token_use id", "the claim typ ID", "the claim typ id")
	anyAudience := attacksOn(
		"claims.aud", "none", "another", "others", "an empty string", "an empty array", "a star", "ours without its last letter",
		"ours with a letter behind", "ours with a slash", "ours with a space behind", "ours among others in one string",
		"ours in capitals", "the issuer")
	anyAudience = append(anyAudience, "claims.json/the audience in capitals")
	confirmation := attacksOn("claims.cnf", "a DPoP key", "a certificate", "a key", "a kid", "an empty object", "a string", "null")
	noIss := []string{"claims.iss/none", "claims.json/iss with long s"}
	defaults := []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	noIssCases := []string{"envoyproxy/envoy/auth/NoIss", "eclipse/microprofile-jwt-auth TCK/iss missing"}
	judged := []change{{"missing_claim", "type_not_allowed", "a token without iss is judged as the issuer's: a DPoP proof is no token"}}
	tenant := bearertest.Claims{"tid": "acme"}
	customer := func(value string) bool { return value != "other" } // the option itself refuses what is no name
	accept := func(_ context.Context, value string) error {
		if !customer(value) {
			return errors.New("no customer")
		}
		return nil
	}
	return []setting{
		{name: "nothing", on: issuer()},

		{
			name: "a header", on: places(bearer.FromHeader(), bearer.FromHeader("X-Token")), moved: inHeaderOf("X-Token", ""),
			widens: true, reference: reference.Options{Places: []reference.Place{authorization, {Header: "X-Token"}}},
		},
		{
			name: "another scheme", on: places(bearer.FromHeader(), bearer.FromHeaderScheme("Authorization", "Token")),
			moved: inHeaderOf("Authorization", "Token "), widens: true,
			reference: reference.Options{Places: []reference.Place{authorization, {Header: "Authorization", Scheme: "Token"}}},
		},
		{
			name: "a header with a scheme", on: places(bearer.FromHeader(), bearer.FromHeaderScheme("X-Forwarded-Authorization", "Bearer")),
			moved: inHeaderOf("X-Forwarded-Authorization", "bearer "), widens: true,
			reference: reference.Options{Places: []reference.Place{authorization, {Header: "X-Forwarded-Authorization", Scheme: "Bearer"}}},
		},
		{
			name: "an order, the header last", on: places(bearer.FirstOf(bearer.FromCookie("session"), bearer.FromHeader("X-Token"), bearer.FromHeader())),
			moved: inSession, widens: true,
			reference: reference.Options{Ordered: true, Places: []reference.Place{{Cookie: "session"}, {Header: "X-Token"}, authorization}},
		},
		{
			name: "an order, a header, and the query", on: places(bearer.FromQuery("session"), bearer.FirstOf(bearer.FromHeader(), bearer.FromCookie("session"), bearer.FromForm("session"))),
			moved: inSession, widens: true,
			reference: reference.Options{Ordered: true, Places: []reference.Place{authorization, {Cookie: "session"}}},
		},
		{
			name: "a stale cookie", moved: inSession, stale: true, widens: true,
			on: func(s *service) bool {
				s.optional = []bearer.RouteOption{bearer.Optional(), bearer.StaleCookieIsAnonymous()}
				return s.from(bearer.FromHeader(), bearer.FromCookie("session")) && !s.open
			},
			reference: reference.Options{Places: []reference.Place{authorization, {Cookie: "session"}}},
		},

		{
			name: "a template", claims: tenant, widens: true,
			on: func(s *service) bool {
				s.name, s.keys = matrixTemplate, bearer.JWKSURL(s.keysURL)
				s.issuer = append(s.issuer, bearer.IssuerTemplate("tid", accept))
				return s.own && s.public()
			},
			reference: reference.Options{TemplateClaim: "tid", Accept: customer},
		},
		{
			name: "a template, and an audience of the request", claims: tenant, widens: true,
			on: func(s *service) bool {
				s.name = matrixTemplate
				s.issuer = append(s.issuer, bearer.IssuerTemplate("tid", accept), bearer.AudienceFunc(s.byHost()))
				return s.own && s.public()
			},
			reference: reference.Options{TemplateClaim: "tid", Accept: customer, AudienceFunc: byHost(aud)},
		},
		{
			name: "a registry", on: func(s *service) bool {
				s.trust = func(name, audience string, opts ...bearer.IssuerOption) (bearer.Option, error) {
					registry := bearer.NewRegistry()
					return bearer.WithRegistry(registry), registry.Add(name, audience, opts...)
				}
				return s.first
			},
		},
		{
			name: "a lookup, and an audience of the request", on: func(s *service) bool {
				s.issuer = append(s.issuer, bearer.AudienceFunc(s.byHost()))
				s.trust = func(name, audience string, opts ...bearer.IssuerOption) (bearer.Option, error) {
					found := bearer.Registration{Audience: audience, Options: opts}
					lookup := func(_ context.Context, iss string) (bearer.Registration, bool, error) { return found, iss == name, nil }
					return bearer.WithRegistry(bearer.NewRegistry(
						bearer.WithLookup(lookup), bearer.WithLookupRate(1000), bearer.WithLookupLifetime(time.Hour), bearer.WithMaxIssuers(10),
					)), nil
				}
				return s.first && strings.HasPrefix(s.name, "https://")
			},
			reference: reference.Options{AudienceFunc: byHost(aud)},
		},
		{
			name: "an audience of the request", on: func(s *service) bool {
				s.issuer = append(s.issuer, bearer.AudienceFunc(s.byHost()))
				return true
			},
			reference: reference.Options{AudienceFunc: byHost(aud)},
		},

		{
			name: "several sources", on: func(s *service) bool {
				s.keys = bearer.Keys(jwks.AnyOf(s.source, jwks.PublicKeys(anotherKey().Public())))
				return s.public()
			},
			widens: true, trusted: []reference.Key{{Public: anotherKey().Public()}},
			reference: reference.Options{Pinned: true}, // each source has one key that a token without a kid is tried with
			differs:   []change{{"unknown_key", "bad_signature", "the pinned key of the other source has no kid, and answers to every one"}},
		},
		{
			name: "a file", reference: reference.Options{Pinned: true}, on: func(s *service) bool {
				s.keys = bearer.Keys(jwks.File(s.file("keys.json", s.document)))
				return s.publishes() && (s.pinned || s.own)
			},
		},
		{
			name: "a place for the metadata", on: func(s *service) bool {
				s.keys = bearer.MetadataURL(s.metadataURL())
				return s.publishes() && !s.pinned
			},
		},
		{
			name: "a place for the metadata, and time", on: func(s *service) bool {
				s.keys = bearer.Keys(jwks.Discover(s.name, jwks.WithMetadataURL(s.metadataURL()), jwks.WithFetchTimeout(30*time.Second)))
				return s.publishes() && !s.pinned
			},
		},
		{
			name: "keys for JWT-SVIDs", on: func(s *service) bool {
				s.keys = bearer.Keys(jwks.Remote(s.keysURL, jwks.WithJWTSVIDKeys()))
				return s.publishes() && !s.pinned
			},
			widens: true, trusted: []reference.Key{{ID: "jwt-svid", Public: keyFor("jwt-svid").Public()}},
		},
		{
			name: "a SPIFFE bundle", on: func(s *service) bool {
				s.keys = bearer.Keys(jwks.Static(s.inBundle(), jwks.WithJWTSVIDKeys()))
				return s.publishes() && (s.pinned || s.own)
			},
			widens: true, trusted: []reference.Key{{ID: "jwt-svid", Public: keyFor("jwt-svid").Public()}},
			reference: reference.Options{Pinned: true},
		},

		{name: "a claim for the client", on: issuer(bearer.ClientIDClaim("cid", "client_id")), claims: bearertest.Claims{"cid": "x"}},
		{
			name: "claims for the scopes", on: issuer(bearer.ScopeClaim("scope", "scp", "ext.permissions")), widens: true,
			reference: reference.Options{ScopeClaim: []string{"scope", "scp", "ext.permissions"}},
		},
		{
			name: "claims for the roles", on: issuer(bearer.RolesClaim("roles", "ext.groups")), widens: true,
			reference: reference.Options{RolesClaim: []string{"roles", "ext.groups"}},
		},
		{name: "roles from members", on: issuer(bearer.RolesFromMembers()), widens: true, reference: reference.Options{RolesFromMembers: true}},
		{
			name: "roles separated by spaces", on: issuer(bearer.RolesSeparatedBySpaces()), widens: true,
			reference: reference.Options{RolesSeparatedBySpaces: true},
		},
		{
			name: "claims for the scopes and the roles, in every form", widens: true,
			on: issuer(bearer.ScopeClaim("ext.permissions", "scope"), bearer.RolesClaim("ext.groups", "roles"), bearer.RolesFromMembers(),
				bearer.RolesSeparatedBySpaces(), bearer.ClientIDClaim("cid")),
			reference: reference.Options{
				ScopeClaim: []string{"ext.permissions", "scope"}, RolesClaim: []string{"ext.groups", "roles"},
				RolesFromMembers: true, RolesSeparatedBySpaces: true,
			},
		},
		{
			name: "one of several claims", on: issuer(bearer.AnyClaimPresent("tid", "iss")), claims: tenant,
			reference: reference.Options{AnyPresent: []string{"tid", "iss"}},
		},
		{
			name: "a claim", on: func(s *service) bool {
				s.issuer = append(s.issuer, bearer.AnyClaimPresent("tid"))
				return s.own
			}, claims: tenant,
			reference: reference.Options{AnyPresent: []string{"tid"}},
		},
		{
			name: "tokens without iss", opens: noIss, accepts: noIssCases, widens: true, differs: judged,
			on: func(s *service) bool {
				s.issuer = append(s.issuer, bearer.InsecureNoIssuer())
				return s.first
			},
			reference: reference.Options{NoIssuer: true},
		},
		{
			name: "ID tokens", on: issuer(bearer.InsecureIDTokens()), opens: idTokens, widens: true,
			reference: reference.Options{IDTokens: true},
		},
		{
			name: "ID tokens, with a claim", claims: tenant, opens: idTokens, widens: true,
			on:        issuer(bearer.InsecureIDTokens(), bearer.AnyClaimPresent("tid", "iss")),
			reference: reference.Options{IDTokens: true, AnyPresent: []string{"tid", "iss"}},
		},
		{
			name: "tokens without iss, and ID tokens", opens: slices.Concat(noIss, idTokens), accepts: noIssCases, widens: true, differs: judged,
			on: func(s *service) bool {
				s.issuer = append(s.issuer, bearer.InsecureNoIssuer(), bearer.InsecureIDTokens())
				return s.first
			},
			reference: reference.Options{NoIssuer: true, IDTokens: true},
		},

		{
			name: "any audience", opens: anyAudience, widens: true, on: func(s *service) bool {
				s.audience, s.issuer = "", append(s.issuer, bearer.InsecureAnyAudience())
				return s.own
			},
			reference: reference.Options{AnyAudience: true},
		},
		{
			name: "no expiry", opens: []string{"claims.json/EXP for exp", "claims.exp/no exp"}, widens: true, on: func(s *service) bool {
				s.issuer = append(s.issuer, bearer.InsecureNoExpiry())
				return s.own
			},
			reference: reference.Options{NoExpiry: true},
		},
		{
			name: "no confirmation", opens: confirmation, widens: true, on: issuer(bearer.InsecureIgnoreConfirmation()),
			reference: reference.Options{IgnoreConfirmation: true},
		},
		{
			name: "keys over http", on: func(s *service) bool {
				const url = "http://keys.test/jwks"
				s.client.documents[url] = s.document
				s.keys = bearer.JWKSURL(url)
				s.issuer = append(s.issuer, bearer.InsecureHTTP())
				return s.publishes() && !s.pinned
			},
		},

		{
			name: "several secrets", algorithm: "HS256", widens: true, on: func(s *service) bool {
				s.keys = bearer.HMACSecret(slices.Concat(matrixSecrets(), s.secrets)...)
				return len(s.secrets) > 0
			},
			trusted: secretKeys(), algorithms: []string{"HS256"},
		},
		{
			name: "a secret beside keys", widens: true, on: func(s *service) bool {
				if len(s.algorithms) > 0 && !slices.Contains(s.algorithms, "HS256") {
					s.algorithms = append(s.algorithms, "HS256")
				}
				s.issuer = append(s.issuer, bearer.HMACSecretBesideKeys(matrixSecrets()...))
				return s.public()
			},
			trusted: secretKeys(), algorithms: append(defaults, "HS256"),
			differs: []change{{"algorithm_not_allowed", "bad_signature", listed}},
		},
		{
			name: "a secret beside keys, and tokens of the secret", algorithm: "HS256", widens: true,
			trusted: []reference.Key{{Public: anotherKey().Public()}}, algorithms: append(defaults, "HS256"), on: func(s *service) bool {
				s.source = jwks.PublicKeys(anotherKey().Public())
				s.keys = bearer.Keys(s.source)
				if len(s.algorithms) > 0 {
					s.algorithms = append(s.algorithms, "ES256")
				}
				s.issuer = append(s.issuer, bearer.HMACSecretBesideKeys(s.secrets...))
				return len(s.secrets) > 0
			},
		},
		{name: "ES384", algorithm: "ES384", on: func(s *service) bool { return s.own }},
		{name: "ES512", algorithm: "ES512", on: func(s *service) bool { return s.own }},
	}
}

// attacksOn are attacks on a rule.
func attacksOn(rule string, variants ...string) (attacks []string) {
	for _, variant := range variants {
		attacks = append(attacks, rule+"/"+variant)
	}
	return attacks
}

// service trusts one issuer. Without a setting it has what its tokens need, and no more.
type service struct {
	testing.TB
	own   bool // it is one of the matrix, and not of a file of vectors
	first bool // of the services of a Middleware
	open  bool // its route is optional

	several bool // it has more audiences

	name, audience string
	source         jwks.Source         // of its public keys
	pinned         bool                // they were chosen by the operator
	secrets        [][]byte            // instead
	keys           bearer.IssuerOption // instead of both
	document       []byte              // the key set, or nil
	keysURL        string              // where it is
	client         *published
	algorithms     []string
	issuer         []bearer.IssuerOption
	locations      []bearer.TokenLocation
	optional       []bearer.RouteOption
	trust          func(name, audience string, opts ...bearer.IssuerOption) (bearer.Option, error) // instead of WithIssuer
	unfit          bool
}

// with returns the service with a setting, and whether that fits.
func (s *service) with(set setting) (*service, bool) {
	changed := *s
	changed.issuer, changed.algorithms = slices.Clone(s.issuer), slices.Clone(s.algorithms)
	if set.on(&changed) && !changed.unfit {
		return &changed, true
	}
	return s, false
}

// public reports whether the tokens are signed with keys.
func (s *service) public() bool { return len(s.secrets) == 0 }

// publishes reports whether the keys are those of a set.
func (s *service) publishes() bool { return s.public() && len(s.document) > 0 }

// from has all routes take tokens from these places.
func (s *service) from(sources ...bearer.TokenLocation) bool {
	configured := s.locations != nil
	s.locations = sources
	return s.first && !configured
}

// byHost makes the audience one of the request.
func (s *service) byHost() func(*http.Request) string {
	audience := s.audience
	s.unfit, s.audience = audience == "" || s.several, ""
	return byHost(audience)
}

// byHost says which service a request is for: none.example has none.
func byHost(audience string) func(*http.Request) string {
	return func(r *http.Request) string {
		if r.Host == "none.example" {
			return ""
		}
		return audience
	}
}

// file writes a file that the service reads.
func (s *service) file(name string, content []byte) string {
	path := filepath.Join(s.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.Fatal(err)
	}
	written := time.Now().Add(-time.Hour) // a file that may still be written is not read
	if err := os.Chtimes(path, written, written); err != nil {
		s.Fatal(err)
	}
	return path
}

// metadataURL publishes the issuer's metadata elsewhere.
func (s *service) metadataURL() string {
	const url = "https://elsewhere.test/metadata"
	s.client.documents[url] = marshal(s.TB, map[string]string{"issuer": s.name, "jwks_uri": s.keysURL})
	return url
}

// option trusts the issuer.
func (s *service) option() (bearer.Option, error) {
	keys := s.keys
	switch {
	case keys != nil:
	case s.public():
		keys = bearer.Keys(s.source)
	default:
		keys = bearer.HMACSecret(s.secrets...)
	}
	opts := append(slices.Clone(s.issuer), keys)
	if s.algorithms != nil {
		opts = append(opts, bearer.Algorithms(s.algorithms...))
	}
	if s.trust != nil {
		return s.trust(s.name, s.audience, opts...)
	}
	return bearer.WithIssuer(s.name, s.audience, opts...), nil
}

// middleware trusts the issuers of several services.
func middleware(t testing.TB, services ...*service) (*bearer.Middleware, error) {
	t.Helper()
	opts := []bearer.Option{quiet(), bearer.WithHTTPClient(&http.Client{Transport: services[0].client})}
	if from := services[0].locations; from != nil {
		opts = append(opts, bearer.WithTokensFrom(from...))
	}
	for _, s := range services {
		opt, err := s.option()
		if err != nil {
			return nil, err
		}
		opts = append(opts, opt)
	}
	auth, err := bearer.New(opts...)
	if err == nil {
		t.Cleanup(func() { _ = auth.Close() })
	}
	return auth, err
}

// guarded is a handler behind a route of the service. If the route is optional, a request that passes it
// without claims meets a guard that wants a token, and must not pass that.
func (s *service) guarded(auth *bearer.Middleware, next http.Handler, opts ...bearer.RouteOption) http.Handler {
	if s.optional == nil {
		return auth.Handler(next, opts...)
	}
	inner := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(anonymous{}) != nil {
			s.Error("a request that was anonymous has passed")
		}
		next.ServeHTTP(w, r)
	}), opts...)
	return auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := bearer.FromContext(r.Context()); !ok {
			r = r.WithContext(context.WithValue(r.Context(), anonymous{}, true))
		}
		inner.ServeHTTP(w, r)
	}), s.optional...)
}

type anonymous struct{}

// published serves documents by their URL, and everything else as next does.
type published struct {
	documents map[string][]byte
	next      http.RoundTripper
}

func (p *published) RoundTrip(r *http.Request) (*http.Response, error) {
	document, ok := p.documents[r.URL.String()]
	if !ok {
		return p.next.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(document)), Request: r,
	}, nil
}

// inHeaderOf puts a token into a header, and nothing into any other.
func inHeaderOf(name, prefix string) func(*http.Request, string) {
	return func(r *http.Request, token string) {
		r.Header.Del("Authorization")
		r.Header.Set(name, prefix+token)
	}
}

// inSession puts a token into a cookie, and nothing into a header.
func inSession(r *http.Request, token string) {
	r.Header.Del("Authorization")
	r.Header.Set("Cookie", "session="+token)
}

// inAuthorization is where a token belongs.
func inAuthorization(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }

// requestWith is a request with a token.
func requestWith(put func(*http.Request, string), token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	put(r, token)
	return r
}

// anotherKey is a key of the issuer that is not in its set.
func anotherKey() *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{9}, 32))
	if err != nil {
		panic(err)
	}
	return key
}

// keyFor is a key that the issuer publishes for something else than tokens.
func keyFor(use string) *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{use[0]}, 32))
	if err != nil {
		panic(err)
	}
	return key
}

// matrixSecrets are those of services with secrets beside others, or beside keys.
func matrixSecrets() [][]byte {
	return [][]byte{bytes.Repeat([]byte("old-"), 16), bytes.Repeat([]byte("new-"), 16)}
}

func secretKeys() (keys []reference.Key) {
	for _, secret := range matrixSecrets() {
		keys = append(keys, reference.Key{Algorithm: "HS256", Public: secret})
	}
	return keys
}

// inBundle is the key set with its keys marked as those of JWT-SVIDs, unless they are for something
// else.
func (s *service) inBundle() []byte {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if !s.publishes() {
		return nil
	}
	if err := json.Unmarshal(s.document, &set); err != nil {
		s.unfit = true
	}
	for _, key := range set.Keys {
		if key["use"] == nil || key["use"] == "sig" {
			key["use"] = "jwt-svid"
		}
	}
	return marshal(s.TB, set)
}

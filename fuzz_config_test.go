package bearer_test

import (
	"errors"
	"fmt"
	"math/bits"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/jwks"
)

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
	withSecretBesideKeys
	withNamedClaims // ClientIDClaim and AnyClaimPresent
	withNoIssuer
	withIDTokens
	withTemplate
	withAudienceFunc
	withMetadataURL
	withAnyOf
	withFile
	withFetchTimeout // of keys that may be those of JWT-SVIDs
	withFormsOfRoles // RolesFromMembers and RolesSeparatedBySpaces
	withTwoSecrets
	withPlaces // FromHeader with a name, FromHeaderScheme and FirstOf
	withRegistry
	lastFlag = iota - 1
)

// withSources are the options that say where public keys are.
const withSources = withJWKSURL | withDiscover | withRemote | withStatic | withPEM | withMetadataURL | withAnyOf | withFile | withFetchTimeout

type configSeed struct {
	issuer, audience, text string // text: what every other option takes
	leeway, lifetime       int64
	size                   int
	flags                  uint64
}

const secretMark = "never-in-an-error:"

func (s configSeed) options() []bearer.Option {
	var issuerOpts []bearer.IssuerOption
	var opts []bearer.Option
	for flag, opt := range map[uint64]bearer.IssuerOption{
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
		withNoIssuer:      bearer.InsecureNoIssuer(),
		withIDTokens:      bearer.InsecureIDTokens(),

		withSecretBesideKeys: bearer.HMACSecretBesideKeys([]byte(secretMark+s.text), []byte(secretMark+strings.Repeat("k", 32))),
		withTemplate:         bearer.IssuerTemplate(s.text, acceptAll),
		withAudienceFunc:     bearer.AudienceFunc(audienceOfHost),

		withMetadataURL:  bearer.MetadataURL(s.text),
		withAnyOf:        bearer.Keys(jwks.AnyOf(jwks.Remote(s.text), jwks.File(s.text))),
		withFile:         bearer.Keys(jwks.File(s.text)),
		withFetchTimeout: bearer.Keys(jwks.Remote(s.text, jwks.WithFetchTimeout(time.Duration(s.lifetime)), jwks.WithJWTSVIDKeys())),
		withTwoSecrets:   bearer.HMACSecret([]byte(secretMark+s.text), []byte(secretMark+strings.Repeat("k", 32))),
	} {
		if s.flags&flag != 0 {
			issuerOpts = append(issuerOpts, opt)
		}
	}
	if s.flags&withNamedClaims != 0 {
		issuerOpts = append(issuerOpts, bearer.ClientIDClaim(s.text), bearer.AnyClaimPresent(s.text))
	}
	if s.flags&withFormsOfRoles != 0 {
		issuerOpts = append(issuerOpts, bearer.RolesFromMembers(), bearer.RolesSeparatedBySpaces())
	}
	registry := bearer.NewRegistry(bearer.WithMaxIssuers(s.size))
	_ = registry.Add("https://registered.example", s.text) // New does not see one that is refused
	for flag, opt := range map[uint64]bearer.Option{
		withRegistry: bearer.WithRegistry(registry),
		withPlaces: bearer.WithTokensFrom(bearer.FromHeader(s.text),
			bearer.FirstOf(bearer.FromCookie(s.text), bearer.FromHeaderScheme("X-Token", s.text))),
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
	{issuer: "https://issuer.example", audience: "orders", flags: withRFC9068 | withNoIssuer},
	{issuer: "https://issuer.example", audience: "orders", flags: withRFC9068 | withIDTokens},
	{issuer: "https://issuer.example", audience: "orders", text: strings.Repeat("s", 32), flags: withSecretBesideKeys},
	{issuer: "https://issuer.example", audience: "orders", text: strings.Repeat("s", 32), flags: withSecretBesideKeys | withHMACSecret},
	{issuer: "https://issuer.example", audience: "orders", text: "ES256", flags: withSecretBesideKeys | withAlgorithms},
	{issuer: "https://issuer.example", audience: "orders", text: "cid", flags: withNamedClaims | withNoIssuer | withIDTokens},
	{issuer: "https://issuer.example/{tenant}", audience: "orders", text: "tid", flags: withTemplate},
	{issuer: "https://issuer.example/{tenant}", audience: "orders", text: "https://keys.example/jwks", flags: withTemplate | withJWKSURL},
	{issuer: "https://issuer.example", audience: "orders", flags: withAudienceFunc},
	{issuer: "https://issuer.example", flags: withAudienceFunc | withAnyAudience},
	{issuer: "https://issuer.example", flags: withAudienceFunc},
	{issuer: "any text", audience: "orders", text: "https://elsewhere.example/metadata", flags: withMetadataURL},
	{issuer: "https://issuer.example", audience: "orders", text: "https://elsewhere.example/metadata", flags: withMetadataURL | withJWKSURL},
	{issuer: "joe", audience: "orders", text: "https://keys.example/jwks", lifetime: int64(time.Minute), flags: withFetchTimeout},
	{issuer: "joe", audience: "orders", text: "https://keys.example/jwks", flags: withAnyOf},
	{issuer: "joe", audience: "orders", text: "/etc/keys/jwks.json", flags: withFile | withFormsOfRoles},
	{issuer: "joe", audience: "orders", text: strings.Repeat("s", 32), flags: withTwoSecrets},
	{issuer: "https://issuer.example", audience: "orders", text: "X-Assertion", flags: withPlaces},
	{issuer: "https://issuer.example", audience: "orders", text: "Authorization", flags: withPlaces},
	{issuer: "https://issuer.example", audience: "orders", text: "orders", size: 1, flags: withRegistry},
	{issuer: "https://issuer.example/{tenant}", audience: "orders", text: "https://keys.example/jwks", size: 1, flags: withRegistry | withTemplate | withJWKSURL},
}

// everyConfigSeed adds each option alone, with nothing in it and with something.
func everyConfigSeed() []configSeed {
	seeds := slices.Clone(configSeeds)
	for flag := uint64(withAudiences); flag <= 1<<lastFlag; flag <<= 1 {
		for _, text := range []string{"", "x"} {
			seeds = append(seeds, configSeed{issuer: "https://issuer.example", audience: "orders", text: text, flags: flag})
		}
	}
	return seeds
}

// New never panics and does no I/O. Each of its errors is a *ConfigError with a text that does not
// show the secret. A configuration that it accepts has nothing empty and nothing out of bounds, and
// refuses unsigned tokens.
func FuzzConfig(f *testing.F) {
	seeds := everyConfigSeed()
	checkSeeds(f, seeds, func(s configSeed) bool { _, err := bearer.New(s.options()...); return err == nil })
	for _, s := range seeds {
		f.Add(s.issuer, s.audience, s.text, s.leeway, s.lifetime, s.size, s.flags)
	}
	f.Fuzz(func(t *testing.T, issuer, audience, text string, leeway, lifetime int64, size int, flags uint64) {
		s := configSeed{issuer, audience, text, leeway, lifetime, size, flags}
		offline := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("New or an unsigned token caused I/O")
			return nil, errors.New("offline")
		})}
		auth, err := bearer.New(append(s.options(), bearer.WithHTTPClient(offline))...)
		if err != nil {
			if auth != nil {
				t.Error("both a Middleware and an error")
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
			hmacToken(t, "HS256", []byte(""), map[string]any{"aud": audience, "exp": int64(4102444799)}),
		} {
			if _, err := auth.Guard().Verify(t.Context(), token); err == nil {
				t.Errorf("accepts %s", token)
			}
		}
	})
}

// checkMeant fails the test for an accepted configuration that makes no sense.
func (s configSeed) checkMeant(t testing.TB) {
	t.Helper()
	has := func(flags uint64) bool { return s.flags&flags != 0 }
	for problem, found := range map[string]bool{
		"no issuer":                           s.issuer == "",
		"no audience":                         s.audience == "" && !has(withAnyAudience|withAudienceFunc),
		"an audience that is not looked at":   s.audience != "" && has(withAnyAudience|withAudienceFunc) || has(withAudienceFunc) && has(withAudiences|withAnyAudience),
		"an empty option":                     s.text == "" && has(withAudiences|withAudienceClaim|withAlgorithms|withTokenTypes|withScopeClaim|withRolesClaim|withRealm|withMetadata|withTokensFrom|withNamedClaims|withTemplate|withPlaces),
		"no keys":                             s.text == "" && has(withSources),
		"a leeway out of bounds":              has(withLeeway) && (s.leeway < 0 || s.leeway > int64(5*time.Minute)),
		"a lifetime that is none":             has(withMaxLifetime) && s.lifetime <= 0,
		"a size out of bounds":                has(withMaxTokenSize) && (s.size < 1 || s.size > 1<<20),
		"an option twice":                     has(withTwoLeeways) && has(withLeeway) || has(withTwoIssuers) || has(withTwoSecrets) && has(withHMACSecret),
		"alg none":                            has(withAlgorithms) && strings.EqualFold(s.text, "none"),
		"a short secret":                      has(withHMACSecret|withTwoSecrets|withSecretBesideKeys) && len(secretMark)+len(s.text) < 32,
		"a secret alone and beside keys":      has(withHMACSecret|withTwoSecrets) && has(withSecretBesideKeys),
		"algorithms of one kind beside keys":  has(withAlgorithms) && has(withSecretBesideKeys),
		"two issuers for tokens without iss":  has(withNoIssuer) && has(withTwoIssuers),
		"a secret and public keys":            has(withHMACSecret|withTwoSecrets) && has(withSources),
		"RFC 9068 and what contradicts it":    has(withRFC9068) && has(withTokenTypes|withNoExpiry|withAudienceClaim|withAnyAudience|withNoIssuer|withIDTokens),
		"keys over http":                      has(withJWKSURL|withRemote|withDiscover|withMetadataURL|withAnyOf|withFetchTimeout) && !has(withInsecureHTTP) && !isSafe(s.text),
		"discovery over http":                 !has(withSources|withHMACSecret|withTwoSecrets|withInsecureHTTP) && !isSafe(s.issuer),
		"a template without keys":             has(withTemplate) && (has(withHMACSecret|withTwoSecrets) || !has(withSources)),
		"a template that is none":             has(withTemplate) && strings.Count(s.issuer, "/{")*strings.Count(s.issuer, "}") != 1,
		"a place that is there twice":         has(withPlaces) && has(withTokensFrom),
		"a header of the connection":          has(withPlaces) && slices.Contains([]string{"authorization", "cookie", "host", "te"}, strings.ToLower(s.text)),
		"a timeout out of bounds":             has(withFetchTimeout) && (s.lifetime < int64(time.Second) || s.lifetime > int64(time.Minute)),
		"a registry of no size":               has(withRegistry) && s.size < 1,
		"two sources of keys":                 bits.OnesCount64(s.flags&withSources) > 1,
		"a realm that breaks out of a header": has(withRealm) && strings.ContainsAny(s.text, "\"\\\r\n"),
	} {
		if found {
			t.Errorf("accepted: %s (%+v)", problem, s)
		}
	}
}

// isSafe reports whether an attacker on the network cannot change what is fetched from a URL.
func isSafe(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || host == "::1" || strings.HasPrefix(host, "127."))
}

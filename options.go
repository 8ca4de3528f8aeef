package bearer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jwa"
	"github.com/bearer-go/bearer/internal/weburl"
	"github.com/bearer-go/bearer/jwks"
)

// The defaults and the bounds of the options.
const (
	DefaultMaxTokenSize = 16 << 10         // bytes; see WithMaxTokenSize
	DefaultLeeway       = 30 * time.Second // see Leeway
	maxLeeway           = 5 * time.Minute
	maxMaxTokenSize     = 1 << 20
)

// defaultAlgorithms are those of good reputation that issuers use. HMAC is not among them: it needs a secret.
var defaultAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// An Option configures a [Middleware]. An option that takes one value may be given once; an empty value is a mistake and
// never switches anything off.
type Option func(*config)

// An IssuerOption configures how the tokens of one issuer are judged; see [WithIssuer].
type IssuerOption func(*issuer)

// config collects the options, and every mistake in them, until New judges the whole.
type config struct {
	problems
	m        *core
	issuers  []*issuer
	metadata *ResourceMetadata
	client   *http.Client
}

// issuer is one tuple: whose tokens, and how they are judged. It is filled by options and does not change afterwards.
type issuer struct {
	problems
	name          string
	audiences     []string
	audienceClaim string
	types         []string // as mediaType gives them
	algorithms    []*jwa.Algorithm
	required      claimSet
	leeway        time.Duration
	maxLifetime   time.Duration // 0: not limited
	scopeClaims   []string
	rolesClaim    string
	secret        any // HMAC's, a []byte; then keys is nil
	keys          *jwks.Set

	source                                                    jwks.Source
	jwksURL                                                   string
	algorithmNames                                            []string
	rfc9068                                                   bool
	anyAudience, allowHTTP, withoutExpiry, ignoreConfirmation bool
}

// problems notes mistakes, and which options were given.
type problems struct {
	issuerName string
	given      []string
	errs       []error
}

func (p *problems) wrong(option, value, format string, args ...any) {
	p.errs = append(p.errs, &ConfigError{
		Option: option, Issuer: p.issuerName, Value: value, Problem: fmt.Sprintf(format, args...),
	})
}

// once notes an option and reports a second use of it.
func (p *problems) once(option, value string) {
	if slices.Contains(p.given, option) {
		p.wrong(option, value, "given twice; keep one, for which of the two holds would be a guess")
	}
	p.given = append(p.given, option)
}

func (p *problems) has(option string) bool { return slices.Contains(p.given, option) }

// WithIssuer trusts the tokens of one issuer that are meant for one audience. Both are compared exactly, so a trailing slash
// matters. It may be repeated, once per issuer: keys, algorithms, audiences and all else stay separate for each.
//
// By default the issuer is an https URL and its keys are found by OpenID Connect Discovery or RFC 8414, on the first request;
// a token must be signed with RS256, PS256, ES256 or EdDSA, be of type at+jwt or JWT, carry exp, and name the audience in
// aud. An empty issuer or audience is an error, so that an unset variable does not open a service.
func WithIssuer(name, audience string, opts ...IssuerOption) Option {
	opts = slices.Clone(opts) // here and below: what the caller does with its own list later changes nothing
	return func(c *config) {
		iss := &issuer{
			problems:      problems{issuerName: weburl.Redacted(name)},
			name:          name,
			audienceClaim: "aud",
			types:         []string{accessTokenType, "jwt"},
			leeway:        DefaultLeeway,
			scopeClaims:   []string{"scope", "scp"},
			rolesClaim:    "roles",
		}
		for i, opt := range opts {
			if opt == nil {
				iss.wrong("WithIssuer", strconv.Quote(iss.issuerName), "option %d is nil; leave it out", i+1)
				continue
			}
			opt(iss)
		}
		iss.finish(audience)
		c.errs = append(c.errs, iss.errs...)
		c.issuers = append(c.issuers, iss)
	}
}

// Audiences accepts further audiences beside the one given to [WithIssuer]. It may be repeated.
func Audiences(audiences ...string) IssuerOption {
	audiences = slices.Clone(audiences)
	return func(iss *issuer) {
		iss.nonEmptyList("Audiences", audiences)
		iss.given = append(iss.given, "Audiences")
		iss.audiences = append(iss.audiences, audiences...)
	}
}

// AudienceClaim names the claim that holds the audience, for issuers whose access tokens carry no aud: "client_id" for Amazon
// Cognito. Default: "aud". The claim is a string or an array of strings. A token that has an aud all the same must name one of
// this service's audiences there too (RFC 7519 section 4.1.3).
func AudienceClaim(name string) IssuerOption {
	return func(iss *issuer) {
		iss.once("AudienceClaim", strconv.Quote(name))
		if name == "" {
			iss.wrong("AudienceClaim", `""`, "name the claim, or leave the option out for aud")
		}
		iss.audienceClaim = name
	}
}

// JWKSURL names the issuer's JWK Set, for issuers without discovery or to spare it. Default: discovery.
// The set may be that of several issuers, as Microsoft Entra ID has it: a key whose member issuer
// does not fit this issuer is not used ([jwks.Key.SignsFor]).
func JWKSURL(rawURL string) IssuerOption {
	return func(iss *issuer) {
		iss.once("JWKSURL", strconv.Quote(weburl.Redacted(rawURL)))
		if rawURL == "" {
			iss.wrong("JWKSURL", `""`, "give the URL, or leave the option out for discovery")
		}
		iss.jwksURL = rawURL
	}
}

// Keys says where the issuer's keys come from, when neither discovery nor [JWKSURL] will do: [jwks.PEM], [jwks.Static],
// [jwks.PublicKeys], or [jwks.Remote] and [jwks.Discover] with options of their own. The Middleware builds a key set of its
// own from the source and closes it.
func Keys(source jwks.Source) IssuerOption {
	return func(iss *issuer) {
		iss.once("Keys", "")
		iss.source = source
	}
}

// Algorithms lists the signature algorithms that are accepted, by their registered names: RS256 to RS512, PS256 to PS512,
// ES256 to ES512, EdDSA, and under [HMACSecret] HS256 to HS512. Default: RS256, PS256, ES256 and EdDSA; under HMACSecret
// HS256. "none" is not among them. Narrow it to what the issuer uses.
func Algorithms(names ...string) IssuerOption {
	names = slices.Clone(names)
	return func(iss *issuer) {
		iss.once("Algorithms", quoted(names))
		iss.algorithmNames = names
		if len(names) == 0 {
			iss.wrong("Algorithms", "", "name one algorithm at least, or leave the option out for the default")
		}
	}
}

// TokenTypes lists the values of the header's typ that are accepted (RFC 7515 section 4.1.9), compared ASCII
// case-insensitively and without "application/". A token without typ counts as JWT (RFC 7519 section 5.1). Default: at+jwt
// and JWT. An issuer that marks its access tokens deserves TokenTypes("at+jwt") or [RFC9068].
func TokenTypes(types ...string) IssuerOption {
	types = slices.Clone(types)
	return func(iss *issuer) {
		iss.once("TokenTypes", quoted(types))
		iss.types = nil
		for _, t := range types {
			iss.types = append(iss.types, mediaType(t))
		}
		iss.nonEmptyList("TokenTypes", iss.types)
	}
}

// RFC9068 demands the profile of RFC 9068: type at+jwt alone, and the claims iss, exp, aud, sub, client_id, iat and jti.
// Default: off, because many issuers do not follow it.
func RFC9068() IssuerOption {
	return func(iss *issuer) {
		iss.once("RFC9068", "")
		iss.rfc9068 = true
	}
}

// Leeway is how far the clocks of issuer and service may be apart when exp, nbf and iat are checked. Default: 30 seconds. Zero
// means none; more than 5 minutes is an error.
func Leeway(d time.Duration) IssuerOption {
	return func(iss *issuer) {
		iss.once("Leeway", d.String())
		if d < 0 || d > maxLeeway {
			iss.wrong("Leeway", d.String(), "must be from 0 to %v; a larger difference is a clock to be mended", maxLeeway)
		}
		iss.leeway = d
	}
}

// MaxLifetime refuses tokens whose exp lies further than d behind their iat, and tokens without iat. Default: no limit. Zero
// and less are errors.
func MaxLifetime(d time.Duration) IssuerOption {
	return func(iss *issuer) {
		iss.once("MaxLifetime", d.String())
		if d <= 0 {
			iss.wrong("MaxLifetime", d.String(), "must be positive; leave the option out for no limit")
		}
		iss.maxLifetime = d
	}
}

// ScopeClaim names the claim that holds the scopes, instead of the default: scope and scp together. It is a string of scopes
// separated by spaces, or an array of strings. A dot steps into a nested object unless a member has the whole name.
func ScopeClaim(path string) IssuerOption {
	return func(iss *issuer) {
		iss.once("ScopeClaim", strconv.Quote(path))
		if path == "" {
			iss.wrong("ScopeClaim", `""`, "name the claim, or leave the option out for scope and scp")
		}
		iss.scopeClaims = []string{path}
	}
}

// RolesClaim names the claim that holds the roles: an array of strings, or one string. Default: "roles". A dot steps into a
// nested object unless a member has the whole name: "realm_access.roles" for Keycloak, "https://example.com/roles" for a
// namespaced claim.
func RolesClaim(path string) IssuerOption {
	return func(iss *issuer) {
		iss.once("RolesClaim", strconv.Quote(path))
		if path == "" {
			iss.wrong("RolesClaim", `""`, "name the claim, or leave the option out for roles")
		}
		iss.rolesClaim = path
	}
}

// HMACSecret verifies tokens with a secret shared with the issuer, at least as long as the hash: 32 bytes for HS256 (RFC 7518
// section 3.2). Whoever can verify such tokens can also make them: prefer public keys. It excludes every other source of
// keys and every other kind of algorithm. Default: none; tokens signed with HMAC are refused. The secret is copied at once.
func HMACSecret(secret []byte) IssuerOption {
	secret = slices.Clone(secret)
	return func(iss *issuer) {
		iss.once("HMACSecret", "")
		iss.secret = secret
	}
}

// InsecureAnyAudience accepts tokens meant for any service, so that each service that holds a token can replay it at every
// other (RFC 8725 section 3.9). The audience given to [WithIssuer] must then be "".
func InsecureAnyAudience() IssuerOption {
	return func(iss *issuer) {
		iss.once("InsecureAnyAudience", "")
		iss.anyAudience = true
	}
}

// InsecureHTTP allows http for discovery and keys off loopback. Whoever is on the network can then replace the keys.
func InsecureHTTP() IssuerOption {
	return func(iss *issuer) {
		iss.once("InsecureHTTP", "")
		iss.allowHTTP = true
	}
}

// InsecureNoExpiry accepts tokens without exp, which are good until their key is withdrawn. An exp that is there is checked.
func InsecureNoExpiry() IssuerOption {
	return func(iss *issuer) {
		iss.once("InsecureNoExpiry", "")
		iss.withoutExpiry = true
	}
}

// InsecureIgnoreConfirmation accepts tokens bound to a client's key (cnf, RFC 7800) as if they were plain bearer tokens: a
// stolen one works for the thief.
func InsecureIgnoreConfirmation() IssuerOption {
	return func(iss *issuer) {
		iss.once("InsecureIgnoreConfirmation", "")
		iss.ignoreConfirmation = true
	}
}

// nonEmptyList reports an empty list and empty members of one.
func (iss *issuer) nonEmptyList(option string, values []string) {
	if len(values) == 0 || slices.Contains(values, "") {
		iss.wrong(option, quoted(values), "must not be empty or hold an empty value; is a variable unset?")
	}
}

// finish judges what only the whole tuple can tell.
func (iss *issuer) finish(audience string) {
	if iss.name == "" {
		iss.wrong("WithIssuer", `""`, "the issuer is empty; give the exact value of the tokens' iss; is a variable unset?")
	}
	switch {
	case iss.anyAudience && (audience != "" || iss.has("Audiences") || iss.has("AudienceClaim")):
		iss.wrong("InsecureAnyAudience", "", "an audience is given as well; drop one of the two")
	case !iss.anyAudience && audience == "":
		iss.wrong("WithIssuer", fmt.Sprintf("%q, %q", iss.issuerName, ""),
			"the audience is empty; give the value this service has in the tokens' aud; is a variable unset?")
	default:
		iss.audiences = append([]string{audience}, iss.audiences...)
	}

	if iss.rfc9068 {
		for _, option := range []string{"TokenTypes", "InsecureNoExpiry", "AudienceClaim", "InsecureAnyAudience"} {
			if iss.has(option) {
				iss.wrong("RFC9068", "", "contradicts %s; drop one of the two", option)
			}
		}
		iss.types = []string{accessTokenType}
		iss.required = claimIss | claimExp | claimAud | claimSub | claimClientID | claimIat | claimJti
	}
	if !iss.withoutExpiry {
		iss.required |= claimExp
	}
	if iss.maxLifetime > 0 {
		iss.required |= claimExp | claimIat
	}
	iss.finishAlgorithms()
}

func (iss *issuer) finishAlgorithms() {
	symmetric := iss.has("HMACSecret")
	secret, _ := iss.secret.([]byte)
	names := iss.algorithmNames
	switch {
	case names != nil:
	case symmetric:
		names = []string{"HS256"}
	default:
		names = defaultAlgorithms
	}
	for _, name := range names {
		alg, ok := jwa.Lookup(name)
		switch {
		case asciiLower(name) == "none":
			iss.wrong("Algorithms", strconv.Quote(name), "tokens without a signature are never accepted; remove it")
		case !ok:
			iss.wrong("Algorithms", strconv.Quote(name), "not a known algorithm; names are case-sensitive, such as RS256 or ES256")
		case alg.Symmetric() && !symmetric:
			iss.wrong("Algorithms", strconv.Quote(name), "HMAC needs HMACSecret, and cannot stand beside public keys")
		case !alg.Symmetric() && symmetric:
			iss.wrong("Algorithms", strconv.Quote(name), "cannot stand beside HMACSecret: a public key must never serve as a secret")
		case symmetric && len(secret) < alg.MinSecret():
			iss.wrong("HMACSecret", "", "is %d bytes long; %s needs %d (RFC 7518 section 3.2)", len(secret), name, alg.MinSecret())
		default:
			iss.algorithms = append(iss.algorithms, alg)
		}
	}
	sources := 0
	for _, option := range []string{"HMACSecret", "Keys", "JWKSURL"} {
		if iss.has(option) {
			sources++
		}
	}
	if sources > 1 {
		iss.wrong("WithIssuer", strconv.Quote(iss.issuerName), "HMACSecret, Keys and JWKSURL exclude each other; keep one")
	}
}

// open makes the issuer's key set. It performs no I/O.
func (iss *issuer) open(defaults ...jwks.Option) {
	if iss.has("HMACSecret") || iss.name == "" && !iss.has("Keys") && !iss.has("JWKSURL") {
		return
	}
	if iss.allowHTTP {
		defaults = append(defaults, jwks.InsecureHTTP())
	}
	option, value, source := "WithIssuer", strconv.Quote(iss.issuerName), jwks.Discover(iss.name)
	switch {
	case iss.has("Keys"):
		option, value, source = "Keys", "", iss.source
	case iss.has("JWKSURL"):
		option, value, source = "JWKSURL", strconv.Quote(weburl.Redacted(iss.jwksURL)), jwks.Remote(iss.jwksURL)
	}
	set, err := jwks.New(source, defaults...)
	if err != nil {
		iss.wrong(option, value, "%v", err)
		return
	}
	iss.keys = set
}

// WithTokensFrom says where in a request tokens are looked for, for every route that does not say otherwise with
// [TokensFrom]. Default: [FromHeader] alone. A token in two of the places is refused.
func WithTokensFrom(sources ...TokenSource) Option {
	sources = slices.Clone(sources)
	return func(c *config) {
		c.once("WithTokensFrom", "")
		if err := checkSources(sources); err != nil {
			c.wrong("WithTokensFrom", "", "%v", err)
		}
		c.m.sources = sources
	}
}

// WithRealm names the realm in challenges (RFC 6750 section 3). Default: no realm.
func WithRealm(realm string) Option {
	return func(c *config) {
		c.once("WithRealm", strconv.Quote(realm))
		if realm == "" || !isQuotable(realm) {
			c.wrong("WithRealm", strconv.Quote(realm), "must be printable ASCII without quotes and backslashes; leave the option out for none")
		}
		c.m.realm = realm
	}
}

// WithResourceMetadata publishes what this service is (RFC 9728): challenges then point to the document that
// [Middleware.ResourceMetadata] serves. Default: none.
func WithResourceMetadata(metadata ResourceMetadata) Option {
	metadata.Scopes = slices.Clone(metadata.Scopes)
	return func(c *config) {
		value := strconv.Quote(weburl.Redacted(metadata.Resource))
		c.once("WithResourceMetadata", value)
		if err := metadata.check(); err != nil {
			c.wrong("WithResourceMetadata", value, "%v", err)
		}
		c.metadata = &metadata
	}
}

// WithLogger sets where refusals (at Debug) and changes of a key set's state (at Warn) are logged. Default: [slog.Default],
// as it is when New is called.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) {
		c.once("WithLogger", "")
		if logger == nil {
			c.wrong("WithLogger", "nil", "give a logger; slog.New(slog.DiscardHandler) is silent")
			return
		}
		c.m.logger = logger
	}
}

// WithObserver has f called with the decision on each request, on the request's goroutine and before the handler runs.
// Default: none.
func WithObserver(f func(context.Context, Event)) Option {
	return func(c *config) {
		c.once("WithObserver", "")
		if f == nil {
			c.wrong("WithObserver", "nil", "give a function, or leave the option out")
		}
		c.m.observe = f
	}
}

// WithErrorHandler has f write the body of refusals, such as an HTML page. The status, the challenge and Cache-Control are set
// before it runs and cannot be changed by it; when it writes nothing, the default body goes out. Default: a problem+json
// body (RFC 9457).
func WithErrorHandler(f func(http.ResponseWriter, *http.Request, *Error)) Option {
	return func(c *config) {
		c.once("WithErrorHandler", "")
		if f == nil {
			c.wrong("WithErrorHandler", "nil", "give a function, or leave the option out")
		}
		c.m.errorHandler = f
	}
}

// WithHTTPClient sets the client that fetches discovery documents and keys, for proxies, private certificate authorities and
// tests. It is copied; redirects to another origin are refused whatever its CheckRedirect says. Default: a client with the
// transport of [http.DefaultTransport].
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) {
		c.once("WithHTTPClient", "")
		if client == nil {
			c.wrong("WithHTTPClient", "nil", "give a client, or leave the option out")
		}
		c.client = client
	}
}

// WithMaxTokenSize bounds a token's length in bytes. Default: [DefaultMaxTokenSize]. It must be positive and at most 1 MiB.
func WithMaxTokenSize(bytes int) Option {
	return func(c *config) {
		c.once("WithMaxTokenSize", strconv.Itoa(bytes))
		if bytes <= 0 || bytes > maxMaxTokenSize {
			c.wrong("WithMaxTokenSize", strconv.Itoa(bytes), "must be from 1 to %d bytes", maxMaxTokenSize)
		}
		c.m.maxTokenSize = bytes
	}
}

// WithCache bounds the cache of verified tokens: how many are remembered, from 1 to 16 million, and how many bytes they take
// in memory, 64 KiB at least. Default: [DefaultCacheEntries] and [DefaultCacheBytes]. No memory is taken before the first token;
// with it comes a table of 16 bytes for each entry, and the rest as it is needed.
//
// A remembered token is still checked on every request, but for its signature: that its key is in the issuer's set, that it has
// not expired, and what the route requires.
//
// A token that takes more than 192 KiB, or more than a twentieth of the bytes, is not remembered.
// One that takes more than 16 KiB, or more than eight times bytes/entries if that is larger, stays
// among the new ones, and is forgotten first in a flood. A flood of tokens that are sent once,
// or several times in a row, leaves those in use where they are: the others hit in 97 % and more in
// the test, against 3 %. A sender with more tokens than there are entries, who sends each once more
// after a hundredth of them, does displace those of others (3 %); then these cost a signature each
// time, and nothing is refused.
func WithCache(entries, bytes int) Option {
	return func(c *config) {
		value := fmt.Sprintf("%d, %d", entries, bytes)
		c.once("WithCache", value)
		if entries < 1 || entries > maxCacheEntries {
			c.wrong("WithCache", value, "must be from 1 to %d entries; WithoutCache switches the cache off", maxCacheEntries)
		}
		if bytes < minCacheBytes {
			c.wrong("WithCache", value, "must be %d bytes at least; WithoutCache switches the cache off", minCacheBytes)
		}
		if c.has("WithoutCache") {
			c.wrong("WithCache", value, "contradicts WithoutCache; drop one of the two")
		}
		c.m.cache.maxEntries, c.m.cache.maxBytes = min(entries, bytes/cachedOverhead), bytes // more would not fit
	}
}

// WithoutCache has every token's signature verified on every request.
func WithoutCache() Option {
	return func(c *config) {
		c.once("WithoutCache", "")
		if c.has("WithCache") {
			c.wrong("WithoutCache", "", "contradicts WithCache; drop one of the two")
		}
		c.m.cache.maxEntries = 0
	}
}

// build judges the whole configuration and completes the Middleware.
func (c *config) build() (*Middleware, error) {
	m, auth := c.m, &Middleware{&corePointer{c.m}}
	if len(c.issuers) == 0 {
		c.wrong("New", "", "no issuer is trusted; add WithIssuer")
	}
	m.scratch.New = func() any {
		buffer := make([]byte, min(m.maxTokenSize, scratchSize))
		return &buffer
	}
	defaults := []jwks.Option{jwks.Logger(m.logger)}
	if c.client != nil {
		defaults = append(defaults, jwks.HTTPClient(c.client))
	}
	for _, iss := range c.issuers {
		if _, twice := m.issuers[iss.name]; twice && iss.name != "" {
			c.wrong("WithIssuer", strconv.Quote(iss.issuerName), "given twice; one issuer is one tuple, further audiences go into Audiences")
		}
		reported := len(iss.errs)
		iss.open(defaults...)
		c.errs = append(c.errs, iss.errs[reported:]...)
		m.issuers[iss.name] = iss
		m.longestIssuer = max(m.longestIssuer, 6*len(iss.name)+2)
		m.order = append(m.order, iss)
	}
	if c.metadata != nil && len(c.errs) == 0 {
		m.metadata = c.metadata.document(m)
		m.metadataURL = c.metadata.url()
	}
	if len(c.errs) > 0 {
		_ = auth.Close()
		return nil, errors.Join(c.errs...)
	}
	return auth, nil
}

func quoted(values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = strconv.Quote(v)
	}
	return strings.Join(list, ", ")
}

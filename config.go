package bearer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/tokencache"
	"github.com/bearer-go/bearer/internal/weburl"
	"github.com/bearer-go/bearer/jwks"
)

// The defaults and limits of the options.
const (
	defaultMaxTokenSize = 16 << 10 // bytes
	largestMaxTokenSize = 1 << 20
	defaultLeeway       = 30 * time.Second
)

// defaultAlgorithms are those that issuers use and that have no known weakness. HMAC is not among
// them: it needs a secret.
var defaultAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// built is what a Middleware works with: a configuration without mistakes.
type built struct {
	core       core
	components []component
	metadata   metadataDocument
}

// component is a part of a Middleware that becomes ready, has something to report, and ends.
type component interface {
	ready(context.Context) error
	report(*Stats)
	close()
}

func (b *built) close() {
	b.core.closed.Store(true)
	b.core.verifier.cache.Close()
	for _, c := range b.components {
		c.close()
	}
}

// build judges the whole configuration. It returns what a Middleware works with, or every mistake.
// It performs no I/O.
func (c *config) build() (*built, error) {
	m := &optional.Mistakes{}
	for _, i := range c.nils {
		m.Add("New", "nil", "option %d is nil; leave it out", i)
	}
	b := new(built)
	c.buildCore(m, &b.core)
	c.buildIssuers(m, b)
	c.buildMetadata(m, b)
	if len(m.All) > 0 {
		b.close()
		return nil, configErrors(m.All)
	}
	return b, nil
}

func (c *config) buildCore(m *optional.Mistakes, core *core) {
	optional.Once(m, "WithTokensFrom", &c.sources, nil)
	core.sources = c.sources.Or([]TokenLocation{FromHeader()})
	if err := checkLocations(core.sources); err != nil {
		m.Add("WithTokensFrom", "", "%v", err)
	}

	optional.Once(m, "WithRealm", &c.realm, strconv.Quote)
	core.challenger.realm = c.realm.Get()
	if c.realm.Given() && !grammar.IsNQSCHAR(c.realm.Get()) {
		m.Add("WithRealm", strconv.Quote(c.realm.Get()),
			"must be printable ASCII without quotes and backslashes; leave the option out for none")
	}

	optional.Once(m, "WithErrorHandler", &c.errorHandler, nil)
	core.challenger.errorHandler = c.errorHandler.Get()
	if c.errorHandler.Given() && c.errorHandler.Get() == nil {
		m.Add("WithErrorHandler", "nil", "give a function, or leave the option out")
	}

	optional.Once(m, "WithLogger", &c.logger, nil)
	if core.reporter.logger = c.logger.Or(slog.Default()); core.reporter.logger == nil {
		m.Add("WithLogger", "nil", "give a logger; slog.New(slog.DiscardHandler) is silent")
	}

	optional.Once(m, "WithObserver", &c.observer, nil)
	core.reporter.observe = c.observer.Get()
	if c.observer.Given() && c.observer.Get() == nil {
		m.Add("WithObserver", "nil", "give a function, or leave the option out")
	}

	c.buildVerifier(m, &core.verifier)
}

func (c *config) buildVerifier(m *optional.Mistakes, v *verifier) {
	optional.Once(m, "WithMaxTokenSize", &c.maxTokenSize, strconv.Itoa)
	v.maxTokenSize = c.maxTokenSize.Or(defaultMaxTokenSize)
	if v.maxTokenSize <= 0 || v.maxTokenSize > largestMaxTokenSize {
		m.Add("WithMaxTokenSize", strconv.Itoa(v.maxTokenSize), "must be from 1 to %d bytes", largestMaxTokenSize)
	}
	longest := v.maxTokenSize
	v.buffers.New = func() any {
		buffer := make([]byte, min(longest, usualTokenSize))
		return &buffer
	}

	show := func(s cacheSize) string { return fmt.Sprintf("%d, %d", s.entries, s.bytes) }
	optional.Once(m, "WithCache", &c.cache, show)
	optional.Once(m, "WithoutCache", &c.withoutCache, nil)
	size := c.cache.Or(cacheSize{tokencache.DefaultEntries, tokencache.DefaultBytes})
	if size.entries < 1 || size.entries > tokencache.MaxEntries {
		m.Add("WithCache", show(size), "must be from 1 to %d entries; WithoutCache switches the cache off",
			tokencache.MaxEntries)
	}
	if size.bytes < tokencache.MinBytes {
		m.Add("WithCache", show(size), "must be at least %d bytes; WithoutCache switches the cache off",
			tokencache.MinBytes)
	}
	if c.withoutCache.Given() {
		if c.cache.Given() {
			m.Add("WithCache", show(size), "contradicts WithoutCache; drop one of the two")
		}
		size.entries = 0
	}
	v.headers.seed = maphash.MakeSeed()
	v.cache = tokencache.New[verified](size.entries, size.bytes)
}

func (c *config) buildIssuers(m *optional.Mistakes, b *built) {
	if len(c.issuers) == 0 {
		m.Add("New", "", "no issuer is trusted; add WithIssuer")
	}
	optional.Once(m, "WithHTTPClient", &c.client, nil)
	var defaults []jwks.Option
	if logger := b.core.reporter.logger; logger != nil {
		defaults = append(defaults, jwks.WithLogger(logger))
	}
	if client := c.client.Get(); client != nil {
		defaults = append(defaults, jwks.WithHTTPClient(client))
	} else if c.client.Given() {
		m.Add("WithHTTPClient", "nil", "give a client, or leave the option out")
	}
	v := &b.core.verifier
	v.issuers = make(map[string]*issuer)
	for _, described := range c.issuers {
		m.Subject = ""
		if _, twice := v.issuers[described.name]; twice && described.name != "" {
			m.Add("WithIssuer", strconv.Quote(weburl.Redacted(described.name)),
				"set more than once; an issuer has one set of rules, and Audiences adds audiences")
		}
		iss := described.build(m, defaults)
		v.issuers[iss.name] = iss
		v.longestIssuer = max(v.longestIssuer, strictjson.MaxSpelling(len(iss.name)))
		b.components = append(b.components, iss)
	}
	m.Subject = ""
}

func (c *config) buildMetadata(m *optional.Mistakes, b *built) {
	b.metadata.path = wellKnownResource
	if !c.metadata.Given() {
		return
	}
	show := func(d ResourceMetadata) string { return strconv.Quote(weburl.Redacted(d.Resource)) }
	optional.Once(m, "WithResourceMetadata", &c.metadata, show)
	described := c.metadata.Get()
	if err := described.check(); err != nil {
		m.Add("WithResourceMetadata", show(described), "%v", err)
		return
	}
	var issuers []string
	for _, iss := range c.issuers {
		issuers = append(issuers, iss.name)
	}
	b.metadata, b.core.challenger.metadataURL = described.document(issuers, b.core.sources)
}

// build judges what was said of one issuer, and makes its key set.
func (c *issuerConfig) build(m *optional.Mistakes, defaults []jwks.Option) *issuer {
	shown := strconv.Quote(weburl.Redacted(c.name))
	for _, i := range c.nils {
		m.Add("WithIssuer", shown, "option %d is nil; leave it out", i)
	}
	if c.name == "" {
		m.Add("WithIssuer", `""`,
			"the issuer is empty; give the exact value of the tokens' iss; is a variable unset?")
	}
	if !c.anyAudience.Given() && c.audience == "" {
		m.Add("WithIssuer", shown+`, ""`,
			"the audience is empty; give the value this service has in the tokens' aud; is a variable unset?")
	}
	m.Subject = "issuer " + shown
	iss := &issuer{name: c.name}
	iss.names = c.buildNames(m)
	iss.rules = c.buildRules(m)
	iss.types = c.buildTypes(m)
	iss.algorithms = c.buildAlgorithms(m)
	c.buildKeys(m, iss, defaults)
	return iss
}

// buildNames returns the claims that the issuer uses.
func (c *issuerConfig) buildNames(m *optional.Mistakes) claimNames {
	name := func(option string, v *optional.Value[string], otherwise string) string {
		optional.Once(m, option, v, strconv.Quote)
		if v.Given() && v.Get() == "" {
			m.Add(option, `""`, "name the claim, or leave the option out for %s", otherwise)
		}
		return v.Or(otherwise)
	}
	n := claimNames{
		audience: name("AudienceClaim", &c.audienceClaim, "aud"),
		roles:    name("RolesClaim", &c.rolesClaim, "roles"),
		scopes:   []string{"scope", "scp"},
	}
	optional.Once(m, "ScopeClaim", &c.scopeClaim, strconv.Quote)
	if path := c.scopeClaim.Get(); path != "" {
		n.scopes = []string{path}
	} else if c.scopeClaim.Given() {
		m.Add("ScopeClaim", `""`, "name the claim, or leave the option out for scope and scp")
	}
	return n
}

// buildRules returns what the issuer's claims are judged by.
func (c *issuerConfig) buildRules(m *optional.Mistakes) claimRules {
	r := claimRules{
		issuer:             c.name,
		audiences:          []string{c.audience},
		anyAudience:        c.anyAudience.Given(),
		ignoreConfirmation: c.ignoreConfirmation.Given(),
		leeway:             c.leeway.Or(defaultLeeway),
		maxLifetime:        c.maxLifetime.Get(),
	}
	for _, more := range c.audiences {
		nonEmpty(m, "Audiences", more)
		r.audiences = append(r.audiences, more...)
	}
	optional.Once(m, "InsecureAnyAudience", &c.anyAudience, nil)
	optional.Once(m, "InsecureIgnoreConfirmation", &c.ignoreConfirmation, nil)
	optional.Once(m, "InsecureNoExpiry", &c.withoutExpiry, nil)
	optional.Once(m, "InsecureHTTP", &c.insecureHTTP, nil)
	if r.anyAudience && (c.audience != "" || len(c.audiences) > 0 || c.audienceClaim.Given()) {
		m.Add("InsecureAnyAudience", "", "an audience is given as well; drop one of the two")
	}
	optional.Once(m, "Leeway", &c.leeway, time.Duration.String)
	if r.leeway < 0 || r.leeway > maxLeeway {
		m.Add("Leeway", r.leeway.String(), "must be from 0 to %v; fix the clock instead of tolerating more", maxLeeway)
	}
	optional.Once(m, "MaxLifetime", &c.maxLifetime, time.Duration.String)
	if c.maxLifetime.Given() && r.maxLifetime <= 0 {
		m.Add("MaxLifetime", r.maxLifetime.String(), "must be positive; leave the option out for no limit")
	}
	if !c.withoutExpiry.Given() {
		r.required |= claimExp
	}
	if r.maxLifetime > 0 {
		r.required |= claimExp | claimIat
	}
	if c.rfc9068.Given() {
		r.required = claimIss | claimExp | claimAud | claimSub | claimClientID | claimIat | claimJti
	}
	return r
}

// buildTypes returns the types that the issuer's tokens may have.
func (c *issuerConfig) buildTypes(m *optional.Mistakes) []string {
	optional.Once(m, "RFC9068", &c.rfc9068, nil)
	if c.rfc9068.Given() {
		for _, other := range []struct {
			option string
			given  bool
		}{
			{"TokenTypes", c.types.Given()},
			{"InsecureNoExpiry", c.withoutExpiry.Given()},
			{"AudienceClaim", c.audienceClaim.Given()},
			{"InsecureAnyAudience", c.anyAudience.Given()},
		} {
			if other.given {
				m.Add("RFC9068", "", "contradicts %s; drop one of the two", other.option)
			}
		}
		return []string{accessTokenType}
	}
	optional.Once(m, "TokenTypes", &c.types, optional.Quoted)
	if !c.types.Given() {
		return []string{accessTokenType, "jwt"}
	}
	var types []string
	for _, t := range c.types.Get() {
		types = append(types, mediaType(t))
	}
	nonEmpty(m, "TokenTypes", types)
	return types
}

// buildAlgorithms returns the algorithms that the issuer's tokens may have.
func (c *issuerConfig) buildAlgorithms(m *optional.Mistakes) (algorithms []*jws.Algorithm) {
	optional.Once(m, "Algorithms", &c.algorithms, optional.Quoted)
	symmetric, secret := c.secret.Given(), c.secret.Get()
	names := defaultAlgorithms
	switch {
	case c.algorithms.Given():
		if names = c.algorithms.Get(); len(names) == 0 {
			m.Add("Algorithms", "", "name at least one algorithm, or leave the option out for the default")
		}
	case symmetric:
		names = []string{"HS256"}
	}
	for _, name := range names {
		alg, ok := jws.Lookup(name)
		switch {
		case strings.EqualFold(name, "none"):
			m.Add("Algorithms", strconv.Quote(name), "tokens without a signature are never accepted; remove it")
		case !ok:
			m.Add("Algorithms", strconv.Quote(name),
				"not a known algorithm; names are case-sensitive, such as RS256 or ES256")
		case alg.Symmetric() && !symmetric:
			m.Add("Algorithms", strconv.Quote(name), "HMAC needs HMACSecret, and excludes public keys")
		case !alg.Symmetric() && symmetric:
			m.Add("Algorithms", strconv.Quote(name),
				"excludes HMACSecret: a public key must never serve as a secret")
		case symmetric && len(secret) < alg.MinSecret():
			m.Add("HMACSecret", "", "is %d bytes long; %s needs %d (RFC 7518 section 3.2)",
				len(secret), name, alg.MinSecret())
		default:
			algorithms = append(algorithms, alg)
		}
	}
	return algorithms
}

// buildKeys gives the issuer its secret, or makes its key set.
func (c *issuerConfig) buildKeys(m *optional.Mistakes, iss *issuer, defaults []jwks.Option) {
	optional.Once(m, "HMACSecret", &c.secret, nil)
	optional.Once(m, "Keys", &c.source, nil)
	optional.Once(m, "JWKSURL", &c.jwksURL, func(u string) string { return strconv.Quote(weburl.Redacted(u)) })
	optional.Once(m, "MetadataURL", &c.metadataURL, func(u string) string { return strconv.Quote(weburl.Redacted(u)) })
	given := []bool{c.secret.Given(), c.source.Given(), c.jwksURL.Given(), c.metadataURL.Given()}
	if n := len(slices.DeleteFunc(given, func(g bool) bool { return !g })); n > 1 {
		m.Add("WithIssuer", strconv.Quote(weburl.Redacted(c.name)),
			"HMACSecret, Keys, JWKSURL and MetadataURL exclude each other; keep one")
	}
	if c.insecureHTTP.Given() {
		defaults = append(slices.Clip(defaults), jwks.InsecureHTTP())
	}
	option, shown, source := "WithIssuer", strconv.Quote(weburl.Redacted(c.name)), jwks.Discover(c.name)
	switch {
	case c.secret.Given():
		iss.secret = c.secret.Get()
		return
	case c.source.Given():
		option, shown, source = "Keys", "", c.source.Get()
	case c.jwksURL.Given():
		url := c.jwksURL.Get()
		option, shown, source = "JWKSURL", strconv.Quote(weburl.Redacted(url)), jwks.Remote(url)
		if url == "" {
			m.Add(option, shown, "give the URL, or leave the option out for discovery")
			return
		}
	case c.metadataURL.Given():
		url := c.metadataURL.Get()
		option, shown = "MetadataURL", strconv.Quote(weburl.Redacted(url))
		source = jwks.Discover(c.name, jwks.WithMetadataURL(url))
		if url == "" || c.name == "" {
			if url == "" {
				m.Add(option, shown, "give the URL, or leave the option out for discovery")
			}
			return
		}
	case c.name == "":
		return // it was reported
	}
	set, err := jwks.New(source, defaults...)
	if err != nil {
		if option == "WithIssuer" {
			m.Subject = "" // the value says it
		}
		for _, mistake := range splitErrors(err) {
			m.Add(option, shown, "%v", problemOf(mistake, option))
		}
		return
	}
	iss.set, iss.keys = set, keyset.Of(set)
}

// problemOf returns what is wrong with a key set. The source of [Keys] is named; any other is the
// option itself.
func problemOf(err error, option string) string {
	if mistake, ok := errors.AsType[*jwks.ConfigError](err); ok && option != "Keys" {
		return mistake.Problem
	}
	return err.Error()
}

// splitErrors returns the errors that were joined.
func splitErrors(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// nonEmpty reports an empty list and empty members of one.
func nonEmpty(m *optional.Mistakes, option string, values []string) {
	if len(values) == 0 || slices.Contains(values, "") {
		m.Add(option, optional.Quoted(values), "must not be empty or contain an empty value; is a variable unset?")
	}
}

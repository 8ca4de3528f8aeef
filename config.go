package bearer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/optional"
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

// built is what a Middleware works with: a configuration without mistakes.
type built struct {
	core       core
	defaults   []jwks.Option // of every key set
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
	b.core.verifier.streams.Close(refuse(ReasonClosed))
	for _, c := range b.components {
		c.close()
	}
}

// build judges the configuration, but for the registry. It returns what a Middleware works with if
// there is no mistake. It performs no I/O.
func (c *config) build(m *optional.Mistakes) *built {
	for _, i := range c.nils {
		m.Add("New", "nil", "option %d is nil; leave it out", i)
	}
	b := new(built)
	c.buildCore(m, &b.core)
	c.buildIssuers(m, b)
	c.buildMetadata(m, b)
	return b
}

func (c *config) buildCore(m *optional.Mistakes, core *core) {
	optional.Once(m, "WithTokensFrom", &c.sources, nil)
	mistakes := checkLocations(c.tokenSources())
	for _, err := range mistakes {
		m.Add("WithTokensFrom", "", "%v", err)
	}
	if len(mistakes) == 0 {
		core.sources = newPlaces(c.tokenSources(), &core.challenger.told)
	}

	optional.Once(m, "WithRealm", &c.realm, strconv.Quote)
	core.challenger.told.realm = c.realm.Get()
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

// tokenSources are the places of tokens, for routes that do not say otherwise.
func (c *config) tokenSources() []TokenLocation { return c.sources.Or([]TokenLocation{FromHeader()}) }

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
	v.streams = newStreams()
}

func (c *config) buildIssuers(m *optional.Mistakes, b *built) {
	if len(c.issuers) == 0 && !c.registry.Given() {
		m.Add("New", "", "no issuer is trusted; add WithIssuer, or WithRegistry")
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
	b.defaults = defaults
	v := &b.core.verifier
	v.issuers = make(map[string]*issuer)
	for _, described := range c.issuers {
		m.Subject = ""
		if v.has(described.name) && described.name != "" {
			m.Add("WithIssuer", strconv.Quote(weburl.Redacted(described.name)),
				"set more than once; an issuer has one set of rules, and Audiences adds audiences")
		}
		iss := described.build(m, defaults)
		iss.tell(&b.core.reporter)
		v.trust(iss)
		b.components = append(b.components, iss)
		if iss.rules.withoutIssuer {
			if v.unnamed != nil {
				m.Add("InsecureNoIssuer", "", "another issuer has it as well; a token without iss is one issuer's, keep one")
			}
			v.unnamed = iss
		}
	}
	m.Subject = ""
	for i, iss := range v.templates {
		for _, other := range v.templates[:i] {
			if iss.name != other.name && templatesOverlap(iss.name, other.name) {
				m.Add("IssuerTemplate", strconv.Quote(iss.name), "an issuer can fit both this and %q; keep one", other.name)
			}
		}
	}
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
		if !iss.template.Given() { // whose name is that of no authorization server
			issuers = append(issuers, iss.name)
		}
	}
	b.metadata, b.core.challenger.told.metadata = described.document(issuers, c.tokenSources())
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
	if !c.anyAudience.Given() && !c.audienceFunc.Given() && c.audience == "" {
		m.Add("WithIssuer", shown+`, ""`,
			"the audience is empty; give the value this service has in the tokens' aud; is a variable unset?")
	}
	m.Subject = "issuer " + shown
	iss := &issuer{name: c.name}
	iss.names = c.buildNames(m)
	iss.rules = c.buildRules(m)
	iss.types = c.buildTypes(m)
	iss.algorithms = c.buildAlgorithms(m)
	iss.refused = sync.OnceValue(func() *refusedHeaders { return newRefusedHeaders(iss.algorithms, iss.types) })
	iss.secrets = c.buildSecrets(m, iss.algorithms)
	c.buildKeys(m, iss, defaults)
	c.buildLive(m, iss)
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
	names := func(option string, v *optional.Value[[]string], otherwise ...string) []string {
		optional.Once(m, option, v, optional.Quoted)
		if list := v.Get(); v.Given() && (len(list) == 0 || slices.Contains(list, "")) {
			m.Add(option, optional.Quoted(list), "name the claim, or leave the option out; is a variable unset?")
		}
		return v.Or(otherwise)
	}
	optional.Once(m, "RolesFromMembers", &c.rolesFromMembers, nil)
	optional.Once(m, "RolesSeparatedBySpaces", &c.rolesSeparatedBySpaces, nil)
	return claimNames{
		audience: name("AudienceClaim", &c.audienceClaim, "aud"),
		clients:  names("ClientIDClaim", &c.clientIDClaim),
		scopes:   names("ScopeClaim", &c.scopeClaim, "scope", "scp"),
		roles:    names("RolesClaim", &c.rolesClaim, "roles"),
		any:      names("AnyClaimPresent", &c.anyClaim),

		rolesFromMembers: c.rolesFromMembers.Given(),
		rolesFromWords:   c.rolesSeparatedBySpaces.Given(),
	}
}

// buildRules returns what the issuer's claims are judged by.
func (c *issuerConfig) buildRules(m *optional.Mistakes) claimRules {
	r := claimRules{
		issuer:             c.name,
		audiences:          []string{c.audience},
		anyAudience:        c.anyAudience.Given(),
		audienceClaim:      c.audienceClaim.Or("aud"),
		anyOf:              c.anyClaim.Get(),
		byRequest:          c.audienceFunc.Given(),
		ignoreConfirmation: c.ignoreConfirmation.Given(),
		withoutIssuer:      c.withoutIssuer.Given(),
		idTokens:           c.idTokens.Given(),
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
	optional.Once(m, "InsecureNoIssuer", &c.withoutIssuer, nil)
	optional.Once(m, "InsecureIDTokens", &c.idTokens, nil)
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
			{"InsecureNoIssuer", c.withoutIssuer.Given()},
			{"InsecureIDTokens", c.idTokens.Given()},
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
		types = append(types, jws.MediaType(t))
	}
	nonEmpty(m, "TokenTypes", types)
	return types
}

// buildKeys makes the issuer's key set, unless it has secrets alone.
func (c *issuerConfig) buildKeys(m *optional.Mistakes, iss *issuer, defaults []jwks.Option) {
	optional.Once(m, "Keys", &c.source, nil)
	optional.Once(m, "JWKSURL", &c.jwksURL, func(u string) string { return strconv.Quote(weburl.Redacted(u)) })
	optional.Once(m, "MetadataURL", &c.metadataURL, func(u string) string { return strconv.Quote(weburl.Redacted(u)) })
	given := []bool{c.secrets.Given(), c.source.Given(), c.jwksURL.Given(), c.metadataURL.Given()}
	if n := len(slices.DeleteFunc(given, func(g bool) bool { return !g })); n > 1 {
		m.Add("WithIssuer", strconv.Quote(weburl.Redacted(c.name)),
			"HMACSecret, Keys, JWKSURL and MetadataURL exclude each other; keep one")
	}
	if c.insecureHTTP.Given() {
		defaults = append(slices.Clip(defaults), jwks.InsecureHTTP())
	}
	option, shown, source := "WithIssuer", strconv.Quote(weburl.Redacted(c.name)), jwks.Discover(c.name)
	switch {
	case c.secrets.Given():
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
		if mistake.Option == "Discover" {
			return mistake.Problem + ", or say with JWKSURL, MetadataURL or Keys where its keys are"
		}
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

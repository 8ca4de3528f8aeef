package bearer

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"github.com/bearer-go/bearer/internal/optional"
)

// An Option configures a [Middleware]. An option that takes one value may be given once. An empty
// value is a mistake and never switches anything off.
type Option func(*config)

// config is what the options say. [New] judges the whole.
type config struct {
	nils    []int // the positions of options that are nil
	issuers []*issuerConfig

	registry optional.Value[*registrar]

	sources      optional.Value[[]TokenLocation]
	realm        optional.Value[string]
	metadata     optional.Value[ResourceMetadata]
	logger       optional.Value[*slog.Logger]
	observer     optional.Value[func(context.Context, Event)]
	errorHandler optional.Value[func(http.ResponseWriter, *http.Request, *Error)]
	client       optional.Value[*http.Client]
	maxTokenSize optional.Value[int]
	cache        optional.Value[cacheSize]
	withoutCache optional.Value[struct{}]
}

type cacheSize struct{ entries, bytes int }

// WithIssuer trusts the tokens of one issuer that are meant for one audience. Both are compared
// exactly, so a trailing slash matters. It may be repeated, once per issuer: keys, algorithms,
// audiences and everything else stay separate for each.
//
// By default the issuer is an https URL, and its keys are found by OpenID Connect Discovery or RFC
// 8414 on the first request. A token must be signed with RS256, PS256, ES256, ES384, ES512 or
// EdDSA, be of type at+jwt or JWT, carry exp, and name the audience in aud. An empty issuer or
// audience is an error, so that an unset variable does not open a service.
func WithIssuer(name, audience string, opts ...IssuerOption) Option {
	opts = slices.Clone(opts) // here and below: what the caller does with its own list later changes nothing
	return func(c *config) { c.issuers = append(c.issuers, describeIssuer(name, audience, opts)) }
}

// WithTokensFrom says where in a request tokens are, for every route that does not say otherwise
// with
// [TokensFrom]. Default: [FromHeader] alone. A request with a token in two of the places is
// refused, unless [FirstOf] says which one counts.
func WithTokensFrom(sources ...TokenLocation) Option {
	sources = slices.Clone(sources)
	return func(c *config) { c.sources.Set(sources) }
}

// WithRealm names the realm in challenges (RFC 6750 section 3). Default: no realm.
func WithRealm(realm string) Option {
	return func(c *config) { c.realm.Set(realm) }
}

// WithResourceMetadata publishes what this service is (RFC 9728). Challenges then point to the
// document that [Middleware.ResourceMetadata] serves. Default: none.
func WithResourceMetadata(metadata ResourceMetadata) Option {
	metadata.Scopes = slices.Clone(metadata.Scopes)
	return func(c *config) { c.metadata.Set(metadata) }
}

// WithLogger sets where refusals and changes of a key set's state are logged. Refusals are logged
// at Debug. Those for an unknown issuer, algorithm, type or key, or for another audience, look like
// a mistake in the setup: they are logged at Warn, once a minute for each reason. Changes of a key
// set's state are logged at Warn. Default: [slog.Default], as it is when New is called.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger.Set(logger) }
}

// WithObserver has f called with the decision on each request, on the request's goroutine and
// before the handler runs. It is also called when fetching an issuer's keys begins to fail and when
// it works again, on another goroutine, where a panic of f does nothing. Default: none.
func WithObserver(f func(context.Context, Event)) Option {
	return func(c *config) { c.observer.Set(f) }
}

// WithErrorHandler has f write the body of refusals, such as an HTML page. The status, the
// challenge and Cache-Control are set before it runs, and it cannot change them. If it writes
// nothing, the default body is sent. Default: a problem+json body (RFC 9457).
func WithErrorHandler(f func(http.ResponseWriter, *http.Request, *Error)) Option {
	return func(c *config) { c.errorHandler.Set(f) }
}

// WithHTTPClient sets the client that fetches discovery documents and keys, for proxies, private
// certificate authorities and tests. It is copied. Redirects to another origin are refused whatever
// its CheckRedirect says. Default: a client with the transport of [http.DefaultTransport].
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) { c.client.Set(client) }
}

// WithMaxTokenSize limits the length of a token in bytes. Default: 16 KiB. It must be positive and
// at most 1 MiB.
func WithMaxTokenSize(bytes int) Option {
	return func(c *config) { c.maxTokenSize.Set(bytes) }
}

// WithCache limits the cache of verified tokens: how many it has, from 1 to 16 million, and about
// how many bytes of memory they take, at least 64 KiB. Default: 16,384 tokens and 32 MiB. No memory
// is taken before the first token. That one allocates a table of 16 bytes for each entry.
//
// A cached token is still checked on every request, but for its signature: that its key is in the
// issuer's set, that it has not expired, and what the route requires.
//
// A token that takes more than 192 KiB, or more than a twentieth of the bytes, is not cached. One
// that takes more than 16 KiB, or more than eight times bytes/entries if that is larger, stays
// among the new ones and is removed first in a flood. A flood of tokens that are sent once, or
// several times in a row, leaves those in use where they are: in the test, 97 % and more of the
// other requests hit, against 3 %. A sender with more tokens than there are entries, who sends each
// again after a hundredth of them, does displace those of others (3 %). Then these cost a signature
// each time, and nothing is refused.
func WithCache(entries, bytes int) Option {
	return func(c *config) { c.cache.Set(cacheSize{entries, bytes}) }
}

// WithoutCache has the signature of every token verified on every request.
func WithoutCache() Option {
	return func(c *config) { c.withoutCache.Set(struct{}{}) }
}

package jwks

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

// How old keys become. The issuer chooses the lifetime (Cache-Control), within bounds.
const (
	minLifetime     = time.Minute // see WithLifetime
	defaultLifetime = 10 * time.Minute
	maxLifetime     = time.Hour
	maxStaleness    = 24 * time.Hour  // see WithMaxStaleness
	coldWait        = 5 * time.Second // see WithColdWait
)

// The limits of the options.
const (
	leastLifetime = time.Second
	mostLifetime  = 24 * time.Hour
	mostAge       = 30 * 24 * time.Hour // of keys, in memory or in a file
	mostColdWait  = time.Minute

	leastFetchTimeout = time.Second
	mostFetchTimeout  = time.Minute
)

// An Option changes how keys are fetched and for how long they are used. Each may be given once. An
// empty value is an error and never "no limit".
type Option func(*config)

// config is what the options say, and what is wrong with it.
type config struct {
	optional.Mistakes

	client       optional.Value[*http.Client]
	logger       optional.Value[*slog.Logger]
	lifetime     optional.Value[lifetimes]
	maxStaleness optional.Value[time.Duration]
	coldWait     optional.Value[time.Duration]
	fetchTimeout optional.Value[time.Duration]
	metadataURL  optional.Value[string]
	file         optional.Value[lastKnownGood]
	insecureHTTP bool
	publicOnly   bool
	jwtSVID      bool

	// What the source says.
	discovers bool       // it uses metadataURL
	usual     *lifetimes // without WithLifetime, if they are not those of a fetch
}

type lifetimes struct{ shortest, longest time.Duration }

func (l lifetimes) String() string { return fmt.Sprintf("%s, %s", l.shortest, l.longest) }

type lastKnownGood struct {
	path   string
	maxAge time.Duration
}

func (f lastKnownGood) String() string { return fmt.Sprintf("%q, %s", f.path, f.maxAge) }

// WithHTTPClient makes the fetches go through this client: its transport (and so its proxy,
// certificate authorities and client certificate), its timeout if it is shorter than
// [WithFetchTimeout], its cookies, and its CheckRedirect after the check that a redirect stays
// within its origin. The client is copied and not changed. nil is an error.
//
// Without this option, fetches go through a copy of [http.DefaultTransport] that keeps no
// connections: through the proxy that the environment names, and with the certificate authorities
// of the system.
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) { c.client.Set(client) }
}

// WithLogger makes the set log there. At the level Warn it logs that fetching keys fails or works
// again, signature keys that cannot be used, that the issuer has withdrawn all its keys, a
// last-known-good file that cannot be used or written, and why tokens that may be good are refused:
// their key is published for another issuer, or they have no kid and it is not clear which key is
// theirs. At Info it logs that a last-known-good file was used, and at Debug the keys of a set that
// are for encryption. Each is logged once, not once a request. The default is [slog.Default]. nil
// is an error.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger.Set(logger) }
}

// WithLifetime limits for how long fetched keys are fresh, whatever the issuer's Cache-Control
// says. What it says within the limits counts. The default is 1 minute to 1 hour. The limits are
// from 1 second to 24 hours, and may be equal. Without Cache-Control keys are fresh for 10 minutes,
// or for the limit that is nearest to that.
//
// The longest lifetime is how long a key that the issuer withdrew is still accepted. Short ones
// cost fetches.
func WithLifetime(shortest, longest time.Duration) Option {
	return func(c *config) { c.lifetime.Set(lifetimes{shortest, longest}) }
}

// WithMaxStaleness is the age at which keys that cannot be refreshed are no longer used, counted
// from when they were requested. The default is 24 hours. It is at least the longest [WithLifetime]
// and at most 30 days.
//
// It is how long an issuer's outage is bridged, and also how long an attacker who keeps the service
// from reaching the issuer can keep a withdrawn key alive.
func WithMaxStaleness(age time.Duration) Option {
	return func(c *config) { c.maxStaleness.Set(age) }
}

// WithColdWait is how long a request waits for keys when there are none that can be used. The
// request's own deadline counts too, if that is sooner. The default is 5 seconds, the maximum 1
// minute. Zero lets no request wait: requests that come before the keys are unavailable at once,
// even if the keys only have to be read from a file, and the first of them starts that.
//
// It is also how long a request with an unknown key id waits in all when many of them came before
// it. With less than 4 seconds, some are unavailable instead.
func WithColdWait(wait time.Duration) Option {
	return func(c *config) { c.coldWait.Set(wait) }
}

// WithFetchTimeout is how long one HTTP request for keys or for the issuer's metadata may take,
// with its redirects and its body. The default is 5 seconds, and it is from 1 second to 1 minute. A
// fetch makes up to three requests, one after the other, when it starts with discovery.
//
// It is not how long a request waits for keys: that stays with [WithColdWait], and at most 2
// seconds for newer keys than the current ones or for an unknown key id. What a request did not
// wait for serves those that come after it. So for an issuer that needs 20 seconds, raise both
// options, or use [WithLastKnownGood] and let [Set.Ready] hold traffic back until the keys are
// there.
func WithFetchTimeout(timeout time.Duration) Option {
	return func(c *config) { c.fetchTimeout.Set(timeout) }
}

// WithMetadataURL is where the metadata of the issuer of [Discover] is, for an issuer that
// publishes it elsewhere than OpenID Connect Discovery section 4 and RFC 8414 section 3 say. No
// other place is asked. The document must name the issuer all the same, to the character. It must
// be an https URL without user name and fragment; it may have a query, and http is for loopback
// addresses, or [InsecureHTTP]. It is an error with any other source, and when it is empty.
func WithMetadataURL(url string) Option {
	return func(c *config) { c.metadataURL.Set(url) }
}

// WithJWTSVIDKeys uses the keys of a SPIFFE bundle whose use is jwt-svid, beside those whose use is
// sig or absent. Without it they are skipped and logged. It changes no other check.
func WithJWTSVIDKeys() Option {
	return func(c *config) { c.jwtSVID = true }
}

// WithLastKnownGood keeps the keys in a file, so that a service which is restarted during the
// issuer's outage can still verify tokens. The file is written after each fetch that works, and
// read once, when the set is first needed. Its keys are stale: requests wait for newer ones as if
// there were none, and use the keys of the file only if the issuer does not answer. They expire at
// the maximum age, counted from when the issuer was asked for them, which is more than 0 and at
// most 30 days. It replaces
// [WithMaxStaleness] for them: if it is longer, a restart makes keys usable again that had expired.
//
// A process that can write the file decides whose tokens are accepted. The file is made with the
// permissions 0600 in a directory that must exist, on a local disk, and must belong to this service
// alone. It is replaced as a whole, so that a crash leaves the old one or the new one. A file is
// not used, and is logged, if everyone may write it (not checked on Windows), if it is for another
// source, from the future, or incomplete. One file belongs to one set. An empty path is an error.
func WithLastKnownGood(path string, maxAge time.Duration) Option {
	return func(c *config) { c.file.Set(lastKnownGood{path, maxAge}) }
}

// WithPublicAddressesOnly refuses to connect to addresses that are not on the public Internet:
// private and link-local ones, loopback, and all others that RFC 6890 sets aside. The address is
// checked when it is dialed, after the name was resolved, so that neither the issuer's metadata nor
// the DNS leads a fetch to a service inside the own network.
//
// Only the default client can be guarded in this way. It is an error together with
// [WithHTTPClient], and when the environment names a proxy for the URL, since a proxy connects on
// its own.
func WithPublicAddressesOnly() Option {
	return func(c *config) { c.publicOnly = true }
}

// InsecureHTTP allows http URLs to hosts other than this one. An attacker between the issuer and
// this service can then replace the keys, and make tokens that it accepts. Loopback addresses need
// no such permission.
func InsecureHTTP() Option {
	return func(c *config) { c.insecureHTTP = true }
}

// configure collects what the options say, and judges each.
func configure(options []Option) *config {
	c := new(config)
	optional.Apply(&c.Mistakes, "New", options, c)
	optional.Once(&c.Mistakes, "WithHTTPClient", &c.client, nil)
	if c.client.Given() && c.client.Get() == nil {
		c.Add("WithHTTPClient", "nil", "give a client, or leave the option out")
	}
	optional.Once(&c.Mistakes, "WithLogger", &c.logger, nil)
	if c.logger.Given() && c.logger.Get() == nil {
		c.Add("WithLogger", "nil", "give a logger, or leave the option out")
	}
	optional.Once(&c.Mistakes, "WithLifetime", &c.lifetime, lifetimes.String)
	if l := c.lifetime.Get(); c.lifetime.Given() &&
		(l.shortest < leastLifetime || l.longest > mostLifetime || l.longest < l.shortest) {
		c.Add("WithLifetime", l.String(), "give limits from %s to %s, the shorter first", leastLifetime, mostLifetime)
	}
	optional.Once(&c.Mistakes, "WithMaxStaleness", &c.maxStaleness, time.Duration.String)
	if age := c.maxStaleness.Get(); c.maxStaleness.Given() && (age <= 0 || age > mostAge) {
		c.Add("WithMaxStaleness", age.String(), "give an age from the longest lifetime to %s", mostAge)
	}
	optional.Once(&c.Mistakes, "WithColdWait", &c.coldWait, time.Duration.String)
	if wait := c.coldWait.Get(); wait < 0 || wait > mostColdWait {
		c.Add("WithColdWait", wait.String(), "give 0 to %s", mostColdWait)
	}
	optional.Once(&c.Mistakes, "WithFetchTimeout", &c.fetchTimeout, time.Duration.String)
	if timeout := c.fetchTimeout.Get(); c.fetchTimeout.Given() &&
		(timeout < leastFetchTimeout || timeout > mostFetchTimeout) {
		c.Add("WithFetchTimeout", timeout.String(), "give %s to %s", leastFetchTimeout, mostFetchTimeout)
	}
	optional.Once(&c.Mistakes, "WithMetadataURL", &c.metadataURL, redactedQuote)
	optional.Once(&c.Mistakes, "WithLastKnownGood", &c.file, lastKnownGood.String)
	if f := c.file.Get(); c.file.Given() {
		if f.path == "" {
			c.Add("WithLastKnownGood", f.String(), "the path is empty; name a file, or leave the option out")
		}
		if f.maxAge <= 0 || f.maxAge > mostAge {
			c.Add("WithLastKnownGood", f.String(), "give a maximum age of more than 0 and at most %s", mostAge)
		}
	}
	return c
}

func redactedQuote(url string) string { return strconv.Quote(weburl.Redacted(url)) }

// override takes over what another configuration gives.
func (c *config) override(other *config) {
	c.client = either(other.client, c.client)
	c.logger = either(other.logger, c.logger)
	c.lifetime = either(other.lifetime, c.lifetime)
	c.maxStaleness = either(other.maxStaleness, c.maxStaleness)
	c.coldWait = either(other.coldWait, c.coldWait)
	c.fetchTimeout = either(other.fetchTimeout, c.fetchTimeout)
	c.metadataURL = either(other.metadataURL, c.metadataURL)
	c.file = either(other.file, c.file)
	c.insecureHTTP = c.insecureHTTP || other.insecureHTTP
	c.publicOnly = c.publicOnly || other.publicOnly
	c.jwtSVID = c.jwtSVID || other.jwtSVID
	c.All = append(c.All, other.All...)
}

// either returns the first value if it was given, and otherwise the second.
func either[T any](first, second optional.Value[T]) optional.Value[T] {
	if first.Given() {
		return first
	}
	return second
}

// err returns every mistake, or nil.
func (c *config) err() error {
	return optional.Join(c.All, func(m optional.Mistake) error { return new(ConfigError(m)) })
}

// policy is for how long keys are used, and waited for.
type policy struct {
	lifetimes
	maxStaleness time.Duration
	maxFileAge   time.Duration
	coldWait     time.Duration
}

// policy is what the options say, with the defaults for what they do not.
func (c *config) policy() policy {
	usual := lifetimes{minLifetime, maxLifetime}
	if c.usual != nil {
		usual = *c.usual
	}
	return policy{
		lifetimes:    c.lifetime.Or(usual),
		maxStaleness: c.maxStaleness.Or(maxStaleness),
		maxFileAge:   c.file.Get().maxAge,
		coldWait:     c.coldWait.Or(coldWait),
	}
}

// judgeStaleness refuses keys that would expire while they are fresh.
func (c *config) judgeStaleness() {
	if p := c.policy(); p.maxStaleness > 0 && p.maxStaleness < p.longest {
		c.Add("WithMaxStaleness", p.maxStaleness.String(),
			"is shorter than the longest lifetime, %s; give more, or a shorter WithLifetime", p.longest)
	}
}

// remote gives a remote source the client it fetches with, and judges what concerns both.
func (c *config) remote(option, location string, r *remote) *remote {
	c.judgeStaleness()
	if c.metadataURL.Given() {
		if err := weburl.Check(c.metadataURL.Get(), c.insecureHTTP); err != nil {
			c.Add("WithMetadataURL", redactedQuote(c.metadataURL.Get()),
				"the URL %v; give the https URL of the issuer's metadata", err)
		}
	}
	r.insecureHTTP, r.jwtSVID, r.keep = c.insecureHTTP, c.jwtSVID, c.file.Given()
	r.timeout = c.fetchTimeout.Or(fetchTimeout)
	var err error
	if r.client, err = c.newClient(location); err != nil {
		c.Add("WithPublicAddressesOnly", "", "%s(%q): %v", option, weburl.Redacted(location), err)
	}
	return r
}

var (
	errGuardedClient    = errors.New("it cannot guard the client of WithHTTPClient; drop one of the two options")
	errGuardedTransport = errors.New("http.DefaultTransport was replaced by something that cannot be guarded; leave the option out")
)

// newClient returns the client for a URL. Nothing of a given client is changed.
//
// The default client keeps no connections: fetches are many minutes apart, and a connection would
// keep goroutines.
func (c *config) newClient(location string) (*http.Client, error) {
	client := &http.Client{}
	if given := c.client.Get(); given != nil {
		if c.publicOnly {
			return nil, errGuardedClient
		}
		*client = *given
	} else if transport := webclient.Transport(); transport != nil {
		if c.publicOnly {
			if err := checkGuarded(transport, location); err != nil {
				return nil, err
			}
			guard(transport)
		}
		client.Transport = transport
	} else if c.publicOnly {
		return nil, errGuardedTransport
	}
	withinOrigin(client)
	return client, nil
}

package jwks

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/bearer-go/bearer/internal/webclient"
	"github.com/bearer-go/bearer/internal/weburl"
)

// How old keys become. The lifetime is the issuer's to choose (Cache-Control), within bounds.
const (
	minLifetime     = time.Minute // see Lifetime
	defaultLifetime = 10 * time.Minute
	maxLifetime     = time.Hour
	maxStaleness    = 24 * time.Hour  // see MaxStaleness
	coldWait        = 5 * time.Second // see ColdWait
)

// What the options may say.
const (
	leastLifetime = time.Second
	mostLifetime  = 24 * time.Hour
	mostAge       = 30 * 24 * time.Hour // of keys, be they in memory or in a file
	mostColdWait  = time.Minute
)

// An Option changes how keys are fetched and for how long they are used. Each may be given once. An empty value is an
// error and never "no limit".
type Option func(*config)

// config is what the options say: nil where one was not given.
type config struct {
	client       *http.Client
	logger       *slog.Logger
	lifetime     *lifetimes
	maxStaleness *time.Duration
	coldWait     *time.Duration
	file         *lastKnownGood
	insecureHTTP bool
	publicOnly   bool
	errs         []error
}

type lifetimes struct{ shortest, longest time.Duration }

type lastKnownGood struct {
	path   string
	maxAge time.Duration
}

// HTTPClient makes the fetches go through this client: its transport (and so its proxy, certificate authorities and
// client certificate), its timeout if it is shorter than 5 seconds, its cookies, and its CheckRedirect after the check
// that a redirect stays within its origin. The client is copied and not changed; nil is an error.
//
// Without this option, fetches go through a copy of [http.DefaultTransport] that keeps no connections: through the proxy that
// the environment names, and with the certificate authorities of the system.
func HTTPClient(client *http.Client) Option {
	return func(c *config) {
		if client == nil {
			c.fail("HTTPClient: the client is nil; give one, or leave the option out")
		}
		once(c, "HTTPClient", &c.client, client)
	}
}

// Logger makes the set log there, at the level Warn: that fetching keys fails or works again, keys that are not used, and a
// last-known-good file that cannot be used or written; at Info, that one was used. Each is logged once, not once a request. The
// default is [slog.Default]; nil is an error.
func Logger(logger *slog.Logger) Option {
	return func(c *config) {
		if logger == nil {
			c.fail("Logger: the logger is nil; give one, or leave the option out")
		}
		once(c, "Logger", &c.logger, logger)
	}
}

// Lifetime bounds for how long fetched keys are fresh, whatever the issuer's Cache-Control says; what it says within the bounds
// counts. The default is 1 minute to 1 hour. The bounds are from 1 second to 24 hours, and may be equal. Without Cache-Control
// keys are fresh for 10 minutes, or for the bound that is nearest to that.
//
// The longest lifetime is how long a key that the issuer withdrew goes on being accepted; short ones cost fetches.
func Lifetime(shortest, longest time.Duration) Option {
	return func(c *config) {
		if shortest < leastLifetime || longest > mostLifetime || longest < shortest {
			c.fail("Lifetime: %s to %s; give bounds from %s to %s, the shorter first", shortest, longest, leastLifetime, mostLifetime)
		}
		once(c, "Lifetime", &c.lifetime, &lifetimes{shortest, longest})
	}
}

// MaxStaleness is the age at which keys that cannot be refreshed are not used any more, counted from when they were asked for.
// The default is 24 hours. It is at least the longest [Lifetime] and at most 30 days.
//
// It is how long an issuer's outage is bridged, and also how long someone who keeps the service from reaching the issuer can
// keep a withdrawn key alive.
func MaxStaleness(age time.Duration) Option {
	return func(c *config) {
		if age <= 0 || age > mostAge {
			c.fail("MaxStaleness: %s; give an age from the longest lifetime to %s", age, mostAge)
		}
		once(c, "MaxStaleness", &c.maxStaleness, &age)
	}
}

// ColdWait is how long a request waits for keys when there are none to use yet, or none any more. The request's own deadline
// counts too, if that is sooner. The default is 5 seconds, the most 1 minute. Zero lets no request wait: those that come before
// the keys are there are unavailable at once, even if they only have to be read from a file, and the first of them starts that.
//
// It is also how long a request with an unknown key id waits in all when too many of them came before it; with less than 4
// seconds, some are unavailable instead.
func ColdWait(wait time.Duration) Option {
	return func(c *config) {
		if wait < 0 || wait > mostColdWait {
			c.fail("ColdWait: %s; give 0 to %s", wait, mostColdWait)
		}
		once(c, "ColdWait", &c.coldWait, &wait)
	}
}

// LastKnownGood keeps the keys in a file, so that a service which is restarted during the issuer's outage can still verify
// tokens. The file is written after each fetch that works, and read once, when the set is first needed. Keys out of it are
// stale: requests wait for newer ones as if there were none, and use them only if those cannot be had; and only until they reach the maximum age, counted from when the
// issuer was asked for them, which is more than 0 and at most 30 days. It takes the place of [MaxStaleness] for them: if it is
// longer, a restart makes keys usable once more that had expired.
//
// Whoever can write the file decides whose tokens are accepted. It is made with the permissions 0600 in a directory that must
// exist, on a local disk, and must be of this service alone. It is replaced as a whole, so that a crash leaves the old one or
// the new one. A file that everybody may write (not checked on Windows), that is not about this very source, that is from the
// future or cannot be read completely is not used, and is logged. One file belongs to one set: an empty path is an error.
func LastKnownGood(path string, maxAge time.Duration) Option {
	return func(c *config) {
		if path == "" {
			c.fail("LastKnownGood: the path is empty; name a file, or leave the option out")
		}
		if maxAge <= 0 || maxAge > mostAge {
			c.fail("LastKnownGood: the maximum age is %s; give more than 0 and at most %s", maxAge, mostAge)
		}
		once(c, "LastKnownGood", &c.file, &lastKnownGood{path, maxAge})
	}
}

// PublicAddressesOnly refuses to connect to addresses that are not of the public Internet: private and link-local ones, loopback,
// and all others that RFC 6890 sets aside. The address is checked when it is dialed, after the name was resolved, so that
// neither the issuer's metadata nor the DNS leads a fetch to a service inside the own network.
//
// Only the default client can be guarded so: it is an error together with [HTTPClient], and when the environment names a proxy
// for the URL, since a proxy connects on its own.
func PublicAddressesOnly() Option {
	return func(c *config) { c.publicOnly = true }
}

// InsecureHTTP allows http URLs to hosts other than this one. Whoever can get between the issuer and this service can
// then replace the keys, and make tokens that it accepts. Loopback addresses need no such permission.
func InsecureHTTP() Option {
	return func(c *config) { c.insecureHTTP = true }
}

func configure(options []Option) config {
	var c config
	for _, option := range options {
		if option == nil {
			c.fail("an Option is nil; leave it out")
			continue
		}
		option(&c)
	}
	return c
}

// once notes the value of an option that may be given once.
func once[T any](c *config, option string, field **T, value *T) {
	if *field != nil {
		c.fail("%s: given twice; keep one", option)
	}
	*field = value
}

// override takes over what is given in the other.
func (c *config) override(other config) {
	c.client = or(other.client, c.client)
	c.logger = or(other.logger, c.logger)
	c.lifetime = or(other.lifetime, c.lifetime)
	c.maxStaleness = or(other.maxStaleness, c.maxStaleness)
	c.coldWait = or(other.coldWait, c.coldWait)
	c.file = or(other.file, c.file)
	c.insecureHTTP = c.insecureHTTP || other.insecureHTTP
	c.publicOnly = c.publicOnly || other.publicOnly
	c.errs = append(c.errs, other.errs...)
}

func or[T any](first, second *T) *T {
	if first != nil {
		return first
	}
	return second
}

func (c *config) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("jwks: "+format, args...))
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
	p := policy{lifetimes{minLifetime, maxLifetime}, maxStaleness, 0, coldWait}
	if c.lifetime != nil {
		p.lifetimes = *c.lifetime
	}
	if c.maxStaleness != nil {
		p.maxStaleness = *c.maxStaleness
	}
	if c.file != nil {
		p.maxFileAge = c.file.maxAge
	}
	if c.coldWait != nil {
		p.coldWait = *c.coldWait
	}
	return p
}

// remote gives a remote source the client it fetches with, and judges what concerns both.
func (c *config) remote(option, location string, r *remote) *remote {
	if p := c.policy(); p.maxStaleness > 0 && p.maxStaleness < p.longest {
		c.fail("MaxStaleness: %s is shorter than the longest lifetime, %s; give more, or a shorter Lifetime", p.maxStaleness, p.longest)
	}
	r.insecureHTTP, r.keep = c.insecureHTTP, c.file != nil
	var err error
	if r.client, err = c.newClient(location); err != nil {
		c.fail("PublicAddressesOnly: %s for %q: %w", option, weburl.Redacted(location), err)
	}
	return r
}

var (
	errGuardedClient    = errors.New("a client of one's own cannot be guarded; drop one of the two options")
	errGuardedTransport = errors.New("http.DefaultTransport was replaced by something that cannot be guarded; leave the option out")
)

// newClient returns the client for a URL. Nothing of a given client is changed.
//
// The default client keeps no connections: fetches are many minutes apart, and a connection would keep goroutines.
func (c *config) newClient(location string) (*http.Client, error) {
	client := &http.Client{}
	if c.client != nil {
		if c.publicOnly {
			return nil, errGuardedClient
		}
		*client = *c.client
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

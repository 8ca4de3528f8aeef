package jwks

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/weburl"
)

// A Source says where the keys of a [Set] come from. Make one with [Discover], [Remote], [File],
// [Static], [PEM] or [PublicKeys], or several of them with [AnyOf], and give it to [New], which
// judges it; the zero Source is an error there.
type Source struct {
	name    string // for the log
	options []Option

	// open returns where to fetch the keys, or the keys themselves. It reports mistakes to the
	// config.
	open func(*config) opened

	several bool // it is an AnyOf,
	parts   []Source
}

// opened is what the options of a source come to.
type opened struct {
	fetcher fetcher // nil for pinned keys
	keys    keySet
}

// A fetcher gets the keys of one source. Only one goroutine at a time may use it.
type fetcher interface {
	// fetch returns the keys. With discoverFirst it first asks where they are.
	fetch(ctx context.Context, discoverFirst bool) (answer, error)
	// String names the source, for the file of last known good keys.
	String() string
}

// Discover finds the keys by the issuer's metadata: at the issuer's URL followed by
// /.well-known/openid-configuration (OpenID Connect Discovery section 4), or when that is answered
// with a status from 400 to 499 other than 408, 425 and 429, at the place RFC 8414 section 3 puts
// it. [WithMetadataURL] names another place. The issuer is compared with the one in the document
// character by character, so write it exactly as the tokens' iss.
//
// It must be an https URL without user name, query and fragment; http is for loopback addresses, or
// [InsecureHTTP]. With WithMetadataURL that is so for the URL, and the issuer may be any text.
func Discover(issuer string, options ...Option) Source {
	return Source{name: weburl.Redacted(issuer), options: slices.Clone(options), open: func(c *config) opened {
		location := c.metadataURL.Get()
		c.discovers = true
		switch {
		case !c.metadataURL.Given():
			location = issuer
			if err := weburl.CheckIssuer(issuer, c.insecureHTTP); err != nil {
				c.Add("Discover", strconv.Quote(weburl.Redacted(issuer)),
					"the issuer %v; give the https URL that the tokens have as iss", err)
			}
		case issuer == "":
			c.Add("Discover", strconv.Quote(issuer), "the issuer is empty; give it as the tokens have it as iss")
		}
		return opened{fetcher: c.remote("Discover", location, &remote{issuer: issuer, metadataURL: c.metadataURL.Get()})}
	}}
}

// Remote fetches a JWK Set (RFC 7517 section 5) from this URL. It must be an https URL without user
// name and fragment; http is for loopback addresses, or [InsecureHTTP]. The URL is written to logs
// and errors: there must be no secret in it.
func Remote(url string, options ...Option) Source {
	return Source{name: weburl.Redacted(url), options: slices.Clone(options), open: func(c *config) opened {
		if err := weburl.Check(url, c.insecureHTTP); err != nil {
			c.Add("Remote", strconv.Quote(weburl.Redacted(url)), "the URL %v; give the https URL of a JWK Set", err)
		}
		return opened{fetcher: c.remote("Remote", url, &remote{keysURL: url})}
	}}
}

// Static pins the keys of a JWK Set given as JSON (RFC 7517 section 5). Keys that cannot be used
// are logged and skipped, as in a remote set; it is an error if none is left. At most 4 keys can be
// without a kid, among them one RSA key of more than 4096 bits and one key on P-521. The JSON is
// copied at once.
//
// Of the options, [WithLogger] and [WithJWTSVIDKeys] mean something here.
func Static(jwkSet []byte, options ...Option) Source {
	document := string(jwkSet)
	return Source{name: "Static", options: slices.Clone(options), open: func(c *config) opened {
		keys, err := parse(document, c.jwtSVID)
		if err != nil {
			c.Add("Static", "", "the JSON is not a JWK Set: %v; give an object with a member keys", err)
		} else if len(keys.keys) == 0 {
			c.Add("Static", "", "no key of the JWK Set can be used: %v; give a public key for signatures", refusals(keys.refused))
		}
		return opened{keys: keys}
	}}
}

// refusals is why each of the keys cannot be used.
func refusals(all []refusal) error {
	errs := make([]error, len(all))
	for i, r := range all {
		errs[i] = fmt.Errorf("key %d: %w", i+1, r.reason)
	}
	return errors.Join(errs...)
}

// PEM pins the keys of one to four PEM blocks: PUBLIC KEY (RFC 7468 section 13), RSA PUBLIC KEY, or
// CERTIFICATE, of which nothing but the key counts, not even the dates. Give no certificate chain:
// each of its keys would be trusted to sign tokens. Any other block, a private key above all, and
// any text around the blocks is an error. The data is copied at once.
func PEM(data []byte) Source {
	data = bytes.Clone(data)
	return Source{name: "PEM", open: func(c *config) opened {
		public, err := parsePEM(data)
		if err != nil {
			c.Add("PEM", "", "%v", err)
		}
		keys, mistakes := copyKeys("PEM", "block", public)
		c.All = append(c.All, mistakes.All...)
		return opened{keys: keys}
	}}
}

// parsePEM reads public keys strictly: [pem.Decode] alone would skip whatever it cannot read.
func parsePEM(data []byte) (public []crypto.PublicKey, err error) {
	const begin = "-----BEGIN "
	for rest := bytes.TrimSpace(data); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		n := len(public) + 1
		block, after := pem.Decode(rest)
		read := rest[:len(rest)-len(after)]
		if block == nil || !bytes.HasPrefix(read, []byte(begin)) || bytes.Count(read, []byte(begin)) != 1 {
			return nil, fmt.Errorf("there is something other than a PEM block where block %d should be; remove or repair it", n)
		}
		key, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("block %d, %q, %w", n, block.Type, err)
		}
		public, rest = append(public, key), after
	}
	if len(public) == 0 {
		return nil, errors.New("there is no PEM block; give the public key of the issuer")
	}
	return public, nil
}

func publicKey(block *pem.Block) (key crypto.PublicKey, err error) {
	switch {
	case block.Type == "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, errors.New("is a private key; give only the public one, and keep the private one from this service")
	default:
		return nil, errors.New("is not a public key; give PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE")
	}
	if err != nil {
		return nil, errors.New("cannot be read as what it says it is; export it again")
	}
	return key, nil
}

// PublicKeys pins one to four keys: [*rsa.PublicKey], [*ecdsa.PublicKey] or [ed25519.PublicKey].
// They are copied at once. As with [PEM] and [Static], one of them at most can be an RSA key of
// more than 4096 bits, and one on P-521: a token may be tried with all keys that fit its algorithm,
// and these cost the most.
func PublicKeys(keys ...crypto.PublicKey) Source {
	copies, mistakes := copyKeys("PublicKeys", "key", keys)
	if len(keys) == 0 {
		mistakes.Add("PublicKeys", "", "there is no key; give the public key of the issuer")
	}
	return Source{name: "PublicKeys", open: func(c *config) opened {
		c.All = append(c.All, mistakes.All...)
		return opened{keys: copies}
	}}
}

func copyKeys(option, what string, given []crypto.PublicKey) (set keySet, m optional.Mistakes) {
	for i, public := range given {
		key, err := copyKey(public)
		if err != nil {
			m.Add(option, "", "%s %d, a %T, cannot be used: %v; give another key", what, i+1, public, err)
		} else if !slices.ContainsFunc(set.keys, key.same) {
			set.keys = append(set.keys, key)
		}
	}
	return set, m
}

// New makes a set. It does no I/O and starts no goroutine; the first fetch starts when keys are
// first needed. Everything that is wrong with the configuration is returned at once, joined.
// Options of the source win over the defaults, which are for those who make many sets. Options
// about fetching mean nothing for pinned keys.
func New(source Source, defaults ...Option) (*Set, error) {
	if source.several {
		return newAny(source, defaults)
	}
	if source.open == nil {
		return nil, errors.Join(&ConfigError{
			Option:  "New",
			Problem: "the Source is empty; make one with Discover, Remote, File, Static, PEM, PublicKeys or AnyOf",
		})
	}
	c := configure(defaults)
	c.override(configure(source.options))
	opened := source.prepare(c)
	if err := c.err(); err != nil {
		return nil, err
	}
	return source.make(c, opened), nil
}

// prepare opens a source of its own keys, and judges what concerns it as a whole.
func (source Source) prepare(c *config) opened {
	o := source.open(c)
	o.keys.chosen, o.keys.pinned = o.fetcher == nil, o.fetcher == nil
	if o.keys.pinned {
		if err := o.keys.judgeUnnamed(); err != nil {
			c.Add(source.name, "", "%v", err)
		}
	}
	if c.metadataURL.Given() && !c.discovers {
		c.Add("WithMetadataURL", strconv.Quote(weburl.Redacted(c.metadataURL.Get())),
			"is for Discover alone; leave it out, or use Discover")
	}
	return o
}

// make makes the set of a source whose configuration has no mistake.
func (source Source) make(c *config, o opened) *Set {
	logger := contained(c.logger.Or(slog.Default()))
	set := &Set{&setHandle{&setState{name: source.name, logger: logger, policy: c.policy()}}}
	set.ctx, set.cancel = context.WithCancel(context.Background())
	if o.keys.pinned {
		set.current.Store(&snapshot{keySet: o.keys})
		logRefused(set.logger, set.name, o.keys.refused, nil)
		return set
	}
	set.download = o.fetcher.fetch
	if c.file.Given() {
		set.file = &file{path: c.file.Get().path, source: o.fetcher.String(), jwtSVID: c.jwtSVID}
		set.unread = true
	}
	return set
}

package bearer

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/jwks"
)

// The defaults and limits of a registry's options.
const (
	defaultMaxIssuers = 1000
	largestMaxIssuers = 10_000

	defaultLookupRate = 20 // calls in a second
	largestLookupRate = 1000

	defaultLookupLifetime  = 5 * time.Minute
	shortestLookupLifetime = time.Second
	longestLookupLifetime  = 24 * time.Hour
)

// A RegistryOption configures a [Registry]; see [NewRegistry]. [New] judges it.
type RegistryOption func(*registrar)

// Registration is what a lookup knows of an issuer: what [WithIssuer] takes besides its name. See
// [WithLookup].
type Registration struct {
	// Audience is this service's value in the tokens' aud, as in [WithIssuer]. Empty is a mistake
	// there and here.
	Audience string
	// Options say how the issuer's tokens are judged. [IssuerTemplate] is not among them.
	Options []IssuerOption
}

// lookupFunc is what [WithLookup] takes.
type lookupFunc = func(ctx context.Context, issuer string) (r Registration, found bool, err error)

// WithLookup has a function find the issuers that are not in the registry, such as in the
// application's database. What it finds is registered. Default: none, and an unknown issuer is 401.
//
// The issuer is that of a token that is not verified: an attacker can write it. It is an https URL
// (http on loopback) of printable ASCII, at most 512 bytes long, without query and fragment.
// Compare it exactly with the issuers that you know, and derive nothing from it. Only an issuer for
// which the function returned true is contacted.
//
// found is false for an issuer that is not trusted, which is 401. An error is 503, and so are a
// Registration with mistakes, a panic, and a call of more than 5 seconds. The text of the error is
// for the log and is never sent. The requests that need the same answer share one call, whose
// context ends with the Middleware and not with a request. It has no values of a request.
//
// An answer counts for [WithLookupLifetime], and found=false for at most 30 seconds, for up to 4096
// issuers. Then the next request asks again. If the answer is the same, the issuer keeps its keys;
// answers with [Keys] or [AudienceFunc] cannot be compared, so prefer [JWKSURL]. Calls are limited
// by [WithLookupRate], and to 128 at a time, of which 32 are kept for issuers that it found before.
// [Middleware.Close] waits for those under way, so return when the context ends.
func WithLookup(find func(ctx context.Context, issuer string) (r Registration, found bool, err error)) RegistryOption {
	return func(g *registrar) { g.lookup.Set(find) }
}

// WithLookupRate limits how often the lookup is called in any second, in this process. Default: 20
// times. It must be from 1 to 1000. A quarter of the calls, and one at least, is kept for issuers
// that the lookup found before, so that made-up names cannot use it up. A rate of 1 keeps none.
//
// Over the rate, an unknown issuer is 401 without a call, or 503 if the last call failed. An issuer
// that the lookup found before, and whose answer is too old, is 503.
func WithLookupRate(perSecond int) RegistryOption {
	return func(g *registrar) { g.rate.Set(perSecond) }
}

// WithLookupLifetime says for how long an answer of the lookup counts, and so how long after the
// lookup ceased to find an issuer its tokens can still pass; [Registry.Remove] needs no time.
// Default: 5 minutes. It must be from a second to 24 hours.
func WithLookupLifetime(d time.Duration) RegistryOption {
	return func(g *registrar) { g.lifetime.Set(d) }
}

// WithMaxIssuers limits how many issuers a registry has, each with a key set. Default: 1000. It
// must be from 1 to 10,000.
//
// When it is full, an issuer that the lookup found makes room for another one: the one that was
// unused for the longest time, if none of its tokens was verified in the last 5 minutes. One that
// was just found makes room after 10 seconds without a verified token. So an attacker who names
// many issuers displaces none that is in use. Issuers that were added stay. If none makes room,
// [Registry.Add] returns an error, and a token whose issuer was looked up is 503.
func WithMaxIssuers(n int) RegistryOption {
	return func(g *registrar) { g.most.Set(n) }
}

// registrar is what a [Registry] works with.
type registrar struct {
	nils     []int // the positions of options that are nil
	lookup   optional.Value[lookupFunc]
	rate     optional.Value[int]
	lifetime optional.Value[time.Duration]
	most     optional.Value[int]

	roster *roster

	mu       sync.Mutex      // guards everything below, but for the lookup, which starts after New
	added    []*issuerConfig // before New, which makes issuers of them
	trusted  *verifier       // of the Middleware that has the registry; nil before New
	defaults []jwks.Option   // of every key set
	reporter *reporter       // of the Middleware
}

// newRegistrar records the options. [New] judges them.
func newRegistrar(opts []RegistryOption) *registrar {
	g := &registrar{roster: newRoster()}
	for i, opt := range opts {
		if opt == nil {
			g.nils = append(g.nils, i+1)
			continue
		}
		opt(g)
	}
	return g
}

// judge reports every mistake in the options.
func (g *registrar) judge(m *optional.Mistakes) {
	for _, i := range g.nils {
		m.Add("NewRegistry", "nil", "option %d is nil; leave it out", i)
	}
	optional.Once(m, "WithLookup", &g.lookup, nil)
	if g.lookup.Given() && g.lookup.Get() == nil {
		m.Add("WithLookup", "nil", "give a function, or leave the option out")
	}
	optional.Once(m, "WithLookupRate", &g.rate, strconv.Itoa)
	if rate := g.rate.Or(defaultLookupRate); rate < 1 || rate > largestLookupRate {
		m.Add("WithLookupRate", strconv.Itoa(rate), "must be from 1 to %d calls a second", largestLookupRate)
	}
	optional.Once(m, "WithLookupLifetime", &g.lifetime, time.Duration.String)
	lifetime := g.lifetime.Or(defaultLookupLifetime)
	if lifetime < shortestLookupLifetime || lifetime > longestLookupLifetime {
		m.Add("WithLookupLifetime", lifetime.String(), "must be from %v to %v", shortestLookupLifetime, longestLookupLifetime)
	}
	if !g.lookup.Given() && (g.rate.Given() || g.lifetime.Given()) {
		m.Add("NewRegistry", "", "WithLookupRate and WithLookupLifetime need WithLookup")
	}
	optional.Once(m, "WithMaxIssuers", &g.most, strconv.Itoa)
	if most := g.most.Or(defaultMaxIssuers); most < 1 || most > largestMaxIssuers {
		m.Add("WithMaxIssuers", strconv.Itoa(most), "must be from 1 to %d", largestMaxIssuers)
	}
}

// position returns where an issuer is among those that were added before New, or -1.
func (g *registrar) position(name string) int {
	return slices.IndexFunc(g.added, func(c *issuerConfig) bool { return c.name == name })
}

// saysWhat reports whether two answers of a lookup say the same. Functions are never the same.
func (c *issuerConfig) saysWhat(other any) bool { return reflect.DeepEqual(c, other) }

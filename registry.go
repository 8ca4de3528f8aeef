package bearer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"

	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/weburl"
)

// A Registry has issuers that are trusted beside those of [WithIssuer] and that come and go while
// the service runs, such as the identity providers of its customers. Make it with [NewRegistry] and
// give it to one [Middleware] with [WithRegistry]. It is safe for concurrent use. The zero value
// cannot be used. It prints a fixed text.
//
// Everything that holds for an issuer of WithIssuer holds for one of a registry. Three things
// differ. [Middleware.Ready] does not wait for its keys, because one customer's outage must not
// take the service out of traffic. [ResourceMetadata] does not name it. And WithIssuer comes first:
// what it trusts, by name or template, cannot be added.
//
// Closing the Middleware closes the registry.
type Registry struct{ *registryHandle }

// registryHandle is one more pointer, as that of [Claims] is.
type registryHandle struct{ *registrar }

// NewRegistry returns a registry without issuers. It does no I/O and starts no goroutine. [New]
// reports every mistake in the options.
func NewRegistry(opts ...RegistryOption) *Registry {
	g := newRegistrar(opts)
	if g.lookup.Given() {
		g.roster.lookup = g.find
	}
	return &Registry{&registryHandle{g}}
}

// WithRegistry trusts the issuers of a registry, beside those of [WithIssuer], of which there can
// then be none. A registry belongs to one Middleware. Default: none.
func WithRegistry(r *Registry) Option {
	return func(c *config) {
		if r == nil || r.registryHandle == nil {
			c.registry.Set(nil)
			return
		}
		c.registry.Set(r.registrar)
	}
}

// Add trusts the tokens of an issuer that are meant for an audience, from now on. The arguments are
// those of [WithIssuer], and are judged as [New] judges them. Add does no I/O. It may be called
// before New, which judges once more what the other options say.
//
// The error has every mistake, as [*ConfigError] values joined with [errors.Join]: also if the
// issuer is registered already, if WithIssuer trusts it, by its name or by a template, if the
// registry is full, and after [Middleware.Close]. Nothing was changed then. To change an issuer's
// options, remove it and add it again. An issuer that the lookup found is replaced.
func (r *Registry) Add(name, audience string, opts ...IssuerOption) error {
	g, m := r.registrar, &optional.Mistakes{}
	c := describeIssuer(name, audience, opts)
	g.mu.Lock()
	iss := g.buildMember(m, c)
	var left []*issuer
	if len(m.All) == 0 {
		var err error
		if left, err = g.enter(c, iss); err != nil {
			m.Add("Add", strconv.Quote(weburl.Redacted(name)), "the issuer %v", err)
		}
	}
	g.mu.Unlock()
	if len(m.All) > 0 {
		left = append(left, iss)
	}
	closeAll(left)
	return configErrors(m.All)
}

// enter takes in an issuer that was judged, or notes it until there is a Middleware. It returns the
// issuers that are no longer used.
func (g *registrar) enter(c *issuerConfig, iss *issuer) (left []*issuer, err error) {
	switch {
	case g.trusted != nil:
		return g.roster.add(c.name, iss)
	case g.position(c.name) >= 0:
		return nil, errRegistered
	case len(g.added) >= g.most.Or(defaultMaxIssuers):
		return nil, errRegistryFull
	}
	g.added = append(g.added, c)
	return []*issuer{iss}, nil // New makes it again, with what the other options say
}

// Remove ends the trust in an issuer of the registry, and reports whether it was there. A decision
// that begins after Remove returned lets no token of the issuer pass, cached or not, and also on an
// inner guard of a request that passed before. Its tokens are then 401 with [ReasonUnknownIssuer].
//
// The lookup is no longer asked for it, and a call under way counts for nothing: only Add brings
// the issuer back. With a lookup, the registry remembers the name of each issuer that was removed
// and not added again.
//
// Remove ends the fetch of the issuer's keys that is under way.
func (r *Registry) Remove(name string) bool {
	g := r.registrar
	g.mu.Lock()
	at := g.position(name)
	if at >= 0 {
		g.added = slices.Delete(g.added, at, at+1)
	}
	g.mu.Unlock()
	return g.roster.remove(name) || at >= 0
}

// buildRegistry gives the Middleware its registry. Everything else was judged before.
func (c *config) buildRegistry(m *optional.Mistakes, b *built) {
	if !c.registry.Given() {
		return
	}
	optional.Once(m, "WithRegistry", &c.registry, nil)
	g := c.registry.Get()
	if g == nil {
		m.Add("WithRegistry", "nil", "give a registry made with NewRegistry, or leave the option out")
		return
	}
	g.judge(m)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.trusted != nil {
		m.Add("WithRegistry", "", "the registry belongs to another Middleware; make one for each")
	}
	if len(m.All) > 0 {
		return
	}
	g.trusted, g.defaults = &b.core.verifier, b.defaults
	issuers := make([]*issuer, len(g.added))
	for i, described := range g.added {
		issuers[i] = g.buildMember(m, described)
	}
	if len(m.All) > 0 {
		closeAll(issuers)
		g.trusted, g.defaults = nil, nil
		return
	}
	g.roster.bound(g.most.Or(defaultMaxIssuers), g.rate.Or(defaultLookupRate), g.lifetime.Or(defaultLookupLifetime))
	for i, iss := range issuers {
		_, _ = g.roster.add(g.added[i].name, iss) // it was judged, and there is room
	}
	g.added = nil
	b.core.verifier.trustRoster(g.roster)
	b.components = append(b.components, g.roster)
}

// buildMember makes an issuer of a registry, and its key set.
func (g *registrar) buildMember(m *optional.Mistakes, c *issuerConfig) *issuer {
	shown := strconv.Quote(weburl.Redacted(c.name))
	before := len(m.All)
	iss := c.build(m, g.defaults)
	for i := range m.All[before:] {
		if mistake := &m.All[before+i]; mistake.Option == "WithIssuer" {
			mistake.Option = "Add"
		}
	}
	m.Subject = ""
	if len(c.name) > maxRegisteredName {
		m.Add("Add", shown, "the issuer is longer than %d bytes", maxRegisteredName)
	}
	if c.template.Given() {
		m.Add("Add", shown, "a registry has no templates; give IssuerTemplate to WithIssuer")
	}
	if c.withoutIssuer.Given() {
		m.Add("Add", shown, "a registry has no issuer for tokens without iss; give InsecureNoIssuer to WithIssuer")
	}
	if g.trusted != nil && g.trusted.covers(c.name) {
		m.Add("Add", shown, "the issuer is trusted by WithIssuer, which no registry changes; drop one of the two")
	}
	if iss.live == nil {
		iss.live = new(live)
	}
	iss.live.member = &member{said: c, epoch: g.roster.epoch}
	return iss
}

// find calls the lookup and makes an issuer of its answer, or returns known if the answer is the
// same as before.
func (g *registrar) find(ctx context.Context, name string, known *issuer) (*issuer, error) {
	answer, found, err := g.lookup.Get()(ctx, name)
	if err != nil || !found {
		return nil, err
	}
	c := describeIssuer(name, answer.Audience, answer.Options)
	if known != nil && c.saysWhat(known.live.member.said) {
		return known, nil
	}
	m := &optional.Mistakes{}
	iss := g.buildMember(m, c)
	if len(m.All) > 0 {
		iss.close()
		return nil, configErrors(m.All)
	}
	return iss, nil
}

// String returns a fixed text, and "<nil>" for nil.
func (r *Registry) String() string {
	if r == nil {
		return "<nil>"
	}
	return "bearer.Registry{...}"
}

// Format writes the fixed text for every verb: a Registry may hold secrets.
func (r *Registry) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue returns the fixed text.
func (r *Registry) LogValue() slog.Value { return slog.StringValue(r.String()) }

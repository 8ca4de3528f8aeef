package bearertest

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// This file holds the attacks with tokens that are good, and another issuer's.

// raiseForeign makes the attacker's own issuer, which signs with the attacker's key and is reached
// by the issuer's client until the test ends. Its host is new each time, so that several attacks
// with one issuer do not meet.
func (k *kit) raiseForeign(tb testing.TB) {
	tb.Helper()
	opts := []IssuerOption{WithAudience(k.issuer.audience), WithAlgorithm(k.issuer.algorithm)}
	transport, ok := k.issuer.transport.(*inProcess)
	switch {
	case !ok && k.issuer.secure:
		k.foreign = NewTLSServer(tb, opts...)
	case !ok:
		k.foreign = NewServer(tb, opts...)
	default:
		domain := strings.ToLower(rand.Text()) + ".example"
		u := *k.issuer.origin
		u.Host = strings.ReplaceAll(u.Hostname(), ":", "-") + "." + domain // also of an IPv6 address
		if port := k.issuer.origin.Port(); port != "" {
			u.Host = net.JoinHostPort(u.Host, port)
		}
		k.foreign = NewIssuer(append(opts, WithURL("https://"+domain))...)
		k.lookalike = NewIssuer(append(opts, WithURL(u.String()))...)
		for _, guest := range []*Issuer{k.foreign, k.lookalike} {
			tb.Cleanup(transport.admit(guest.transport.(*inProcess)))
		}
	}
	for _, guest := range []*Issuer{k.foreign, k.lookalike} {
		if guest != nil {
			guest.defaults = k.issuer.defaults
			guest.current = k.attacker.signingKey() // another key would be expensive
		}
	}
}

// foreignVariants are good tokens of an issuer that the handler does not trust, and that answers
// for its keys.
var foreignVariants = []variant{
	{name: "the attacker's own issuer", forge: func(k *kit) string { return k.foreign.Sign(nil, k.canaries()) }},
	{name: "the attacker's own issuer, without a type", forge: func(k *kit) string {
		return k.foreign.Sign(Claims{"typ": nil}, k.canaries())
	}},
	{name: "the attacker's own issuer, where its keys are", forge: func(k *kit) string {
		return k.foreign.Sign(Claims{"jku": k.foreign.endpoint(keySetPath)}, k.canaries())
	}},
	{name: "our iss, and where the attacker's keys are", forge: func(k *kit) string {
		return k.foreign.Sign(Claims{"jku": k.foreign.endpoint(keySetPath), "kid": nil}, k.canaries(), Claims{"iss": k.issuer.url})
	}},
	{name: "the attacker's own issuer at a URL that begins as ours does", forge: func(k *kit) string {
		if k.lookalike == nil {
			return ""
		}
		return k.lookalike.Sign(nil, k.canaries())
	}},
}

// beginPartner makes sure that the partner's tokens are let through, and says what is missing for
// that.
func (a *attack) beginPartner(handler http.Handler) (problem string) {
	switch {
	case a.partner == nil:
		return ""
	case a.partner.url == a.kit.issuer.url:
		return fmt.Sprintf("the partner is at the issuer's own URL %q; the option WithURL gives it another", a.partner.url)
	}
	if got := a.fire(handler, shot{token: a.partner.Token(), put: inHeader}); !got.passes() {
		return fmt.Sprintf("a good token of the partner %q is not let through: %s", a.partner.url, got)
	}
	return ""
}

// signedBy is a token that says it is of one issuer and is signed with the key of another, which
// its header names or not.
func signedBy(signer, named *Issuer, withKeyID bool) string {
	key := signer.signingKey()
	header := standardHeader(signer.algorithm, "")
	if withKeyID {
		header = standardHeader(signer.algorithm, key.id)
	}
	layers := slices.Concat([]Claims{standardClaims(named.url, named.audience)}, named.defaults)
	return compact(signer.method, key.signing(), mustJSON(header), mustJSON(merge(layers...)))
}

// partnerShots are what each of two trusted issuers signs in the name of the other.
func (a *attack) partnerShots() []shot {
	own, partner := a.kit.issuer, a.partner
	list := []shot{
		{name: "our iss, signed by the partner", token: signedBy(partner, own, true)},
		{name: "our iss, signed by the partner, without a kid", token: signedBy(partner, own, false)},
		{name: "the partner's iss, signed by ours", token: signedBy(own, partner, true)},
		{name: "the partner's iss, signed by ours, without a kid", token: signedBy(own, partner, false)},
	}
	for i := range list {
		list[i].put, list[i].want = inHeader, invalidToken
	}
	return list
}

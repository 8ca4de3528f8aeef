package bearertest

import (
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/bearer-go/bearer/internal/jws"
)

const (
	defaultURL       = "https://issuer.test"
	defaultAudience  = "https://api.test"
	defaultAlgorithm = "ES256"
)

// IssuerOption sets one property of an [Issuer]. Of the same option given twice the later one
// counts; [WithDefaultClaims] adds up.
type IssuerOption func(*Issuer)

// WithURL sets the issuer identifier of an issuer without a socket: the iss of its tokens, and
// where its client finds it. The default is "https://issuer.test". So a test imitates the service's
// real issuer, path and all, without any network. It panics unless the text is an http or https URL
// with a host and without user, query and fragment (RFC 8414 section 2).
func WithURL(issuer string) IssuerOption {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
		strings.ContainsAny(issuer, "?#") {
		panic(fmt.Sprintf("bearertest: WithURL(%q): want a URL such as %q", issuer, defaultURL))
	}
	return func(i *Issuer) { i.url, i.origin = issuer, u }
}

// WithAudience sets the aud of the issuer's tokens. The default is "https://api.test". It panics
// when the audience is empty: a token without aud is made with Token(Claims{"aud": nil}).
func WithAudience(audience string) IssuerOption {
	if audience == "" {
		panic(`bearertest: WithAudience(""): want an audience; Token(Claims{"aud": nil}) makes a token without one`)
	}
	return func(i *Issuer) { i.audience = audience }
}

// WithAlgorithm sets the algorithm of the issuer's keys, and so of its signatures: RS256, RS384,
// RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA or its other name Ed25519 (RFC 9864
// section 2.2). The default is ES256, whose keys cost the least to make. With HS256, HS384 or HS512
// the issuer signs with a secret and publishes an empty key set: its tokens have no kid, and a
// service verifies them with [Issuer.Secrets]. The server of package oauthtest does not take such
// tokens back, as in a token exchange. It panics for every other name.
func WithAlgorithm(name string) IssuerOption {
	method, ok := jws.Lookup(name)
	if !ok {
		panic(fmt.Sprintf("bearertest: WithAlgorithm(%q): want an algorithm such as %q", name, defaultAlgorithm))
	}
	return func(i *Issuer) { i.algorithm, i.method = name, method }
}

// WithDefaultClaims lays claims over the standard ones of every token that the issuer signs, as if
// they were the first argument of each [Issuer.Token]. It is the place for what all tokens of a
// service carry, such as the scopes its routes need.
func WithDefaultClaims(claims Claims) IssuerOption {
	claims = maps.Clone(claims)
	return func(i *Issuer) { i.defaults = append(i.defaults, claims) }
}

// WithCacheControl sets the Cache-Control header of the key set's answers (RFC 9111 section 5.2),
// such as "max-age=300", which tells a service for how long it may use the keys. There is none by
// default. It panics for an empty value and for one with a byte that no header may have (RFC 9110
// section 5.5).
func WithCacheControl(value string) IssuerOption {
	control := func(r rune) bool { return r < ' ' && r != '\t' || r == '\x7f' }
	if strings.TrimSpace(value) == "" || strings.ContainsFunc(value, control) {
		panic(fmt.Sprintf("bearertest: WithCacheControl(%q): want directives such as %q", value, "max-age=300"))
	}
	return func(i *Issuer) { i.caching = value }
}

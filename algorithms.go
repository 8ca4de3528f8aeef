package bearer

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/optional"
)

// defaultAlgorithms are those that issuers use and that have no known weakness. HMAC is not among
// them: it needs a secret.
var defaultAlgorithms = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}

// maxSecrets is how many secrets an issuer can have: each token is tried with all of them.
const maxSecrets = 4

// buildAlgorithms returns the algorithms that the issuer's tokens may have.
func (c *issuerConfig) buildAlgorithms(m *optional.Mistakes) (algorithms []*jws.Algorithm) {
	optional.Once(m, "Algorithms", &c.algorithms, optional.Quoted)
	secrets, beside := c.secrets.Given(), c.secretsBeside.Given()
	names := defaultAlgorithms
	switch {
	case c.algorithms.Given():
		if names = c.algorithms.Get(); len(names) == 0 {
			m.Add("Algorithms", "", "name at least one algorithm, or leave the option out for the default")
		}
	case secrets:
		names = []string{"HS256"}
	case beside:
		names = append(slices.Clone(names), "HS256")
	}
	for _, name := range names {
		alg, ok := jws.Lookup(name)
		switch {
		case strings.EqualFold(name, "none"):
			m.Add("Algorithms", strconv.Quote(name), "tokens without a signature are never accepted; remove it")
		case !ok:
			m.Add("Algorithms", strconv.Quote(name),
				"not a known algorithm; names are case-sensitive, such as RS256 or ES256")
		case alg.Symmetric() && !secrets && !beside:
			m.Add("Algorithms", strconv.Quote(name), "HMAC needs HMACSecret, or HMACSecretBesideKeys where the issuer has public keys, too")
		case !alg.Symmetric() && secrets:
			m.Add("Algorithms", strconv.Quote(name),
				"excludes HMACSecret: a public key must never serve as a secret")
		default:
			algorithms = append(algorithms, alg)
		}
	}
	if beside && !secrets && len(algorithms) > 0 {
		symmetric := slices.ContainsFunc(algorithms, (*jws.Algorithm).Symmetric)
		if !symmetric || !slices.ContainsFunc(algorithms, func(a *jws.Algorithm) bool { return !a.Symmetric() }) {
			m.Add("Algorithms", optional.Quoted(names), "must name algorithms of both kinds under HMACSecretBesideKeys")
		}
	}
	return algorithms
}

// buildSecrets returns the secrets for the issuer's algorithms, or nil if it has none.
func (c *issuerConfig) buildSecrets(m *optional.Mistakes, algorithms []*jws.Algorithm) (secrets []any) {
	optional.Once(m, "HMACSecret", &c.secrets, nil)
	optional.Once(m, "HMACSecretBesideKeys", &c.secretsBeside, nil)
	option, given := "HMACSecret", &c.secrets
	if c.secretsBeside.Given() {
		if c.secrets.Given() {
			m.Add("HMACSecretBesideKeys", "", "contradicts HMACSecret; drop one of the two")
		}
		option, given = "HMACSecretBesideKeys", &c.secretsBeside
	}
	all := given.Get()
	if given.Given() && len(all) == 0 {
		m.Add(option, "", "give a secret, or leave the option out; is a variable unset?")
	}
	if len(all) > maxSecrets {
		m.Add(option, "", "has %d secrets, and each token is tried with all of them; give at most %d", len(all), maxSecrets)
	}
	for i, secret := range all {
		which := ""
		if len(all) > 1 {
			which = fmt.Sprintf("secret %d ", i+1)
		}
		same := func(other []byte) bool { return bytes.Equal(other, secret) }
		switch {
		case len(secret) == 0:
			m.Add(option, "", "%sis empty (0 bytes); is a variable unset? openssl rand -base64 48 makes a secret", which)
		case bytes.Contains(secret, []byte("-----BEGIN ")):
			m.Add(option, "", "%sis a key in PEM; a public key must never serve as a secret, give it to Keys(jwks.PEM(key))", which)
		case slices.ContainsFunc(all[:i], same):
			m.Add(option, "", "%sis given twice; keep one", which)
		default:
			for _, alg := range algorithms {
				if alg.Symmetric() && len(secret) < alg.MinSecret() {
					m.Add(option, "", "%sis %d bytes long; %s needs %d (RFC 7518 section 3.2)",
						which, len(secret), alg.Name, alg.MinSecret())
				}
			}
		}
		secrets = append(secrets, secret)
	}
	return secrets
}

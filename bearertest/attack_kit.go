package bearertest

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// kit is what the forgeries are made of: one issuer, a good token of it, and an attacker with a key
// of his own.
type kit struct {
	issuer    *Issuer
	attacker  *Issuer // signs as if it were the issuer, with a key that is not trusted
	foreign   *Issuer // the attacker's issuer under a URL of its own, which the issuer's client reaches
	lookalike *Issuer // the same under a URL that begins as the issuer's does; nil for an issuer on a socket
	canary    string  // a text that is planted wherever it is no fault, and must not come back
	keyIDs    bool    // the handler's keys have key ids, so that a kid can be wrong

	header, payload string    // the good token's, as JSON
	good            string    // the token itself
	parts           [3]string // its parts, encoded

	audienceClaim string   // the claim by which the handler knows that a token is meant for it
	audience      string   // what that claim says
	scopes        []string // of the claim scope, if it is a string
}

// canaryClaim is a claim of every forged token.
const canaryClaim = "canary"

func newKit(tb testing.TB, issuer *Issuer, keyIDs bool) *kit {
	tb.Helper()
	k := &kit{
		issuer:   issuer,
		attacker: NewIssuer(WithURL(issuer.url), WithAudience(issuer.audience), WithAlgorithm(issuer.algorithm)),
		canary:   "canary" + rand.Text(),
		keyIDs:   keyIDs && !isHMAC(issuer.algorithm), // a secret has no id
	}
	k.attacker.defaults = issuer.defaults
	k.raiseForeign(tb)
	claims := merge(slices.Concat([]Claims{standardClaims(issuer.url, issuer.audience)}, issuer.defaults, []Claims{k.canaries()})...)
	k.header = string(mustJSON(standardHeader(issuer.algorithm, issuer.KeyID())))
	k.payload = string(mustJSON(claims))
	k.good = k.signText(k.header, k.payload)
	k.parts = [3]string(strings.Split(k.good, "."))

	// An issuer whose tokens carry no aud names the service in client_id, as Amazon Cognito does.
	k.audienceClaim = "aud"
	if _, found := claims["aud"]; !found {
		k.audienceClaim = "client_id"
	}
	k.audience = firstString(claims[k.audienceClaim])
	scope, _ := claims["scope"].(string)
	k.scopes = strings.Fields(scope)
	return k
}

func (k *kit) canaries() Claims { return Claims{canaryClaim: k.canary, "jti": k.canary} }

// signed is a token of the issuer with these members laid over the header and the claims.
func (k *kit) signed(header, claims Claims) string {
	return k.issuer.Sign(header, k.canaries(), claims)
}

func (k *kit) withHeader(header Claims) string { return k.signed(header, nil) }
func (k *kit) withClaims(claims Claims) string { return k.signed(nil, claims) }

// withClaim is a token with one claim written as JSON.
func (k *kit) withClaim(name, value string) string {
	return k.withClaims(Claims{name: json.RawMessage(value)})
}

// signText is a token of the issuer with exactly these texts as its header and its payload.
func (k *kit) signText(header, payload string) string {
	return k.issuer.SignRaw([]byte(header), []byte(payload))
}

func (k *kit) withHeaderText(text string) string { return k.signText(text, k.payload) }
func (k *kit) withClaimsText(text string) string { return k.signText(k.header, text) }

// withKeyID is a token whose only fault is its kid; "" stands for none. There is no such token when
// keys have no ids.
func (k *kit) withKeyID(kid any) string {
	if !k.keyIDs {
		return ""
	}
	return k.withHeader(Claims{"kid": kid})
}

// withKeyIDAs is a token with an unknown kid, and after it the good one under another spelling of
// the name.
func (k *kit) withKeyIDAs(name string) string {
	if !k.keyIDs {
		return ""
	}
	return k.withHeaderText(first(renamed(k.header, "kid", name), `"kid":"other"`))
}

// withEncoded is a token of the issuer with these texts as its first parts, which are signed as
// they stand.
func (k *kit) withEncoded(header, payload string) string {
	input := header + "." + payload
	return input + "." + encode(k.signature(input))
}

func (k *kit) signature(input string) []byte {
	signature, err := k.issuer.method.Sign(input, k.issuer.signingKey().signing())
	if err != nil {
		panic(fmt.Sprintf("bearertest: cannot sign: %v", err))
	}
	return signature
}

// private is the issuer's private key, or nil if it has a secret.
func (k *kit) private() crypto.Signer { return k.issuer.signingKey().private }

// withSignature is the good token with another signature.
func (k *kit) withSignature(signature []byte) string {
	return k.parts[0] + "." + k.parts[1] + "." + encode(signature)
}

// goodSignature is a copy of the good token's signature.
func (k *kit) goodSignature() []byte {
	signature, err := base64.RawURLEncoding.DecodeString(k.parts[2])
	if err != nil {
		panic(fmt.Sprintf("bearertest: the issuer's token is not base64url: %v", err))
	}
	return signature
}

// withoutScopes is a token without any scope.
func (k *kit) withoutScopes() string { return k.withClaims(Claims{"scope": nil, "scp": nil}) }

// glued is a token whose scope is the good one with another separator, between scopes that no route
// asks for.
func (k *kit) glued(separator string) string {
	if len(k.scopes) == 0 {
		return ""
	}
	return k.withClaims(Claims{"scope": "x" + separator + strings.Join(k.scopes, separator) + separator + "x"})
}

// affixed is a token in whose scope every scope is a part of a longer one.
func (k *kit) affixed(prefix, suffix string) string {
	if len(k.scopes) == 0 {
		return ""
	}
	var scopes []string
	for _, scope := range k.scopes {
		scopes = append(scopes, prefix+scope+suffix)
	}
	return k.withClaims(Claims{"scope": strings.Join(scopes, " ")})
}

// first and last put members into the text of a JSON object.
func first(object, members string) string { return strings.Replace(object, "{", "{"+members+",", 1) }
func last(object, members string) string  { return object[:len(object)-1] + "," + members + "}" }

// renamed gives a member of a JSON object's text another name.
func renamed(object, from, to string) string {
	return strings.Replace(object, fmt.Sprintf("%q:", from), to+":", 1)
}

// nested is an array so deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// isDown reports whether a fault of the issuer stands, so that a service may have to answer 503.
func (i *Issuer) isDown() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fault != nil
}

// hasPrevious reports whether the issuer publishes two keys.
func (i *Issuer) hasPrevious() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.previous != nil
}

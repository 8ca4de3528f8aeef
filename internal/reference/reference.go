// Package reference judges bearer tokens a second time: the rules by which package bearer accepts a
// token, written again as plainly as possible, for one issuer whose public keys are known. It
// shares no code with package bearer and its parts, so that the two can be held against each other:
// what the reference refuses, the middleware must never accept.
//
// It is slow on purpose. It knows the rules by default, and what some options accept beyond them
// ([Options]). It is for tests alone.
//
// Each rule can be taken out with [Reference.Without]. What remains then is not a hole but the code
// that one finds in its place in careless implementations (sloppy.go), so that an attack on that
// rule can be shown to succeed.
package reference

import (
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Rule is one of the checks, or a group of them that is left out together. Its text is the rule's
// id in docs/rules.md.
type Rule string

// The rules, in the order of the attack suite. Claims are judged after the signature, but for iss.
const (
	OneCredential Rule = "request.single-credential" // one header, one token, scheme Bearer, separated by spaces
	Size          Rule = "jws.size"                  // not more than 16 KiB
	Shape         Rule = "jws.compact"               // three parts between two dots
	Spelling      Rule = "jws.one-spelling"          // base64url, canonical and without padding
	Header        Rule = "jws.header"                // one strict JSON object; alg, kid and typ are strings
	Extensions    Rule = "jws.crit"                  // no crit, and no b64 but true
	EmbeddedKeys  Rule = "jws.embedded-keys"         // jwk, jku, x5c and x5u are not where keys come from
	Issuer        Rule = "claims.iss"                // iss is ours, exactly
	Algorithm     Rule = "jws.alg-allowed"           // alg is on the list
	Type          Rule = "jws.typ-allowed"           // typ is at+jwt, JWT or absent
	OtherTokens   Rule = "claims.access-token"       // no ID token, logout token or event
	KeyID         Rule = "key.kid"                   // the key is the one that kid names
	Signature     Rule = "jws.signature"             // made with that key
	Claims        Rule = "claims.json"               // one strict JSON object
	ClaimTypes    Rule = "claims.types"              // dates are numbers, aud is strings, sub and jti are strings
	Expiry        Rule = "claims.exp"                // exp is there, and has not passed
	NotBefore     Rule = "claims.nbf"                // nbf is not in the future
	IssuedAt      Rule = "claims.iat"                // iat is not in the future
	Audience      Rule = "claims.aud"                // aud names us
	Confirmation  Rule = "claims.cnf"                // no cnf
	Scope         Rule = "route.scope"               // the scope is granted
)

// The bounds of what is accepted.
const (
	leeway         = 30 * time.Second // between the clocks
	maxTokenSize   = 16 << 10         // bytes
	maxDepth       = 32               // of objects and arrays
	maxNumericDate = 253402300799     // the last second of the year 9999
	minModulus     = 2048             // bits
	maxModulus     = 8192             // bits
)

// Rules returns all rules, in their order.
func Rules() []Rule {
	return []Rule{
		OneCredential, Size, Shape, Spelling, Header, Extensions, EmbeddedKeys, Issuer, Algorithm, Type, OtherTokens, KeyID,
		Signature, Claims, ClaimTypes, Expiry, NotBefore, IssuedAt, Audience, Confirmation, Scope,
	}
}

// Config is what the reference trusts. All fields but Keys may be empty.
type Config struct {
	// Issuer and Audience are compared with iss and aud.
	Issuer, Audience string

	// Keys are the issuer's.
	Keys []Key

	// Algorithms are those accepted; nil means RS256, PS256, ES256, ES384, ES512 and EdDSA.
	Algorithms []string

	// Scope is what Handler demands; empty means nothing.
	Scope string

	Options
}

// Key is a public key: an *rsa.PublicKey, an *ecdsa.PublicKey or an ed25519.PublicKey. Or it is a
// secret for HMAC: a []byte.
type Key struct {
	// ID is the key's kid. A key without one answers to every kid.
	ID string

	// Algorithm is the only one that the key is used with; empty means every one that fits it.
	Algorithm string

	Public crypto.PublicKey
}

// Reference is a judge of tokens. It does not change, and may be used from several goroutines at
// once.
type Reference struct {
	config  Config
	without Rule // "" for none
}

// New returns the complete reference, with every rule in force.
func New(config Config) *Reference {
	if config.Algorithms == nil {
		config.Algorithms = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	}
	return &Reference{config: config}
}

// Without returns a reference that is careless about this one rule and holds to all others.
func (r *Reference) Without(rule Rule) *Reference {
	return &Reference{config: r.config, without: rule}
}

// careless reports whether the rule is out of force.
func (r *Reference) careless(rule Rule) bool { return r.without == rule }

// A Refusal says which rule a token breaks, and how.
type Refusal struct {
	Rule Rule
	Why  string
}

// Error returns the rule and the reason.
func (r *Refusal) Error() string { return "reference: " + string(r.Rule) + ": " + r.Why }

func refuse(rule Rule, format string, args ...any) error {
	return &Refusal{rule, fmt.Sprintf(format, args...)}
}

// Verify returns nil for a token that is good at the time, and a *[Refusal] for every other. The
// scope is not looked at: what a route demands is not a property of the token.
func (r *Reference) Verify(token string, now time.Time) error {
	_, err := r.judge(token, now)
	return err
}

// judge takes a token through the steps and returns its claims.
func (r *Reference) judge(token string, now time.Time) (object, error) {
	if len(token) > maxTokenSize && !r.careless(Size) {
		return nil, refuse(Size, "%d bytes", len(token))
	}
	encoded, err := r.split(token)
	if err != nil {
		return nil, err
	}
	var decoded [3][]byte
	for i, part := range encoded {
		if decoded[i], err = r.decode(part); err != nil {
			return nil, err
		}
	}
	header, err := r.readHeader(decoded[0])
	if err != nil {
		return nil, err
	}
	claims, err := r.readClaims(decoded[1])
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return r.checkIssuer(claims) },
		func() error { return r.checkAlgorithm(header) },
		func() error { return r.checkType(header) },
		func() error { return r.checkSignature(header, encoded[0]+"."+encoded[1], decoded[2]) },
		func() error { return r.checkOtherTokens(header, claims) },
		func() error { return r.checkTimes(claims, now) },
		func() error { return r.checkPresent(claims) },
		func() error {
			if r.config.AnyAudience || r.config.AudienceFunc != nil { // for which there is no request here
				return nil
			}
			return r.checkAudience(claims, r.config.Audience)
		},
		func() error { return r.checkConfirmation(claims) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

// split separates the parts of the compact serialization. An empty signature is left to
// checkSignature.
func (r *Reference) split(token string) ([3]string, error) {
	if r.careless(Shape) {
		return sloppySplit(token), nil
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return [3]string{}, refuse(Shape, "%d parts", len(parts))
	}
	if parts[0] == "" || parts[1] == "" {
		return [3]string{}, refuse(Shape, "an empty part")
	}
	return [3]string(parts), nil
}

// readHeader reads the JOSE header, and judges all of it that does not depend on what we trust.
func (r *Reference) readHeader(data []byte) (object, error) {
	header, err := r.read(Header, data)
	if err != nil {
		return nil, err
	}
	if r.careless(Header) {
		sloppyHeader(header, r.usualAlgorithm())
	}
	if alg, _ := header["alg"].(string); alg == "" {
		return nil, refuse(Header, "alg is not a text")
	}
	for _, name := range []string{"kid", "typ"} {
		if _, ok := header[name].(string); !ok && header.has(name) {
			return nil, refuse(Header, "%s is not a string", name)
		}
	}
	if header.has("crit") && !r.careless(Extensions) {
		return nil, refuse(Extensions, "crit is there")
	}
	if header.has("b64") && header["b64"] != true && !r.careless(Extensions) {
		return nil, refuse(Extensions, "b64 is not true")
	}
	return header, nil
}

// readClaims reads the claims, and judges their types.
func (r *Reference) readClaims(data []byte) (object, error) {
	claims, err := r.read(Claims, data)
	if err != nil || r.careless(ClaimTypes) {
		return claims, err
	}
	for _, name := range []string{"sub", "jti"} {
		if _, ok := claims[name].(string); !ok && claims.has(name) {
			return nil, refuse(ClaimTypes, "%s is not a string", name)
		}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if _, ok := numericDate(claims[name]); !ok && claims.has(name) {
			return nil, refuse(ClaimTypes, "%s is not a date", name)
		}
	}
	list, ok := claims["aud"].([]any)
	if !ok {
		list = []any{claims["aud"]}
	}
	for _, aud := range list {
		if _, ok := aud.(string); !ok && claims.has("aud") {
			return nil, refuse(ClaimTypes, "aud is not a string or an array of strings")
		}
	}
	return claims, nil
}

func (r *Reference) checkIssuer(claims object) error {
	switch {
	case r.config.TemplateClaim != "":
		return r.checkTemplate(claims)
	case r.config.NoIssuer && !claims.has("iss"):
		return nil
	}
	if iss, ok := claims["iss"].(string); !r.careless(Issuer) && (!ok || iss != r.config.Issuer) {
		return refuse(Issuer, "iss is another")
	}
	return nil
}

func (r *Reference) checkAlgorithm(header object) error {
	if !r.careless(Algorithm) && !slices.Contains(r.algorithms(), header["alg"].(string)) {
		return refuse(Algorithm, "alg is not on the list")
	}
	return nil
}

// algorithms are the accepted ones. EdDSA and Ed25519 are two names of one.
func (r *Reference) algorithms() []string {
	list := slices.Clone(r.config.Algorithms)
	if slices.Contains(list, "EdDSA") || slices.Contains(list, "Ed25519") {
		list = append(list, "EdDSA", "Ed25519")
	}
	return list
}

func (r *Reference) checkType(header object) error {
	if typ := typeOf(header); !r.careless(Type) && typ != "at+jwt" && typ != "jwt" {
		return refuse(Type, "typ is another")
	}
	return nil
}

// typeOf is the header's typ in the form in which it is compared. Without one, a token is a JWT.
func typeOf(header object) string {
	if !header.has("typ") {
		return "jwt"
	}
	typ, _ := header["typ"].(string)
	if typ = asciiLower(typ); strings.Count(typ, "/") == 1 {
		return strings.TrimPrefix(typ, "application/")
	}
	return typ
}

func (r *Reference) checkOtherTokens(header, claims object) error {
	if typeOf(header) == "at+jwt" || r.careless(OtherTokens) {
		return nil
	}
	marks, uses, types := []string{"events"}, []string{"access"}, []string{"refresh", "offline", "logout"}
	if r.config.IDTokens {
		uses = append(uses, "id")
	} else {
		marks, types = append(marks, "at_hash", "c_hash", "s_hash"), append(types, "id")
	}
	for _, name := range marks {
		if claims.has(name) {
			return refuse(OtherTokens, "%s is there", name)
		}
	}
	if use, ok := claims["token_use"].(string); claims.has("token_use") && (!ok || !slices.Contains(uses, use)) {
		return refuse(OtherTokens, "token_use is not access")
	}
	if typ, _ := claims["typ"].(string); slices.Contains(types, asciiLower(typ)) {
		return refuse(OtherTokens, "the claim typ names another token")
	}
	return nil
}

// checkTimes compares the dates with the clock. A date that cannot be read was refused before, or
// is, carelessly, not compared.
func (r *Reference) checkTimes(claims object, now time.Time) error {
	exp, ok := numericDate(claims["exp"])
	switch {
	case r.careless(Expiry):
	case !claims.has("exp") && !r.config.NoExpiry:
		return refuse(Expiry, "exp is missing")
	case ok && !now.Before(exp.Add(leeway)):
		return refuse(Expiry, "exp has passed")
	}
	if t, ok := numericDate(claims["nbf"]); ok && t.After(now.Add(leeway)) && !r.careless(NotBefore) {
		return refuse(NotBefore, "nbf is in the future")
	}
	if t, ok := numericDate(claims["iat"]); ok && t.After(now.Add(leeway)) && !r.careless(IssuedAt) {
		return refuse(IssuedAt, "iat is in the future")
	}
	return nil
}

func (r *Reference) checkAudience(claims object, audience string) error {
	if !r.careless(Audience) && (audience == "" || !slices.Contains(texts(claims["aud"]), audience)) {
		return refuse(Audience, "aud does not name us")
	}
	return nil
}

// texts returns the strings that a value is made of.
func texts(value any) (list []string) {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		for _, element := range value {
			list = append(list, texts(element)...)
		}
	case map[string]any:
		for _, member := range value {
			list = append(list, texts(member)...)
		}
	}
	return list
}

func (r *Reference) checkConfirmation(claims object) error {
	if claims.has("cnf") && !r.careless(Confirmation) && !r.config.IgnoreConfirmation {
		return refuse(Confirmation, "cnf is there")
	}
	return nil
}

// checkScope looks for a scope in scope and scp, or in what ScopeClaim names: each a string of
// scopes between spaces or an array of them.
func (r *Reference) checkScope(claims object) error {
	if r.careless(Scope) && sloppyScope(claims, r.config.Scope) {
		return nil
	}
	names := r.config.ScopeClaim
	if names == nil {
		names = []string{"scope", "scp"}
	}
	for _, name := range names {
		granted := texts(find(claims, name))
		if text, ok := find(claims, name).(string); ok {
			granted = strings.Split(text, " ")
		}
		if slices.Contains(granted, r.config.Scope) {
			return nil
		}
	}
	return refuse(Scope, "the scope is not granted")
}

// asciiLower folds A to Z alone.
func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + ('a' - 'A')
		}
		return c
	}, s)
}

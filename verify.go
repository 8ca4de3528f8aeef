package bearer

import (
	"context"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/jwa"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/jwks"
)

// verify turns a token's text into claims, or says at which step it was refused. The steps stand in the order in which they
// run: cheap before dear, and nothing of the token is interpreted before it has to be. What was learnt on the way and is
// ours to repeat (the issuer once it matched, the key once it matched, the algorithm once it is on the list) is noted in ev.
func (m *Middleware) verify(ctx context.Context, token string, ev *Event) (*Claims, *Error) {
	if len(token) > m.maxTokenSize {
		return nil, refuse(ReasonTokenTooLarge)
	}
	jws, ok := split(token)
	if !ok || len(jws.payload) == 0 {
		return nil, refuse(ReasonMalformedToken)
	}
	header, err := readHeader(jws.header)
	if err != nil {
		return nil, err
	}
	// The payload is only peeked at: its iss chooses the tuple, and is compared again with the verified claims below.
	iss, err := m.selectIssuer(jws.payload)
	if err != nil {
		return nil, err
	}
	ev.Issuer = iss.name
	if err := iss.checkJWS(ctx, jws, header, ev); err != nil {
		return nil, err
	}

	members, jsonErr := strictjson.Object(jws.payload)
	if jsonErr != nil {
		return nil, refuse(ReasonMalformedClaims)
	}
	claims, err := iss.readClaims(members)
	if err != nil {
		return nil, err
	}
	if !header.isAccessToken() && looksLikeAnotherToken(members) {
		return nil, refuse(ReasonNotAccessToken)
	}
	if err := iss.judge(claims, members, time.Now()); err != nil {
		return nil, err
	}
	claims.payload, claims.keyID, claims.algorithm = jws.payload, ev.KeyID, ev.Algorithm
	return claims, nil
}

// compact is a JWS in compact serialization (RFC 7515 section 7.1), taken apart.
type compact struct {
	signingInput               string
	header, payload, signature []byte
}

// split checks the shape of a token and decodes it: three parts of base64url characters (RFC 4648 section 5) and nothing else,
// so no padding, no line breaks, no JSON serialization and no JWE, each in its canonical spelling. The payload of a JWS may
// be empty, that of a token may not.
func split(token string) (jws compact, ok bool) {
	var dots [2]int
	n := 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			if n == len(dots) {
				return jws, false
			}
			dots[n] = i
			n++
		case !isBase64URL[c]:
			return jws, false
		}
	}
	if n != len(dots) {
		return jws, false
	}
	jws.signingInput = token[:dots[1]]
	if jws.header, ok = decode(token[:dots[0]]); !ok {
		return jws, false
	}
	if jws.payload, ok = decode(token[dots[0]+1 : dots[1]]); !ok {
		return jws, false
	}
	jws.signature, ok = decode(token[dots[1]+1:])
	return jws, ok && len(jws.header) > 0 && len(jws.signature) > 0
}

var isBase64URL = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		set[c] = true
	}
	return set
}()

// strictBase64 refuses trailing bits that are not zero: with them one token would have several spellings.
var strictBase64 = base64.RawURLEncoding.Strict()

// decode decodes base64url in its canonical spelling alone. Go's decoder skips CR and LF: callers have refused them.
func decode(part string) ([]byte, bool) {
	b, err := strictBase64.DecodeString(part)
	return b, err == nil
}

// header is what the pipeline uses of a JOSE header. jku, x5u, x5c and jwk are not among it: a token does not bring its
// own key (RFC 8725 section 3.10).
type header struct {
	alg, kid, typ string // typ: lower case, without "application/", "jwt" when absent
}

func readHeader(raw []byte) (h header, err *Error) {
	members, jsonErr := strictjson.Object(raw)
	if jsonErr != nil {
		return h, refuse(ReasonMalformedToken)
	}
	h.typ = "jwt"
	ok := true
	for _, m := range members {
		switch m.Name {
		case "alg":
			h.alg, ok = strictjson.String(m.Value)
		case "kid":
			h.kid, ok = strictjson.String(m.Value)
		case "typ":
			h.typ, ok = strictjson.String(m.Value)
			h.typ = mediaType(h.typ)
		case "crit", "b64":
			// RFC 7515 section 4.1.11: an extension we do not implement must not be ignored; RFC 7797's is one.
			return h, refuse(ReasonUnsupportedHeader)
		}
		if !ok {
			return h, refuse(ReasonMalformedToken)
		}
	}
	if h.alg == "" {
		return h, refuse(ReasonMalformedToken)
	}
	return h, nil
}

// isAccessToken reports that the token says what it is (RFC 9068 section 2.1).
func (h header) isAccessToken() bool { return h.typ == accessTokenType }

const accessTokenType = "at+jwt"

// mediaType brings a typ to the form in which it is compared: media types are case-insensitive, and "application/" may be
// omitted (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(asciiLower(typ), "application/")
}

// asciiLower folds A to Z alone: Unicode folding would let look-alikes such as U+212A (the Kelvin sign) match.
func asciiLower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// selectIssuer finds the tuple for a payload's iss, compared exactly. A token of an unknown issuer ends here, before its
// algorithm is looked at or a key is fetched.
func (m *Middleware) selectIssuer(payload []byte) (*issuer, *Error) {
	value, found, err := strictjson.Find(payload, "iss")
	if err != nil {
		return nil, refuse(ReasonMalformedClaims)
	}
	if !found {
		return nil, refuse(ReasonMissingClaim)
	}
	name, ok := strictjson.String(value)
	if !ok {
		return nil, refuse(ReasonMalformedClaims)
	}
	iss, ok := m.issuers[name]
	if !ok {
		return nil, refuse(ReasonUnknownIssuer)
	}
	return iss, nil
}

// checkJWS checks what stands before the claims: the algorithm, the type, the key and the signature.
func (iss *issuer) checkJWS(ctx context.Context, jws compact, h header, ev *Event) *Error {
	alg, ok := iss.algorithms[h.alg]
	if !ok {
		return refuse(ReasonAlgorithm)
	}
	ev.Algorithm = alg.Name
	if !slices.Contains(iss.types, h.typ) {
		return refuse(ReasonType)
	}
	keys, err := iss.candidates(ctx, h.kid, alg)
	if err != nil {
		return err
	}
	ev.KeyID, err = checkSignature(jws, alg, keys)
	return err
}

// candidate is a key a token may have been signed with.
type candidate struct {
	id  string
	key any
}

// candidates returns the keys of the issuer, and of no other, that may have signed the token.
func (iss *issuer) candidates(ctx context.Context, kid string, alg *jwa.Algorithm) ([]candidate, *Error) {
	if iss.secret != nil {
		return []candidate{{key: iss.secret}}, nil
	}
	keys, err := iss.keys.Keys(ctx, kid, alg.Name)
	if err != nil {
		if errors.Is(err, jwks.ErrKeyNotFound) {
			return nil, refuse(ReasonUnknownKey)
		}
		return nil, keysUnavailable(err)
	}
	list := make([]candidate, len(keys))
	for i, k := range keys {
		list[i] = candidate{id: k.ID(), key: k.Public()}
	}
	return list, nil
}

// keysUnavailable is the answer when something keeps us from having the keys: that is our trouble and not the token's.
func keysUnavailable(err error) *Error {
	e := refuseFor(ReasonKeysUnavailable, err)
	if unavailable, ok := errors.AsType[*jwks.UnavailableError](err); ok {
		e.retryAfter = unavailable.RetryAfter
	}
	return e
}

// checkSignature returns the id of the key that verifies the token.
func checkSignature(jws compact, alg *jwa.Algorithm, keys []candidate) (keyID string, err *Error) {
	for _, k := range keys {
		if alg.Verify(jws.signingInput, jws.signature, k.key) == nil {
			return k.id, nil
		}
	}
	return "", refuse(ReasonSignature)
}

// readClaims interprets the members of a verified claims set. Names are compared case-exactly; a claim that a
// decision rests on is malformed when it has the wrong type; azp, acr and auth_time then merely count as absent, so that a
// requirement for them is not met.
func (iss *issuer) readClaims(members []strictjson.Member) (*Claims, *Error) {
	c := new(Claims)
	var azp string
	for _, m := range members {
		ok := true
		switch m.Name {
		case "iss":
			c.issuer, ok = strictjson.String(m.Value)
		case "sub":
			c.subject, ok = strictjson.String(m.Value)
		case "jti":
			c.id, ok = strictjson.String(m.Value)
		case "aud":
			_, ok = audienceList(m.Value)
		case "exp":
			c.expiry, ok = numericDate(m.Value)
		case "nbf":
			c.notBefore, ok = numericDate(m.Value)
		case "iat":
			c.issuedAt, ok = numericDate(m.Value)
		case "client_id":
			c.clientID, ok = strictjson.String(m.Value)
		case "azp":
			azp, _ = strictjson.String(m.Value)
		case "acr":
			c.acr, _ = strictjson.String(m.Value)
		case "auth_time":
			c.authTime, _ = numericDate(m.Value)
		}
		if m.Name == iss.audienceClaim && ok {
			c.audience, ok = audienceList(m.Value)
		}
		if !ok {
			return nil, refuse(ReasonMalformedClaims)
		}
	}
	if c.clientID == "" {
		c.clientID = azp
	}
	for _, path := range iss.scopeClaims {
		if value, found := lookup(members, path); found {
			c.scopes = appendNew(c.scopes, scopeList(value))
		}
	}
	if value, found := lookup(members, iss.rolesClaim); found {
		c.roles = appendNew(c.roles, roleList(value))
	}
	return c, nil
}

// audienceList reads aud: a string, or an array of strings (RFC 7519 section 4.1.3).
func audienceList(value []byte) ([]string, bool) {
	if s, ok := strictjson.String(value); ok {
		return []string{s}, true
	}
	return stringList(value)
}

// maxNumericDate is the last second of the year 9999, the last that RFC 3339 can write.
const maxNumericDate = 253402300799

// numericDate reads a NumericDate (RFC 7519 section 2): a JSON number of seconds since 1970, which may have a fraction.
// Strings, negative numbers and dates after the year 9999 are refused: no clock issues them.
func numericDate(value []byte) (time.Time, bool) {
	if len(value) == 0 || value[0] < '0' || value[0] > '9' {
		return time.Time{}, false
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f > maxNumericDate {
		return time.Time{}, false
	}
	if seconds, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return time.Unix(seconds, 0), true
	}
	seconds, fraction := math.Modf(f)
	return time.Unix(int64(seconds), int64(fraction*1e9)), true
}

// looksLikeAnotherToken reports that a token which does not declare itself an access token shows itself to be an ID token
// (OpenID Connect Core sections 2 and 3.3.2.11), a logout token or security event (RFC 8417), or what Amazon Cognito and
// Keycloak mark as such. Confusing them is the attack of RFC 8725 section 2.8.
func looksLikeAnotherToken(members []strictjson.Member) bool {
	for _, m := range members {
		switch m.Name {
		case "at_hash", "c_hash", "s_hash", "events":
			return true
		case "token_use":
			if use, ok := strictjson.String(m.Value); !ok || use != "access" {
				return true
			}
		case "typ":
			typ, _ := strictjson.String(m.Value)
			switch asciiLower(typ) {
			case "id", "refresh", "offline", "logout":
				return true
			}
		}
	}
	return false
}

// judge applies the checks that need the tuple and the clock to claims whose signature was verified.
func (iss *issuer) judge(c *Claims, members []strictjson.Member, now time.Time) *Error {
	has := func(name string) bool {
		return slices.ContainsFunc(members, func(m strictjson.Member) bool { return m.Name == name })
	}
	hasText := func(name string) bool { // an empty string says no more than none
		return slices.ContainsFunc(members, func(m strictjson.Member) bool { return m.Name == name && string(m.Value) != `""` })
	}
	if c.issuer != iss.name { // cannot be, as names are unique; but the key was chosen by what was only peeked at
		return refuse(ReasonUnknownIssuer)
	}
	for _, name := range iss.required {
		if !hasText(name) {
			return refuse(ReasonMissingClaim)
		}
	}
	if has("exp") && !now.Before(c.expiry.Add(iss.leeway)) {
		return refuse(ReasonExpired)
	}
	if has("nbf") && now.Add(iss.leeway).Before(c.notBefore) {
		return refuse(ReasonNotYetValid)
	}
	if has("iat") && now.Add(iss.leeway).Before(c.issuedAt) {
		return refuse(ReasonIssuedInFuture)
	}
	if iss.maxLifetime > 0 && c.expiry.Sub(c.issuedAt) > iss.maxLifetime {
		return refuse(ReasonLifetime)
	}
	if !iss.anyAudience && !iss.isMeantForUs(c, members) {
		return refuse(ReasonAudience)
	}
	// RFC 7800 section 3.1: a bound token is worth nothing to whoever cannot prove the key, and nothing here checks a proof.
	if !iss.ignoreConfirmation && has("cnf") {
		return refuse(ReasonSenderConstrained)
	}
	return nil
}

// isMeantForUs reports whether the audience claim names this service. Wherever the audience stands, an aud that is there must
// name it too (RFC 7519 section 4.1.3).
func (iss *issuer) isMeantForUs(c *Claims, members []strictjson.Member) bool {
	ours := func(aud string) bool { return slices.Contains(iss.audiences, aud) }
	if !slices.ContainsFunc(c.audience, ours) {
		return false
	}
	if iss.audienceClaim == "aud" {
		return true
	}
	aud, found := lookup(members, "aud")
	if !found {
		return true
	}
	list, _ := audienceList(aud)
	return slices.ContainsFunc(list, ours)
}

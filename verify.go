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
func (m *core) verify(ctx context.Context, token string, ev *Event) (*principal, *Error) {
	if len(token) > m.maxTokenSize {
		return nil, refuse(ReasonTokenTooLarge)
	}
	if known := m.cache.recall(token); known != nil {
		if p, err := m.confirm(ctx, known, ev); p != nil || err != nil {
			return p, err
		}
	}
	jws, ok := split(token)
	if !ok {
		return nil, refuse(ReasonMalformedToken)
	}
	scratch := m.scratch.Get().(*[]byte)
	defer m.scratch.Put(scratch)
	if len(*scratch) < len(token) { // it is held while keys are waited for, and so no longer than it must be
		*scratch = make([]byte, len(token))
	}
	if !jws.decode(*scratch) || len(jws.payload) == 0 {
		return nil, refuse(ReasonMalformedToken)
	}
	header, learnt := m.headers.recall(jws.headerText)
	if !learnt {
		var err *Error
		if header, err = readHeader(jws.headerText, jws.room); err != nil {
			return nil, err
		}
	}
	// The payload is only peeked at: its iss chooses the tuple, and is compared again with the verified claims below.
	iss, err := m.selectIssuer(jws.payload)
	if err != nil {
		return nil, err
	}
	ev.Issuer = iss.name
	key, now, err := iss.checkJWS(ctx, jws, header, ev)
	if err != nil {
		return nil, err
	}
	if !learnt {
		m.headers.learn(jws.headerText, header)
	}

	v := newVerified(m, token)
	claims, p := &v.content, &v.principal
	facts, err := iss.readClaims(claims, string(jws.payload))
	if err != nil {
		return nil, err
	}
	claims.keyID, claims.algorithm = ev.KeyID, ev.Algorithm
	if !header.isAccessToken() && facts.anotherToken {
		return nil, refuse(ReasonNotAccessToken)
	}
	if err := iss.judge(claims, facts, now); err != nil {
		return nil, err
	}
	m.cache.remember(p, iss, header.kid, key, now)
	return p, nil
}

// verified is what verify makes of a token, in one piece of memory.
type verified struct {
	claims    Claims
	pointer   claimsPointer
	content   content
	principal principal
	sent      sent
}

func newVerified(by *core, token string) *verified {
	v := new(verified)
	v.claims.claimsPointer, v.pointer.content = &v.pointer, &v.content
	v.principal.claims, v.principal.by, v.principal.sent = &v.claims, by, &v.sent
	v.sent.token = token
	return v
}

// scratchSize is how long a buffer for decoding is to begin with: as long as most tokens. It grows with the tokens it is for.
const scratchSize = 2 << 10

// compact is a JWS in compact serialization (RFC 7515 section 7.1), taken apart.
type compact struct {
	headerText, payloadText, signatureText string // as they stand in the token
	signingInput                           string

	payload, signature []byte
	room               []byte // of the buffer, for the header
}

// maxSignature is the length of the longest signature in base64url: that of the largest RSA key.
const maxSignature = (jwa.MaxRSABits/8*8 + 5) / 6

// split checks the shape of a token: three parts and nothing else, so no JSON serialization and no JWE. The payload of a JWS may be
// empty, that of a token may not.
func split(token string) (jws compact, ok bool) {
	if rest := len(token) - maxSignature; rest > 0 && strings.IndexByte(token[rest-1:], '.') < 0 {
		return jws, false // so that the whole need not be looked through
	}
	first := strings.IndexByte(token, '.')
	if first <= 0 {
		return jws, false
	}
	second := strings.IndexByte(token[first+1:], '.')
	if second < 0 {
		return jws, false
	}
	second += first + 1
	if second == len(token)-1 || strings.IndexByte(token[second+1:], '.') >= 0 {
		return jws, false
	}
	jws.headerText, jws.payloadText, jws.signatureText = token[:first], token[first+1:second], token[second+1:]
	jws.signingInput = token[:second]
	return jws, true
}

// decode decodes a token into the buffer, which is as long as the token at least; the parts share it. They are base64url (RFC 4648
// section 5), without padding or line breaks, each in its canonical spelling. The header is left as it stands, for mostly it is known.
func (jws *compact) decode(buffer []byte) (ok bool) {
	if jws.payload, buffer, ok = decode(jws.payloadText, buffer); !ok {
		return false
	}
	jws.signature, jws.room, ok = decode(jws.signatureText, buffer)
	return ok
}

// strictBase64 refuses trailing bits that are not zero: with them one token would have several spellings.
var strictBase64 = base64.RawURLEncoding.Strict()

// decode decodes base64url in its canonical spelling alone, and returns the rest of the buffer. Go's decoder skips CR and LF;
// where it has skipped any, there are fewer bytes than the length promises. That holds for all lengths that base64 can have:
// none leaves one character over, for it would stand for six bits.
func decode(part string, buffer []byte) (decoded, rest []byte, ok bool) {
	n, err := strictBase64.Decode(buffer, []byte(part))
	if err != nil || len(part)%4 == 1 || n != strictBase64.DecodedLen(len(part)) {
		return nil, nil, false
	}
	return buffer[:n:n], buffer[n:], true
}

// selectIssuer finds the tuple for a payload's iss, compared exactly. A token of an unknown issuer ends here, before its
// algorithm is looked at or a key is fetched.
func (m *core) selectIssuer(payload []byte) (*issuer, *Error) {
	value, found, err := strictjson.Find(payload, "iss")
	if err != nil {
		return nil, refuse(ReasonMalformedClaims)
	}
	if !found {
		return nil, refuse(ReasonMissingClaim)
	}
	if len(value) > m.longestIssuer { // before it is unescaped
		return nil, refuse(ReasonUnknownIssuer)
	}
	name, ok := strictjson.String(value)
	if !ok {
		return nil, refuse(ReasonMalformedClaims)
	}
	iss, ok := m.issuers[string(name)]
	if !ok {
		return nil, refuse(ReasonUnknownIssuer)
	}
	return iss, nil
}

// checkJWS checks what stands before the claims: the algorithm, the type, the key and the signature. It returns the key that
// verified it and the time at which that was the issuer's; the zero Key stands for an issuer's secret.
func (iss *issuer) checkJWS(ctx context.Context, jws compact, h header, ev *Event) (key jwks.Key, at time.Time, refusal *Error) {
	alg := h.alg
	if alg == nil || !slices.Contains(iss.algorithms, alg) {
		return key, at, refuse(ReasonAlgorithm)
	}
	ev.Algorithm = alg.Name
	if !slices.Contains(iss.types, h.typ) {
		return key, at, refuse(ReasonType)
	}
	if iss.secret != nil {
		if alg.Verify(jws.signingInput, jws.signature, iss.secret) != nil {
			return key, at, refuse(ReasonSignature)
		}
		return key, time.Now(), nil
	}
	var room [1]jwks.Key
	// The keys are of this issuer, and of no other.
	keys, at, err := iss.keys.AppendKeys(ctx, room[:0], iss.name, h.kid, alg.Name)
	if err != nil {
		return key, at, noKey(err)
	}
	for _, key := range keys {
		if alg.Verify(jws.signingInput, jws.signature, key.Public()) == nil {
			ev.KeyID = key.ID()
			return key, at, nil
		}
	}
	return key, at, refuse(ReasonSignature)
}

// noKey is the answer when there is no key to verify with. A client cannot tell a key set that has
// the key for other issuers from one that lacks it; the operator can.
func noKey(err error) *Error {
	switch {
	case errors.Is(err, jwks.ErrKeyOfOther):
		return refuseFor(ReasonUnknownKey, err)
	case errors.Is(err, jwks.ErrKeyNotFound):
		return refuse(ReasonUnknownKey)
	}
	return keysUnavailable(err)
}

// keysUnavailable is the answer when something keeps us from having the keys: that is our trouble and not the token's.
func keysUnavailable(err error) *Error {
	e := refuseFor(ReasonKeysUnavailable, err)
	if unavailable, ok := errors.AsType[*jwks.UnavailableError](err); ok {
		e.retryAfter = unavailable.RetryAfter
	}
	return e
}

// facts are what the checks need to know of a claims set beside what its claims say.
type facts struct {
	present      claimSet // the claims that are there, and not the empty string
	aud          []string // when the audience stands elsewhere; nil when there is none
	anotherToken bool     // unless it declares itself an access token, it shows itself to be of another kind
	confirmation bool     // there is a cnf
}

// otherTypes are what a typ claim says of tokens that are no access tokens, as Keycloak writes it, in lower case.
var otherTypes = []string{"id", "refresh", "offline", "logout"}

// claimSet is a set of those claims that can be required.
type claimSet uint8

const (
	claimIss claimSet = 1 << iota
	claimSub
	claimAud
	claimExp
	claimIat
	claimJti
	claimClientID
)

// manyMembers is how many members a claims set has in the rule. More cost an allocation.
const manyMembers = 24

// readClaims interprets a verified claims set. Names are compared case-exactly; a claim that a decision rests on is malformed
// when it has the wrong type; azp, acr and auth_time then merely count as absent, so that a requirement for them is not met.
//
// A token that does not declare itself an access token may show itself to be an ID token (OpenID Connect Core sections 2 and
// 3.3.2.11), a logout token or security event (RFC 8417), or what Amazon Cognito and Keycloak mark as such. Confusing them is the
// attack of RFC 8725 section 2.8.
func (iss *issuer) readClaims(c *content, payload string) (f facts, err *Error) {
	var room [manyMembers]strictjson.Member
	members, jsonErr := strictjson.AppendObject(room[:0], payload)
	if jsonErr != nil {
		return f, refuse(ReasonMalformedClaims)
	}
	c.payload = payload
	var azp string
	for _, m := range members {
		ok := true
		var claim claimSet
		switch m.Name {
		case "iss":
			claim = claimIss
			c.issuer, ok = strictjson.String(m.Value)
		case "sub":
			claim = claimSub
			c.subject, ok = strictjson.String(m.Value)
		case "jti":
			claim = claimJti
			c.id, ok = strictjson.String(m.Value)
		case "aud":
			claim = claimAud
			if iss.audienceClaim != "aud" {
				f.aud, ok = appendStrings([]string{}, m.Value) // not nil, even if it is an empty array
			}
		case "exp":
			claim = claimExp
			c.expiry, ok = numericDate(m.Value)
		case "nbf":
			c.notBefore, ok = numericDate(m.Value)
		case "iat":
			claim = claimIat
			c.issuedAt, ok = numericDate(m.Value)
		case "client_id":
			claim = claimClientID
			c.clientID, ok = strictjson.String(m.Value)
		case "azp":
			azp, _ = strictjson.String(m.Value)
		case "acr":
			c.acr, _ = strictjson.String(m.Value)
		case "auth_time":
			c.authTime, _ = numericDate(m.Value)
		case "cnf":
			f.confirmation = true
		case "at_hash", "c_hash", "s_hash", "events":
			f.anotherToken = true
		case "token_use":
			use, isText := strictjson.String(m.Value)
			f.anotherToken = f.anotherToken || !isText || use != "access"
		case "typ":
			typ, _ := strictjson.String(m.Value)
			f.anotherToken = f.anotherToken || slices.Contains(otherTypes, asciiLower(typ))
		}
		if m.Name == iss.audienceClaim && ok {
			c.audience, ok = appendStrings(c.audienceRoom[:0], m.Value)
		}
		if !ok {
			return f, refuse(ReasonMalformedClaims)
		}
		if m.Value != `""` {
			f.present |= claim
		}
	}
	if c.clientID == "" {
		c.clientID = azp
	}
	scopes := distinct{values: c.scopeRoom[:0]}
	for _, path := range iss.scopeClaims {
		if value, found := lookup(members, path); found {
			scopes.addScopes(value)
		}
	}
	roles := distinct{values: c.roleRoom[:0]}
	if value, found := lookup(members, iss.rolesClaim); found {
		roles.addAll(value)
	}
	c.scopes, c.roles = scopes.values, roles.values
	return f, nil
}

// maxNumericDate is the last second of the year 9999, the last that RFC 3339 can write.
const maxNumericDate = 253402300799

// numericDate reads a NumericDate (RFC 7519 section 2): a JSON number of seconds since 1970, which may have a fraction.
// Strings, negative numbers and dates after the year 9999 are refused: no clock issues them.
func numericDate(value string) (time.Time, bool) {
	if value == "" || value[0] < '0' || value[0] > '9' {
		return time.Time{}, false
	}
	var seconds int64
	digits := 0
	for digits < len(value) && '0' <= value[digits] && value[digits] <= '9' && seconds <= maxNumericDate {
		seconds = 10*seconds + int64(value[digits]-'0')
		digits++
	}
	if digits == len(value) && seconds <= maxNumericDate {
		return time.Unix(seconds, 0), true
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || f > maxNumericDate {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// judge applies the checks that need the tuple and the clock to claims whose signature was verified.
func (iss *issuer) judge(c *content, f facts, now time.Time) *Error {
	if c.issuer != iss.name { // cannot be, as names are unique; but the key was chosen by what was only peeked at
		return refuse(ReasonUnknownIssuer)
	}
	if f.present&iss.required != iss.required {
		return refuse(ReasonMissingClaim)
	}
	if err := iss.judgeTimes(c, now); err != nil {
		return err
	}
	if iss.maxLifetime > 0 && c.expiry.Sub(c.issuedAt) > iss.maxLifetime {
		return refuse(ReasonLifetime)
	}
	if !iss.anyAudience && !iss.isMeantForUs(c, f) {
		return refuse(ReasonAudience)
	}
	// RFC 7800 section 3.1: a bound token is worth nothing to whoever cannot prove the key, and nothing here checks a proof.
	if !iss.ignoreConfirmation && f.confirmation {
		return refuse(ReasonSenderConstrained)
	}
	return nil
}

// judgeTimes applies the checks whose answer changes with time (RFC 7519 sections 4.1.4 to 4.1.6).
func (iss *issuer) judgeTimes(c *content, now time.Time) *Error {
	switch {
	case !c.expiry.IsZero() && !now.Before(c.expiry.Add(iss.leeway)):
		return refuse(ReasonExpired)
	case !c.notBefore.IsZero() && now.Add(iss.leeway).Before(c.notBefore):
		return refuse(ReasonNotYetValid)
	case !c.issuedAt.IsZero() && now.Add(iss.leeway).Before(c.issuedAt):
		return refuse(ReasonIssuedInFuture)
	default:
		return nil
	}
}

// validity is the time in which judgeTimes lets claims pass: from one time up to, and not including, the other. Claims that never
// expire are good for some time, to be looked at again.
func (iss *issuer) validity(c *content, now time.Time) (from, to time.Time) {
	to = now.Add(cachedUnlimited)
	if !c.expiry.IsZero() {
		to = c.expiry.Add(iss.leeway)
	}
	for _, start := range [...]time.Time{c.notBefore, c.issuedAt} {
		if !start.IsZero() && start.Add(-iss.leeway).After(from) {
			from = start.Add(-iss.leeway)
		}
	}
	return from, to
}

// isMeantForUs reports whether the audience claim names this service. Wherever the audience stands, an aud that is there must
// name it too (RFC 7519 section 4.1.3).
func (iss *issuer) isMeantForUs(c *content, f facts) bool {
	ours := func(aud string) bool { return slices.Contains(iss.audiences, aud) }
	return slices.ContainsFunc(c.audience, ours) && (f.aud == nil || slices.ContainsFunc(f.aud, ours))
}

package bearer

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/expiry"
	"github.com/bearer-go/bearer/internal/jws"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/tokencache"
)

// verifier verifies the tokens of all issuers of a Middleware.
type verifier struct {
	issuers       map[string]*issuer // by the exact value of iss
	templates     []*issuer          // of which none covers what another one does
	roster        *roster            // of the Registry, or nil
	names         []string           // of the issuers
	longestIssuer int                // bytes of an iss that can be one of them, however it is escaped
	unnamed       *issuer            // whose tokens may have no iss; nil if there is none
	maxTokenSize  int
	cache         *tokencache.Cache[verified]
	headers       headerMemo
	streams       *expiry.Watcher[*verified, verifiedBy] // of UntilExpiry
	buffers       sync.Pool                              // of *[]byte, to decode tokens into
}

// verified is a token that passed every check, in one allocation: what is looked at again each
// time, and its claims. It records what was verified; whether a request passes is decided each
// time. It is shared, and never changes.
type verified struct {
	issuer   *issuer
	key      *keyset.Key // that verified the signature; nil for a secret
	from, to time.Time   // valid in [from, to)
	hint     keyset.Hint // of the header
	content  content

	by     *verifier
	token  string
	aud    []string // of the reading, if the audience depends on the request
	claims Claims
	handle claimsHandle
}

// trust adds an issuer, or those of a template.
func (v *verifier) trust(iss *issuer) {
	longest := len(iss.name)
	if iss.live != nil && iss.live.template != nil {
		longest += maxTemplateValue
		v.templates = append(v.templates, iss)
	} else {
		v.issuers[iss.name] = iss
		v.names = append(v.names, iss.name)
	}
	v.longestIssuer = max(v.longestIssuer, strictjson.MaxSpelling(longest))
}

// trustRoster adds the issuers of a registry.
func (v *verifier) trustRoster(r *roster) {
	v.roster = r
	v.longestIssuer = max(v.longestIssuer, strictjson.MaxSpelling(maxRegisteredName))
}

// has reports whether an issuer or a template has this name.
func (v *verifier) has(name string) bool {
	return v.issuers[name] != nil ||
		slices.ContainsFunc(v.templates, func(iss *issuer) bool { return iss.name == name })
}

// covers reports whether tokens with this iss are those of an issuer or a template.
func (v *verifier) covers(name string) bool {
	return v.issuers[name] != nil ||
		slices.ContainsFunc(v.templates, func(iss *issuer) bool { return iss.live.template.covers(name) })
}

// verifiedBy is what a verified token depends on beside the time: the issuer is trusted and has the
// key. A key of nil stands for the issuer's secret.
type verifiedBy struct {
	by     *verifier
	issuer *issuer
	iss    string // of the token
	hint   keyset.Hint
	alg    string
	key    *keyset.Key
}

// usualTokenSize is how long a buffer for decoding is at first: as long as most tokens. A buffer
// grows with the tokens it is used for.
const usualTokenSize = 2 << 10

var refusedSize = fixed(ReasonTokenTooLarge, "jws.size", "it is longer than allowed", "WithMaxTokenSize raises the limit")

// verify turns a token into claims, or returns the refusal of the first check that fails. ev
// records only values that matched the configuration or a key, so that they are safe to export.
func (v *verifier) verify(ctx context.Context, token string, ev *trace) (*verified, *Error) {
	if len(token) > v.maxTokenSize {
		return nil, refusedSize
	}
	if known := v.cache.Get(token); known != nil {
		valid, err := known.Value.recheck(ctx, ev)
		if err != nil {
			return nil, err
		}
		if valid {
			return &known.Value, nil
		}
		v.cache.Remove(known)
	}
	entry, err := v.verifyInFull(ctx, token, ev)
	if err != nil {
		return nil, err
	}
	result := &entry.Value
	if size := result.size(); v.cache.Stores(size) {
		result.token = strings.Clone(token) // it is part of a header, which would stay in memory
		v.cache.Add(result.token, size, entry)
	}
	return result, nil
}

// verifyInFull is verify without the cache. Cheap checks come first, and nothing of the token is
// interpreted before it must be.
func (v *verifier) verifyInFull(ctx context.Context, token string, ev *trace) (*tokencache.Entry[verified], *Error) {
	compact, ok := jws.Split(token)
	if !ok {
		return nil, misshapen(token)
	}
	return v.verifyCompact(ctx, token, compact, ev)
}

// verifyCompact is verifyInFull for a token of three parts.
func (v *verifier) verifyCompact(
	ctx context.Context, token string, compact jws.Compact, ev *trace,
) (*tokencache.Entry[verified], *Error) {
	buffer := v.buffers.Get().(*[]byte)
	defer v.buffers.Put(buffer)
	if len(*buffer) < len(token) {
		*buffer = make([]byte, len(token))
	}
	signed, err := readToken(compact, *buffer, &v.headers)
	if err != nil {
		return nil, err
	}
	if len(signed.payload) == 0 {
		return nil, refusedParts
	}
	// Only iss is read before the signature is verified. It chooses the issuer, and is compared
	// again with the verified claims.
	iss, name, err := v.selectIssuer(ctx, signed.payload)
	if err != nil {
		return nil, err
	}
	ev.Issuer = iss.name
	key, now, err := iss.verifySignature(ctx, name, &signed, ev)
	if err != nil {
		if err.Reason() == ReasonSignature && signed.isForGraph() {
			err = refusedGraph
		}
		return nil, iss.unlessRemoved(err)
	}

	v.headers.add(signed.headerText, signed.header)

	entry := new(tokencache.Entry[verified])
	result := &entry.Value
	result.by, result.issuer, result.key, result.hint, result.token = v, iss, key, signed.header.Hint, token
	result.claims.claimsHandle, result.handle.content = &result.handle, &result.content
	claims := &result.content
	reading, err := iss.names.readClaims(claims, string(signed.payload))
	if err != nil {
		return nil, err
	}
	if err := iss.rules.judgeKind(&reading, signed.isAccessToken()); err != nil {
		return nil, err
	}
	if err := iss.rules.judge(claims, &reading, now); err != nil {
		return nil, err
	}
	if iss.live != nil {
		if err := iss.live.confirm(claims, now); err != nil {
			return nil, err
		}
		result.aud = reading.aud
	}
	claims.keyID, claims.algorithm = ev.KeyID, ev.Algorithm
	result.from, result.to = iss.rules.validity(claims, now)
	return entry, nil
}

// verifyAgain is verify for a token that was verified for the same request before.
func (v *verifier) verifyAgain(ctx context.Context, known *verified, ev *trace) (*verified, *Error) {
	valid, err := known.recheck(ctx, ev)
	if err != nil {
		return nil, err
	}
	if valid {
		return known, nil
	}
	return v.verify(ctx, known.token, ev)
}

// recheck reports whether a verified token would be verified again: its issuer has the key, and it
// is the time for it. If not, verify finds out what is wrong with the token.
func (t *verified) recheck(ctx context.Context, ev *trace) (valid bool, err *Error) {
	live := t.issuer.live
	var held bool
	var now time.Time
	if t.key == nil { // a secret, which the issuer has as long as it lives
		held, now = true, time.Now()
	} else {
		name := t.issuer.name
		if live != nil && live.template != nil {
			name = t.content.issuer
		}
		held, now, err = t.issuer.stillHolds(ctx, name, &t.hint, t.content.algorithm, t.key)
	}
	if live != nil && !live.counts(now) {
		return false, nil // whatever the keys are: they were closed with their issuer
	}
	if err != nil {
		ev.Issuer, ev.Algorithm = t.issuer.name, t.content.algorithm
		return false, err
	}
	if !held || now.Before(t.from) || !now.Before(t.to) {
		return false, nil
	}
	ev.Issuer, ev.Algorithm, ev.KeyID, ev.Cached = t.issuer.name, t.content.algorithm, t.content.keyID, true
	return true, nil
}

// size is about what the token takes in memory beside the struct, in bytes.
func (t *verified) size() int {
	const text = 16 // bytes of a string header
	lists := cap(t.aud) + cap(t.content.audience) + cap(t.content.scopes) + cap(t.content.roles)
	size := len(t.token) + len(t.content.payload) + len(t.hint.KeyID) + text*lists
	if strings.IndexByte(t.content.payload, '\\') >= 0 {
		// A claim that was unescaped is a copy, no longer than this. In a list each value is a copy
		// of its own, which takes at least 16 bytes.
		size += len(t.content.payload) + text*lists
	}
	return size
}

// selectIssuer finds the issuer by a payload's iss, compared exactly, and returns the iss with it.
// An issuer that is configured by its name comes before a template, and both before a registry. A
// token of an unknown issuer ends here, before its algorithm is looked at or a key is fetched. A
// payload without a member iss is one of the issuer with InsecureNoIssuer, if there is one; a
// member of any value is not.
func (v *verifier) selectIssuer(ctx context.Context, payload []byte) (iss *issuer, name string, refusal *Error) {
	value, found, err := strictjson.Find(payload, "iss")
	if err != nil {
		return nil, "", refusedUnreadable
	}
	if !found {
		if v.unnamed == nil {
			return nil, "", refusedNoIssuer
		}
		return v.unnamed, v.unnamed.name, nil
	}
	if len(value) > v.longestIssuer { // before it is unescaped
		return nil, "", refusedIssuer
	}
	text, ok := strictjson.String(value)
	if !ok {
		return nil, "", refusedIssuerType
	}
	if iss = v.issuers[string(text)]; iss != nil {
		return iss, iss.name, nil
	}
	malformed := false
	for _, iss := range v.templates {
		value, fits := templateValue(iss.live.template, text)
		if fits && isTemplateValue(value) {
			return iss, string(text), nil
		}
		malformed = malformed || fits
	}
	if v.roster != nil {
		if iss, refusal = v.roster.find(ctx, text); iss != nil {
			return iss, iss.name, nil
		} else if refusal != nil {
			return nil, "", refusal
		}
	}
	if malformed {
		return nil, "", refusedTemplateValue
	}
	return nil, "", v.unknownIssuer(text)
}

// unknownIssuer is the refusal of a token whose iss is that of no issuer. Most often that is a slip
// in the configuration.
func (v *verifier) unknownIssuer(iss []byte) *Error {
	for _, name := range v.names {
		switch len(iss) - len(name) {
		case 0:
			if equalButCase(iss, name) {
				return refusedIssuerCase
			}
		case 1:
			if string(iss[:len(name)]) == name && iss[len(name)] == '/' {
				return refusedIssuerSlash
			}
			if strings.HasPrefix(name, "http:") && string(iss[:5]) == "https" && string(iss[5:]) == name[4:] {
				return refusedIssuerScheme
			}
		case -1:
			if string(iss) == name[:len(iss)] && name[len(iss)] == '/' {
				return refusedIssuerSlash
			}
			if strings.HasPrefix(name, "https:") && string(iss[:4]) == "http" && string(iss[4:]) == name[5:] {
				return refusedIssuerScheme
			}
		}
	}
	return refusedIssuer
}

// equalButCase compares two texts of the same length without regard to the case of ASCII letters.
func equalButCase(a []byte, b string) bool {
	lower := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

const exactIssuer = "give WithIssuer the issuer exactly as the tokens have it in iss"

// The slips in an issuer's name that are told apart. The token is not verified, so that nothing of
// it is in the text.
var (
	refusedIssuer = fixed(ReasonUnknownIssuer, ruleIssuer,
		"the token's iss is not a configured issuer", exactIssuer)
	refusedIssuerCase = fixed(ReasonUnknownIssuer, ruleIssuer,
		"the token's iss differs from a configured issuer in case", exactIssuer)
	refusedIssuerSlash = fixed(ReasonUnknownIssuer, ruleIssuer,
		"the token's iss differs from a configured issuer in a trailing slash", exactIssuer)
	refusedIssuerScheme = fixed(ReasonUnknownIssuer, ruleIssuer,
		"the token's iss differs from a configured issuer in the scheme, http or https", exactIssuer)
)

package bearer

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/internal/expiry"
	"github.com/bearer-go/bearer/internal/keyset"
	"github.com/bearer-go/bearer/internal/strictjson"
	"github.com/bearer-go/bearer/internal/tokencache"
)

// verifier verifies the tokens of all issuers of a Middleware.
type verifier struct {
	issuers       map[string]*issuer // by the exact value of iss
	longestIssuer int                // bytes of an iss that can be one of them, however it is escaped
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
	by       *verifier
	issuer   *issuer
	key      *keyset.Key // that verified the signature; nil for a secret
	kid      string      // of the header
	token    string
	from, to time.Time // valid in [from, to)

	claims  Claims
	handle  claimsHandle
	content content
}

// verifiedBy is what a verified token depends on beside the time: the issuer has the key. A key of
// nil stands for the issuer's secret.
type verifiedBy struct {
	issuer   *issuer
	kid, alg string // of the header
	key      *keyset.Key
}

// usualTokenSize is how long a buffer for decoding is at first: as long as most tokens. A buffer
// grows with the tokens it is used for.
const usualTokenSize = 2 << 10

// verify turns a token into claims, or returns the refusal of the first check that fails. Cheap
// checks come first, and nothing of the token is interpreted before it must be. ev records only
// values that matched the configuration or a key, so that they are safe to export.
func (v *verifier) verify(ctx context.Context, token string, ev *Event) (*verified, *Error) {
	if len(token) > v.maxTokenSize {
		return nil, refuse(ReasonTokenTooLarge)
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

	buffer := v.buffers.Get().(*[]byte)
	defer v.buffers.Put(buffer)
	if len(*buffer) < len(token) {
		*buffer = make([]byte, len(token))
	}
	signed, err := readToken(token, *buffer, &v.headers)
	if err != nil {
		return nil, err
	}
	if len(signed.payload) == 0 {
		return nil, refuse(ReasonMalformedToken)
	}
	// Only iss is read before the signature is verified. It chooses the issuer, and is compared
	// again with the verified claims.
	iss, err := v.selectIssuer(signed.payload)
	if err != nil {
		return nil, err
	}
	ev.Issuer = iss.name
	key, now, err := iss.verifySignature(ctx, &signed, ev)
	if err != nil {
		return nil, err
	}

	v.headers.add(signed.headerText, signed.header)

	entry := new(tokencache.Entry[verified])
	result := &entry.Value
	result.by, result.issuer, result.key, result.kid, result.token = v, iss, key, signed.header.kid, token
	result.claims.claimsHandle, result.handle.content = &result.handle, &result.content
	claims := &result.content
	reading, err := iss.names.readClaims(claims, string(signed.payload))
	if err != nil {
		return nil, err
	}
	if reading.anotherToken && !signed.header.isAccessToken() {
		return nil, refuse(ReasonNotAccessToken)
	}
	if err := iss.rules.judge(claims, reading, now); err != nil {
		return nil, err
	}
	claims.keyID, claims.algorithm = ev.KeyID, ev.Algorithm
	result.from, result.to = iss.rules.validity(claims, now)
	if size := result.size(); v.cache.Stores(size) {
		result.token = strings.Clone(token) // it is part of a header, which would stay in memory
		v.cache.Add(result.token, size, entry)
	}
	return result, nil
}

// verifyAgain is verify for a token that was verified for the same request before.
func (v *verifier) verifyAgain(ctx context.Context, known *verified, ev *Event) (*verified, *Error) {
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
func (t *verified) recheck(ctx context.Context, ev *Event) (valid bool, err *Error) {
	held, now, err := t.issuer.stillHolds(ctx, t.kid, t.content.algorithm, t.key)
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
	lists := cap(t.content.audience) + cap(t.content.scopes) + cap(t.content.roles)
	size := len(t.token) + len(t.content.payload) + len(t.kid) + text*lists
	if strings.IndexByte(t.content.payload, '\\') >= 0 {
		// A claim that was unescaped is a copy, no longer than this. In a list each value is a copy
		// of its own, which takes at least 16 bytes.
		size += len(t.content.payload) + text*lists
	}
	return size
}

// selectIssuer finds the issuer by a payload's iss, compared exactly. A token of an unknown issuer
// ends here, before its algorithm is looked at or a key is fetched.
func (v *verifier) selectIssuer(payload []byte) (*issuer, *Error) {
	value, found, err := strictjson.Find(payload, "iss")
	if err != nil {
		return nil, refuse(ReasonMalformedClaims)
	}
	if !found {
		return nil, refuse(ReasonMissingClaim)
	}
	if len(value) > v.longestIssuer { // before it is unescaped
		return nil, refuse(ReasonUnknownIssuer)
	}
	name, ok := strictjson.String(value)
	if !ok {
		return nil, refuse(ReasonMalformedClaims)
	}
	iss, ok := v.issuers[string(name)]
	if !ok {
		return nil, refuse(ReasonUnknownIssuer)
	}
	return iss, nil
}

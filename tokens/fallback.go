package tokens

import (
	"errors"
	"fmt"
)

// What answers in place of the server may make up a refresh token, such as a proxy that masks what
// it repeats. So when something else is wrong with an answer, the record keeps the refresh token
// that was sent, as Replaced, beside the one that came. That one is tried first. When the server
// accepts it, Replaced is dropped. When the server refuses it, Replaced takes its place, and is
// tried as any refresh token is.

// isRefused reports that the server does not accept the refresh token.
func isRefused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == "invalid_grant" && e.Permanent()
}

// doubting returns the record after an answer that could not be used and brought this refresh
// token, or "".
func (r record) doubting(next string) record {
	if next != "" {
		r.RefreshToken, r.Replaced = next, r.RefreshToken
	}
	return r
}

// fallBack drops a refresh token that the server refuses for the one that it replaced, and saves
// that. When the server refused the key and not the refresh token, nothing is dropped, and the
// error is the refusal.
func (t *turn) fallBack(key Key, h held, refusal error) (held, error) {
	if h.mayRefuse(key) {
		// A request that names nothing tells whether the server accepts the refresh token.
		_, err := t.send(Request{Key: Key{Subject: key.Subject}}, h)
		switch {
		case err == nil:
			return held{}, fmt.Errorf("%w: %w", ErrLoginRequired, refusal)
		case !isRefused(err):
			return held{}, err
		}
	}
	h.RefreshToken, h.Replaced = h.Replaced, ""
	return t.save(h)
}

// mayRefuse reports whether invalid_grant may be about this key alone: servers also say so of a
// resource or a scope that needs more than a refresh token, such as the person's consent. It is not
// about a key for which it has granted a token.
func (r *record) mayRefuse(key Key) bool {
	for i := range r.Tokens {
		if r.Tokens[i].isFor(key) {
			return false
		}
	}
	return key.Scope+key.Resource+key.Audience != ""
}

// refreshTokens are those that the server may accept.
func (r *record) refreshTokens() []string {
	if r.Replaced == "" {
		return []string{r.RefreshToken}
	}
	return []string{r.RefreshToken, r.Replaced}
}

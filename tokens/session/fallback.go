package session

import (
	"errors"
	"fmt"

	"github.com/bearer-go/bearer/tokens"
)

// What answers in place of the server may make up a refresh token, such as a proxy that masks what
// it repeats. So when something else is wrong with an answer, the record keeps the refresh token
// that was sent, in Replaced, beside the one that came. That one is tried first. When the server
// accepts it, Replaced is dropped. When the server refuses it, the first of Replaced takes its
// place, and is tried as any refresh token is.
//
// Several such answers in a row leave several in Replaced, the newest first: any of them may be the
// server's, and the last is the one that an answer with nothing wrong brought. That one stays when
// there are too many. One that does not fit into the record beside them is not kept.

const maxReplaced = 7 // refresh tokens

// isRefused reports that the server does not accept the refresh token.
func isRefused(err error) bool {
	e, ok := errors.AsType[*tokens.Error](err)
	return ok && e.Code == "invalid_grant" && e.Permanent()
}

// doubting returns the record after an answer that could not be used and brought this refresh
// token, or "".
func (r record) doubting(next string) record {
	if next == "" || next == r.RefreshToken {
		return r
	}
	replaced := []string{r.RefreshToken}
	for _, token := range r.Replaced {
		if token != next {
			replaced = append(replaced, token)
		}
	}
	if len(replaced) > maxReplaced {
		replaced = append(replaced[:maxReplaced-1], replaced[len(replaced)-1])
	}
	r.RefreshToken, r.Replaced = next, replaced
	return r
}

// fallBack drops a refresh token that the server refuses for the one before it, and saves that.
// When the server refused the key and not the refresh token, nothing is dropped, and the error is
// the refusal.
func (t *turn) fallBack(key tokens.Key, h held, refusal error) (held, error) {
	if h.mayRefuse(key) {
		// A request that names nothing tells whether the server accepts the refresh token.
		_, err := t.send(tokens.Request{Key: tokens.Key{Subject: key.Subject}}, h)
		switch {
		case err == nil:
			return held{}, fmt.Errorf("%w: %w", tokens.ErrLoginRequired, refusal)
		case !isRefused(err):
			return held{}, err
		}
	}
	h.RefreshToken, h.Replaced = h.Replaced[0], h.Replaced[1:]
	return t.save(h)
}

// mayRefuse reports whether invalid_grant may be about this key alone: servers also say so of a
// resource or a scope that needs more than a refresh token, such as the person's consent. It is not
// about a key for which it has granted a token.
func (r *record) mayRefuse(key tokens.Key) bool {
	for i := range r.Tokens {
		if r.Tokens[i].isFor(key) {
			return false
		}
	}
	return key.Scope+key.Resource+key.Audience != ""
}

// refreshTokens are those that the server may accept.
func (r *record) refreshTokens() []string {
	return append([]string{r.RefreshToken}, r.Replaced...)
}

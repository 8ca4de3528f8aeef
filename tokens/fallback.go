package tokens

import "fmt"

// A refresh token out of an answer that could not be used may be none: what answered may not have been
// the server. So the record keeps the one that was sent beside it, as Replaced. The new one is tried
// first. When the server takes it, Replaced is dropped. When the server refuses it, the old one is put
// back in its place and tried, and is then a refresh token like another: when the server refuses it,
// too, the session has ended.

// doubting returns the record as it is after an answer that could not be used, and brought this refresh
// token: "" for none.
func (r record) doubting(next string) record {
	if next != "" && next != r.RefreshToken { // a page that repeats what was sent has replaced nothing
		r.RefreshToken, r.Replaced = next, r.RefreshToken
	}
	return r
}

// fallBack puts the refresh token that was replaced back in place of one that the server refuses, and
// saves that. When it was not the token that the server refused, but the key, the error is the refusal.
func (t *turn) fallBack(key Key, h held, refusal error) (held, error) {
	if h.mayRefuse(key) {
		// A good refresh token must not be dropped for that. So the server is asked for nothing more than the token stands for.
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

// mayRefuse reports whether invalid_grant may be about this key alone: servers also say so of a resource
// or a scope that needs more than a refresh token, such as the person's consent. It is not for a key that
// a token was granted for.
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

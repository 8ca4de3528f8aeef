package session

import "github.com/bearer-go/bearer/tokens"

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

// hasGranted reports whether the server has granted a token. Before that it is not known whose the
// refresh token is: it came from elsewhere, see [Session.Adopt].
func (r *record) hasGranted() bool { return len(r.Tokens) > 0 }

// refreshTokens are those that the server may accept. A login without one has none.
func (r *record) refreshTokens() []string {
	if r.RefreshToken == "" {
		return nil
	}
	return append([]string{r.RefreshToken}, r.Replaced...)
}

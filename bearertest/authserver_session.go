package bearertest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// session is a family of refresh tokens: the one that a login or [Issuer.NewSession] gave, and all that came of it.
type session struct {
	client  *client
	subject string
	granted terms
	current string // the one that is good
}

// open begins a session and returns its refresh token. The caller holds mu.
func (s *authServer) open(opened *session) (refresh string) {
	s.live[opened] = true
	return s.rotate(opened)
}

// rotate gives a session its next refresh token. The caller holds mu.
func (s *authServer) rotate(of *session) (refresh string) {
	of.current = rand.Text()
	s.sessions[of.current] = of
	return of.current
}

// NewSession begins a session as a login does, without one, and returns its refresh token. The subject and the scopes are
// those that the user agreed to; without scopes they are that of [WithDefaultClaims], if any. It panics for a client that is not
// registered and without a subject.
func (i *Issuer) NewSession(clientID, subject string, scopes ...string) (refreshToken string) {
	c := i.server.clients[clientID]
	if c == nil || subject == "" {
		panic(fmt.Sprintf("bearertest: NewSession(%q, %q): want a client that is registered, as with the option Client, "+
			"and a subject", clientID, subject))
	}
	granted, _ := i.termsOf(nil)
	if len(scopes) > 0 {
		granted.scopes = slices.Clone(scopes)
	}
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	return i.server.open(&session{client: c, subject: subject, granted: granted})
}

// Sessions returns how many sessions there are that have not ended: by [Issuer.EndSessions], by the revocation of a refresh
// token, or because a refresh token or a code was used twice.
func (i *Issuer) Sessions() int {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	return len(i.server.live)
}

// EndSessions ends the sessions of these subjects, or all of them if none is named, as an administrator may. Their refresh
// tokens are good no more; access tokens are good until they expire.
func (i *Issuer) EndSessions(subjects ...string) {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	for s := range i.server.live {
		if len(subjects) == 0 || slices.Contains(subjects, s.subject) {
			delete(i.server.live, s)
		}
	}
}

// refresh uses a refresh token and returns the next. One that was used before is in two hands, of which one is a thief's, and
// nobody can tell which: the session ends (RFC 9700 section 4.14.2).
func (i *Issuer) refresh(c *client, form url.Values) (s *session, next string, granted terms, refused *oauthError) {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	token := form.Get("refresh_token")
	s = i.server.sessions[token]
	refuse := func(why string) (*session, string, terms, *oauthError) {
		return nil, "", terms{}, &oauthError{"invalid_grant", why}
	}
	switch {
	case s == nil || s.client != c:
		return refuse("the refresh token is not one that this client was given")
	case !i.server.live[s]:
		return refuse("the session has ended")
	case s.current != token:
		delete(i.server.live, s)
		return refuse("the refresh token was used before; the session has ended")
	}
	if granted, refused = s.granted.within(i, form); refused != nil {
		return nil, "", terms{}, refused
	}
	if !i.server.fixed {
		next = i.server.rotate(s)
	}
	return s, next, granted, nil
}

// answerRevocation is the revocation endpoint (RFC 7009). It goes by the token and never by token_type_hint.
func (i *Issuer) answerRevocation(w http.ResponseWriter, r *http.Request) {
	values, refused, ok := form(w, r)
	if !ok {
		return
	}
	var c *client
	if refused == nil {
		c, refused = i.authenticate(r, values)
	}
	if refused == nil {
		refused = i.revoke(c, values.Get("token"))
	}
	if refused != nil {
		refused.reply(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revoke revokes a token. One that is unknown is as good as revoked (RFC 7009 section 2.2), one of another client is none of
// this client's business (section 2.1).
func (i *Issuer) revoke(c *client, token string) *oauthError {
	if token == "" {
		return &oauthError{"invalid_request", "token is missing"}
	}
	claims := i.ownClaims(token)
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	s := i.server.sessions[token]
	switch {
	case s != nil && s.client != c, claims != nil && claims["client_id"] != c.id:
		return &oauthError{"invalid_grant", "the token was given to another client"}
	case s != nil:
		delete(i.server.live, s)
	case claims != nil:
		i.server.revoked[token] = true
	}
	return nil
}

// Revoked reports whether a token is known to be good no more: an access token that was revoked at the revocation endpoint,
// or a refresh token whose session has ended. A service that only reads a JWT cannot see that of an access token, and
// accepts it until it expires.
func (i *Issuer) Revoked(token string) bool {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	s := i.server.sessions[token]
	return i.server.revoked[token] || s != nil && !i.server.live[s]
}

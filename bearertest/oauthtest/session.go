package oauthtest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// session is a family of refresh tokens: the one that a login or [Server.NewSession] gave, and all
// that came of it.
type session struct {
	client  *client
	subject string
	granted terms
	current string // the one that is good
}

// open begins a session and returns its refresh token. The caller holds mu.
func (s *Server) open(opened *session) (refresh string) {
	s.live[opened] = true
	return s.rotate(opened)
}

// rotate gives a session its next refresh token. The caller holds mu.
func (s *Server) rotate(of *session) (refresh string) {
	of.current = rand.Text()
	s.sessions[of.current] = of
	return of.current
}

// NewSession begins a session as a login does, without one, and returns its refresh token. The
// subject and the scopes are those that the user agreed to; without scopes they are that of
// [bearertest.WithDefaultClaims], if any. It panics for a client that is not registered and without
// a subject.
func (s *Server) NewSession(clientID, subject string, scopes ...string) (refreshToken string) {
	c := s.clients[clientID]
	if c == nil || subject == "" {
		panic(fmt.Sprintf("oauthtest: NewSession(%q, %q): want a client that is registered, as with the option WithClient, "+
			"and a subject", clientID, subject))
	}
	granted, _ := s.termsOf(nil)
	if len(scopes) > 0 {
		granted.scopes = slices.Clone(scopes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open(&session{client: c, subject: subject, granted: granted})
}

// Sessions returns how many sessions there are that have not ended: by [Server.EndSessions], by the
// revocation of a refresh token, or because a refresh token or a code was used twice.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// EndSessions ends the sessions of these subjects, or all of them if none is named, as an
// administrator may. Their refresh tokens are good no more; access tokens are good until they
// expire.
func (s *Server) EndSessions(subjects ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for family := range s.live {
		if len(subjects) == 0 || slices.Contains(subjects, family.subject) {
			delete(s.live, family)
		}
	}
}

// refresh uses a refresh token and returns the next. One that was used before is in two hands, of
// which one is a thief's, and the server cannot tell which: the session ends (RFC 9700 section
// 4.14.2).
func (s *Server) refresh(c *client, form url.Values) (family *session, next string, granted terms, refused *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := form.Get("refresh_token")
	family = s.sessions[token]
	refuse := func(why string) (*session, string, terms, *refusal) {
		return nil, "", terms{}, &refusal{"invalid_grant", why}
	}
	switch {
	case family == nil || family.client != c:
		return refuse("the refresh token is not one that this client was given")
	case !s.live[family]:
		return refuse("the session has ended")
	case family.current != token:
		delete(s.live, family)
		return refuse("the refresh token was used before; the session has ended")
	}
	if granted, refused = family.granted.within(s, form); refused != nil {
		return nil, "", terms{}, refused
	}
	if !s.fixed {
		next = s.rotate(family)
	}
	return family, next, granted, nil
}

// answerRevocation is the revocation endpoint (RFC 7009). It goes by the token and never by
// token_type_hint.
func (s *Server) answerRevocation(w http.ResponseWriter, r *http.Request) {
	values, refused, ok := form(w, r)
	if !ok {
		return
	}
	var c *client
	if refused == nil {
		c, refused = s.authenticate(r, values)
	}
	if refused == nil {
		refused = s.revoke(c, values.Get("token"))
	}
	if refused != nil {
		refused.reply(w)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revoke revokes a token. One that is unknown is as good as revoked (RFC 7009 section 2.2), one of
// another client is none of this client's business (section 2.1).
func (s *Server) revoke(c *client, token string) *refusal {
	if token == "" {
		return &refusal{"invalid_request", "token is missing"}
	}
	claims := s.ownClaims(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	family := s.sessions[token]
	switch {
	case family != nil && family.client != c, claims != nil && claims["client_id"] != c.id:
		return &refusal{"invalid_grant", "the token was given to another client"}
	case family != nil:
		delete(s.live, family)
	case claims != nil:
		s.revoked[token] = true
	}
	return nil
}

// Revoked reports whether a token is known to be good no more: an access token that was revoked at
// the revocation endpoint, or a refresh token whose session has ended. A service that only reads a
// JWT cannot see that of an access token, and accepts it until it expires.
func (s *Server) Revoked(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	family := s.sessions[token]
	return s.revoked[token] || family != nil && !s.live[family]
}

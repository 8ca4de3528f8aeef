package oauthtest

import (
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/jws"
)

// WithIDTokenClaims lays claims over those of the ID tokens, such as an e-mail address, or what a
// client must refuse: another nonce, or with nil none. An ID token has iss, sub, aud, iat, exp,
// auth_time, at_hash, and the nonce of the login.
func WithIDTokenClaims(claims bearertest.Claims) Option {
	claims = maps.Clone(claims)
	return func(s *Server) { s.identity = claims }
}

// WithUserInfo lays claims over those of the userinfo endpoint, which are sub alone.
func WithUserInfo(claims bearertest.Claims) Option {
	claims = maps.Clone(claims)
	return func(s *Server) { s.userInfo = claims }
}

// idToken is that of OpenID Connect Core 1.0 section 2. The claims of
// [bearertest.WithDefaultClaims] are for access tokens.
func (s *Server) idToken(a *approval, accessToken string) string {
	now := time.Now()
	claims := map[string]any{
		"iss": s.URL(), "sub": a.subject, "aud": a.client.id,
		"iat": now.Unix(), "exp": now.Add(s.lifetime).Unix(), "auth_time": a.approved.Unix(),
	}
	if algorithm, ok := jws.Lookup(s.Algorithm()); ok {
		claims["at_hash"] = algorithm.HalfHash(accessToken)
	}
	if a.nonce != "" {
		claims["nonce"] = a.nonce
	}
	overlay(claims, s.identity)
	for {
		id := s.KeyID()
		header := map[string]any{"alg": s.Algorithm(), "typ": "JWT", "kid": id}
		token := s.SignRaw(mustJSON(header), mustJSON(claims))
		if s.KeyID() == id { // else the issuer rotated its key meanwhile
			return token
		}
	}
}

// overlay lays claims over others, as package bearertest does.
func overlay(claims map[string]any, over bearertest.Claims) {
	for name, value := range over {
		switch value := value.(type) {
		case nil:
			delete(claims, name)
		case time.Time:
			claims[name] = value.Unix()
		default:
			claims[name] = value
		}
	}
}

// answerUserInfo is the userinfo endpoint (OpenID Connect Core 1.0 section 5.3). Its answers about
// a token are those of RFC 6750 section 3.
func (s *Server) answerUserInfo(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims := s.ownClaims(token)
	if !ok || claims == nil || !isTimely(claims, forever) || s.Revoked(token) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer := map[string]any{"sub": claims["sub"]}
	overlay(answer, s.userInfo)
	replyUncached(w, http.StatusOK, answer)
}

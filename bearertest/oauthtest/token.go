package oauthtest

import (
	"crypto"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/jws"
)

// The types of tokens that the exchange of RFC 8693 section 3 knows here.
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantJWTBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

var grantTypes = []string{"client_credentials", "authorization_code", "refresh_token", grantDevice, grantExchange, grantJWTBearer}

// forever is longer than any token lasts.
const forever = 100 * 365 * 24 * time.Hour

// tokenAnswer is what the token endpoint says when all is well (RFC 6749 section 5.1, RFC 8693
// section 2.2.1).
type tokenAnswer struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	RefreshIn       int64  `json:"refresh_in,omitempty"`
	Scope           string `json:"scope,omitempty"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	IDToken         string `json:"id_token,omitempty"`
}

func (s *Server) answerToken(w http.ResponseWriter, r *http.Request) {
	values, refused, ok := form(w, r)
	if !ok {
		return
	}
	var answer *tokenAnswer
	if refused == nil {
		answer, refused = s.token(r, values)
	}
	if refused != nil {
		refused.reply(w)
		return
	}
	replyUncached(w, http.StatusOK, answer)
}

func (s *Server) token(r *http.Request, form url.Values) (*tokenAnswer, *refusal) {
	grantType := form.Get("grant_type")
	if grantType == "" {
		return nil, &refusal{"invalid_request", "grant_type is missing"}
	}
	if grantType == grantJWTBearer && !proves(r, form) {
		return s.tokenByAssertion(nil, form) // a client may leave it at the assertion (RFC 7521 section 4.1)
	}
	c, refused := s.authenticate(r, form)
	if refused != nil {
		return nil, refused
	}
	switch grantType {
	case "client_credentials":
		return s.tokenOfClient(c, form)
	case "authorization_code":
		return s.tokenByCode(c, form)
	case "refresh_token":
		return s.tokenByRefresh(c, form)
	case grantDevice:
		return s.tokenByDevice(c, form)
	case grantExchange:
		return s.tokenByExchange(c, form)
	case grantJWTBearer:
		return s.tokenByAssertion(c, form)
	}
	return nil, &refusal{"unsupported_grant_type", "nothing is known of this grant_type"}
}

// tokenOfClient is the grant of RFC 6749 section 4.4. The token is for the client itself, which its
// sub says, too (RFC 9068 section 2.2).
func (s *Server) tokenOfClient(c *client, form url.Values) (*tokenAnswer, *refusal) {
	if c.public() {
		return nil, &refusal{"unauthorized_client", "a public client cannot prove who it is"}
	}
	granted, refused := s.termsOf(form)
	if refused != nil {
		return nil, refused
	}
	return s.issue(c.id, c.id, granted, nil), nil
}

// tokenByCode is the grant of RFC 6749 section 4.1.3 with the proof of RFC 7636.
func (s *Server) tokenByCode(c *client, form url.Values) (*tokenAnswer, *refusal) {
	for _, name := range []string{"code", "redirect_uri", "code_verifier"} {
		if !form.Has(name) {
			return nil, &refusal{"invalid_request", name + " is missing"}
		}
	}
	a, opened, granted, refused := s.redeem(c, form)
	if refused != nil {
		return nil, refused
	}
	answer := s.issue(c.id, a.subject, granted, nil)
	answer.RefreshToken = opened
	if slices.Contains(a.granted.scopes, "openid") {
		answer.IDToken = s.idToken(a, answer.AccessToken)
	}
	return answer, nil
}

// redeem takes an authorization code and opens a session for it, whose refresh token it returns.
func (s *Server) redeem(c *client, form url.Values) (a *approval, refresh string, granted terms, refused *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a = s.codes[form.Get("code")]
	refuse := func(why string) (*approval, string, terms, *refusal) {
		return nil, "", terms{}, &refusal{"invalid_grant", why}
	}
	switch {
	case a == nil || a.client != c:
		return refuse("the code is not one that this client was given")
	case a.session != nil:
		// The second client may be the one it was meant for: the first loses what it got (RFC 6749
		// section 4.1.2).
		delete(s.live, a.session)
		return refuse("the code was used before; what came of it is revoked")
	case !time.Now().Before(a.expiry):
		return refuse("the code has expired")
	case form.Get("redirect_uri") != a.redirectURI:
		return refuse("the redirect_uri is not that of the login")
	case !isPKCE(form.Get("code_verifier")) || challengeOf(form.Get("code_verifier")) != a.challenge:
		return refuse("the code_verifier is not the one of the login's code_challenge")
	}
	if granted, refused = a.granted.within(s, form); refused != nil {
		return nil, "", terms{}, refused
	}
	a.session = &session{client: c, subject: a.subject, granted: a.granted}
	return a, s.open(a.session), granted, nil
}

// challengeOf is the S256 of RFC 7636 section 4.2.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return jws.Encode(sum[:])
}

// tokenByRefresh is the grant of RFC 6749 section 6.
func (s *Server) tokenByRefresh(c *client, form url.Values) (*tokenAnswer, *refusal) {
	if !form.Has("refresh_token") {
		return nil, &refusal{"invalid_request", "refresh_token is missing"}
	}
	family, next, granted, refused := s.refresh(c, form)
	if refused != nil {
		return nil, refused
	}
	answer := s.issue(c.id, family.subject, granted, nil)
	answer.RefreshToken = next
	return answer, nil
}

// tokenByExchange is the grant of RFC 8693. It takes the access tokens of this issuer, as they are
// or as JWTs. The new token is for the subject of the one; act says who acts for it, if an
// actor_token does (section 4.1).
func (s *Server) tokenByExchange(c *client, form url.Values) (*tokenAnswer, *refusal) {
	if wanted := form.Get("requested_token_type"); wanted != "" && wanted != typeAccessToken {
		return nil, &refusal{"invalid_request", "requested_token_type is not " + typeAccessToken}
	}
	if !form.Has("subject_token") {
		return nil, &refusal{"invalid_request", "subject_token is missing"}
	}
	subject, refused := s.exchanged(form, "subject_token")
	if refused != nil {
		return nil, refused
	}
	more := bearertest.Claims{}
	if form.Has("actor_token") || form.Has("actor_token_type") {
		actor, refused := s.exchanged(form, "actor_token")
		if refused != nil {
			return nil, refused
		}
		more["act"] = map[string]string{"sub": actor}
	}
	granted, refused := s.termsOf(form)
	if refused != nil {
		return nil, refused
	}
	answer := s.issue(c.id, subject, granted, more)
	answer.IssuedTokenType = typeAccessToken
	return answer, nil
}

// exchanged is the sub of a token in an exchange. Whatever is wrong with it is an invalid_request
// (RFC 8693 section 2.2.2).
func (s *Server) exchanged(form url.Values, name string) (subject string, refused *refusal) {
	if kind := form.Get(name + "_type"); kind != typeAccessToken && kind != typeJWT {
		return "", &refusal{"invalid_request", name + "_type is neither " + typeAccessToken + " nor " + typeJWT}
	}
	claims := s.ownClaims(form.Get(name))
	subject, _ = claims["sub"].(string)
	if subject == "" || !isTimely(claims, forever) || s.Revoked(form.Get(name)) {
		return "", &refusal{"invalid_request", name + " is not an access token of this issuer that is good"}
	}
	return subject, nil
}

// ownClaims are the claims of an access token that this issuer has signed, or nil.
func (s *Server) ownClaims(token string) map[string]any {
	claims := verifiedClaims(token, s.PublicKeys()...)
	header, _, _ := strings.Cut(token, ".")
	if claims["iss"] != s.URL() || decodeObject(header)["typ"] != "at+jwt" {
		return nil
	}
	return claims
}

// tokenByAssertion is the grant of RFC 7523 section 2.1. The assertion comes from a client with a
// key, or from this issuer, and is for this issuer, by its URL or by that of the token endpoint
// (section 3). Without a client it is that of the assertion.
func (s *Server) tokenByAssertion(c *client, form url.Values) (*tokenAnswer, *refusal) {
	token := form.Get("assertion")
	if token == "" {
		return nil, &refusal{"invalid_request", "assertion is missing"}
	}
	if form.Get("requested_token_use") == useOnBehalfOf {
		return s.tokenOnBehalfOf(c, form)
	}
	id, _ := unverifiedClaims(token)["iss"].(string)
	var keys []crypto.PublicKey
	signer := s.clients[id]
	switch {
	case signer != nil && signer.key != nil:
		keys = append(keys, signer.key)
	case id == s.URL():
		keys = s.PublicKeys()
	}
	claims := verifiedClaims(token, keys...)
	subject, _ := claims["sub"].(string)
	jti, hasID := claims["jti"].(string)
	switch {
	case claims == nil:
		return nil, &refusal{"invalid_grant", "the assertion is not signed by a client with a key, or by this issuer"}
	case subject == "":
		return nil, &refusal{"invalid_grant", "the assertion has no sub"}
	case !names(claims["aud"], s.URL()) && !names(claims["aud"], s.endpoint(tokenPath)):
		return nil, &refusal{"invalid_grant", "the assertion's aud is neither the issuer's URL nor that of the token endpoint"}
	case !isTimely(claims, maxAssertionLife):
		return nil, &refusal{"invalid_grant", untimely}
	}
	if c == nil {
		c = signer
	}
	if c == nil {
		return nil, &refusal{"invalid_client", "the client does not say who it is"}
	}
	granted, refused := s.termsOf(form)
	if refused != nil {
		return nil, refused
	}
	if hasID && !s.use(id, jti) {
		return nil, &refusal{"invalid_grant", "the assertion was used before: see its jti"}
	}
	return s.issue(c.id, subject, granted, nil), nil
}

// names reports whether an aud names an audience (RFC 7519 section 4.1.3).
func names(aud any, audience string) bool {
	list, _ := aud.([]any)
	return aud == audience || slices.Contains(list, any(audience))
}

// issue makes an access token and what is said with it.
func (s *Server) issue(client, subject string, granted terms, more bearertest.Claims) *tokenAnswer {
	claims := bearertest.Claims{"sub": subject, "client_id": client, "exp": time.Now().Add(s.lifetime)}
	scope := strings.Join(granted.scopes, " ")
	if scope != "" {
		claims["scope"] = scope
	}
	switch len(granted.audience) {
	case 0: // the issuer's own, or that of WithDefaultClaims
	case 1:
		claims["aud"] = granted.audience[0]
	default:
		claims["aud"] = granted.audience
	}
	return &tokenAnswer{
		AccessToken: s.Token(more, claims),
		TokenType:   "Bearer",
		ExpiresIn:   int64(s.lifetime / time.Second),
		RefreshIn:   int64(s.renewal / time.Second),
		Scope:       scope,
	}
}

package bearertest

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	authorizationPath = "/authorize"
	tokenPath         = "/token"
	revocationPath    = "/revoke"

	maxForm = 1 << 20 // bytes of a request's body
)

// authServer is what an issuer knows that hands out tokens.
type authServer struct {
	clients  map[string]*client // by their id; fixed once the issuer is made
	lifetime time.Duration      // of an access token
	renewal  time.Duration      // its refresh_in, or 0 for none
	fixed    bool               // refresh tokens do not rotate

	mu       sync.Mutex
	codes    map[string]*approval // by the code
	sessions map[string]*session  // by every refresh token that they ever had
	live     map[*session]bool    // those that have not ended
	revoked  map[string]bool      // access tokens
	used     map[[2]string]bool   // a client's id and the jti of an assertion
}

func newAuthServer() authServer {
	return authServer{
		clients:  make(map[string]*client),
		lifetime: tokenLifetime,
		codes:    make(map[string]*approval),
		sessions: make(map[string]*session),
		live:     make(map[*session]bool),
		revoked:  make(map[string]bool),
		used:     make(map[[2]string]bool),
	}
}

// use notes the jti of an assertion and reports whether it is the first time.
func (s *authServer) use(client, jti string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := [2]string{client, jti}
	if s.used[id] {
		return false
	}
	s.used[id] = true
	return true
}

// TokenLifetime sets the life of the access tokens that the token endpoint hands out, and so their expires_in. The default
// is five minutes. Those of [Issuer.Token] have their own. It panics unless the time is a number of whole seconds above
// zero.
func TokenLifetime(life time.Duration) IssuerOption {
	mustSeconds("TokenLifetime", life)
	return func(i *Issuer) { i.server.lifetime = life }
}

// RefreshIn makes the token endpoint say when it wants a token to be renewed, in the member refresh_in that some servers
// have. There is none by default. It panics unless the time is a number of whole seconds above zero.
func RefreshIn(after time.Duration) IssuerOption {
	mustSeconds("RefreshIn", after)
	return func(i *Issuer) { i.server.renewal = after }
}

func mustSeconds(option string, d time.Duration) {
	if !wholeSeconds(d) {
		panic(fmt.Sprintf("bearertest: %s(%v): want whole seconds, above zero", option, d))
	}
}

// FixedRefreshTokens makes a refresh token stay the same for as long as its session lasts: the answers to its use have none.
// By default each use brings another.
func FixedRefreshTokens() IssuerOption { return func(i *Issuer) { i.server.fixed = true } }

// Refuse makes the token endpoint and the revocation endpoint answer every request with this error code (RFC 6749 section
// 5.2), and the authorization endpoint send the user back with it (section 4.1.2.1). Nothing else comes of a request: no
// code or refresh token is used up. The status is 401 for invalid_client, 503 for temporarily_unavailable, 500 for
// server_error and 400 for every other code. A good client tells a code that no repetition mends from one that passes. It
// panics for a code that is empty or has a character that the RFC does not allow.
func (i *Issuer) Refuse(code string) {
	if !isVisible(code) || strings.ContainsAny(code, `"\`) {
		panic(fmt.Sprintf("bearertest: Refuse(%q): want an error code such as %q", code, "invalid_grant"))
	}
	refused := &oauthError{code, "the issuer was told to refuse"}
	i.setHandler(func(w http.ResponseWriter, r *http.Request) {
		switch i.below(r) {
		case tokenPath, revocationPath:
			refused.reply(w)
		case authorizationPath:
			i.answerAuthorization(w, r, refused)
		default:
			i.answer(w, r, i.KeySet)
		}
	})
}

// oauthError is an error answer. The description tells whoever wonders why a test fails, and shows nothing of the request.
type oauthError struct{ code, description string }

// reply is the answer of RFC 6749 section 5.2.
func (e *oauthError) reply(w http.ResponseWriter) {
	status := http.StatusBadRequest
	switch e.code {
	case "invalid_client":
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", "Basic") // which RFC 9110 section 15.5.2 demands of every 401
	case "temporarily_unavailable":
		status = http.StatusServiceUnavailable
	case "server_error":
		status = http.StatusInternalServerError
	}
	replyUncached(w, status, map[string]string{"error": e.code, "error_description": e.description})
}

// replyUncached sends JSON that no cache may keep (RFC 6749 section 5.1).
func replyUncached(w http.ResponseWriter, status int, v any) {
	body := mustJSON(v)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// form reads a request to an endpoint that takes forms. A request with another method is answered already, and ok is false.
func form(w http.ResponseWriter, r *http.Request) (values url.Values, refused *oauthError, ok bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return nil, nil, false
	}
	contentType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || contentType != "application/x-www-form-urlencoded" {
		return nil, &oauthError{"invalid_request", "the body is not a form: see Content-Type"}, true
	}
	if r.URL.RawQuery != "" {
		// Credentials in a URL end up in logs (RFC 6749 section 2.3.1).
		return nil, &oauthError{"invalid_request", "there are parameters in the URL; they belong into the body"}, true
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(body) > maxForm {
		return nil, &oauthError{"invalid_request", "the body breaks off, or is longer than 1 MiB"}, true
	}
	values, refused = parameters(string(body))
	return values, refused, true
}

// parameters reads an encoded form or query. A parameter without a value counts as absent, and one that is there twice is an
// error (RFC 6749 sections 3.1 and 3.2) but for those that are lists (RFC 8707 section 2, RFC 8693 section 2.1). With such
// an error the values are all there nevertheless.
func parameters(encoded string) (values url.Values, refused *oauthError) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, &oauthError{"invalid_request", "the parameters are not form-encoded"}
	}
	for name, all := range values {
		if len(all) > 1 && name != "resource" && name != "audience" {
			refused = &oauthError{"invalid_request", "a parameter is there more than once"}
		}
		all = slices.DeleteFunc(all, func(value string) bool { return value == "" })
		if len(all) == 0 {
			delete(values, name)
			continue
		}
		values[name] = all
	}
	return values, refused
}

// terms are what a token is to allow, and where.
type terms struct{ scopes, audience []string }

// termsOf reads them from a request. A scope that it does not name is the one in the issuer's [WithDefaultClaims], if any.
func (i *Issuer) termsOf(form url.Values) (terms, *oauthError) {
	scope := form.Get("scope")
	for _, name := range strings.Split(scope, " ") {
		if scope != "" && (!isVisible(name) || strings.ContainsAny(name, `"\`)) {
			return terms{}, &oauthError{"invalid_scope", "the scope is not a list of scopes with one space between them"}
		}
	}
	if scope == "" {
		scope, _ = merge(i.defaults...)["scope"].(string)
	}
	for _, resource := range form["resource"] {
		if !isAbsolute(resource) {
			return terms{}, &oauthError{"invalid_target", "the resource is not an absolute URI without a fragment"}
		}
	}
	return terms{strings.Fields(scope), slices.Concat(form["resource"], form["audience"])}, nil
}

// within returns the terms of a later request of a session (RFC 6749 section 6, RFC 8707 section 2.2): what the form leaves
// out is as granted, and it may name nothing else than was.
func (granted terms) within(i *Issuer, form url.Values) (terms, *oauthError) {
	asked, refused := i.termsOf(form)
	if refused != nil {
		return terms{}, refused
	}
	lacks := func(all []string) func(string) bool {
		return func(one string) bool { return !slices.Contains(all, one) }
	}
	switch {
	case !form.Has("scope"):
		asked.scopes = granted.scopes
	case slices.ContainsFunc(asked.scopes, lacks(granted.scopes)):
		return terms{}, &oauthError{"invalid_scope", "the scope is wider than the one that was granted"}
	}
	switch {
	case len(asked.audience) == 0:
		asked.audience = granted.audience
	case len(granted.audience) > 0 && slices.ContainsFunc(asked.audience, lacks(granted.audience)):
		return terms{}, &oauthError{"invalid_target", "the resource is not one that was granted"}
	}
	return asked, nil
}

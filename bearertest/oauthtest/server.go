package oauthtest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bearer-go/bearer/bearertest"
)

const (
	discoveryPath     = "/.well-known/openid-configuration"
	keySetPath        = "/jwks"
	authorizationPath = "/authorize"
	tokenPath         = "/token"
	revocationPath    = "/revoke"
	devicePath        = "/device_authorization"
	verificationPath  = "/device"
	userInfoPath      = "/userinfo"
)

// Server is an authorization server for tests, strictly by the book. It is a [bearertest.Issuer]
// with endpoints, which its discovery document names:
//
//   - The token endpoint, POST /token, has the grants client_credentials, authorization_code with
//     PKCE by S256 alone (RFC 7636), refresh_token, token exchange (RFC 8693) and jwt-bearer (RFC
//     7523), also in the form of Microsoft Entra ID's on-behalf-of flow. Every scope is granted,
//     and resource and audience become the token's aud (RFC 8707). A refresh token is good for one
//     use, which brings the next; a second use ends the session (RFC 9700 section 4.14.2). With the
//     scope openid a login brings an ID token, too.
//   - The authorization endpoint, GET /authorize, approves at once, for the subject in login_hint
//     otherwise "alice", and sends the user back with code, state and iss (RFC 9207), with
//     response_mode=form_post in a page whose form the browser submits. A code is good for one
//     minute and one use.
//   - The device authorization endpoint, POST /device_authorization, gives a device_code and a
//     user_code (RFC 8628). The person's part is a GET of the verification_uri_complete, or
//     [Server.ApproveDevice] and the methods beside it.
//   - The revocation endpoint is POST /revoke (RFC 7009).
//   - The userinfo endpoint, GET /userinfo, answers with the sub of an access token that this
//     server has signed and not revoked, and with the claims of [WithUserInfo] (OpenID Connect Core
//     1.0 section 5.3).
//
// The faults of the issuer ([bearertest.Issuer.SetFault]) meet every endpoint. Refuse is for errors
// of OAuth.
//
// Its methods may be called from several goroutines at once. Make one with [NewServer].
type Server struct {
	*bearertest.Issuer

	clients  map[string]*client // by their id; fixed once the server is made
	lifetime time.Duration      // of an access token
	renewal  time.Duration      // its refresh_in, or 0 for none
	identity bearertest.Claims  // laid over the claims of an ID token
	userInfo bearertest.Claims  // and over those of the userinfo endpoint

	deviceInterval, deviceLifetime time.Duration

	fixed bool // refresh tokens do not rotate

	mu                 sync.Mutex
	refusing           *refusal                // what every endpoint answers, or nil
	codes              map[string]*approval    // by the code
	devices, userCodes map[string]*deviceLogin // by the device_code, and by the user_code
	sessions           map[string]*session     // by every refresh token that they ever had
	live               map[*session]bool       // those that have not ended
	revoked            map[string]bool         // access tokens
	used               map[[2]string]bool      // a client's id and the jti of an assertion
}

// Option sets one property of a [Server]. Of the same option given twice the later one counts.
type Option func(*Server)

// NewServer gives an issuer the endpoints of an authorization server. The issuer comes from
// [bearertest.NewIssuer], [bearertest.NewServer] or [bearertest.NewTLSServer], and serves one
// authorization server. Without clients the server refuses every request.
func NewServer(issuer *bearertest.Issuer, opts ...Option) *Server {
	s := &Server{
		Issuer:         issuer,
		clients:        make(map[string]*client),
		lifetime:       5 * time.Minute,
		deviceInterval: deviceInterval,
		deviceLifetime: deviceLifetime,
		devices:        make(map[string]*deviceLogin),
		userCodes:      make(map[string]*deviceLogin),
		codes:          make(map[string]*approval),
		sessions:       make(map[string]*session),
		live:           make(map[*session]bool),
		revoked:        make(map[string]bool),
		used:           make(map[[2]string]bool),
	}
	for _, opt := range opts {
		opt(s)
	}
	issuer.Handle(discoveryPath, http.HandlerFunc(s.answerDiscovery))
	issuer.Handle(authorizationPath, http.HandlerFunc(s.answerAuthorization))
	issuer.Handle(tokenPath, s.unlessRefused(s.answerToken))
	issuer.Handle(devicePath, s.unlessRefused(s.answerDevice))
	issuer.Handle(verificationPath, http.HandlerFunc(s.answerVerification))
	issuer.Handle(revocationPath, s.unlessRefused(s.answerRevocation))
	issuer.Handle(userInfoPath, http.HandlerFunc(s.answerUserInfo))
	return s
}

// WithTokenLifetime sets the life of the access tokens that the token endpoint hands out, and so
// their expires_in. The default is five minutes. Those of [bearertest.Issuer.Token] have their own.
// It panics unless the time is a number of whole seconds above zero.
func WithTokenLifetime(life time.Duration) Option {
	mustSeconds("WithTokenLifetime", life)
	return func(s *Server) { s.lifetime = life }
}

// WithRefreshIn makes the token endpoint say when it wants a token to be renewed, in the member
// refresh_in that some servers have. There is none by default. It panics unless the time is a
// number of whole seconds above zero.
func WithRefreshIn(after time.Duration) Option {
	mustSeconds("WithRefreshIn", after)
	return func(s *Server) { s.renewal = after }
}

func mustSeconds(option string, d time.Duration) {
	if d <= 0 || d%time.Second != 0 {
		panic(fmt.Sprintf("oauthtest: %s(%v): want whole seconds, above zero", option, d))
	}
}

// WithFixedRefreshTokens makes a refresh token stay the same for as long as its session lasts: the
// answers to its use have none. By default each use brings another.
func WithFixedRefreshTokens() Option { return func(s *Server) { s.fixed = true } }

// TokenRequests returns how many requests reached the token endpoint, those included that met a
// fault.
func (s *Server) TokenRequests() int { return s.RequestsTo(tokenPath) }

// Refuse makes the token endpoint, the device authorization endpoint and the revocation endpoint
// answer every request with this error code (RFC 6749 section 5.2), and the authorization endpoint
// send the user back with it (section 4.1.2.1), until Refuse("") ends it. Nothing else comes of a
// request: no code or refresh token is used up. The status is 401 for invalid_client, 503 for
// temporarily_unavailable, 500 for server_error and 400 for every other code. A good client tells a
// code that no repetition can change from one that passes. It panics for a code with a character
// that the RFC does not allow.
func (s *Server) Refuse(code string) {
	var refusing *refusal
	if code != "" {
		if !isVisible(code) || strings.ContainsAny(code, `"\`) {
			panic(fmt.Sprintf("oauthtest: Refuse(%q): want an error code such as %q", code, "invalid_grant"))
		}
		refusing = &refusal{code, "the server was told to refuse"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = refusing
}

// refused returns the answer that Refuse has chosen, or nil.
func (s *Server) refused() *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusing
}

func (s *Server) unlessRefused(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if refused := s.refused(); refused != nil {
			refused.reply(w)
			return
		}
		answer(w, r)
	}
}

// answerDiscovery sends the server's metadata (OpenID Connect Discovery 1.0 section 3, RFC 8414
// section 2, RFC 9207 section 3).
func (s *Server) answerDiscovery(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}
	if r.TLS != nil {
		methods = append(methods, "self_signed_tls_client_auth") // there is a handshake to show a certificate in
	}
	var algorithms []string
	for _, algorithm := range signingAlgorithms {
		algorithms = append(algorithms, algorithm.Name)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(mustJSON(map[string]any{
		"issuer":                                                s.URL(),
		"jwks_uri":                                              s.endpoint(keySetPath),
		"authorization_endpoint":                                s.endpoint(authorizationPath),
		"token_endpoint":                                        s.endpoint(tokenPath),
		"device_authorization_endpoint":                         s.endpoint(devicePath),
		"revocation_endpoint":                                   s.endpoint(revocationPath),
		"userinfo_endpoint":                                     s.endpoint(userInfoPath),
		"response_types_supported":                              []string{"code"},
		"response_modes_supported":                              []string{"query", formPost},
		"subject_types_supported":                               []string{"public"},
		"id_token_signing_alg_values_supported":                 []string{s.Algorithm()},
		"grant_types_supported":                                 grantTypes,
		"token_endpoint_auth_methods_supported":                 methods,
		"token_endpoint_auth_signing_alg_values_supported":      algorithms,
		"revocation_endpoint_auth_methods_supported":            methods,
		"revocation_endpoint_auth_signing_alg_values_supported": algorithms,
		"code_challenge_methods_supported":                      []string{"S256"},
		"authorization_response_iss_parameter_supported":        true,
	}))
}

// endpoint is the URL of a path below the issuer's.
func (s *Server) endpoint(path string) string { return strings.TrimSuffix(s.URL(), "/") + path }

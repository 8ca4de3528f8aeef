package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	ginjwt "github.com/appleboy/gin-jwt/v2"
	auth0 "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/jwtauth/v5"
	jwt4 "github.com/golang-jwt/jwt/v4"
	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
	jwt2x "github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwt3x "github.com/lestrrat-go/jwx/v3/jwt"
	"gopkg.in/go-jose/go-jose.v2"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/bearer-go/bearer/adapters/bearergin"
	"github.com/bearer-go/bearer/jwks"
)

// guard is one way to protect a handler.
type guard struct {
	name   string
	module string // whose version the report names
	isPeer bool
	not    []string // algorithms it cannot do
	note   string   // what a reader should know of its configuration

	// build returns the protected handler. It pins the scene's key, and checks signature, algorithm,
	// issuer, audience and times as far as the library can. The handler gets claims with subject,
	// client, scope and roles.
	build func(*scene) (http.Handler, error)
}

func (g guard) can(alg string) bool { return !slices.Contains(g.not, alg) }

// libraryName begins the names of this library's rows.
const libraryName = "bearer"

// The names of guards.
const (
	cachedName   = libraryName + ", cached"
	uncachedName = libraryName + ", cache off"
	ginName      = libraryName + ", cached, Gin"
	echoName     = libraryName + ", cached, Echo v4"
	golangName   = "golang-jwt v5 + keyfunc v3"
	echoJWTName  = "echo-jwt v4"
	auth0Name    = "auth0 go-jwt-middleware v2"
)

const golangModule = "github.com/golang-jwt/jwt/v5"

var guards = []guard{
	{name: cachedName, build: ours(cached)},
	{name: ginName, module: "github.com/gin-gonic/gin", build: oursInGin},
	{name: echoName, module: "github.com/labstack/echo/v4", build: oursInEcho},
	{name: uncachedName, build: ours(uncached)},
	{
		name: golangName, module: golangModule, isPeer: true, build: golangJWT,
		note: "a small middleware around the Parser with all its checks on, and a claims struct, which is faster than MapClaims",
	},
	{
		name: echoJWTName, module: "github.com/labstack/echo-jwt/v4", isPeer: true, build: echoJWT,
		note: "SigningKeys; issuer and audience by a claims type with Validate, because it has no options for them",
	},
	{
		name: "gin-jwt v2", module: "github.com/appleboy/gin-jwt/v2", isPeer: true, build: ginJWT,
		note: "KeyFunc and ParseOptions; issuer and audience in Authorizator, because it has no options for them; on golang-jwt v4",
	},
	{
		name: "jwtauth v5", module: "github.com/go-chi/jwtauth/v5", isPeer: true, build: chiJWTAuth,
		note: "Verifier and Authenticator with validate options; on jwx v2",
	},
	{
		name: "go-oidc v3", module: "github.com/coreos/go-oidc/v3", isPeer: true, build: goOIDC, not: []string{"HS256"},
		note: "IDTokenVerifier with a StaticKeySet in a small middleware, and Claims",
	},
	{
		name: auth0Name, module: "github.com/auth0/go-jwt-middleware/v2", isPeer: true, build: auth0Middleware,
		note: "its validator with a key set of one key, and custom claims",
	},
	{
		name: "jwx v3", module: "github.com/lestrrat-go/jwx/v3", isPeer: true, build: jwxV3,
		note: "jwt.Parse in a small middleware, WithKey: with a key set, which looks at kid, it takes longer",
	},
}

func guardOf(name string) guard {
	for _, g := range guards {
		if g.name == name {
			return g
		}
	}
	wrong("there is no guard %q", name)
	return guard{}
}

// peerNames are the others that can do an algorithm.
func peerNames(alg string) (names []string) {
	for _, g := range guards {
		if g.isPeer && g.can(alg) {
			names = append(names, g.name)
		}
	}
	return names
}

// checked builds a guard and makes sure that it is one: it lets a good token through, and refuses bad
// ones and requests without a token.
func (g guard) checked(s *scene) (h http.Handler, err error) {
	defer func() {
		if said := recover(); said != nil {
			err = fmt.Errorf("%s with %s: %v", g.name, s.alg, said)
		}
	}()
	if h, err = g.build(s); err != nil {
		return nil, fmt.Errorf("%s with %s: %w", g.name, s.alg, err)
	}
	passes(h, s.token)(2)
	refuses(h, bearerOf(s.forged), 0)(2)
	refuses(h, "", 0)(2)
	for name, claims := range map[string]string{
		"another issuer":   s.claimsOf("https://other.example.com", s.now.Add(lifetime), 0),
		"another audience": strings.Replace(s.claims(0), audience, "https://app.example.com", 1),
		"expired":          s.claimsOf(issuerName, s.now.Add(-time.Hour), 0),
	} {
		token := s.sign(s.header(), claims)
		r, w := request(bearerOf(token)), newSink()
		if h.ServeHTTP(w, r); w.status == passedStatus {
			return nil, fmt.Errorf("%s with %s lets a token through: %s", g.name, s.alg, name)
		}
	}
	return h, nil
}

// --- This library ---

type caching bool

const (
	cached   caching = true
	uncached caching = false
)

// newAuth is bearer as its README configures it, with a pinned key.
func newAuth(s *scene, c caching, opts ...bearer.Option) (*bearer.Middleware, error) {
	issuer := []bearer.IssuerOption{bearer.Keys(jwks.Static(s.jwks)), bearer.Algorithms(s.alg)}
	if secret, ok := s.public.([]byte); ok {
		issuer = []bearer.IssuerOption{bearer.HMACSecret(secret)}
	}
	opts = append(opts, bearer.WithIssuer(issuerName, audience, issuer...), bearer.WithLogger(slog.New(quiet{})))
	if !c {
		opts = append(opts, bearer.WithoutCache())
	}
	return bearer.New(opts...)
}

// quiet is a logger at its usual level, which is not Debug.
type quiet struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (quiet) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements [slog.Handler]. Refusals that look like a mistake in the setup come here once a
// minute.
func (quiet) Handle(_ context.Context, record slog.Record) error {
	if record.Message == "bearer: request refused" {
		return nil
	}
	wrong("the library logs: %s", record.Message)
	return nil
}

func ours(c caching) func(*scene) (http.Handler, error) {
	return func(s *scene) (http.Handler, error) {
		auth, err := newAuth(s, c)
		if err != nil {
			return nil, err
		}
		return auth.Handler(http.HandlerFunc(protected)), nil
	}
}

func oursInGin(s *scene) (http.Handler, error) {
	auth, err := newAuth(s, cached)
	if err != nil {
		return nil, err
	}
	return ginRouter(bearergin.Require(auth)), nil
}

func oursInEcho(s *scene) (http.Handler, error) {
	auth, err := newAuth(s, cached)
	if err != nil {
		return nil, err
	}
	return echoRouter(bearerecho.Require(auth)), nil
}

// ginRouter is a router with one route.
func ginRouter(guards ...gin.HandlerFunc) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET(path, append(guards, func(c *gin.Context) { c.Status(passedStatus) })...)
	return router
}

// echoRouter is a router with one route.
func echoRouter(guards ...echo.MiddlewareFunc) http.Handler {
	router := echo.New()
	router.GET(path, func(c echo.Context) error {
		c.Response().WriteHeader(passedStatus)
		return nil
	}, guards...)
	return router
}

// --- Peers ---

// contextKey is where the small middlewares put what they verified.
type contextKey struct{}

// small is the least middleware: it takes the token from the header, hands over what verify returns, and answers errors.
func small(verify func(context.Context, string) (any, error)) http.Handler {
	next := http.HandlerFunc(protected)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
		if !found || !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a token is needed", http.StatusUnauthorized)
			return
		}
		verified, err := verify(r.Context(), token)
		if err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "the token is not good", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, verified)))
	})
}

func golangJWT(s *scene) (http.Handler, error) {
	keys, err := keyfunc.NewJWKSetJSON(s.jwks)
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{s.alg}), jwt.WithIssuer(issuerName), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	return small(func(ctx context.Context, text string) (any, error) {
		return parser.ParseWithClaims(text, new(accessClaims), keys.KeyfuncCtx(ctx))
	}), nil
}

// accessClaims are a token's claims as golang-jwt's documentation shows them: registered ones and the application's own.
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Roles    []string `json:"roles"`
	Tenant   string   `json:"tenant"`
}

// checkedClaims have a Validate that golang-jwt's validator calls.
type checkedClaims struct{ accessClaims }

// Validate implements [jwt.ClaimsValidator].
func (c *checkedClaims) Validate() error {
	switch {
	case c.ExpiresAt == nil:
		return jwt.ErrTokenRequiredClaimMissing
	case c.Issuer != issuerName:
		return jwt.ErrTokenInvalidIssuer
	case !slices.Contains(c.Audience, audience):
		return jwt.ErrTokenInvalidAudience
	}
	return nil
}

func echoJWT(s *scene) (http.Handler, error) {
	middleware, err := echojwt.Config{
		SigningMethod: s.alg,
		SigningKeys:   map[string]any{keyID: s.public},
		NewClaimsFunc: func(echo.Context) jwt.Claims { return new(checkedClaims) },
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	return echoRouter(middleware), nil
}

func ginJWT(s *scene) (http.Handler, error) {
	middleware, err := ginjwt.New(&ginjwt.GinJWTMiddleware{
		Realm:            "api",
		SigningAlgorithm: s.alg,
		KeyFunc: func(t *jwt4.Token) (any, error) {
			if t.Header["kid"] != keyID {
				return nil, errors.New("unknown key")
			}
			return s.public, nil
		},
		ParseOptions: []jwt4.ParserOption{jwt4.WithValidMethods([]string{s.alg})},
		IdentityKey:  "sub",
		Authorizator: func(_ any, c *gin.Context) bool {
			claims := jwt4.MapClaims(ginjwt.ExtractClaims(c))
			return claims.VerifyIssuer(issuerName, true) && claims.VerifyAudience(audience, true)
		},
	})
	if err != nil {
		return nil, err
	}
	return ginRouter(middleware.MiddlewareFunc()), nil
}

func chiJWTAuth(s *scene) (http.Handler, error) {
	auth := jwtauth.New(s.alg, nil, s.public, jwt2x.WithIssuer(issuerName), jwt2x.WithAudience(audience),
		jwt2x.WithRequiredClaim("exp"), jwt2x.WithAcceptableSkew(leeway))
	return jwtauth.Verifier(auth)(jwtauth.Authenticator(auth)(http.HandlerFunc(protected))), nil
}

// scopeClaims are what a handler needs beside the registered claims, where a library does not keep them all.
type scopeClaims struct {
	subject  string
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Roles    []string `json:"roles"`
	Tenant   string   `json:"tenant"`
}

// Validate implements [validator.CustomClaims].
func (*scopeClaims) Validate(context.Context) error { return nil }

func goOIDC(s *scene) (http.Handler, error) {
	public, ok := s.public.(crypto.PublicKey)
	if !ok {
		return nil, errors.New("no public key")
	}
	verifier := oidc.NewVerifier(issuerName, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{public}},
		&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{s.alg}})
	return small(func(ctx context.Context, text string) (any, error) {
		token, err := verifier.Verify(ctx, text)
		if err != nil {
			return nil, err
		}
		claims := &scopeClaims{subject: token.Subject}
		return claims, token.Claims(claims)
	}), nil
}

func auth0Middleware(s *scene) (http.Handler, error) {
	keys := &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.public, KeyID: keyID, Algorithm: s.alg, Use: "sig"}}}
	v, err := validator.New(func(context.Context) (any, error) { return keys, nil }, validator.SignatureAlgorithm(s.alg),
		issuerName, []string{audience}, validator.WithAllowedClockSkew(leeway),
		validator.WithCustomClaims(func() validator.CustomClaims { return new(scopeClaims) }))
	if err != nil {
		return nil, err
	}
	return auth0.New(v.ValidateToken).CheckJWT(http.HandlerFunc(protected)), nil
}

func jwxV3(s *scene) (http.Handler, error) {
	alg, ok := jwa.LookupSignatureAlgorithm(s.alg)
	if !ok {
		return nil, errors.New("unknown algorithm")
	}
	options := []jwt3x.ParseOption{
		jwt3x.WithKey(alg, s.public), jwt3x.WithIssuer(issuerName), jwt3x.WithAudience(audience),
		jwt3x.WithRequiredClaim("exp"), jwt3x.WithAcceptableSkew(leeway),
	}
	return small(func(_ context.Context, text string) (any, error) { return jwt3x.Parse([]byte(text), options...) }), nil
}

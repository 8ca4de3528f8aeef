package session_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/vectors"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// providerOptions are what docs/outbound.md adds to the options of a shape: by file and case.
var providerOptions = map[string][]vectors.Setting{
	"slack: login: token_type bot":         {{"TokenTypes", "bot"}},
	"azure-ad-b2c: login, endpoints named": {{"KeySetURL", b2cKeys}},
}

const b2cKeys = "https://contosob2c.b2clogin.example/contosob2c.onmicrosoft.example/b2c_1_susi/discovery/v2.0/keys"

// Every provider's token endpoint works with the line that docs/outbound.md has for it.
func TestTokenEndpointsOfProviders(t *testing.T) {
	t.Parallel()
	shapes := 0
	for _, provider := range vectors.Providers(t, "auth0", "entra-v2-single-tenant", "keycloak", "okta", "slack") {
		for _, shape := range provider.Clients {
			shapes++
			t.Run(provider.File+": "+shape.Case, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					newProviderWorld(t, provider, shape).run()
				})
			})
		}
	}
	if shapes < 30 {
		t.Errorf("%d shapes, which are too few", shapes)
	}
}

// providerWorld is a provider, and a client that is configured for it.
type providerWorld struct {
	*testing.T
	provider vectors.Provider
	shape    vectors.Client
	keys     *bearertest.Issuer // signs ID tokens

	nonce string       // of the login
	sent  []url.Values // to the token endpoint
}

func newProviderWorld(t *testing.T, provider vectors.Provider, shape vectors.Client) *providerWorld {
	return &providerWorld{
		T: t, provider: provider, shape: shape,
		keys: bearertest.NewIssuer(bearertest.WithAlgorithm("RS256")),
	}
}

// RoundTrip serves the provider's documents, its keys and its token endpoint.
func (w *providerWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, contentType string, body any) (*http.Response, error) {
		text, ok := body.([]byte)
		if !ok {
			var err error
			if text, err = json.Marshal(body); err != nil {
				return nil, err
			}
		}
		return &http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(text)),
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(text)),
		}, nil
	}
	if r.Method == http.MethodPost && r.URL.String() == w.shape.Endpoint {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		w.sent = append(w.sent, r.PostForm)
		a := w.shape.Answers[min(len(w.sent), len(w.shape.Answers))-1]
		if a.Raw != "" {
			return answer(max(a.Status, 200), a.ContentType, []byte(a.Raw))
		}
		kind := a.ContentType
		if kind == "" {
			kind = "application/json"
		}
		status := a.Status
		if status == 0 {
			status = http.StatusOK
		}
		return answer(status, kind, w.withIDToken(a.Body))
	}
	document, ok := w.provider.Serve[r.URL.String()].(map[string]any)
	switch {
	case !ok:
		return answer(http.StatusNotFound, "text/html", []byte("<h1>Not Found</h1>"))
	case document["keys"] != nil:
		return answer(http.StatusOK, "application/json", w.keys.KeySet())
	}
	return answer(http.StatusOK, "application/json", document)
}

// withIDToken puts an ID token of this login where a shape has a text that stands for one, or has
// left it out: a login with "openid" brings one (OpenID Connect Core section 3.1.3.3).
func (w *providerWorld) withIDToken(body any) any {
	members, ok := body.(map[string]any)
	if !ok || len(w.sent) > 1 || !slices.Contains(w.shape.Login, "openid") {
		return body
	}
	filled := make(map[string]any)
	for name, value := range members {
		filled[name] = value
	}
	filled["id_token"] = w.keys.Sign(bearertest.Claims{"typ": "JWT"}, bearertest.Claims{
		"iss": w.shape.Issuer, "aud": w.shape.ID, "nonce": w.nonce,
	})
	return filled
}

// client is configured as the shape says, and as docs/outbound.md adds.
func (w *providerWorld) client() (*oauth.Client, []oauth.GrantOption) {
	options := []oauth.ClientOption{oauth.WithHTTPClient(&http.Client{Transport: w})}
	var ofGrant []oauth.GrantOption
	for _, s := range slices.Concat(w.shape.Options, providerOptions[w.provider.File+": "+w.shape.Case]) {
		text := func(i int) string {
			value, _ := s[i].(string)
			return value
		}
		switch s.Name() {
		case "TokenEndpoint":
			options = append(options, oauth.WithTokenEndpoint(text(1)))
		case "AuthorizationEndpoint":
			options = append(options, oauth.WithAuthorizationEndpoint(text(1)))
		case "InsecureHTTP":
			options = append(options, oauth.InsecureHTTP())
		case "MetadataURL":
			options = append(options, oauth.WithMetadataURL(text(1)))
		case "KeySetURL":
			options = append(options, oauth.WithKeySetURL(text(1)))
		case "TokenTypes":
			options = append(options, oauth.WithTokenTypes(text(1)))
		case "TokenParameter":
			ofGrant = append(ofGrant, oauth.WithParameter(text(1), text(2)))
		case "UseIDToken":
			ofGrant = append(ofGrant, oauth.WithIDTokenAsToken())
		default:
			w.Fatalf("the option %q is not known to this test", s.Name())
		}
	}
	client, err := oauth.NewClient(w.shape.Issuer, w.shape.ID, w.auth(), options...)
	if err != nil {
		w.Fatal(err)
	}
	return client, ofGrant
}

func (w *providerWorld) auth() oauth.ClientAuth {
	var secret tokens.Secret
	if len(w.shape.Auth) > 1 {
		secret = tokens.NewSecret(w.shape.Auth[1])
	}
	switch w.shape.Auth[0] {
	case "ClientSecretBasic":
		return oauth.ClientSecretBasic(secret)
	case "ClientSecretPost":
		return oauth.ClientSecretPost(secret)
	case "NoClientAuth":
		return oauth.NoClientAuth()
	case "ClientAssertionFunc":
		return oauth.ClientAssertionFunc(func(context.Context) (tokens.Secret, error) {
			return tokens.NewSecret(w.keys.Token()), nil
		})
	case "PrivateKeyJWTWithCertificate":
		return oauth.CertificateJWT(providerCertificate(w), oauth.WithEndpointAudience())
	}
	w.Fatalf("the authentication %q is not known to this test", w.shape.Auth[0])
	return oauth.ClientAuth{}
}

func providerCertificate(w *providerWorld) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// source obtains tokens by the grant of the shape.
func (w *providerWorld) source() *tokens.Source {
	client, ofGrant := w.client()
	key := tokens.Key{
		Scope: w.shape.Key["scope"], Resource: w.shape.Key["resource"], Audience: w.shape.Key["audience"],
		Subject: w.shape.Key["subject"],
	}
	brought := func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
		return oauth.SecurityToken{Token: tokens.NewSecret(w.shape.Token)}, nil
	}
	var fetcher tokens.Fetcher
	switch w.shape.Grant {
	case "client_credentials":
		fetcher = client.ClientCredentials(ofGrant...)
	case "exchange":
		fetcher = client.Exchange(brought, ofGrant...)
	case "jwt_bearer":
		fetcher = client.JWTBearer(brought, ofGrant...)
	case "refresh", "login":
		return w.session(client).Source(key)
	default:
		w.Fatalf("the grant %q is not known to this test", w.shape.Grant)
	}
	manager, err := tokens.NewManager(fetcher)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = manager.Close() })
	return manager.Source(key)
}

// session is one that was logged in, or has the refresh token of the shape.
func (w *providerWorld) session(client *oauth.Client) *session.Session {
	s, err := session.New(client, session.NewMemoryStore(), "joerg")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = s.Close() })
	if w.shape.Grant == "refresh" {
		if err := s.Adopt(w.Context(), tokens.NewSecret(w.shape.Token)); err != nil {
			w.Fatal(err)
		}
		return s
	}
	login, err := s.Login(w.Context(), "https://app.example/callback", session.WithScope(w.shape.Login...))
	if err != nil {
		w.Fatal(err)
	}
	query := loginQuery(w.T, login)
	w.nonce = query.Get("nonce")
	back := url.Values{"state": {login.State()}}
	for name, value := range w.shape.Callback {
		back.Set(name, value)
	}
	identity, err := s.Finish(w.Context(), login, back)
	if err != nil {
		w.Fatal(err)
	}
	if slices.Contains(w.shape.Login, "openid") != (identity != nil) {
		w.Errorf("the scope is %q, and the identity %v", w.shape.Login, identity)
	}
	return s
}

// run obtains a token, and another where the shape has one, and compares.
func (w *providerWorld) run() {
	want := w.shape.Expect
	source := w.source()
	token, err := source.Token(w.Context())
	if len(w.sent) == 0 {
		w.Fatalf("nothing was sent: %v", err)
	}
	for name, value := range w.shape.Sends {
		if got := w.sent[0].Get(name); got != value {
			w.Errorf("%s=%q was sent, want %q", name, got, value)
		}
	}
	if want.Token == "" {
		w.wantRefusal(err)
		return
	}
	if err != nil {
		w.Fatal(err)
	}
	if token.AccessToken() != want.Token {
		w.Errorf("the token is %q, want %q", token.AccessToken(), want.Token)
	}
	if life := time.Until(token.Expiry()); want.ExpiresIn != 0 && life != time.Duration(want.ExpiresIn*float64(time.Second)) {
		w.Errorf("it lives for %s, want %v s", life, want.ExpiresIn)
	}
	if want.Scopes != nil && !slices.Equal(token.Scopes(), *want.Scopes) {
		w.Errorf("its scope is %q, want %q", token.Scopes(), *want.Scopes)
	}
	if want.Second == "" {
		return
	}
	source.Invalidate(token)
	if token, err = source.Token(w.Context()); err != nil || token.AccessToken() != want.Second {
		w.Errorf("the second token: %v, %v, want %q", token, err, want.Second)
	}
}

func (w *providerWorld) wantRefusal(err error) {
	want := w.shape.Expect
	e, ok := errors.AsType[*tokens.Error](err)
	if !ok {
		w.Fatalf("the error is %v", err)
	}
	if want.Code != "" && e.Code != want.Code || want.Status != 0 && e.Status != want.Status {
		w.Errorf("status %d, code %q, want %d, %q", e.Status, e.Code, want.Status, want.Code)
	}
	if want.Permanent != nil && e.Permanent() != *want.Permanent {
		w.Errorf("permanent %t", e.Permanent())
	}
	if want.LoginRequired && !errors.Is(err, tokens.ErrLoginRequired) {
		w.Errorf("no login is required: %v", err)
	}
}

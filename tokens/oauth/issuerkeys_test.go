package oauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// The keys are fetched when they are first needed, once for all, and again when the server has
// begun to use another. A client that is dropped leaves nothing: the bubble would not end otherwise.
func TestKeysOfIDTokensAreFetchedWhenNeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newIDWorld(t)
		if w.Requests() != 0 {
			t.Errorf("%d requests before an ID token", w.Requests())
		}
		for range 3 {
			if _, err := w.verify(t, w.idToken(t, nil, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if w.Fetches() != 1 {
			t.Errorf("the keys were fetched %d times", w.Fetches())
		}
		w.Rotate()
		if _, err := w.verify(t, w.idToken(t, nil, nil)); err != nil || w.Fetches() != 2 {
			t.Errorf("with another key: %v, %d fetches", err, w.Fetches())
		}
	})
}

func TestReadyForIDTokensFetchesTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newIDWorld(t)
		if err := w.client.ReadyForIDTokens(t.Context()); err != nil || w.Fetches() != 1 {
			t.Fatalf("%v, %d fetches", err, w.Fetches())
		}
		w.SetFault(bearertest.Down)
		if err := w.client.ReadyForIDTokens(t.Context()); err != nil {
			t.Errorf("while the server is down: %v", err)
		}
		if _, err := w.verify(t, w.idToken(t, nil, nil)); err != nil {
			t.Errorf("while the server is down: %v", err)
		}
	})
}

// Without keys it is not known whether an ID token is good: it is not refused.
func TestKeysOfIDTokensAreUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newIDWorld(t)
		token := w.idToken(t, nil, nil)
		w.SetFault(bearertest.Down)
		_, err := w.verify(t, token)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" || e.RetryAfter <= 0 || errors.Is(err, oauth.ErrIDToken) {
			t.Errorf("without the document: %v", err)
		}
		w.client = w.newClient(t, oauth.WithKeySetURL(w.URL()+"/jwks"))
		for name, check := range map[string]func() error{
			"VerifyIDToken":    func() error { _, err := w.verify(t, token); return err },
			"ReadyForIDTokens": func() error { return w.client.ReadyForIDTokens(t.Context()) },
		} {
			began := time.Now()
			err := check()
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "login" || e.RetryAfter <= 0 || e.Permanent() || errors.Is(err, oauth.ErrIDToken) {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := errors.AsType[*jwks.UnavailableError](err); !ok || time.Since(began) > 10*time.Second {
				t.Errorf("%s: %v, after %s", name, err, time.Since(began))
			}
		}
		w.SetFault(bearertest.NoFault)
		tokenstest.Pass(5 * time.Second)
		if _, err := w.verify(t, token); err != nil {
			t.Errorf("when the server is back: %v", err)
		}
	})
}

// With the URL of the keys no document is asked for.
func TestKeySetURLNeedsNoDocument(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newIDWorld(t)
		w.client = w.newClient(t, oauth.WithKeySetURL(w.URL()+"/jwks"))
		if _, err := w.verify(t, w.idToken(t, nil, nil)); err != nil || w.Requests() != 1 {
			t.Errorf("%v, %d requests", err, w.Requests())
		}
	})
}

// An algorithm must be named by the document, if that names any, and by the option.
func TestAlgorithmsOfIDTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document any
		opts     []oauth.ClientOption
		good     bool
	}{
		"named":                         {[]string{"RS256", "ES256"}, nil, true},
		"not named":                     {[]string{"RS256"}, nil, false},
		"none that is accepted":         {[]string{"none", "HS256"}, nil, false},
		"none at all":                   {[]string{}, nil, false},
		"nothing is said":               {nil, nil, true},
		"no array":                      {"ES256", nil, true},
		"chosen":                        {[]string{"ES256"}, []oauth.ClientOption{oauth.WithIDTokenAlgorithms("RS256", "ES256")}, true},
		"not chosen":                    {[]string{"ES256"}, []oauth.ClientOption{oauth.WithIDTokenAlgorithms("RS256")}, false},
		"chosen, and not named":         {[]string{"RS256"}, []oauth.ClientOption{oauth.WithIDTokenAlgorithms("ES256")}, false},
		"not chosen, nothing is said":   {nil, []oauth.ClientOption{oauth.WithIDTokenAlgorithms("RS256")}, false},
		"not chosen, by the key set":    {nil, []oauth.ClientOption{oauth.WithIDTokenAlgorithms("RS256"), oauth.WithKeySetURL(tokenstest.Issuer + "/keys")}, false},
		"document not asked, not named": {[]string{"RS256"}, []oauth.ClientOption{oauth.WithKeySetURL(tokenstest.Issuer + "/keys")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := bearertest.NewIssuer(bearertest.WithURL(tokenstest.Issuer), bearertest.WithAlgorithm("ES256"))
			server := tokenstest.NewServer()
			server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{
				"jwks_uri": tokenstest.Issuer + "/keys", "id_token_signing_alg_values_supported": test.document,
			})))
			server.On("/keys", tokenstest.JSON(http.StatusOK, string(issuer.KeySet())))
			c := tokenstest.NewClient(t, server, oauth.NoClientAuth(), test.opts...)
			token := issuer.Sign(bearertest.Claims{"typ": "JWT"}, bearertest.Claims{"aud": "orders"})
			identity, err := c.VerifyIDToken(t.Context(), tokens.NewSecret(token), "")
			if test.good != (err == nil) {
				t.Fatalf("error %v", err)
			}
			if !test.good {
				wantRefused(t, token, identity, err, "algorithm")
			}
		})
	}
}

// A server that goes over to another algorithm says so in its document, which was read before. It is
// not asked for more than that: once an hour, and for no algorithm that the options rule out.
func TestServerGoesOverToAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer(bearertest.WithURL(tokenstest.Issuer), bearertest.WithAlgorithm("ES256"))
		server := tokenstest.NewServer()
		names := func(algorithm string) {
			server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{
				"jwks_uri": tokenstest.Issuer + "/keys", "id_token_signing_alg_values_supported": []string{algorithm},
			})))
		}
		names("RS256")
		server.On("/keys", tokenstest.JSON(http.StatusOK, string(issuer.KeySet())))
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		chosen := tokenstest.NewClient(t, server, oauth.NoClientAuth(), oauth.WithIDTokenAlgorithms("RS256"))
		verify := func(c *oauth.Client) error {
			token := issuer.Sign(bearertest.Claims{"typ": "JWT"}, bearertest.Claims{"aud": "orders"})
			_, err := c.VerifyIDToken(t.Context(), tokens.NewSecret(token), "")
			return err
		}
		for _, c := range []*oauth.Client{c, chosen} {
			if err := c.ReadyForIDTokens(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		names("ES256")
		if err := verify(c); err != nil {
			t.Errorf("another algorithm: %v", err)
		}
		before := len(server.Seen(tokenstest.OpenIDPath))
		names("RS256")
		tokenstest.Pass(25 * time.Hour)
		_ = verify(c) // with which the document is read again
		tokenstest.Pass(time.Hour - time.Second)
		for range 3 {
			if err := verify(c); !errors.Is(err, oauth.ErrIDToken) {
				t.Errorf("error %v", err)
			}
		}
		names("ES256")
		if err := verify(chosen); !errors.Is(err, oauth.ErrIDToken) || len(server.Seen(tokenstest.OpenIDPath))-before > 3 {
			t.Errorf("error %v, and the document was asked for %d times", err, len(server.Seen(tokenstest.OpenIDPath))-before)
		}
		tokenstest.Pass(time.Second)
		if err := verify(c); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// Any outsider with an ID token, a forged one too, can have the document read again. That holds back
// no search for an endpoint that is gone.
func TestUnnamedAlgorithmHoldsBackNoSearchForAnEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer(bearertest.WithURL(tokenstest.Issuer), bearertest.WithAlgorithm("ES256"))
		server := tokenstest.NewServer()
		document := func(tokenEndpoint string) {
			server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{
				"jwks_uri": tokenstest.Issuer + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
				"token_endpoint": tokenEndpoint,
			})))
		}
		document(tokenstest.TokenURL)
		server.On("/keys", tokenstest.JSON(http.StatusOK, string(issuer.KeySet())))
		server.On("/token/v2", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		forged := issuer.Sign(bearertest.Claims{"typ": "JWT"}, bearertest.Claims{"aud": "orders"})
		for range 2 {
			if _, err := c.VerifyIDToken(t.Context(), tokens.NewSecret(forged), ""); !errors.Is(err, oauth.ErrIDToken) {
				t.Fatalf("error %v", err)
			}
		}
		server.On("/token", tokenstest.Gives(http.StatusNotFound, "text/html", "<h1>gone</h1>"))
		document(tokenstest.Issuer + "/token/v2")
		if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Errorf("the endpoint has moved: %v", err)
		}
		if n := len(server.Seen(tokenstest.OpenIDPath)); n != 3 { // at first, and once for each cause
			t.Errorf("the document was asked for %d times", n)
		}
	})
}

// Without the document it is not known whether the server has gone over to another algorithm.
func TestAnotherAlgorithmWhileTheDocumentIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer(bearertest.WithURL(tokenstest.Issuer), bearertest.WithAlgorithm("ES256"))
		server := tokenstest.NewServer()
		names := func(status int, algorithm string) {
			server.On(tokenstest.OpenIDPath, tokenstest.JSON(status, tokenstest.Document(map[string]any{
				"jwks_uri": tokenstest.Issuer + "/keys", "id_token_signing_alg_values_supported": []string{algorithm},
			})))
		}
		names(http.StatusOK, "RS256")
		server.On("/keys", tokenstest.JSON(http.StatusOK, string(issuer.KeySet())))
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		if err := c.ReadyForIDTokens(t.Context()); err != nil {
			t.Fatal(err)
		}
		verify := func() error {
			token := issuer.Sign(bearertest.Claims{"typ": "JWT"}, bearertest.Claims{"aud": "orders"})
			_, err := c.VerifyIDToken(t.Context(), tokens.NewSecret(token), "")
			return err
		}
		names(http.StatusServiceUnavailable, "ES256")
		before, left := len(server.Seen(tokenstest.OpenIDPath)), time.Duration(0)
		for range 3 { // the first of them asks
			err := verify()
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "discovery" || e.RetryAfter <= 0 || errors.Is(err, oauth.ErrIDToken) {
				t.Fatalf("error %v", err)
			}
			left = e.RetryAfter
		}
		if n := len(server.Seen(tokenstest.OpenIDPath)) - before; n != 1 {
			t.Errorf("the document was asked for %d times", n)
		}
		names(http.StatusOK, "ES256")
		tokenstest.Pass(left)
		if err := verify(); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

func TestMistakesInTheOptionsOfIdentities(t *testing.T) {
	t.Parallel()
	_, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(),
		oauth.WithUserInfoEndpoint("http://login.example.com/userinfo"), oauth.WithKeySetURL(""), oauth.WithIDTokenAlgorithms("none", "HS256", "RS256", "RS256", "rs256"))
	want := []oauth.ConfigError{
		{Option: "WithUserInfoEndpoint", Value: `"http://login.example.com/userinfo"`}, {Option: "WithKeySetURL", Value: `""`},
	}
	for _, name := range []string{`"none"`, `"HS256"`, `"RS256"`, `"rs256"`} {
		want = append(want, oauth.ConfigError{Option: "WithIDTokenAlgorithms", Value: name})
	}
	tokenstest.WantConfigErrors(t, err, want...)
	_, err = oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), oauth.WithIDTokenAlgorithms())
	tokenstest.WantConfigErrors(t, err, oauth.ConfigError{Option: "WithIDTokenAlgorithms"})
	_, err = oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), oauth.WithIDTokenAlgorithms("RS256"), oauth.WithIDTokenAlgorithms("RS256"))
	if err == nil || !strings.Contains(err.Error(), "more than once") {
		t.Errorf("given twice: %v", err)
	}
}

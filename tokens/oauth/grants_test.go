package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// grantsForm is a form as RFCs print them: one line.
func grantsForm(t testing.TB, text string) url.Values {
	t.Helper()
	form, err := url.ParseQuery(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return form
}

func grantsGive(token tokens.Secret, kind string) func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
	return func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
		return oauth.SecurityToken{Token: token, Type: kind}, nil
	}
}

func grantsSign(assertion tokens.Secret) func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
	return grantsGive(assertion, "")
}

func ofTheClient(c *oauth.Client) tokens.Fetcher { return c.ClientCredentials() }

const grantsExchanged = `{
     "access_token":"eyJhbGciOiJFUzI1NiIsImtpZCI6IjllciJ9.eyJhdWQiOiJo",
     "issued_token_type":
         "urn:ietf:params:oauth:token-type:access_token",
     "token_type":"Bearer",
     "expires_in":60
    }`

func TestGrantsSendWhatTheRFCsDo(t *testing.T) {
	for name, tt := range map[string]struct {
		auth   oauth.ClientAuth
		make   func(*oauth.Client) tokens.Fetcher
		key    tokens.Key
		answer string
		want   string
	}{
		"RFC 6749 section 4.4.2": {
			oauth.ClientSecretBasic(tokens.NewSecret("gX1fBat3bV")), ofTheClient,
			tokens.Key{},
			tokenstest.Good,
			`grant_type=client_credentials`,
		},
		"RFC 8693 section 2.3": {
			oauth.ClientSecretBasic(tokens.NewSecret("gX1fBat3bV")),
			func(c *oauth.Client) tokens.Fetcher {
				return c.Exchange(grantsGive(tokens.NewSecret("accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC"), oauth.TypeAccessToken))
			},
			tokens.Key{Subject: "alice", Resource: "https://backend.example.com/api"},
			grantsExchanged,
			`grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange
 &resource=https%3A%2F%2Fbackend.example.com%2Fapi
 &subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC
 &subject_token_type=
  urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token
 &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token`,
		},
		"an exchange with an actor": {
			oauth.NoClientAuth(),
			func(c *oauth.Client) tokens.Fetcher {
				return c.ExchangeWithActor(grantsGive(tokens.NewSecret("a.b.c"), oauth.TypeJWT), grantsGive(tokens.NewSecret("opaque"), ""))
			},
			tokens.Key{Subject: "alice", Audience: "urn:example:cooperation-context", Scope: "a b"},
			grantsExchanged,
			`client_id=orders&grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=a.b.c
&subject_token_type=urn:ietf:params:oauth:token-type:jwt&actor_token=opaque
&actor_token_type=urn:ietf:params:oauth:token-type:access_token&audience=urn:example:cooperation-context&scope=a+b
&requested_token_type=urn:ietf:params:oauth:token-type:access_token`,
		},
		"RFC 7523 section 2.1": {
			oauth.NoClientAuth(),
			func(c *oauth.Client) tokens.Fetcher {
				return c.JWTBearer(grantsSign(tokens.NewSecret("eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.e30.J9l-ZhwP")))
			},
			tokens.Key{},
			tokenstest.Good,
			`client_id=orders&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer
 &assertion=eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.e30.J9l-ZhwP`,
		},
		"a JWT for a subject": {
			oauth.ClientSecretPost(tokens.NewSecret(tokenstest.Secret)), func(c *oauth.Client) tokens.Fetcher { return c.JWTBearer(grantsSign(tokens.NewSecret("a.b.c"))) },
			tokens.Key{Subject: "alice", Scope: "a"},
			tokenstest.Good,
			`client_id=orders&client_secret=` + tokenstest.Secret + `&grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c&scope=a`,
		},
		"everything of a key": {
			oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), ofTheClient,
			tokens.Key{
				Issuer: tokenstest.Issuer, Client: "orders", Resource: "https://billing.example.com/?a=b", Audience: "billing é", Scope: "a:1 b/2",
			},
			tokenstest.Good,
			`grant_type=client_credentials&resource=https%3A%2F%2Fbilling.example.com%2F%3Fa%3Db&audience=billing%20%C3%A9&scope=a:1+b/2`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On("/token", tokenstest.JSON(http.StatusOK, tt.answer))
			if _, err := tt.make(tokenstest.NewClient(t, server, tt.auth)).Fetch(t.Context(), tokens.Request{Key: tt.key}); err != nil {
				t.Fatal(err)
			}
			if got := server.Seen("/token")[0].Form; got.Encode() != grantsForm(t, tt.want).Encode() {
				t.Errorf("sent %q", got)
			}
		})
	}
}

func TestKeysThatAClientCannotServe(t *testing.T) {
	for name, tt := range map[string]struct {
		key  tokens.Key
		want string // "" for none
	}{
		"nothing":                       {tokens.Key{}, ""},
		"another issuer":                {tokens.Key{Issuer: tokenstest.Issuer + "/"}, "Issuer is another"},
		"another client":                {tokens.Key{Client: "Orders"}, "Client is another"},
		"a subject":                     {tokens.Key{Subject: "alice"}, "has a Subject"},
		"a relative resource":           {tokens.Key{Resource: "/api"}, "Resource is not an absolute URI"},
		"a resource without a scheme":   {tokens.Key{Resource: "billing.example.com"}, "Resource"},
		"a resource with a fragment":    {tokens.Key{Resource: "https://a.example/#b"}, "Resource"},
		"with an empty fragment":        {tokens.Key{Resource: "https://a.example/#"}, "Resource"},
		"a resource with a space":       {tokens.Key{Resource: "https://a.example/a b"}, "Resource"},
		"a resource with a line break":  {tokens.Key{Resource: "https://a.example/\n"}, "Resource"},
		"a resource not in ASCII":       {tokens.Key{Resource: "https://a.example/é"}, "Resource"},
		"a resource of a scheme":        {tokens.Key{Resource: "https://"}, "Resource"},
		"a resource of a name":          {tokens.Key{Resource: "urn:example:billing"}, ""},
		"a resource with a query":       {tokens.Key{Resource: "https://a.example/?b"}, ""},
		"an audience of a line break":   {tokens.Key{Audience: "a\nb"}, "Audience"},
		"an audience of C1":             {tokens.Key{Audience: "a\u0085b"}, "Audience"},
		"an audience that is no UTF-8":  {tokens.Key{Audience: "a\xff"}, "Audience"},
		"an audience of words":          {tokens.Key{Audience: "the billing: service"}, ""},
		"scopes":                        {tokens.Key{Scope: "a b"}, ""},
		"a scope of odd characters":     {tokens.Key{Scope: "!#[]~"}, ""},
		"two spaces between scopes":     {tokens.Key{Scope: "a  b"}, "Scope is not made of scopes"},
		"a space before":                {tokens.Key{Scope: " a"}, "Scope"},
		"a space after":                 {tokens.Key{Scope: "a "}, "Scope"},
		"a space alone":                 {tokens.Key{Scope: " "}, "Scope"},
		"a tab between scopes":          {tokens.Key{Scope: "a\tb"}, "Scope"},
		"a quotation mark in a scope":   {tokens.Key{Scope: `a"b`}, "Scope"},
		"a backslash in a scope":        {tokens.Key{Scope: `a\b`}, "Scope"},
		"a DEL in a scope":              {tokens.Key{Scope: "a\x7f"}, "Scope"},
		"a scope that is not in ASCII":  {tokens.Key{Scope: "é"}, "Scope"},
		"several things, the first":     {tokens.Key{Subject: "alice", Scope: " "}, "has a Subject"},
		"several things, and the other": {tokens.Key{Subject: "alice", Scope: " "}, "Scope is not made of"},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			_, err := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials().Fetch(t.Context(), tokens.Request{Key: tt.key})
			grantsRefused(t, server, err, tt.want)
		})
	}
}

// grantsRefused holds that a request was refused for a reason, for good and before it went out; ""
// is that it was not.
func grantsRefused(t *testing.T, server *tokenstest.Server, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	e, ok := errors.AsType[*tokens.Error](err)
	if !ok || e.Op != "token" || e.Status != 0 || !e.Permanent() || !strings.Contains(err.Error(), want) {
		t.Errorf("Fetch: %v, want %q", err, want)
	}
	if n := len(server.Seen("")); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestGrantsThatAreNotAskedFor(t *testing.T) {
	alice := tokens.Key{Subject: "alice"}
	good := grantsGive(tokens.NewSecret("a.b.c"), "")
	for name, tt := range map[string]struct {
		auth oauth.ClientAuth
		make func(*oauth.Client) tokens.Fetcher
		key  tokens.Key
		want string
	}{
		"a public client's own token": {
			oauth.NoClientAuth(), ofTheClient, tokens.Key{}, "a client without authentication has no token of its own",
		},
		"an exchange without a subject": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.Exchange(good) }, tokens.Key{}, "the key has no Subject",
		},
		"an exchange of nothing": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.Exchange(grantsGive(tokens.NewSecret(""), "")) }, alice, "is empty",
		},
		"an exchange of another type": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.Exchange(grantsGive(tokens.NewSecret("a"), "jwt")) }, alice, "not a URI",
		},
		"an exchange without an actor": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher {
				return c.ExchangeWithActor(good, grantsGive(tokens.NewSecret(""), ""))
			}, alice, "is empty",
		},
		"an exchange without a function": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.Exchange(nil) }, alice, "is nil",
		},
		"an actor without a function": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.ExchangeWithActor(good, nil) }, alice, "is nil",
		},
		"a JWT without a function": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.JWTBearer(nil) }, alice, "is nil",
		},
		"no JWT": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.JWTBearer(grantsSign(tokens.NewSecret(""))) }, alice, "is empty",
		},
		"a JWT for a bad scope": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.JWTBearer(grantsSign(tokens.NewSecret("a.b.c"))) }, tokens.Key{Scope: " "}, "Scope",
		},
		"an exchange for a bad scope": {
			oauth.NoClientAuth(), func(c *oauth.Client) tokens.Fetcher { return c.Exchange(good) }, tokens.Key{Subject: "alice", Scope: " "}, "Scope",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			_, err := tt.make(tokenstest.NewClient(t, server, tt.auth)).Fetch(t.Context(), tokens.Request{Key: tt.key})
			grantsRefused(t, server, err, tt.want)
		})
	}
}

// The functions know for whom they are asked and by whom, and their errors keep what they are.
func TestFunctionsForTokensHearTheKeyAndAreHeard(t *testing.T) {
	type traceKey struct{}
	ctx := context.WithValue(t.Context(), traceKey{}, "trace")
	key := tokens.Key{Subject: "alice", Scope: "a"}
	errWhy := errors.New("why")
	judge := func(ctx context.Context, got tokens.Key) error {
		if got != key || ctx.Value(traceKey{}) != "trace" {
			t.Errorf("asked for %+v", got)
		}
		return errWhy
	}
	server := tokenstest.NewServer()
	c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
	fail := func(ctx context.Context, key tokens.Key) (oauth.SecurityToken, error) {
		return oauth.SecurityToken{}, judge(ctx, key)
	}
	for name, fetcher := range map[string]tokens.Fetcher{
		"the subject_token": c.Exchange(fail),
		"the actor_token":   c.ExchangeWithActor(grantsGive(tokens.NewSecret("a"), ""), fail),
		"the assertion": c.JWTBearer(func(ctx context.Context, key tokens.Key) (oauth.SecurityToken, error) {
			return oauth.SecurityToken{}, judge(ctx, key)
		}),
	} {
		if _, err := fetcher.Fetch(ctx, tokens.Request{Key: key}); !errors.Is(err, errWhy) ||
			!strings.Contains(err.Error(), name+" is not available") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(server.Seen("")); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestExchangeGivesAnAccessTokenOrNone(t *testing.T) {
	for issued, ok := range map[string]bool{
		`"urn:ietf:params:oauth:token-type:access_token"`: true, `"urn:ietf:params:oauth:token-type:jwt"`: true,
		"": false, "null": false, `""`: false, `"access_token"`: false, "1": false, `"urn:ietf:params:oauth:token-type:refresh_token"`: false,
		`"urn:ietf:params:oauth:token-type:id_token"`: false, `"urn:ietf:params:oauth:token-type:saml2"`: false,
		`"URN:ietf:params:oauth:token-type:jwt"`: false,
	} {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(http.StatusOK, endpointWith("issued_token_type", issued)))
		grant, err := tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(grantsGive(tokens.NewSecret("a.b.c"), oauth.TypeIDToken)).
			Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: "alice"}})
		if (err == nil) != ok || (grant != nil) != ok {
			t.Errorf("%s: %v, %v", issued, grant, err)
		}
		if e, isError := errors.AsType[*tokens.Error](err); !ok && (!isError || e.Status != http.StatusOK ||
			!strings.Contains(err.Error(), "issued_token_type")) {
			t.Errorf("%s: %v", issued, err)
		}
	}
}

// The types have the names of RFC 8693 section 3.
func TestTypesOfTokens(t *testing.T) {
	for got, want := range map[string]string{
		oauth.TypeAccessToken: "access_token", oauth.TypeIDToken: "id_token", oauth.TypeJWT: "jwt",
	} {
		if got != "urn:ietf:params:oauth:token-type:"+want {
			t.Errorf("%s is %s", want, got)
		}
	}
}

// A Manager over a client: the whole way.
func TestClientServesAManager(t *testing.T) {
	server := tokenstest.NewServer()
	manager, err := tokens.NewManager(tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials())
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	source := manager.Source(tokens.Key{Scope: "a"})
	for range 3 {
		token, err := source.Token(t.Context())
		if err != nil || token.Authorization() != "Bearer 2YotnFZFEjr1zCsicMWpAA" {
			t.Fatal(token, err)
		}
	}
	if n := len(server.Seen("/token")); n != 1 {
		t.Errorf("%d requests", n)
	}
}

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

// everyGrant makes the Fetcher of each method with options.
var everyGrant = map[string]func(c *oauth.Client, opts ...oauth.GrantOption) tokens.Fetcher{
	"ClientCredentials": (*oauth.Client).ClientCredentials,
	"Exchange": func(c *oauth.Client, opts ...oauth.GrantOption) tokens.Fetcher {
		return c.Exchange(grantsGive(tokens.NewSecret("a.b.c"), ""), opts...)
	},
	"ExchangeWithActor": func(c *oauth.Client, opts ...oauth.GrantOption) tokens.Fetcher {
		return c.ExchangeWithActor(grantsGive(tokens.NewSecret("a.b.c"), ""), grantsGive(tokens.NewSecret("d.e.f"), ""), opts...)
	},
	"JWTBearer": func(c *oauth.Client, opts ...oauth.GrantOption) tokens.Fetcher {
		return c.JWTBearer(grantsSign(tokens.NewSecret("a.b.c")), opts...)
	},
	"JWTBearerPerKey": func(c *oauth.Client, opts ...oauth.GrantOption) tokens.Fetcher {
		return c.JWTBearerPerKey(func(context.Context, tokens.Key) (tokens.Secret, error) { return tokens.NewSecret("a.b.c"), nil }, opts...)
	},
	"CustomGrant": func(c *oauth.Client, opts ...oauth.GrantOption) tokens.Fetcher {
		return c.CustomGrant("urn:example:custom", func(context.Context, tokens.Key) (url.Values, error) { return nil, nil }, opts...)
	},
}

func isExchange(method string) bool { return strings.HasPrefix(method, "Exchange") }

// keyOf is a key that each grant can serve.
func keyOf(method string) tokens.Key {
	if isExchange(method) {
		return tokens.Key{Subject: "alice"}
	}
	return tokens.Key{}
}

func grantsClient(t testing.TB, opts ...oauth.ClientOption) (*tokenstest.Server, *oauth.Client) {
	t.Helper()
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.JSON(http.StatusOK, grantsExchanged))
	return server, tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), opts...)
}

// The mistakes are the Manager's to report, and each Fetch's where there is none.
func TestMistakesInGrantOptionsAreReported(t *testing.T) {
	t.Parallel()
	for method, of := range everyGrant {
		t.Run(method, func(t *testing.T) {
			server, c := grantsClient(t)
			f := of(c, oauth.WithParameter("scope", "hunter2"), nil, oauth.WithParameter("a", ""))
			_, err := tokens.NewManager(f)
			tokenstest.WantConfigErrors(t, err,
				oauth.ConfigError{Option: method, Value: "nil"},
				oauth.ConfigError{Option: "WithParameter", Value: `"scope"`},
				oauth.ConfigError{Option: "WithParameter", Value: `"a"`},
			)
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes a value: %v", err)
			}
			for range 2 {
				_, err = f.Fetch(t.Context(), tokens.Request{Key: keyOf(method)})
				grantsRefused(t, server, err, `WithParameter("scope")`)
			}
			if mistake, ok := errors.AsType[*oauth.ConfigError](err); !ok || mistake.Option != method {
				t.Errorf("Fetch: %v", err)
			}
			// Behind a Fetcher that wraps it the Manager does not see it.
			source := tokenstest.NewManager(t, tokens.FetcherFunc(f.Fetch)).Source(keyOf(method))
			grantsRefused(t, server, errors.Unwrap(tokenstest.WantUnavailable(t, source)), "WithParameter")
		})
	}
}

func TestMistakesOfManagerAndGrantComeTogether(t *testing.T) {
	t.Parallel()
	_, c := grantsClient(t)
	_, err := tokens.NewManager(c.ClientCredentials(oauth.WithoutRequestedTokenType()), tokens.WithMaxKeys(0))
	if _, ok := errors.AsType[*tokens.ConfigError](err); !ok {
		t.Errorf("no mistake of the Manager: %v", err)
	}
	if mistake, ok := errors.AsType[*oauth.ConfigError](err); !ok || mistake.Option != "WithoutRequestedTokenType" {
		t.Errorf("no mistake of the grant: %v", err)
	}
}

func TestGrantOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for method, of := range everyGrant {
		other := "WithoutRequestedTokenType"
		if isExchange(method) {
			other = "WithIDTokenAsToken"
		}
		for name, tt := range map[string]struct {
			opts []oauth.GrantOption
			want []oauth.ConfigError
		}{
			"for another grant": {
				[]oauth.GrantOption{oauth.WithoutRequestedTokenType(), oauth.WithIDTokenAsToken()}, []oauth.ConfigError{{Option: other}},
			},
			"twice": {
				[]oauth.GrantOption{
					oauth.WithoutRequestedTokenType(), oauth.WithoutRequestedTokenType(),
					oauth.WithIDTokenAsToken(), oauth.WithIDTokenAsToken(),
				},
				nil, // three: each twice, and one of them for another grant
			},
		} {
			_, c := grantsClient(t)
			_, err := tokens.NewManager(of(c, tt.opts...))
			if tt.want != nil {
				tokenstest.WantConfigErrors(t, err, tt.want...)
				continue
			}
			if text := err.Error(); strings.Count(text, "more than once") != 2 || strings.Count(text, "\n") != 2 {
				t.Errorf("%s, %s: %v", method, name, err)
			}
		}
	}
}

func TestNilFunctionsAreMistakes(t *testing.T) {
	t.Parallel()
	_, c := grantsClient(t)
	give := grantsGive(tokens.NewSecret("a"), "")
	for name, tt := range map[string]struct {
		fetcher tokens.Fetcher
		n       int
	}{
		"Exchange":          {c.Exchange(nil), 1},
		"ExchangeWithActor": {c.ExchangeWithActor(give, nil), 1},
		"both":              {c.ExchangeWithActor(nil, nil), 2},
		"JWTBearer":         {c.JWTBearer(nil), 1},
		"JWTBearerPerKey":   {c.JWTBearerPerKey(nil), 1},
		"CustomGrant":       {c.CustomGrant("password", nil), 1},
	} {
		_, err := tokens.NewManager(tt.fetcher)
		if err == nil || strings.Count(err.Error(), "is nil") != tt.n {
			t.Errorf("%s: %v, want %d", name, err, tt.n)
		}
		if _, err := tt.fetcher.Fetch(t.Context(), tokens.Request{}); err == nil || !strings.Contains(err.Error(), "is nil") {
			t.Errorf("%s: Fetch: %v", name, err)
		}
	}
}

// Some servers refuse requested_token_type. What they give is checked all the same.
func TestRequestedTokenTypeIsLeftOutOnRequest(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Exchange", "ExchangeWithActor"} {
		server, c := grantsClient(t)
		key := tokens.Request{Key: keyOf(method)}
		if _, err := everyGrant[method](c).Fetch(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		f := everyGrant[method](c, oauth.WithoutRequestedTokenType())
		if _, err := f.Fetch(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		seen := server.Seen("/token")
		with, without := seen[0].Form, seen[1].Form
		if with.Get("requested_token_type") != oauth.TypeAccessToken || without.Has("requested_token_type") {
			t.Errorf("%s: sent %q and %q", method, with, without)
		}
		with.Del("requested_token_type")
		if with.Encode() != without.Encode() {
			t.Errorf("%s: %q and %q differ in something else", method, with, without)
		}
		for _, answer := range []string{
			tokenstest.Good, // without an issued_token_type
			strings.Replace(grantsExchanged, "token-type:access_token", "token-type:refresh_token", 1),
		} {
			server.On("/token", tokenstest.JSON(http.StatusOK, answer))
			if _, err := f.Fetch(t.Context(), key); err == nil || !strings.Contains(err.Error(), "issued_token_type") {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
}

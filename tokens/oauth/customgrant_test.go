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

func gives(values url.Values) func(context.Context, tokens.Key) (url.Values, error) {
	return func(context.Context, tokens.Key) (url.Values, error) { return values, nil }
}

// The first is RFC 6749 section 4.3.2, the second RFC 7522 section 2.1.
func TestCustomGrantSendsWhatItsFunctionSays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grantType string
		values    url.Values
		key       tokens.Key
		opts      []oauth.GrantOption
		want      string
	}{
		"password": {
			"password",
			url.Values{"username": {"johndoe"}, "password": {"A3ddj3w"}},
			tokens.Key{},
			nil,
			"grant_type=password&username=johndoe&password=A3ddj3w",
		},
		"SAML": {
			"urn:ietf:params:oauth:grant-type:saml2-bearer",
			url.Values{"assertion": {"PHNhbWxwOl"}},
			tokens.Key{},
			nil,
			"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Asaml2-bearer&assertion=PHNhbWxwOl",
		},
		"a list": {
			"urn:ietf:params:oauth:grant-type:uma-ticket",
			url.Values{"permission": {"a#b", "c#d"}},
			tokens.Key{Audience: "orders"},
			nil,
			"grant_type=urn:ietf:params:oauth:grant-type:uma-ticket&permission=a%23b&permission=c%23d&audience=orders",
		},
		"a key and an option": {
			"device-trust",
			url.Values{"subject_token": {"a"}, "subject_token_type": {"b"}, "requested_token_type": {"c"}},
			tokens.Key{Subject: "alice", Scope: "b a", Resource: "urn:r"},
			[]oauth.GrantOption{oauth.WithParameter("more", "1")},
			"grant_type=device-trust&subject_token=a&subject_token_type=b&requested_token_type=c&scope=a+b&resource=urn:r&more=1",
		},
		"nothing": {"none", nil, tokens.Key{}, nil, "grant_type=none"},
	} {
		server, c := grantsClient(t)
		if _, err := c.CustomGrant(tt.grantType, gives(tt.values), tt.opts...).Fetch(t.Context(), tokens.Request{Key: tt.key}); err != nil {
			t.Fatal(name, err)
		}
		if got := server.Seen("/token")[0].Form; got.Encode() != grantsForm(t, tt.want).Encode() {
			t.Errorf("%s: sent %q", name, got)
		}
	}
}

// The function is asked when a token is fetched, and knows for which key.
func TestCustomGrantIsForTheKeyAlone(t *testing.T) {
	t.Parallel()
	_, c := grantsClient(t)
	var asked []tokens.Key
	m := tokenstest.NewManager(t, c.CustomGrant("password", func(_ context.Context, key tokens.Key) (url.Values, error) {
		asked = append(asked, key)
		return url.Values{"username": {key.Subject}}, nil
	}))
	for _, key := range []tokens.Key{{Subject: "alice", Scope: "b a"}, {Subject: "alice", Scope: "a b"}, {Subject: "bob"}, {Subject: "alice", Scope: "a b"}} {
		tokenstest.MustToken(t, m.Source(key))
	}
	if len(asked) != 2 || asked[0] != (tokens.Key{Subject: "alice", Scope: "a b"}) || asked[1].Subject != "bob" {
		t.Errorf("asked for %+v", asked)
	}
}

func TestCustomGrantsThatAreRefused(t *testing.T) {
	t.Parallel()
	server, c := grantsClient(t)
	for grantType, says := range map[string]string{
		"":                   "neither an absolute URI nor a name",
		"a b":                "neither an absolute URI nor a name",
		"a:b#c":              "neither an absolute URI nor a name",
		"client_credentials": "use ClientCredentials",
		"urn:ietf:params:oauth:grant-type:token-exchange": "use Exchange",
		"urn:ietf:params:oauth:grant-type:jwt-bearer":     "use JWTBearer",
		"authorization_code":                              "use session.NewLogin",
		"refresh_token":                                   "use session.RefreshToken",
		"Refresh_Token":                                   "use session.RefreshToken",
		"urn:ietf:params:oauth:grant-type:device_code":    "use session.NewDeviceLogin",
	} {
		f := c.CustomGrant(grantType, gives(nil))
		_, err := tokens.NewManager(f)
		if mistake, ok := errors.AsType[*oauth.ConfigError](err); !ok || mistake.Option != "CustomGrant" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", grantType, err, says)
		}
		_, err = f.Fetch(t.Context(), tokens.Request{})
		grantsRefused(t, server, err, says)
	}
	for _, grantType := range []string{"password", "a.b-c_1", "urn:x", "https://a.example/b", "authorization_code2"} {
		if _, err := tokens.NewManager(c.CustomGrant(grantType, gives(nil))); err != nil {
			t.Errorf("%q: %v", grantType, err)
		}
	}
}

// What would replace the client, the key or an option, and what can be used once, is not the
// function's to set.
func TestParametersOfACustomGrantThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]url.Values{
		"RFC 6749 section 8.2": {"a b": {"hunter2"}},
		"is empty":             {"a": {"hunter2", ""}},
		"the value is empty":   {"a": nil},
		"more than once":       {"a": {"hunter2"}, "A": {"hunter3"}},
		`"More" of`:            {"More": {"hunter2"}},   // the Fetcher has it
		`"TENANT" of`:          {"TENANT": {"hunter2"}}, // the Client has it
	}
	for _, name := range []string{
		"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource", "audience",
		"code", "code_verifier", "redirect_uri", "refresh_token", "device_code",
	} {
		tests[`"`+name+`"`] = url.Values{name: {"hunter2"}}
		tests[`"`+strings.ToUpper(name)+`"`] = url.Values{strings.ToUpper(name): {"hunter2"}}
	}
	for says, values := range tests {
		server, c := grantsClient(t, oauth.WithTokenParameter("tenant", "a"))
		_, err := c.CustomGrant("password", gives(values), oauth.WithParameter("more", "b")).Fetch(t.Context(), tokens.Request{})
		grantsRefused(t, server, err, says)
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("the error quotes a value: %v", err)
		}
	}
}

func TestFailureOfACustomGrantsFunctionIsTheFetchs(t *testing.T) {
	t.Parallel()
	errWhy := errors.New("why")
	server, c := grantsClient(t)
	f := c.CustomGrant("password", func(context.Context, tokens.Key) (url.Values, error) { return nil, errWhy })
	if _, err := f.Fetch(t.Context(), tokens.Request{}); !errors.Is(err, errWhy) {
		t.Errorf("Fetch: %v", err)
	}
	_, err := f.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Scope: " "}})
	grantsRefused(t, server, err, "Scope")
}

// A password is one by its name.
func TestPasswordIsNotQuoted(t *testing.T) {
	t.Parallel()
	server, c := grantsClient(t)
	server.On("/token", tokenstest.JSON(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"wrong: correcthorse"}`))
	_, err := c.ClientCredentials(oauth.WithParameter("password", "correcthorse")).Fetch(t.Context(), tokens.Request{})
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Description != "" {
		t.Errorf("%v", err)
	}
}

// No value of the function comes back in an error, whatever its name is, and those of WithParameter
// may.
func TestValuesOfACustomGrantAreNotQuoted(t *testing.T) {
	t.Parallel()
	server, c := grantsClient(t)
	f := c.CustomGrant("urn:example:pin", gives(url.Values{"pin": {"83419027", "secondsecret"}}), oauth.WithParameter("flavour", "vanilla-flavour"))
	for description, shown := range map[string]bool{
		"wrong pin 83419027":       false,
		"not secondsecret":         false,
		"bad flavour vanilla-flav": true,
		"nothing":                  true,
	} {
		server.On("/token", tokenstest.JSON(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"`+description+`"}`))
		_, err := f.Fetch(t.Context(), tokens.Request{})
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_grant" || (e.Description == description) != shown {
			t.Errorf("%q: %v", description, err)
		}
	}
	server.On("/token", tokenstest.JSON(http.StatusBadRequest, `{"error":"secondsecret"}`))
	if _, err := f.Fetch(t.Context(), tokens.Request{}); err == nil || strings.Contains(err.Error(), "secondsecret") {
		t.Errorf("the code is quoted: %v", err)
	}
}

// A function may return values that it keeps, and change them while a request with them waits.
func TestCustomGrantSendsWhatItsFunctionReturned(t *testing.T) {
	t.Parallel()
	server, c := grantsClient(t)
	kept := url.Values{"username": {"alice"}, "password": {"A3ddj3w"}}
	server.On(tokenstest.OpenIDPath, func(r *http.Request, form url.Values) (*http.Response, error) {
		kept["username"][0], kept["password"][0] = "bob", ""
		return tokenstest.JSON(http.StatusOK, tokenstest.Document(nil))(r, form)
	})
	if _, err := c.CustomGrant("password", gives(kept)).Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Fatal(err)
	}
	if got := server.Seen("/token")[0].Form; got.Get("username") != "alice" || got.Get("password") != "A3ddj3w" {
		t.Errorf("sent %q", got)
	}
}

package oauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func TestNewClientJudgesItsConfiguration(t *testing.T) {
	good := oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))
	type options = []oauth.ClientOption
	for name, tt := range map[string]struct {
		issuer, id string
		auth       oauth.ClientAuth
		opts       options
		want       string // in the error; "" for none
	}{
		"good":                       {tokenstest.Issuer, "orders", good, nil, ""},
		"an issuer with a path":      {tokenstest.Issuer + "/tenant/", "orders", good, nil, ""},
		"an identifier with a space": {tokenstest.Issuer, "my orders", good, nil, ""},
		"http on loopback":           {"http://127.0.0.1:8080", "orders", good, nil, ""},
		"http elsewhere": {
			"http://login.example.com", "orders", good, nil, "is not https: anyone on the way could read",
		},
		"http elsewhere, allowed": {"http://login.example.com", "orders", good, options{oauth.InsecureHTTP()}, ""},
		"allowed twice": {
			"http://login.example.com", "orders", good, options{oauth.InsecureHTTP(), oauth.InsecureHTTP()}, "InsecureHTTP: set more than once",
		},
		"no issuer":                 {"", "orders", good, nil, "is empty"},
		"an issuer with a query":    {tokenstest.Issuer + "?x", "orders", good, nil, "has a query"},
		"an issuer with a fragment": {tokenstest.Issuer + "#x", "orders", good, nil, "has a fragment"},
		"an issuer with a password": {"https://svc:hunter2@login.example.com", "orders", good, nil, "has a user name"},
		"an issuer that is no URL":  {"login.example.com", "orders", good, nil, "is not an absolute https URL"},
		"no identifier":             {tokenstest.Issuer, "", good, nil, "identifier is empty"},
		"an identifier with a newline": {
			tokenstest.Issuer, "orders\n", good, nil, "identifier is empty or not printable ASCII",
		},
		"an identifier with a DEL":   {tokenstest.Issuer, "a\x7f", good, nil, "not printable ASCII"},
		"an identifier not in ASCII": {tokenstest.Issuer, "bücher", good, nil, "not printable ASCII"},
		"no authentication":          {tokenstest.Issuer, "orders", oauth.ClientAuth{}, nil, "the ClientAuth is empty"},
		"a nil option":               {tokenstest.Issuer, "orders", good, options{nil}, "NewClient(nil): option 1 is nil"},
		"a nil HTTP client": {
			tokenstest.Issuer, "orders", good, options{oauth.WithHTTPClient(nil)}, "WithHTTPClient(nil): give a client",
		},
		"two HTTP clients": {
			tokenstest.Issuer, "orders", good,
			options{oauth.WithHTTPClient(&http.Client{}), oauth.WithHTTPClient(&http.Client{})},
			"WithHTTPClient: set more than once",
		},
		"an empty endpoint": {tokenstest.Issuer, "orders", good, options{oauth.WithTokenEndpoint("")}, `WithTokenEndpoint(""): the URL is empty`},
		"two endpoints": {
			tokenstest.Issuer, "orders", good,
			options{oauth.WithTokenEndpoint(tokenstest.TokenURL), oauth.WithTokenEndpoint(tokenstest.TokenURL)},
			`WithTokenEndpoint("` + tokenstest.TokenURL + `"): set more than once`,
		},
		"an endpoint with a query": {tokenstest.Issuer, "orders", good, options{oauth.WithTokenEndpoint(tokenstest.TokenURL + "?a=b")}, ""},
		"an endpoint with a fragment": {
			tokenstest.Issuer, "orders", good,
			options{oauth.WithTokenEndpoint(tokenstest.TokenURL + "#a")},
			`WithTokenEndpoint("` + tokenstest.TokenURL + `#a"): the URL has a fragment`,
		},
		"an endpoint with a user": {
			tokenstest.Issuer, "orders", good, options{oauth.WithRevocationEndpoint("https://svc:hunter2@a.example")}, "has a user name",
		},
		"an endpoint over http": {
			tokenstest.Issuer, "orders", good, options{oauth.WithAuthorizationEndpoint("http://a.example")}, "anyone on the way could read",
		},
		"an endpoint over http, allowed": {
			tokenstest.Issuer, "orders", good, options{oauth.WithAuthorizationEndpoint("HTTP://a.example"), oauth.InsecureHTTP()}, "",
		},
		"an endpoint over http on loopback": {tokenstest.Issuer, "orders", good, options{oauth.WithTokenEndpoint("http://[::1]/")}, ""},
		"an empty secret": {
			tokenstest.Issuer, "orders", oauth.ClientSecretBasic(tokens.NewSecret("")), nil, "ClientSecretBasic: the secret is empty",
		},
		"a secret with a newline": {
			tokenstest.Issuer, "orders", oauth.ClientSecretPost(tokens.NewSecret("hunter2\n")), nil, "ClientSecretPost: the secret is empty or not printable",
		},
		"no secret function": {
			tokenstest.Issuer, "orders", oauth.ClientSecretBasicFunc(nil), nil, "ClientSecretBasicFunc(nil): the function is nil",
		},
		"no other secret function": {
			tokenstest.Issuer, "orders", oauth.ClientSecretPostFunc(nil), nil, "ClientSecretPostFunc(nil): the function is nil",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := oauth.NewClient(tt.issuer, tt.id, tt.auth, tt.opts...)
			switch {
			case tt.want == "" && (err != nil || c == nil):
				t.Errorf("NewClient: %v", err)
			case tt.want != "" && (err == nil || c != nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("NewClient: %v, want %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error quotes a password: %v", err)
			}
		})
	}
}

func TestNewClientSaysEveryMistakeAtOnce(t *testing.T) {
	_, err := oauth.NewClient("", "", oauth.ClientSecretBasic(tokens.NewSecret("")), nil, oauth.WithHTTPClient(nil), oauth.WithTokenEndpoint("x"),
		oauth.WithRevocationEndpoint(""))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"issuer", "identifier", "ClientSecretBasic", "option 1", "HTTPClient(nil)", `TokenEndpoint("x")`, `RevocationEndpoint("")`} {
		if n := strings.Count(err.Error(), want+" "); n == 0 && !strings.Contains(err.Error(), want+":") {
			t.Errorf("nothing about %s in %v", want, err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "oauth: ") {
			t.Errorf("%q does not say where it is from", line)
		}
	}
	tokenstest.WantConfigErrors(t, err,
		oauth.ConfigError{Option: "NewClient", Value: "nil"}, oauth.ConfigError{Option: "NewClient", Value: `""`},
		oauth.ConfigError{Option: "NewClient"}, oauth.ConfigError{Option: "ClientSecretBasic"},
		oauth.ConfigError{Option: "WithHTTPClient", Value: "nil"},
		oauth.ConfigError{Option: "WithTokenEndpoint", Value: `"x"`}, oauth.ConfigError{Option: "WithRevocationEndpoint", Value: `""`},
	)
	for _, test := range []struct {
		auth oauth.ClientAuth
		opts []oauth.ClientOption
		want []oauth.ConfigError
	}{
		{oauth.ClientAuth{}, []oauth.ClientOption{oauth.WithMaxRequests(0)}, []oauth.ConfigError{{Option: "NewClient"}, {Option: "WithMaxRequests", Value: "0"}}},
		{
			oauth.NoClientAuth(),
			[]oauth.ClientOption{oauth.WithMaxRequests(0), oauth.WithMaxRequests(2)},
			[]oauth.ConfigError{{Option: "WithMaxRequests", Value: "2"}},
		},
		{
			oauth.PrivateKeyJWT(clientKey(t), "\xff", nil, oauth.WithRS256()), nil,
			[]oauth.ConfigError{{Option: "PrivateKeyJWT", Value: "nil"}, {Option: "PrivateKeyJWT"}, {Option: "WithRS256"}},
		},
		{oauth.TLSClientAuthFunc(nil), nil, []oauth.ConfigError{{Option: "TLSClientAuthFunc", Value: "nil"}}},
	} {
		_, err := oauth.NewClient(tokenstest.Issuer, "orders", test.auth, test.opts...)
		tokenstest.WantConfigErrors(t, err, test.want...)
	}
}

func TestNewClientDoesNoIOAndChangesNoClient(t *testing.T) {
	server := tokenstest.NewServer()
	given := &http.Client{Transport: server}
	c, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithHTTPClient(given))
	if err != nil {
		t.Fatal(err)
	}
	c.ClientCredentials()
	c.Exchange(nil)
	c.JWTBearer(nil)
	if n := len(server.Seen("")); n != 0 {
		t.Errorf("%d requests", n)
	}
	if given.CheckRedirect != nil {
		t.Error("the client that was given is changed")
	}
}

func TestClientPrintsNoSecret(t *testing.T) {
	key := clientKey(t)
	certificate := clientCertificate(t, key)
	for name, auth := range map[string]oauth.ClientAuth{
		"basic": oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)),
		"post":  oauth.ClientSecretPost(tokens.NewSecret(tokenstest.Secret)),
		"key":   oauth.PrivateKeyJWT(key, tokenstest.Secret),
		"tls":   oauth.TLSClientAuth(certificate),
	} {
		server := tokenstest.NewServer()
		c, err := oauth.NewClient(tokenstest.Issuer, "orders", auth, oauth.WithTokenEndpoint(tokenstest.TokenURL))
		if err != nil {
			t.Fatal(err)
		}
		private := key.D.String() //nolint:staticcheck // it is the number itself that must not be printed
		for _, v := range []any{auth, &auth, c, *tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))), c.ClientCredentials()} {
			var logged strings.Builder
			slog.New(slog.NewTextHandler(&logged, nil)).Info("test", "v", v)
			texts := []string{logged.String()}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				texts = append(texts, fmt.Sprintf(verb, v))
			}
			for _, text := range texts {
				if strings.Contains(text, tokenstest.Secret) || strings.Contains(text, private) ||
					strings.Contains(text, fmt.Sprintf("%x", tokenstest.Secret)) {
					t.Errorf("%s: %T prints %.200q", name, v, text)
				}
			}
		}
	}
}

// The context's values reach the transport: traces go by them.
func TestRequestsHaveTheCallersContext(t *testing.T) {
	type traceKey struct{}
	server := tokenstest.NewServer()
	var missing []string
	for _, place := range []string{tokenstest.OpenIDPath, "/token"} {
		next := server.Handler(place)
		server.On(place, func(r *http.Request, form url.Values) (*http.Response, error) {
			if r.Context().Value(traceKey{}) != "trace" {
				missing = append(missing, place)
			}
			return next(r, form)
		})
	}
	c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
	ctx := context.WithValue(t.Context(), traceKey{}, "trace")
	if _, err := c.ClientCredentials().Fetch(ctx, tokens.Request{}); err != nil || missing != nil {
		t.Error(missing, err)
	}
}

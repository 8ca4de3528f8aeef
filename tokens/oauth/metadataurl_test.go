package oauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

const elsewhereURL = "https://login.example.com/tenant.example.com/B2C_1_policy/v2.0/metadata?p=policy"

// WithMetadataURL changes where the document is, and nothing of what it must say.
func TestMetadataURLIsThePlaceOfTheDocumentAlone(t *testing.T) {
	t.Parallel()
	const guid = "https://login.example.com/5f1c/v2.0/"
	for name, tt := range map[string]struct {
		issuer string
		status int
		says   map[string]any
		want   string // in the error; "" for a token
	}{
		"the issuer":           {tokenstest.Issuer, 200, nil, ""},
		"in another form":      {guid, 200, map[string]any{"issuer": guid}, ""},
		"one that is no URL":   {"login.example.com", 200, map[string]any{"issuer": "login.example.com"}, ""},
		"a template":           {tokenstest.Issuer + "/{tenantid}/v2.0", 200, map[string]any{"issuer": tokenstest.Issuer + "/{tenantid}/v2.0"}, ""},
		"another issuer":       {guid, 200, map[string]any{"issuer": "https://evil.example"}, `it names "https://evil.example"`},
		"that of the place":    {guid, 200, map[string]any{"issuer": elsewhereURL}, "it is not for the issuer"},
		"a slash":              {tokenstest.Issuer, 200, map[string]any{"issuer": tokenstest.Issuer + "/"}, "in a slash at the end"},
		"no issuer":            {guid, 200, map[string]any{"issuer": nil}, "it names none"},
		"an endpoint on http":  {"login.example.com", 200, map[string]any{"issuer": "login.example.com", "token_endpoint": "http://127.0.0.1/token"}, "is not https"},
		"404 is the last word": {tokenstest.Issuer, 404, nil, "WithMetadataURL"},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer() // its own place has a good document
			place, _, _ := strings.Cut(elsewhereURL, "?")
			server.On(place, tokenstest.JSON(tt.status, tokenstest.Document(tt.says)))
			c, err := oauth.NewClient(tt.issuer, "orders", oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)),
				oauth.WithHTTPClient(&http.Client{Transport: server}), oauth.WithMetadataURL(elsewhereURL))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if seen := server.Seen("/.well-known/"); len(seen) != 0 {
				t.Errorf("asked at %q, too", seen[0].URL)
			}
			if seen := server.Seen(place); len(seen) != 1 || seen[0].URL != elsewhereURL {
				t.Errorf("asked for %+v", seen)
			}
		})
	}
}

// Endpoints without TLS are for a document that came without it, as they are for an issuer.
func TestEndpointsAreJudgedByWhereTheDocumentIs(t *testing.T) {
	t.Parallel()
	for place, good := range map[string]bool{"http://127.0.0.1/metadata": true, "https://127.0.0.1/metadata": false} {
		server := tokenstest.NewServer()
		server.On(place, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": "http://127.0.0.1/token"})))
		c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithMetadataURL(place))
		if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); (err == nil) != good {
			t.Errorf("%s: %v", place, err)
		}
	}
}

func TestMetadataURLThatIsRefused(t *testing.T) {
	t.Parallel()
	auth := oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))
	for name, tt := range map[string]struct {
		issuer string
		opts   []oauth.ClientOption
		want   []oauth.ConfigError
	}{
		"empty":        {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL("")}, []oauth.ConfigError{{Option: "WithMetadataURL", Value: `""`}}},
		"http":         {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL("http://a.example")}, []oauth.ConfigError{{Option: "WithMetadataURL", Value: `"http://a.example"`}}},
		"a fragment":   {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL("https://a.example/#b")}, []oauth.ConfigError{{Option: "WithMetadataURL", Value: `"https://a.example/#b"`}}},
		"a password":   {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL("https://u:hunter2@a.example")}, []oauth.ConfigError{{Option: "WithMetadataURL", Value: `"https://redacted@a.example"`}}},
		"twice":        {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL(elsewhereURL), oauth.WithMetadataURL(elsewhereURL)}, []oauth.ConfigError{{Option: "WithMetadataURL", Value: `"` + elsewhereURL + `"`}}},
		"no issuer":    {"", []oauth.ClientOption{oauth.WithMetadataURL(elsewhereURL)}, []oauth.ConfigError{{Option: "NewClient", Value: `""`}}},
		"on loopback":  {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL("http://127.0.0.1/a")}, nil},
		"http allowed": {tokenstest.Issuer, []oauth.ClientOption{oauth.WithMetadataURL("http://a.example"), oauth.InsecureHTTP()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oauth.NewClient(tt.issuer, "orders", auth, tt.opts...)
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			tokenstest.WantConfigErrors(t, err, tt.want...)
		})
	}
}

package tokens_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/tokens"
)

const (
	clientIssuer   = "https://login.example.com"
	clientTokenURL = clientIssuer + "/token"
	clientSecret   = "gX1fBat3bV-7Fjfp0ZBr1KtDRbnfVdmIw" // of RFC 6749's examples, and longer

	clientOpenID = "/.well-known/openid-configuration"
	clientOAuth  = "/.well-known/oauth-authorization-server"
)

// clientHandler answers one request of a [clientServer].
type clientHandler func(r *http.Request, form url.Values) (*http.Response, error)

// clientServer is an authorization server in the process: a transport that works in a synctest bubble.
type clientServer struct {
	mu       sync.Mutex
	handlers map[string]clientHandler // by the URL without its query, or its path
	requests []clientRequest
}

type clientRequest struct {
	method, url string
	header      http.Header
	form        url.Values
}

func (s *clientServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
		body = string(text)
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	target := *r.URL
	target.RawQuery = ""
	s.mu.Lock()
	s.requests = append(s.requests, clientRequest{r.Method, r.URL.String(), r.Header.Clone(), form})
	handler := s.handlers[target.String()]
	if handler == nil {
		handler = s.handlers[target.Path]
	}
	s.mu.Unlock()
	if handler == nil {
		handler = clientGives(http.StatusNotFound, "text/plain", "nothing is here")
	}
	response, err := handler(r, form)
	if response != nil {
		response.Request = r
	}
	return response, err
}

// on sets what answers at a URL or a path.
func (s *clientServer) on(place string, handler clientHandler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[place] = handler
}

// seen returns the requests that came to URLs with this in them.
func (s *clientServer) seen(part string) (seen []clientRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if strings.Contains(r.url, part) {
			seen = append(seen, r)
		}
	}
	return seen
}

func clientResponse(status int, body io.Reader, header ...string) *http.Response {
	response := &http.Response{
		StatusCode: status, Header: make(http.Header), Body: io.NopCloser(body), ContentLength: -1,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	for i := 0; i < len(header); i += 2 {
		response.Header.Add(header[i], header[i+1])
	}
	return response
}

// clientGives answers the same each time.
func clientGives(status int, contentType, body string, header ...string) clientHandler {
	return func(*http.Request, url.Values) (*http.Response, error) {
		all := slices.Clone(header)
		if contentType != "" {
			all = append(all, "Content-Type", contentType)
		}
		return clientResponse(status, strings.NewReader(body), all...), nil
	}
}

func clientJSON(status int, body string, header ...string) clientHandler {
	return clientGives(status, "application/json", body, header...)
}

const clientGood = `{"access_token":"2YotnFZFEjr1zCsicMWpAA","token_type":"Bearer","expires_in":3600}`

// clientDocument is a discovery document, with members to add or replace; nil takes one away.
func clientDocument(members map[string]any) string {
	document := map[string]any{
		"issuer":                 clientIssuer,
		"token_endpoint":         clientTokenURL,
		"revocation_endpoint":    clientIssuer + "/revoke",
		"authorization_endpoint": clientIssuer + "/authorize",
	}
	for name, value := range members {
		document[name] = value
		if value == nil {
			delete(document, name)
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// newClientServer is a server that gives tokens.
func newClientServer() *clientServer {
	return &clientServer{handlers: map[string]clientHandler{
		clientOpenID: clientJSON(http.StatusOK, clientDocument(nil)),
		"/token":     clientJSON(http.StatusOK, clientGood),
		"/revoke":    clientJSON(http.StatusOK, ""),
	}}
}

// client makes a client of the server.
func (s *clientServer) client(t testing.TB, auth tokens.ClientAuth, opts ...tokens.ClientOption) *tokens.Client {
	t.Helper()
	opts = append([]tokens.ClientOption{tokens.HTTPClient(&http.Client{Transport: s})}, opts...)
	c, err := tokens.NewClient(clientIssuer, "orders", auth, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fetch asks the server for a token with client credentials.
func (s *clientServer) fetch(t testing.TB, opts ...tokens.ClientOption) (*tokens.Response, error) {
	t.Helper()
	c := s.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)), opts...)
	return c.ClientCredentials().Fetch(t.Context(), tokens.Request{})
}

// clientKey is a private key for an assertion.
func clientKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNewClientJudgesItsConfiguration(t *testing.T) {
	good := tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))
	type options = []tokens.ClientOption
	for name, tt := range map[string]struct {
		issuer, id string
		auth       tokens.ClientAuth
		opts       options
		want       string // in the error; "" for none
	}{
		"good":                       {clientIssuer, "orders", good, nil, ""},
		"an issuer with a path":      {clientIssuer + "/tenant/", "orders", good, nil, ""},
		"an identifier with a space": {clientIssuer, "my orders", good, nil, ""},
		"http on loopback":           {"http://127.0.0.1:8080", "orders", good, nil, ""},
		"http elsewhere": {
			"http://login.example.com", "orders", good, nil, "is not https: anyone on the way could read",
		},
		"http elsewhere, allowed": {"http://login.example.com", "orders", good, options{tokens.InsecureHTTP()}, ""},
		"allowed twice": {
			"http://login.example.com", "orders", good, options{tokens.InsecureHTTP(), tokens.InsecureHTTP()}, "InsecureHTTP: given twice",
		},
		"no issuer":                 {"", "orders", good, nil, "is empty"},
		"an issuer with a query":    {clientIssuer + "?x", "orders", good, nil, "has a query"},
		"an issuer with a fragment": {clientIssuer + "#x", "orders", good, nil, "has a fragment"},
		"an issuer with a password": {"https://svc:hunter2@login.example.com", "orders", good, nil, "has a user name"},
		"an issuer that is no URL":  {"login.example.com", "orders", good, nil, "is not an absolute https URL"},
		"no identifier":             {clientIssuer, "", good, nil, "identifier is empty"},
		"an identifier with a newline": {
			clientIssuer, "orders\n", good, nil, "identifier is empty or not printable ASCII",
		},
		"an identifier with a DEL":   {clientIssuer, "a\x7f", good, nil, "not printable ASCII"},
		"an identifier not in ASCII": {clientIssuer, "bücher", good, nil, "not printable ASCII"},
		"no authentication":          {clientIssuer, "orders", tokens.ClientAuth{}, nil, "the ClientAuth is empty"},
		"a nil option":               {clientIssuer, "orders", good, options{nil}, "an option is nil"},
		"a nil HTTP client": {
			clientIssuer, "orders", good, options{tokens.HTTPClient(nil)}, "HTTPClient: the client is nil",
		},
		"two HTTP clients": {
			clientIssuer, "orders", good,
			options{tokens.HTTPClient(&http.Client{}), tokens.HTTPClient(&http.Client{})},
			"HTTPClient: given twice",
		},
		"an empty endpoint": {clientIssuer, "orders", good, options{tokens.TokenEndpoint("")}, "TokenEndpoint: the URL is empty"},
		"two endpoints": {
			clientIssuer, "orders", good,
			options{tokens.TokenEndpoint(clientTokenURL), tokens.TokenEndpoint(clientTokenURL)},
			"TokenEndpoint: given twice",
		},
		"an endpoint with a query": {clientIssuer, "orders", good, options{tokens.TokenEndpoint(clientTokenURL + "?a=b")}, ""},
		"an endpoint with a fragment": {
			clientIssuer, "orders", good, options{tokens.TokenEndpoint(clientTokenURL + "#a")}, "TokenEndpoint: the URL",
		},
		"an endpoint with a user": {
			clientIssuer, "orders", good, options{tokens.RevocationEndpoint("https://svc:hunter2@a.example")}, "has a user name",
		},
		"an endpoint over http": {
			clientIssuer, "orders", good, options{tokens.AuthorizationEndpoint("http://a.example")}, "anyone on the way could read",
		},
		"an endpoint over http, allowed": {
			clientIssuer, "orders", good, options{tokens.AuthorizationEndpoint("HTTP://a.example"), tokens.InsecureHTTP()}, "",
		},
		"an endpoint over http on loopback": {clientIssuer, "orders", good, options{tokens.TokenEndpoint("http://[::1]/")}, ""},
		"an empty secret": {
			clientIssuer, "orders", tokens.ClientSecretBasic(tokens.NewSecret("")), nil, "ClientSecretBasic: the secret is empty",
		},
		"a secret with a newline": {
			clientIssuer, "orders", tokens.ClientSecretPost(tokens.NewSecret("hunter2\n")), nil, "ClientSecretPost: the secret is empty or not printable",
		},
		"no secret function": {
			clientIssuer, "orders", tokens.ClientSecretBasicFunc(nil), nil, "ClientSecretBasicFunc: the function is nil",
		},
		"no other secret function": {
			clientIssuer, "orders", tokens.ClientSecretPostFunc(nil), nil, "ClientSecretPostFunc: the function is nil",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := tokens.NewClient(tt.issuer, tt.id, tt.auth, tt.opts...)
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
	_, err := tokens.NewClient("", "", tokens.ClientSecretBasic(tokens.NewSecret("")), nil, tokens.HTTPClient(nil), tokens.TokenEndpoint("x"),
		tokens.RevocationEndpoint(""))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"issuer", "identifier", "ClientSecretBasic", "an option", "HTTPClient", "TokenEndpoint", "RevocationEndpoint"} {
		if n := strings.Count(err.Error(), want+" "); n == 0 && !strings.Contains(err.Error(), want+":") {
			t.Errorf("nothing about %s in %v", want, err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "tokens: ") {
			t.Errorf("%q does not say where it is from", line)
		}
	}
}

func TestNewClientDoesNoIOAndChangesNoClient(t *testing.T) {
	server := newClientServer()
	given := &http.Client{Transport: server}
	c, err := tokens.NewClient(clientIssuer, "orders", tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)), tokens.HTTPClient(given))
	if err != nil {
		t.Fatal(err)
	}
	c.ClientCredentials()
	c.Exchange(nil)
	c.JWTBearer(nil)
	if n := len(server.seen("")); n != 0 {
		t.Errorf("%d requests", n)
	}
	if given.CheckRedirect != nil {
		t.Error("the client that was given is changed")
	}
}

func TestClientPrintsNoSecret(t *testing.T) {
	key := clientKey(t)
	certificate := clientCertificate(t, key)
	for name, auth := range map[string]tokens.ClientAuth{
		"basic": tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)),
		"post":  tokens.ClientSecretPost(tokens.NewSecret(clientSecret)),
		"key":   tokens.PrivateKeyJWT(key, clientSecret),
		"tls":   tokens.TLSClientAuth(certificate),
	} {
		server := newClientServer()
		c, err := tokens.NewClient(clientIssuer, "orders", auth, tokens.TokenEndpoint(clientTokenURL))
		if err != nil {
			t.Fatal(err)
		}
		private := key.D.String() //nolint:staticcheck // it is the number itself that must not be printed
		for _, v := range []any{auth, &auth, c, *server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))), c.ClientCredentials()} {
			var logged strings.Builder
			slog.New(slog.NewTextHandler(&logged, nil)).Info("test", "v", v)
			texts := []string{logged.String()}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				texts = append(texts, fmt.Sprintf(verb, v))
			}
			for _, text := range texts {
				if strings.Contains(text, clientSecret) || strings.Contains(text, private) ||
					strings.Contains(text, fmt.Sprintf("%x", clientSecret)) {
					t.Errorf("%s: %T prints %.200q", name, v, text)
				}
			}
		}
	}
}

// The context's values reach the transport: traces go by them.
func TestRequestsHaveTheCallersContext(t *testing.T) {
	type traceKey struct{}
	server := newClientServer()
	var missing []string
	for _, place := range []string{clientOpenID, "/token"} {
		next := server.handlers[place]
		server.on(place, func(r *http.Request, form url.Values) (*http.Response, error) {
			if r.Context().Value(traceKey{}) != "trace" {
				missing = append(missing, place)
			}
			return next(r, form)
		})
	}
	c := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
	ctx := context.WithValue(t.Context(), traceKey{}, "trace")
	if _, err := c.ClientCredentials().Fetch(ctx, tokens.Request{}); err != nil || missing != nil {
		t.Error(missing, err)
	}
}

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// world is the server of main.go at a loopback address, and an authorization server that it trusts.
type world struct {
	issuer   *oauthtest.Server
	resource string
	handler  http.Handler
	session  string // "" for none
}

func newWorld(t *testing.T) *world {
	t.Helper()
	issuer := oauthtest.NewServer(bearertest.NewServer(t), oauthtest.WithPublicClient("desktop", "http://127.0.0.1/callback"))
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w := &world{issuer: issuer, resource: server.URL + "/mcp"}
	guarding, err := newAuth(issuer.URL(), w.resource)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guarding.Close() })
	w.handler = newHandler(guarding)
	mux.Handle("/", w.handler)
	return w
}

func (w *world) token(claims bearertest.Claims) string {
	return w.issuer.Token(bearertest.Claims{"aud": w.resource, "scope": "orders:read"}, claims)
}

func (w *world) post(t *testing.T, token, message string) *httptest.ResponseRecorder {
	t.Helper()
	return w.postAs(t, "2025-06-18", token, message)
}

// postAs sends a message of JSON-RPC as clients of a version of the protocol do.
func (w *world) postAs(t *testing.T, version, token, message string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, w.resource, strings.NewReader(message))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	if version != "" {
		request.Header.Set("Mcp-Protocol-Version", version)
	}
	if w.session != "" {
		request.Header.Set("Mcp-Session-Id", w.session)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response := httptest.NewRecorder()
	w.handler.ServeHTTP(response, request)
	return response
}

const (
	callList   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_orders","arguments":{}}}`
	callCancel = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"cancel_order","arguments":{"order":"7"}}}`
)

func TestToolsAdmitWhoMay(t *testing.T) {
	w := newWorld(t)
	metadata := `resource_metadata="` + strings.TrimSuffix(w.resource, "/mcp") + `/.well-known/oauth-protected-resource/mcp"`
	for _, test := range []struct {
		name, token, message string
		status               int
		challenge            []string // parts of it
		body                 string   // a part of it
	}{
		{"a good token", w.token(nil), callList, http.StatusOK, nil, "the orders of alice"},
		{"none", "", callList, http.StatusUnauthorized, []string{`scope="orders:read"`, metadata}, "missing_token"},
		{"expired", w.token(bearertest.Claims{"exp": time.Now().Add(-time.Hour)}), callList, http.StatusUnauthorized, []string{`error="invalid_token"`, metadata}, "token_expired"},
		{"of another resource", w.token(bearertest.Claims{"aud": "https://other.example/mcp"}), callList, http.StatusUnauthorized, []string{`error="invalid_token"`}, "wrong_audience"},
		{"without the scope of the tool", w.token(nil), callCancel, http.StatusForbidden, []string{`error="insufficient_scope"`, `scope="orders:write"`, metadata}, "insufficient_scope"},
		{"with both scopes", w.token(bearertest.Claims{"scope": "orders:read orders:write"}), callCancel, http.StatusOK, nil, "alice canceled 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := w.post(t, test.token, test.message)
			if response.Code != test.status || !strings.Contains(response.Body.String(), test.body) {
				t.Errorf("status %d, want %d: %s", response.Code, test.status, response.Body)
			}
			challenge := response.Header().Get("WWW-Authenticate")
			for _, part := range test.challenge {
				if !strings.Contains(challenge, part) {
					t.Errorf("challenge %s, want %s in it", challenge, part)
				}
			}
		})
	}
}

func TestIssuerDown(t *testing.T) {
	w := newWorld(t)
	w.issuer.SetFault(bearertest.Down)
	response := w.post(t, w.token(nil), callList)
	if response.Code != http.StatusServiceUnavailable || response.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, header %v", response.Code, response.Header())
	}
}

// A message that stepUp reads in another way than the SDK, or not at all, runs no tool.
func TestNoMessageGetsAroundTheScope(t *testing.T) {
	w := newWorld(t)
	for name, message := range map[string]string{
		"a second name":                strings.Replace(callCancel, `"name":"cancel_order"`, `"name":"cancel_order","name":"list_orders","Name":"list_orders"`, 1),
		"a second name, the other way": strings.Replace(callCancel, `"name":"cancel_order"`, `"name":"list_orders","name":"cancel_order","NAME":"list_orders"`, 1),
		"a second method":              strings.Replace(callCancel, `"method":"tools/call"`, `"method":"tools/call","METHOD":"ping"`, 1),
		"an escaped name":              strings.Replace(callCancel, "cancel_order", `\u0063ancel_order`, 1),
		"a batch":                      "[" + callCancel + "]",
		"a batch of two":               "[" + callList + "," + callCancel + "]",
		"a tool of no one":             strings.Replace(callCancel, "cancel_order", "drop_orders", 1),
	} {
		for _, version := range []string{"2025-06-18", "2025-03-26", ""} {
			response := w.postAs(t, version, w.token(nil), message)
			if strings.Contains(response.Body.String(), "canceled") {
				t.Errorf("%s, version %q: %s", name, version, response.Body)
			}
		}
	}
}

// The document is public, and names the server as clients reach it.
func TestMetadata(t *testing.T) {
	w := newWorld(t)
	response := httptest.NewRecorder()
	w.handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", nil))
	var document oauthex.ProtectedResourceMetadata
	if err := json.Unmarshal(response.Body.Bytes(), &document); err != nil {
		t.Fatalf("%d: %v", response.Code, err)
	}
	if document.Resource != w.resource || !slices.Equal(document.AuthorizationServers, []string{w.issuer.URL()}) {
		t.Errorf("%+v", document)
	}
}

// user stands for the person at the browser. It notes what each login asks for.
type user struct {
	mu     sync.Mutex
	scopes []string
}

// approve follows the client to the authorization server, which approves, and returns what that sends
// back to the client's redirect URI.
func (u *user) approve(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	back, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	scopes := strings.Fields(request.URL.Query().Get("scope"))
	slices.Sort(scopes)
	u.scopes = append(u.scopes, strings.Join(scopes, " "))
	query := back.Query()
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}

// The SDK's own client does the whole round. Its first request gets 401: it reads resource_metadata in
// the challenge, compares the resource in the document with the URL that it called, reads the
// authorization server's metadata, and sends the user there for the scope in the challenge. The call
// of a tool that needs another scope gets 403 with insufficient_scope: the client asks for the scope
// in the challenge together with those it has, and sends the call again.
func TestClientOfTheSDKStepsUp(t *testing.T) {
	w := newWorld(t)
	person := new(user)
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient:      &oauthex.ClientCredentials{ClientID: "desktop"},
		RedirectURL:              "http://127.0.0.1/callback",
		AuthorizationCodeFetcher: person.approve,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1.0.0"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: w.resource, OAuthHandler: handler}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()

	for _, test := range []struct {
		tool   string
		want   string
		scopes []string // of the logins so far
	}{
		{"list_orders", "the orders of alice", []string{"orders:read"}},
		{"cancel_order", "alice canceled 7", []string{"orders:read", "orders:read orders:write"}},
		{"list_orders", "the orders of alice", []string{"orders:read", "orders:read orders:write"}}, // without a login
	} {
		arguments := map[string]any{}
		if test.tool == "cancel_order" {
			arguments["order"] = "7"
		}
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: test.tool, Arguments: arguments})
		if err != nil {
			t.Fatalf("%s: %v", test.tool, err)
		}
		text, ok := result.Content[0].(*mcp.TextContent)
		if !ok || text.Text != test.want {
			t.Errorf("%s: %+v", test.tool, result.Content[0])
		}
		if !slices.Equal(person.scopes, test.scopes) {
			t.Errorf("%s: the logins were for %q, want %q", test.tool, person.scopes, test.scopes)
		}
	}
}

// Why newHandler is stateless: in a session, a call has the claims of the request that began it.
func TestSessionOfTheSDKKeepsTheFirstClaims(t *testing.T) {
	w := newWorld(t)
	guarding, err := newAuth(w.issuer.URL(), w.resource)
	if err != nil {
		t.Fatal(err)
	}
	defer guarding.Close()
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list_orders"}, listOrders)
	w.handler = guarding.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))

	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",` +
		`"capabilities":{},"clientInfo":{"name":"desktop","version":"1"}}}`
	begun := w.post(t, w.token(nil), initialize)
	w.session = begun.Header().Get("Mcp-Session-Id")
	w.post(t, w.token(nil), `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	answer := w.post(t, w.token(bearertest.Claims{"sub": "bob"}), callList).Body.String()
	if w.session == "" || !strings.Contains(answer, "the orders of alice") {
		t.Errorf("bob got %s in session %q: correct the comments of main.go and docs/recipes.md", answer, w.session)
	}
}

package interop_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

const (
	callback   = "https://app.example.com/callback" // where the browser comes back to; no request is made there
	webID      = "web"
	webSecret  = "the secret of the web application"
	nativeID   = "native"
	personName = "alice" // who always logs in
)

// webClient is a client that people log in through, and that can keep a secret.
var webClient = clientMetadata{
	ID: webID, Secret: webSecret, AuthMethod: "client_secret_basic",
	GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}, RedirectURIs: []string{callback},
}

// nativeClient is one that cannot: a public client.
var nativeClient = clientMetadata{
	ID: nativeID, AuthMethod: "none",
	GrantTypes: webClient.GrantTypes, ResponseTypes: webClient.ResponseTypes, RedirectURIs: webClient.RedirectURIs,
}

// people are the clients that people log in through.
var people = map[string]func() oauth.ClientAuth{
	webID:    func() oauth.ClientAuth { return oauth.ClientSecretBasic(tokens.NewSecret(webSecret)) },
	nativeID: oauth.NoClientAuth,
}

// newSession returns alice's session, and the ear at its client's token endpoint.
func newSession(t *testing.T, issuer, clientID string, store session.Store) (*session.Session, *ear) {
	t.Helper()
	heard := new(ear)
	client, err := oauth.NewClient(issuer, clientID, people[clientID](), oauth.WithHTTPClient(&http.Client{Transport: heard}))
	if err != nil {
		t.Fatal(err)
	}
	alice, err := session.New(client, store, personName, tokens.WithLogger(testLog(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := alice.Close(); err != nil {
			t.Error(err)
		}
	})
	return alice, heard
}

// logIn logs alice in.
func logIn(t *testing.T, alice *session.Session) {
	t.Helper()
	login := beginLogin(t, alice)
	if _, err := alice.Finish(t.Context(), login, browse(t, login)); err != nil {
		t.Fatal(err)
	}
}

func beginLogin(t *testing.T, alice *session.Session) *session.Login {
	t.Helper()
	login, err := alice.Login(t.Context(), callback,
		session.WithScope("openid", "offline_access", "orders:read"), session.WithResource(orders),
		session.WithParameter("prompt", "consent")) // without which there is no offline_access (OpenID Connect Core section 11)
	if err != nil {
		t.Fatal(err)
	}
	return login
}

// browse does what a person's browser does: it follows the provider's redirects, with cookies,
// until one leads back to the application, and returns the answer that is in that one.
func browse(t *testing.T, login *session.Login) (answer url.Values) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(request *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(request.URL.String(), callback) {
			answer = request.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	response, err := browser.Get(login.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer == nil {
		page, _ := io.ReadAll(response.Body)
		t.Fatalf("the provider did not send the browser back, but answered %s with\n%s", response.Status, page)
	}
	return answer
}

// renewed makes a source get a new token now, as when an API refuses the one that it has.
func renewed(t *testing.T, source *tokens.Source) (*tokens.Token, error) {
	t.Helper()
	source.Reset() // of how often that may happen
	old, err := source.Token(t.Context())
	if err != nil {
		return nil, err
	}
	source.Invalidate(old)
	token, err := source.Token(t.Context())
	if err == nil && token.AccessToken() == old.AccessToken() {
		t.Fatalf("the token was not renewed: %v", source.Stats().LastError)
	}
	return token, err
}

// wantLoginRequired checks the error of a session that the provider has ended.
func wantLoginRequired(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, tokens.ErrLoginRequired) {
		t.Errorf("%s: %v, want ErrLoginRequired", what, err)
	}
}

// A person logs in by the authorization code grant with PKCE, which this provider insists on. The
// one refresh token serves tokens for several services, rotates each time, and goes on after a
// restart.
func TestLoginAndRotation(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient, nativeClient}})
	api := httptest.NewServer(mountNetHTTP(newMiddleware(t, issuer)))
	t.Cleanup(api.Close)
	for clientID, proven := range map[string]string{webID: "Basic", nativeID: "none"} {
		t.Run(clientID, func(t *testing.T) {
			store := session.NewMemoryStore()
			alice, heard := newSession(t, issuer, clientID, store)
			ordersKey := tokens.Key{Resource: orders}
			_, err := alice.Source(ordersKey).Token(t.Context())
			wantLoginRequired(t, "before the login", err)
			before := reportOf(t, issuer)

			logIn(t, alice)
			token, err := alice.Source(ordersKey).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := expect(t, "a person's token", api.URL+"/orders", token.AccessToken(), http.StatusOK)
			if got.Subject != personName {
				t.Errorf("the token is for %q, want %q", got.Subject, personName)
			}
			report := reportOf(t, issuer)
			if report.Refreshed != before.Refreshed {
				t.Errorf("the token that came with the login was not used: %d were asked for", report.Refreshed-before.Refreshed)
			}
			if got := report.Proofs[clientID]; got != proven {
				t.Errorf("the client was proven by %q, want %q", got, proven)
			}

			// Another service: a token without a resource is for the provider itself. It asks who
			// that is.
			own, err := alice.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if status := userInfo(t, issuer, own); status != http.StatusOK {
				t.Errorf("the provider answered its own token with status %d", status)
			}
			expect(t, "the provider's own token", api.URL+"/me", own.AccessToken(), http.StatusUnauthorized, `error="invalid_token"`)

			for range 3 {
				if token, err = renewed(t, alice.Source(ordersKey)); err != nil {
					t.Fatal(err)
				}
				expect(t, "a renewed token", api.URL+"/orders", token.AccessToken(), http.StatusOK)
			}
			if got, want := reportOf(t, issuer).Refreshed-before.Refreshed, 1+3; got != want {
				t.Errorf("%d times refreshed, want %d", got, want)
			}
			if got, want := len(heard.refreshTokens()), 1+1+3; got != want {
				t.Errorf("%d different refresh tokens, want %d: they do not rotate", got, want)
			}

			again, _ := newSession(t, issuer, clientID, store)
			if loggedIn, err := again.LoggedIn(t.Context()); !loggedIn || err != nil {
				t.Errorf("after a restart LoggedIn is %t, %v", loggedIn, err)
			}
			found, err := again.Source(ordersKey).Token(t.Context())
			if err != nil || found.AccessToken() != token.AccessToken() {
				t.Errorf("after a restart the token is not the one that the store has; %v", err)
			}
			if _, err = renewed(t, again.Source(ordersKey)); err != nil {
				t.Errorf("after a restart the session does not go on: %v", err)
			}
			if got := reportOf(t, issuer).Refused[reused]; got != before.Refused[reused] {
				t.Errorf("%d refresh tokens were used twice", got)
			}
		})
	}
}

// A service that the login was not for: this provider refuses that only after it has replaced the
// refresh token, and hands out no other one with the refusal. So it is not asked, and the session
// goes on.
func TestResourceThatTheLoginWasNotFor(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient}})
	alice, _ := newSession(t, issuer, webID, session.NewMemoryStore())
	logIn(t, alice)
	_, err := alice.Source(tokens.Key{Resource: invoices}).Token(t.Context())
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_target" || !e.Permanent() {
		t.Errorf("a resource that the login was not for: %v, want a permanent invalid_target", err)
	}
	if _, err := renewed(t, alice.Source(tokens.Key{Resource: orders})); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// One login for two services.
func TestLoginForTwoResources(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient}})
	alice, _ := newSession(t, issuer, webID, session.NewMemoryStore())
	login, err := alice.Login(t.Context(), callback, session.WithScope("openid", "offline_access", "orders:read"),
		session.WithResource(orders, invoices), session.WithParameter("prompt", "consent"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Finish(t.Context(), login, browse(t, login)); err != nil {
		t.Fatal(err)
	}
	for _, resource := range []string{orders, invoices, orders} {
		if _, err := renewed(t, alice.Source(tokens.Key{Resource: resource})); err != nil {
			t.Errorf("%s: %v", resource, err)
		}
	}
}

// The provider names itself in its answer (RFC 9207), and so must whatever passes for it. Nothing
// of a refused answer is sent.
func TestLoginChecksTheAnswer(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient}})
	alice, heard := newSession(t, issuer, webID, session.NewMemoryStore())

	for name, change := range map[string]func(url.Values){
		"no iss":         func(answer url.Values) { answer.Del("iss") },
		"another iss":    func(answer url.Values) { answer.Set("iss", "https://evil.example.com") },
		"iss with slash": func(answer url.Values) { answer.Set("iss", issuer+"/") },
		"two iss":        func(answer url.Values) { answer.Add("iss", issuer) },
		"two codes":      func(answer url.Values) { answer.Add("code", "another") },
	} {
		login := beginLogin(t, alice)
		answer := browse(t, login)
		if answer.Get("iss") != issuer {
			t.Fatalf("the provider calls itself %q in its answer, want %q", answer.Get("iss"), issuer)
		}
		change(answer)
		_, err := alice.Finish(t.Context(), login, answer)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" {
			t.Errorf("%s: %v, want an Error of the login", name, err)
		}
	}
	if got := heard.refreshTokens(); len(got) > 0 {
		t.Errorf("%d refused answers were exchanged", len(got))
	}

	// The state of another browser's login, and the right one afterwards; the same code once more.
	login := beginLogin(t, alice)
	answer := browse(t, login)
	if _, err := alice.Finish(t.Context(), login, browse(t, beginLogin(t, alice))); !errors.Is(err, session.ErrLoginState) {
		t.Errorf("another login's answer: %v, want ErrLoginState", err)
	}
	if _, err := alice.Finish(t.Context(), login, answer); err != nil {
		t.Errorf("the right answer: %v", err)
	}
	if _, err := alice.Finish(t.Context(), login, answer); !errors.Is(err, session.ErrLoginUsed) {
		t.Errorf("the right answer once more: %v, want ErrLoginUsed", err)
	}

	// A code is bound to its login's verifier (RFC 7636): with the state of another login it is
	// worth nothing.
	login = beginLogin(t, alice)
	answer = browse(t, login)
	injected := browse(t, beginLogin(t, alice))
	injected.Set("state", answer.Get("state"))
	_, err := alice.Finish(t.Context(), login, injected)
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_grant" {
		t.Errorf("another login's code: %v, want invalid_grant", err)
	}
}

// An attacker stole a refresh token and used it: the provider ends the family, and the session says
// that a login is required.
func TestStolenRefreshTokenEndsTheSession(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient}})
	alice, heard := newSession(t, issuer, webID, session.NewMemoryStore())
	source := alice.Source(tokens.Key{Resource: orders})
	logIn(t, alice)
	if _, err := renewed(t, source); err != nil {
		t.Fatal(err)
	}
	status, code := refresh(t, issuer, webID, heard.refreshTokens()[0])
	if status != http.StatusBadRequest || code != "invalid_grant" {
		t.Fatalf("the second use of a refresh token: status %d, %s", status, code)
	}
	if got := reportOf(t, issuer).Refused[reused]; got != 1 {
		t.Fatalf("the provider saw %d reuses, want 1", got)
	}

	_, err := renewed(t, source)
	wantLoginRequired(t, "after the theft", err)
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_grant" {
		t.Errorf("after the theft: %v, want the provider's invalid_grant in it", err)
	}
	if loggedIn, err := alice.LoggedIn(t.Context()); loggedIn || err != nil {
		t.Errorf("after the theft LoggedIn is %t, %v", loggedIn, err)
	}
	logIn(t, alice)
	if _, err := renewed(t, source); err != nil {
		t.Errorf("after a new login: %v", err)
	}
}

// Logout revokes at the provider (RFC 7009): an attacker who has a copy of the refresh token, or of
// a token for the provider itself, can do nothing with it. This provider refuses to revoke JWTs,
// which does not make the logout fail.
func TestLogoutRevokes(t *testing.T) {
	issuer := startProviderWith(t, providerConfig{Clients: []clientMetadata{webClient, nativeClient}})
	for clientID := range people {
		t.Run(clientID, func(t *testing.T) {
			store := session.NewMemoryStore()
			alice, heard := newSession(t, issuer, clientID, store)
			other, _ := newSession(t, issuer, clientID, store)
			source := alice.Source(tokens.Key{Resource: orders})
			for range 2 {
				logIn(t, alice)
				if _, err := renewed(t, source); err != nil {
					t.Fatal(err)
				}
				logOut(t, issuer, clientID, alice, heard)
				_, err := source.Token(t.Context())
				wantLoginRequired(t, "after the logout", err)
				if loggedIn, err := other.LoggedIn(t.Context()); loggedIn || err != nil {
					t.Errorf("after the logout LoggedIn is %t, %v", loggedIn, err)
				}
			}

			logIn(t, alice)
			own, err := alice.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if status := userInfo(t, issuer, own); status != http.StatusOK {
				t.Fatalf("the provider answered its own token with status %d", status)
			}
			logOut(t, issuer, clientID, alice, heard)
			if status := userInfo(t, issuer, own); status != http.StatusUnauthorized {
				t.Errorf("the provider answered its own token after the logout with status %d, want 401", status)
			}
		})
	}
}

// logOut logs alice out and checks that the last refresh token is worth nothing.
func logOut(t *testing.T, issuer, clientID string, alice *session.Session, heard *ear) {
	t.Helper()
	reuses := reportOf(t, issuer).Refused[reused]
	if err := alice.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := heard.refreshTokens()
	status, code := refresh(t, issuer, clientID, all[len(all)-1])
	if status != http.StatusBadRequest || code != "invalid_grant" {
		t.Errorf("the refresh token after the logout: status %d, %s; want 400, invalid_grant", status, code)
	}
	if got := reportOf(t, issuer).Refused[reused]; got != reuses {
		t.Error("the refresh token was refused as used, and not as revoked")
	}
}

// userInfo asks the provider whom its own token is for, and returns the status (OpenID Connect Core
// section 5.3).
func userInfo(t *testing.T, issuer string, token *tokens.Token) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, issuer+"/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token.Authorization())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// refresh uses a refresh token as an attacker would who has a copy of it, and of the client's
// secret.
func refresh(t *testing.T, issuer, clientID, refreshToken string) (status int, code string) {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
	if clientID == nativeID {
		form.Set("client_id", nativeID)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if clientID == webID {
		request.SetBasicAuth(webID, url.QueryEscape(webSecret))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Error string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer.Error
}

// ear is a transport that records the refresh tokens in the answers.
type ear struct {
	mu    sync.Mutex
	heard []string
}

func (e *ear) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || !strings.HasSuffix(request.URL.Path, "/token") {
		return response, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.RefreshToken != "" {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, answer.RefreshToken)
	}
	return response, nil
}

// refreshTokens returns those that were heard, the oldest first, each once.
func (e *ear) refreshTokens() (all []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Compact(slices.Clone(e.heard))
}

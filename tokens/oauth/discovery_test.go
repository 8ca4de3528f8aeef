package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/discovery"
	"github.com/bearer-go/bearer/internal/oauthwire"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// loginEndpoints is what a client knows of its server for a login.
func loginEndpoints(ctx context.Context, c *oauth.Client) (oauthwire.Endpoints, error) {
	return oauthwire.Of(c).LoginEndpoints(ctx)
}

func TestDiscoveryFindsTheEndpoints(t *testing.T) {
	for name, tt := range map[string]struct {
		issuer  string
		asked   []string // in this order
		present string   // the one of them that is there
	}{
		"OpenID Connect": {
			tokenstest.Issuer, []string{tokenstest.Issuer + tokenstest.OpenIDPath}, tokenstest.Issuer + tokenstest.OpenIDPath,
		},
		"with a path": {
			tokenstest.Issuer + "/tenant/", []string{tokenstest.Issuer + "/tenant" + tokenstest.OpenIDPath}, tokenstest.Issuer + "/tenant" + tokenstest.OpenIDPath,
		},
		"RFC 8414": {
			tokenstest.Issuer, []string{tokenstest.Issuer + tokenstest.OpenIDPath, tokenstest.Issuer + tokenstest.OAuthPath}, tokenstest.Issuer + tokenstest.OAuthPath,
		},
		"RFC 8414 with a path": {
			tokenstest.Issuer + "/a%2Fb",
			[]string{tokenstest.Issuer + "/a%2Fb" + tokenstest.OpenIDPath, tokenstest.Issuer + tokenstest.OAuthPath + "/a%2Fb"},
			tokenstest.Issuer + tokenstest.OAuthPath + "/a%2Fb",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.Off(tokenstest.OpenIDPath)
			server.On(tt.present, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"issuer": tt.issuer})))
			c, err := oauth.NewClient(tt.issuer, "orders", oauth.NoClientAuth(), oauth.WithHTTPClient(&http.Client{Transport: server}))
			if err != nil {
				t.Fatal(err)
			}
			facts, err := loginEndpoints(t.Context(), c)
			if err != nil || facts.Authorization != tokenstest.Issuer+"/authorize" || facts.Revocation != tokenstest.Issuer+"/revoke" {
				t.Errorf("%+v, %v", facts, err)
			}
			for i, r := range server.Seen("") {
				if r.Method != http.MethodGet || r.URL != tt.asked[i] || r.Header.Get("Accept") != "application/json" {
					t.Errorf("asked %s %s, want %s", r.Method, r.URL, tt.asked[i])
				}
			}
		})
	}
}

func TestDiscoveryTellsALoginWhatItNeeds(t *testing.T) {
	for name, tt := range map[string]struct {
		members map[string]any
		want    discovery.Flags
	}{
		"nothing": {nil, discovery.Flags{}},
		"everything": {
			map[string]any{
				"authorization_response_iss_parameter_supported": true, "code_challenge_methods_supported": []string{"plain", "S256"},
			},
			discovery.Flags{IssParameter: true, S256: true, S256Said: true},
		},
		"plain": {
			map[string]any{
				"authorization_response_iss_parameter_supported": false, "code_challenge_methods_supported": []string{"plain"},
			},
			discovery.Flags{S256Said: true},
		},
		"wrong types": {
			map[string]any{"authorization_response_iss_parameter_supported": "true", "code_challenge_methods_supported": "S256"},
			discovery.Flags{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(tt.members)))
			got, err := loginEndpoints(t.Context(), tokenstest.NewClient(t, server, oauth.NoClientAuth()))
			want := oauthwire.Endpoints{
				Token: tokenstest.TokenURL, Revocation: tokenstest.Issuer + "/revoke",
				Authorization: tokenstest.Issuer + "/authorize", Flags: tt.want,
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	with := func(name string, value any) string { return tokenstest.Document(map[string]any{name: value}) }
	for name, tt := range map[string]struct {
		document string
		opts     []oauth.ClientOption
		want     string
	}{
		"another issuer":      {with("issuer", "https://evil.example"), nil, "it is not for the issuer"},
		"a slash more":        {with("issuer", tokenstest.Issuer+"/"), nil, "differs from \"" + tokenstest.Issuer + "\" in a slash"},
		"another case":        {with("issuer", "https://LOGIN.example.com"), nil, "it is not for the issuer"},
		"no issuer":           {with("issuer", nil), nil, "it is not for the issuer"},
		"an issuer in a list": {with("issuer", []string{tokenstest.Issuer}), nil, "it is not for the issuer"},
		"no token endpoint":   {with("token_endpoint", nil), nil, "it names no token_endpoint"},
		"a number for an URL": {with("token_endpoint", 1), nil, "it names no token_endpoint"},
		"a relative URL":      {with("token_endpoint", "/token"), nil, "its token_endpoint is not an absolute https URL"},
		"a URL with a user": {
			with("token_endpoint", "https://u:hunter2@login.example.com"), nil, "its token_endpoint has a user name",
		},
		"a URL with a fragment": {with("token_endpoint", tokenstest.TokenURL+"#a"), nil, "its token_endpoint has a fragment"},
		"http": {
			with("token_endpoint", "http://login.example.com/token"), nil, "its token_endpoint is not https",
		},
		"HTTP in capitals": {with("token_endpoint", "HTTP://127.0.0.1/token"), nil, "its token_endpoint is not https"},
		"http on this machine": {
			with("token_endpoint", "http://127.0.0.1/token"), nil, "its token_endpoint is not https, unlike the issuer",
		},
		"http, allowed": {
			with("token_endpoint", "http://login.example.com/token"), []oauth.ClientOption{oauth.InsecureHTTP()}, "",
		},
		"revocation over http": {
			with("revocation_endpoint", "http://login.example.com"), nil, "its revocation_endpoint is not https",
		},
		"logins over http": {
			with("authorization_endpoint", "http://login.example.com"), nil, "its authorization_endpoint is not https",
		},
		"a query":               {with("token_endpoint", tokenstest.TokenURL+"?tenant=1"), nil, ""},
		"an endpoint elsewhere": {with("token_endpoint", "https://oauth2.example.net/token"), nil, ""},
		"two issuers": {
			`{"issuer":"https://evil.example",` + tokenstest.Document(nil)[1:], nil, "invalid JSON: a member name occurs twice",
		},
		"a list":        {"[]", nil, "invalid JSON: not an object"},
		"nothing":       {"", nil, "invalid JSON"},
		"a web page":    {"<!doctype html>", nil, "invalid JSON"},
		"the right one": {tokenstest.Document(nil), nil, ""},
		"the longest":   {tokenstest.Document(nil) + strings.Repeat(" ", 1<<20-len(tokenstest.Document(nil))), nil, ""},
		"one byte more than may": {
			tokenstest.Document(nil) + strings.Repeat(" ", 1<<20-len(tokenstest.Document(nil))+1), nil, "longer than 1048576 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On(tokenstest.OpenIDPath, tokenstest.Gives(http.StatusOK, "", tt.document))
			_, err := fetchFrom(t, server, tt.opts...)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "discovery" || e.Permanent() || !strings.Contains(err.Error(), tt.want) ||
				strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Fetch: %v, want %q", err, tt.want)
			}
			if len(server.Seen("/token")) != 0 {
				t.Error("a token was asked for")
			}
		})
	}
}

func TestAliasesThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		aliases any
		want    string
	}{
		"a list":     {[]string{}, "its mtls_endpoint_aliases is not an object"},
		"plain http": {map[string]string{"token_endpoint": "http://mtls.example.com"}, "its token_endpoint is not https"},
		"one of three": {
			map[string]string{
				"revocation_endpoint": "https://mtls.example.com/revoke", "authorization_endpoint": "http://x",
				"device_authorization_endpoint": "https://mtls.example.com/device",
			}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var server *httptest.Server
			server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, tokenstest.Document(map[string]any{"issuer": server.URL, "mtls_endpoint_aliases": tt.aliases}))
			}))
			defer server.Close()
			auth := oauth.TLSClientAuth(clientCertificate(t, clientKey(t)))
			c, err := oauth.NewClient(server.URL, "orders", auth, oauth.WithHTTPClient(server.Client()))
			if err != nil {
				t.Fatal(err)
			}
			facts, err := loginEndpoints(t.Context(), c)
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if tt.want == "" && (err != nil || facts.Revocation != "https://mtls.example.com/revoke" ||
				facts.Device != "https://mtls.example.com/device" || facts.Authorization != tokenstest.Issuer+"/authorize") {
				t.Errorf("%+v, %v", facts, err)
			}
		})
	}
}

func TestNoDiscoveryWhenTheEndpointsAreGiven(t *testing.T) {
	server := tokenstest.NewServer()
	given := []oauth.ClientOption{
		oauth.WithTokenEndpoint(tokenstest.TokenURL), oauth.WithRevocationEndpoint(tokenstest.Issuer + "/revoke"),
		oauth.WithAuthorizationEndpoint(tokenstest.Issuer + "/login"),
	}
	c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), given...)
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Error(err)
	}
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); err != nil {
		t.Error(err)
	}
	if facts, err := loginEndpoints(t.Context(), c); err != nil || facts.Authorization != tokenstest.Issuer+"/login" {
		t.Error(facts, err)
	}
	if n := len(server.Seen(".well-known")); n != 0 {
		t.Errorf("%d requests for the document", n)
	}
}

func TestOptionsReplaceWhatDiscoverySays(t *testing.T) {
	server := tokenstest.NewServer()
	server.On("/token/own", tokenstest.JSON(http.StatusOK, tokenstest.Good))
	server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": "not even a URL"})))
	c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(tokenstest.Issuer+"/token/own"))
	if facts, err := loginEndpoints(t.Context(), c); err != nil || facts.Authorization != tokenstest.Issuer+"/authorize" {
		t.Error(facts, err)
	}
	if _, err := c.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
		t.Error(err)
	}
}

func TestDiscoveryIsMadeOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On(tokenstest.OpenIDPath, func(r *http.Request, form url.Values) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Document(nil))(r, form)
		})
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // the first one, who leaves before the answer comes
			_, err := fetcher.Fetch(impatient, tokens.Request{})
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "discovery" || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(server.Seen(tokenstest.OpenIDPath)); n != 1 {
			t.Errorf("%d requests for the document", n)
		}
	})
}

// A server that is down is asked once, for all keys and until the pause after it is over.
func TestFailedDiscoveryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On(tokenstest.OpenIDPath, func(r *http.Request, form url.Values) (*http.Response, error) {
			<-time.After(time.Second)
			return tokenstest.Gives(http.StatusServiceUnavailable, "text/html", "down", "Retry-After", "7")(r, form)
		})
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, err := fetcher.Fetch(t.Context(), tokens.Request{})
				e, ok := errors.AsType[*tokens.Error](err)
				if !ok || e.Op != "discovery" || e.Status != http.StatusServiceUnavailable || e.RetryAfter < 7*time.Second ||
					e.RetryAfter > 21*time.Second || e.Permanent() {
					t.Errorf("Fetch: %v", err)
				}
			})
		}
		wg.Wait()
		if n := len(server.Seen(tokenstest.OpenIDPath)); n != 1 {
			t.Errorf("%d requests for the document", n)
		}
		server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
		<-time.After(7*time.Second - 1)
		_, err := fetcher.Fetch(t.Context(), tokens.Request{})
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Status != http.StatusServiceUnavailable || e.RetryAfter > 14*time.Second+1 || len(server.Seen(tokenstest.OpenIDPath)) != 1 {
			t.Fatalf("in the pause: %v, %d requests", err, len(server.Seen(tokenstest.OpenIDPath)))
		}
		<-time.After(max(1, e.RetryAfter))
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Error("after the pause:", err)
		}
	})
}

// A transport that ignores its context delays the document for at most as long as two requests may
// take.
func TestDiscoveryOutlivesATransportThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		hang := make(chan struct{})
		server.On(tokenstest.OpenIDPath, func(*http.Request, url.Values) (*http.Response, error) {
			<-hang
			return nil, errors.New("at last")
		})
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		began := time.Now()
		_, err := fetcher.Fetch(t.Context(), tokens.Request{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
		<-time.After(time.Second)
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Error("afterwards:", err)
		}
		close(hang)
	})
}

// Of the readings that such a transport never ends there are two at most, and when one ends, there
// may be another.
func TestDiscoveryLeavesFewGoroutinesToATransportThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		hang := make(chan struct{})
		server.On(tokenstest.OpenIDPath, func(*http.Request, url.Values) (*http.Response, error) {
			<-hang
			return nil, errors.New("at last")
		})
		source := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()).Source(tokens.Key{})
		end := time.Now().Add(24 * time.Hour)
		for time.Now().Before(end) {
			<-time.After(max(1, tokenstest.WantUnavailable(t, source).RetryAfter))
		}
		if n := len(server.Seen(tokenstest.OpenIDPath)); n != 2 {
			t.Errorf("%d readings in a day, want 2", n)
		}
		server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
		close(hang)
		<-time.After(2 * time.Minute)
		tokenstest.MustToken(t, source)
	})
}

// An endpoint is not a megabyte that is kept as long as the client.
func TestEndpointsAreBounded(t *testing.T) {
	for size, good := range map[int]bool{4 << 10: true, 4<<10 + 1: false} {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		revocation := tokenstest.Issuer + "/" + strings.Repeat("a", size-len(tokenstest.Issuer)-1)
		server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"revocation_endpoint": revocation})))
		if _, err := fetchFrom(t, server); (err == nil) != good {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// What a server asks for by Retry-After it asks of the client, and not of one key.
func TestRetryAfterHoldsForAllKeys(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError} {
		synctest.Test(t, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On("/token", tokenstest.Gives(status, "text/plain", "later", "Retry-After", "60"))
			fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
			for i := range 100 {
				_, err := fetcher.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Scope: fmt.Sprint(i)}})
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != status || e.RetryAfter != time.Minute {
					t.Fatalf("key %d: %v", i, err)
				}
			}
			want := 1
			if status == http.StatusInternalServerError { // which may be about this key alone
				want = 100
			}
			if n := len(server.Seen("/token")); n != want {
				t.Errorf("status %d: %d requests, want %d", status, n, want)
			}
			<-time.After(time.Minute)
			server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
				t.Error("after a minute:", err)
			}
		})
	}
}

// The document that is a day old is used while it is read again.
func TestDiscoveryIsRepeatedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token/v2", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		fetch := func() {
			t.Helper()
			start := time.Now()
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
				t.Error(err)
			}
			if wait := time.Since(start); wait != 0 {
				t.Errorf("waited %s", wait)
			}
			synctest.Wait()
		}
		count := func(documents, v1, v2 int) {
			t.Helper()
			d, second := len(server.Seen(tokenstest.OpenIDPath)), len(server.Seen("/token/v2"))
			first := len(server.Seen("/token")) - second
			if d != documents || first != v1 || second != v2 {
				t.Errorf("%d documents, %d and %d requests; want %d, %d and %d", d, first, second, documents, v1, v2)
			}
		}
		fetch()
		<-time.After(24*time.Hour - time.Second)
		fetch()
		count(1, 2, 0)

		// It hangs: no caller waits, and it is asked again 5 minutes after it failed.
		server.On(tokenstest.OpenIDPath, func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		})
		<-time.After(time.Second)
		fetch()
		fetch()
		count(2, 4, 0)
		<-time.After(10*time.Second + 5*time.Minute - 1)
		fetch()
		count(2, 5, 0)

		// It has moved.
		server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": tokenstest.Issuer + "/token/v2"})))
		<-time.After(1)
		fetch()
		count(3, 6, 0)
		fetch()
		<-time.After(24*time.Hour - 1)
		fetch()
		count(3, 6, 2)
	})
}

func TestEndpointThatIsGoneIsLookedForAtMostHourly(t *testing.T) {
	for name, status := range map[string]int{"404": http.StatusNotFound, "410": http.StatusGone} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := tokenstest.NewServer()
				server.On("/token/v2", tokenstest.JSON(http.StatusOK, tokenstest.Good))
				fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
				fetch := func(wantDocuments int, wantOK bool) {
					t.Helper()
					_, err := fetcher.Fetch(t.Context(), tokens.Request{})
					if n := len(server.Seen(tokenstest.OpenIDPath)); n != wantDocuments || (err == nil) != wantOK {
						t.Errorf("%d documents, %v; want %d, %v", n, err, wantDocuments, wantOK)
					}
					if e, ok := errors.AsType[*tokens.Error](err); !wantOK && (!ok || e.Op != "token" || e.Status != status) {
						t.Errorf("the error is %v", err)
					}
				}
				fetch(1, true)
				server.On("/token", tokenstest.Gives(status, "text/html", "<h1>gone</h1>"))
				fetch(2, false) // at once, because it may have moved since
				fetch(2, false)
				<-time.After(time.Hour - 1)
				fetch(2, false)
				server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusServiceUnavailable, ""))
				<-time.After(1)
				fetch(3, false)
				<-time.After(5*time.Minute - 1)
				fetch(3, false) // a question that failed does not use up the hour
				server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": tokenstest.Issuer + "/token/v2"})))
				<-time.After(1)
				fetch(4, true)
				fetch(4, true)
			})
		})
	}
}

// A 404 in which the authorization server speaks is its answer.
func TestOAuthErrorIsNoMissingEndpoint(t *testing.T) {
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.JSON(http.StatusNotFound, `{"error":"invalid_grant"}`))
	_, err := fetchFrom(t, server)
	e, ok := errors.AsType[*tokens.Error](err)
	if !ok || e.Code != "invalid_grant" || !e.Permanent() || len(server.Seen(tokenstest.OpenIDPath)) != 1 {
		t.Errorf("Fetch: %v, %d documents", err, len(server.Seen(tokenstest.OpenIDPath)))
	}
}

// All who find the endpoint gone share the question where it is now.
func TestGoneEndpointIsLookedForOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token/v2", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
			t.Fatal(err)
		}
		server.On("/token", tokenstest.Gives(http.StatusNotFound, "", ""))
		server.On(tokenstest.OpenIDPath, func(r *http.Request, form url.Values) (*http.Response, error) {
			<-time.After(time.Second)
			return tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": tokenstest.Issuer + "/token/v2"}))(r, form)
		})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				<-time.After(max(1, time.Duration(i)*100*time.Millisecond))
				if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(server.Seen(tokenstest.OpenIDPath)); n != 2 {
			t.Errorf("%d requests for the document", n)
		}
	})
}

func TestDiscoveryFollowsRedirectsWithinTheOrigin(t *testing.T) {
	for name, tt := range map[string]struct {
		location string
		want     string
	}{
		"within":         {tokenstest.Issuer + ":443/moved", ""},
		"another host":   {"https://evil.example/moved", "a redirect to another origin is not followed"},
		"another port":   {tokenstest.Issuer + ":8443/moved", "a redirect to another origin is not followed"},
		"without TLS":    {"http://login.example.com/moved", "a redirect to another origin is not followed"},
		"round a loop":   {tokenstest.Issuer + tokenstest.OpenIDPath, "more than 5 redirects"},
		"what is no URL": {"https://%zz" + tokenstest.Secret, "the exchange failed"},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On(tokenstest.OpenIDPath, tokenstest.Gives(http.StatusFound, "", "", "Location", tt.location))
			server.On("/moved", tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
			_, err := fetchFrom(t, server)
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) ||
				strings.Contains(err.Error(), tokenstest.Secret)) {
				t.Errorf("Fetch: %v, want %q", err, tt.want)
			}
			if tt.want != "" && len(server.Seen("moved")) != 0 {
				t.Error("followed")
			}
		})
	}
}

// Discovery takes 10 seconds a request, however slowly the document comes, and no request has the
// client's secret.
func TestSlowDiscoveryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On(tokenstest.OpenIDPath, func(r *http.Request, _ url.Values) (*http.Response, error) {
			return tokenstest.Response(http.StatusOK, &clientDrip{ctx: r.Context()}), nil
		})
		start := time.Now()
		_, err := fetchFrom(t, server)
		e, ok := errors.AsType[*tokens.Error](err)
		if wait := time.Since(start); wait != 10*time.Second || !ok || e.Op != "discovery" ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: %v", wait, err)
		}
		if server.Seen("")[0].Header.Get("Authorization") != "" {
			t.Error("the secret went to the document")
		}
	})
}

// clientDrip gives a byte a second.
type clientDrip struct{ ctx context.Context }

func (d *clientDrip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

// A transport that ends its goroutine, as that of a test does which calls FailNow, leaves no caller
// waiting.
func TestDiscoveryThatNeverReturns(t *testing.T) {
	server := tokenstest.NewServer()
	server.On(tokenstest.OpenIDPath, func(*http.Request, url.Values) (*http.Response, error) {
		runtime.Goexit()
		return nil, io.EOF
	})
	_, err := fetchFrom(t, server)
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" {
		t.Errorf("Fetch: %v", err)
	}
}

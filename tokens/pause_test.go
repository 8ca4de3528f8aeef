package tokens_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// pauseLogin begins a login at a server that takes any code, and returns the browser's answer to it.
func pauseLogin(t *testing.T, c *tokens.Client) (*tokens.Login, url.Values) {
	t.Helper()
	l, err := c.NewLogin(t.Context(), "https://app.example.com/callback")
	if err != nil {
		t.Fatal(err)
	}
	return l, url.Values{"state": {loginQuery(t, l).Get("state")}, "code": {"a-code"}, "iss": {clientIssuer}}
}

// A pause belongs to the endpoint that asked for it: what one person's logout causes at the
// revocation endpoint stops no token, no login and no other logout.
func TestPauseOfTheRevocationEndpointStopsNothingElse(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			server := newClientServer()
			server.on("/revoke", clientGives(status, "", "", "Retry-After", "3600"))
			client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
			login, back := pauseLogin(t, client)
			manager := newManager(t, client.ClientCredentials())

			for range 2 {
				err := client.Revoke(t.Context(), tokens.NewSecret("a-token"), "refresh_token")
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != status {
					t.Fatalf("Revoke: %v", err)
				}
			}
			if n := len(server.seen("/revoke")); n != 2 {
				t.Errorf("%d revocations were sent, want 2", n)
			}
			mustToken(t, manager.Source(tokens.Key{}))
			if _, err := login.Finish(t.Context(), back); err != nil {
				t.Error("login:", err)
			}
		})
	}
}

// Of two requests that are under way together one is told to come back later than the other.
func TestPauseIsNotShortenedByALaterAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newClientServer()
		fetcher := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))).ClientCredentials()
		asks := func(takes time.Duration, retryAfter string) {
			server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				<-time.After(max(1, takes))
				return clientGives(http.StatusServiceUnavailable, "", "", "Retry-After", retryAfter)(r, form)
			})
			go func() { _, _ = fetcher.Fetch(t.Context(), tokens.Request{}) }()
			synctest.Wait()
		}
		asks(2*time.Second, "1")
		asks(time.Second, "120")
		<-time.After(120 * time.Second)
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err == nil || len(server.seen("/token")) != 2 {
			t.Errorf("%d requests within the longer pause, error %v", len(server.seen("/token")), err)
		}
	})
}

// A pause of the token endpoint does not hold for another URL that discovery names meanwhile.
func TestPauseDoesNotMoveWithTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newClientServer()
		fetcher := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))).ClientCredentials()
		fetch := func() error {
			_, err := fetcher.Fetch(t.Context(), tokens.Request{})
			return err
		}
		if err := fetch(); err != nil {
			t.Fatal(err)
		}
		<-time.After(25 * time.Hour)
		server.on("/token", clientGives(http.StatusTooManyRequests, "", "", "Retry-After", "300"))
		server.on("/other", clientJSON(http.StatusOK, clientGood))
		server.on(clientOpenID, clientJSON(http.StatusOK, clientDocument(map[string]any{"token_endpoint": clientIssuer + "/other"})))
		if err := fetch(); err == nil { // at the old URL; the document is read meanwhile
			t.Fatal("no error of the old endpoint")
		}
		synctest.Wait()
		if err := fetch(); err != nil {
			t.Error("the new endpoint:", err)
		}
	})
}

// A login whose code was not sent can be finished later.
func TestLoginThatAPauseTurnsAwayIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newClientServer()
		client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
		login, back := pauseLogin(t, client)
		server.on("/token", clientGives(http.StatusTooManyRequests, "", "", "Retry-After", "60"))
		if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
			t.Fatal("no error")
		}
		server.on("/token", clientJSON(http.StatusOK, clientGood))
		_, err := login.Finish(t.Context(), back)
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.RetryAfter != time.Minute || len(server.seen("/token")) != 1 {
			t.Fatalf("Finish in the pause: %v", err)
		}
		<-time.After(max(1, e.RetryAfter))
		if _, err := login.Finish(t.Context(), back); err != nil {
			t.Error("Finish after the pause:", err)
		}
		if _, err := login.Finish(t.Context(), back); !errors.Is(err, tokens.ErrLoginUsed) {
			t.Error("Finish once more:", err)
		}
	})
}

// Nor can a function that panics before the code is sent use a login up.
func TestLoginAfterAPanicIsNotUsed(t *testing.T) {
	server := newClientServer()
	fails := true
	client := server.client(t, tokens.ClientSecretBasicFunc(func(context.Context) (tokens.Secret, error) {
		if fails {
			panic("the secret's store")
		}
		return tokens.NewSecret(clientSecret), nil
	}))
	login, back := pauseLogin(t, client)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = login.Finish(t.Context(), back)
	}()
	fails = false
	if _, err := login.Finish(t.Context(), back); err != nil {
		t.Error(err)
	}
}

package oauth_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// Of two requests that are under way together one is told to come back later than the other.
func TestPauseIsNotShortenedByALaterAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		asks := func(takes time.Duration, retryAfter string) {
			server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				<-time.After(max(1, takes))
				return tokenstest.Gives(http.StatusServiceUnavailable, "", "", "Retry-After", retryAfter)(r, form)
			})
			go func() { _, _ = fetcher.Fetch(t.Context(), tokens.Request{}) }()
			synctest.Wait()
		}
		asks(2*time.Second, "1")
		asks(time.Second, "120")
		<-time.After(120 * time.Second)
		if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err == nil || len(server.Seen("/token")) != 2 {
			t.Errorf("%d requests within the longer pause, error %v", len(server.Seen("/token")), err)
		}
	})
}

// A pause of the token endpoint does not hold for another URL that discovery names meanwhile.
func TestPauseDoesNotMoveWithTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
		fetch := func() error {
			_, err := fetcher.Fetch(t.Context(), tokens.Request{})
			return err
		}
		if err := fetch(); err != nil {
			t.Fatal(err)
		}
		<-time.After(25 * time.Hour)
		server.On("/token", tokenstest.Gives(http.StatusTooManyRequests, "", "", "Retry-After", "300"))
		server.On("/other", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"token_endpoint": tokenstest.Issuer + "/other"})))
		if err := fetch(); err == nil { // at the old URL; the document is read meanwhile
			t.Fatal("no error of the old endpoint")
		}
		synctest.Wait()
		if err := fetch(); err != nil {
			t.Error("the new endpoint:", err)
		}
	})
}

// What callers bring can be more than the endpoint answers, for as long as they come. The client's own
// tokens wait for a pause that they have caused themselves, and callers wait for both.
func TestPauseThatCallersCauseIsTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		busy := tokenstest.Gives(http.StatusTooManyRequests, "", "", "Retry-After", "60")
		own, callers := client.ClientCredentials(), client.JWTBearer(func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
			return oauth.SecurityToken{Token: tokens.NewSecret("an-assertion")}, nil
		})
		asks := func(what tokens.Fetcher, answer tokenstest.Handler) (asked bool, err error) {
			server.On("/token", answer)
			before := len(server.Seen("/token"))
			_, err = what.Fetch(t.Context(), tokens.Request{})
			return len(server.Seen("/token")) > before, err
		}
		good := tokenstest.JSON(http.StatusOK, tokenstest.Good)
		if _, err := asks(callers, busy); err == nil {
			t.Fatal("no error")
		}
		if _, err := asks(own, good); err != nil {
			t.Error("in the callers' pause:", err)
		}
		if asked, err := asks(callers, good); asked || err == nil {
			t.Error("callers in their pause:", err)
		}
		<-time.After(time.Minute)
		if _, err := asks(own, busy); err == nil {
			t.Fatal("no error")
		}
		for name, what := range map[string]tokens.Fetcher{"own": own, "callers": callers} {
			if asked, err := asks(what, good); asked || err == nil {
				t.Errorf("%s, in the own pause: %v", name, err)
			}
		}
		<-time.After(time.Minute)
		if _, err := asks(callers, good); err != nil {
			t.Error("after the pause:", err)
		}
	})
}

package oauth_test

import (
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

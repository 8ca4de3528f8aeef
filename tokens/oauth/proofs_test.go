package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// maxProofs is how many proofs are tried in a row at once, as the documentation says.
const maxProofs = 4

// changing are the ways in which a client can bring another proof each time, number n of them.
func changing(n *int) map[string]oauth.ClientAuth {
	secret := func(context.Context) (tokens.Secret, error) {
		*n++
		return tokens.NewSecret(fmt.Sprint("the-secret-number-", *n)), nil
	}
	return map[string]oauth.ClientAuth{
		"secrets": oauth.ClientSecretBasicFunc(secret),
		"posted":  oauth.ClientSecretPostFunc(secret),
		"assertions": oauth.ClientAssertionFunc(func(context.Context) (tokens.Secret, error) {
			*n++
			return tokens.NewSecret(readyJWT(*n)), nil
		}),
	}
}

// A function that brings another proof for each request does not ask a server that refuses them
// all the time, and is not locked out by the pause: it ends after 5 minutes.
func TestProofsThatChangeAllTheTimeAreNotAllTried(t *testing.T) {
	for name := range changing(new(int)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := tokenstest.NewServer()
				server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
				n := 0
				fetcher := tokenstest.NewClient(t, server, changing(&n)[name]).ClientCredentials()
				fetch := func() error {
					_, err := fetcher.Fetch(t.Context(), tokens.Request{})
					return err
				}
				for i := range 20 {
					if e, ok := errors.AsType[*tokens.Error](fetch()); !ok || e.Code != "invalid_client" || (e.Pause == 0) != (i < maxProofs) {
						t.Errorf("request %d: %#v", i, e)
					}
				}
				if n := len(server.Seen("/token")); n != maxProofs {
					t.Errorf("%d requests, want %d", n, maxProofs)
				}
				for range 60 * 60 {
					<-time.After(time.Second)
					_ = fetch()
				}
				if n := len(server.Seen("/token")); n < maxProofs+10 || n > maxProofs+60*60/30 {
					t.Errorf("%d requests in an hour", n)
				}
				server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
				<-time.After(5 * time.Minute)
				if err := fetch(); err != nil {
					t.Error("after the pause:", err)
				}
				// A success begins the count again.
				server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
				before := len(server.Seen("/token"))
				for range 20 {
					_ = fetch()
				}
				if n := len(server.Seen("/token")) - before; n != maxProofs {
					t.Errorf("%d requests after a success, want %d", n, maxProofs)
				}
			})
		})
	}
}

// Where the refusal may be about what a caller brought, its pause grows as well, whatever the proof
// is.
func TestDoubtfulRefusalsOfChangingProofsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		n := 0
		fetcher := tokenstest.NewClient(t, server, changing(&n)["assertions"]).Exchange(tokenFromContext(0))
		for i := range 10 * 60 {
			_, _ = fetcher.Fetch(callerWith(t, subjectToken(fmt.Sprint(i))), tokens.Request{Key: tokens.Key{Subject: "any"}})
			<-time.After(time.Second)
		}
		if n := len(server.Seen("/token")); n > 30 {
			t.Errorf("%d exchanges in ten minutes", n)
		}
	})
}

// Two replicas of one secret that disagree do not ask in turns.
func TestTwoProofsInTurnsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		var sent []string
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			sent = append(sent, form.Get("client_secret"))
			return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
		})
		now := ""
		fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretPostFunc(func(context.Context) (tokens.Secret, error) {
			return tokens.NewSecret(now), nil
		})).ClientCredentials()
		for i := range 20 {
			now = fmt.Sprint("the-secret-of-replica-", i%2)
			if _, err := fetcher.Fetch(t.Context(), tokens.Request{}); err == nil {
				t.Fatal("no error")
			}
		}
		if len(sent) != maxProofs {
			t.Errorf("sent %q", sent)
		}
	})
}

// What outsiders have caused makes no pause of the service's own requests longer.
func TestRefusalOfTheServiceDoesNotCountThoseOfOutsiders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(http.StatusBadRequest, `{"error":"unauthorized_client"}`))
		c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		callers := c.JWTBearer(tokenFromContext(0))
		for i := range 200 {
			_, _ = callers.Fetch(callerWith(t, subjectToken(fmt.Sprint("assertion-", i))), tokens.Request{})
			<-time.After(time.Second)
		}
		own := c.JWTBearerPerKey(func(_ context.Context, key tokens.Key) (tokens.Secret, error) {
			return tokens.NewSecret("assertion-for-" + key.Subject), nil
		})
		before := len(server.Seen("/token"))
		for _, want := range []time.Duration{0, time.Second} { // that is left of a pause
			_, err := own.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Subject: "alice"}})
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "unauthorized_client" || e.RetryAfter != want {
				t.Errorf("%v, a pause of %v, want %s", err, e, want)
			}
		}
		if n := len(server.Seen("/token")) - before; n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// requestsCounted is a handler that takes a while, and the largest number of requests in it at
// once.
type requestsCounted struct {
	mu        sync.Mutex
	now, most int
}

func (c *requestsCounted) handler(takes time.Duration, then tokenstest.Handler) tokenstest.Handler {
	return func(r *http.Request, form url.Values) (*http.Response, error) {
		c.mu.Lock()
		c.now++
		c.most = max(c.most, c.now)
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now--
		}()
		select {
		case <-time.After(max(1, takes)):
			return then(r, form)
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// However many keys are needed at once, the server sees a bounded number of requests.
func TestRequestsAtOnceAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []oauth.ClientOption
		want int
	}{
		"by default": {nil, 16},
		"by one":     {[]oauth.ClientOption{oauth.WithMaxRequests(1)}, 1},
		"by 100":     {[]oauth.ClientOption{oauth.WithMaxRequests(100)}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count requestsCounted
				server := tokenstest.NewServer()
				server.On("/token", count.handler(10*time.Millisecond, tokenstest.JSON(http.StatusOK, tokenstest.Good)))
				client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), tt.opts...)
				manager := tokenstest.NewManager(t, client.ClientCredentials())
				var wg sync.WaitGroup
				for i := range 300 {
					wg.Go(func() { tokenstest.MustToken(t, manager.Source(tokens.Key{Scope: fmt.Sprint(i)})) })
				}
				wg.Wait()
				if count.most != tt.want || len(server.Seen("/token")) != 300 {
					t.Errorf("%d requests at once, want %d", count.most, tt.want)
				}
			})
		})
	}
}

// Callers who bring more tokens than the server can judge do not keep the service's own token
// waiting.
func TestTokensOfCallersLeaveRoomForOthers(t *testing.T) {
	for _, tt := range []struct{ all, callers int }{
		{1, 1}, {2, 1}, {3, 2}, {4, 3}, {16, 12}, {100, 75},
	} {
		for grant, fetcher := range callerGrants {
			t.Run(fmt.Sprintf("%s, %d at once", grant, tt.all), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var count requestsCounted
					server := echoServer()
					slow := count.handler(time.Second, server.Handler("/token"))
					server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
						if form.Get("grant_type") == "client_credentials" {
							return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
						}
						return slow(r, form)
					})
					auth := oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))
					client := tokenstest.NewClient(t, server, auth, oauth.WithMaxRequests(tt.all))
					manager := tokenstest.NewManager(t, fetcher(client), tokens.WithFetchTimeout(time.Hour))
					source := manager.Source(tokens.Key{Subject: "any"})
					var wg sync.WaitGroup
					for i := range 300 {
						wg.Go(func() { _, _ = source.Token(callerWith(t, subjectToken(fmt.Sprint(i)))) })
					}
					synctest.Wait()
					began := time.Now()
					_, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{})
					if waited := time.Since(began); err != nil || tt.all > 1 && waited > 0 {
						t.Errorf("after %v: %v", waited, err)
					}
					wg.Wait()
					if count.most != tt.callers {
						t.Errorf("%d requests for callers at once, want %d", count.most, tt.callers)
					}
				})
			})
		}
	}
}

func TestMaxRequestsIsAtLeastOne(t *testing.T) {
	for _, opts := range [][]oauth.ClientOption{{oauth.WithMaxRequests(0)}, {oauth.WithMaxRequests(-1)}, {oauth.WithMaxRequests(2), oauth.WithMaxRequests(2)}} {
		if _, err := oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), opts...); err == nil || !strings.Contains(err.Error(), "MaxRequests") {
			t.Errorf("%v", err)
		}
	}
}

// A request waits for its turn for three quarters of the time that its context leaves it, and
// WithFetchTimeout counts the wait. One that hangs is given up, so that the others have their
// turns.
func TestRequestsThatHangLetOthersHaveTheirTurn(t *testing.T) {
	for name, hang := range map[string]tokenstest.Handler{
		"until their context ends": func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"beyond their context": func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-time.After(time.Hour)
			return nil, errors.New("late")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := tokenstest.NewServer()
				server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
					if form.Get("resource") == "https://slow.example" {
						return hang(r, form)
					}
					return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
				})
				client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
				manager := tokenstest.NewManager(t, client.ClientCredentials())
				for i := range 16 {
					go func() {
						_, _ = manager.Source(tokens.Key{Resource: "https://slow.example", Scope: fmt.Sprint(i)}).Token(t.Context())
					}()
				}
				synctest.Wait()
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				const wait = 750 * time.Millisecond
				if _, err := client.ClientCredentials().Fetch(ctx, tokens.Request{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != wait {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				// The revocation endpoint is another.
				if err := client.Revoke(t.Context(), tokens.NewSecret("a-token"), ""); err != nil || time.Since(began) != wait {
					t.Errorf("Revoke after %v: %v", time.Since(began), err)
				}
				tokenstest.MustToken(t, manager.Source(tokens.Key{Resource: "https://fast.example"}))
				if passed := time.Since(began); passed != 10*time.Second {
					t.Errorf("a token after %v", passed)
				}
				<-time.After(2 * time.Hour) // all that hung have ended
			})
		})
	}
}

// A pause that begins while requests wait for their turn holds for them as well.
func TestRequestsThatWaitHeedAPause(t *testing.T) {
	for name, answer := range map[string]tokenstest.Handler{
		"429":            tokenstest.Gives(http.StatusTooManyRequests, "", "", "Retry-After", "60"),
		"invalid_client": tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count requestsCounted
				server := tokenstest.NewServer()
				server.On("/token", count.handler(time.Second, answer))
				fetcher := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).ClientCredentials()
				var wg sync.WaitGroup
				for i := range 200 {
					wg.Go(func() { _, _ = fetcher.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Scope: fmt.Sprint(i)}}) })
				}
				wg.Wait()
				if n := len(server.Seen("/token")); n != 16 {
					t.Errorf("%d requests, want %d", n, 16)
				}
			})
		})
	}
}

// A wrong secret is about the client: many keys do not try it many times. Some servers say so
// with the status 200.
func TestRefusalOfTheClientHoldsForAllKeys(t *testing.T) {
	for code, status := range map[string]int{"invalid_client": http.StatusUnauthorized, "unauthorized_client": http.StatusOK} {
		for grant, fetcher := range map[string]func(*oauth.Client) tokens.Fetcher{
			"client credentials": (*oauth.Client).ClientCredentials,
			"exchange":           func(c *oauth.Client) tokens.Fetcher { return c.Exchange(tokenFromContext(0)) },
		} {
			t.Run(code+", "+grant, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var count requestsCounted
					server := tokenstest.NewServer()
					server.On("/token", count.handler(50*time.Millisecond, tokenstest.JSON(status, `{"error":"`+code+`"}`)))
					manager := tokenstest.NewManager(t, fetcher(tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))))
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
					defer cancel()
					var wg sync.WaitGroup
					for i := range 300 {
						key := tokens.Key{Scope: fmt.Sprint("s", i)}
						ctx := ctx
						if grant == "exchange" {
							key.Subject = fmt.Sprint("user", i)
							ctx = context.WithValue(ctx, callerKey{}, []oauth.SecurityToken{subjectToken(key.Subject)})
						}
						source := manager.Source(key)
						wg.Go(func() {
							for ctx.Err() == nil {
								_, err := source.Token(ctx)
								e, ok := errors.AsType[*tokens.UnavailableError](err)
								if !ok {
									return
								}
								<-time.After(min(e.RetryAfter, 11*time.Minute) + 1)
							}
						})
					}
					wg.Wait()
					if n := len(server.Seen("/token")); n > 120 {
						t.Errorf("%d requests in ten minutes", n)
					}
				})
			})
		}
	}
}

// unauthorized_client is about a grant type (RFC 6749 section 5.2), and another grant goes on.
func TestUnauthorizedClientHoldsForItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if form.Get("grant_type") == "client_credentials" {
				return tokenstest.JSON(http.StatusBadRequest, `{"error":"unauthorized_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		login, back := tokenstest.Login(t, client)
		for range 2 {
			if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
				t.Fatal("no error")
			}
		}
		if _, _, err := login.Finish(t.Context(), back); err != nil {
			t.Error("a login:", err)
		}
		if n := len(server.Seen("/token")); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// Nor does it make a refusal for what one caller brought hold for others: the server accepts the
// client.
func TestUnauthorizedClientLeavesTheClientAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			switch {
			case form.Get("grant_type") == "client_credentials":
				return tokenstest.JSON(http.StatusBadRequest, `{"error":"unauthorized_client"}`)(r, form)
			case form.Get("assertion") == "of another client":
				return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		callers := tokenstest.NewManager(t, client.JWTBearer(assertionFromContext)).Source(tokens.Key{})
		if _, err := callers.Token(callerWith(t, subjectToken("a"))); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
			t.Fatal("no error")
		}
		if _, err := callers.Token(callerWith(t, subjectToken("of another client"))); err == nil {
			t.Fatal("no error")
		}
		if _, err := callers.Token(callerWith(t, subjectToken("b"))); err != nil {
			t.Error("another caller:", err)
		}
	})
}

// Google says unauthorized_client for an assertion whose subject is of a domain that has not let
// the service account act for its people. That is about this key.
func TestUnauthorizedClientForOneSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if strings.HasSuffix(form.Get("assertion"), "@evil.test") {
				return tokenstest.JSON(http.StatusUnauthorized, `{"error":"unauthorized_client"}`)(r, form)
			}
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		manager := tokenstest.NewManager(t, client.JWTBearerPerKey(
			func(_ context.Context, key tokens.Key) (tokens.Secret, error) {
				return tokens.NewSecret("for-" + key.Subject), nil
			}))
		tokenOf := func(subject string) error {
			_, err := manager.Source(tokens.Key{Subject: subject}).Token(t.Context())
			return err
		}

		if tokenOf("mallory@evil.test") == nil {
			t.Fatal("no error")
		}
		<-time.After(time.Second)
		if err := tokenOf("alice@example.com"); err != nil {
			t.Error("a second after the refusal:", err)
		}
		if tokenOf("eve@evil.test") == nil {
			t.Fatal("no error")
		}
		if err := tokenOf("bob@example.com"); err != nil {
			t.Error("while the server accepts the client:", err)
		}
	})
}

// Some servers refuse the client for a code that is another client's, which anybody can bring. That
// holds for a second, for logins alone, and one that is turned away meanwhile is not used up.
func TestRefusalForWhatACallerBroughtHoldsForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		mallory, stolen := tokenstest.Login(t, client)
		login, back := tokenstest.Login(t, client)
		source := tokenstest.NewManager(t, client.ClientCredentials()).Source(tokens.Key{})

		server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		if _, _, err := mallory.Finish(t.Context(), stolen); err == nil {
			t.Fatal("no error")
		}
		server.On("/token", tokenstest.JSON(http.StatusOK, tokenstest.Good))
		_, _, err := login.Finish(t.Context(), back)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.RetryAfter != time.Second {
			t.Errorf("a login: %v", err)
		}
		<-time.After(time.Second)
		if _, _, err := login.Finish(t.Context(), back); err != nil {
			t.Errorf("a login after a second: %v", err)
		}
		tokenstest.MustToken(t, source)
	})
}

// What one person brings again and again, and a server refuses the client for, stops no others.
func TestRefusalsForWhatOneCallerBringsStopNoOthers(t *testing.T) {
	for _, code := range []string{"invalid_client", "unauthorized_client"} {
		synctest.Test(t, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				<-time.After(50 * time.Millisecond)
				if strings.HasPrefix(form.Get("subject_token"), "evil") {
					return tokenstest.JSON(http.StatusUnauthorized, `{"error":"`+code+`"}`)(r, form)
				}
				return tokenstest.JSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`))(r, form)
			})
			client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
			own := tokenstest.NewManager(t, client.ClientCredentials())
			source := tokenstest.NewManager(t, client.Exchange(tokenFromContext(0))).Source(tokens.Key{Subject: "any"})
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					_, _ = source.Token(callerWith(t, subjectToken(fmt.Sprint("evil", i))))
					<-time.After(50 * time.Millisecond)
				}
			})
			<-time.After(time.Minute) // in which the server has accepted nothing of this client
			tokenstest.MustToken(t, own.Source(tokens.Key{}))
			for i := 0; ; i++ {
				if _, err := source.Token(callerWith(t, subjectToken(fmt.Sprint("first", i)))); err == nil {
					break
				}
				if i == 60*60*10 {
					t.Fatal("no user gets a token in an hour")
				}
				<-time.After(max(1, rand.N(200*time.Millisecond)))
			}
			for i := range 100 { // in each second one, now that the server has accepted an exchange
				tokenstest.MustToken(t, own.Source(tokens.Key{Scope: fmt.Sprint(i)}))
				if _, err := source.Token(callerWith(t, subjectToken(fmt.Sprint("user", i)))); err != nil {
					t.Errorf("another user: %v", err)
				}
				login, back := tokenstest.Login(t, client)
				if _, _, err := login.Finish(t.Context(), back); err != nil {
					t.Errorf("a login: %v", err)
				}
				<-time.After(time.Second)
			}
			cancel()
			wg.Wait()
		})
	}
}

// A secret that the server has stopped accepting is not tried by each key for long.
func TestRefusalOfASecretThatWasGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", tokenstest.JSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`)))
		client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
		ask := func(i int) {
			_, _ = client.Exchange(tokenFromContext(0)).Fetch(callerWith(t, subjectToken(fmt.Sprint(i))), tokens.Request{Key: tokens.Key{Subject: "any"}})
		}
		ask(0)
		server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		<-time.After(10 * time.Minute)
		before := len(server.Seen("/token"))
		for i := range 10 * 60 {
			ask(i)
			<-time.After(time.Second)
		}
		if n := len(server.Seen("/token")) - before; n > 30 {
			t.Errorf("%d exchanges in ten minutes", n)
		}

		server.On("/token", tokenstest.JSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`)))
		<-time.After(time.Minute)
		ask(0)
		server.On("/token", tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		_, _ = client.ClientCredentials().Fetch(t.Context(), tokens.Request{}) // which leaves no doubt
		before = len(server.Seen("/token"))
		for i := range 100 {
			ask(i)
		}
		if n := len(server.Seen("/token")) - before; n != 0 {
			t.Errorf("%d exchanges after the client itself was refused", n)
		}
	})
}

// A function that returns another secret ends the pause of the one that was refused.
func TestAnotherSecretIsTriedAtOnce(t *testing.T) {
	for name, auth := range map[string]func(func(context.Context) (tokens.Secret, error)) oauth.ClientAuth{
		"basic": oauth.ClientSecretBasicFunc, "post": oauth.ClientSecretPostFunc,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				secret := "the-old-secret-of-the-client"
				server := tokenstest.NewServer()
				var tried []string
				server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
					tried = append(tried, secret)
					if secret != "the-new-secret-of-the-client" {
						return tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
					}
					return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
				})
				fetcher := tokenstest.NewClient(t, server, auth(func(context.Context) (tokens.Secret, error) { return tokens.NewSecret(secret), nil })).ClientCredentials()
				for _, secret = range []string{"the-old-secret-of-the-client", "the-old-secret-of-the-client", "the-new-secret-of-the-client"} {
					_, err := fetcher.Fetch(t.Context(), tokens.Request{})
					if good := secret == "the-new-secret-of-the-client"; (err == nil) != good {
						t.Errorf("%s: %v", secret, err)
					}
				}
				if want := []string{"the-old-secret-of-the-client", "the-new-secret-of-the-client"}; !slices.Equal(tried, want) {
					t.Errorf("tried %q, want %q", tried, want)
				}
			})
		})
	}
}

// One API that refuses all tokens of all users causes one renewal of each, and few more.
func TestRefusalsOfOneAPIAreBoundedForAllKeys(t *testing.T) {
	const users = 500
	for name, sources := range map[string]func(t *testing.T) (all []*tokens.Source, renewals func() int){
		"a Manager": func(t *testing.T) ([]*tokens.Source, func() int) {
			var count atomic.Int64
			m := tokenstest.NewManager(t, tokens.FetcherFunc(func(context.Context, tokens.Request) (*tokens.Response, error) {
				name := fmt.Sprint("token-", count.Add(1))
				return &tokens.Response{AccessToken: tokens.NewSecret(name), TokenType: "Bearer", ExpiresIn: time.Hour}, nil
			}))
			var all []*tokens.Source
			for i := range users {
				all = append(all, m.Source(tokens.Key{Subject: fmt.Sprint(i)}))
			}
			return all, func() int { return int(count.Load()) - users }
		},
		"sessions of a Client": func(t *testing.T) ([]*tokens.Source, func() int) {
			server := tokenstest.NewServer()
			count := 0
			server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				count++
				return tokenstest.JSON(http.StatusOK, fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, count))(r, form)
			})
			client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithMaxRequests(1))
			store := session.NewMemoryStore()
			var all []*tokens.Source
			for i := range users {
				alice, err := session.New(client, store, fmt.Sprint(i))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = alice.Close() })
				if err := alice.Adopt(t.Context(), tokens.NewSecret(fmt.Sprint("refresh-", i))); err != nil {
					t.Fatal(err)
				}
				all = append(all, alice.Source(tokens.Key{}))
			}
			return all, func() int { return len(server.Seen("/token")) - users }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, renewals := sources(t)
				for _, source := range all {
					tokenstest.MustToken(t, source)
				}
				for range 5 * 60 / 5 {
					for _, source := range all {
						source.Invalidate(tokenstest.MustToken(t, source))
						tokenstest.MustToken(t, source)
					}
					<-time.After(5 * time.Second)
				}
				if n := renewals(); n < users || n > users+10+5*60/10 {
					t.Errorf("%d renewals in 5 minutes, want %d and few more", n, users)
				}
				<-time.After(10 * time.Minute) // then an honest refusal holds at once, for all
				before := renewals()
				for _, source := range all {
					if !source.Invalidate(tokenstest.MustToken(t, source)) {
						t.Fatal("a refusal was ignored")
					}
					tokenstest.MustToken(t, source)
				}
				if n := renewals() - before; n != users {
					t.Errorf("%d renewals, want %d", n, users)
				}
			})
		})
	}
}

package tokens_test

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
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

// requestsCounted is a handler that takes a while, and the largest number of requests in it at once.
type requestsCounted struct {
	mu        sync.Mutex
	now, most int
}

func (c *requestsCounted) handler(takes time.Duration, then clientHandler) clientHandler {
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
		opts []tokens.ClientOption
		want int
	}{
		"by default": {nil, tokens.DefaultMaxRequests},
		"by one":     {[]tokens.ClientOption{tokens.MaxRequests(1)}, 1},
		"by 100":     {[]tokens.ClientOption{tokens.MaxRequests(100)}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count requestsCounted
				server := newClientServer()
				server.on("/token", count.handler(10*time.Millisecond, clientJSON(http.StatusOK, clientGood)))
				client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)), tt.opts...)
				manager := newManager(t, client.ClientCredentials())
				var wg sync.WaitGroup
				for i := range 300 {
					wg.Go(func() { mustToken(t, manager.Source(tokens.Key{Scope: fmt.Sprint(i)})) })
				}
				wg.Wait()
				if count.most != tt.want || len(server.seen("/token")) != 300 {
					t.Errorf("%d requests at once, want %d", count.most, tt.want)
				}
			})
		})
	}
}

// Who brings more tokens than the server can judge does not keep the service's own waiting.
func TestTokensOfCallersLeaveRoomForOthers(t *testing.T) {
	for _, tt := range []struct{ all, callers int }{
		{1, 1}, {2, 1}, {3, 2}, {4, 3}, {16, 12}, {100, 75},
	} {
		for grant, fetcher := range presentedGrants {
			t.Run(fmt.Sprintf("%s, %d at once", grant, tt.all), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var count requestsCounted
					server := presentedServer()
					slow := count.handler(time.Second, server.handlers["/token"])
					server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
						if form.Get("grant_type") == "client_credentials" {
							return clientJSON(http.StatusOK, clientGood)(r, form)
						}
						return slow(r, form)
					})
					auth := tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))
					client := server.client(t, auth, tokens.MaxRequests(tt.all))
					manager := newManager(t, fetcher(client), tokens.FetchTimeout(time.Hour))
					source := manager.Source(tokens.Key{Subject: "any"})
					var wg sync.WaitGroup
					for i := range 300 {
						wg.Go(func() { _, _ = source.Token(presentedBy(t, presentedText(fmt.Sprint(i)))) })
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
	for _, opts := range [][]tokens.ClientOption{{tokens.MaxRequests(0)}, {tokens.MaxRequests(-1)}, {tokens.MaxRequests(2), tokens.MaxRequests(2)}} {
		if _, err := tokens.NewClient(clientIssuer, "orders", tokens.NoClientAuth(), opts...); err == nil || !strings.Contains(err.Error(), "MaxRequests") {
			t.Errorf("%v", err)
		}
	}
}

// A request that waits for its turn waits as long as its context allows, and FetchTimeout counts the
// wait. One that hangs is given up, so that the others have their turns.
func TestRequestsThatHangLetOthersHaveTheirTurn(t *testing.T) {
	for name, hang := range map[string]clientHandler{
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
				server := newClientServer()
				server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
					if form.Get("resource") == "https://slow.example" {
						return hang(r, form)
					}
					return clientJSON(http.StatusOK, clientGood)(r, form)
				})
				client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
				manager := newManager(t, client.ClientCredentials())
				for i := range tokens.DefaultMaxRequests {
					go func() {
						_, _ = manager.Source(tokens.Key{Resource: "https://slow.example", Scope: fmt.Sprint(i)}).Token(t.Context())
					}()
				}
				synctest.Wait()
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := client.ClientCredentials().Fetch(ctx, tokens.Request{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				// The revocation endpoint is another.
				if err := client.Revoke(t.Context(), tokens.NewSecret("a-token"), ""); err != nil || time.Since(began) != time.Second {
					t.Errorf("Revoke after %v: %v", time.Since(began), err)
				}
				mustToken(t, manager.Source(tokens.Key{Resource: "https://fast.example"}))
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
	for name, answer := range map[string]clientHandler{
		"429":            clientGives(http.StatusTooManyRequests, "", "", "Retry-After", "60"),
		"invalid_client": clientJSON(http.StatusUnauthorized, `{"error":"invalid_client"}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count requestsCounted
				server := newClientServer()
				server.on("/token", count.handler(time.Second, answer))
				fetcher := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))).ClientCredentials()
				var wg sync.WaitGroup
				for i := range 200 {
					wg.Go(func() { _, _ = fetcher.Fetch(t.Context(), tokens.Request{Key: tokens.Key{Scope: fmt.Sprint(i)}}) })
				}
				wg.Wait()
				if n := len(server.seen("/token")); n != tokens.DefaultMaxRequests {
					t.Errorf("%d requests, want %d", n, tokens.DefaultMaxRequests)
				}
			})
		})
	}
}

// A wrong secret is about the client: many keys do not try it many times. Some servers say so
// with the status 200.
func TestRefusalOfTheClientHoldsForAllKeys(t *testing.T) {
	for code, status := range map[string]int{"invalid_client": http.StatusUnauthorized, "unauthorized_client": http.StatusOK} {
		for grant, fetcher := range map[string]func(*tokens.Client) tokens.Fetcher{
			"client credentials": (*tokens.Client).ClientCredentials,
			"exchange":           func(c *tokens.Client) tokens.Fetcher { return c.Exchange(presentedFrom(0)) },
		} {
			t.Run(code+", "+grant, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var count requestsCounted
					server := newClientServer()
					server.on("/token", count.handler(50*time.Millisecond, clientJSON(status, `{"error":"`+code+`"}`)))
					manager := newManager(t, fetcher(server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))))
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
					defer cancel()
					var wg sync.WaitGroup
					for i := range 300 {
						key := tokens.Key{Scope: fmt.Sprint("s", i)}
						ctx := ctx
						if grant == "exchange" {
							key.Subject = fmt.Sprint("user", i)
							ctx = context.WithValue(ctx, presentedKey{}, []tokens.SecurityToken{presentedText(key.Subject)})
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
					if n := len(server.seen("/token")); n > 120 {
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
		server := newClientServer()
		server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			if form.Get("grant_type") == "client_credentials" {
				return clientJSON(http.StatusBadRequest, `{"error":"unauthorized_client"}`)(r, form)
			}
			return clientJSON(http.StatusOK, clientGood)(r, form)
		})
		client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
		login, back := pauseLogin(t, client)
		for range 2 {
			if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
				t.Fatal("no error")
			}
		}
		if _, err := login.Finish(t.Context(), back); err != nil {
			t.Error("a login:", err)
		}
		if n := len(server.seen("/token")); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// Some servers refuse the client for a code that is another client's, which anybody can bring. That
// holds for a second, for logins alone, and one that is turned away meanwhile is not used up.
func TestRefusalForWhatACallerBroughtHoldsForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newClientServer()
		client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
		mallory, stolen := pauseLogin(t, client)
		login, back := pauseLogin(t, client)
		source := newManager(t, client.ClientCredentials()).Source(tokens.Key{})

		server.on("/token", clientJSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		if _, err := mallory.Finish(t.Context(), stolen); err == nil {
			t.Fatal("no error")
		}
		server.on("/token", clientJSON(http.StatusOK, clientGood))
		_, err := login.Finish(t.Context(), back)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.RetryAfter != time.Second {
			t.Errorf("a login: %v", err)
		}
		<-time.After(time.Second)
		if _, err := login.Finish(t.Context(), back); err != nil {
			t.Errorf("a login after a second: %v", err)
		}
		mustToken(t, source)
	})
}

// What one person brings again and again, and a server refuses the client for, stops no others.
func TestRefusalsForWhatOneCallerBringsStopNoOthers(t *testing.T) {
	for _, code := range []string{"invalid_client", "unauthorized_client"} {
		synctest.Test(t, func(t *testing.T) {
			server := newClientServer()
			server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				<-time.After(50 * time.Millisecond)
				if strings.HasPrefix(form.Get("subject_token"), "evil") {
					return clientJSON(http.StatusUnauthorized, `{"error":"`+code+`"}`)(r, form)
				}
				return clientJSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`))(r, form)
			})
			client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
			own := newManager(t, client.ClientCredentials())
			source := newManager(t, client.Exchange(presentedFrom(0))).Source(tokens.Key{Subject: "any"})
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					_, _ = source.Token(presentedBy(t, presentedText(fmt.Sprint("evil", i))))
					<-time.After(50 * time.Millisecond)
				}
			})
			<-time.After(time.Minute) // in which the server has accepted nothing of this client
			mustToken(t, own.Source(tokens.Key{}))
			for i := 0; ; i++ {
				if _, err := source.Token(presentedBy(t, presentedText(fmt.Sprint("first", i)))); err == nil {
					break
				}
				if i == 60*60*10 {
					t.Fatal("no user gets a token in an hour")
				}
				<-time.After(max(1, rand.N(200*time.Millisecond)))
			}
			for i := range 100 { // in each second one, now that the server has accepted an exchange
				mustToken(t, own.Source(tokens.Key{Scope: fmt.Sprint(i)}))
				if _, err := source.Token(presentedBy(t, presentedText(fmt.Sprint("user", i)))); err != nil {
					t.Errorf("another user: %v", err)
				}
				login, back := pauseLogin(t, client)
				if _, err := login.Finish(t.Context(), back); err != nil {
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
		server := newClientServer()
		server.on("/token", clientJSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`)))
		client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
		ask := func(i int) {
			_, _ = client.Exchange(presentedFrom(0)).Fetch(presentedBy(t, presentedText(fmt.Sprint(i))), tokens.Request{Key: tokens.Key{Subject: "any"}})
		}
		ask(0)
		server.on("/token", clientJSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		<-time.After(10 * time.Minute)
		before := len(server.seen("/token"))
		for i := range 10 * 60 {
			ask(i)
			<-time.After(time.Second)
		}
		if n := len(server.seen("/token")) - before; n > 30 {
			t.Errorf("%d exchanges in ten minutes", n)
		}

		server.on("/token", clientJSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`)))
		<-time.After(time.Minute)
		ask(0)
		server.on("/token", clientJSON(http.StatusUnauthorized, `{"error":"invalid_client"}`))
		_, _ = client.ClientCredentials().Fetch(t.Context(), tokens.Request{}) // which leaves no doubt
		before = len(server.seen("/token"))
		for i := range 100 {
			ask(i)
		}
		if n := len(server.seen("/token")) - before; n != 0 {
			t.Errorf("%d exchanges after the client itself was refused", n)
		}
	})
}

// A function that returns another secret ends the pause of the one that was refused.
func TestAnotherSecretIsTriedAtOnce(t *testing.T) {
	for name, auth := range map[string]func(func(context.Context) (tokens.Secret, error)) tokens.ClientAuth{
		"basic": tokens.ClientSecretBasicFunc, "post": tokens.ClientSecretPostFunc,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				secret := "the-old-secret-of-the-client"
				server := newClientServer()
				var tried []string
				server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
					tried = append(tried, secret)
					if secret != "the-new-secret-of-the-client" {
						return clientJSON(http.StatusUnauthorized, `{"error":"invalid_client"}`)(r, form)
					}
					return clientJSON(http.StatusOK, clientGood)(r, form)
				})
				fetcher := server.client(t, auth(func(context.Context) (tokens.Secret, error) { return tokens.NewSecret(secret), nil })).ClientCredentials()
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
			s := &server{grant: tokens.Response{ExpiresIn: time.Hour}}
			m := newManager(t, s)
			var all []*tokens.Source
			for i := range users {
				all = append(all, m.Source(tokens.Key{Subject: fmt.Sprint(i)}))
			}
			return all, func() int { return s.count() - users }
		},
		"sessions of a Client": func(t *testing.T) ([]*tokens.Source, func() int) {
			server := newClientServer()
			count := 0
			server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				count++
				return clientJSON(http.StatusOK, fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, count))(r, form)
			})
			client := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)), tokens.MaxRequests(1))
			store := tokens.NewMemoryStore()
			var all []*tokens.Source
			for i := range users {
				session, err := tokens.NewSession(client, store, fmt.Sprint(i))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = session.Close() })
				if err := session.Adopt(t.Context(), tokens.NewSecret(fmt.Sprint("refresh-", i))); err != nil {
					t.Fatal(err)
				}
				all = append(all, session.Source(tokens.Key{}))
			}
			return all, func() int { return len(server.seen("/token")) - users }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, renewals := sources(t)
				for _, source := range all {
					mustToken(t, source)
				}
				for range 5 * 60 / 5 {
					for _, source := range all {
						source.Invalidate(mustToken(t, source))
						mustToken(t, source)
					}
					<-time.After(5 * time.Second)
				}
				if n := renewals(); n < users || n > users+10+5*60/10 {
					t.Errorf("%d renewals in 5 minutes, want %d and few more", n, users)
				}
				<-time.After(10 * time.Minute) // then an honest refusal is heeded at once, of all
				before := renewals()
				for _, source := range all {
					if !source.Invalidate(mustToken(t, source)) {
						t.Fatal("a refusal was not heeded")
					}
					mustToken(t, source)
				}
				if n := renewals() - before; n != users {
					t.Errorf("%d renewals, want %d", n, users)
				}
			})
		})
	}
}

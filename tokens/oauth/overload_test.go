package oauth_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// While more comes than the server can answer, it answers as many as ever: none is sent that has no
// time left for its answer.
func TestRequestsAreAnsweredWhileTooManyWait(t *testing.T) {
	own := func(c *oauth.Client) tokens.Fetcher { return c.ClientCredentials() }
	for name, tt := range map[string]struct {
		fetcher  func(*oauth.Client) tokens.Fetcher
		atOnce   int
		key      func(i int) tokens.Key
		expected int // answers in ten seconds
	}{
		"exchange": {callerGrants["exchange"], 3, func(int) tokens.Key { return tokens.Key{Subject: "any"} }, 150},
		"JWT":      {callerGrants["JWT"], 3, func(int) tokens.Key { return tokens.Key{} }, 150},
		"own":      {own, 4, func(i int) tokens.Key { return tokens.Key{Scope: fmt.Sprint(i)} }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var count requestsCounted
				server := echoServer()
				server.On("/token", count.handler(200*time.Millisecond, server.Handler("/token")))
				auth := oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))
				manager := tokenstest.NewManager(t, tt.fetcher(tokenstest.NewClient(t, server, auth, oauth.WithMaxRequests(4))))
				began := time.Now()
				var wg sync.WaitGroup
				var answered [7]atomic.Int64 // by when it was, in tens of seconds
				for i := range 60 * 40 {     // 40 a second for a minute
					wg.Go(func() {
						_, err := manager.Source(tt.key(i)).Token(callerWith(t, subjectToken(fmt.Sprint(i))))
						switch {
						case err == nil:
							answered[min(6, time.Since(began)/(10*time.Second))].Add(1)
						case !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "MaxRequests"):
							t.Error(err)
						}
					})
					<-time.After(time.Second / 40)
				}
				wg.Wait()
				for i := range 6 {
					if n := int(answered[i].Load()); n < tt.expected*9/10 {
						t.Errorf("%d answers in ten seconds after %d, want about %d", n, 10*i, tt.expected)
					}
				}
				if count.most != tt.atOnce {
					t.Errorf("%d requests at once, want %d", count.most, tt.atOnce)
				}
			})
		})
	}
}

// The client's assertion is good for a minute. A request may have to wait for longer, and is not
// sent with one that is old: the refusal would hold for all of the client.
func TestRequestsThatWaitHaveANewAssertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			var claims struct {
				Issued int64 `json:"iat"`
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(form.Get("client_assertion"), ".")[1])
			if err := errors.Join(err, json.Unmarshal(payload, &claims)); err != nil {
				t.Error(err)
			}
			if age := time.Since(time.Unix(claims.Issued, 0)); age > 15*time.Second {
				t.Errorf("an assertion that is %v old", age)
			}
			<-time.After(time.Second)
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		})
		client := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(clientKey(t), ""), oauth.WithMaxRequests(1))
		manager := tokenstest.NewManager(t, client.ClientCredentials(), tokens.WithFetchTimeout(5*time.Minute))
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { tokenstest.MustToken(t, manager.Source(tokens.Key{Scope: fmt.Sprint(i)})) })
		}
		wg.Wait()
	})
}

// A signer elsewhere has a quota, too: what outsiders cause asks for no more signatures than are
// sent, and the service's own token gets its signature.
func TestSignerIsAskedForWhatIsSent(t *testing.T) {
	for grant, fetcher := range callerGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := echoServer()
				answer := server.Handler("/token")
				server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
					<-time.After(time.Second)
					return answer(r, form)
				})
				key, now, all := clientKey(t), new(atomic.Int64), new(atomic.Int64)
				signer := &assertionSigner{key.Public(), func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
					defer now.Add(-1)
					all.Add(1)
					if now.Add(1) > 8 {
						return nil, errors.New("too many requests")
					}
					<-time.After(100 * time.Millisecond)
					return key.Sign(random, digest, opts)
				}}
				client := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(signer, ""), oauth.WithMaxRequests(8))
				source := tokenstest.NewManager(t, fetcher(client)).Source(tokens.Key{Subject: "any"})
				var wg sync.WaitGroup
				for i := range 300 {
					wg.Go(func() { _, _ = source.Token(callerWith(t, subjectToken(fmt.Sprint(i)))) })
				}
				<-time.After(time.Millisecond)
				if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Error("the service's own token:", err)
				}
				wg.Wait()
				if sent := len(server.Seen("/token")); int64(sent) != all.Load() {
					t.Errorf("%d signatures for %d requests", all.Load(), sent)
				}
			})
		})
	}
}

// A signer that hangs for some requests keeps no others waiting for longer than a request may take.
func TestSignerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, hangs := clientKey(t), true // it changes while all that sign hang
		signer := &assertionSigner{key.Public(), func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if hangs {
				<-time.After(time.Hour)
			}
			return key.Sign(random, digest, opts)
		}}
		server := tokenstest.NewServer()
		client := tokenstest.NewClient(t, server, oauth.PrivateKeyJWT(signer, ""), oauth.WithMaxRequests(2))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				_, err := client.ClientCredentials().Fetch(context.Background(), tokens.Request{})
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "authentication") {
					t.Errorf("one whose signature took an hour: %v", err)
				}
			})
		}
		synctest.Wait()
		hangs = false
		began := time.Now()
		if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		wg.Wait()
		if n := len(server.Seen("/token")); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// Large values are for those who want no bound.
func TestLargeBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			callers = 20
			century = 100 * 365 * 24 * time.Hour
		)
		server := echoServer()
		var count requestsCounted
		server.On("/token", count.handler(time.Second, server.Handler("/token")))
		client := tokenstest.NewClient(t, server, oauth.NoClientAuth(), oauth.WithMaxRequests(math.MaxInt))
		source := tokenstest.NewManager(t, client.Exchange(tokenFromContext(0)), tokens.WithFetchTimeout(century)).
			Source(tokens.Key{Subject: "any"})
		began := time.Now()
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				name := fmt.Sprint(i)
				wantFor(callerWith(t, subjectToken(name)), t, source, "for-"+name+"-access_token-")
			})
		}
		wg.Wait()
		if passed := time.Since(began); passed > 5*time.Second {
			t.Errorf("%d requests of a second each took %v", callers, passed)
		}
	})
}

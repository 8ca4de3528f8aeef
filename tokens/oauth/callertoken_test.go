package oauth_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/internal/accesstoken"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// decorations are ways to wrap a Fetcher that pass the Request on.
var decorations = map[string]func(tokens.Fetcher) tokens.Fetcher{
	"as it is": func(f tokens.Fetcher) tokens.Fetcher { return f },
	"wrapped": func(f tokens.Fetcher) tokens.Fetcher {
		return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) { return f.Fetch(ctx, r) })
	},
	"wrapped, with another key": func(f tokens.Fetcher) tokens.Fetcher {
		return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			r.Key.Audience = "billing"
			return f.Fetch(ctx, r)
		})
	},
	"wrapped, with a copy of the answer": func(f tokens.Fetcher) tokens.Fetcher {
		return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			response, err := f.Fetch(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%v", err) //nolint:errorlint // it loses what the error was
			}
			return &tokens.Response{AccessToken: response.AccessToken, TokenType: "Bearer", ExpiresIn: response.ExpiresIn}, nil
		})
	},
	"wrapped, with two attempts": func(f tokens.Fetcher) tokens.Fetcher {
		return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if response, err := f.Fetch(ctx, r); err == nil {
				return response, nil
			}
			return f.Fetch(ctx, r)
		})
	},
	"wrapped, with a token instead of an error": func(f tokens.Fetcher) tokens.Fetcher {
		return tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if response, err := f.Fetch(ctx, r); err == nil {
				return response, nil
			}
			return &tokens.Response{AccessToken: tokens.NewSecret("the-fallback"), TokenType: "Bearer"}, nil
		})
	},
}

// callerGrants are the grants whose callers bring tokens.
var callerGrants = map[string]func(*oauth.Client) tokens.Fetcher{
	"exchange": func(c *oauth.Client) tokens.Fetcher { return c.Exchange(tokenFromContext(0)) },
	"JWT":      func(c *oauth.Client) tokens.Fetcher { return c.JWTBearer(tokenFromContext(0)) },
}

// One person has two tokens: what is obtained for the one that allows more is not handed out for
// the other, however the Fetcher is wrapped.
func TestTokenIsSharedOnlyByCallersWithEqualTokens(t *testing.T) {
	for grant, fetcher := range callerGrants {
		for name, decorate := range decorations {
			t.Run(grant+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := echoServer()
					manager := tokenstest.NewManager(t, decorate(fetcher(tokenstest.NewClient(t, server, oauth.NoClientAuth()))))
					source := manager.Source(tokens.Key{Subject: "alice"})
					kind := map[string]string{"exchange": "access_token"}[grant]
					for range 3 {
						for _, subject := range []string{"admin", "reader"} {
							wantFor(callerWith(t, subjectToken(subject)), t, source, "for-"+subject+"-"+kind+"-")
						}
					}
					if n := len(server.Seen("/token")); n != 2 {
						t.Errorf("%d requests, want 2", n)
					}
				})
			})
		}
	}
}

// Many callers at once, who are the first: each gets its own.
func TestFirstCallersGetTheirOwnTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		source := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenFromContext(0))).Source(tokens.Key{Subject: "any"})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				name := fmt.Sprint(i % 10)
				wantFor(callerWith(t, subjectToken(name)), t, source, "for-"+name+"-access_token-")
			})
		}
		wg.Wait()
		if n := len(server.Seen("/token")); n != 10 {
			t.Errorf("%d requests, want 10", n)
		}
	})
}

// The type of a token and the actor tell callers apart as well.
func TestTokenIsForASubjectATypeAndAnActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		source := tokenstest.NewManager(t, c.ExchangeWithActor(tokenFromContext(0), tokenFromContext(1))).Source(tokens.Key{Subject: "alice"})
		text, jwt := subjectToken("a"), subjectToken("a")
		jwt.Type = oauth.TypeJWT
		for range 2 {
			wantFor(callerWith(t, text, subjectToken("x")), t, source, "for-a-access_token-x")
			wantFor(callerWith(t, text, subjectToken("y")), t, source, "for-a-access_token-y")
			wantFor(callerWith(t, jwt, subjectToken("x")), t, source, "for-a-jwt-x")
			wantFor(callerWith(t, subjectToken("x"), subjectToken("a")), t, source, "for-x-access_token-a")
		}
		if n := len(server.Seen("/token")); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
	})
}

// A subject token that the server refuses does not keep the person's next one waiting.
func TestRefusalIsHeldAgainstTheRefusedTokenAlone(t *testing.T) {
	for grant, fetcher := range callerGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := echoServer()
				source := tokenstest.NewManager(t, fetcher(tokenstest.NewClient(t, server, oauth.NoClientAuth()))).Source(tokens.Key{Subject: "alice"})
				for range 3 {
					_, err := source.Token(callerWith(t, subjectToken("bad")))
					if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || e.RetryAfter <= 0 {
						t.Errorf("the bad one: %v", err)
					}
				}
				if _, err := source.Token(callerWith(t, subjectToken("good"))); err != nil {
					t.Errorf("the good one: %v", err)
				}
				if n := len(server.Seen("/token")); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		})
	}
}

// The functions run in the call of Token, with its context, before anything is looked up. What
// fails there is this call's alone.
func TestFunctionsForTokensRunInTheCallersCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		errWhy := errors.New("why")
		var calls int // not guarded: all calls are in this goroutine
		var fail error
		source := tokenstest.NewManager(t, c.Exchange(func(ctx context.Context, key tokens.Key) (oauth.SecurityToken, error) {
			calls++
			if key.Subject != "alice" || ctx.Done() == nil {
				t.Errorf("asked for %v, with a context that does not end", key)
			}
			return subjectToken("a"), cmp.Or(fail, ctx.Err())
		})).Source(tokens.Key{Subject: "alice"})
		for range 3 {
			wantFor(t.Context(), t, source, "for-a-access_token-")
		}
		fail = errWhy
		_, err := source.Token(t.Context())
		if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || !errors.Is(err, errWhy) || e.RetryAfter != 0 {
			t.Errorf("%v", err)
		}
		fail = nil
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := source.Token(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("after the context's end: %v", err)
		}
		wantFor(t.Context(), t, source, "for-a-access_token-")
		if n := len(server.Seen("/token")); n != 1 || calls != 6 {
			t.Errorf("%d requests and %d calls, want 1 and 6", n, calls)
		}
	})
}

// A function that panics does not end the process, and is not quoted.
func TestFunctionForATokenThatPanics(t *testing.T) {
	var log bytes.Buffer
	c := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth())
	m, err := tokens.NewManager(c.Exchange(func(context.Context, tokens.Key) (oauth.SecurityToken, error) { panic("hunter2") }),
		tokens.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, err = m.Source(tokens.Key{Subject: "alice"}).Token(t.Context())
	if err == nil || strings.Contains(log.String()+err.Error(), "hunter2") || !strings.Contains(log.String(), "TestFunctionForATokenThatPanics") {
		t.Errorf("error %v, log:\n%s", err, &log)
	}
}

// Nor does a log handler that panics about it.
func TestFunctionForATokenThatPanicsBeforeALogHandlerDoes(t *testing.T) {
	c := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth())
	m, err := tokens.NewManager(c.Exchange(func(context.Context, tokens.Key) (oauth.SecurityToken, error) { panic("hunter2") }),
		tokens.WithLogger(slog.New(panickingLog{})))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Source(tokens.Key{Subject: "alice"}).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("%v", err)
	}
}

// panickingLog is a log handler that panics.
type panickingLog struct{}

func (panickingLog) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingLog) Handle(context.Context, slog.Record) error { panic("the log handler") }
func (h panickingLog) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h panickingLog) WithGroup(string) slog.Handler           { return h }

// What was obtained for a token is over when that token is.
func TestTokenEndsWithTheOneItWasObtainedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		source := tokenstest.NewManager(t, c.ExchangeWithActor(tokenFromContext(0), tokenFromContext(1))).Source(tokens.Key{Subject: "alice"})
		subject, actor := subjectToken("a"), subjectToken("x")
		end := time.Now().Add(20 * time.Minute)
		subject.Expiry, actor.Expiry = end, end.Add(time.Hour)
		ctx := callerWith(t, subject, actor)
		token, err := source.Token(ctx)
		if err != nil || !token.Expiry().Equal(end) {
			t.Fatalf("a token until %v, error %v; want until %v", token.Expiry(), err, end)
		}
		<-time.After(20*time.Minute - 1)
		if again, err := source.Token(ctx); err != nil || again != token {
			t.Errorf("before the end: %v", err)
		}
		<-time.After(1)
		_, err = source.Token(ctx)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("at the end: %v", err)
		}
		// A caller who does not know the end does not get more of it.
		wantFor(callerWith(t, subjectToken("a"), subjectToken("x")), t, source, "for-a-access_token-x")
		if n := len(server.Seen("/token")); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// Each token that callers bring counts as a key, and so does the key itself.
func TestTokensOfCallersCountAgainstMaxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		manager := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenFromContext(0)), tokens.WithMaxKeys(4))
		for i := range 10 {
			name := fmt.Sprint(i)
			wantFor(callerWith(t, subjectToken(name)), t, manager.Source(tokens.Key{Subject: "alice"}), "for-"+name+"-access_token-")
			if n := len(manager.Stats()); n > 4 {
				t.Fatalf("%d keys", n)
			}
		}
		synctest.Wait()
		runtime.GC()                          // what was forgotten is gone
		for _, i := range []int{9, 8, 7, 0} { // the last was forgotten
			name := fmt.Sprint(i)
			wantFor(callerWith(t, subjectToken(name)), t, manager.Source(tokens.Key{Subject: "alice"}), "for-"+name+"-access_token-")
		}
		if n := len(server.Seen("/token")); n != 11 {
			t.Errorf("%d requests, want 11", n)
		}
	})
}

// The Source of a key counts as used when one of its callers is served. One that was forgotten all
// the same is returned again, and is about the same tokens.
func TestForgottenSourceSharesTheTokensOfCallers(t *testing.T) {
	for _, size := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			server := tokenstest.NewServer()
			count := 0
			server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				count++
				return tokenstest.JSON(http.StatusOK, fmt.Sprintf(`{"access_token":"%s-%d","token_type":"Bearer","expires_in":3600,
					"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, form.Get("subject_token"), count))(r, form)
			})
			manager := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenFromContext(0)), tokens.WithMaxKeys(size))
			key := tokens.Key{Subject: "any"}
			source := manager.Source(key)
			for i, name := range []string{"a", "b", "c", "d"} {
				wantFor(callerWith(t, subjectToken(name)), t, source, fmt.Sprint(name, "-", i+1))
			}
			again := manager.Source(key)
			if again != source {
				t.Error("another Source for a key whose Source is held")
			}
			d := callerWith(t, subjectToken("d"))
			token, err := again.Token(d)
			if err != nil {
				t.Fatal(err)
			}
			if !again.Invalidate(token) {
				t.Error("a refusal was ignored")
			}
			next, err := again.Token(d)
			if err != nil || next == token {
				t.Errorf("after a refusal the same token, or %v", err)
			}
			manager.Source(key).Reset()
			if last, err := again.Token(d); err != nil || last == next {
				t.Errorf("after Reset the same token, or %v", err)
			}
		})
	}
}

// A Source that was forgotten and is returned again has the tokens of callers, and what is asked
// for in a fetch by then counts for it.
func TestForgottenSourceIsAskedForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth())
		first, second := c.Exchange(tokenFromContext(0)), c.Exchange(tokenFromContext(0))
		ctx, cancel := context.WithCancel(callerWith(t, subjectToken("a")))
		defer cancel()
		var failed atomic.Bool
		var fetches atomic.Int64
		manager := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if fetches.Add(1) > 10 {
				cancel()
			}
			if failed.Load() {
				return second.Fetch(ctx, r)
			}
			return first.Fetch(ctx, r)
		}), tokens.WithMaxKeys(2))
		key := tokens.Key{Subject: "alice"}
		forgotten := manager.Source(key)
		manager.Source(tokens.Key{Subject: "bob"})
		manager.Source(tokens.Key{Subject: "carol"})
		source := manager.Source(key)
		wantFor(ctx, t, forgotten, "for-a-access_token-")
		wantFor(ctx, t, source, "for-a-access_token-")
		failed.Store(true)
		source.Reset()
		for range 3 {
			wantFor(ctx, t, source, "for-a-access_token-")
			wantFor(ctx, t, forgotten, "for-a-access_token-")
		}
	})
}

// Nothing that can be seen tells one token of a key from another, not even by a hash of it.
func TestNothingShowsWhichTokenACallerBrought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex
		events := make(map[string][]tokens.Event)
		var now string
		manager, err := tokens.NewManager(tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth()).Exchange(tokenFromContext(0)),
			tokens.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
				Level: slog.LevelDebug,
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				},
			}))),
			tokens.WithObserver(func(_ context.Context, ev tokens.Event) {
				mu.Lock()
				defer mu.Unlock()
				events[now] = append(events[now], ev)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		logs := make(map[string]string)
		for _, name := range []string{"first", "one", "two"} {
			now = name
			log.Reset()
			wantFor(callerWith(t, subjectToken(name)), t, manager.Source(tokens.Key{Subject: "alice"}), "for-"+name+"-access_token-")
			synctest.Wait()
			logs[name] = log.String()
		}
		if logs["one"] == "" || logs["one"] != logs["two"] {
			t.Errorf("the log tells them apart:\n%s%s", logs["one"], logs["two"])
		}
		if len(events["one"]) == 0 || !reflect.DeepEqual(events["one"], events["two"]) {
			t.Errorf("the events tell them apart: %+v, %+v", events["one"], events["two"])
		}
		var rows []tokens.Stats
		for _, row := range manager.Stats() {
			if row.Refresh = (time.Time{}); row.Fetches > 0 { // when it becomes stale is random
				rows = append(rows, row)
			}
		}
		token, err := manager.Source(tokens.Key{Subject: "alice"}).Token(callerWith(t, subjectToken("one")))
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"%v", "%s", "%p", "%t"} { // in a field nothing asks a Token how it prints
			text := fmt.Sprintf(verb, struct{ token tokens.Token }{*token})
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s shows what a hash is like: %q", verb, text)
			}
		}
		if len(rows) != 3 || rows[0].Key != (tokens.Key{Subject: "alice"}) || !reflect.DeepEqual(rows[1], rows[2]) {
			t.Errorf("the counts tell them apart: %+v", rows)
		}
	})
}

// A Transport takes the token of a request's context, and renews the one that was refused.
func TestTransportWithTokensOfCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		count := 0
		server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			count++
			return tokenstest.JSON(http.StatusOK, fmt.Sprintf(`{"access_token":"%s-%d","token_type":"Bearer","expires_in":3600,
				"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, form.Get("subject_token"), count))(r, form)
		})
		var sent []string
		api := roundTripFunc(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header.Get("Authorization"))
			if r.Header.Get("Authorization") == "Bearer alice-1" {
				return tokenstest.Response(http.StatusUnauthorized, http.NoBody, "WWW-Authenticate", `Bearer error="invalid_token"`), nil
			}
			return tokenstest.Response(http.StatusOK, http.NoBody), nil
		})
		source := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenFromContext(0))).
			Source(tokens.Key{Subject: "any", Resource: "https://billing.example.com"})
		transport, err := source.Transport(api)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"alice", "bob", "alice", "bob"} {
			request, err := http.NewRequestWithContext(callerWith(t, subjectToken(name)), http.MethodGet, "https://billing.example.com/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatal(response, err)
			}
			response.Body.Close()
		}
		want := []string{"Bearer alice-1", "Bearer alice-2", "Bearer bob-3", "Bearer alice-2", "Bearer bob-3"}
		if !reflect.DeepEqual(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	})
}

// Reset forgets the tokens of all callers of a key, and Close those of all keys.
func TestResetAndCloseForgetTheTokensOfCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		manager := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenFromContext(0)))
		source, other := manager.Source(tokens.Key{Subject: "alice"}), manager.Source(tokens.Key{Subject: "bob"})
		for range 2 {
			wantFor(callerWith(t, subjectToken("a")), t, source, "for-a-access_token-")
			wantFor(callerWith(t, subjectToken("b")), t, source, "for-b-access_token-")
			wantFor(callerWith(t, subjectToken("a")), t, other, "for-a-access_token-")
			source.Reset()
		}
		if n := len(server.Seen("/token")); n != 5 {
			t.Errorf("%d requests, want 5", n)
		}
		if err := manager.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Token(callerWith(t, subjectToken("a"))); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A service that signs its assertions itself has one token for a key, whatever it signs.
func TestJWTBearerPerKeySharesOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		signed := 0
		source := tokenstest.NewManager(t, tokenstest.NewClient(t, server, oauth.NoClientAuth()).JWTBearerPerKey(func(context.Context, tokens.Key) (tokens.Secret, error) {
			signed++
			return tokens.NewSecret(fmt.Sprint("a-", signed)), nil
		})).Source(tokens.Key{})
		for range 3 {
			wantFor(t.Context(), t, source, "for-a-1--")
		}
		if signed != 1 {
			t.Errorf("%d assertions, want 1", signed)
		}
	})
}

// A token that is too long for a request is not sent.
func TestTokensThatAreTooLong(t *testing.T) {
	for size, ok := range map[int]bool{accesstoken.MaxSize: true, accesstoken.MaxSize + 1: false} {
		for grant, fetcher := range callerGrants {
			server := echoServer()
			server.On("/token", tokenstest.JSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`)))
			_, err := fetcher(tokenstest.NewClient(t, server, oauth.NoClientAuth())).Fetch(
				callerWith(t, subjectToken(strings.Repeat("x", size))), tokens.Request{Key: tokens.Key{Subject: "alice"}})
			if (err == nil) != ok || len(server.Seen("/token")) == 0 == ok {
				t.Errorf("%s, %d bytes: %v", grant, size, err)
			}
		}
	}
}

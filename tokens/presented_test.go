package tokens_test

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
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
)

type presentedKey struct{}

// presentedBy is the context of a caller who brings a subject token, and perhaps an actor token.
func presentedBy(t testing.TB, subject tokens.SecurityToken, actor ...tokens.SecurityToken) context.Context {
	return context.WithValue(t.Context(), presentedKey{}, append([]tokens.SecurityToken{subject}, actor...))
}

func presentedText(text string) tokens.SecurityToken {
	return tokens.SecurityToken{Token: tokens.NewSecret(text)}
}

// presentedFrom takes token i of the caller from the context, as a service does that serves requests.
func presentedFrom(i int) func(context.Context, tokens.Key) (tokens.SecurityToken, error) {
	return func(ctx context.Context, _ tokens.Key) (tokens.SecurityToken, error) {
		brought, _ := ctx.Value(presentedKey{}).([]tokens.SecurityToken)
		if i >= len(brought) {
			return tokens.SecurityToken{}, errors.New("the caller brought no token")
		}
		return brought[i], nil
	}
}

func presentedAssertion(ctx context.Context, key tokens.Key) (tokens.Secret, error) {
	token, err := presentedFrom(0)(ctx, key)
	return token.Token, err
}

// presentedServer gives a token that names the one it was obtained for, and refuses those that begin with "bad".
func presentedServer() *clientServer {
	server := newClientServer()
	server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
		subject := cmp.Or(form.Get("subject_token"), form.Get("assertion"))
		if strings.HasPrefix(subject, "bad") {
			return clientJSON(http.StatusBadRequest, `{"error":"invalid_request"}`)(r, form)
		}
		kind := form.Get("subject_token_type")
		name := fmt.Sprintf("for-%s-%s-%s", subject, kind[strings.LastIndex(kind, ":")+1:], form.Get("actor_token"))
		return clientJSON(http.StatusOK, `{"access_token":"`+name+`","token_type":"Bearer","expires_in":3600,
			"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`)(r, form)
	})
	return server
}

func presentedWant(ctx context.Context, t *testing.T, source *tokens.Source, want string) {
	t.Helper()
	token, err := source.Token(ctx)
	if err != nil {
		t.Errorf("error %v, want %q", err, want)
		return
	}
	if token.AccessToken() != want {
		t.Errorf("token %q, want %q", token.AccessToken(), want)
	}
}

// presentedDecorations are ways to wrap a Fetcher that pass the Request on.
var presentedDecorations = map[string]func(tokens.Fetcher) tokens.Fetcher{
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

// presentedGrants are the grants whose callers bring tokens.
var presentedGrants = map[string]func(*tokens.Client) tokens.Fetcher{
	"exchange": func(c *tokens.Client) tokens.Fetcher { return c.Exchange(presentedFrom(0)) },
	"JWT":      func(c *tokens.Client) tokens.Fetcher { return c.JWTBearer(presentedAssertion) },
}

// One person has two tokens: what is obtained for the one that allows more is not handed out for the
// other, however the Fetcher is wrapped.
func TestTokenIsSharedOnlyByCallersWithEqualTokens(t *testing.T) {
	for grant, fetcher := range presentedGrants {
		for name, decorate := range presentedDecorations {
			t.Run(grant+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := presentedServer()
					manager := newManager(t, decorate(fetcher(server.client(t, tokens.NoClientAuth()))))
					source := manager.Source(tokens.Key{Subject: "alice"})
					kind := map[string]string{"exchange": "access_token"}[grant]
					for range 3 {
						for _, subject := range []string{"admin", "reader"} {
							presentedWant(presentedBy(t, presentedText(subject)), t, source, "for-"+subject+"-"+kind+"-")
						}
					}
					if n := len(server.seen("/token")); n != 2 {
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
		server := presentedServer()
		source := newManager(t, server.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0))).Source(tokens.Key{Subject: "any"})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				name := fmt.Sprint(i % 10)
				presentedWant(presentedBy(t, presentedText(name)), t, source, "for-"+name+"-access_token-")
			})
		}
		wg.Wait()
		if n := len(server.seen("/token")); n != 10 {
			t.Errorf("%d requests, want 10", n)
		}
	})
}

// The type of a token and the actor tell callers apart as well.
func TestTokenIsForASubjectATypeAndAnActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		c := server.client(t, tokens.NoClientAuth())
		source := newManager(t, c.Exchange(presentedFrom(0), tokens.Actor(presentedFrom(1)))).Source(tokens.Key{Subject: "alice"})
		text, jwt := presentedText("a"), presentedText("a")
		jwt.Type = tokens.TypeJWT
		for range 2 {
			presentedWant(presentedBy(t, text, presentedText("x")), t, source, "for-a-access_token-x")
			presentedWant(presentedBy(t, text, presentedText("y")), t, source, "for-a-access_token-y")
			presentedWant(presentedBy(t, jwt, presentedText("x")), t, source, "for-a-jwt-x")
			presentedWant(presentedBy(t, presentedText("x"), presentedText("a")), t, source, "for-x-access_token-a")
		}
		if n := len(server.seen("/token")); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
	})
}

// A subject token that the server refuses does not keep the person's next one waiting.
func TestRefusalIsHeldAgainstTheRefusedTokenAlone(t *testing.T) {
	for grant, fetcher := range presentedGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := presentedServer()
				source := newManager(t, fetcher(server.client(t, tokens.NoClientAuth()))).Source(tokens.Key{Subject: "alice"})
				for range 3 {
					_, err := source.Token(presentedBy(t, presentedText("bad")))
					if e, ok := errors.AsType[*tokens.UnavailableError](err); !ok || e.RetryAfter <= 0 {
						t.Errorf("the bad one: %v", err)
					}
				}
				if _, err := source.Token(presentedBy(t, presentedText("good"))); err != nil {
					t.Errorf("the good one: %v", err)
				}
				if n := len(server.seen("/token")); n != 2 {
					t.Errorf("%d requests, want 2", n)
				}
			})
		})
	}
}

// The functions run in the call of Token, with its context, before anything is looked up. What fails
// there is this call's alone.
func TestFunctionsForTokensRunInTheCallersCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		c := server.client(t, tokens.NoClientAuth())
		errWhy := errors.New("why")
		var calls int // not guarded: all calls are in this goroutine
		var fail error
		source := newManager(t, c.Exchange(func(ctx context.Context, key tokens.Key) (tokens.SecurityToken, error) {
			calls++
			if key.Subject != "alice" || ctx.Done() == nil {
				t.Errorf("asked for %v, with a context that does not end", key)
			}
			return presentedText("a"), cmp.Or(fail, ctx.Err())
		})).Source(tokens.Key{Subject: "alice"})
		for range 3 {
			presentedWant(t.Context(), t, source, "for-a-access_token-")
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
		presentedWant(t.Context(), t, source, "for-a-access_token-")
		if n := len(server.seen("/token")); n != 1 || calls != 6 {
			t.Errorf("%d requests and %d calls, want 1 and 6", n, calls)
		}
	})
}

// A function that panics does not end the process, and is not quoted.
func TestFunctionForATokenThatPanics(t *testing.T) {
	var log bytes.Buffer
	c := presentedServer().client(t, tokens.NoClientAuth())
	m, err := tokens.NewManager(c.Exchange(func(context.Context, tokens.Key) (tokens.SecurityToken, error) { panic("hunter2") }),
		tokens.Logger(slog.New(slog.NewTextHandler(&log, nil))))
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
	c := presentedServer().client(t, tokens.NoClientAuth())
	m, err := tokens.NewManager(c.Exchange(func(context.Context, tokens.Key) (tokens.SecurityToken, error) { panic("hunter2") }),
		tokens.Logger(slog.New(presentedLog{})))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Source(tokens.Key{Subject: "alice"}).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("%v", err)
	}
}

// presentedLog is a log handler that panics.
type presentedLog struct{}

func (presentedLog) Enabled(context.Context, slog.Level) bool  { return true }
func (presentedLog) Handle(context.Context, slog.Record) error { panic("the log handler") }
func (h presentedLog) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h presentedLog) WithGroup(string) slog.Handler           { return h }

// What was obtained for a token is over when that token is.
func TestTokenEndsWithTheOneItWasObtainedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		c := server.client(t, tokens.NoClientAuth())
		source := newManager(t, c.Exchange(presentedFrom(0), tokens.Actor(presentedFrom(1)))).Source(tokens.Key{Subject: "alice"})
		subject, actor := presentedText("a"), presentedText("x")
		end := time.Now().Add(20 * time.Minute)
		subject.Expiry, actor.Expiry = end, end.Add(time.Hour)
		ctx := presentedBy(t, subject, actor)
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
		presentedWant(presentedBy(t, presentedText("a"), presentedText("x")), t, source, "for-a-access_token-x")
		if n := len(server.seen("/token")); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// Each token that callers bring counts as a key, and so does the key itself.
func TestTokensOfCallersCountAgainstMaxKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		manager := newManager(t, server.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0)), tokens.MaxKeys(4))
		for i := range 10 {
			name := fmt.Sprint(i)
			presentedWant(presentedBy(t, presentedText(name)), t, manager.Source(tokens.Key{Subject: "alice"}), "for-"+name+"-access_token-")
			if n := len(manager.Stats()); n > 4 {
				t.Fatalf("%d keys", n)
			}
		}
		for _, i := range []int{9, 8, 7, 0} { // the last was forgotten
			name := fmt.Sprint(i)
			presentedWant(presentedBy(t, presentedText(name)), t, manager.Source(tokens.Key{Subject: "alice"}), "for-"+name+"-access_token-")
		}
		if n := len(server.seen("/token")); n != 11 {
			t.Errorf("%d requests, want 11", n)
		}
	})
}

// The Source of a key counts as used when one of its callers is served. One that was forgotten all
// the same is about the same tokens as the one in its place.
func TestForgottenSourceSharesTheTokensOfCallers(t *testing.T) {
	for _, size := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			server := newClientServer()
			count := 0
			server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				count++
				return clientJSON(http.StatusOK, fmt.Sprintf(`{"access_token":"%s-%d","token_type":"Bearer","expires_in":3600,
					"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, form.Get("subject_token"), count))(r, form)
			})
			manager := newManager(t, server.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0)), tokens.MaxKeys(size))
			key := tokens.Key{Subject: "any"}
			source := manager.Source(key)
			for i, name := range []string{"a", "b", "c", "d"} {
				presentedWant(presentedBy(t, presentedText(name)), t, source, fmt.Sprint(name, "-", i+1))
			}
			again := manager.Source(key)
			if size > 1 && again != source {
				t.Error("the Source in use was forgotten")
			}
			d := presentedBy(t, presentedText("d"))
			token, err := again.Token(d)
			if err != nil {
				t.Fatal(err)
			}
			if !again.Invalidate(token) {
				t.Error("a refusal was not heeded")
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

// The tokens of callers are shared with a Source for the same key that was forgotten. What is asked
// for in a fetch by then counts for both.
func TestForgottenSourceIsAskedForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := presentedServer().client(t, tokens.NoClientAuth())
		first, second := c.Exchange(presentedFrom(0)), c.Exchange(presentedFrom(0))
		ctx, cancel := context.WithCancel(presentedBy(t, presentedText("a")))
		defer cancel()
		var failed atomic.Bool
		var fetches atomic.Int64
		manager := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if fetches.Add(1) > 10 {
				cancel()
			}
			if failed.Load() {
				return second.Fetch(ctx, r)
			}
			return first.Fetch(ctx, r)
		}), tokens.MaxKeys(2))
		key := tokens.Key{Subject: "alice"}
		forgotten := manager.Source(key)
		manager.Source(tokens.Key{Subject: "bob"})
		manager.Source(tokens.Key{Subject: "carol"})
		source := manager.Source(key)
		presentedWant(ctx, t, forgotten, "for-a-access_token-")
		presentedWant(ctx, t, source, "for-a-access_token-")
		failed.Store(true)
		source.Reset()
		for range 3 {
			presentedWant(ctx, t, source, "for-a-access_token-")
			presentedWant(ctx, t, forgotten, "for-a-access_token-")
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
		manager, err := tokens.NewManager(presentedServer().client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0)),
			tokens.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
				Level: slog.LevelDebug,
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				},
			}))),
			tokens.Observer(func(_ context.Context, ev tokens.Event) {
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
			presentedWant(presentedBy(t, presentedText(name)), t, manager.Source(tokens.Key{Subject: "alice"}), "for-"+name+"-access_token-")
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
		token, err := manager.Source(tokens.Key{Subject: "alice"}).Token(presentedBy(t, presentedText("one")))
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
		server := newClientServer()
		count := 0
		server.on("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
			count++
			return clientJSON(http.StatusOK, fmt.Sprintf(`{"access_token":"%s-%d","token_type":"Bearer","expires_in":3600,
				"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, form.Get("subject_token"), count))(r, form)
		})
		var sent []string
		api := transportFunc(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header.Get("Authorization"))
			if r.Header.Get("Authorization") == "Bearer alice-1" {
				return clientResponse(http.StatusUnauthorized, http.NoBody, "WWW-Authenticate", `Bearer error="invalid_token"`), nil
			}
			return clientResponse(http.StatusOK, http.NoBody), nil
		})
		source := newManager(t, server.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0))).
			Source(tokens.Key{Subject: "any", Resource: "https://billing.example.com"})
		transport, err := source.Transport(api)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"alice", "bob", "alice", "bob"} {
			request, err := http.NewRequestWithContext(presentedBy(t, presentedText(name)), http.MethodGet, "https://billing.example.com/", http.NoBody)
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
		server := presentedServer()
		manager := newManager(t, server.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0)))
		source, other := manager.Source(tokens.Key{Subject: "alice"}), manager.Source(tokens.Key{Subject: "bob"})
		for range 2 {
			presentedWant(presentedBy(t, presentedText("a")), t, source, "for-a-access_token-")
			presentedWant(presentedBy(t, presentedText("b")), t, source, "for-b-access_token-")
			presentedWant(presentedBy(t, presentedText("a")), t, other, "for-a-access_token-")
			source.Reset()
		}
		if n := len(server.seen("/token")); n != 5 {
			t.Errorf("%d requests, want 5", n)
		}
		if err := manager.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Token(presentedBy(t, presentedText("a"))); !errors.Is(err, tokens.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Behind one Fetcher there may be two that ask for the caller's tokens, of which one serves while the
// other fails.
func TestTwoFetchersThatAskForTheCallersTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := newClientServer()
		down.on("/token", clientGives(http.StatusBadGateway, "", ""))
		first := down.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0))
		second := presentedServer().client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0))
		source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if response, err := first.Fetch(ctx, r); err == nil || errors.Is(err, tokens.ErrAskCaller) {
				return response, err
			}
			return second.Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "alice"})
		for _, name := range []string{"a", "b", "a"} {
			presentedWant(presentedBy(t, presentedText(name)), t, source, "for-"+name+"-access_token-")
		}
	})
}

// Behind one Fetcher one of two may do without the token that the other asks for, and goes on when
// the function for that one fails. Only a fetch that needs it has the error.
func TestFunctionForATokenThatIsNotNeeded(t *testing.T) {
	for name, fails := range map[string]func() error{
		"it fails":  func() error { return errors.New("the signer is away") },
		"it panics": func() error { panic("the signer is away") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := presentedServer().client(t, tokens.NoClientAuth())
				var away, failed bool // each changes while there is no fetch
				first := c.Exchange(presentedFrom(0))
				second := c.JWTBearer(func(context.Context, tokens.Key) (tokens.Secret, error) {
					if away {
						return tokens.Secret{}, fails()
					}
					return tokens.NewSecret("signed"), nil
				})
				source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					if failed {
						return second.Fetch(ctx, r)
					}
					return first.Fetch(ctx, r)
				})).Source(tokens.Key{Subject: "any"})
				presentedWant(presentedBy(t, presentedText("a")), t, source, "for-a-access_token-")
				failed = true
				presentedWant(presentedBy(t, presentedText("b")), t, source, "for-signed--")
				away, failed = true, false
				for _, name := range []string{"a", "b", "c"} {
					presentedWant(presentedBy(t, presentedText(name)), t, source, "for-"+name+"-access_token-")
				}
				failed = true
				if _, err := source.Token(presentedBy(t, presentedText("d"))); err == nil {
					t.Error("no error where it is needed")
				}
				away = false
				presentedWant(presentedBy(t, presentedText("d")), t, source, "for-signed--")
			})
		})
	}
}

// An application may replace its exchange while it runs, when its configuration has changed.
func TestFetcherWhoseExchangeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := presentedServer().client(t, tokens.NoClientAuth())
		var current tokens.Fetcher
		source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			return current.Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "alice"})
		for n := range 10 {
			current = c.Exchange(presentedFrom(0))
			for _, who := range []string{"a", "b"} {
				source.Reset()
				name := fmt.Sprint(who, n)
				presentedWant(presentedBy(t, presentedText(name)), t, source, "for-"+name+"-access_token-")
			}
		}
	})
}

// There is an end to it: a Fetcher that makes another exchange each time is one that fails.
func TestFetcherThatMakesAnExchangeForEachFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		c := server.client(t, tokens.NoClientAuth())
		source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			return c.Exchange(presentedFrom(0)).Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "alice"})
		_, err := source.Token(presentedBy(t, presentedText("a")))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || len(server.seen("/token")) != 0 {
			t.Errorf("%v", err)
		}
	})
}

// A Request that is made by hand within a fetch would lose whose token it is about, and is refused.
func TestRequestThatIsNotPassedOn(t *testing.T) {
	for grant, fetcher := range presentedGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := presentedServer()
				inner := fetcher(server.client(t, tokens.NoClientAuth()))
				source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					return inner.Fetch(ctx, tokens.Request{Key: r.Key, Previous: r.Previous})
				})).Source(tokens.Key{Subject: "alice"})
				_, err := source.Token(presentedBy(t, presentedText("a")))
				if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || len(server.seen("/token")) != 0 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// What a Fetcher in between has kept of one caller is not handed to another.
func TestResponseThatIsKeptByTheKey(t *testing.T) {
	for grant, fetcher := range presentedGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := fetcher(presentedServer().client(t, tokens.NoClientAuth()))
				var kept *tokens.Response
				source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					response, err := inner.Fetch(ctx, r)
					if err != nil && kept != nil {
						return kept, nil
					}
					kept = response
					return response, err
				})).Source(tokens.Key{Subject: "any"})
				if _, err := source.Token(presentedBy(t, presentedText("alice"))); err != nil {
					t.Fatal(err)
				}
				_, err := source.Token(presentedBy(t, presentedText("bad")))
				if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "another caller") {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// A Fetcher in between may keep what it got by the caller's token. Then it may have something at
// the first fetch for a key, or after another grant has served.
func TestResponseThatIsKeptByTheToken(t *testing.T) {
	for grant, fetcher := range presentedGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := presentedServer()
				inner := fetcher(server.client(t, tokens.NoClientAuth()))
				other := server.client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0))
				var failed atomic.Bool
				var kept sync.Map
				caching := tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					if failed.Load() {
						return other.Fetch(ctx, r)
					}
					r.Key.Subject = "any"
					token, err := presentedFrom(0)(ctx, r.Key)
					if err != nil {
						return nil, err
					}
					if response, ok := kept.Load(token.Token.Reveal()); ok {
						return response.(*tokens.Response), nil
					}
					response, err := inner.Fetch(ctx, r)
					if err == nil {
						kept.Store(token.Token.Reveal(), response)
					}
					return response, err
				})
				kind := map[string]string{"exchange": "access_token"}[grant]
				first, second := newManager(t, caching), newManager(t, caching)
				for _, manager := range []*tokens.Manager{first, second} {
					for _, subject := range []string{"a", "b"} {
						for _, name := range []string{"alice", "bob"} {
							source := manager.Source(tokens.Key{Subject: subject})
							presentedWant(presentedBy(t, presentedText(name)), t, source, "for-"+name+"-"+kind+"-")
						}
					}
				}
				source := first.Source(tokens.Key{Subject: "a"})
				failed.Store(true)
				presentedWant(presentedBy(t, presentedText("carol")), t, source, "for-carol-access_token-")
				failed.Store(false)
				presentedWant(presentedBy(t, presentedText("alice")), t, source, "for-alice-"+kind+"-")
				if n := len(server.seen("/token")); n != 3 {
					t.Errorf("%d requests, want 3", n)
				}
			})
		})
	}
}

// What it has kept by the key alone is refused in another Manager as well.
func TestResponseThatIsKeptForAnotherManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := presentedServer().client(t, tokens.NoClientAuth()).Exchange(presentedFrom(0))
		var kept *tokens.Response // it changes while there is one fetch
		caching := tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if kept != nil {
				return kept, nil
			}
			response, err := inner.Fetch(ctx, r)
			kept = response
			return response, err
		})
		key := tokens.Key{Subject: "any"}
		presentedWant(presentedBy(t, presentedText("alice")), t, newManager(t, caching).Source(key), "for-alice-access_token-")
		_, err := newManager(t, caching).Source(key).Token(presentedBy(t, presentedText("bob")))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "another caller") {
			t.Errorf("%v", err)
		}
	})
}

// presentedByKey is a vault that knows the tokens of persons by the Subject of a key.
func presentedByKey(_ context.Context, key tokens.Key) (tokens.SecurityToken, error) {
	if key.Subject != "alice" && key.Subject != "bob" {
		return tokens.SecurityToken{}, fmt.Errorf("the vault has nothing of %q", key.Subject)
	}
	return presentedText(key.Subject), nil
}

// The key that a Fetcher in between asks with may stand for the first caller. The functions are not
// asked with it for the others.
func TestKeyOfOneCallerIsNotAskedForByAnother(t *testing.T) {
	type person struct{}
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		inner := server.client(t, tokens.NoClientAuth()).Exchange(presentedByKey)
		source := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			r.Key.Subject, _ = ctx.Value(person{}).(string)
			return inner.Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "any"})
		for _, who := range []string{"alice", "bob"} {
			_, err := source.Token(context.WithValue(t.Context(), person{}, who))
			if err == nil || !strings.Contains(err.Error(), `nothing of "any"`) || len(server.seen("/token")) != 0 {
				t.Errorf("%s: %v", who, err)
			}
		}
	})
}

// What a Fetcher in between has kept of one key is judged by the token of the key that it is given for.
func TestResponseThatIsKeptForAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := presentedServer().client(t, tokens.NoClientAuth()).Exchange(presentedByKey)
		var kept *tokens.Response // it changes while there is one fetch
		manager := newManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if kept != nil {
				return kept, nil
			}
			response, err := inner.Fetch(ctx, r)
			kept = response
			return response, err
		}))
		presentedWant(t.Context(), t, manager.Source(tokens.Key{Subject: "alice"}), "for-alice-access_token-")
		_, err := manager.Source(tokens.Key{Subject: "bob"}).Token(t.Context())
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "another caller") {
			t.Errorf("%v", err)
		}
	})
}

// A service that signs its assertions itself has one token for a key, whatever it signs.
func TestAssertionPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := presentedServer()
		signed := 0
		source := newManager(t, server.client(t, tokens.NoClientAuth()).JWTBearer(func(context.Context, tokens.Key) (tokens.Secret, error) {
			signed++
			return tokens.NewSecret(fmt.Sprint("a-", signed)), nil
		}, tokens.AssertionPerKey())).Source(tokens.Key{})
		for range 3 {
			presentedWant(t.Context(), t, source, "for-a-1--")
		}
		if signed != 1 {
			t.Errorf("%d assertions, want 1", signed)
		}
	})
}

// A token that is too long for a request is not sent.
func TestTokensThatAreTooLong(t *testing.T) {
	for size, ok := range map[int]bool{tokens.MaxToken: true, tokens.MaxToken + 1: false} {
		for grant, fetcher := range presentedGrants {
			server := presentedServer()
			server.on("/token", clientJSON(http.StatusOK, endpointWith("issued_token_type", `"urn:ietf:params:oauth:token-type:jwt"`)))
			_, err := fetcher(server.client(t, tokens.NoClientAuth())).Fetch(
				presentedBy(t, presentedText(strings.Repeat("x", size))), tokens.Request{Key: tokens.Key{Subject: "alice"}})
			if (err == nil) != ok || len(server.seen("/token")) == 0 == ok {
				t.Errorf("%s, %d bytes: %v", grant, size, err)
			}
		}
	}
}

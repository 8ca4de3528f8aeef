package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// Behind one Fetcher there may be two that ask for the caller's tokens, of which one serves while
// the other fails.
func TestTwoFetchersThatAskForTheCallersTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := tokenstest.NewServer()
		down.On("/token", tokenstest.Gives(http.StatusBadGateway, "", ""))
		first := tokenstest.NewClient(t, down, oauth.NoClientAuth()).Exchange(tokenFromContext(0))
		second := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth()).Exchange(tokenFromContext(0))
		source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if response, err := first.Fetch(ctx, r); err == nil || errors.Is(err, tokens.ErrAskCaller) {
				return response, err
			}
			return second.Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "alice"})
		for _, name := range []string{"a", "b", "a"} {
			wantFor(callerWith(t, subjectToken(name)), t, source, "for-"+name+"-access_token-")
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
				c := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth())
				var away, failed bool // each changes while there is no fetch
				first := c.Exchange(tokenFromContext(0))
				second := c.JWTBearer(func(context.Context, tokens.Key) (oauth.SecurityToken, error) {
					if away {
						return oauth.SecurityToken{}, fails()
					}
					return subjectToken("signed"), nil
				})
				source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					if failed {
						return second.Fetch(ctx, r)
					}
					return first.Fetch(ctx, r)
				})).Source(tokens.Key{Subject: "any"})
				wantFor(callerWith(t, subjectToken("a")), t, source, "for-a-access_token-")
				failed = true
				wantFor(callerWith(t, subjectToken("b")), t, source, "for-signed--")
				away, failed = true, false
				for _, name := range []string{"a", "b", "c"} {
					wantFor(callerWith(t, subjectToken(name)), t, source, "for-"+name+"-access_token-")
				}
				failed = true
				if _, err := source.Token(callerWith(t, subjectToken("d"))); err == nil {
					t.Error("no error where it is needed")
				}
				away = false
				wantFor(callerWith(t, subjectToken("d")), t, source, "for-signed--")
			})
		})
	}
}

// An application may replace its exchange while it runs, when its configuration has changed.
func TestFetcherWhoseExchangeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth())
		var current tokens.Fetcher
		source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			return current.Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "alice"})
		for n := range 10 {
			current = c.Exchange(tokenFromContext(0))
			for _, who := range []string{"a", "b"} {
				source.Reset()
				name := fmt.Sprint(who, n)
				wantFor(callerWith(t, subjectToken(name)), t, source, "for-"+name+"-access_token-")
			}
		}
	})
}

// There is an end to it: a Fetcher that makes another exchange each time is one that fails.
func TestFetcherThatMakesAnExchangeForEachFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			return c.Exchange(tokenFromContext(0)).Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "alice"})
		_, err := source.Token(callerWith(t, subjectToken("a")))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || len(server.Seen("/token")) != 0 {
			t.Errorf("%v", err)
		}
	})
}

// A Request that is made by hand within a fetch would lose whose token it is about, and is refused.
func TestRequestThatIsNotPassedOn(t *testing.T) {
	for grant, fetcher := range callerGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := echoServer()
				inner := fetcher(tokenstest.NewClient(t, server, oauth.NoClientAuth()))
				source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					return inner.Fetch(ctx, tokens.Request{Key: r.Key, Previous: r.Previous})
				})).Source(tokens.Key{Subject: "alice"})
				_, err := source.Token(callerWith(t, subjectToken("a")))
				if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || len(server.Seen("/token")) != 0 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// What a Fetcher in between has kept of one caller is not handed to another.
func TestResponseThatIsKeptByTheKey(t *testing.T) {
	for grant, fetcher := range callerGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := fetcher(tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth()))
				var kept *tokens.Response
				source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					response, err := inner.Fetch(ctx, r)
					if err != nil && kept != nil {
						return kept, nil
					}
					kept = response
					return response, err
				})).Source(tokens.Key{Subject: "any"})
				if _, err := source.Token(callerWith(t, subjectToken("alice"))); err != nil {
					t.Fatal(err)
				}
				_, err := source.Token(callerWith(t, subjectToken("bad")))
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
	for grant, fetcher := range callerGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := echoServer()
				inner := fetcher(tokenstest.NewClient(t, server, oauth.NoClientAuth()))
				other := tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenFromContext(0))
				var failed atomic.Bool
				var kept sync.Map
				caching := tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					if failed.Load() {
						return other.Fetch(ctx, r)
					}
					r.Key.Subject = "any"
					token, err := tokenFromContext(0)(ctx, r.Key)
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
				first, second := tokenstest.NewManager(t, caching), tokenstest.NewManager(t, caching)
				for _, manager := range []*tokens.Manager{first, second} {
					for _, subject := range []string{"a", "b"} {
						for _, name := range []string{"alice", "bob"} {
							source := manager.Source(tokens.Key{Subject: subject})
							wantFor(callerWith(t, subjectToken(name)), t, source, "for-"+name+"-"+kind+"-")
						}
					}
				}
				source := first.Source(tokens.Key{Subject: "a"})
				failed.Store(true)
				wantFor(callerWith(t, subjectToken("carol")), t, source, "for-carol-access_token-")
				failed.Store(false)
				wantFor(callerWith(t, subjectToken("alice")), t, source, "for-alice-"+kind+"-")
				if n := len(server.Seen("/token")); n != 3 {
					t.Errorf("%d requests, want 3", n)
				}
			})
		})
	}
}

// What it has kept by the key alone is refused in another Manager as well.
func TestResponseThatIsKeptForAnotherManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth()).Exchange(tokenFromContext(0))
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
		wantFor(callerWith(t, subjectToken("alice")), t, tokenstest.NewManager(t, caching).Source(key), "for-alice-access_token-")
		_, err := tokenstest.NewManager(t, caching).Source(key).Token(callerWith(t, subjectToken("bob")))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "another caller") {
			t.Errorf("%v", err)
		}
	})
}

// tokenByKey is a vault that knows the tokens of persons by the Subject of a key.
func tokenByKey(_ context.Context, key tokens.Key) (oauth.SecurityToken, error) {
	if key.Subject != "alice" && key.Subject != "bob" {
		return oauth.SecurityToken{}, fmt.Errorf("the vault has nothing of %q", key.Subject)
	}
	return subjectToken(key.Subject), nil
}

// The key that a Fetcher in between asks with may stand for the first caller. The functions are not
// asked with it for the others.
func TestKeyOfOneCallerIsNotAskedForByAnother(t *testing.T) {
	type person struct{}
	synctest.Test(t, func(t *testing.T) {
		server := echoServer()
		inner := tokenstest.NewClient(t, server, oauth.NoClientAuth()).Exchange(tokenByKey)
		source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			r.Key.Subject, _ = ctx.Value(person{}).(string)
			return inner.Fetch(ctx, r)
		})).Source(tokens.Key{Subject: "any"})
		for _, who := range []string{"alice", "bob"} {
			_, err := source.Token(context.WithValue(t.Context(), person{}, who))
			if err == nil || !strings.Contains(err.Error(), `nothing of "any"`) || len(server.Seen("/token")) != 0 {
				t.Errorf("%s: %v", who, err)
			}
		}
	})
}

// What a Fetcher in between has kept of one key is judged by the token of the key that it is given
// for.
func TestResponseThatIsKeptForAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth()).Exchange(tokenByKey)
		var kept *tokens.Response // it changes while there is one fetch
		manager := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
			if kept != nil {
				return kept, nil
			}
			response, err := inner.Fetch(ctx, r)
			kept = response
			return response, err
		}))
		wantFor(t.Context(), t, manager.Source(tokens.Key{Subject: "alice"}), "for-alice-access_token-")
		_, err := manager.Source(tokens.Key{Subject: "bob"}).Token(t.Context())
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "another caller") {
			t.Errorf("%v", err)
		}
	})
}

// A Manager whose Fetcher asks another Manager keeps by the key alone what it gets there, and has
// the context of the first caller. So it gets no token for a caller's there.
func TestNoTokenForACallersWithinAFetch(t *testing.T) {
	for grant, fetcher := range callerGrants {
		t.Run(grant, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := echoServer()
				inner := tokenstest.NewManager(t, fetcher(tokenstest.NewClient(t, server, oauth.NoClientAuth())))
				source := tokenstest.NewManager(t, tokens.FetcherFunc(func(ctx context.Context, r tokens.Request) (*tokens.Response, error) {
					token, err := inner.Source(r.Key).Token(ctx)
					if err != nil {
						return nil, err
					}
					return &tokens.Response{AccessToken: tokens.NewSecret(token.AccessToken()), TokenType: "Bearer"}, nil
				})).Source(tokens.Key{Subject: "any"})
				for _, who := range []string{"alice", "bob"} {
					_, err := source.Token(callerWith(t, subjectToken(who)))
					if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || len(server.Seen("/token")) != 0 {
						t.Errorf("%s: %v", who, err)
					}
				}
			})
		})
	}
}

// A function for a caller's token runs in that one's call, and may ask another Manager.
func TestTokenOfACallerComesOfAnotherExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokenstest.NewClient(t, echoServer(), oauth.NoClientAuth())
		first := tokenstest.NewManager(t, c.Exchange(tokenFromContext(0)))
		source := tokenstest.NewManager(t, c.Exchange(func(ctx context.Context, key tokens.Key) (oauth.SecurityToken, error) {
			token, err := first.Source(key).Token(ctx)
			if err != nil {
				return oauth.SecurityToken{}, err
			}
			return subjectToken(token.AccessToken()), nil
		})).Source(tokens.Key{Subject: "any"})
		for _, who := range []string{"alice", "bob"} {
			wantFor(callerWith(t, subjectToken(who)), t, source, "for-for-"+who+"-access_token--access_token-")
		}
	})
}

package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestRefreshTokenIsRotatedSavedAndShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		f := session.RefreshToken(w.client, w.store)
		before := w.store.record(t)["refresh_token"]
		first := mustFetch(t, f, tokens.Request{Key: sessionKey})
		if first.Reused || first.RefreshToken.Reveal() != "" || w.wire.asked() != 1 {
			t.Errorf("the first: reused %t, refresh token given out %t, %d requests", first.Reused, first.RefreshToken.Reveal() != "", w.wire.asked())
		}
		if form := w.wire.last(); form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != before {
			t.Errorf("sent %v", form)
		}
		after := w.store.record(t)["refresh_token"]
		if after == before || after == nil {
			t.Error("the next refresh token was not saved")
		}

		// Another process, by way of the Store.
		other := newSessionProcess(t, w.issuer, w.store)
		second := mustFetch(t, session.RefreshToken(other.client, w.store), tokens.Request{Key: sessionKey})
		if !second.Reused || second.AccessToken != first.AccessToken || other.wire.all != 0 {
			t.Errorf("reused %t, the same %t, %d requests", second.Reused, second.AccessToken == first.AccessToken, other.wire.all)
		}
		if !second.Requested.Equal(first.Requested) || second.ExpiresIn != first.ExpiresIn || second.TokenType != "Bearer" {
			t.Errorf("%v, %v, %q", second.Requested, second.ExpiresIn, second.TokenType)
		}

		// The token that is to be replaced is not returned again, and the one that replaced it is
		// found.
		third := mustFetch(t, session.RefreshToken(other.client, w.store), tokens.Request{Key: sessionKey, Previous: sessionToken(t, first)})
		if third.Reused || third.AccessToken == first.AccessToken || other.wire.asked() != 1 {
			t.Error("the token was not replaced")
		}
		if g := mustFetch(t, f, tokens.Request{Key: sessionKey, Previous: sessionToken(t, first)}); !g.Reused || g.AccessToken != third.AccessToken {
			t.Error("what the other process fetched was not found")
		}
		if w.issuer.Sessions() != 1 {
			t.Error("a refresh token was used twice")
		}
	})
}

func TestRefreshTokenThatDoesNotRotateStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t, oauthtest.WithFixedRefreshTokens())
		before := w.store.record(t)["refresh_token"]
		g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
		mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey, Previous: sessionToken(t, g)})
		if after := w.store.record(t)["refresh_token"]; after != before || w.wire.asked() != 2 {
			t.Errorf("it has changed: %t, %d requests", after != before, w.wire.asked())
		}
	})
}

func TestRefreshSendsWhatTheKeySays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		key := sessionKey
		key.Resource, key.Scope = "https://billing.test", "read"
		g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: key})
		if form := w.wire.last(); form.Get("resource") != key.Resource || form.Get("scope") != "read" || form.Has("audience") {
			t.Errorf("sent %v", form)
		}
		if g.Scope != "read" {
			t.Errorf("scope %q", g.Scope)
		}
		// Each key has a token of its own.
		if g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey}); g.Reused || g.Scope != "read write" {
			t.Errorf("reused %t, scope %q", g.Reused, g.Scope)
		}
		for _, k := range []tokens.Key{key, sessionKey} {
			if g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: k}); !g.Reused {
				t.Errorf("%+v was fetched again", k)
			}
		}
		if w.issuer.Sessions() != 1 {
			t.Error("a refresh token was used twice")
		}
	})
}

func TestRefreshRefusesKeysThatItCannotServe(t *testing.T) {
	w := newSessionWorld(t)
	for name, key := range map[string]tokens.Key{
		"no subject":    {},
		"other issuer":  {Subject: sessionName, Issuer: "https://other.test"},
		"other client":  {Subject: sessionName, Client: "other"},
		"bad resource":  {Subject: sessionName, Resource: "billing"},
		"double spaces": {Subject: sessionName, Scope: "a  b"},
	} {
		_, err := w.fetch(key, nil)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := session.RefreshToken(w.client, nil).Fetch(t.Context(), tokens.Request{Key: sessionKey}); err == nil {
		t.Error("without a Store there is no error")
	}
	if len(w.store.leases) != 0 || w.wire.all != 0 {
		t.Error("the Store or the server was asked")
	}
}

func TestRefreshWithoutALoginAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) || w.wire.all != 0 {
			t.Errorf("%v, %d requests", err, w.wire.all)
		}
	})
}

func TestRefreshThatIsRefusedEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		key := sessionKey
		key.Scope = "read"
		g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: key})
		w.issuer.EndSessions()
		_, err := w.fetch(key, sessionToken(t, g))
		if e, ok := errors.AsType[*tokens.Error](err); !errors.Is(err, tokens.ErrLoginRequired) || !ok || e.Code != "invalid_grant" {
			t.Fatalf("error %v", err)
		}
		record := w.store.record(t)
		if record["ended"] != true || record["refresh_token"] != nil || record["tokens"] != nil {
			t.Errorf("the record has %d members, ended %v", len(record), record["ended"])
		}
		asked := w.wire.asked()
		for _, k := range []tokens.Key{key, sessionKey} {
			if _, err := w.fetch(k, nil); !errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("the next error: %v", err)
			}
		}
		if w.wire.asked() != asked {
			t.Error("the server was asked once more")
		}
		if in, err := w.session.LoggedIn(t.Context()); in || err != nil {
			t.Errorf("LoggedIn: %t, %v", in, err)
		}
	})
}

// Servers say invalid_grant of a resource or a scope that needs more than a refresh token. What was
// never granted ends nothing.
func TestRefusalOfWhatWasNeverGrantedEndsNothing(t *testing.T) {
	for name, change := range map[string]func(*tokens.Key){
		"scope":    func(k *tokens.Key) { k.Scope = "mail.read" },
		"resource": func(k *tokens.Key) { k.Resource = "https://mail.test" },
		"audience": func(k *tokens.Key) { k.Audience = "mail" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				before := fmt.Sprint(w.store.record(t))
				w.wire.answer(400, map[string]any{"error": "invalid_grant", "suberror": "consent_required"})
				key := sessionKey
				change(&key)
				_, err := w.fetch(key, nil)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_grant" || !errors.Is(err, tokens.ErrLoginRequired) {
					t.Errorf("error %v", err)
				}
				if fmt.Sprint(w.store.record(t)) != before || !w.loggedIn(t) {
					t.Error("the session has ended")
				}
				w.wire.hook(nil)
				if _, err := w.fetch(sessionKey, nil); err != nil {
					t.Errorf("the plain key: %v", err)
				}
			})
		})
	}
}

// An answer that is refused for something else may have brought the only refresh token that is good
// from then on.
func TestRefusedAnswerDoesNotLoseTheRefreshToken(t *testing.T) {
	for name, spoil := range map[string]func(answer map[string]any){
		"scope is no list": func(a map[string]any) { a["scope"] = []any{"a", 7} },
		"another type":     func(a map[string]any) { a["token_type"] = "DPoP" },
		"no access_token":  func(a map[string]any) { delete(a, "access_token") },
	} {
		for _, saved := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, saved %t", name, saved), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := adoptedWorld(t)
					f := session.RefreshToken(w.client, w.store)
					w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
						response, err := pass()
						var body map[string]any
						if err != nil || json.NewDecoder(response.Body).Decode(&body) != nil {
							t.Error(err)
						}
						spoil(body)
						return sessionResponse(200, body), nil
					})
					if !saved {
						w.store.fail(errDiskFull)
					}
					if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); err == nil {
						t.Error("the answer was not refused")
					}
					w.store.fail(nil)
					w.wire.hook(nil)
					if _, err := f.Fetch(t.Context(), tokens.Request{Key: sessionKey}); err != nil || w.issuer.Sessions() != 1 {
						t.Errorf("the next: %v, %d sessions", err, w.issuer.Sessions())
					}
				})
			})
		}
	}
}

// With a lease that ran out two processes are at it. One of them is told that what it has is not
// good any more.
func TestRefusalLooksWhetherAnotherProcessRenewed(t *testing.T) {
	other := sessionKey
	other.Scope = "read"
	for name, test := range map[string]struct {
		key   tokens.Key // of the other process
		asked int
	}{
		"the same key":  {sessionKey, 1},
		"a key besides": {other, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				beside := newSessionProcess(t, w.issuer, w.store.beside())
				w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
					w.wire.hook(nil)
					if _, err := beside.fetch(test.key, nil); err != nil {
						t.Error(err)
					}
					return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
				})
				g, err := w.fetch(sessionKey, nil)
				if err != nil || w.wire.asked() != test.asked || g.Reused != (test.asked == 1) {
					t.Errorf("%v, %d requests", err, w.wire.asked())
				}
				if w.issuer.Sessions() != 1 || w.store.record(t)["ended"] != nil {
					t.Error("the session has ended")
				}
			})
		})
	}

	t.Run("and is refused again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			beside := newSessionProcess(t, w.issuer, w.store.beside())
			w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				if w.wire.asked() == 1 {
					if _, err := beside.fetch(other, nil); err != nil {
						t.Error(err)
					}
				}
				return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
			})
			if _, err := w.fetch(sessionKey, nil); !errors.Is(err, tokens.ErrLoginRequired) || w.wire.asked() != 2 {
				t.Errorf("%v, %d requests", err, w.wire.asked())
			}
			if w.store.record(t)["ended"] != true {
				t.Error("the session has not ended")
			}
		})
	})

	t.Run("and the store does not say", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
				w.store.set(func() { w.store.onLoad = func(context.Context, string) error { return errors.New("disk") } })
				return sessionResponse(400, map[string]any{"error": "invalid_grant"}), nil
			})
			_, err := w.fetch(sessionKey, nil)
			if e, ok := errors.AsType[*session.StoreError](err); !ok || e.Op != "load" || errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			if w.store.record(t)["ended"] != nil {
				t.Error("the session has ended")
			}
		})
	})

	t.Run("and a person logs in", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := adoptedWorld(t)
			beside := newSessionProcess(t, w.issuer, w.store.beside())
			w.store.set(func() {
				w.store.onSave = func(_ context.Context, pass func() (int64, error)) (int64, error) {
					w.store.fail(nil)
					beside.adopt(t)
					return pass()
				}
			})
			w.issuer.EndSessions()
			_, err := w.fetch(sessionKey, nil)
			if !errors.Is(err, session.ErrConflict) || errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("error %v", err)
			}
			if _, err := w.fetch(sessionKey, nil); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	})
}

func TestRefreshFailuresLeaveTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		fault  func(*sessionWorld)
		status int
		code   string
	}{
		"down":                      {func(w *sessionWorld) { w.issuer.SetFault(bearertest.Down) }, 503, ""},
		"invalid_scope":             {func(w *sessionWorld) { w.issuer.Refuse("invalid_scope") }, 400, "invalid_scope"},
		"invalid_client":            {func(w *sessionWorld) { w.issuer.Refuse("invalid_client") }, 401, "invalid_client"},
		"no answer":                 {func(w *sessionWorld) { w.issuer.SetFault(bearertest.Hang) }, 0, ""},
		"invalid_grant, but busy":   {func(w *sessionWorld) { w.wire.answer(503, map[string]any{"error": "invalid_grant"}) }, 503, "invalid_grant"},
		"invalid_grant, but slower": {func(w *sessionWorld) { w.wire.answer(429, map[string]any{"error": "invalid_grant"}) }, 429, "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				g := mustFetch(t, session.RefreshToken(w.client, w.store), tokens.Request{Key: sessionKey})
				before := fmt.Sprint(w.store.record(t))
				test.fault(w)
				previous := sessionToken(t, g)
				_, err := w.fetch(sessionKey, previous)
				if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Status != test.status || e.Code != test.code {
					t.Errorf("error %v", err)
				}
				if errors.Is(err, tokens.ErrLoginRequired) || fmt.Sprint(w.store.record(t)) != before {
					t.Errorf("error %v, or the record has changed", err)
				}
				w.issuer.SetFault(bearertest.NoFault)
				w.issuer.Refuse("")
				w.wire.hook(nil)
				if test.code == "invalid_client" { // which holds for the whole client
					tokenstest.Pass(5 * time.Minute)
				}
				if _, err := w.fetch(sessionKey, previous); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

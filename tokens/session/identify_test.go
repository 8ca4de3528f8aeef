package session_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/jwks"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// startIdentified starts a login of the session that asks who the person is.
func (w *sessionWorld) startIdentified(t *testing.T, opts ...session.LoginOption) (*session.Login, url.Values) {
	t.Helper()
	l, err := w.session.Login(t.Context(), sessionRedirect, append([]session.LoginOption{session.WithScope("openid", "read")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return l, w.loginAnswer(t, l)
}

// rewrite changes the answers of the token endpoint.
func (w *sessionWorld) rewrite(change func(answer map[string]any)) {
	w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
		response, err := pass()
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			return nil, err
		}
		change(answer)
		return sessionResponse(response.StatusCode, answer), nil
	})
}

// serveKeys makes the issuer answer for its keys, or not.
func (w *sessionWorld) serveKeys(good bool) {
	w.issuer.Handle("/jwks", http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		if !good {
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = out.Write(w.issuer.KeySet())
	}))
}

func TestFinishSaysWhoLoggedIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, oauthtest.WithIDTokenClaims(bearertest.Claims{"email": "bob@example.com"}))
		l, back := w.startIdentified(t, session.WithParameter("login_hint", "bob"))
		identity, err := w.session.Finish(t.Context(), l, back)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Email string `json:"email"`
		}
		if err := identity.Decode(&claims); err != nil || identity.Subject() != "bob" || claims.Email != "bob@example.com" ||
			identity.Issuer() != w.issuer.URL() || identity.Nonce() != loginQuery(t, l).Get("nonce") {
			t.Errorf("subject %q, email %q, %v", identity.Subject(), claims.Email, err)
		}
		w.mustToken(t)

		alone := w.login(t, session.WithScope("openid"))
		response, identity, err := alone.Finish(t.Context(), w.loginAnswer(t, alone))
		if err != nil || identity.Subject() != "alice" || response.IDToken.Reveal() == "" {
			t.Errorf("a login alone: %v", err)
		}
	})
}

// Without openid no ID token is expected, and one that comes is nothing that was asked for.
func TestFinishWithoutOpenIDSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		for _, unasked := range []any{nil, "not.an.idtoken"} {
			w.rewrite(func(answer map[string]any) { answer["id_token"] = unasked })
			l, back := w.startLogin(t)
			if identity, err := w.session.Finish(t.Context(), l, back); identity != nil || err != nil {
				t.Errorf("identity %v, error %v", identity, err)
			}
		}
		if w.issuer.Fetches() != 0 {
			t.Error("the keys were fetched")
		}
	})
}

// A login whose ID token is refused is none: nothing is saved, and what came is revoked.
func TestFinishRefusesIDTokens(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims  bearertest.Claims
		rewrite func(answer map[string]any)
		because string
	}{
		"of another login":        {claims: bearertest.Claims{"nonce": "of-another-login"}, because: "nonce"},
		"without nonce":           {claims: bearertest.Claims{"nonce": nil}, because: "nonce"},
		"for another client":      {claims: bearertest.Claims{"aud": "billing"}, because: "aud"},
		"of another issuer":       {claims: bearertest.Claims{"iss": "https://mallory.example"}, because: "iss"},
		"expired":                 {claims: bearertest.Claims{"exp": 1}, because: "exp has passed"},
		"of another access token": {claims: bearertest.Claims{"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, because: "at_hash"},
		"missing":                 {rewrite: func(answer map[string]any) { delete(answer, "id_token") }, because: "the answer has none"},
		"not one":                 {rewrite: func(answer map[string]any) { answer["id_token"] = "not-one" }, because: "three parts"},
		"a number":                {rewrite: func(answer map[string]any) { answer["id_token"] = 7 }, because: "the answer has none"},
		"changed": {rewrite: func(answer map[string]any) {
			answer["id_token"] = strings.Replace(answer["id_token"].(string), ".", ".A", 1)
		}, because: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t, oauthtest.WithIDTokenClaims(test.claims))
				if test.rewrite != nil {
					w.rewrite(test.rewrite)
				}
				l, back := w.startIdentified(t)
				identity, err := w.session.Finish(t.Context(), l, back)
				e, ok := errors.AsType[*tokens.Error](err)
				if !ok || e.Op != "login" || identity != nil || !errors.Is(err, oauth.ErrIDToken) || !strings.Contains(err.Error(), test.because) {
					t.Errorf("identity %v, error %v; want %q", identity, err, test.because)
				}
				if w.loggedIn(t) || w.store.record(t) != nil || w.issuer.Sessions() != 0 {
					t.Error("something is left of the login")
				}
				if _, err := w.session.Finish(t.Context(), l, back); !errors.Is(err, session.ErrLoginUsed) {
					t.Errorf("again: %v", err)
				}
			})
		})
	}
}

// Without a refresh token the access token is revoked.
func TestFinishRevokesTheAccessTokenOfARefusedLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, oauthtest.WithIDTokenClaims(bearertest.Claims{"nonce": nil}))
		access := ""
		w.rewrite(func(answer map[string]any) {
			delete(answer, "refresh_token")
			access, _ = answer["access_token"].(string)
		})
		l := w.login(t, session.WithScope("openid"))
		response, identity, err := l.Finish(t.Context(), w.loginAnswer(t, l))
		if response != nil || identity != nil || !errors.Is(err, oauth.ErrIDToken) || access == "" || !w.issuer.Revoked(access) {
			t.Errorf("error %v, revoked %t", err, w.issuer.Revoked(access))
		}
	})
}

// A code can be used once. It is not sent while there are no keys for the ID token, and the login
// can be finished when there are.
func TestFinishHasTheKeysBeforeItSendsTheCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		w.serveKeys(false)
		l, back := w.startIdentified(t)
		for range 2 {
			began := time.Now()
			_, err := w.session.Finish(t.Context(), l, back)
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.RetryAfter <= 0 || errors.Is(err, oauth.ErrIDToken) || w.wire.asked() != 0 || time.Since(began) > 10*time.Second {
				t.Errorf("%v, %d requests, after %s", err, w.wire.asked(), time.Since(began))
			}
			if _, ok := errors.AsType[*jwks.UnavailableError](err); !ok {
				t.Errorf("error %v", err)
			}
		}
		w.serveKeys(true)
		if identity, err := w.session.Finish(t.Context(), l, back); err != nil || identity.Subject() != "alice" {
			t.Errorf("with the keys: %v", err)
		}
	})
}

// The server may begin to use another key at any time.
func TestFinishFindsAKeyThatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, back := w.startIdentified(t)
		if err := w.client.ReadyForIDTokens(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.issuer.RotateWithoutOverlap()
		if identity, err := w.session.Finish(t.Context(), l, back); err != nil || identity.Subject() != "alice" {
			t.Errorf("error %v", err)
		}
	})
}

// The code was sent: a new key is worth more of a wait than a request with a token, which can be made
// again.
func TestFinishWaitsForAKeyThatIsNew(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(out http.ResponseWriter) (gone bool){
		"that comes late":            func(http.ResponseWriter) bool { <-time.After(4 * time.Second); return false },
		"that comes after a failure": func(out http.ResponseWriter) bool { out.WriteHeader(http.StatusServiceUnavailable); return true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l, back := w.startIdentified(t)
				if err := w.client.ReadyForIDTokens(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.issuer.RotateWithoutOverlap()
				asked := 0
				w.issuer.Handle("/jwks", http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
					if asked++; asked > 1 || !first(out) {
						_, _ = out.Write(w.issuer.KeySet())
					}
				}))
				if identity, err := w.session.Finish(t.Context(), l, back); err != nil || identity.Subject() != "alice" || !w.loggedIn(t) {
					t.Errorf("error %v", err)
				}
				<-time.After(5 * time.Second) // a request that is under way would outlive the bubble
			})
		})
	}
}

// If the keys become unavailable in between, it is not known who logged in. The login is lost, and
// leaves nothing.
func TestFinishWithoutTheNewKeyLeavesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, back := w.startIdentified(t)
		w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
			w.issuer.RotateWithoutOverlap()
			w.serveKeys(false)
			return pass()
		})
		began := time.Now()
		identity, err := w.session.Finish(t.Context(), l, back)
		if _, ok := errors.AsType[*jwks.UnavailableError](err); !ok || identity != nil || errors.Is(err, oauth.ErrIDToken) {
			t.Errorf("identity %v, error %v", identity, err)
		}
		if w.loggedIn(t) || w.issuer.Sessions() != 0 || time.Since(began) > 5*time.Second {
			t.Errorf("logged in %t, %d sessions, after %s", w.loggedIn(t), w.issuer.Sessions(), time.Since(began))
		}
	})
}

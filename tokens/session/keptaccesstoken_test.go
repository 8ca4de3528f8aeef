package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// finalWorld is a world with a login that brought an access token for 100 seconds, which is handed
// out for 90, and no refresh token.
func finalWorld(t *testing.T, opts ...session.LoginOption) *sessionWorld {
	t.Helper()
	w := newSessionWorld(t)
	w.finalLogIn(t, opts...)
	return w
}

func (w *sessionWorld) finalLogIn(t *testing.T, opts ...session.LoginOption) {
	t.Helper()
	w.wire.answer(200, map[string]any{"access_token": "kept", "token_type": "Bearer", "expires_in": 100})
	w.logIn(t, opts...)
	w.wire.hook(nil)
}

// wantLogin is for an error that says that a login is required, because one brought no refresh
// token.
func wantLogin(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, tokens.ErrLoginRequired) || !errors.Is(err, session.ErrNoRefreshToken) {
		t.Errorf("error %v", err)
	}
}

// wantNoRefresh is for a server that was asked for no token but with a code.
func (w *sessionWorld) wantNoRefresh(t *testing.T) {
	t.Helper()
	for _, form := range w.wire.tokens {
		if form.Get("grant_type") != "authorization_code" {
			t.Errorf("the server was sent %v", form)
		}
	}
}

// levels counts what is logged above Info.
type levels struct {
	slog.Handler
	loud atomic.Int32
}

func (l *levels) Enabled(context.Context, slog.Level) bool { return true }

func (l *levels) Handle(_ context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug {
		l.loud.Add(1)
	}
	return nil
}

// While the token is good nothing is asked and nothing is logged, however often it is needed, also
// when other tokens would be renewed.
func TestLoginWithoutARefreshTokenKeepsItsAccessToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := finalWorld(t)
		log := &levels{Handler: slog.DiscardHandler}
		s, err := session.New(w.client, w.store, sessionName, tokens.WithLogger(slog.New(log)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		locks := len(w.store.leases)
		for range 90 {
			token, err := s.Token(t.Context())
			if err != nil || token.AccessToken() != "kept" {
				t.Fatalf("error %v", err)
			}
			if in, err := s.LoggedIn(t.Context()); !in || err != nil {
				t.Fatalf("logged in %t, error %v", in, err)
			}
			<-time.After(time.Second)
			synctest.Wait()
		}
		if n := len(w.store.leases) - locks; n != 1 || log.loud.Load() != 0 {
			t.Errorf("the session was locked %d times, and %d lines were logged", n, log.loud.Load())
		}
		_, err = s.Token(t.Context())
		wantLogin(t, err)
		if w.loggedIn(t) {
			t.Error("it is logged in")
		}
		for range 60 {
			_, err = s.Token(t.Context())
			wantLogin(t, err)
			<-time.After(time.Second)
		}
		if n := len(w.store.leases) - locks; n > 20 {
			t.Errorf("the session was locked %d times in a minute", n)
		}
		w.wantNoRefresh(t)
		w.logIn(t)
		if _, err := w.session.Token(t.Context()); err != nil {
			t.Errorf("after the next login: %v", err)
		}
	})
}

// A process that comes late hands the token out for as long.
func TestKeptAccessTokenIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := finalWorld(t)
		<-time.After(89 * time.Second)
		other := newSessionProcess(t, w.issuer, w.store)
		if token := other.mustToken(t); token.AccessToken() != "kept" || !other.loggedIn(t) {
			t.Error("another token")
		}
		w.store.set(func() {
			w.store.onLock = func(context.Context, func() (func(), error)) (func(), error) { return nil, errDiskFull }
		})
		if token := newSessionProcess(t, w.issuer, w.store).mustToken(t); token.AccessToken() != "kept" {
			t.Error("another token, when the store cannot lock")
		}
		w.store.set(func() { w.store.onLock = nil })
		<-time.After(time.Second)
		_, err := other.session.Token(t.Context())
		wantLogin(t, err)
		w.wantNoRefresh(t)
	})
}

// A process whose clock is behind would send the person from one login to the next, as long as
// those end in a process whose clock is right.
func TestKeptAccessTokenOfAProcessWhoseClockIsAhead(t *testing.T) {
	for ahead, good := range map[time.Duration]bool{30 * time.Second: true, time.Minute: true, time.Minute + 1: false} {
		synctest.Test(t, func(t *testing.T) {
			w := finalWorld(t)
			w.restamp(t, "", time.Now().Add(ahead))
			other := newSessionProcess(t, w.issuer, w.store)
			token, err := other.session.Token(t.Context())
			if (err == nil) != good || other.loggedIn(t) != good {
				t.Fatalf("%s ahead: error %v", ahead, err)
			}
			if good && time.Until(token.Expiry()) != 100*time.Second {
				t.Errorf("%s ahead: it ends in %s", ahead, time.Until(token.Expiry()))
			}
			w.wantNoRefresh(t)
		})
	}
}

// The token is for the key of the login. Other keys do not end the session.
func TestKeptAccessTokenIsForTheKeyOfTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := finalWorld(t, session.WithScope("read"), session.WithResource("https://billing.test"), session.WithAudience("billing"))
		at := tokens.Key{Resource: "https://billing.test", Audience: "billing"}
		for _, change := range []func(*tokens.Key){
			func(k *tokens.Key) { *k = tokens.Key{} },
			func(k *tokens.Key) { k.Scope = "write" },
			func(k *tokens.Key) { k.Audience = "" },
			func(k *tokens.Key) { k.Resource = "https://other.test" },
		} {
			other := at
			change(&other)
			_, err := w.session.Source(other).Token(t.Context())
			wantLogin(t, err)
		}
		for _, scope := range []string{"", "read"} {
			at.Scope = scope
			token, err := w.session.Source(at).Token(t.Context())
			if err != nil || token.AccessToken() != "kept" || !w.loggedIn(t) {
				t.Errorf("the scope %q: %v", scope, err)
			}
		}
		w.wantNoRefresh(t)
	})
}

// There is no other in its place.
func TestKeptAccessTokenThatAServerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := finalWorld(t)
		source := w.session.Source(tokens.Key{})
		if !source.Invalidate(w.mustToken(t)) {
			t.Error("it is not renewed")
		}
		_, err := source.Token(t.Context())
		wantLogin(t, err)
		w.wantNoRefresh(t)
	})
}

// A refresh that another process's login overtakes goes on with what that brought, which is no
// refresh token.
func TestRefreshOvertakenByALoginWithoutARefreshToken(t *testing.T) {
	for name, status := range map[string]int{"refused": http.StatusBadRequest, "granted": http.StatusOK} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := adoptedWorld(t)
				other := newSessionProcess(t, w.issuer, w.store.beside())
				w.wire.hook(func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
					other.finalLogIn(t)
					return sessionResponse(status, map[string]any{
						"error": map[int]string{http.StatusBadRequest: "invalid_grant"}[status], "access_token": "late", "token_type": "Bearer",
					}), nil
				})
				response, err := w.fetch(sessionKey, nil)
				if err != nil || response.AccessToken.Reveal() != "kept" || !response.Final {
					t.Errorf("error %v", err)
				}
				if w.wire.asked() != 1 || !w.loggedIn(t) {
					t.Errorf("%d requests", w.wire.asked())
				}
			})
		})
	}
}

// The access token is all that there is to revoke.
func TestLogoutRevokesAKeptAccessToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := finalWorld(t)
		if err := w.session.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(w.wire.revokes) != 1 || w.wire.revokes[0].Get("token") != "kept" || w.wire.revokes[0].Get("token_type_hint") != "access_token" {
			t.Errorf("revoked %v", w.wire.revokes)
		}
		if w.store.record(t) != nil || w.loggedIn(t) {
			t.Error("the record is still there")
		}

		w.finalLogIn(t)
		w.wire.onRevoke = func(*http.Request, func() (*http.Response, error)) (*http.Response, error) {
			return sessionResponse(400, map[string]any{"error": "unsupported_token_type"}), nil
		}
		if err := w.session.Logout(t.Context()); !errors.Is(err, session.ErrNotRevoked) || w.store.record(t) != nil {
			t.Errorf("error %v, or the record is still there", err)
		}

		w.finalLogIn(t)
		<-time.After(90 * time.Second)
		if err := w.session.Logout(t.Context()); err != nil || len(w.wire.revokes) != 3 {
			t.Errorf("error %v, %d revocations of a token that is over", err, len(w.wire.revokes)-2)
		}
	})
}

// A token that is over here may be good at the server: its clock is another one, and not every server
// says how long a token lives.
func TestLogoutRevokesAKeptAccessTokenThatIsOverHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		w.wire.answer(200, map[string]any{"access_token": "kept", "token_type": "Bearer"})
		w.logIn(t)
		w.wire.hook(nil)
		<-time.After(24 * time.Hour)
		if err := w.session.Logout(t.Context()); err != nil || len(w.wire.revokes) != 1 || w.wire.revokes[0].Get("token") != "kept" {
			t.Errorf("of a lifetime that was not said: error %v, revoked %v", err, w.wire.revokes)
		}

		w.finalLogIn(t)
		w.restamp(t, "", time.Now().Add(time.Hour))
		if err := w.session.Logout(t.Context()); err != nil || len(w.wire.revokes) != 2 {
			t.Errorf("where a clock is behind: error %v, revoked %v", err, w.wire.revokes)
		}
	})
}

// What cannot be saved is of no session.
func TestKeptAccessTokenThatCannotBeSavedIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l, back := w.startLogin(t)
		w.wire.answer(200, map[string]any{"access_token": "kept", "token_type": "Bearer"})
		w.store.fail(errDiskFull)
		if _, err := w.session.Finish(t.Context(), l, back); !errors.Is(err, errDiskFull) {
			t.Errorf("error %v", err)
		}
		if len(w.wire.revokes) != 1 || w.wire.revokes[0].Get("token") != "kept" || w.wire.revokes[0].Get("token_type_hint") != "access_token" {
			t.Errorf("revoked %v", w.wire.revokes)
		}
	})
}

// It is not left out of a record that is too large for it, as other access tokens are.
func TestKeptAccessTokenHasToFitIntoTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		before := fmt.Sprint(w.store.record(t))
		l, back := w.startLogin(t)
		large := strings.Repeat("a", 64<<10)
		w.wire.answer(200, map[string]any{"access_token": large, "token_type": "Bearer"})
		if _, err := w.session.Finish(t.Context(), l, back); err == nil || fmt.Sprint(w.store.record(t)) != before {
			t.Errorf("error %v, or the record has changed", err)
		}
		if len(w.wire.revokes) != 1 || w.wire.revokes[0].Get("token") != large {
			t.Error("it was not revoked")
		}
	})
}

// A server without a revocation endpoint may go on accepting the token.
func TestLogoutOfAKeptAccessTokenWithoutRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		next := w.wire.next
		w.wire.next = sessionRoundTrip(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.Path, "well-known") {
				return next.RoundTrip(r)
			}
			return sessionResponse(200, map[string]any{
				"issuer": w.issuer.URL(), "token_endpoint": w.issuer.URL() + "/token", "authorization_endpoint": w.issuer.URL() + "/authorize",
			}), nil
		})
		w.finalLogIn(t)
		if err := w.session.Logout(t.Context()); !errors.Is(err, session.ErrNotRevoked) || !errors.Is(err, oauth.ErrNoRevocation) {
			t.Errorf("error %v", err)
		}
	})
}

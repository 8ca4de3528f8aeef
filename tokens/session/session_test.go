package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestNewSaysAllThatIsWrong(t *testing.T) {
	_, err := session.New(nil, nil, "", tokens.WithMaxKeys(0), nil)
	if err == nil || len(strings.Split(err.Error(), "\n")) != 5 {
		t.Errorf("error %v", err)
	}
	own, ok := err.(interface{ Unwrap() []error })
	if !ok || len(own.Unwrap()) != 2 {
		t.Fatalf("%v is not joined", err)
	}
	tokenstest.WantConfigErrors(t, own.Unwrap()[0], session.ConfigError{Option: "New", Value: "nil"},
		session.ConfigError{Option: "New", Value: "nil"}, session.ConfigError{Option: "New", Value: `""`})
	if e, ok := errors.AsType[*tokens.ConfigError](err); !ok || e.Option != "NewManager" {
		t.Errorf("%v has no mistake of the Manager's options", err)
	}
}

// From the login to the logout, with a restart in between.
func TestSessionFromLoginToLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		if _, err := w.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) || w.loggedIn(t) {
			t.Fatalf("before the login: %v", err)
		}
		w.logIn(t, session.WithScope("read", "write")) // Token works at once, although it had failed for good
		first := w.mustToken(t)
		if w.wire.asked() != 1 || !w.loggedIn(t) || !slices.Equal(first.Scopes(), []string{"read", "write"}) {
			t.Errorf("after the login: %d requests, scopes %q", w.wire.asked(), first.Scopes())
		}

		// Renewed for hours.
		for range 100 {
			<-time.After(4 * time.Minute)
			w.mustToken(t)
			synctest.Wait()
		}
		if n := w.wire.asked(); n < 50 || n > 115 || w.issuer.Sessions() != 1 {
			t.Errorf("%d requests in 400 minutes", n)
		}
		<-time.After(6 * time.Minute)
		last := w.mustToken(t) // a new one: until its time to be renewed comes a restart goes on with it

		// A restart: without a login, and without a request while the stored token is good.
		if err := w.session.Close(); err != nil {
			t.Error(err)
		}
		again := newSessionProcess(t, w.issuer, w.store)
		if token := again.mustToken(t); token.AccessToken() != last.AccessToken() || again.wire.all != 0 {
			t.Errorf("after the restart: %d requests", again.wire.all)
		}
		<-time.After(time.Hour)
		again.mustToken(t)

		if err := again.session.Logout(t.Context()); err != nil {
			t.Error(err)
		}
		if w.issuer.Sessions() != 0 || w.store.record(t) != nil || again.loggedIn(t) {
			t.Error("something is left of the session")
		}
		asked := again.wire.asked()
		if _, err := again.session.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) || again.wire.asked() != asked {
			t.Errorf("after the logout: %v", err)
		}
		if err := again.session.Logout(t.Context()); err != nil {
			t.Errorf("the second logout: %v", err)
		}
		again.logIn(t)
		again.mustToken(t)
	})
}

func TestSessionRestartsDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		first := w.mustToken(t)
		<-time.After(280 * time.Second)
		w.issuer.SetFault(bearertest.Down)
		again := newSessionProcess(t, w.issuer, w.store)
		if again.mustToken(t).AccessToken() != first.AccessToken() {
			t.Error("another token")
		}
		<-time.After(10 * time.Second)
		if _, err := again.session.Token(t.Context()); err == nil || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("error %v", err)
		}
		w.issuer.SetFault(bearertest.NoFault)
		<-time.After(time.Minute)
		again.mustToken(t)
	})
}

func TestSessionKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		source := w.session.Source(tokens.Key{Resource: "https://billing.test", Scope: "read"})
		want := tokens.Key{
			Issuer: w.issuer.URL(), Client: sessionClientID, Subject: sessionName, Resource: "https://billing.test", Scope: "read",
		}
		if source.Key() != want || w.session.Source(want) != source {
			t.Errorf("the key is %+v", source.Key())
		}
		if token, err := source.Token(t.Context()); err != nil || !slices.Equal(token.Scopes(), []string{"read"}) {
			t.Errorf("error %v", err)
		}
		asked := w.wire.asked()
		for _, key := range []tokens.Key{{Subject: "bob"}, {Issuer: "https://other.test"}, {Client: "other"}} {
			_, err := w.session.Source(key).Token(t.Context())
			if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || w.wire.asked() != asked {
				t.Errorf("%+v: %v", key, err)
			}
		}
		w.store.name(t) // no other's was asked for
	})
}

func TestSessionsOfOneStoreAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		bob, err := session.New(w.client, w.store, "bob")
		if err != nil {
			t.Fatal(err)
		}
		defer bob.Close()
		if _, err := bob.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("error %v", err)
		}
		if err := bob.Logout(t.Context()); err != nil || !w.loggedIn(t) {
			t.Errorf("bob logged alice out: %v", err)
		}
	})
}

// A login for several resources: each has tokens of its own out of the one refresh token. Another
// one is refused without the server, which might end the session over it, and the session goes on.
func TestLoginForSeveralResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		const billing, shipping = "https://billing.test", "https://shipping.test"
		w.logIn(t, session.WithResource(billing, shipping))
		seen := make(map[string]bool)
		for _, resource := range []string{billing, shipping} {
			token, err := w.session.Source(tokens.Key{Resource: resource}).Token(t.Context())
			if err != nil || !strings.Contains(payloadOf(t, token), resource) || seen[token.AccessToken()] {
				t.Errorf("%s: error %v, or not its own token", resource, err)
				continue
			}
			seen[token.AccessToken()] = true
		}
		asked := w.wire.asked()
		again := newSessionProcess(t, w.issuer, w.store) // the record knows it
		for _, alice := range []*session.Session{w.session, again.session} {
			_, err := alice.Source(tokens.Key{Resource: "https://other.test"}).Token(t.Context())
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "invalid_target" || !e.Permanent() {
				t.Errorf("another resource: %v", err)
			}
		}
		if asked != 2 || w.wire.asked()+again.wire.asked() != asked || w.issuer.Sessions() != 1 {
			t.Errorf("%d requests, %d sessions", w.wire.asked()+again.wire.asked(), w.issuer.Sessions())
		}
		w.mustToken(t) // without a resource it is for the server to say
	})
}

// payloadOf is the claims set of a token that is a JWT.
func payloadOf(t *testing.T, token *tokens.Token) string {
	t.Helper()
	parts := strings.Split(token.AccessToken(), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[len(parts)/2])
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

func TestLoggedInWhenTheStoreDoesNotSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := adoptedWorld(t)
		w.store.set(func() { w.store.onLoad = func(context.Context, string) error { return errDiskFull } })
		in, err := w.session.LoggedIn(t.Context())
		if e, ok := errors.AsType[*session.StoreError](err); in || !ok || e.Op != "load" {
			t.Errorf("%t, %v", in, err)
		}
	})
}

// Two services that share a session, each with its Manager, for days.
func TestSessionsOfTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := adoptedWorld(t)
		b := newSessionProcess(t, a.issuer, a.store)
		var wg sync.WaitGroup
		for i, w := range []*sessionWorld{a, b} {
			wg.Go(func() {
				for range 2000 {
					if _, err := w.session.Token(context.Background()); err != nil {
						t.Error(err)
						return
					}
					<-time.After(time.Minute + time.Duration(i)*time.Second)
				}
			})
		}
		wg.Wait()
		asked := a.wire.asked() + b.wire.asked()
		if asked > 2100*60/180 || a.issuer.Sessions() != 1 { // one renewal for both, each three and a half minutes or later
			t.Errorf("%d requests, %d sessions", asked, a.issuer.Sessions())
		}
	})
}

func TestSessionPrintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, oauthtest.WithTokenLifetime(time.Hour))
		w.logIn(t)
		token := w.mustToken(t)
		w.store.fail(errDiskFull)
		_, _ = w.session.Source(tokens.Key{Resource: "https://billing.test"}).Token(t.Context()) // which is kept in memory
		_, err := w.session.Source(tokens.Key{Resource: "https://shipping.test"}).Token(t.Context())
		f := session.RefreshToken(w.client, w.store)
		_, fetchErr := f.Fetch(t.Context(), tokens.Request{Key: sessionKey, Previous: token})
		store, ok := errors.AsType[*session.StoreError](err)
		if !ok || fetchErr == nil {
			t.Fatal(err, fetchErr)
		}
		var printed strings.Builder
		for _, v := range []any{w.session, w.client, f, token, err, fetchErr, store, w.session.Source(tokens.Key{})} {
			printed.WriteString(sessionPrinted(v))
		}
		secrets := []string{token.AccessToken(), w.store.record(t)["refresh_token"].(string)}
		for _, form := range w.wire.tokens {
			secrets = append(secrets, form.Get("code"), form.Get("code_verifier"), form.Get("refresh_token"))
		}
		for _, secret := range secrets {
			if secret != "" && (strings.Contains(printed.String(), secret) || strings.Contains(printed.String(), fmt.Sprintf("%x", secret))) {
				t.Error("a secret is printed")
			}
		}
	})
}

package oauthtest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// beginDevice begins a device login of the client spa, and returns the answer and the form of a
// poll.
func beginDevice(t *testing.T, issuer *oauthtest.Server, pairs ...string) (reply, url.Values) {
	t.Helper()
	got := post(t, issuer, "/device_authorization", with(fields("client_id", "spa", "scope", "openid read"), pairs...))
	if got.StatusCode != http.StatusOK {
		t.Fatalf("the device authorization endpoint answers %s", got.outcome())
	}
	return got, fields("grant_type", deviceGrant, "client_id", "spa", "device_code", got.text("device_code"))
}

func TestDeviceLoginBringsTokensOnceThePersonAgrees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newServer()
		begun, poll := beginDevice(t, issuer, "resource", "https://billing.test")
		has(t, "the answer", begun.members, map[string]any{
			"verification_uri": issuer.URL() + "/device", "expires_in": 600.0, "interval": 5.0,
			"verification_uri_complete": issuer.URL() + "/device?user_code=" + begun.text("user_code"),
		})
		if !regexp.MustCompile("^[B-Z]{4}-[B-Z]{4}$").MatchString(begun.text("user_code")) {
			t.Errorf("the user_code is %q", begun.text("user_code"))
		}
		wantPoll := func(want string) {
			t.Helper()
			if got := post(t, issuer, "/token", poll); got.outcome() != want {
				t.Errorf("a poll answers %s, want %s", got.outcome(), want)
			}
		}
		<-time.After(5 * time.Second)
		wantPoll("400 authorization_pending")
		<-time.After(4 * time.Second)
		wantPoll("400 slow_down")
		<-time.After(9 * time.Second)
		wantPoll("400 slow_down") // the interval is longer now
		<-time.After(15 * time.Second)
		wantPoll("400 authorization_pending")
		issuer.ApproveDevice(begun.text("user_code"), "bob")
		<-time.After(15 * time.Second)
		got, claims := token(t, issuer, poll)
		has(t, "the token", claims, map[string]any{"sub": "bob", "client_id": "spa", "scope": "openid read", "aud": "https://billing.test"})
		if got.text("refresh_token") == "" || got.text("id_token") == "" || issuer.Sessions() != 1 {
			t.Errorf("the answer has %v", got.members)
		}
		wantPoll("400 invalid_grant")
	})
}

func TestDeviceLoginThatEndsWithoutTokens(t *testing.T) {
	for want, end := range map[string]func(*oauthtest.Server, string){
		"400 access_denied": (*oauthtest.Server).DenyDevice,
		"400 expired_token": (*oauthtest.Server).ExpireDevice,
		"400 slow_down":     (*oauthtest.Server).SlowDownDevice,
	} {
		synctest.Test(t, func(t *testing.T) {
			issuer := newServer(oauthtest.WithDeviceInterval(time.Second), oauthtest.WithDeviceLifetime(2*time.Second))
			begun, poll := beginDevice(t, issuer)
			end(issuer, begun.text("user_code"))
			<-time.After(time.Second)
			if got := post(t, issuer, "/token", poll); got.outcome() != want {
				t.Errorf("a poll answers %s, want %s", got.outcome(), want)
			}
			if got := post(t, issuer, "/token", with(poll, "client_id", ""), asOrders); got.outcome() != "400 invalid_grant" {
				t.Errorf("a poll of another client answers %s", got.outcome())
			}
			if got := post(t, issuer, "/token", with(poll, "device_code", "")); got.outcome() != "400 invalid_request" {
				t.Errorf("a poll without a code answers %s", got.outcome())
			}
			<-time.After(time.Second)
			if got := post(t, issuer, "/token", poll); got.outcome() != "400 expired_token" {
				t.Errorf("at the end of its life: %s", got.outcome())
			}
		})
	}
}

func TestVerificationPageAgreesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := newServer()
		begun, poll := beginDevice(t, issuer)
		for _, want := range []int{http.StatusOK, http.StatusBadRequest} {
			response, err := issuer.Client().Get(begun.text("verification_uri_complete"))
			if err != nil || response.StatusCode != want {
				t.Fatalf("%v, %v, want %d", response, err, want)
			}
			response.Body.Close()
		}
		<-time.After(5 * time.Second)
		_, claims := token(t, issuer, poll)
		has(t, "the token", claims, map[string]any{"sub": "alice"})
	})
}

func TestDeviceEndpointKnowsItsClients(t *testing.T) {
	issuer := newServer()
	issuer.Refuse("server_error")
	if got := post(t, issuer, "/device_authorization", fields("client_id", "spa")); got.outcome() != "500 server_error" {
		t.Errorf("a server that refuses all answers %s", got.outcome())
	}
	issuer.Refuse("")
	for want, form := range map[string]url.Values{
		"401 invalid_client": fields("client_id", "orders"),
		"400 invalid_scope":  fields("client_id", "spa", "scope", "a\nb"),
		"400 invalid_target": fields("client_id", "spa", "resource", "/a"),
	} {
		if got := post(t, issuer, "/device_authorization", form); got.outcome() != want {
			t.Errorf("%v: %s, want %s", form, got.outcome(), want)
		}
	}
}

func TestMisuseOfDeviceLoginsPanics(t *testing.T) {
	for name, misuse := range map[string]func(s *oauthtest.Server, code string){
		"no subject":   func(s *oauthtest.Server, code string) { s.ApproveDevice(code, "") },
		"unknown code": func(s *oauthtest.Server, _ string) { s.ApproveDevice("ABCD-EFGH", "alice") },
		"twice":        func(s *oauthtest.Server, code string) { s.DenyDevice(code); s.ApproveDevice(code, "alice") },
		"expired":      func(s *oauthtest.Server, code string) { s.ExpireDevice(code); s.DenyDevice(code) },
		"no interval":  func(*oauthtest.Server, string) { oauthtest.WithDeviceInterval(0) },
		"half seconds": func(*oauthtest.Server, string) { oauthtest.WithDeviceLifetime(time.Second / 2) },
	} {
		issuer := newServer()
		begun, _ := beginDevice(t, issuer)
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "oauthtest: ") {
					t.Errorf("%s: panics with %q", name, text)
				}
			}()
			misuse(issuer, begun.text("user_code"))
		}()
	}
}

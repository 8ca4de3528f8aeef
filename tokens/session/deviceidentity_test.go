package session_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestDeviceLoginSaysWhoLoggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		for scope, want := range map[string]string{"openid": "alice", "read": ""} {
			identity, err := w.session.FinishDevice(t.Context(), w.startDevice(t, time.Second, session.WithScope(scope)))
			if err != nil || (identity != nil) != (want != "") || identity != nil && identity.Subject() != want {
				t.Errorf("%s: %v, error %v", scope, identity, err)
			}
		}
	})
}

// Without an ID token that is good it is not known who logged in, and what came is revoked.
func TestDeviceLoginRefusesABadIDToken(t *testing.T) {
	for name, idToken := range map[string]string{"none": "", "forged": "e30.e30.e30"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				d := w.startDevice(t, time.Second, session.WithScope("openid"))
				w.wire.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer", "refresh_token": "stray", "id_token": idToken})
				if _, err := w.session.FinishDevice(t.Context(), d); !errors.Is(err, oauth.ErrIDToken) {
					t.Errorf("error %v", err)
				}
				if len(w.wire.revoked()) != 1 || w.wire.revoked()[0] != "stray" || w.loggedIn(t) {
					t.Errorf("revoked %d", len(w.wire.revoked()))
				}
				if _, _, err := d.Wait(t.Context()); !errors.Is(err, session.ErrLoginUsed) {
					t.Errorf("a second time: %v", err)
				}
			})
		})
	}
}

// The keys for the ID token have to be there before the code can be used up.
func TestDeviceLoginWaitsForTheKeysFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		d := w.startDevice(t, time.Second, session.WithScope("openid"))
		w.issuer.SetFault(bearertest.Down)
		if _, _, err := d.Wait(t.Context()); err == nil || w.wire.asked() != 0 {
			t.Errorf("error %v, %d polls", err, w.wire.asked())
		}
		w.issuer.SetFault(bearertest.NoFault)
		<-time.After(time.Minute) // the pause after the failure
		if _, identity, err := d.Wait(t.Context()); err != nil || identity.Subject() != "alice" {
			t.Errorf("error %v", err)
		}
	})
}

// The device grant has no parameter for it.
func TestDeviceLoginRefusesMaxAge(t *testing.T) {
	w := newDeviceWorld(t, tokenstest.Gives(http.StatusOK, "", ""))
	_, err := session.NewDeviceLogin(t.Context(), w.client, session.WithScope("openid"), session.WithMaxAge(time.Minute))
	tokenstest.WantConfigErrors(t, err, session.ConfigError{Option: "WithMaxAge", Value: "1m0s"})
}

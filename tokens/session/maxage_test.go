package session_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// max_age is sent, and what the ID token says of it is checked. It counts from when the login began:
// the person may take a while.
func TestMaxAgeIsSentAndChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		age    time.Duration
		proved any // when the person proved who it is, from the beginning of the login
		takes  time.Duration
		good   bool
	}{
		"in time":              {5 * time.Minute, -4 * time.Minute, time.Second, true},
		"too long ago":         {5 * time.Minute, -6 * time.Minute, time.Second, false},
		"a new proof":          {0, time.Second, 9 * time.Minute, true},
		"an old proof":         {0, -time.Minute, time.Second, false},
		"not said":             {5 * time.Minute, nil, time.Second, false},
		"in time, at the end":  {5 * time.Minute, -4 * time.Minute, 9 * time.Minute, true},
		"longer than there is": {100 * 365 * 24 * time.Hour, -time.Hour, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				claims := bearertest.Claims{"auth_time": nil}
				if proved, ok := test.proved.(time.Duration); ok {
					claims["auth_time"] = time.Now().Add(proved)
				}
				w := newSessionWorld(t, oauthtest.WithIDTokenClaims(claims))
				l, err := w.session.Login(t.Context(), sessionRedirect, session.WithScope("openid"), session.WithMaxAge(test.age))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := time.ParseDuration(loginQuery(t, l).Get("max_age") + "s"); got != test.age || err != nil {
					t.Errorf("max_age %s, %v", got, err)
				}
				tokenstest.Pass(test.takes)
				_, err = w.session.Finish(t.Context(), l, w.loginAnswer(t, l))
				if (err == nil) != test.good || !test.good && !(errors.Is(err, oauth.ErrIDToken) && strings.Contains(err.Error(), "auth_time")) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestMistakesWithMaxAge(t *testing.T) {
	t.Parallel()
	w := newSessionWorld(t)
	for name, test := range map[string]struct {
		opts []session.LoginOption
		want []session.ConfigError
	}{
		"negative":           {[]session.LoginOption{session.WithScope("openid"), session.WithMaxAge(-time.Second)}, []session.ConfigError{{Option: "WithMaxAge", Value: "-1s"}}},
		"too long":           {[]session.LoginOption{session.WithScope("openid"), session.WithMaxAge(100*365*24*time.Hour + time.Second)}, []session.ConfigError{{Option: "WithMaxAge", Value: "876000h0m1s"}}},
		"a part of a second": {[]session.LoginOption{session.WithScope("openid"), session.WithMaxAge(time.Millisecond)}, []session.ConfigError{{Option: "WithMaxAge", Value: "1ms"}}},
		"without an ID token": {
			[]session.LoginOption{session.WithScope("read"), session.WithMaxAge(time.Second)},
			[]session.ConfigError{{Option: "WithMaxAge", Value: "1s"}},
		},
		"twice": {
			[]session.LoginOption{session.WithScope("openid"), session.WithMaxAge(time.Second), session.WithMaxAge(time.Second)},
			[]session.ConfigError{{Option: "WithMaxAge", Value: "1s"}},
		},
		"as a parameter": {
			[]session.LoginOption{session.WithScope("openid"), session.WithParameter("max_age", "1")},
			[]session.ConfigError{{Option: "WithParameter", Value: `"max_age"`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := session.NewLogin(t.Context(), w.client, sessionRedirect, test.opts...)
			tokenstest.WantConfigErrors(t, err, test.want...)
		})
	}
}

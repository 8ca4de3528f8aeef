package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// cut is an answer whose body breaks off.
func cut(status int) tokenstest.Handler {
	return func(*http.Request, url.Values) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(`{"error":`), readerFunc(func([]byte) (int, error) { return 0, errors.New("connection reset") }))
		return tokenstest.Response(status, body, "Content-Type", "application/json"), nil
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// The server says how often it is asked (RFC 8628 section 3.5).
func TestDeviceLoginPollsAsTheServerWants(t *testing.T) {
	slow := says(http.StatusBadRequest, "slow_down")
	for name, test := range map[string]struct {
		interval any
		answers  []tokenstest.Handler
		want     []int
	}{
		"none":                 {nil, []tokenstest.Handler{pending, pending, good}, []int{5, 10, 15}},
		"0":                    {0, []tokenstest.Handler{pending, good}, []int{5, 10}},
		"text":                 {"often", []tokenstest.Handler{pending, good}, []int{5, 10}},
		"too often":            {0.01, []tokenstest.Handler{pending, good}, []int{1, 2}},
		"each second":          {1, []tokenstest.Handler{pending, good}, []int{1, 2}},
		"each minute":          {60, []tokenstest.Handler{pending, good}, []int{60, 120}},
		"too seldom":           {61, []tokenstest.Handler{pending, good}, []int{60, 120}},
		"slow down":            {nil, []tokenstest.Handler{slow, pending, slow, pending, good}, []int{5, 15, 25, 40, 55}},
		"slow down, as Auth0":  {nil, []tokenstest.Handler{says(403, "authorization_pending"), says(429, "slow_down"), good}, []int{5, 10, 20}},
		"pending, as Google":   {nil, []tokenstest.Handler{says(428, "authorization_pending"), says(403, "slow_down"), good}, []int{5, 10, 20}},
		"pending, as GitHub":   {nil, []tokenstest.Handler{says(200, "authorization_pending"), says(200, "slow_down"), good}, []int{5, 10, 20}},
		"slow down, for long":  {nil, []tokenstest.Handler{says(429, "slow_down", "Retry-After", "60"), pending, good}, []int{5, 65, 75}},
		"no connection":        {nil, []tokenstest.Handler{broken, broken, broken, broken, broken, pending, broken, good}, []int{5, 15, 35, 75, 135, 195, 200, 210}},
		"no connection, slow":  {50, []tokenstest.Handler{broken, broken, good}, []int{50, 150, 250}},
		"an error":             {nil, []tokenstest.Handler{says(500, "server_error"), says(408, ""), says(425, ""), good}, []int{5, 15, 35, 75}},
		"a refusal with a 5xx": {nil, []tokenstest.Handler{says(502, "access_denied"), good}, []int{5, 15}},
		"busy":                 {nil, []tokenstest.Handler{says(503, "", "Retry-After", "120"), pending, good}, []int{5, 125, 130}},
		"busy, for a moment":   {nil, []tokenstest.Handler{says(429, "", "Retry-After", "1"), good}, []int{5, 15}},
		"broken off":           {nil, []tokenstest.Handler{cut(400), cut(200), good}, []int{5, 15, 35}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDeviceWorld(t, test.answers...)
				w.gives(map[string]any{"interval": test.interval})
				if _, _, err := w.begin(t).Wait(t.Context()); err != nil {
					t.Error(err)
				}
				w.wantPolls(t, test.want...)
			})
		})
	}
}

// All other answers end it.
func TestDeviceLoginEndsWithARefusal(t *testing.T) {
	for name, test := range map[string]struct {
		answer tokenstest.Handler
		code   string
		is     error
	}{
		"denied":            {says(http.StatusBadRequest, "access_denied"), "access_denied", nil},
		"denied, as Auth0":  {says(http.StatusForbidden, "access_denied"), "access_denied", nil},
		"expired":           {says(http.StatusBadRequest, "expired_token"), "expired_token", session.ErrDeviceLoginExpired},
		"invalid_grant":     {says(http.StatusBadRequest, "invalid_grant"), "invalid_grant", nil},
		"invalid_client":    {says(http.StatusUnauthorized, "invalid_client"), "invalid_client", nil},
		"a code of its own": {says(http.StatusOK, "incorrect_user_input"), "incorrect_user_input", nil},
		"no code":           {tokenstest.Gives(http.StatusBadRequest, "text/plain", "no"), "", nil},
		"not found":         {tokenstest.Gives(http.StatusNotFound, "text/plain", "no"), "", nil},
		"moved":             {tokenstest.Gives(http.StatusFound, "", "", "Location", "/elsewhere"), "", nil},
		"no content":        {tokenstest.Gives(http.StatusNoContent, "", ""), "", nil},
		"an odd token":      {tokenstest.JSON(http.StatusOK, `{"access_token":"a","token_type":"N_A"}`), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDeviceWorld(t, test.answer)
				d := w.begin(t)
				_, _, err := d.Wait(t.Context())
				e, ok := errors.AsType[*tokens.Error](err)
				if !ok || e.Op != "token" || e.Code != test.code || test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("error %v", err)
				}
				if _, _, err := d.Wait(t.Context()); !errors.Is(err, session.ErrLoginUsed) {
					t.Errorf("a second time: %v", err)
				}
				w.wantPolls(t, 5)
			})
		})
	}
}

// A server that does not answer is not a person who is slow, and the error says which of them it was.
func TestDeviceLoginThatEndsInAnOutageSaysSo(t *testing.T) {
	for name, test := range map[string]struct {
		answers []tokenstest.Handler
		status  int
		outage  bool
	}{
		"a slow person":         {[]tokenstest.Handler{broken, pending}, 0, false},
		"no connection":         {[]tokenstest.Handler{pending, broken}, 0, true},
		"an error":              {[]tokenstest.Handler{says(500, "server_error")}, 500, true},
		"a pause of the server": {[]tokenstest.Handler{says(503, "", "Retry-After", "3600")}, 503, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDeviceWorld(t, test.answers...).begin(t)
				for range 2 {
					_, _, err := d.Wait(t.Context())
					e, ok := errors.AsType[*tokens.Error](err)
					if !errors.Is(err, session.ErrDeviceLoginExpired) || ok != test.outage || ok && (e.Op != "token" || e.Status != test.status) {
						t.Errorf("error %v", err)
					}
				}
			})
		})
	}
}

// A pause that the token endpoint has asked another request for holds for polls, too.
func TestDeviceLoginHonoursThePauseOfTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, good)
		polls := w.Handler("/token")
		w.On("/token", tokenstest.Gives(http.StatusServiceUnavailable, "", "", "Retry-After", "63"))
		d := w.begin(t)
		if _, err := w.client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err == nil {
			t.Fatal("no error")
		}
		w.On("/token", polls)
		if _, _, err := d.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		w.wantPolls(t, 63)
	})
}

// What a server says of one device code stops nothing else, nor is it counted as a failure.
func TestPollsOfADeviceLoginStopNothingElse(t *testing.T) {
	for name, answer := range map[string]tokenstest.Handler{
		"pending":             pending,
		"slow_down":           says(http.StatusTooManyRequests, "slow_down", "Retry-After", "60"),
		"denied":              says(http.StatusBadRequest, "access_denied"),
		"unauthorized_client": says(http.StatusBadRequest, "unauthorized_client"),
		"invalid_client":      says(http.StatusUnauthorized, "invalid_client"), // which may be about the device code
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newDeviceWorld(t, answer)
				if _, err := w.client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				if _, _, err := w.begin(t).Wait(ctx); err == nil {
					t.Error("no error")
				}
				if _, err := w.client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The context ends it at once, and it can go on later. The pace stays.
func TestDeviceLoginEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, pending, good)
		d := w.begin(t)
		began := time.Now()
		reason := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(7*time.Second, func() { cancel(reason) })
		if _, _, err := d.Wait(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, reason) || time.Since(began) != 7*time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
		if _, _, err := d.Wait(ctx); !errors.Is(err, context.Canceled) || time.Since(began) != 7*time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
		if _, _, err := d.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		w.wantPolls(t, 5, 10)
	})
}

// The answer to what was sent is waited for: no other brings the tokens.
func TestDeviceLoginTakesTheAnswerToWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, func(r *http.Request, form url.Values) (*http.Response, error) {
			select {
			case <-time.After(9 * time.Second):
				return good(r, form)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		if response, _, err := w.begin(t).Wait(ctx); err != nil || response.AccessToken.Reveal() == "" {
			t.Errorf("error %v", err)
		}
	})
}

// An error that comes before a poll is sent leaves the login as it was.
func TestDeviceLoginGoesOnAfterWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, good)
		var fails, panics atomic.Bool
		w.client = tokenstest.NewClient(t, w.Server, oauth.ClientSecretBasicFunc(func(context.Context) (tokens.Secret, error) {
			switch {
			case fails.Load():
				return tokens.Secret{}, errDiskFull
			case panics.Load():
				panic("of the application")
			}
			return tokens.NewSecret(tokenstest.Secret), nil
		}))
		d := w.begin(t)
		fails.Store(true)
		if _, _, err := d.Wait(t.Context()); !errors.Is(err, errDiskFull) {
			t.Errorf("error %v", err)
		}
		fails.Store(false)
		panics.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it does not panic")
				}
			}()
			_, _, _ = d.Wait(t.Context())
		}()
		panics.Store(false)
		if _, _, err := d.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		w.wantPolls(t, 5)
	})
}

// A poll that is to come later is about its own login. It holds nothing else back: each of many
// logins would ask again right at the end of a pause, before all else.
func TestPollThatComesLaterHoldsNothingElseBack(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			w := newDeviceWorld(t, tokenstest.Gives(status, "", "", "Retry-After", "60"))
			ctx, cancel := context.WithCancel(t.Context())
			d, own := w.begin(t), w.client.ClientCredentials()
			var wg sync.WaitGroup
			wg.Go(func() { _, _, _ = d.Wait(ctx) })
			for range 5 {
				<-time.After(time.Minute)
				if _, err := own.Fetch(t.Context(), tokens.Request{}); err != nil {
					t.Error(err)
				}
			}
			if n := len(w.polls); n != 5 { // after 5 seconds, and a minute after each
				t.Errorf("%d polls", n)
			}
			cancel()
			wg.Wait()
		})
	}
}

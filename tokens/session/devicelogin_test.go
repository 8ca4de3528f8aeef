package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

const (
	deviceURL   = tokenstest.Issuer + "/device_authorization"
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
)

// deviceWorld is a server that says what a test tells it to, and a client of it.
type deviceWorld struct {
	*tokenstest.Server
	client *oauth.Client
	polls  []time.Duration // when, from the beginning of the test
}

// newDeviceWorld is a world whose polls get these answers in turn, the last one again and again.
func newDeviceWorld(t *testing.T, answers ...tokenstest.Handler) *deviceWorld {
	t.Helper()
	w := &deviceWorld{Server: tokenstest.NewServer()}
	w.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"device_authorization_endpoint": deviceURL})))
	w.gives(nil)
	w.client = tokenstest.NewClient(t, w.Server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
	began := time.Now()
	w.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
		if form.Get("grant_type") != deviceGrant {
			return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
		}
		answer := answers[min(len(w.polls), len(answers)-1)]
		w.polls = append(w.polls, time.Since(began))
		return answer(r, form)
	})
	return w
}

// deviceAnswer is that of a device authorization endpoint, with members to add or replace; nil takes
// one away.
func deviceAnswer(members map[string]any) tokenstest.Handler {
	all := map[string]any{
		"device_code": "a-device-code", "user_code": "WDJB-MJHT", "verification_uri": tokenstest.Issuer + "/device", "expires_in": 1800,
	}
	for name, value := range members {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return func(*http.Request, url.Values) (*http.Response, error) {
		return sessionResponse(http.StatusOK, all), nil
	}
}

func (w *deviceWorld) gives(members map[string]any) {
	w.On("/device_authorization", deviceAnswer(members))
}

func (w *deviceWorld) begin(t *testing.T, opts ...session.LoginOption) *session.DeviceLogin {
	t.Helper()
	d, err := session.NewDeviceLogin(t.Context(), w.client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *deviceWorld) wantPolls(t *testing.T, seconds ...int) {
	t.Helper()
	var got []int
	for _, at := range w.polls {
		got = append(got, int(at/time.Second))
	}
	if !slices.Equal(got, seconds) {
		t.Errorf("polls after %v seconds, want %v", got, seconds)
	}
}

// says is an answer with an error code.
func says(status int, code string, header ...string) tokenstest.Handler {
	return tokenstest.JSON(status, `{"error":"`+code+`"}`, header...)
}

var (
	good    = tokenstest.JSON(http.StatusOK, tokenstest.Good)
	pending = says(http.StatusBadRequest, "authorization_pending")
)

// broken is a connection that breaks off.
func broken(*http.Request, url.Values) (*http.Response, error) {
	return nil, errors.New("connection reset")
}

func TestDeviceLoginSendsWhatTheOptionsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, good)
		d := w.begin(t, session.WithScope("write", "read"), session.WithResource("urn:a", "urn:b"), session.WithAudience("billing"),
			session.WithParameter("login_hint", "alice"))
		sent := w.Seen("/device_authorization")[0]
		want := url.Values{"scope": {"write read"}, "resource": {"urn:a", "urn:b"}, "audience": {"billing"}, "login_hint": {"alice"}}
		if sent.Form.Encode() != want.Encode() || sent.Method != http.MethodPost || !strings.HasPrefix(sent.Header.Get("Authorization"), "Basic ") {
			t.Errorf("%s %v, %v", sent.Method, sent.Form, sent.Header)
		}
		if _, _, err := d.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent = w.Seen("/token")[0]
		want = url.Values{"grant_type": {deviceGrant}, "device_code": {"a-device-code"}, "resource": {"urn:a"}, "audience": {"billing"}}
		if sent.Form.Encode() != want.Encode() || !strings.HasPrefix(sent.Header.Get("Authorization"), "Basic ") {
			t.Errorf("%v, %v", sent.Form, sent.Header)
		}
	})
}

// A public client gives its identifier, with both requests.
func TestDeviceLoginOfAPublicClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		d, err := session.NewDeviceLogin(t.Context(), w.client, session.WithScope("openid", "read"))
		if err != nil {
			t.Fatal(err)
		}
		if d.VerificationURI() != w.issuer.URL()+"/device" || d.VerificationURIComplete() != w.issuer.URL()+"/device?user_code="+d.UserCode() {
			t.Errorf("%s, %s", d.VerificationURI(), d.VerificationURIComplete())
		}
		if !d.Expiry().Equal(time.Now().Add(10 * time.Minute)) {
			t.Errorf("it ends at %v", d.Expiry())
		}
		time.AfterFunc(12*time.Second, func() { w.issuer.ApproveDevice(d.UserCode(), "bob") })
		response, _, err := d.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if response.AccessToken.Reveal() == "" || response.RefreshToken.Reveal() == "" || response.IDToken.Reveal() == "" || response.Scope != "openid read" {
			t.Error("something is missing")
		}
		if w.wire.asked() != 3 || w.wire.last().Get("client_id") != sessionClientID {
			t.Errorf("%d polls, the last %v", w.wire.asked(), w.wire.last())
		}
		if _, _, err := d.Wait(t.Context()); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("a second time: %v", err)
		}
	})
}

// With both endpoints given nothing is discovered.
func TestDeviceLoginWithoutDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, good)
		if _, err := session.NewDeviceLogin(t.Context(), tokenstest.NewClient(t, w.Server, oauth.NoClientAuth(),
			oauth.WithTokenEndpoint(tokenstest.TokenURL), oauth.WithDeviceAuthorizationEndpoint(deviceURL))); err != nil || len(w.Seen("well-known")) != 0 {
			t.Errorf("error %v, %d discoveries", err, len(w.Seen("well-known")))
		}
		w.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(nil)))
		_, err := session.NewDeviceLogin(t.Context(), tokenstest.NewClient(t, w.Server, oauth.NoClientAuth()))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" || !strings.Contains(err.Error(), "WithDeviceAuthorizationEndpoint") {
			t.Errorf("a server without the endpoint: %v", err)
		}
		for _, unfit := range []string{"http://login.example.com/device", deviceURL + "?" + strings.Repeat("a", 4<<10)} {
			w.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"device_authorization_endpoint": unfit})))
			client := tokenstest.NewClient(t, w.Server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
			_, err := session.NewDeviceLogin(t.Context(), client)
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" || !strings.Contains(err.Error(), "device_authorization_endpoint") {
				t.Errorf("%.40s: %v", unfit, err)
			}
			if _, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{}); err != nil {
				t.Errorf("another grant, at a server with such an endpoint: %v", err)
			}
		}
		w.Off(tokenstest.OpenIDPath)
		_, err = session.NewDeviceLogin(t.Context(), tokenstest.NewClient(t, w.Server, oauth.NoClientAuth(), oauth.WithDeviceAuthorizationEndpoint(deviceURL)))
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" {
			t.Errorf("the token endpoint is not known: %v", err)
		}
	})
}

func TestDeviceLoginOptionsAreJudged(t *testing.T) {
	w := newDeviceWorld(t, good)
	_, err := session.NewDeviceLogin(t.Context(), nil, nil, session.WithScope(""), session.WithAudience("\x00"), session.WithResource(),
		session.WithParameter("device_code", "a"), session.WithParameter("grant_type", "a"))
	tokenstest.WantConfigErrors(
		t, err, session.ConfigError{Option: "NewDeviceLogin", Value: "nil"}, session.ConfigError{Option: "NewDeviceLogin", Value: "nil"},
		session.ConfigError{Option: "WithScope", Value: `""`}, session.ConfigError{Option: "WithAudience", Value: `"\x00"`},
		session.ConfigError{Option: "WithResource"},
		session.ConfigError{Option: "WithParameter", Value: `"device_code"`}, session.ConfigError{Option: "WithParameter", Value: `"grant_type"`},
	)
	if _, err := session.NewDeviceLogin(t.Context(), w.client, session.WithScope("")); err == nil || len(w.Seen("")) != 0 {
		t.Errorf("error %v, %d requests", err, len(w.Seen("")))
	}
	_, err = oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), oauth.WithDeviceAuthorizationEndpoint("http://login.example.com/"),
		oauth.WithDeviceAuthorizationEndpoint(""))
	tokenstest.WantConfigErrors(
		t, err, oauth.ConfigError{Option: "WithDeviceAuthorizationEndpoint", Value: `""`},
		oauth.ConfigError{Option: "WithDeviceAuthorizationEndpoint", Value: `""`},
	)
}

// What a person is to read in a terminal does nothing to it, and leads to the server that the client
// trusts to lead there.
func TestDeviceLoginRefusesWhatCannotBeShown(t *testing.T) {
	long := tokenstest.Issuer + "/" + strings.Repeat("a", 2<<10-len(tokenstest.Issuer)-1)
	for name, test := range map[string]struct {
		members map[string]any
		good    bool
	}{
		"as it should be":             {nil, true},
		"Google's name":               {map[string]any{"verification_uri": nil, "verification_url": tokenstest.Issuer + "/device"}, true},
		"a complete URI":              {map[string]any{"verification_uri_complete": tokenstest.Issuer + "/device?user_code=WDJB-MJHT"}, true},
		"a fragment":                  {map[string]any{"verification_uri": tokenstest.Issuer + "/#/device"}, true},
		"another host":                {map[string]any{"verification_uri": "https://device.example.net"}, true},
		"64 characters":               {map[string]any{"user_code": strings.Repeat("A", 64)}, true},
		"65 characters":               {map[string]any{"user_code": strings.Repeat("A", 65)}, false},
		"2 KiB":                       {map[string]any{"verification_uri": long}, true},
		"more than 2 KiB":             {map[string]any{"verification_uri": long + "a"}, false},
		"a device code of 4 KiB":      {map[string]any{"device_code": strings.Repeat("a", 4<<10)}, true},
		"a longer device code":        {map[string]any{"device_code": strings.Repeat("a", 4<<10+1)}, false},
		"no device code":              {map[string]any{"device_code": nil}, false},
		"a device code with a line":   {map[string]any{"device_code": "a\nb"}, false},
		"no user code":                {map[string]any{"user_code": nil}, false},
		"a user code that is a list":  {map[string]any{"user_code": []string{"WDJB-MJHT"}}, false},
		"a user code with an escape":  {map[string]any{"user_code": "\x1b[2J"}, false},
		"a user code with a newline":  {map[string]any{"user_code": "WDJB\nMJHT"}, false},
		"a user code that turns":      {map[string]any{"user_code": "WDJB\u202eMJHT"}, false},
		"no URI":                      {map[string]any{"verification_uri": nil}, false},
		"http":                        {map[string]any{"verification_uri": "http://login.example.com/device"}, false},
		"loopback":                    {map[string]any{"verification_uri": "http://127.0.0.1/device"}, false}, // the issuer is https
		"relative":                    {map[string]any{"verification_uri": "/device"}, false},
		"javascript":                  {map[string]any{"verification_uri": "javascript:alert(1)"}, false},
		"a user name":                 {map[string]any{"verification_uri": "https://login.example.com@evil.example/"}, false},
		"an escape in the URI":        {map[string]any{"verification_uri": tokenstest.Issuer + "/\x1b[2J"}, false},
		"an escape in the fragment":   {map[string]any{"verification_uri": tokenstest.Issuer + "/#\x1b[2J"}, false},
		"a space in the URI":          {map[string]any{"verification_uri": tokenstest.Issuer + "/device (or evil.example)"}, false},
		"another alphabet":            {map[string]any{"verification_uri": "https://login.ex\u0430mple.com/"}, false},
		"a complete URI of http":      {map[string]any{"verification_uri_complete": "http://login.example.com/device"}, false},
		"an escape in a complete URI": {map[string]any{"verification_uri_complete": tokenstest.Issuer + "/\x1b"}, false},
		"an error":                    {map[string]any{"error": "unauthorized_client", "device_code": nil}, false},
	} {
		w := newDeviceWorld(t, good)
		w.gives(test.members)
		d, err := session.NewDeviceLogin(t.Context(), w.client)
		if (err == nil) != test.good {
			t.Errorf("%s: error %v", name, err)
		}
		if e, ok := errors.AsType[*tokens.Error](err); err != nil && (!ok || e.Op != "login" || strings.ContainsAny(err.Error(), "\x1b\n") || d != nil) {
			t.Errorf("%s: error %q", name, err)
		}
	}
	for name, answer := range map[string]tokenstest.Handler{
		"refused":  says(http.StatusBadRequest, "invalid_scope"),
		"a page":   tokenstest.Gives(http.StatusOK, "text/html", "<html>"),
		"nothing":  tokenstest.Gives(http.StatusNoContent, "", ""),
		"moved":    tokenstest.Gives(http.StatusFound, "", "", "Location", "/elsewhere"),
		"too long": tokenstest.JSON(http.StatusOK, `{"a":"`+strings.Repeat("a", 2<<20)+`"}`),
	} {
		w := newDeviceWorld(t, good)
		w.On("/device_authorization", answer)
		_, err := session.NewDeviceLogin(t.Context(), w.client)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" || name == "refused" && e.Code != "invalid_scope" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// On this machine http is enough, as for the issuer, or for its document where that has a place of
// its own.
func TestDeviceLoginAtALoopbackAddress(t *testing.T) {
	for _, test := range []struct {
		issuer, document, page string
		allowed                bool
	}{
		{"http://127.0.0.1", "", "http://127.0.0.1/device", true},
		{"http://127.0.0.1", "", "http://login.example.com/device", false},
		{"a realm", "http://127.0.0.1/document", "http://127.0.0.1/device", true},
		{"http://127.0.0.1", "https://login.example.com/document", "http://127.0.0.1/device", false},
	} {
		server := tokenstest.NewServer()
		server.On("/device_authorization", deviceAnswer(map[string]any{"verification_uri": test.page}))
		opts := []oauth.ClientOption{
			oauth.WithHTTPClient(&http.Client{Transport: server}),
			oauth.WithTokenEndpoint("http://127.0.0.1/token"), oauth.WithDeviceAuthorizationEndpoint("http://127.0.0.1/device_authorization"),
		}
		if test.document != "" {
			opts = append(opts, oauth.WithMetadataURL(test.document))
		}
		c, err := oauth.NewClient(test.issuer, "cli", oauth.NoClientAuth(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.NewDeviceLogin(t.Context(), c); (err == nil) != test.allowed {
			t.Errorf("%v: %v", test, err)
		}
	}
}

// What the server says of the time is taken within bounds.
func TestDeviceLoginEnds(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"": 10 * time.Minute, "0": 10 * time.Minute, "-1": 10 * time.Minute, `"soon"`: 10 * time.Minute, "null": 10 * time.Minute, "1e300": 10 * time.Minute,
		"1": time.Second, "900": 15 * time.Minute, `"900"`: 15 * time.Minute, "3600": time.Hour, "3601": time.Hour, "1000000000": time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newDeviceWorld(t, pending)
			member := ""
			if said != "" {
				member = `,"expires_in":` + said
			}
			w.On("/device_authorization", tokenstest.JSON(http.StatusOK,
				`{"device_code":"c","user_code":"WDJB-MJHT","verification_uri":"https://login.example.com/device"`+member+`}`))
			d := w.begin(t)
			began := time.Now()
			if !d.Expiry().Equal(began.Add(want)) {
				t.Errorf("%s: it ends after %v, want %v", said, d.Expiry().Sub(began), want)
			}
			for range 2 {
				if _, _, err := d.Wait(t.Context()); !errors.Is(err, session.ErrDeviceLoginExpired) {
					t.Errorf("%s: error %v", said, err)
				}
			}
			if passed := time.Since(began); passed != want {
				t.Errorf("%s: it ended after %v, want %v", said, passed, want)
			}
		})
	}
}

// The monotonic clock stands still while a machine is suspended.
func TestDeviceLoginEndsByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, good)
		d := w.begin(t)
		session.ForwardDeviceLogin(d)
		if _, _, err := d.Wait(t.Context()); !errors.Is(err, session.ErrDeviceLoginExpired) || len(w.polls) != 0 {
			t.Errorf("error %v, %d polls", err, len(w.polls))
		}
	})
}

func TestDeviceLoginPrintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newDeviceWorld(t, tokenstest.JSON(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"a-device-code is unknown"}`))
		w.gives(map[string]any{"verification_uri_complete": tokenstest.Issuer + "/device?user_code=WDJB-MJHT"})
		d := w.begin(t)
		printed := sessionPrinted(d) + sessionPrinted(*d)
		_, _, err := d.Wait(t.Context())
		e, ok := errors.AsType[*tokens.Error](err)
		if !ok || e.Code != "invalid_grant" {
			t.Fatalf("error %v", err)
		}
		printed += sessionPrinted(err) + e.Description
		for _, secret := range []string{"a-device-code", "WDJB", tokenstest.Secret} {
			if strings.Contains(printed, secret) || strings.Contains(printed, fmt.Sprintf("%x", secret)) {
				t.Errorf("%q is printed", secret)
			}
		}
	})
}

// One caller waits at a time.
func TestDeviceLoginIsWaitedForByOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, oauthtest.WithDeviceInterval(time.Second))
		d, err := session.NewDeviceLogin(t.Context(), w.client)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() { _, _, err := d.Wait(ctx); first <- err }()
		synctest.Wait()
		if _, _, err := d.Wait(t.Context()); !errors.Is(err, session.ErrLoginUsed) {
			t.Errorf("the second caller: %v", err)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first caller: %v", err)
		}
		w.issuer.ApproveDevice(d.UserCode(), "alice")
		if _, _, err := d.Wait(t.Context()); err != nil {
			t.Errorf("after the first has given up: %v", err)
		}
	})
}

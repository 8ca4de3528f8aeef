package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func urns(n int) (urns []string) {
	for i := range n {
		urns = append(urns, fmt.Sprintf("urn:%d", i))
	}
	return urns
}

func TestLoginURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t, session.WithScope("openid", "read"), session.WithResource("https://billing.test/"), session.WithAudience("billing"),
			session.WithParameter("prompt", "login"), session.WithParameter("login_hint", "a&b=c"))
		if !strings.HasPrefix(l.URL(), w.issuer.URL()+"/authorize?") {
			t.Errorf("URL %s", l.URL())
		}
		query := loginQuery(t, l)
		for name, want := range map[string]string{
			"response_type": "code", "client_id": sessionClientID, "redirect_uri": sessionRedirect, "scope": "openid read",
			"resource": "https://billing.test/", "audience": "billing", "prompt": "login", "login_hint": "a&b=c",
			"code_challenge_method": "S256",
		} {
			if got := query[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} { // 256 bits
			if b, err := base64.RawURLEncoding.DecodeString(query.Get(name)); err != nil || len(b) != 32 {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		}
		if len(query) != 12 {
			t.Errorf("%d parameters: %v", len(query), query)
		}

		other := w.login(t, session.WithScope("read"))
		if next := loginQuery(t, other); next.Get("state") == query.Get("state") || next.Get("code_challenge") == query.Get("code_challenge") {
			t.Error("two logins share a random value")
		}
		if loginQuery(t, other).Has("nonce") {
			t.Error("there is a nonce without openid")
		}
	})
}

// What is in the endpoint's own URL stays there (RFC 6749 section 3.1).
func TestLoginKeepsTheEndpointsQuery(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"https://login.test/authorize?tenant=a": true,
		"https://login.test/authorize?state=a":  false,
		"https://login.test/authorize?prompt=a": false,
	} {
		c, err := oauth.NewClient("https://login.test", "app", oauth.NoClientAuth(),
			oauth.WithTokenEndpoint("https://login.test/token"), oauth.WithAuthorizationEndpoint(endpoint))
		if err != nil {
			t.Fatal(err)
		}
		l, err := session.NewLogin(t.Context(), c, sessionRedirect, session.WithParameter("prompt", "login"))
		if (err == nil) != good {
			t.Errorf("%s: %v", endpoint, err)
		}
		if e, ok := errors.AsType[*tokens.Error](err); !good && (!ok || e.Op != "login") {
			t.Errorf("%s: %v", endpoint, err)
		}
		if good && (loginQuery(t, l).Get("tenant") != "a" || loginQuery(t, l).Get("prompt") != "login") {
			t.Errorf("URL %s", l.URL())
		}
	}
}

func TestLoginIsExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t, session.WithScope("openid", "read"), session.WithResource("https://billing.test"))
		g, _, err := l.Finish(t.Context(), w.loginAnswer(t, l))
		if err != nil {
			t.Fatal(err)
		}
		if g.AccessToken.Reveal() == "" || g.RefreshToken.Reveal() == "" || g.IDToken.Reveal() == "" || g.Scope != "openid read" || g.ExpiresIn != 5*time.Minute {
			t.Errorf("scope %q, expires in %s", g.Scope, g.ExpiresIn)
		}
		form := w.wire.last()
		if form.Get("grant_type") != "authorization_code" || form.Get("redirect_uri") != sessionRedirect || form.Has("scope") ||
			form.Get("resource") != "https://billing.test" || form.Get("client_id") != sessionClientID {
			t.Errorf("sent %v", form)
		}
		verifier := form.Get("code_verifier")
		sum := sha256.Sum256([]byte(verifier))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != loginQuery(t, l).Get("code_challenge") || len(verifier) != 43 {
			t.Errorf("the verifier has %d characters, or is not of the challenge", len(verifier))
		}
	})
}

// Whatever the browser comes back with that is not right is refused, and nothing is sent.
func TestLoginRefusesAnswers(t *testing.T) {
	const secretCode = "the-code"
	for name, test := range map[string]struct {
		change func(url.Values)
		state  bool // the error is ErrLoginState, and the login goes on
		code   string
	}{
		"no state":           {func(v url.Values) { v.Del("state") }, true, ""},
		"empty state":        {func(v url.Values) { v.Set("state", "") }, true, ""},
		"another state":      {func(v url.Values) { v.Set("state", v.Get("state")[1:]+"A") }, true, ""},
		"longer state":       {func(v url.Values) { v.Set("state", v.Get("state")+"A") }, true, ""},
		"two states":         {func(v url.Values) { v.Add("state", v.Get("state")) }, true, ""},
		"no answer":          {func(v url.Values) { clear(v) }, true, ""},
		"error, wrong state": {func(v url.Values) { v.Set("state", "x"); v.Set("error", "access_denied") }, true, ""},
		"no code":            {func(v url.Values) { v.Del("code") }, false, ""},
		"empty code":         {func(v url.Values) { v.Set("code", "") }, false, ""},
		"two codes":          {func(v url.Values) { v.Add("code", secretCode) }, false, ""},
		"a code with a line": {func(v url.Values) { v.Set("code", secretCode+"\n") }, false, ""},
		"another iss":        {func(v url.Values) { v.Set("iss", "https://other.test") }, false, ""},
		"almost the iss":     {func(v url.Values) { v.Set("iss", v.Get("iss")+"/") }, false, ""},
		"empty iss":          {func(v url.Values) { v.Set("iss", "") }, false, ""},
		"no iss":             {func(v url.Values) { v.Del("iss") }, false, ""},
		"two iss":            {func(v url.Values) { v.Add("iss", v.Get("iss")) }, false, ""},
		"denied":             {func(v url.Values) { v.Set("error", "access_denied"); v.Del("code") }, false, "access_denied"},
		"error with code":    {func(v url.Values) { v.Set("error", "server_error") }, false, "server_error"},
		"two errors":         {func(v url.Values) { v["error"] = []string{"a", "b"} }, false, ""},
		"error of another":   {func(v url.Values) { v.Set("error", "access_denied"); v.Set("iss", "https://other.test") }, false, ""},
		"error without iss":  {func(v url.Values) { v.Set("error", "access_denied"); v.Del("iss") }, false, ""},
		"empty error":        {func(v url.Values) { v.Set("error", "") }, false, ""},
		"error of no code":   {func(v url.Values) { v.Set("error", "a\nb") }, false, ""},
		"error of 65":        {func(v url.Values) { v.Set("error", strings.Repeat("e", 65)) }, false, ""},
		"error of 64":        {func(v url.Values) { v.Set("error", strings.Repeat("e", 64)) }, false, strings.Repeat("e", 64)},
		"two descriptions": {func(v url.Values) {
			v.Set("error", "access_denied")
			v["error_description"] = []string{"a", "b"}
		}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSessionWorld(t)
				l := w.login(t)
				good := url.Values{"state": {loginQuery(t, l).Get("state")}, "code": {secretCode}, "iss": {w.issuer.URL()}}
				bad := url.Values{}
				for name, values := range good {
					bad[name] = append([]string(nil), values...)
				}
				test.change(bad)
				_, _, err := l.Finish(t.Context(), bad)
				if w.wire.asked() != 0 || err == nil || strings.Contains(err.Error(), secretCode) ||
					strings.Contains(err.Error(), good.Get("state")) {
					t.Fatalf("%v, %d requests", err, w.wire.asked())
				}
				e, ok := errors.AsType[*tokens.Error](err)
				if errors.Is(err, session.ErrLoginState) != test.state || ok == test.state {
					t.Errorf("error %v", err)
				}
				if ok && (e.Op != "login" || e.Code != test.code || e.Status != 0) {
					t.Errorf("%+v", e)
				}
				_, _, err = l.Finish(t.Context(), w.loginAnswer(t, l))
				if test.state && err != nil || !test.state && (!errors.Is(err, session.ErrLoginUsed) || w.wire.asked() != 0) {
					t.Errorf("after that: %v", err)
				}
			})
		})
	}
}

// A server that does not name itself need not, but must not name another.
func TestLoginWithoutIssuerParameter(t *testing.T) {
	for name, test := range map[string]struct {
		iss  []string
		good bool
	}{
		"none":    {nil, true},
		"its own": {[]string{"https://login.test"}, true},
		"another": {[]string{"https://other.test"}, false},
		"empty":   {[]string{""}, false},
	} {
		w := &sessionWire{}
		w.answer(200, map[string]any{"access_token": "a", "token_type": "Bearer"})
		c, err := oauth.NewClient("https://login.test", "app", oauth.NoClientAuth(), oauth.WithHTTPClient(&http.Client{Transport: w}),
			oauth.WithTokenEndpoint("https://login.test/token"), oauth.WithAuthorizationEndpoint("https://login.test/authorize"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := session.NewLogin(t.Context(), c, sessionRedirect)
		if err != nil {
			t.Fatal(err)
		}
		back := url.Values{"state": {loginQuery(t, l).Get("state")}, "code": {"c"}}
		if test.iss != nil {
			back["iss"] = test.iss
		}
		if _, _, err := l.Finish(t.Context(), back); (err == nil) != test.good || (w.asked() == 1) != test.good {
			t.Errorf("%s: %v, %d requests", name, err, w.asked())
		}
	}
}

func TestLoginErrorDescription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		for name, test := range map[string]struct{ text, want string }{
			"plain":              {"the user said no", "the user said no"},
			"control characters": {"a\r\nb\x1b[1m\"\\é", "a??b?[1m???"},
			"at most 256":        {strings.Repeat("a", 257), strings.Repeat("a", 256)},
		} {
			l := w.login(t)
			_, _, err := l.Finish(t.Context(), url.Values{
				"state": {loginQuery(t, l).Get("state")}, "iss": {w.issuer.URL()}, "error": {"access_denied"}, "error_description": {test.text},
			})
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Description != test.want || !e.Permanent() || strings.Contains(err.Error(), e.Description) {
				t.Errorf("%s: %q, %v", name, e.Description, err)
			}
		}
		l := w.login(t)
		state := loginQuery(t, l).Get("state")
		_, _, err := l.Finish(t.Context(), url.Values{
			"state": {state}, "iss": {w.issuer.URL()}, "error": {"access_denied"}, "error_description": {"state " + state + " was denied"},
		})
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Description != "" {
			t.Error("the description quotes the state")
		}
		l = w.login(t)
		state = loginQuery(t, l).Get("state")
		_, _, err = l.Finish(t.Context(), url.Values{"state": {state}, "iss": {w.issuer.URL()}, "error": {state}})
		if strings.Contains(err.Error(), state) {
			t.Errorf("the code quotes the state: %v", err)
		}
	})
}

func TestLoginIsFinishedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		back := w.loginAnswer(t, l)
		w.issuer.SetFault(bearertest.Slow(time.Second))
		var mu sync.Mutex
		outcomes := make(map[string]int)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, _, err := l.Finish(context.Background(), back)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					outcomes["good"]++
				case errors.Is(err, session.ErrLoginUsed):
					outcomes["used"]++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if outcomes["good"] != 1 || outcomes["used"] != 19 || w.wire.asked() != 1 || w.issuer.Sessions() != 1 {
			t.Errorf("%v, %d requests", outcomes, w.wire.asked())
		}
	})
}

// A code that the server refused is not sent again.
func TestLoginThatFailsIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		back := w.loginAnswer(t, l)
		w.issuer.Refuse("invalid_grant")
		_, _, err := l.Finish(t.Context(), back)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "token" || e.Code != "invalid_grant" || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("error %v", err)
		}
		w.issuer.Refuse("")
		if _, _, err := l.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginUsed) || w.wire.asked() != 1 {
			t.Errorf("%v, %d requests", err, w.wire.asked())
		}
	})
}

func TestLoginLifetime(t *testing.T) {
	for _, test := range []struct {
		age  time.Duration
		good bool
	}{{10*time.Minute - 1, true}, {10 * time.Minute, false}} {
		synctest.Test(t, func(t *testing.T) {
			w := newSessionWorld(t)
			l := w.login(t)
			<-time.After(max(1, test.age))
			_, _, err := l.Finish(t.Context(), w.loginAnswer(t, l))
			if test.good && err != nil || !test.good && (!errors.Is(err, session.ErrLoginExpired) || w.wire.asked() != 0) {
				t.Errorf("after %s: %v", test.age, err)
			}
		})
	}
}

// A machine that slept has the monotonic clock behind.
func TestLoginEndsByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		l := w.login(t)
		back := w.loginAnswer(t, l)
		session.ForwardLogin(l)
		if _, _, err := l.Finish(t.Context(), back); !errors.Is(err, session.ErrLoginExpired) || w.wire.asked() != 0 {
			t.Errorf("error %v", err)
		}
	})
}

func TestLoginRefusesConfigurations(t *testing.T) {
	w := newSessionWorld(t)
	for name, test := range map[string]struct {
		redirect string
		opts     []session.LoginOption
		mistakes int // 0 for none
	}{
		"https":                  {"https://app.test/callback", nil, 0},
		"https with a query":     {"https://app.test/callback?a=b", nil, 0},
		"loopback":               {"http://127.0.0.1:1234/callback", nil, 0},
		"loopback, IPv6":         {"http://[::1]/callback", nil, 0},
		"localhost":              {"http://localhost/callback", nil, 0},
		"private scheme":         {"com.example.app:/callback", nil, 0},
		"every option":           {sessionRedirect, []session.LoginOption{session.WithScope("a", "b"), session.WithResource("urn:a"), session.WithAudience("a"), session.WithParameter("a-b.c_D1", "x")}, 0},
		"no redirect URI":        {"", nil, 1},
		"relative":               {"/callback", nil, 1},
		"http":                   {"http://app.test/callback", nil, 1},
		"http, almost loopback":  {"http://127.0.0.1.app.test/callback", nil, 1},
		"fragment":               {"https://app.test/callback#a", nil, 1},
		"empty fragment":         {"https://app.test/callback#", nil, 1},
		"user":                   {"https://a:b@app.test/callback", nil, 1},
		"no host":                {"https:///callback", nil, 1},
		"scheme without dot":     {"myapp:/callback", nil, 1},
		"javascript":             {"javascript:alert(1)", nil, 1},
		"control character":      {"https://app.test/\n", nil, 1},
		"nil option":             {sessionRedirect, []session.LoginOption{nil}, 1},
		"no scope":               {sessionRedirect, []session.LoginOption{session.WithScope()}, 1},
		"empty scope":            {sessionRedirect, []session.LoginOption{session.WithScope("")}, 1},
		"scope with a space":     {sessionRedirect, []session.LoginOption{session.WithScope("a", "")}, 1},
		"scope twice":            {sessionRedirect, []session.LoginOption{session.WithScope("a"), session.WithScope("b")}, 1},
		"empty resource":         {sessionRedirect, []session.LoginOption{session.WithResource("")}, 1},
		"relative resource":      {sessionRedirect, []session.LoginOption{session.WithResource("/a")}, 1},
		"resource twice":         {sessionRedirect, []session.LoginOption{session.WithResource("urn:a"), session.WithResource("urn:a")}, 1},
		"no resource":            {sessionRedirect, []session.LoginOption{session.WithResource()}, 1},
		"one resource twice":     {sessionRedirect, []session.LoginOption{session.WithResource("urn:a", "urn:b", "urn:a")}, 1},
		"empty second resource":  {sessionRedirect, []session.LoginOption{session.WithResource("urn:a", "")}, 1},
		"bad second resource":    {sessionRedirect, []session.LoginOption{session.WithResource("urn:a", "/b")}, 1},
		"16 resources":           {sessionRedirect, []session.LoginOption{session.WithResource(urns(16)...)}, 0},
		"17 resources":           {sessionRedirect, []session.LoginOption{session.WithResource(urns(17)...)}, 1},
		"empty audience":         {sessionRedirect, []session.LoginOption{session.WithAudience("")}, 1},
		"parameter without name": {sessionRedirect, []session.LoginOption{session.WithParameter("", "a")}, 1},
		"odd name":               {sessionRedirect, []session.LoginOption{session.WithParameter("a&state", "a")}, 1},
		"empty value":            {sessionRedirect, []session.LoginOption{session.WithParameter("prompt", "")}, 1},
		"parameter twice":        {sessionRedirect, []session.LoginOption{session.WithParameter("a", "b"), session.WithParameter("a", "b")}, 1},
		"several":                {"", []session.LoginOption{nil, session.WithScope(""), session.WithParameter("state", "a"), session.WithParameter("", "")}, 5},
	} {
		_, err := session.NewLogin(t.Context(), w.client, test.redirect, test.opts...)
		if (err == nil) != (test.mistakes == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(strings.Split(err.Error(), "\n")) != test.mistakes {
			t.Errorf("%s: %v; want %d mistakes", name, err, test.mistakes)
		}
		if err != nil && strings.Contains(err.Error(), "a:b@") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := session.NewLogin(t.Context(), nil, "https://a:b@app.test/", session.WithScope("a"), session.WithScope("b\n"), session.WithAudience("\x00"),
		session.WithResource("urn:a", "https://u:hunter2@a.test", "urn:a"), session.WithParameter("prompt", "a"), session.WithParameter("Prompt", "b"))
	tokenstest.WantConfigErrors(
		t, err, session.ConfigError{Option: "NewLogin", Value: "nil"},
		session.ConfigError{Option: "NewLogin", Value: `"https://redacted@app.test/"`},
		session.ConfigError{Option: "WithScope", Value: `"b\n"`}, session.ConfigError{Option: "WithScope", Value: `"b\n"`},
		session.ConfigError{Option: "WithAudience", Value: `"\x00"`},
		session.ConfigError{Option: "WithResource", Value: `"https://redacted@a.test"`},
		session.ConfigError{Option: "WithResource", Value: `"urn:a"`},
		session.ConfigError{Option: "WithParameter", Value: `"Prompt"`},
	)
	for _, name := range []string{
		"state", "code_challenge", "code_challenge_method", "redirect_uri", "client_id", "response_type", "response_mode", "nonce",
		"scope", "resource", "audience", "request", "request_uri", "client_secret", "client_assertion", "client_assertion_type", "code",
		"code_verifier", "iss", "error", "registration", "grant_type", "device_code",
	} {
		for _, name := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if _, err := session.NewLogin(t.Context(), w.client, sessionRedirect, session.WithParameter(name, "a")); err == nil {
				t.Errorf("the parameter %s can be set", name)
			}
		}
	}
	if _, err := session.NewLogin(t.Context(), w.client, sessionRedirect, session.WithParameter("prompt", "a"), session.WithParameter("Prompt", "b")); err == nil {
		t.Error("a parameter can be set twice")
	}
}

// A code has at most 4 KiB. Nothing else of an answer that is too long is sent or kept either.
func TestLoginAnswerIsBounded(t *testing.T) {
	const most = 4 << 10
	server := tokenstest.NewServer()
	client := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
	long := strings.Repeat("a", 900<<10)
	var kept []error
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 10 {
		for name, value := range map[string]string{
			"code": strings.Repeat("a", most+1), "iss": long, "error": long, "error_description": long, "state": long,
		} {
			login, back := tokenstest.Login(t, client)
			back.Set(name, strings.Clone(value))
			if name == "error_description" {
				query := "access_denied" + value
				back.Set("error", query[:len("access_denied")]) // a part of the query, as package url has it
			}
			_, _, err := login.Finish(t.Context(), back)
			if err == nil || len(server.Seen("/token")) != 0 {
				t.Fatalf("%s: %v", name, err)
			}
			kept = append(kept, err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if size := int64(after.HeapAlloc) - int64(before.HeapAlloc); size > 2<<20 {
		t.Errorf("%d KiB for %d answers", size>>10, len(kept))
	}
	runtime.KeepAlive(kept)

	login, back := tokenstest.Login(t, client)
	back.Set("code", strings.Repeat("a", most))
	if _, _, err := login.Finish(t.Context(), back); err != nil {
		t.Errorf("a code of %d bytes: %v", most, err)
	}
}

// A parameter of the endpoint's URL that differs from one of this package in case only would be
// sent beside it.
func TestLoginRefusesAnEndpointsParameterInAnotherCase(t *testing.T) {
	server := tokenstest.NewServer()
	c := tokenstest.NewClient(t, server, oauth.NoClientAuth(), oauth.WithTokenEndpoint(tokenstest.TokenURL),
		oauth.WithAuthorizationEndpoint(tokenstest.Issuer+"/authorize?Redirect_URI=https://evil.example"))
	if _, err := session.NewLogin(t.Context(), c, "https://app.example.com/callback"); err == nil {
		t.Error("no error")
	}
}

// No request is made when an argument is wrong, and a failed discovery is reported.
func TestLoginAndDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t)
		if _, err := session.NewLogin(t.Context(), w.client, ""); err == nil || w.wire.all != 0 {
			t.Errorf("%v, %d requests", err, w.wire.all)
		}
		w.issuer.SetFault(bearertest.Down)
		_, err := session.NewLogin(t.Context(), w.client, sessionRedirect)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" || e.Status != 503 {
			t.Errorf("error %v", err)
		}
	})
	for name, document := range map[string]map[string]any{
		"no authorization endpoint": {"code_challenge_methods_supported": []string{"S256"}},
		"plain PKCE alone": {
			"authorization_endpoint": "https://login.test/authorize", "code_challenge_methods_supported": []string{"plain"},
		},
		"no PKCE": {"authorization_endpoint": "https://login.test/authorize", "code_challenge_methods_supported": []string{}},
	} {
		document["issuer"], document["token_endpoint"] = "https://login.test", "https://login.test/token"
		c, err := oauth.NewClient("https://login.test", "app", oauth.NoClientAuth(),
			oauth.WithHTTPClient(&http.Client{Transport: loginDocument(document)}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = session.NewLogin(t.Context(), c, sessionRedirect)
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "login" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// loginDocument is a server that has a discovery document and nothing else.
type loginDocument map[string]any

func (d loginDocument) RoundTrip(*http.Request) (*http.Response, error) {
	return sessionResponse(http.StatusOK, map[string]any(d)), nil
}

func TestLoginPrintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSessionWorld(t, oauthtest.WithRefreshIn(time.Minute))
		l := w.login(t, session.WithScope("openid"))
		printed := sessionPrinted(l)
		g, _, err := l.Finish(t.Context(), w.loginAnswer(t, l))
		if err != nil {
			t.Fatal(err)
		}
		printed += sessionPrinted(l) + sessionPrinted(g) + sessionPrinted(*g)
		for name, secret := range map[string]string{
			"state": loginQuery(t, l).Get("state"), "nonce": loginQuery(t, l).Get("nonce"), "verifier": w.wire.last().Get("code_verifier"),
			"code": w.wire.last().Get("code"), "access token": g.AccessToken.Reveal(), "refresh token": g.RefreshToken.Reveal(),
			"ID token": g.IDToken.Reveal(),
		} {
			if secret == "" || strings.Contains(printed, secret) || strings.Contains(printed, fmt.Sprintf("%x", secret)) {
				t.Errorf("the %s is printed", name)
			}
		}
	})
}

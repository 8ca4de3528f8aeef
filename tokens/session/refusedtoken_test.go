package session_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

const (
	githubDead    = `{"error":"bad_refresh_token","error_description":"The refresh token passed is incorrect or expired."}`
	atlassianDead = `{"error":"unauthorized_client","error_description":"refresh_token is invalid"}`
)

// refreshWorld is a client of a server that any refresh token is good for, and a session of it.
func refreshWorld(t *testing.T, opts ...oauth.ClientOption) (server *tokenstest.Server, client *oauth.Client, s *session.Session) {
	t.Helper()
	server = tokenstest.NewServer()
	client = tokenstest.NewClient(t, server, oauth.ClientSecretPost(tokens.NewSecret(tokenstest.Secret)), opts...)
	s, err := session.New(client, session.NewMemoryStore(), sessionName, tokens.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Adopt(t.Context(), tokens.NewSecret("0.AAAAqT9vN1xYzUe4kLmPq7RsWb2")); err != nil {
		t.Fatal(err)
	}
	return server, client, s
}

// What servers say of a refresh token that is dead means that the person has to log in, and ends the
// session. All else leaves it as it is.
func TestRefusedRefreshTokens(t *testing.T) {
	own := []oauth.ClientOption{oauth.WithLoginRequiredCodes("session_gone", "unauthorized_client")}
	for name, tt := range map[string]struct {
		status int
		body   string
		opts   []oauth.ClientOption
		ends   bool
	}{
		"invalid_grant":                    {400, `{"error":"invalid_grant"}`, nil, true},
		"GitHub":                           {200, githubDead, nil, true},
		"GitHub, beside a token":           {200, `{"error":"bad_refresh_token",` + tokenstest.Good[1:], nil, true},
		"Slack":                            {200, `{"ok":false,"error":"invalid_refresh_token"}`, nil, true},
		"Slack, token_expired":             {200, `{"ok":false,"error":"token_expired"}`, nil, true},
		"Slack, token_revoked":             {200, `{"ok":false,"error":"token_revoked"}`, nil, true},
		"Atlassian":                        {403, atlassianDead, nil, true},
		"an option":                        {400, `{"error":"session_gone"}`, own, true},
		"an option, in spite of the words": {400, `{"error":"unauthorized_client","error_description":"x"}`, own, true},

		"token_expired of another server":    {400, `{"error":"token_expired"}`, nil, false},
		"token_revoked of another server":    {401, `{"error":"token_revoked"}`, nil, false},
		"unauthorized_client with 403":       {403, `{"error":"unauthorized_client","error_description":"the client is disabled"}`, nil, false},
		"unauthorized_client of another":     {400, atlassianDead, nil, false},
		"without the option":                 {400, `{"error":"session_gone"}`, nil, false},
		"another case":                       {200, `{"error":"Bad_Refresh_Token"}`, nil, false},
		"the code in the description":        {400, `{"error":"odd","error_description":"bad_refresh_token"}`, nil, false},
		"invalid_client":                     {401, `{"error":"invalid_client"}`, nil, false},
		"408":                                {408, githubDead, nil, false},
		"425":                                {425, githubDead, nil, false},
		"429":                                {429, githubDead, nil, false},
		"500":                                {500, githubDead, nil, false},
		"503, invalid_grant":                 {503, `{"error":"invalid_grant"}`, nil, false},
		"503, an option":                     {503, `{"error":"session_gone"}`, own, false},
		"429, an option":                     {429, `{"error":"session_gone"}`, own, false},
		"a code that cannot be read as such": {200, `{"error":["bad_refresh_token"]}`, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, _, s := refreshWorld(t, tt.opts...)
				tokenstest.MustToken(t, s.Source(tokens.Key{}))
				server.On("/token", tokenstest.JSON(tt.status, tt.body))
				<-time.After(2 * time.Hour)
				_, err := s.Token(t.Context())
				e, ok := errors.AsType[*tokens.Error](err)
				if !ok || e.Status != tt.status || errors.Is(err, tokens.ErrLoginRequired) != tt.ends {
					t.Fatalf("error %v", err)
				}
				if tt.ends && (!e.Permanent() || e.Code == "" || !strings.Contains(tt.body, `"`+e.Code+`"`)) {
					t.Errorf("permanent %t, code %q", e.Permanent(), e.Code)
				}
				if in, err := s.LoggedIn(t.Context()); in == tt.ends || err != nil {
					t.Errorf("logged in %t, %v", in, err)
				}
			})
		})
	}
}

// A code that is known is shown, also when a part of it is in the refresh token that was sent.
func TestCodeOfARefusedRefreshTokenIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, s := refreshWorld(t)
		if err := s.Adopt(t.Context(), tokens.NewSecret("a-refresh-token-of-alice")); err != nil {
			t.Fatal(err)
		}
		server.On("/token", tokenstest.JSON(http.StatusOK, githubDead))
		_, err := s.Token(t.Context())
		if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != "bad_refresh_token" || e.Description != "" {
			t.Errorf("%#v", err)
		}
	})
}

// In the answer to something else than a refresh the same codes are codes like others.
func TestCodesOfRefreshTokensElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := tokenstest.NewServer()
		client := tokenstest.NewClient(t, server, oauth.ClientSecretPost(tokens.NewSecret(tokenstest.Secret)), oauth.WithLoginRequiredCodes("session_gone"))
		login, back := tokenstest.Login(t, client)
		for code, permanent := range map[string]bool{"bad_refresh_token": false, "session_gone": false, "invalid_grant": true} {
			server.On("/token", tokenstest.JSON(200, `{"error":"`+code+`"}`))
			_, err := client.ClientCredentials().Fetch(t.Context(), tokens.Request{})
			if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Code != code || e.Permanent() != permanent || errors.Is(err, tokens.ErrLoginRequired) {
				t.Errorf("%s: %v", code, err)
			}
		}
		if _, _, err := login.Finish(t.Context(), back); err == nil || errors.Is(err, tokens.ErrLoginRequired) {
			t.Errorf("a login: %v", err)
		}
	})
}

// Atlassian says unauthorized_client of one person's refresh token. It stops no other request, also
// not where the server has accepted nothing of the client before.
func TestUnauthorizedClientOfARefreshTokenIsNoPause(t *testing.T) {
	for body, paused := range map[string]bool{
		atlassianDead: false, `{"error":"unauthorized_client","error_description":"the client is disabled"}`: true,
	} {
		synctest.Test(t, func(t *testing.T) {
			server, client, eve := refreshWorld(t)
			store := session.NewMemoryStore()
			alice, err := session.New(client, store, "alice", tokens.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			defer alice.Close()
			if err := alice.Adopt(t.Context(), tokens.NewSecret("1.BBBBqT9vN1xYzUe4kLmPq7RsWb2")); err != nil {
				t.Fatal(err)
			}
			server.On("/token", func(r *http.Request, form url.Values) (*http.Response, error) {
				if strings.HasPrefix(form.Get("refresh_token"), "0") {
					return tokenstest.JSON(http.StatusForbidden, body)(r, form)
				}
				return tokenstest.JSON(http.StatusOK, tokenstest.Good)(r, form)
			})
			if _, err := eve.Token(t.Context()); errors.Is(err, tokens.ErrLoginRequired) == paused {
				t.Errorf("error %v", err)
			}
			if _, err := alice.Token(t.Context()); (err != nil) != paused {
				t.Errorf("another session, paused %t: %v", paused, err)
			}
		})
	}
}

// The one before a refresh token that came with a damaged answer is tried after any such refusal.
func TestReplacedRefreshTokenIsTriedAfterAnyRefusal(t *testing.T) {
	for status, body := range map[int]string{200: githubDead, 403: atlassianDead} {
		synctest.Test(t, func(t *testing.T) {
			w := doubtedWorld(t, false)
			w.wire.hook(func(_ *http.Request, pass func() (*http.Response, error)) (*http.Response, error) {
				if w.wire.last().Get("refresh_token") == "mask" {
					return fallbackAnswer(w.wire, status, "application/json", body), nil
				}
				return pass()
			})
			if _, err := w.fetch(sessionKey, nil); err != nil || w.issuer.Sessions() != 1 {
				t.Errorf("%v, %d sessions", err, w.issuer.Sessions())
			}
		})
	}
}

// A session that ends is logged once, at Info, with the server's own words only by option.
func TestEndOfASessionInTheLog(t *testing.T) {
	for described, opts := range map[bool][]tokens.ManagerOption{false: nil, true: {tokens.WithErrorDescriptions()}} {
		synctest.Test(t, func(t *testing.T) {
			server, client, _ := refreshWorld(t)
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
			s, err := session.New(client, session.NewMemoryStore(), "bob", append(opts, tokens.WithLogger(logger))...)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Adopt(context.Background(), tokens.NewSecret("2.CCCCqT9vN1xYzUe4kLmPq7RsWb2")); err != nil {
				t.Fatal(err)
			}
			server.On("/token", tokenstest.JSON(http.StatusOK, githubDead))
			for range 3 {
				if _, err := s.Token(t.Context()); !errors.Is(err, tokens.ErrLoginRequired) {
					t.Error(err)
				}
				<-time.After(time.Minute)
			}
			text := log.String()
			if strings.Count(text, "\n") != 1 || strings.Count(text, "level=INFO") != 1 || !strings.Contains(text, "bad_refresh_token") ||
				strings.Contains(text, `description="The refresh token passed is incorrect or expired."`) != described ||
				strings.Contains(text, "incorrect") != described {
				t.Errorf("described %t: %s", described, text)
			}
		})
	}
}

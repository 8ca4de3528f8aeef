package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

func TestRevokeSendsWhatTheRFCDoes(t *testing.T) {
	for hint, want := range map[string]string{
		"refresh_token": "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token", // RFC 7009 section 2.1
		"access_token":  "token=45ghiukldjahdnhzdauz&token_type_hint=access_token",
		"":              "token=45ghiukldjahdnhzdauz",
	} {
		server := tokenstest.NewServer()
		c, err := oauth.NewClient(tokenstest.Issuer, "s6BhdRkqt3", oauth.ClientSecretBasic(tokens.NewSecret("gX1fBat3bV")),
			oauth.WithHTTPClient(&http.Client{Transport: server}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(t.Context(), tokens.NewSecret("45ghiukldjahdnhzdauz"), hint); err != nil {
			t.Fatal(err)
		}
		got := server.Seen("/revoke")[0]
		if got.Method != http.MethodPost || got.Form.Encode() != want ||
			got.Header.Get("Authorization") != "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW" {
			t.Errorf("sent %s %q %q", got.Method, got.Form, got.Header)
		}
	}
}

func TestWhatRevokeMakesOfAnAnswer(t *testing.T) {
	const token = "45ghiukldjahdnhzdauz-of-this-user"
	for name, tt := range map[string]struct {
		handler tokenstest.Handler
		want    *tokens.Error // nil for none
	}{
		"done":                    {tokenstest.Gives(http.StatusOK, "", ""), nil},
		"done, with a web page":   {tokenstest.Gives(http.StatusOK, "text/html", "<h1>goodbye</h1>"), nil},
		"a token that is unknown": {tokenstest.JSON(http.StatusBadRequest, `{"error":"invalid_token"}`), nil},
		"a type that is unknown": {
			tokenstest.JSON(http.StatusBadRequest, `{"error":"unsupported_token_type","error_description":"`+token+`?"}`),
			&tokens.Error{Status: http.StatusBadRequest, Code: "unsupported_token_type"},
		},
		"another client": {
			tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_client"}`), &tokens.Error{Status: http.StatusUnauthorized, Code: "invalid_client"},
		},
		"down": {
			tokenstest.Gives(http.StatusServiceUnavailable, "", "", "Retry-After", "5"), &tokens.Error{Status: http.StatusServiceUnavailable, RetryAfter: 5e9},
		},
		"a redirect": {
			tokenstest.Gives(http.StatusTemporaryRedirect, "", "", "Location", "https://evil.example/"), &tokens.Error{Status: http.StatusTemporaryRedirect},
		},
		"an echo":     {tokenstest.JSON(http.StatusBadRequest, `{"error":"`+token+`"}`), &tokens.Error{Status: http.StatusBadRequest}},
		"no endpoint": {tokenstest.Gives(http.StatusNotFound, "", ""), &tokens.Error{Status: http.StatusNotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			server := tokenstest.NewServer()
			server.On("/revoke", tt.handler)
			err := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).Revoke(t.Context(), tokens.NewSecret(token), "")
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "revocation" || e.Status != tt.want.Status || e.Code != tt.want.Code ||
				e.RetryAfter != tt.want.RetryAfter ||
				e.Description != "" || endpointQuotes(err, token, tokenstest.Secret) != "" || len(server.Seen("evil")) != 0 {
				t.Errorf("%+v, want %+v", e, tt.want)
			}
		})
	}
}

func TestRevokeWithoutAnEndpoint(t *testing.T) {
	server := tokenstest.NewServer()
	server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"revocation_endpoint": nil})))
	c := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)))
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); !errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("a document that names none: %v", err)
	}

	// Without a document: it has to be there, unless the token endpoint was given.
	server = tokenstest.NewServer()
	server.Off(tokenstest.OpenIDPath)
	err := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).Revoke(t.Context(), tokens.NewSecret("token"), "")
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" || errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("no document: %v", err)
	}
	c = tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(tokenstest.TokenURL))
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); !errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("no document, and the token endpoint given: %v", err)
	}
	server.On(tokenstest.OpenIDPath, tokenstest.Gives(http.StatusServiceUnavailable, "", ""))
	c = tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret)), oauth.WithTokenEndpoint(tokenstest.TokenURL))
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); err == nil || errors.Is(err, oauth.ErrNoRevocation) {
		t.Errorf("a document that is not available: %v", err)
	}
	if n := len(server.Seen("/revoke")); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestRevokeOfNothing(t *testing.T) {
	server := tokenstest.NewServer()
	server.On("/revoke", func(*http.Request, url.Values) (*http.Response, error) { return nil, errors.New("asked") })
	err := tokenstest.NewClient(t, server, oauth.ClientSecretBasic(tokens.NewSecret(tokenstest.Secret))).Revoke(t.Context(), tokens.NewSecret(""), "refresh_token")
	if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "empty") ||
		len(server.Seen("")) != 0 {
		t.Errorf("Revoke: %v", err)
	}
}

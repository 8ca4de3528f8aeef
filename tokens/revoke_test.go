package tokens_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
)

func TestRevokeSendsWhatTheRFCDoes(t *testing.T) {
	for hint, want := range map[string]string{
		"refresh_token": "token=45ghiukldjahdnhzdauz&token_type_hint=refresh_token", // RFC 7009 section 2.1
		"access_token":  "token=45ghiukldjahdnhzdauz&token_type_hint=access_token",
		"":              "token=45ghiukldjahdnhzdauz",
	} {
		server := newClientServer()
		c, err := tokens.NewClient(clientIssuer, "s6BhdRkqt3", tokens.ClientSecretBasic(tokens.NewSecret("gX1fBat3bV")),
			tokens.HTTPClient(&http.Client{Transport: server}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Revoke(t.Context(), tokens.NewSecret("45ghiukldjahdnhzdauz"), hint); err != nil {
			t.Fatal(err)
		}
		got := server.seen("/revoke")[0]
		if got.method != http.MethodPost || got.form.Encode() != want ||
			got.header.Get("Authorization") != "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW" {
			t.Errorf("sent %s %q %q", got.method, got.form, got.header)
		}
	}
}

func TestWhatRevokeMakesOfAnAnswer(t *testing.T) {
	const token = "45ghiukldjahdnhzdauz-of-this-user"
	for name, tt := range map[string]struct {
		handler clientHandler
		want    *tokens.Error // nil for none
	}{
		"done":                    {clientGives(http.StatusOK, "", ""), nil},
		"done, with a web page":   {clientGives(http.StatusOK, "text/html", "<h1>goodbye</h1>"), nil},
		"a token that is unknown": {clientJSON(http.StatusBadRequest, `{"error":"invalid_token"}`), nil},
		"a type that is unknown": {
			clientJSON(http.StatusBadRequest, `{"error":"unsupported_token_type","error_description":"`+token+`?"}`),
			&tokens.Error{Status: http.StatusBadRequest, Code: "unsupported_token_type"},
		},
		"another client": {
			clientJSON(http.StatusUnauthorized, `{"error":"invalid_client"}`), &tokens.Error{Status: http.StatusUnauthorized, Code: "invalid_client"},
		},
		"down": {
			clientGives(http.StatusServiceUnavailable, "", "", "Retry-After", "5"), &tokens.Error{Status: http.StatusServiceUnavailable, RetryAfter: 5e9},
		},
		"a redirect": {
			clientGives(http.StatusTemporaryRedirect, "", "", "Location", "https://evil.example/"), &tokens.Error{Status: http.StatusTemporaryRedirect},
		},
		"an echo":     {clientJSON(http.StatusBadRequest, `{"error":"`+token+`"}`), &tokens.Error{Status: http.StatusBadRequest}},
		"no endpoint": {clientGives(http.StatusNotFound, "", ""), &tokens.Error{Status: http.StatusNotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			server := newClientServer()
			server.on("/revoke", tt.handler)
			err := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))).Revoke(t.Context(), tokens.NewSecret(token), "")
			if tt.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*tokens.Error](err)
			if !ok || e.Op != "revocation" || e.Status != tt.want.Status || e.Code != tt.want.Code ||
				e.RetryAfter != tt.want.RetryAfter ||
				e.Description != "" || endpointQuotes(err, token, clientSecret) != "" || len(server.seen("evil")) != 0 {
				t.Errorf("%+v, want %+v", e, tt.want)
			}
		})
	}
}

func TestRevokeWithoutAnEndpoint(t *testing.T) {
	server := newClientServer()
	server.on(clientOpenID, clientJSON(http.StatusOK, clientDocument(map[string]any{"revocation_endpoint": nil})))
	c := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)))
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); !errors.Is(err, tokens.ErrNoRevocation) {
		t.Errorf("a document that names none: %v", err)
	}

	// Without a document: it has to be there, unless the token endpoint was given.
	server = newClientServer()
	delete(server.handlers, clientOpenID)
	err := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))).Revoke(t.Context(), tokens.NewSecret("token"), "")
	if e, ok := errors.AsType[*tokens.Error](err); !ok || e.Op != "discovery" || errors.Is(err, tokens.ErrNoRevocation) {
		t.Errorf("no document: %v", err)
	}
	c = server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)), tokens.TokenEndpoint(clientTokenURL))
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); !errors.Is(err, tokens.ErrNoRevocation) {
		t.Errorf("no document, and the token endpoint given: %v", err)
	}
	server.on(clientOpenID, clientGives(http.StatusServiceUnavailable, "", ""))
	c = server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret)), tokens.TokenEndpoint(clientTokenURL))
	if err := c.Revoke(t.Context(), tokens.NewSecret("token"), ""); err == nil || errors.Is(err, tokens.ErrNoRevocation) {
		t.Errorf("a document that cannot be had: %v", err)
	}
	if n := len(server.seen("/revoke")); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestRevokeOfNothing(t *testing.T) {
	server := newClientServer()
	server.on("/revoke", func(*http.Request, url.Values) (*http.Response, error) { return nil, errors.New("asked") })
	err := server.client(t, tokens.ClientSecretBasic(tokens.NewSecret(clientSecret))).Revoke(t.Context(), tokens.NewSecret(""), "refresh_token")
	if e, ok := errors.AsType[*tokens.Error](err); !ok || !e.Permanent() || !strings.Contains(err.Error(), "empty") ||
		len(server.seen("")) != 0 {
		t.Errorf("Revoke: %v", err)
	}
}

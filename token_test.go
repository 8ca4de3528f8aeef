package bearer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// A handler finds the token that was verified, wherever in the request it was.
// Rules: guard.token.
func TestTokenFromContextIsTheVerifiedToken(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	token := issuer.Token()
	for name, place := range places {
		auth := newAuth(t, issuer, bearer.WithTokensFrom(place.from))
		for range 2 { // the second time out of the cache
			passed, err := auth.Guard().Authenticate(place.put(token))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := auth.Guard().Authenticate(passed); err != nil || again != passed {
				t.Errorf("%s: a second guard: %v", name, err)
			}
			if got, ok := bearer.TokenFromContext(passed.Context()); !ok || got.Reveal() != token {
				t.Errorf("%s: found %v, and it is the token: %v", name, ok, got.Reveal() == token)
			}
		}
	}
}

// Where no token was verified there is none.
// Rules: guard.token.
func TestTokenFromContextIsAbsentWithoutAVerifiedToken(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	claims, err := auth.Guard().Verify(t.Context(), issuer.Token())
	if err != nil {
		t.Fatal(err)
	}
	anonymous, err := auth.Guard(bearer.Optional()).Authenticate(get(""))
	if err != nil {
		t.Fatal(err)
	}
	verified, err := auth.Guard().Authenticate(inHeader(issuer.Token()))
	if err != nil {
		t.Fatal(err)
	}
	for name, ctx := range map[string]context.Context{
		"no guard": t.Context(), "anonymous": anonymous.Context(), "NewContext": bearer.NewContext(t.Context(), claims),
		"NewContext over a guard": bearer.NewContext(verified.Context(), claims), "NewContext of nil": bearer.NewContext(verified.Context(), nil),
	} {
		if token, ok := bearer.TokenFromContext(ctx); ok || token.Reveal() != "" || token != (bearer.Token{}) {
			t.Errorf("%s: there is a token", name)
		}
	}
}

// A token prints one text, whatever prints it. TestNothingPrintsSecrets tries every place and verb.
// Rules: guard.token.
func TestTokenPrintsAFixedText(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	passed, err := newAuth(t, issuer).Guard().Authenticate(inHeader(issuer.Token()))
	if err != nil {
		t.Fatal(err)
	}
	token, _ := bearer.TokenFromContext(passed.Context())
	const want = "bearer.Token{...}"
	for _, value := range []bearer.Token{token, {}} {
		for _, verb := range "vsqdxXtbUcoeEfgG" {
			if text := fmt.Sprintf("%"+string(verb), value); text != want {
				t.Errorf("%%%c prints %q", verb, text)
			}
		}
		data, err := json.Marshal(map[string]any{"token": value, "list": []any{&value}})
		if err != nil || string(data) != `{"list":["`+want+`"],"token":"`+want+`"}` {
			t.Errorf("JSON: %s, %v", data, err)
		}
		for name, handler := range map[string]func(*strings.Builder) slog.Handler{
			"text": func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
			"JSON": func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var log strings.Builder
			slog.New(handler(&log)).Info("x", "token", value)
			if !strings.Contains(log.String(), want) || strings.Contains(log.String(), "eyJ") {
				t.Errorf("slog as %s: %s", name, &log)
			}
		}
	}
}

// The handshake of a browser needs a subprotocol in the answer, and the token is never it.
// Rules: request.handshake.
func TestHandshakeOfABrowserNeedsASubprotocol(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, bearer.WithTokensFrom(bearer.FromWebSocket()))
	entry := "base64url.bearer.authorization." + b64(issuer.Token())
	for name, test := range map[string]struct {
		offered, origin string
		want            bearer.Reason
		left            string // for the handler
	}{
		"one beside the token":             {"app.v1, " + entry, "https://app.example", "", "app.v1"},
		"one behind the token":             {entry + ",app.v1", "https://app.example", "", "app.v1"},
		"several":                          {"app.v2, " + entry + ", app.v1", "https://app.example", "", "app.v2, app.v1"},
		"the token alone":                  {entry, "https://app.example", bearer.ReasonMalformedRequest, ""},
		"the token alone, opaque origin":   {entry, "null", bearer.ReasonMalformedRequest, ""},
		"the token alone, not a browser":   {entry, "", "", ""},
		"one beside the token, no browser": {"app.v1, " + entry, "", "", "app.v1"},
		"two tokens":                       {entry + ", " + entry + ", app.v1", "https://app.example", bearer.ReasonMultipleTokens, ""},
		"no token":                         {"app.v1", "https://app.example", bearer.ReasonMissingToken, ""},
	} {
		r := fields("Sec-WebSocket-Protocol", test.offered)
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		var seen *http.Request
		passed, err := auth.Guard(bearer.Func("look", func(r *http.Request, _ *bearer.Claims) error {
			seen = r
			return nil
		})).Authenticate(r)
		if got := reasonOf(t, err); got != test.want {
			t.Errorf("%s: reason %q, want %q", name, got, test.want)
		}
		if err != nil {
			continue
		}
		for _, r := range []*http.Request{passed, seen} {
			if left := strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ", "); left != test.left {
				t.Errorf("%s: %q is left, want %q", name, left, test.left)
			}
		}
	}
}

// The handler gets no token among the subprotocols, also where another place of a FirstOf counts.
// Rules: request.handshake.
func TestTokenOfAHandshakeThatDoesNotCountIsRemoved(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer, quiet(), bearer.WithTokensFrom(bearer.FirstOf(bearer.FromCookie(), bearer.FromWebSocket())))
	entry := "base64url.bearer.authorization." + b64(issuer.Token(c{"sub": "bob"}))
	for name, test := range map[string]struct {
		cookie, offered, origin string
		want                    bearer.Reason
		left                    string // for the handler
	}{
		"one beside the token":        {issuer.Token(), "app.v1, " + entry, "https://app.example", "", "app.v1"},
		"two tokens":                  {issuer.Token(), entry + ", app.v1, " + entry, "https://app.example", "", "app.v1"},
		"no token in base64url":       {issuer.Token(), "base64url.bearer.authorization.!, app.v1", "https://app.example", "", "app.v1"},
		"no token":                    {issuer.Token(), "app.v1, app.v2", "https://app.example", "", "app.v1, app.v2"},
		"none":                        {issuer.Token(), "", "https://app.example", "", ""},
		"the token alone":             {issuer.Token(), entry, "https://app.example", bearer.ReasonMalformedRequest, ""},
		"the token alone, no browser": {issuer.Token(), entry, "", "", ""},
		"beside a stale cookie":       {issuer.Token(c{"exp": 1}), "app.v1, " + entry, "https://app.example", bearer.ReasonExpired, ""},
	} {
		r := inCookie(test.cookie)
		for name, value := range map[string]string{"Sec-WebSocket-Protocol": test.offered, "Origin": test.origin} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		passed, err := auth.Guard().Authenticate(r)
		if got := reasonOf(t, err); got != test.want {
			t.Errorf("%s: reason %q, want %q", name, got, test.want)
		}
		if err != nil {
			continue
		}
		if claims, _ := bearer.FromContext(passed.Context()); claims.Subject() != "alice" {
			t.Errorf("%s: the handler sees %s, want alice", name, claims.Subject())
		}
		if left := strings.Join(passed.Header.Values("Sec-WebSocket-Protocol"), ", "); left != test.left {
			t.Errorf("%s: %q is left, want %q", name, left, test.left)
		}
	}
}

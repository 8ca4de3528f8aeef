package oauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// Google answers an assertion with the claim target_audience so.
func TestIDTokenIsUsedOnRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		want   string // with the option; "" for none
	}{
		"alone":                  {`{"id_token":"a.b.c"}`, "a.b.c"},
		"with a type":            {`{"id_token":"a.b.c","token_type":"Bearer","expires_in":3600}`, "a.b.c"},
		"beside an access token": {`{"id_token":"a.b.c","access_token":"access","token_type":"Bearer"}`, "access"},
		"beside an empty one":    {`{"id_token":"a.b.c","access_token":"","token_type":"Bearer"}`, "a.b.c"},
		"beside null":            {`{"id_token":"a.b.c","access_token":null}`, "a.b.c"},
		"beside a number":        {`{"id_token":"a.b.c","access_token":1,"token_type":"Bearer"}`, ""},
		"of another type":        {`{"id_token":"a.b.c","token_type":"N_A"}`, ""},
		"an error with it":       {`{"id_token":"a.b.c","error":"invalid_grant"}`, ""},
		"empty":                  {`{"id_token":""}`, ""},
		"that cannot be sent":    {`{"id_token":"a b","token_type":"Bearer"}`, ""},
		"of a line break":        {`{"id_token":"a\r\nb","token_type":"Bearer"}`, ""},
		"that is no text":        {`{"id_token":["a.b.c"],"token_type":"Bearer"}`, ""},
		"neither":                {`{"token_type":"Bearer"}`, ""},
	} {
		for method, of := range everyGrant {
			if isExchange(method) {
				continue
			}
			server, c := grantsClient(t)
			server.On("/token", tokenstest.JSON(http.StatusOK, tt.answer))
			response, err := of(c, oauth.WithIDTokenAsToken()).Fetch(t.Context(), tokens.Request{})
			if tt.want == "" && err == nil || tt.want != "" && (err != nil || response.AccessToken.Reveal() != tt.want) {
				t.Errorf("%s, %s: %v, want %q", method, name, err, tt.want)
			}
			if err == nil && response.IDToken.Reveal() != "a.b.c" {
				t.Errorf("%s, %s: the ID token is %q", method, name, response.IDToken.Reveal())
			}
			if response, err := of(c).Fetch(t.Context(), tokens.Request{}); err == nil && response.AccessToken.Reveal() != "access" {
				t.Errorf("%s, %s: %q was used without the option", method, name, response.AccessToken.Reveal())
			}
		}
	}
}

// Its life is what the server says, and not what the ID token does.
func TestIDTokenLivesAsTheServerSays(t *testing.T) {
	t.Parallel()
	for member, want := range map[string]time.Duration{"": 5 * time.Minute, `,"expires_in":3600`: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			server, c := grantsClient(t)
			server.On("/token", tokenstest.JSON(http.StatusOK, fmt.Sprintf(`{"id_token":"a.%s.c"%s}`, "eyJleHAiOjB9", member)))
			source := tokenstest.NewManager(t, everyGrant["JWTBearerPerKey"](c, oauth.WithIDTokenAsToken())).Source(tokens.Key{})
			token := tokenstest.MustToken(t, source)
			if got := time.Until(token.Expiry()); got != want || !strings.HasPrefix(token.Authorization(), "Bearer a.") {
				t.Errorf("%q lives for %v, want %v", token.Authorization(), got, want)
			}
		})
	}
}

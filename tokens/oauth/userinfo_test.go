package oauth_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
)

// userInfoServer has a userinfo endpoint that answers so.
func userInfoServer(answer tokenstest.Handler) *tokenstest.Server {
	server := tokenstest.NewServer()
	server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{
		"userinfo_endpoint": tokenstest.Issuer + "/userinfo", "jwks_uri": tokenstest.Issuer + "/keys",
	})))
	server.On("/userinfo", answer)
	return server
}

func askUserInfo(t testing.TB, server *tokenstest.Server, opts ...oauth.ClientOption) (*oauth.UserInfo, error) {
	t.Helper()
	c := tokenstest.NewClient(t, server, oauth.NoClientAuth(), opts...)
	return c.UserInfo(t.Context(), tokens.NewSecret(idAccessToken), "alice")
}

func wantUserInfoError(t *testing.T, info *oauth.UserInfo, err error, because string) tokens.Error {
	t.Helper()
	e, ok := errors.AsType[*tokens.Error](err)
	if !ok || info != nil || e.Op != "userinfo" || !strings.Contains(err.Error(), because) || strings.Contains(err.Error(), idAccessToken) {
		t.Fatalf("%v, error %v; want an error of userinfo with %q", info, err, because)
	}
	return *e
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	server := userInfoServer(tokenstest.JSON(http.StatusOK, `{"sub":"alice","email":"alice@example.com","EMAIL":"mallory@example.com"}`))
	info, err := askUserInfo(t, server)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Email string `json:"email"`
	}
	if err := info.Decode(&claims); err != nil || info.Subject() != "alice" || claims.Email != "alice@example.com" {
		t.Errorf("subject %q, email %q, %v", info.Subject(), claims.Email, err)
	}
	asked := server.Seen("/userinfo")
	if len(asked) != 1 || asked[0].Method != http.MethodGet || asked[0].Header.Get("Authorization") != "Bearer "+idAccessToken || len(asked[0].Form) != 0 {
		t.Errorf("asked %+v", asked)
	}
}

// What is said of another person, or in another way than was agreed on, is refused.
func TestUserInfoRefusesAnswers(t *testing.T) {
	t.Parallel()
	long := `{"sub":"alice","x":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, test := range map[string]struct {
		answer  tokenstest.Handler
		because string
		status  int
	}{
		"another person":     {tokenstest.JSON(http.StatusOK, `{"sub":"mallory"}`), "sub is missing", 200},
		"no sub":             {tokenstest.JSON(http.StatusOK, `{"SUB":"alice"}`), "sub is missing", 200},
		"sub is no text":     {tokenstest.JSON(http.StatusOK, `{"sub":["alice"]}`), "sub is missing", 200},
		"sub twice":          {tokenstest.JSON(http.StatusOK, `{"sub":"mallory","sub":"alice"}`), "not one JSON object", 200},
		"an array":           {tokenstest.JSON(http.StatusOK, `[{"sub":"alice"}]`), "not one JSON object", 200},
		"a web page":         {tokenstest.Gives(http.StatusOK, "text/html", "<html>"), "not one JSON object", 200},
		"empty":              {tokenstest.JSON(http.StatusOK, ""), "empty", 200},
		"too long":           {tokenstest.JSON(http.StatusOK, long), "longer than", 200},
		"a redirect":         {tokenstest.JSON(http.StatusFound, "", "Location", tokenstest.Issuer+"/elsewhere"), "redirects", 302},
		"refused":            {tokenstest.JSON(http.StatusUnauthorized, `{"error":"invalid_token"}`), "invalid_token", 401},
		"quotes":             {tokenstest.JSON(http.StatusUnauthorized, `{"error":"`+idAccessToken+`"}`), "status 401", 401},
		"down":               {tokenstest.JSON(http.StatusServiceUnavailable, "", "Retry-After", "7"), "status 503", 503},
		"no content":         {tokenstest.JSON(http.StatusNoContent, ""), "status 204", 204},
		"signed by no key":   {tokenstest.Gives(http.StatusOK, "application/jwt", "a.b.c"), "signed answer is refused", 0},
		"an encrypted JWT":   {tokenstest.Gives(http.StatusOK, "application/jwt; charset=utf-8", "a.b.c.d.e"), "encrypted", 0},
		"a JWT sent as JSON": {tokenstest.JSON(http.StatusOK, "a.b.c"), "not one JSON object", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := userInfoServer(test.answer)
			info, err := askUserInfo(t, server)
			e := wantUserInfoError(t, info, err, test.because)
			if e.Status != test.status || len(server.Seen("/elsewhere")) != 0 {
				t.Errorf("status %d, want %d", e.Status, test.status)
			}
			if name == "down" && e.RetryAfter != 7*time.Second {
				t.Errorf("RetryAfter %s", e.RetryAfter)
			}
		})
	}
}

// A signed answer is verified with the keys of ID tokens.
func TestSignedUserInfo(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer(bearertest.WithURL(tokenstest.Issuer), bearertest.WithAlgorithm("ES256"))
	other := bearertest.NewIssuer(bearertest.WithURL(tokenstest.Issuer), bearertest.WithAlgorithm("ES256"))
	sign := func(by *bearertest.Issuer, claims bearertest.Claims) string {
		return by.Sign(bearertest.Claims{"typ": nil, "kid": issuer.KeyID()}, bearertest.Claims{"aud": "orders", "exp": nil, "iat": nil}, claims)
	}
	for name, test := range map[string]struct{ token, because string }{
		"good":             {sign(issuer, nil) + "\n", ""},
		"another key":      {sign(other, nil), "does not verify"},
		"another person":   {sign(issuer, bearertest.Claims{"sub": "mallory"}), "sub is missing"},
		"another issuer":   {sign(issuer, bearertest.Claims{"iss": "https://mallory.example"}), "iss"},
		"no issuer":        {sign(issuer, bearertest.Claims{"iss": nil}), "iss"},
		"another audience": {sign(issuer, bearertest.Claims{"aud": "billing"}), "aud"},
		"no audience":      {sign(issuer, bearertest.Claims{"aud": nil}), "aud"},
		"a wrong audience": {sign(issuer, bearertest.Claims{"aud": 1}), "aud"},
		"expired":          {sign(issuer, bearertest.Claims{"exp": 1}), "exp has passed"},
		"a wrong exp":      {sign(issuer, bearertest.Claims{"exp": "1"}), "exp"},
		"an access token":  {issuer.Token(bearertest.Claims{"aud": "orders"}), "typ"},
		"a logout token":   {sign(issuer, bearertest.Claims{"events": 1}), "events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := userInfoServer(tokenstest.Gives(http.StatusOK, "application/jwt", test.token))
			server.On("/keys", tokenstest.JSON(http.StatusOK, string(issuer.KeySet())))
			info, err := askUserInfo(t, server)
			if test.because != "" {
				wantUserInfoError(t, info, err, test.because)
			} else if err != nil || info.Subject() != "alice" {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Where nothing can be asked, nothing is sent.
func TestUserInfoThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := userInfoServer(tokenstest.JSON(http.StatusOK, `{"sub":"alice"}`))
		c := tokenstest.NewClient(t, server, oauth.NoClientAuth())
		info, err := c.UserInfo(t.Context(), tokens.NewSecret(idAccessToken), "")
		wantUserInfoError(t, info, err, "no subject")
		for _, token := range []string{"", "a\nb", strings.Repeat("x", 64<<10+1)} {
			info, err := c.UserInfo(t.Context(), tokens.NewSecret(token), "alice")
			wantUserInfoError(t, info, err, "no access token")
		}
		for because, endpoint := range map[string]any{
			"names no userinfo_endpoint": nil,
			"is not https":               "http://login.example.com/userinfo",
			"is longer than":             tokenstest.Issuer + "/userinfo?" + strings.Repeat("x", 4<<10),
		} {
			server.On(tokenstest.OpenIDPath, tokenstest.JSON(http.StatusOK, tokenstest.Document(map[string]any{"userinfo_endpoint": endpoint})))
			info, err := askUserInfo(t, server)
			wantUserInfoError(t, info, err, because)
			if _, err := fetchFrom(t, server); err != nil { // other clients can do with the document
				t.Errorf("%s: %v", because, err)
			}
		}
		if n := len(server.Seen("/userinfo")); n != 0 {
			t.Errorf("%d requests", n)
		}
		server.Off(tokenstest.OpenIDPath)
		if _, err := askUserInfo(t, server, oauth.WithUserInfoEndpoint(tokenstest.Issuer+"/userinfo")); err != nil {
			t.Errorf("with the option: %v", err)
		}
	})
}

// An answer that does not come is not waited for for ever.
func TestUserInfoGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		info, err := askUserInfo(t, userInfoServer(func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		wantUserInfoError(t, info, err, "10s")
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("it took %s", got)
		}
	})
}

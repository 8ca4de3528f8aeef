package tokens_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// printPerson is what must not be printed of a person.
const printPerson = "printing-person@example.com"

// printIdentities are what is known of a person who logged in.
func printIdentities(t *testing.T) (*oauth.Identity, *oauth.UserInfo) {
	t.Helper()
	const redirectURI = "https://app.example/callback"
	person := bearertest.Claims{"email": printPerson}
	server := oauthtest.NewServer(bearertest.NewIssuer(), oauthtest.WithPublicClient("app", redirectURI),
		oauthtest.WithIDTokenClaims(person), oauthtest.WithUserInfo(person))
	client, err := oauth.NewClient(server.URL(), "app", oauth.NoClientAuth(), oauth.WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	login, err := session.NewLogin(t.Context(), client, redirectURI, session.WithScope("openid"), session.WithParameter("login_hint", printPerson))
	if err != nil {
		t.Fatal(err)
	}
	response, identity, err := login.Finish(t.Context(), printBrowse(t, server, login.URL()))
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.UserInfo(t.Context(), response.AccessToken, identity.Subject())
	if err != nil {
		t.Fatal(err)
	}
	if identity.Subject() != printPerson || info.Subject() != printPerson {
		t.Fatal("it is another person")
	}
	return identity, info
}

// printBrowse stands for the browser.
func printBrowse(t *testing.T, server *oauthtest.Server, location string) url.Values {
	t.Helper()
	browser := server.Client()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, location, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	back, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

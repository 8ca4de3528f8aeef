package oauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

func TestParametersAreSentByEveryGrant(t *testing.T) {
	t.Parallel()
	for method, of := range everyGrant {
		server, c := grantsClient(t, oauth.WithTokenParameter("tenant", "a b&c=d"), oauth.WithTokenParameter("x.y-Z_1", "é"))
		f := of(c, oauth.WithParameter("requested_token_use", "on_behalf_of"), oauth.WithParameter("other", "1"))
		for range 2 {
			if _, err := f.Fetch(t.Context(), tokens.Request{Key: keyOf(method)}); err != nil {
				t.Fatal(method, err)
			}
		}
		if _, err := of(c).Fetch(t.Context(), tokens.Request{Key: keyOf(method)}); err != nil {
			t.Fatal(method, err)
		}
		for i, request := range server.Seen("/token") {
			want := map[string]string{"tenant": "a b&c=d", "x.y-Z_1": "é"}
			if i < 2 {
				want["requested_token_use"], want["other"] = "on_behalf_of", "1"
			} else if request.Form.Has("other") {
				t.Errorf("%s: a Fetcher has the parameters of another", method)
			}
			for name, value := range want {
				if got := request.Form[name]; len(got) != 1 || got[0] != value {
					t.Errorf("%s: request %d has %s=%q", method, i, name, got)
				}
			}
		}
	}
}

// Logins and refreshes are requests for tokens, and a revocation is none.
func TestClientsParametersAreSentByLoginsAndRefreshes(t *testing.T) {
	t.Parallel()
	server := tokenstest.NewServer()
	server.On("/token", tokenstest.JSON(http.StatusOK, strings.Replace(tokenstest.Good, "{", `{"refresh_token":"next",`, 1)))
	c := tokenstest.NewClient(t, server, oauth.NoClientAuth(), oauth.WithTokenParameter("tenant", "a"))
	login, back := tokenstest.Login(t, c)
	if strings.Contains(login.URL(), "tenant") {
		t.Errorf("the browser was sent to %s", login.URL())
	}
	if _, _, err := login.Finish(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	s, err := session.New(c, session.NewMemoryStore(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Adopt(t.Context(), tokens.NewSecret("refresh")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, request := range server.Seen("/token") {
		if request.Form.Get("tenant") != "a" {
			t.Errorf("%s was sent without it", request.Form.Get("grant_type"))
		}
	}
	if n := len(server.Seen("/token")); n != 2 {
		t.Errorf("%d requests", n)
	}
	if seen := server.Seen("/revoke"); len(seen) == 0 || seen[0].Form.Has("tenant") {
		t.Errorf("a revocation was %+v", seen)
	}
}

// What this package sends, or has an option for, is no parameter.
var reservedParameters = []string{
	"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type",
	"scope", "resource", "audience",
	"assertion", "code", "code_verifier", "redirect_uri", "refresh_token", "device_code",
	"subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type",
	"token", "token_type_hint",
}

func TestParametersThatAreRefused(t *testing.T) {
	t.Parallel()
	type parameter struct{ name, value string }
	tests := map[string]struct {
		given []parameter
		want  string // the name that is refused
		says  string
	}{
		"no name":             {[]parameter{{"", "hunter2"}}, "", "RFC 6749 section 8.2"},
		"an odd name":         {[]parameter{{"a&scope", "hunter2"}}, "a&scope", "RFC 6749 section 8.2"},
		"a name not in ASCII": {[]parameter{{"\u017fcope", "hunter2"}}, "\u017fcope", "RFC 6749 section 8.2"},
		"no value":            {[]parameter{{"a", ""}}, "a", "is empty"},
		"twice":               {[]parameter{{"a", "hunter2"}, {"a", "hunter2"}}, "a", "more than once"},
		"twice, by case":      {[]parameter{{"a", "hunter2"}, {"A", "hunter3"}}, "A", "more than once"},
	}
	for _, name := range reservedParameters {
		for _, name := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			tests[name] = struct {
				given []parameter
				want  string
				says  string
			}{[]parameter{{name, "hunter2"}}, name, "leave it out"}
		}
	}
	for name, tt := range tests {
		var ofGrant []oauth.GrantOption
		ofClient := []oauth.ClientOption{}
		for _, p := range tt.given {
			ofGrant = append(ofGrant, oauth.WithParameter(p.name, p.value))
			ofClient = append(ofClient, oauth.WithTokenParameter(p.name, p.value))
		}
		_, c := grantsClient(t)
		_, grantErr := tokens.NewManager(c.ClientCredentials(ofGrant...))
		_, clientErr := oauth.NewClient(tokenstest.Issuer, "orders", oauth.NoClientAuth(), ofClient...)
		for option, err := range map[string]error{"WithParameter": grantErr, "WithTokenParameter": clientErr} {
			tokenstest.WantConfigErrors(t, err, oauth.ConfigError{Option: option, Value: fmt.Sprintf("%q", tt.want)})
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("%s: %v, want %q", name, err, tt.says)
			}
		}
	}
}

func TestParameterOfTheClientIsNotTheFetchersToSet(t *testing.T) {
	t.Parallel()
	_, c := grantsClient(t, oauth.WithTokenParameter("tenant", "a"))
	for method, of := range everyGrant {
		_, err := tokens.NewManager(of(c, oauth.WithParameter("Tenant", "b"), oauth.WithParameter("other", "b")))
		tokenstest.WantConfigErrors(t, err, oauth.ConfigError{Option: "WithParameter", Value: `"Tenant"`})
		if !strings.Contains(err.Error(), "WithTokenParameter") {
			t.Errorf("%s: %v", method, err)
		}
	}
}

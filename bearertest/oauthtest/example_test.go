package oauthtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/oauthtest"
)

// A client of OAuth 2.0 gets its tokens from the token endpoint, here by hand. The second use of a
// refresh token is taken for a theft, which ends the session.
func Example() {
	server := oauthtest.NewServer(bearertest.NewIssuer(), oauthtest.WithClient("orders", "s3cret"))
	refresh := func(token string) (next string) {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
		request, err := http.NewRequestWithContext(context.Background(), "POST", server.URL()+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("orders", "s3cret")
		response, err := server.Client().Do(request)
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		var answer struct {
			Scope        string `json:"scope"`
			RefreshToken string `json:"refresh_token"`
			Error        string `json:"error"`
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			log.Fatal(err)
		}
		fmt.Println(response.StatusCode, answer.Error+answer.Scope)
		return answer.RefreshToken
	}

	first := server.NewSession("orders", "alice", "billing:read", "billing:write")
	second := refresh(first)
	refresh(first)
	refresh(second)
	fmt.Println("sessions:", server.Sessions())
	// Output:
	// 200 billing:read billing:write
	// 400 invalid_grant
	// 400 invalid_grant
	// sessions: 0
}

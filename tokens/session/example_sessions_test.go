package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/oauth"
	"github.com/bearer-go/bearer/tokens/session"
)

// A server with many users asks for the session of each request's caller.
func ExampleSessions() {
	server := newAuthorizationServer()
	defer server.Close()
	client, err := oauth.NewClient(server.URL, "app", oauth.NoClientAuth())
	if err != nil {
		fmt.Println(err)
		return
	}
	sessions, err := session.NewSessions(client, session.NewMemoryStore(),
		session.WithMaxSessions(10_000), session.WithIdleTime(10*time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sessions.Close()

	invoices := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth() // stands for your way to tell who calls
		s, err := sessions.Session(user)
		if errors.Is(err, session.ErrTooManySessions) {
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		if err != nil {
			http.Error(w, "no session", http.StatusUnauthorized)
			return
		}
		_, err = s.Token(r.Context()) // or s.Source(key).Transport, for a call to another service
		if errors.Is(err, tokens.ErrLoginRequired) {
			http.Error(w, "log in first", http.StatusUnauthorized)
		}
	})
	request := httptest.NewRequest(http.MethodGet, "/invoices", http.NoBody)
	request.SetBasicAuth("alice", "")
	answer := httptest.NewRecorder()
	invoices.ServeHTTP(answer, request)
	fmt.Println(answer.Code, answer.Body)

	// Output:
	// 401 log in first
}

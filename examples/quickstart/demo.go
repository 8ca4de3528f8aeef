package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// showcase is what a newcomer sees.
func (s *settings) showcase(ctx context.Context, out io.Writer, url string, issuer *bearertest.Issuer) error {
	fmt.Fprintf(out, "One API under /nethttp, /gin and /echo at %s, protected by bearer.\n", url)
	fmt.Fprintf(out, "It trusts a built-in issuer, %s, for the audience %s.\n", issuer.URL(), issuer.Audience())
	fmt.Fprint(out, "That issuer is for trying out: its private key is in the memory of this process alone.\n\n")
	if err := demonstrate(ctx, out, url, issuer); err != nil || s.check {
		return err
	}
	token := issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(time.Hour)})
	fmt.Fprintf(out, "Now you, in another terminal, with a token that is good for an hour:\n\n  TOKEN='%s'\n\n", token)
	for _, path := range []string{"/nethttp/me", "/gin/orders", "/echo/orders"} {
		fmt.Fprintf(out, "  curl -i -H \"Authorization: Bearer $TOKEN\" %s%s\n", url, path)
	}
	fmt.Fprintf(out, "  curl -i %s/nethttp/me\n\n", url)
	fmt.Fprintln(out, "examples/nethttp/main.go is a whole service to copy from. docs/errors.md explains every refusal.")
	return nil
}

// playground is what a user with another issuer sees.
func (s *settings) playground(ctx context.Context, out io.Writer, url string, auth *bearer.Middleware) {
	fmt.Fprintf(out, "One API under /nethttp, /gin and /echo at %s, for tokens of %s.\n", url, s.issuer)
	anyToken := "any valid token"
	if s.optional {
		anyToken += ", or none"
	}
	fmt.Fprintf(out, "/me takes %s; /orders needs the scope %s.\n", anyToken, s.scope)
	fmt.Fprintln(out, "Refusals are logged here with their reason; docs/errors.md says what to do about each.")
	fmt.Fprintln(out, "/readyz says whether the issuer's keys are loaded.")
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := auth.Ready(ctx); err != nil {
		fmt.Fprintf(out, "\nThe issuer's keys cannot be fetched, so the answer is 503 until they can:\n  %v\n", err)
	}
	fmt.Fprint(out, "\n  TOKEN='an access token of your issuer'\n\n")
	for _, source := range s.sources {
		fmt.Fprintf(out, "  curl -i "+tokenSources[source].curl+"\n", url+"/nethttp/me")
	}
}

var frameworks = []string{"nethttp", "gin", "echo"}

// attempt is one request to /orders, and what the answer has to be.
type attempt struct {
	name   string
	token  string
	status int
	body   string // what the body has to contain
	why    string // the answer is what it is
	next   string // the file to open next, from the root of the repository
}

// attempts are those of a client that may, one that is late, one that cheats and one that may not.
// The forged token says all the right things, down to the issuer's key id, and is signed with
// another key.
func attempts(issuer *bearertest.Issuer) []attempt {
	allowed, now := bearertest.Claims{"scope": "orders:read"}, time.Now()
	expired := bearertest.Claims{"iat": now.Add(-2 * time.Hour), "exp": now.Add(-time.Hour)}
	forger := bearertest.NewIssuer(bearertest.WithURL(issuer.URL()), bearertest.WithAudience(issuer.Audience()))
	forged := forger.Sign(bearertest.Claims{"kid": issuer.KeyID()}, allowed)
	list, _ := json.Marshal(someOrders)
	return []attempt{
		{
			"a good token", issuer.Token(allowed), http.StatusOK, string(list),
			"The issuer signed it for this API, it has not expired, and it has the scope orders:read.",
			"examples/quickstart/api.go",
		},
		{
			"an expired token", issuer.Token(allowed, expired), http.StatusUnauthorized, `"code":"token_expired"`,
			"It ended an hour ago, and clocks may differ by 30 seconds (rule claims.exp).",
			"docs/rules.md",
		},
		{
			"a forged token", forged, http.StatusUnauthorized, `"code":"bad_signature"`,
			"It names the issuer's key, and another key signed it (rule jws.signature).",
			"bearertest/attack_signature.go",
		},
		{
			"a token without the scope", issuer.Token(), http.StatusForbidden, `"code":"insufficient_scope"`,
			"The token is good, and the route demands a scope that it lacks (rule route.scope).",
			"require.go",
		},
	}
}

// answer is what the client receives.
type answer struct {
	status    int
	challenge string // WWW-Authenticate
	body      string
}

// fits reports whether the answer is the one wanted. A refusal says in its challenge what is wrong,
// success has none.
func (a answer) fits(want attempt) bool {
	challenged := strings.HasPrefix(a.challenge, `Bearer error="`)
	return a.status == want.status && strings.Contains(a.body, want.body) && challenged == (want.status != http.StatusOK)
}

// demonstrate makes every attempt in every framework and prints the answers, once where all of them
// are the same. It returns an error when one is not as it has to be.
func demonstrate(ctx context.Context, out io.Writer, baseURL string, issuer *bearertest.Issuer) error {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}

	failed := false
	for _, attempt := range attempts(issuer) {
		var answers []answer
		for _, framework := range frameworks {
			a, err := ask(ctx, client, baseURL+"/"+framework+"/orders", attempt.token)
			if err != nil {
				return err
			}
			answers = append(answers, a)
		}
		failed = show(out, attempt, answers) || failed
	}
	if failed {
		return errors.New("an answer is not as it has to be; see above")
	}
	return nil
}

func ask(ctx context.Context, client *http.Client, url, token string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody) //nolint:gosec // our own server
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request) //nolint:gosec // as above
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, response.Header.Get("WWW-Authenticate"), strings.TrimSpace(string(body))}, nil
}

// show prints the frameworks' answers to one attempt and reports whether one of them is wrong.
func show(out io.Writer, want attempt, answers []answer) (wrong bool) {
	fmt.Fprintf(out, "GET /orders with %-26s", want.name)
	for i, framework := range frameworks {
		fmt.Fprintf(out, "  %s %d", framework, answers[i].status)
	}
	fmt.Fprintln(out)
	for i, a := range answers {
		if !a.fits(want) {
			fmt.Fprintf(out, "  WRONG: %s has to answer %d with %s\n", frameworks[i], want.status, want.body)
			wrong = true
		}
		if slices.Contains(answers[:i], a) {
			continue
		}
		if a.challenge != "" {
			fmt.Fprintf(out, "  WWW-Authenticate: %s\n", a.challenge)
		}
		fmt.Fprintf(out, "  %s\n", a.body)
	}
	fmt.Fprintf(out, "  Why:  %s\n  Next: %s\n\n", want.why, want.next)
	return wrong
}

package oauthtest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
)

func TestRefuseAnswersWithTheGivenError(t *testing.T) {
	for code, want := range map[string]string{
		"invalid_client":          "401 invalid_client",
		"invalid_grant":           "400 invalid_grant",
		"temporarily_unavailable": "503 temporarily_unavailable",
		"server_error":            "500 server_error",
		"consent required!":       "400 consent required!",
	} {
		issuer := newServer()
		refresh, redeem := issuer.NewSession("orders", "alice"), login(t, issuer)
		issuer.Refuse(code)
		for _, form := range []url.Values{refreshForm(refresh), redeem} {
			if got := post(t, issuer, "/token", form, asOrders); got.outcome() != want {
				t.Errorf("the token endpoint answers %s, want %s", got.outcome(), want)
			}
		}
		if got := post(t, issuer, "/revoke", fields("token", refresh), asOrders); got.outcome() != want {
			t.Errorf("the revocation endpoint answers %s, want %s", got.outcome(), want)
		}
		if _, target, back := visit(t, issuer, loginForm().Encode()); target != "https://app.test/callback" ||
			back.Get("error") != code || back.Has("code") {
			t.Errorf("the user is sent to %s with %v", target, back)
		}
		if status, _, _ := visit(t, issuer, loginForm("client_id", "unknown").Encode()); status != http.StatusBadRequest {
			t.Errorf("an unknown client gets %d", status)
		}
		if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
			t.Errorf("the keys have suffered: %v", err)
		}
		issuer.Refuse("")
		token(t, issuer, refreshForm(refresh), asOrders)
		token(t, issuer, redeem, asOrders)
	}
}

// A fault stands in front of a refusal, and ends without it.
func TestRefuseIsIndependentOfTheFault(t *testing.T) {
	server := newServer()
	refresh := server.NewSession("orders", "alice")
	ask := func() int {
		form := refreshForm(refresh).Encode()
		got, err := issuertest.Exchange(server.Client(), formRequest(t.Context(), server.URL()+"/token", form, asOrders))
		if err != nil {
			t.Fatal(err)
		}
		return got.StatusCode
	}
	server.Refuse("invalid_grant")
	server.SetFault(bearertest.Down)
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("down and refusing it answers %d", got)
	}
	server.SetFault(bearertest.NoFault)
	if got := ask(); got != http.StatusBadRequest {
		t.Errorf("refusing it answers %d", got)
	}
	server.Refuse("")
	if got := ask(); got != http.StatusOK {
		t.Errorf("after both it answers %d", got)
	}
}

// What each fault makes of a request for a token, how long that takes, and whether the refresh
// token in it was used up.
func TestEveryFaultAtTheTokenEndpoint(t *testing.T) {
	const gone, right = "no answer", "200"
	for fault, test := range map[bearertest.Fault]struct {
		want  string
		after time.Duration
		used  bool
	}{
		bearertest.NoFault:                {right, 0, true},
		bearertest.Down:                   {"503", 0, false},
		bearertest.Busy(90 * time.Second): {"429", 0, false},
		bearertest.Slow(7 * time.Second):  {right, 7 * time.Second, true},
		bearertest.Hang:                   {gone, time.Minute, false},
		bearertest.Mute:                   {gone, 0, true},
		bearertest.Drip:                   {gone, time.Minute, true},
		bearertest.HTML200:                {"200 text/html", 0, false},
		bearertest.Redirect:               {"307", 0, false},
		bearertest.EmptyKeys:              {right, 0, true},
	} {
		t.Run(cmp.Or(string(fault), "none"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := newServer()
				refresh := issuer.NewSession("orders", "alice")
				issuer.SetFault(fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				client := issuer.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				got, err := issuertest.Exchange(client, formRequest(ctx, issuer.URL()+"/token", refreshForm(refresh).Encode(), asOrders))
				outcome := fmt.Sprint(got.StatusCode)
				if strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") && got.StatusCode == http.StatusOK {
					outcome = "200 text/html"
				}
				if err != nil {
					outcome = gone
				}
				if outcome != test.want || time.Since(start) != test.after {
					t.Errorf("the outcome is %s after %v", outcome, time.Since(start))
				}
				if after := got.Header.Get("Retry-After"); (after == "90") != (fault == bearertest.Busy(90*time.Second)) {
					t.Errorf("Retry-After is %q", after)
				}
				if issuer.TokenRequests() != 1 {
					t.Errorf("%d requests are counted", issuer.TokenRequests())
				}
				issuer.SetFault(bearertest.NoFault)
				want := map[bool]string{true: "400 invalid_grant", false: "200"}[test.used]
				if next := post(t, issuer, "/token", refreshForm(refresh), asOrders); next.outcome() != want {
					t.Errorf("the next use answers %s, want %s", next.outcome(), want)
				}
				if issuer.TokenRequests() != 2 {
					t.Errorf("%d requests are counted", issuer.TokenRequests())
				}
			})
		})
	}
}

// Huge is a case of its own: the right answer is in front.
func TestHugeAtTheTokenEndpoint(t *testing.T) {
	issuer := newServer()
	issuer.SetFault(bearertest.Huge)
	response, err := issuer.Client().Do(formRequest(t.Context(), issuer.URL()+"/token", "grant_type=client_credentials", asOrders))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || len(body) != 1<<20 || !json.Valid(bytes.TrimSpace(body)) || !bytes.Contains(body, []byte("access_token")) {
		t.Errorf("the body begins with %.100q, %v", body, err)
	}
}

// A client that follows hands its secret to another origin: it is found out by the counter.
func TestRedirectKeepsAPost(t *testing.T) {
	issuer := newServer()
	issuer.SetFault(bearertest.Redirect)
	form := fields("grant_type", "client_credentials", "client_id", "orders", "client_secret", "s3cret")
	got, _ := token(t, issuer, form)
	if got.Request.URL.Host != "elsewhere.test" || issuer.TokenRequests() != 2 {
		t.Errorf("%s answered; %d requests are counted", got.Request.URL.Host, issuer.TokenRequests())
	}
}

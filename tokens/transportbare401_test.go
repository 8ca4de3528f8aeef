package tokens_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/tokens"
	"github.com/bearer-go/bearer/tokens/internal/tokenstest"
)

// With the option a refusal without a reason is one of the token. One that gives another reason, or
// asks for something else, is the caller's.
func TestRenewalOn401(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		status    int
		challenge []string
		again     bool
	}{
		{"no challenge", 401, nil, true},
		{"an empty line", 401, []string{""}, true},
		{"a bare challenge", 401, []string{"Bearer"}, true},
		{"a challenge with a realm", 401, []string{`Bearer realm="orders"`}, true},
		{"beside another scheme", 401, []string{`Basic realm="x"`, `Bearer`}, true},
		{"invalid_token", 401, []string{transportChallenge}, true},
		{"another error", 401, []string{`Bearer error="insufficient_user_authentication"`}, false},
		{"an empty error", 401, []string{`Bearer error=""`}, false},
		{"another scheme alone", 401, []string{`Basic realm="x"`}, false},
		{"what cannot be read", 401, []string{`Bearer realm="x`}, false},
		{"what is too long", 401, []string{"Bearer" + strings.Repeat(" ", challengeLimit)}, false},
		{"another status", 403, nil, false},
		{"of a proxy", 407, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := &transportService401{status: tt.status, challenge: tt.challenge}
			source, _ := transportSource(t, transportKey)
			transport, err := source.Transport(service, tokens.WithRenewalOn401())
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(transportRequest(t, http.MethodPost, transportService, strings.NewReader("payload")))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			status, sent := tt.status, 1
			if tt.again {
				status, sent = http.StatusOK, 2
			}
			if response.StatusCode != status || len(service.tokens) != sent || source.Stats().Retries != sent-1 {
				t.Errorf("status %d, want %d; sent %q, %d retries", response.StatusCode, status, service.tokens, source.Stats().Retries)
			}
			transportIntact(t, response, !tt.again)
		})
	}
}

// A service that refuses whatever it gets causes a renewal twice a minute at most.
func TestRenewalOn401TwiceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, issuer := transportSource(t, transportKey)
		transport, err := source.Transport(&transportService401{status: 401, always: true}, tokens.WithRenewalOn401())
		if err != nil {
			t.Fatal(err)
		}
		for range 600 { // in ten minutes
			response, err := transport.RoundTrip(transportRequest(t, http.MethodGet, transportService, nil))
			if err != nil || response.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%v, %v", response, err)
			}
			_ = response.Body.Close()
			tokenstest.Pass(time.Second)
		}
		if n := issuer.calls.Load(); n < 10 || n > 21 {
			t.Errorf("%d tokens in ten minutes, want 21 at most", n)
		}
	})
}

func TestRenewalOn401GivenTwice(t *testing.T) {
	t.Parallel()
	source, _ := transportSource(t, transportKey)
	_, err := source.Transport(nil, tokens.WithRenewalOn401(), tokens.WithRenewalOn401())
	if err == nil || !strings.Contains(err.Error(), "WithRenewalOn401: set more than once") {
		t.Errorf("the error is %v", err)
	}
}

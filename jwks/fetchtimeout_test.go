package jwks_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// WithFetchTimeout is about the issuer, and WithColdWait about the request: a slow fetch goes on
// without the requests that did not wait for it.
// Rules: key.available.
func TestFetchTimeoutIsNotTheWaitOfARequest(t *testing.T) {
	for name, test := range map[string]struct {
		options []jwks.Option
		takes   time.Duration
		first   string // outcome of the first request
		waits   time.Duration
		later   string // of one 30 seconds later
	}{
		"default":              {nil, 4 * time.Second, "found", 4 * time.Second, "found"},
		"default, too slow":    {nil, 6 * time.Second, "unavailable", 5 * time.Second, "unavailable"},
		"longer":               {[]jwks.Option{jwks.WithFetchTimeout(20 * time.Second)}, 19 * time.Second, "unavailable", 5 * time.Second, "found"},
		"longer, too slow":     {[]jwks.Option{jwks.WithFetchTimeout(20 * time.Second)}, 21 * time.Second, "unavailable", 5 * time.Second, "unavailable"},
		"longer, as the wait":  {[]jwks.Option{jwks.WithFetchTimeout(time.Minute), jwks.WithColdWait(time.Minute)}, 20 * time.Second, "found", 20 * time.Second, "found"},
		"the wait alone":       {[]jwks.Option{jwks.WithColdWait(time.Minute)}, 20 * time.Second, "unavailable", 5 * time.Second, "unavailable"},
		"shorter":              {[]jwks.Option{jwks.WithFetchTimeout(time.Second)}, 2 * time.Second, "unavailable", time.Second, "unavailable"},
		"longer than no wait":  {[]jwks.Option{jwks.WithFetchTimeout(20 * time.Second), jwks.WithColdWait(0)}, 10 * time.Second, "unavailable", 0, "found"},
		"the client's is less": {[]jwks.Option{jwks.WithFetchTimeout(20 * time.Second)}, 10 * time.Second, "unavailable", 3 * time.Second, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.put(keysURL, after(test.takes, says(200, keySet(edJWK("a")))))
				if strings.Contains(name, "client") {
					test.options = append(test.options, jwks.WithHTTPClient(&http.Client{Transport: w, Timeout: 3 * time.Second}))
				}
				set := w.remote(t, test.options...)
				wantAfter(t, set, "a", test.first, test.waits)
				<-time.After(30 * time.Second)
				if test.later == "found" {
					want(t, set, "a", "EdDSA", "found")
				} else if outcome(set.Keys(t.Context(), "a", "EdDSA")) == "found" {
					t.Error("the fetch took longer than it may")
				}
			})
		})
	}
}

// A request with an unknown key id waits 2 seconds, whatever a fetch may take, and the next one has
// what it brought.
func TestSearchWaitsNoLongerForASlowFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t, jwks.WithFetchTimeout(30*time.Second))
		w.put(keysURL, after(20*time.Second, says(200, keySet(edJWK("a"), edJWK("b")))))
		wantAfter(t, set, "b", "unavailable", 2*time.Second)
		want(t, set, "a", "EdDSA", "found")
		<-time.After(20 * time.Second)
		wantAfter(t, set, "b", "found", 0)
	})
}

func TestFetchTimeoutNamesItselfAndItsRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.put(keysURL, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context()) // as a real transport
		})
		set := w.remote(t, jwks.WithFetchTimeout(2*time.Second))
		_, err := set.Keys(t.Context(), "a", "EdDSA")
		if err == nil || !strings.Contains(err.Error(), "no complete answer within 2s") {
			t.Errorf("%v", err)
		}
	})
	for timeout, good := range map[time.Duration]bool{
		0: false, -1: false, time.Second - 1: false, time.Second: true, time.Minute: true, time.Minute + 1: false,
	} {
		_, err := jwks.New(jwks.Remote(keysURL, jwks.WithFetchTimeout(timeout)))
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "): give 1s to 1m0s") {
			t.Errorf("%s: %v", timeout, err)
		}
	}
	if _, err := jwks.New(jwks.Remote(keysURL, jwks.WithFetchTimeout(time.Second), jwks.WithFetchTimeout(time.Second))); err == nil ||
		!strings.Contains(err.Error(), "more than once") {
		t.Errorf("twice: %v", err)
	}
}

package jwks_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// all calls a function of so many requests at once and counts how they ended.
func all(n int, request func(i int) string) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes := make(map[string]int)
	for i := range n {
		wg.Go(func() {
			result := request(i)
			mu.Lock()
			defer mu.Unlock()
			outcomes[result]++
		})
	}
	wg.Wait()
	return outcomes
}

func wantAll(t *testing.T, outcomes map[string]int, n int, expected string) {
	t.Helper()
	if len(outcomes) != 1 || outcomes[expected] != n {
		t.Errorf("%d requests ended as %v, want all %s", n, outcomes, expected)
	}
}

// took runs a function and returns the time that passed meanwhile.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func wantFetches(t *testing.T, w *web, url string, n int) {
	t.Helper()
	synctest.Wait()
	if got := w.count(url); got != n {
		t.Errorf("%d fetches of %s, want %d", got, url, n)
	}
}

// retryAfter is what the error of a call of Keys tells the client.
func retryAfter(t *testing.T, err error) time.Duration {
	t.Helper()
	var unavailable *jwks.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("not an UnavailableError: %v", err)
	}
	return unavailable.RetryAfter
}

// warm is a set that has the one key of its issuer, an Ed25519 key with the id "a".
func warm(t *testing.T, options ...jwks.Option) (*web, *jwks.Set) {
	t.Helper()
	w := issuer(edJWK("a"))
	set := w.discover(t, options...)
	want(t, set, "a", "EdDSA", "found")
	return w, set
}

// wantEach has n requests ask for a key at once, and checks that each gets this outcome.
func wantEach(t *testing.T, set *jwks.Set, n int, kid, expected string) {
	t.Helper()
	wantAll(t, all(n, func(int) string { return outcome(set.Keys(t.Context(), kid, "EdDSA")) }), n, expected)
}

// wantAfter checks the outcome of a request for a key, and how long the request waits.
func wantAfter(t *testing.T, set *jwks.Set, kid, expected string, wait time.Duration) {
	t.Helper()
	if waited := took(func() { want(t, set, kid, "EdDSA", expected) }); waited != wait {
		t.Errorf("waited %s, want %s", waited, wait)
	}
}

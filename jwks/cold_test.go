package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

func TestNothingStartsBeforeFirstNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		for _, source := range []jwks.Source{jwks.Discover(issuerURL), jwks.Remote(keysURL)} {
			if _, err := jwks.New(source, jwks.WithHTTPClient(w.client())); err != nil { // the bubble fails if it leaves a goroutine
				t.Fatal(err)
			}
		}
		<-time.After(24 * time.Hour)
		wantFetches(t, w, discoveryURL, 0)
		wantFetches(t, w, keysURL, 0)
	})
}

func TestNoGoroutineOutlivesAFetchEvenWithoutClose(t *testing.T) {
	// The bubble fails if a goroutine of it is left.
	synctest.Test(t, func(t *testing.T) {
		set, err := jwks.New(jwks.Discover(issuerURL), jwks.WithHTTPClient(issuer(edJWK("a")).client()))
		if err != nil {
			t.Fatal(err)
		}
		want(t, set, "a", "EdDSA", "found")
	})
}

func TestFirstRequestsShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("a")))))
		set := w.discover(t)
		wantEach(t, set, 200, "a", "found")
		wantFetches(t, w, discoveryURL, 1)
		wantFetches(t, w, keysURL, 1)
	})
}

func TestUnknownKeyIDOfTheFirstRequestCausesNoSecondFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer()
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("a")))))
		set := w.discover(t)
		wantAll(t, all(200, func(i int) string {
			return outcome(set.Keys(t.Context(), fmt.Sprint("forged-", i), "EdDSA"))
		}), 200, "not found")
		wantFetches(t, w, keysURL, 1)
	})
}

func TestAlgorithmsThatNoKeyCanFitCauseNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		for _, alg := range []string{"", "none", "HS256", "HS384", "HS512", "rs256", "ES256K", "RSA-OAEP"} {
			want(t, set, "a", alg, "not found")
		}
		wantFetches(t, w, discoveryURL, 0)
	})
}

func TestColdRequestsWaitFiveSecondsOrTheirOwnDeadline(t *testing.T) {
	for name, hanging := range map[string]string{"discovery hangs": discoveryURL, "keys hang": keysURL} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				w.put(hanging, hangs)
				set := w.discover(t)
				elapsed := took(func() {
					wantEach(t, set, 200, "a", "unavailable")
				})
				if elapsed != 5*time.Second {
					t.Errorf("200 requests were answered after %s, want 5s", elapsed)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				<-time.After(10 * time.Second) // until the fetch has failed, and over the pause
				elapsed = took(func() {
					_, err := set.Keys(ctx, "a", "EdDSA")
					if !errors.Is(err, context.DeadlineExceeded) && outcome(nil, err) != "unavailable" {
						t.Error(err)
					}
				})
				if elapsed > 100*time.Millisecond {
					t.Errorf("a request with 100ms was answered after %s", elapsed)
				}
			})
		})
	}
}

func TestColdRequestsStopWaitingButTheFetchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		w.put(discoveryURL, after(3*time.Second, w.pages[discoveryURL]))
		w.put(keysURL, after(4*time.Second, w.pages[keysURL]))
		set := w.discover(t)
		var err error
		if elapsed := took(func() { _, err = set.Keys(t.Context(), "a", "EdDSA") }); elapsed != 5*time.Second {
			t.Errorf("the first request was answered after %s, want 5s", elapsed)
		}
		if pause := retryAfter(t, err); pause != time.Second {
			t.Errorf("RetryAfter %s while the fetch is under way, want 1s", pause)
		}
		if elapsed := took(func() { want(t, set, "a", "EdDSA", "found") }); elapsed != 2*time.Second {
			t.Errorf("the second request was answered after %s, want 2s", elapsed)
		}
		wantFetches(t, w, keysURL, 1)
	})
}

func TestRequestThatEndsDoesNotCancelTheSharedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer()
		w.put(keysURL, after(3*time.Second, says(200, keySet(edJWK("a")))))
		set := w.discover(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the client went away")
		time.AfterFunc(time.Second, func() { cancel(gone) })

		var first error
		var wg sync.WaitGroup
		wg.Go(func() { _, first = set.Keys(ctx, "a", "EdDSA") })
		wg.Go(func() {
			synctest.Wait() // the first has started the fetch
			want(t, set, "a", "EdDSA", "found")
		})
		wg.Wait()
		if !errors.Is(first, gone) || outcome(nil, first) != "unavailable" {
			t.Errorf("the request that went away got: %v", first)
		}
		wantFetches(t, w, keysURL, 1)
	})
}

func TestServesFromMemoryEvenIfTheRequestIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := issuer(edJWK("a")).discover(t)
		want(t, set, "a", "EdDSA", "found")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if got := outcome(set.Keys(ctx, "a", "EdDSA")); got != "found" {
			t.Error(got)
		}
	})
}

func TestColdBackoffIsOneToTwoThenTwoToFourSecondsAndJittered(t *testing.T) {
	pauses := make(map[time.Duration]bool)
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWeb()
			w.put(keysURL, down)
			set := w.remote(t)
			for attempt, bounds := range [][2]time.Duration{
				{time.Second, 2 * time.Second},
				{2 * time.Second, 4 * time.Second},
				{2 * time.Second, 4 * time.Second},
				{2 * time.Second, 4 * time.Second},
			} {
				_, err := set.Keys(t.Context(), "a", "EdDSA")
				pause := retryAfter(t, err)
				if !errors.Is(err, errDown) || pause < bounds[0] || pause > bounds[1] {
					t.Fatalf("attempt %d: pause %s, want within %s: %v", attempt+1, pause, bounds, err)
				}
				pauses[pause] = true

				<-time.After(pause / 2)
				elapsed := took(func() { _, err = set.Keys(t.Context(), "a", "EdDSA") })
				if rest := retryAfter(t, err); elapsed != 0 || rest != pause-pause/2 {
					t.Fatalf("during the pause: answered after %s, RetryAfter %s of %s", elapsed, rest, pause-pause/2)
				}
				wantFetches(t, w, keysURL, attempt+1)
				<-time.After(pause - pause/2)
			}
		})
	}
	if len(pauses) < 40 {
		t.Errorf("80 pauses have only %d lengths", len(pauses))
	}
}

func TestServesWithinOneBackoffStepAfterTheIssuerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		page := w.pages[keysURL]
		w.put(keysURL, down)
		set := w.discover(t)
		for range 100 {
			want(t, set, "a", "EdDSA", "unavailable")
			<-time.After(time.Second)
		}
		w.put(keysURL, page)
		_, err := set.Keys(t.Context(), "a", "EdDSA")
		if err != nil {
			if pause := retryAfter(t, err); pause > 4*time.Second {
				t.Errorf("RetryAfter %s", pause)
			} else {
				<-time.After(pause)
			}
		}
		want(t, set, "a", "EdDSA", "found")
	})
}

package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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
		wantAll(t, all(200, func(int) string { return outcome(set.Keys(t.Context(), "a", "EdDSA")) }), 200, "found")
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
					wantAll(t, all(200, func(int) string { return outcome(set.Keys(t.Context(), "a", "EdDSA")) }), 200, "unavailable")
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

// retryAfter is what the error of a call of Keys tells the client.
func retryAfter(t *testing.T, err error) time.Duration {
	t.Helper()
	var unavailable *jwks.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("not an UnavailableError: %v", err)
	}
	return unavailable.RetryAfter
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

func TestLifetimeIsCacheControlWithinBounds(t *testing.T) {
	for name, test := range map[string]struct {
		header   []string
		lifetime time.Duration
	}{
		"none":                  {nil, 10 * time.Minute},
		"other directives":      {[]string{"public, must-revalidate"}, 10 * time.Minute},
		"max-age":               {[]string{"public, max-age=300, immutable"}, 5 * time.Minute},
		"max-age in quotes":     {[]string{`max-age="300"`}, 5 * time.Minute},
		"max-age in capitals":   {[]string{"Max-Age=300"}, 5 * time.Minute},
		"shared caches only":    {[]string{"s-maxage=300"}, 10 * time.Minute},
		"short":                 {[]string{"max-age=1"}, time.Minute},
		"zero":                  {[]string{"max-age=0"}, time.Minute},
		"long":                  {[]string{"max-age=86400"}, time.Hour},
		"beyond any number":     {[]string{"max-age=99999999999999999999999"}, time.Hour},
		"nonsense":              {[]string{"max-age=soon"}, time.Minute},
		"negative":              {[]string{"max-age=-1"}, time.Minute},
		"without a value":       {[]string{"max-age"}, time.Minute},
		"no-store":              {[]string{"no-store, max-age=300"}, time.Minute},
		"no-cache":              {[]string{"max-age=300", "no-cache"}, time.Minute},
		"the shortest of two":   {[]string{"max-age=600, max-age=300"}, 5 * time.Minute},
		"the shortest of lines": {[]string{"max-age=300", "max-age=600"}, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				var header []string
				for _, value := range test.header {
					header = append(header, "Cache-Control", value)
				}
				w.put(keysURL, says(200, keySet(edJWK("a")), header...))
				set := w.remote(t)
				want(t, set, "a", "EdDSA", "found")
				<-time.After(test.lifetime*8/10 - 1)
				want(t, set, "a", "EdDSA", "found")
				wantFetches(t, w, keysURL, 1)
				<-time.After(test.lifetime/10 + 1)
				want(t, set, "a", "EdDSA", "found")
				wantFetches(t, w, keysURL, 2)
			})
		})
	}
}

func TestRefreshIsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, after(3*time.Second, says(200, keySet(edJWK("b")))))
		<-time.After(9 * time.Minute)
		elapsed := took(func() {
			wantAll(t, all(200, func(int) string { return outcome(set.Keys(t.Context(), "a", "EdDSA")) }), 200, "found")
		})
		if elapsed != 0 {
			t.Errorf("requests waited %s for a refresh", elapsed)
		}
		<-time.After(3 * time.Second)
		want(t, set, "b", "EdDSA", "found")
		wantFetches(t, w, keysURL, 2)
		w.put(keysURL, says(200, keySet(edJWK("b"))))
		want(t, set, "a", "EdDSA", "not found") // gone with the set it was in
		wantFetches(t, w, discoveryURL, 1)
	})
}

func TestRefreshesOfAFleetAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		var sets []*jwks.Set
		for range 100 {
			set := w.remote(t)
			want(t, set, "a", "EdDSA", "found")
			sets = append(sets, set)
		}
		most := 0
		for before := 100; before < 200; {
			<-time.After(time.Second)
			for _, set := range sets {
				want(t, set, "a", "EdDSA", "found")
			}
			synctest.Wait()
			most, before = max(most, w.count(keysURL)-before), w.count(keysURL)
		}
		if most > 20 {
			t.Errorf("%d of 100 sets were refreshed within one second", most)
		}
	})
}

func TestIdleSetIsRefreshedBeforeItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		<-time.After(time.Hour)
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("b")))))
		wantAll(t, all(200, func(int) string { return outcome(set.Keys(t.Context(), "a", "EdDSA")) }), 200, "not found")
		want(t, set, "b", "EdDSA", "found")
		wantFetches(t, w, keysURL, 2)
	})
}

func TestIdleSetWaitsTwoSecondsForItsRefreshAtMost(t *testing.T) {
	for name, test := range map[string]struct {
		page page
		wait time.Duration
	}{
		"fails": {down, 0},
		"hangs": {hangs, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				set := w.discover(t)
				want(t, set, "a", "EdDSA", "found")
				for range 2 { // after the second idle time a failure lies long ago, and does not count
					<-time.After(time.Hour)
					w.put(keysURL, test.page)
					if wait := took(func() { want(t, set, "a", "EdDSA", "found") }); wait != test.wait {
						t.Errorf("the first request waited %s, want %s", wait, test.wait)
					}
					for range 100 { // later ones do not, whether the fetch is under way or has failed
						if wait := took(func() { want(t, set, "a", "EdDSA", "found") }); wait != 0 {
							t.Errorf("a later request waited %s", wait)
						}
						<-time.After(time.Second)
					}
				}
			})
		})
	}
}

func TestIssuerDownForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		w := issuer(edJWK("a"))
		up := w.pages[keysURL]
		set := w.discover(t, jwks.WithLogger(log.logger()))
		want(t, set, "a", "EdDSA", "found")
		loaded := time.Now()
		w.put(keysURL, down)
		for time.Since(loaded) < 24*time.Hour {
			if wait := took(func() { want(t, set, "a", "EdDSA", "found") }); wait != 0 {
				t.Fatalf("after %s: a request waited %s", time.Since(loaded), wait)
			}
			<-time.After(time.Second)
		}
		synctest.Wait()
		if n := w.count(keysURL); n < 1440 || n > 5000 {
			t.Errorf("%d fetches in a day of failures", n)
		}
		for range 600 {
			want(t, set, "a", "EdDSA", "unavailable")
			<-time.After(time.Second)
		}
		w.put(keysURL, up)
		if _, err := set.Keys(t.Context(), "a", "EdDSA"); err != nil {
			pause := retryAfter(t, err)
			if pause > 4*time.Second {
				t.Errorf("RetryAfter %s", pause)
			}
			<-time.After(pause)
		}
		want(t, set, "a", "EdDSA", "found")
		synctest.Wait()
		for _, words := range [][]string{
			{"fetching keys fails", `"keys":"fresh"`, keysURL, "connection refused"},
			{"fetching keys fails", `"keys":"stale"`},
			{"fetching keys fails", `"keys":"expired"`},
			{"fetching keys works again", `"failures":`},
		} {
			if n := len(log.lines(append(words, `"level":"WARN"`, issuerURL)...)); n != 1 {
				t.Errorf("%d lines with %q in the log, want 1", n, words)
			}
		}
		if n := len(log.lines("fetching")); n != 4 {
			t.Errorf("%d lines in the log, want 4", n)
		}
	})
}

func TestAgeCountsFromTheBeginningOfTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		w.put(keysURL, after(4*time.Second, w.pages[keysURL]))
		set := w.discover(t)
		start := time.Now()
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, down)
		<-time.After(time.Until(start.Add(24*time.Hour - 1)))
		want(t, set, "a", "EdDSA", "found")
		<-time.After(time.Nanosecond)
		want(t, set, "a", "EdDSA", "unavailable")
	})
}

func TestExpiryEndsALongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		loaded := time.Now()
		w.put(keysURL, down)
		for range 20 { // failures enough for the longest pauses
			<-time.After(time.Minute)
			want(t, set, "a", "EdDSA", "found")
			synctest.Wait()
		}
		<-time.After(time.Until(loaded.Add(24*time.Hour - time.Second)))
		want(t, set, "a", "EdDSA", "found")
		<-time.After(time.Second)
		_, err := set.Keys(t.Context(), "a", "EdDSA")
		if pause := retryAfter(t, err); pause > 4*time.Second {
			t.Errorf("RetryAfter %s on expiry", pause)
		}
	})
}

func TestBodiesThatNeverReplaceASet(t *testing.T) {
	many := make([]jwk, 257)
	for i := range many {
		many[i] = jwk{"kty": "RSA", "kid": fmt.Sprint(i)}
	}
	good := strings.TrimSuffix(keySet(edJWK("a")), "}")
	for name, page := range map[string]page{
		"an empty object":        says(200, `{}`),
		"null":                   says(200, `null`),
		"no keys":                says(200, `{"keys":[]}`),
		"keys that are null":     says(200, `{"keys":null}`),
		"keys that are no array": says(200, `{"keys":{"kty":"OKP"}}`),
		"keys in capitals":       says(200, strings.Replace(good, "keys", "KEYS", 1)+"}"),
		"an array":               says(200, `[`+good+`}]`),
		"nothing":                says(200, ``),
		"HTML":                   says(200, "<!DOCTYPE html><title>Maintenance</title>"),
		"truncated":              says(200, good),
		"something after it":     says(200, good+"}{}"),
		"a byte order mark":      says(200, "\uFEFF"+good+"}"),
		"not UTF-8":              says(200, good+",\"x\":\"\xff\"}"),
		"keys twice":             says(200, good+`,"keys":[]}`),
		"a name twice in a key":  says(200, `{"keys":[{"kid":"a","kty":"OKP","k\u0069d":"b"}]}`),
		"257 keys":               says(200, keySet(many...)),
		"more than a MiB":        says(200, good+"}"+strings.Repeat(" ", 1<<20-len(good))),
		"without an end":         streams(func(context.Context) (byte, error) { return ' ', nil }),
		"a byte a second": streams(func(ctx context.Context) (byte, error) {
			select {
			case <-time.After(time.Second):
				return ' ', nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}),
		"status 500":       says(500, good+"}"),
		"status 204":       says(204, ""),
		"status 203":       says(203, good+"}"),
		"status 404":       says(404, good+"}"),
		"status 302 alone": says(302, good+"}"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				set := w.discover(t)
				want(t, set, "a", "EdDSA", "found")
				w.put(keysURL, page)
				<-time.After(20 * time.Minute)
				want(t, set, "a", "EdDSA", "found")
				<-time.After(10 * time.Second)
				want(t, set, "a", "EdDSA", "found")
				want(t, set, "b", "EdDSA", "unavailable") // nobody can know
				if w.count(keysURL) < 2 {
					t.Error("the page was not fetched")
				}

				cold := w.remote(t) // without a set there is nothing to use, and the error names the place alone
				_, err := cold.Keys(t.Context(), "a", "EdDSA")
				if outcome(nil, err) != "unavailable" || strings.Contains(err.Error(), "Maintenance") ||
					name != "a byte a second" && !strings.Contains(err.Error(), keysURL) {
					t.Errorf("cold: %v", err)
				}
			})
		})
	}
}

func TestLargestSetsAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make([]jwk, 255, 256)
		for i := range keys {
			keys[i] = jwk{"kty": "unknown"}
		}
		body := keySet(append(keys, edJWK("a"))...)
		w := newWeb()
		w.put(keysURL, says(200, body+strings.Repeat(" ", 1<<20-len(body))))
		want(t, w.remote(t), "a", "EdDSA", "found")
	})
}

func TestASetOfUnusableKeysIsASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(jwk{"kty": "OKP", "kid": "refused", "crv": "Ed448", "x": "AA"}, jwk{"kty": "EC"})
		set := w.discover(t)
		want(t, set, "refused", "EdDSA", "not found")
		want(t, set, "", "EdDSA", "not found")
		wantFetches(t, w, keysURL, 1)
		if err := set.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestKeyIDsOfTheSetNeverCauseAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"), edJWK("refused").with(jwk{"use": "enc"}), edJWK("other").with(jwk{"alg": "EdDSA"}))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		want(t, set, "a", "RS256", "not found")
		want(t, set, "refused", "EdDSA", "not found")
		want(t, set, "other", "ES256", "not found")
		want(t, set, "", "EdDSA", "not found") // two would fit
		want(t, set, "", "RS256", "not found") // none would
		wantFetches(t, w, keysURL, 1)
	})
}

func TestRotationRefusesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("old"))
		set := w.discover(t)
		want(t, set, "old", "EdDSA", "found")
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("old"), edJWK("new")))))
		wantAll(t, all(200, func(i int) string {
			<-time.After(max(1, time.Duration(i)*4*time.Millisecond)) // some come later and join
			return outcome(set.Keys(t.Context(), "new", "EdDSA"))
		}), 200, "found")
		wantFetches(t, w, keysURL, 2)
	})
}

// The issuer may answer a fetch, then rotate, and then a token with the new key arrives before the answer does.
func TestRotationDuringAFetchRefusesNobody(t *testing.T) {
	// samples answers a second later with what the page says when the request arrives.
	samples := func(p page) page {
		return func(r *http.Request) (*http.Response, error) {
			response, err := p(r)
			<-time.After(time.Second)
			return response, err
		}
	}
	for name, begin := range map[string]func(*testing.T, *jwks.Set){
		"of the first keys": func(*testing.T, *jwks.Set) {},
		"of a refresh": func(t *testing.T, set *jwks.Set) {
			want(t, set, "old", "EdDSA", "found")
			<-time.After(9 * time.Minute)
		},
		"of stale keys": func(t *testing.T, set *jwks.Set) {
			want(t, set, "old", "EdDSA", "found")
			<-time.After(time.Hour)
		},
		"of a forged key id": func(t *testing.T, set *jwks.Set) {
			want(t, set, "old", "EdDSA", "found")
			go func() { _, _ = set.Keys(t.Context(), "forged", "EdDSA") }()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer()
				both := samples(says(200, keySet(edJWK("old"), edJWK("new"))))
				w.put(keysURL, samples(says(200, keySet(edJWK("old")))))
				set := w.discover(t)
				begin(t, set)
				fetches := w.count(keysURL)
				go func() { _, _ = set.Keys(t.Context(), "old", "EdDSA") }()
				<-time.After(500 * time.Millisecond)
				w.put(keysURL, both)
				elapsed := took(func() {
					wantAll(t, all(200, func(int) string { return outcome(set.Keys(t.Context(), "new", "EdDSA")) }), 200, "found")
				})
				if elapsed != 1500*time.Millisecond {
					t.Errorf("took %s", elapsed)
				}
				if n := w.count(keysURL) - fetches; n > 2 {
					t.Errorf("%d fetches", n)
				}
			})
		})
	}
}

func TestFailuresAreForgottenWhenTheIssuerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		w := issuer(edJWK("a"))
		up := w.pages[keysURL]
		set := w.discover(t, jwks.WithLogger(log.logger()))
		want(t, set, "a", "EdDSA", "found")
		for outage := range 3 {
			w.put(keysURL, down)
			_, err := set.Keys(t.Context(), "b", "EdDSA")
			if pause := retryAfter(t, err); pause > 2*time.Second {
				t.Errorf("outage %d begins with a pause of %s", outage+1, pause)
			}
			<-time.After(2 * time.Second)
			w.put(keysURL, up)
			want(t, set, "b", "EdDSA", "not found")
			want(t, set, "b", "EdDSA", "not found") // without budget, too
			synctest.Wait()
			if n, m := len(log.lines("fetching keys fails")), len(log.lines("fetching keys works again")); n != outage+1 || m != n {
				t.Errorf("outage %d: logged %d failures, %d recoveries", outage+1, n, m)
			}
			<-time.After(time.Minute)
		}
	})
}

func TestStaleBackoffIsFullJitterUpToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		<-time.After(time.Hour)
		w.put(keysURL, down)
		long, short := 0, 0
		for attempt := range 300 {
			want(t, set, "a", "EdDSA", "found")
			wantFetches(t, w, keysURL, attempt+2)
			pause, limit := time.Until(set.Stats().NextAttempt), min(time.Minute, 2*time.Second<<min(attempt, 10))
			if pause < 0 || pause > limit {
				t.Errorf("attempt %d: pause %s, want at most %s", attempt+1, pause, limit)
			}
			if pause > 45*time.Second {
				long++
			}
			if pause < 15*time.Second {
				short++
			}
			<-time.After(pause)
		}
		if long < 40 || short < 40 {
			t.Errorf("of 300 pauses %d are above 45s and %d below 15s: no full jitter", long, short)
		}
	})
}

func TestReusedKeyIDWorksAfterTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(newJWK("a", edKey.Public()))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, says(200, keySet(newJWK("a", p256Key.Public()))))
		want(t, set, "a", "ES256", "not found")
		<-time.After(11 * time.Minute)
		want(t, set, "a", "ES256", "found")
		want(t, set, "a", "EdDSA", "not found")
	})
}

func TestReadyStartsTheFirstFetchAndWaitsThroughFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		up := w.pages[keysURL]
		w.put(keysURL, down)
		time.AfterFunc(time.Minute, func() { w.put(keysURL, up) })
		set := w.discover(t)
		elapsed := took(func() {
			if err := set.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if elapsed < time.Minute || elapsed > time.Minute+4*time.Second {
			t.Errorf("ready after %s, want within 4s after 1m", elapsed)
		}
		want(t, set, "a", "EdDSA", "found")
	})
}

// ColdWait is for requests: who waits for readiness waits as long as the context says.
func TestReadyDoesNotHeedColdWait(t *testing.T) {
	for _, test := range []struct{ takes, coldWait, within time.Duration }{
		{10 * time.Millisecond, 0, 500 * time.Millisecond},
		{4900 * time.Millisecond, time.Second, 4950 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := issuer()
			w.put(keysURL, after(test.takes, says(200, keySet(edJWK("a")))))
			set := w.discover(t, jwks.WithColdWait(test.coldWait))
			ctx, cancel := context.WithTimeout(t.Context(), test.within)
			defer cancel()
			if elapsed := took(func() {
				if err := set.Ready(ctx); err != nil {
					t.Error(err)
				}
			}); elapsed != test.takes {
				t.Errorf("ready after %s of %s", elapsed, test.takes)
			}
		})
	}
}

// An instance that is probed but gets no requests keeps its keys as young as any other.
func TestReadyRefreshesInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, after(2*time.Second, w.pages[keysURL]))
		for range 24 * 60 {
			if elapsed := took(func() {
				if err := set.Ready(t.Context()); err != nil {
					t.Error(err)
				}
			}); elapsed != 0 {
				t.Errorf("took %s", elapsed)
			}
			<-time.After(time.Minute)
			if stats := set.Stats(); stats.Age > 10*time.Minute {
				t.Fatalf("the keys are %s old", stats.Age)
			}
		}
	})
}

func TestReadyTellsWhatFailed(t *testing.T) {
	for name, test := range map[string]struct {
		page page
		last error
	}{
		"down":    {down, errDown},
		"hanging": {hangs, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.put(keysURL, test.page)
				set := w.remote(t)
				ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
				defer cancel()
				var err error
				if elapsed := took(func() { err = set.Ready(ctx) }); elapsed != 3500*time.Millisecond {
					t.Errorf("returned after %s", elapsed)
				}
				if outcome(nil, err) != "unavailable" || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Ready: %v", err)
				}
				if test.last != nil && (!errors.Is(err, test.last) || !strings.Contains(err.Error(), keysURL)) {
					t.Errorf("the last failure is not told: %v", err)
				}
				if pause := retryAfter(t, err); pause < 0 || pause > 4*time.Second {
					t.Errorf("RetryAfter %s", pause)
				}
			})
		})
	}
}

func TestReadyStaysNilWhileStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		if err := set.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.put(keysURL, hangs)
		<-time.After(23 * time.Hour)
		elapsed := took(func() {
			if err := set.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if elapsed != 0 {
			t.Errorf("waited %s", elapsed)
		}
		<-time.After(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := set.Ready(ctx); outcome(nil, err) != "unavailable" {
			t.Errorf("expired: %v", err)
		}
	})
}

func TestReadyReturnsAtOnceWhenTheContextIsOverButStartsTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = set.Ready(ctx)
		wantFetches(t, w, keysURL, 1)
		if err := set.Ready(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		var hanging atomic.Int32
		w.put(keysURL, func(r *http.Request) (*http.Response, error) {
			hanging.Add(1)
			defer hanging.Add(-1)
			return hangs(r)
		})
		var log logs
		set := w.discover(t, jwks.WithLogger(log.logger()))
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() { want(t, set, "a", "EdDSA", "closed") })
			waiting.Go(func() {
				if got := outcome(nil, set.Ready(t.Context())); got != "closed" {
					t.Errorf("Ready: %s", got)
				}
			})
		}
		synctest.Wait()
		if hanging.Load() != 1 {
			t.Fatal("no fetch is under way")
		}
		elapsed := took(func() {
			if err := set.Close(); err != nil {
				t.Error(err)
			}
			if hanging.Load() != 0 {
				t.Error("the fetch outlives Close")
			}
			waiting.Wait()
		})
		if elapsed != 0 {
			t.Errorf("took %s", elapsed)
		}
		want(t, set, "a", "EdDSA", "closed")
		want(t, set, "a", "none", "not found") // needs no set to know
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		wantFetches(t, w, keysURL, 1)
		if lines := log.lines(""); len(lines) != 0 {
			t.Errorf("Close is no failure to log: %s", lines)
		}
	})
}

func TestClosedSetsAnswerClosed(t *testing.T) {
	w := issuer(edJWK("a"))
	remote, static := w.remote(t), open(t, jwks.PublicKeys(edKey.Public()), w)
	want(t, remote, "a", "EdDSA", "found")
	want(t, static, "a", "EdDSA", "found")
	for _, set := range []*jwks.Set{remote, static, w.discover(t)} {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
		want(t, set, "a", "EdDSA", "closed")
		if got := outcome(nil, set.Ready(t.Context())); got != "closed" {
			t.Errorf("Ready: %s", got)
		}
		if _, err := set.Keyfunc().Storage().KeyReadAll(t.Context()); !errors.Is(err, jwks.ErrClosed) {
			t.Errorf("Storage: %v", err)
		}
	}
	if w.count(discoveryURL) != 0 {
		t.Error("a closed set fetched")
	}
}

func TestCloseWakesReadyFromItsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.put(keysURL, down)
		set := w.remote(t)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if got := outcome(nil, set.Ready(t.Context())); got != "closed" {
				t.Errorf("Ready: %s", got)
			}
		})
		synctest.Wait()
		elapsed := took(func() { _ = set.Close(); waiting.Wait() })
		if elapsed != 0 {
			t.Errorf("took %s", elapsed)
		}
	})
}

// The fresh path is the one that every request of a healthy service takes.
func TestFreshPathNeverWaitsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"), jwk{"kty": "unknown"})
		release := make(chan struct{})
		set := w.discover(t, jwks.WithLogger(blockingLogger(release)))
		elapsed := took(func() {
			wantAll(t, all(10, func(int) string { return outcome(set.Keys(t.Context(), "a", "EdDSA")) }), 10, "found")
			wantAll(t, all(10, func(int) string { return outcome(set.Keys(t.Context(), "b", "EdDSA")) }), 10, "not found")
		})
		if elapsed != 0 {
			t.Errorf("requests waited %s for the log", elapsed)
		}
		close(release)
	})
}

func TestAllocationsOfTheFreshPath(t *testing.T) {
	set := issuer(edJWK("a"), edJWK("b")).remote(t)
	want(t, set, "a", "EdDSA", "found")
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = set.Keys(ctx, "a", "EdDSA") }); n > 1 {
		t.Errorf("%v allocations, want at most 1: the slice that is returned", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		var room [1]jwks.Key
		_, _, _ = set.AppendKeys(ctx, room[:0], issuerURL, "a", "EdDSA")
	}); n > 0 {
		t.Errorf("%v allocations, want none: there is a place for the key", n)
	}
}

func TestConcurrentUseDuringRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("0"))
		set := w.remote(t)
		for generation := range 200 {
			// The issuer publishes before it signs, and withdraws after.
			published := keySet(edJWK(fmt.Sprint(generation)), edJWK(fmt.Sprint(generation+1)))
			w.put(keysURL, after(10*time.Millisecond, says(200, published)))
			<-time.After(9 * time.Minute)
			wantAll(t, all(20, func(i int) string {
				return outcome(set.Keys(t.Context(), fmt.Sprint(generation+i%2), "EdDSA"))
			}), 20, "found")
			<-time.After(time.Second)
		}
	})
}

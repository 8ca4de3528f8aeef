package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// How often the issuer is asked about unknown key ids, as the package documentation says it.
const (
	searchesAtOnce = 5
	searchEach     = 4 * time.Second
)

// spend spends the whole budget for unknown key ids.
func spend(t *testing.T, set *jwks.Set) {
	t.Helper()
	for i := range searchesAtOnce {
		if wait := took(func() { want(t, set, fmt.Sprint("spent-", i, time.Now().UnixNano()), "EdDSA", "not found") }); wait != 0 {
			t.Errorf("search %d of the budget waited %s", i+1, wait)
		}
	}
}

// Rules: key.search-bounded.
func TestForgedKeyIDsAreBoundByABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		forged := 0
		forge := func(wait time.Duration, fetches int) {
			t.Helper()
			forged++
			if took := took(func() { want(t, set, fmt.Sprint("forged-", forged), "EdDSA", "not found") }); took != wait {
				t.Errorf("waited %s, want %s", took, wait)
			}
			wantFetches(t, w, keysURL, 1+fetches)
		}
		for n := range searchesAtOnce {
			forge(0, n+1)
		}
		for n := range 10 { // one after the other, each waits for its turn
			forge(searchEach, searchesAtOnce+n+1)
		}
		<-time.After(searchEach - time.Nanosecond)
		forge(time.Nanosecond, 16)
		<-time.After(24 * time.Hour)
		want(t, set, "a", "EdDSA", "found") // refreshes the stale keys
		for n := range searchesAtOnce {     // never more than that at once, however long the rest
			forge(0, 18+n)
		}
		forge(searchEach, 23)
	})
}

// An hour of as many made-up key ids as one likes, be they new or the same again and again.
func TestFetchesThatOutsidersCauseAreBound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		issuer page
		most   int
	}{
		"the issuer answers": {nil, searchesAtOnce + int(time.Hour/searchEach)},
		// While it fails, the attempts to refresh the keys come on top, at their own pace: one a
		// minute after some failures.
		"the issuer fails": {down, searchesAtOnce + int(time.Hour/searchEach) + 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := warm(t)
				if test.issuer != nil {
					w.put(keysURL, test.issuer)
				}
				before := w.count(keysURL)
				var wg sync.WaitGroup
				for began, n := time.Now(), 0; time.Since(began) < time.Hour; n++ {
					for i, kid := range []string{fmt.Sprint("new-", n), fmt.Sprint("some-", n%20), "one", fmt.Sprint("many-", n%1000)} {
						wg.Go(func() {
							if got := outcome(set.Keys(t.Context(), kid, "EdDSA")); got == "found" {
								t.Errorf("%d: %s", i, got)
							}
						})
					}
					want(t, set, "a", "EdDSA", "found")
					<-time.After(200 * time.Millisecond)
				}
				if n := w.count(keysURL) - before; n > test.most || n < 800 {
					t.Errorf("%d fetches in an hour, want at most %d", n, test.most)
				}
				wg.Wait()
			})
		})
	}
}

func TestMissingKeyIDIsSearchedForAfterTenSecondsDoubledToTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		fetches := w.count(keysURL) + 1
		want(t, set, "b", "EdDSA", "not found")
		for _, seconds := range []int{10, 20, 40, 80, 120, 120, 120} {
			pause := time.Duration(seconds) * time.Second
			wantFetches(t, w, keysURL, fetches)
			<-time.After(pause - time.Nanosecond)
			wantEach(t, set, 100, "b", "not found")
			wantFetches(t, w, keysURL, fetches)
			<-time.After(time.Nanosecond)
			wantEach(t, set, 100, "b", "not found")
			fetches++
		}
		wantFetches(t, w, keysURL, fetches)
	})
}

// The pause after a search that many requests share is doubled once, and so is that of a search for
// other key ids.
func TestSharedSearchCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		w.put(keysURL, after(time.Second, w.pages[keysURL]))
		wantEach(t, set, 100, "b", "not found")
		wantFetches(t, w, keysURL, 2)
		<-time.After(9 * time.Second)
		wantEach(t, set, 100, "b", "not found")
		wantFetches(t, w, keysURL, 3)
	})
}

func TestMissingKeyIDIsAnsweredAtOnceAndSpendsNoBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		want(t, set, "withdrawn", "EdDSA", "not found")
		<-time.After(searchEach)
		for range 1000 {
			want(t, set, "withdrawn", "EdDSA", "not found")
		}
		spend(t, set)

		w.put(keysURL, hangs) // nor does it wait for a fetch under way
		<-time.After(searchEach)
		go func() { _, _ = set.Keys(t.Context(), "new", "EdDSA") }()
		synctest.Wait()
		wantAfter(t, set, "withdrawn", "not found", 0)
	})
}

// Every fetch shows that a key id is still missing. So those of many forgotten clients need no
// fetch each.
func TestOneFetchLooksForEveryMissingKeyID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		const clients = 50
		ask := func() {
			for client := range clients {
				want(t, set, fmt.Sprint("withdrawn-", client), "EdDSA", "not found")
			}
			<-time.After(time.Second)
		}
		for range 20 * 60 { // until each of them is searched for each two minutes
			ask()
		}
		before := w.count(keysURL)
		for range 60 * 60 {
			ask()
		}
		if n := w.count(keysURL) - before; n > 35 {
			t.Errorf("%d fetches in an hour for %d key ids, want about one each two minutes", n, clients)
		}
		spend(t, set)
	})
}

func TestKeyThatIsPublishedLateIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*testing.T, *jwks.Set)
		within    time.Duration
	}{
		"by the next search for it":    {func(*testing.T, *jwks.Set) {}, 20 * time.Second},
		"by a search for another":      {func(t *testing.T, set *jwks.Set) { want(t, set, "other", "EdDSA", "not found") }, 0},
		"by the refresh of stale keys": {func(*testing.T, *jwks.Set) { <-time.After(time.Hour) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := warm(t)
				want(t, set, "late", "EdDSA", "not found")
				<-time.After(10 * time.Second)
				want(t, set, "late", "EdDSA", "not found")
				w.put(keysURL, says(200, keySet(edJWK("a"), edJWK("late"))))
				test.meanwhile(t, set)
				for began := time.Now(); time.Since(began) < test.within; <-time.After(time.Second) {
					want(t, set, "late", "EdDSA", "not found")
				}
				want(t, set, "late", "EdDSA", "found")
				if n := set.Missing(); n > 1 {
					t.Errorf("%d key ids are remembered, that of a published key among them", n)
				}
			})
		})
	}
}

// A key id that was published meanwhile is a new one when it is withdrawn.
func TestMissingKeyIDIsForgottenWhenItIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		publish := func(keys ...jwk) {
			w.put(keysURL, says(200, keySet(keys...)))
			<-time.After(11 * time.Minute)
			want(t, set, "a", "EdDSA", "found")
		}
		want(t, set, "a", "EdDSA", "found")
		for range 5 {
			want(t, set, "b", "EdDSA", "not found")
			<-time.After(longest)
		}
		publish(edJWK("a"), edJWK("b"))
		publish(edJWK("a"))
		want(t, set, "b", "EdDSA", "not found")
		w.put(keysURL, says(200, keySet(edJWK("a"), edJWK("b"))))
		<-time.After(10 * time.Second)
		want(t, set, "b", "EdDSA", "found")
	})
}

// longest is the longest time for which a key id is not searched for.
const longest = 2 * time.Minute

// One search answers all who wait for it, whatever key ids they look for.
func TestOneSearchAnswersAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		spend(t, set)
		const takes = 900 * time.Millisecond
		w.put(keysURL, after(takes, says(200, keySet(edJWK("a"), edJWK("new")))))
		const forged, good = 10_000, 100
		var outcomes map[string]int
		wait := took(func() {
			outcomes = all(forged+good, func(i int) string {
				kid := "new"
				if i < forged {
					kid = fmt.Sprint("forged-", i)
				}
				return outcome(set.Keys(t.Context(), kid, "EdDSA"))
			})
		})
		if outcomes["not found"] != forged || outcomes["found"] != good || wait != searchEach+takes {
			t.Errorf("%v after %s", outcomes, wait)
		}
		wantFetches(t, w, keysURL, 1+searchesAtOnce+1)
		if set.Waiting() != 0 {
			t.Errorf("%d wait", set.Waiting())
		}
	})
}

// Keys that came meanwhile are answer enough: the turn is left for others.
func TestTurnIsNotTakenWhenNewerKeysCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t, jwks.WithLifetime(2*time.Second, 2*time.Second))
		spend(t, set)
		<-time.After(time.Second)
		var waiting sync.WaitGroup
		waiting.Go(func() { want(t, set, "b", "EdDSA", "not found") })
		<-time.After(900 * time.Millisecond)
		want(t, set, "a", "EdDSA", "found") // and starts a refresh
		waiting.Wait()
		wantFetches(t, w, keysURL, 1+searchesAtOnce+1)
		wantAfter(t, set, "c", "not found", 0)
	})
}

func TestRequestWaitsForItsTurnWithinItsBound(t *testing.T) {
	gone := errors.New("the client went away")
	for name, test := range map[string]struct {
		options []jwks.Option
		context func(context.Context) (context.Context, context.CancelFunc)
		wait    time.Duration
		after   time.Duration // RetryAfter
		cause   error
	}{
		"ColdWait is zero": {options: []jwks.Option{jwks.WithColdWait(0)}, after: searchEach},
		"ColdWait is shorter": {
			options: []jwks.Option{jwks.WithColdWait(searchEach - time.Nanosecond)}, after: searchEach,
		},
		"the deadline comes before": {
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, searchEach-time.Nanosecond)
			},
			after: searchEach,
		},
		"the client goes away": {
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(time.Second, func() { cancel(gone) })
				return ctx, func() { cancel(nil) }
			},
			wait: time.Second, after: searchEach - time.Second, cause: gone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				set := w.discover(t, test.options...)
				if err := set.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				spend(t, set)
				ctx := t.Context()
				if test.context != nil {
					var cancel context.CancelFunc
					ctx, cancel = test.context(ctx)
					defer cancel()
				}
				var err error
				if wait := took(func() { _, err = set.Keys(ctx, "b", "EdDSA") }); wait != test.wait {
					t.Errorf("waited %s, want %s", wait, test.wait)
				}
				if got := retryAfter(t, err); got != test.after || outcome(nil, err) != "unavailable" {
					t.Errorf("RetryAfter %s, want %s: %v", got, test.after, err)
				}
				if test.cause != nil && !errors.Is(err, test.cause) {
					t.Error(err)
				}
				if set.Waiting() != 0 {
					t.Errorf("%d wait", set.Waiting())
				}
			})
		})
	}
}

// The search that a request waited for may hang: its bound is ColdWait all the same.
func TestWaitForATurnAndItsSearchEndsWithColdWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		spend(t, set)
		w.put(keysURL, hangs)
		wantAfter(t, set, "b", "unavailable", 5*time.Second)
	})
}

func TestRequestsThatWaitForTheirTurnAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, set := warm(t)
		for round := range 2 {
			spend(t, set)
			var waiting sync.WaitGroup
			for i := range jwks.MaxWaiting {
				waiting.Go(func() { want(t, set, fmt.Sprint("forged-", round, "-", i), "EdDSA", "not found") })
			}
			synctest.Wait()
			if n := set.Waiting(); n != jwks.MaxWaiting {
				t.Errorf("%d wait", n)
			}
			var err error
			if wait := took(func() { _, err = set.Keys(t.Context(), "one more", "EdDSA") }); wait != 0 || retryAfter(t, err) != searchEach {
				t.Errorf("waited %s, %v", wait, err)
			}
			want(t, set, "a", "EdDSA", "found")
			waiting.Wait()
			if n := set.Waiting(); n != 0 {
				t.Errorf("%d still wait", n)
			}
			<-time.After(time.Hour)
			want(t, set, "a", "EdDSA", "found")
		}
	})
}

// What is remembered is bounded, whatever key ids are made up, and however long they are.
func TestMissingKeyIDsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		w.put(keysURL, after(time.Second, w.pages[keysURL]))
		long := strings.Repeat("k", 1000)
		for round := range 3 {
			all(jwks.MaxMissing, func(i int) string {
				return outcome(set.Keys(t.Context(), fmt.Sprint(long, round, "-", i), "EdDSA"))
			})
			if n := set.Missing(); n != jwks.MaxMissing {
				t.Errorf("%d key ids are remembered, want %d", n, jwks.MaxMissing)
			}
		}
		// Among those that are forgotten is none that would be refused unheard: it is searched for.
		w.put(keysURL, says(200, keySet(edJWK("a"), edJWK("new"))))
		want(t, set, "new", "EdDSA", "found")
	})
}

// While the issuer fails nothing is known of any key id, also if a search did not find it
// before.
func TestMissingKeyIDIsUnavailableWhileTheIssuerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		up := w.pages[keysURL]
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		want(t, set, "b", "EdDSA", "not found")
		w.put(keysURL, down)
		want(t, set, "b", "EdDSA", "not found") // the issuer was asked just now, and answered
		want(t, set, "c", "EdDSA", "unavailable")
		for range 100 {
			want(t, set, "b", "EdDSA", "unavailable")
			<-time.After(time.Second)
		}
		w.put(keysURL, up)
		<-time.After(4 * time.Second)
		want(t, set, "b", "EdDSA", "not found")
	})
}

// Those who look for a key id are refused while the issuer fails: the pauses between the attempts
// are those of a set without keys.
func TestSearchFindsANewKeyFourSecondsAfterTheIssuersReturn(t *testing.T) {
	t.Parallel()
	for range 20 { // pauses are random
		synctest.Test(t, func(t *testing.T) {
			w, set := warm(t)
			w.put(keysURL, down)
			for began := time.Now(); time.Since(began) < 30*time.Minute; <-time.After(time.Second) {
				if wait := took(func() { want(t, set, "new", "EdDSA", "unavailable") }); wait != 0 {
					t.Fatalf("waited %s for an issuer that fails", wait)
				}
			}
			w.put(keysURL, says(200, keySet(edJWK("a"), edJWK("new"))))
			if _, err := set.Keys(t.Context(), "new", "EdDSA"); err != nil {
				pause := retryAfter(t, err)
				if pause > 4*time.Second {
					t.Errorf("RetryAfter %s", pause)
				}
				<-time.After(pause)
			}
			want(t, set, "new", "EdDSA", "found")
		})
	}
}

// A clock that is set back makes no missing key id last.
func TestMissingKeyIDIsSearchedForWhenTheClockWasSetBack(t *testing.T) {
	asked := time.Now().Round(0) // without the monotonic clock's reading
	for age, want := range map[time.Duration]bool{
		-time.Hour: false, -time.Nanosecond: false, 0: true, 10*time.Second - 1: true, 10 * time.Second: false,
	} {
		if got := jwks.AnswersMissing(asked, asked, asked.Add(age)); got != want {
			t.Errorf("keys %s old are an answer: %v, want %v", age, got, want)
		}
	}
}

func TestCloseEndsTheWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := issuer(edJWK("a")).discover(t)
		want(t, set, "a", "EdDSA", "found")
		spend(t, set)
		var waiting sync.WaitGroup
		for i := range 10 {
			waiting.Go(func() { want(t, set, fmt.Sprint("b", i), "EdDSA", "closed") })
		}
		synctest.Wait()
		if wait := took(func() { _ = set.Close(); waiting.Wait() }); wait != 0 {
			t.Errorf("took %s", wait)
		}
	})
}

func TestKnownKeyIDsNeverWaitForASearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		w.put(keysURL, hangs)
		var searching sync.WaitGroup
		for i := range 1000 {
			searching.Go(func() {
				wait := took(func() { want(t, set, fmt.Sprint("forged-", i), "EdDSA", "unavailable") })
				if wait != 2*time.Second {
					t.Errorf("a search ended after %s, want 2s", wait)
				}
			})
		}
		synctest.Wait()
		elapsed := took(func() {
			wantEach(t, set, 1000, "a", "found")
		})
		if elapsed != 0 {
			t.Errorf("known keys waited %s", elapsed)
		}
		searching.Wait()
		wantFetches(t, w, keysURL, 2)
	})
}

func TestSearchEndsWithTheRequestsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		w.put(keysURL, hangs)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		if wait := took(func() { _, err = set.Keys(ctx, "b", "EdDSA") }); wait != time.Second {
			t.Errorf("waited %s", wait)
		}
		if outcome(nil, err) != "unavailable" || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// While the issuer fails, it cannot be known whether a key id is forged or new.
func TestSearchWhileTheIssuerFailsIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		w.put(keysURL, down)
		for i := range 10_000 {
			_, err := set.Keys(t.Context(), fmt.Sprint("forged-", i), "EdDSA")
			if outcome(nil, err) != "unavailable" || !errors.Is(err, errDown) {
				t.Fatal(err)
			}
			if pause := retryAfter(t, err); pause < time.Second || pause > 4*time.Second {
				t.Fatalf("RetryAfter %s", pause)
			}
		}
		synctest.Wait()
		if n := w.count(keysURL); n > 3 {
			t.Errorf("%d fetches, want at most 3", n)
		}
		want(t, set, "a", "EdDSA", "found")

		<-time.After(2 * time.Hour) // stale, and still failing
		want(t, set, "a", "EdDSA", "found")
		wantAll(t, all(100, func(i int) string {
			return outcome(set.Keys(t.Context(), fmt.Sprint("later-", i), "EdDSA"))
		}), 100, "unavailable")
	})
}

func TestSearchWithoutBudgetWhileTheIssuerFailsIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := warm(t)
		spend(t, set)
		<-time.After(searchEach)
		w.put(keysURL, down)
		for i := range 100 { // those who waited for the search, and those who came later
			_, err := set.Keys(t.Context(), fmt.Sprint("b", i), "EdDSA")
			if pause := retryAfter(t, err); !errors.Is(err, errDown) || pause != searchEach {
				t.Errorf("RetryAfter %s, want the time until the next search: %v", pause, err)
			}
		}
		wantFetches(t, w, keysURL, 1+searchesAtOnce+1)
	})
}

package jwks_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

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
		w, set := warm(t)
		w.put(keysURL, after(3*time.Second, says(200, keySet(edJWK("b")))))
		<-time.After(9 * time.Minute)
		elapsed := took(func() {
			wantEach(t, set, 200, "a", "found")
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
		w, set := warm(t)
		<-time.After(time.Hour)
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("b")))))
		wantEach(t, set, 200, "a", "not found")
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
				w, set := warm(t)
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

func TestKeysServeWhileTheIssuerIsDownForADay(t *testing.T) {
	t.Parallel()
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
		w, set := warm(t)
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
		w, set := warm(t)
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

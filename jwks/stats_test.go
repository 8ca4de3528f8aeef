package jwks_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// wantStats compares all but the time of the next attempt, and the error by a part of it.
func wantStats(t *testing.T, set *jwks.Set, expected jwks.Stats) {
	t.Helper()
	synctest.Wait()
	got := set.Stats()
	says := expected.LastError
	if (says == "") != (got.LastError == "") || !strings.Contains(got.LastError, says) {
		t.Errorf("the last error is %q, want %q", got.LastError, says)
	}
	expected.LastError, expected.NextAttempt = got.LastError, got.NextAttempt
	if got != expected {
		t.Errorf("got  %+v\nwant %+v", got, expected)
	}
}

// wantNextAttempt expects the next attempt between two times from now, and sees that a request with a known key id
// starts a fetch then, and no sooner.
func wantNextAttempt(t *testing.T, w *web, set *jwks.Set, earliest, latest time.Duration) {
	t.Helper()
	synctest.Wait()
	next := set.Stats().NextAttempt
	if wait := time.Until(next); wait < earliest || wait > latest {
		t.Errorf("the next attempt is in %s, want %s to %s", wait, earliest, latest)
	}
	fetches := w.count(keysURL)
	if wait := time.Until(next); wait > 0 {
		<-time.After(wait - 1)
		_, _ = set.Keys(ended(t), "a", "EdDSA")
		wantFetches(t, w, keysURL, fetches)
		if again := set.Stats().NextAttempt; !again.Equal(next) {
			t.Errorf("the next attempt was put off by %s", again.Sub(next))
		}
		<-time.After(1)
	}
	_, _ = set.Keys(t.Context(), "a", "EdDSA")
	wantFetches(t, w, keysURL, fetches+1)
}

func TestStatsFollowTheLifeOfASet(t *testing.T) {
	const s = time.Second
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"), edJWK("b"), jwk{"kty": "X"})
		up := w.pages[keysURL]
		w.put(keysURL, down)
		set := w.discover(t)
		expected := jwks.Stats{Source: issuerURL, State: jwks.StateCold}
		failed := func() {
			t.Helper()
			expected.Fetches++
			expected.Failures++
			expected.LastError = "GET " + keysURL + ": connection refused"
			wantStats(t, set, expected)
		}

		<-time.After(day)
		wantStats(t, set, expected)
		wantNextAttempt(t, w, set, 0, 0)
		failed()
		wantNextAttempt(t, w, set, s, 2*s)
		failed()
		wantNextAttempt(t, w, set, 2*s, 4*s)
		failed()

		w.put(keysURL, after(s, up))
		<-time.After(4 * s)
		_, _ = set.Keys(ended(t), "a", "EdDSA")
		expected.Fetching = true
		wantStats(t, set, expected) // the last error is told until something better is known
		<-time.After(s)
		expected = jwks.Stats{
			Source: issuerURL, State: jwks.StateFresh, Age: s, Keys: 2, Refused: 1,
			Fetches: expected.Fetches + 1, Failures: expected.Failures,
		}
		wantStats(t, set, expected)

		// The refresh ahead of the end of the lifetime.
		w.put(keysURL, up)
		wantNextAttempt(t, w, set, 8*time.Minute-s, 9*time.Minute-s)
		expected.Age, expected.Fetches = 0, expected.Fetches+1
		wantStats(t, set, expected)

		// A search that fails puts off no refresh.
		w.put(keysURL, down)
		want(t, set, "made-up", "EdDSA", "unavailable")
		failed()
		wantNextAttempt(t, w, set, 8*time.Minute, 9*time.Minute)
		expected.Age = set.Stats().Age
		if expected.Age < 8*time.Minute || expected.Age > 9*time.Minute {
			t.Errorf("age %s", expected.Age)
		}
		failed()
		wantNextAttempt(t, w, set, 0, 4*s)
		expected.Age = set.Stats().Age
		failed()

		<-time.After(time.Hour - expected.Age)
		expected.State, expected.Age = jwks.StateStale, time.Hour
		wantStats(t, set, expected)
		wantNextAttempt(t, w, set, 0, 0)
		failed()
		wantNextAttempt(t, w, set, 0, 16*s)
		expected.Age = set.Stats().Age
		failed()

		<-time.After(day - 1 - expected.Age)
		expected.Age = day - 1
		wantStats(t, set, expected)
		<-time.After(1)
		expected.State, expected.Age = jwks.StateExpired, day
		wantStats(t, set, expected)
		wantNextAttempt(t, w, set, 0, 0)
		failed()
		wantNextAttempt(t, w, set, 2*s, 4*s)
		expected.Age = set.Stats().Age
		failed()

		w.put(keysURL, hangs)
		<-time.After(4 * s)
		_, _ = set.Keys(ended(t), "a", "EdDSA")
		expected.Age, expected.Fetching = set.Stats().Age, true
		wantStats(t, set, expected)
		_ = set.Close()
		wantStats(t, set, jwks.Stats{
			Source: issuerURL, State: jwks.StateCold,
			Fetches: expected.Fetches, Failures: expected.Failures, LastError: "connection refused",
		})
		if next := set.Stats().NextAttempt; !next.IsZero() {
			t.Errorf("the next attempt of a closed set is at %s", next)
		}
	})
}

// A pause between attempts that is long because there are keys ends when they expire.
func TestStatsNextAttemptIsBoundedByExpiry(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w, set := warm(t)
			loaded := time.Now()
			w.put(keysURL, down)
			for range 20 {
				<-time.After(time.Minute)
				want(t, set, "a", "EdDSA", "found")
				synctest.Wait()
			}
			<-time.After(time.Until(loaded.Add(24*time.Hour - time.Second)))
			want(t, set, "a", "EdDSA", "found")
			synctest.Wait()
			next, fetches := set.Stats().NextAttempt, w.count(keysURL)
			if limit := loaded.Add(24*time.Hour + 4*time.Second); next.After(limit) {
				t.Errorf("the next attempt is %s after the keys can be in need of it", next.Sub(limit))
			}
			<-time.After(time.Until(next) - 1)
			want(t, set, "a", "EdDSA", map[bool]string{true: "found", false: "unavailable"}[time.Since(loaded) < 24*time.Hour])
			wantFetches(t, w, keysURL, fetches)
			<-time.After(1)
			_, _ = set.Keys(t.Context(), "a", "EdDSA")
			wantFetches(t, w, keysURL, fetches+1)
		})
	}
}

func TestStatsDescribePinnedKeys(t *testing.T) {
	for _, test := range []struct {
		source   jwks.Source
		expected jwks.Stats
	}{
		{jwks.PublicKeys(edKey.Public()), jwks.Stats{Source: "PublicKeys", State: jwks.StateFresh, Keys: 1}},
		{jwks.PEM([]byte(pkix(edKey.Public()))), jwks.Stats{Source: "PEM", State: jwks.StateFresh, Keys: 1}},
		{
			jwks.Static([]byte(keySet(jwk{}, edJWK("a"), edJWK("b")))),
			jwks.Stats{Source: "Static", State: jwks.StateFresh, Keys: 2, Refused: 1},
		},
	} {
		set := open(t, test.source, newWeb())
		if got := set.Stats(); got != test.expected {
			t.Errorf("got %+v, want %+v", got, test.expected)
		}
		_ = set.Close()
		if got := set.Stats(); got != (jwks.Stats{Source: test.expected.Source, State: jwks.StateCold}) {
			t.Errorf("closed: %+v", got)
		}
	}
}

func TestStatsCutLongErrors(t *testing.T) {
	w := newWeb()
	set := open(t, jwks.Remote(issuerURL+"/"+strings.Repeat("long", 1000)), w)
	want(t, set, "a", "EdDSA", "unavailable")
	if text := set.Stats().LastError; len(text) != 512 || !strings.HasPrefix(text, "GET "+issuerURL) {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

func TestStatsStartNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		cold, warm := w.discover(t), w.discover(t)
		want(t, warm, "a", "EdDSA", "found")
		for range 100 {
			_, _ = cold.Stats(), warm.Stats()
			<-time.After(time.Hour)
		}
		wantFetches(t, w, discoveryURL, 1)
		wantFetches(t, w, keysURL, 1)
	})
	set := issuer(edJWK("a")).remote(t)
	want(t, set, "a", "EdDSA", "found")
	if n := testing.AllocsPerRun(100, func() { _ = set.Stats() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// While the log, the file or the issuer hangs, a dashboard does not.
func TestStatsWaitForNothing(t *testing.T) {
	for name, w := range map[string]*web{
		"before the file": issuer(edJWK("a"), jwk{"kty": "X"}),
		"at the file":     issuer(edJWK("a")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				path := filepath.Join(t.TempDir(), "missing", "keys")
				set := w.remote(t, jwks.WithLogger(blockingLogger(release)), jwks.WithLastKnownGood(path, time.Hour))
				want(t, set, "a", "EdDSA", "found")
				w.put(keysURL, hangs)
				<-time.After(time.Hour)
				_, _ = set.Keys(ended(t), "a", "EdDSA")
				got := set.Stats() // or the test hangs
				if got.State != jwks.StateStale || got.Age != time.Hour || got.Keys != 1 || got.Fetches != 1 || !got.Fetching {
					t.Errorf("%+v", got)
				}
				close(release)
			})
		})
	}
}

func TestStatsAreSafeDuringRotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		w.put(keysURL, after(time.Millisecond, w.pages[keysURL]))
		set := w.remote(t, jwks.WithLifetime(time.Second, time.Second))
		end := time.Now().Add(time.Minute)
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				for time.Now().Before(end) {
					want(t, set, "a", "EdDSA", "found")
					<-time.After(17 * time.Millisecond)
				}
			})
			users.Go(func() {
				before := jwks.Stats{}
				for time.Now().Before(end) {
					now := set.Stats()
					if now.Fetches < before.Fetches || now.Failures != 0 || now.Age < 0 || now.Age >= time.Second ||
						now.State != jwks.StateCold && (now.State != jwks.StateFresh || now.Keys != 1) {
						t.Errorf("%+v, after %+v", now, before)
					}
					before = now
					<-time.After(13 * time.Millisecond)
				}
				if before.Fetches < 60 || before.Fetches > 75 {
					t.Errorf("%d fetches", before.Fetches)
				}
			})
		}
		users.Wait()
	})
}

package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// sleeping is a set of the web's issuer, on the real clock, and what makes it older.
func sleeping(t *testing.T, w *web, options ...jwks.Option) (*jwks.Set, *jwks.Sleeper) {
	t.Helper()
	quiet := jwks.WithLogger(slog.New(slog.DiscardHandler))
	set, sleeper, err := jwks.NewSleeper(jwks.Discover(issuerURL, options...), jwks.WithHTTPClient(w.client()), quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set, sleeper
}

// wantAsked says how often a URL was asked for. Requests have waited for what they asked.
func wantAsked(t *testing.T, w *web, url string, n int) {
	t.Helper()
	if got := w.count(url); got != n {
		t.Errorf("%d fetches of %s, want %d", got, url, n)
	}
}

// wantAge looks at the state of the keys and how old they are, but for the time that the test
// takes.
func wantAge(t *testing.T, set *jwks.Set, state jwks.State, age time.Duration) {
	t.Helper()
	if stats := set.Stats(); stats.State != state || stats.Age < age || stats.Age >= age+time.Hour {
		t.Errorf("%s after %v, want %s after %v", stats.State, stats.Age, state, age)
	}
}

func TestElapsedTimeIsThatOfTheFasterClock(t *testing.T) {
	since := time.Now()
	for _, test := range []struct{ monotonic, asleep, elapsed time.Duration }{
		{0, 0, 0},
		{time.Minute, 0, time.Minute},
		{time.Minute, time.Hour, time.Hour + time.Minute},
		{time.Minute, -time.Second, time.Minute}, // the wall clock was set back
		{time.Minute, -time.Hour, time.Minute},
		{0, time.Second, time.Second},
		{0, 30 * day, 30 * day},
	} {
		now := jwks.Asleep(since.Add(test.monotonic), test.asleep)
		if now.Sub(since) != test.monotonic || now.Round(0).Sub(since.Round(0)) != test.monotonic+test.asleep {
			t.Fatal("the test does not know how a time is stored")
		}
		if got := jwks.Elapsed(since, now); got != test.elapsed {
			t.Errorf("%+v: %v elapsed", test, got)
		}
	}
	if got := jwks.Elapsed(time.Time{}, time.Now()); got < 1000*day {
		t.Errorf("since never: %v", got)
	}
}

// The ages of keys are those of the world: they do not last longer because the machine sleeps.
func TestKeysAgeWhileTheMachineSleeps(t *testing.T) {
	for _, test := range []struct {
		slept    time.Duration
		down     bool
		state    jwks.State
		expected string // of a key that was withdrawn meanwhile
		held     string
		fetches  int
	}{
		{time.Minute, false, jwks.StateFresh, "found", "held", 0},
		{10 * time.Minute, false, jwks.StateStale, "not found", "not found", 1},
		{10 * time.Minute, true, jwks.StateStale, "found", "held", 1},
		{23 * time.Hour, true, jwks.StateStale, "found", "held", 1},
		{24 * time.Hour, true, jwks.StateExpired, "unavailable", "unavailable", 1},
		{7 * day, true, jwks.StateExpired, "unavailable", "unavailable", 1},
		{7 * day, false, jwks.StateExpired, "not found", "not found", 1},
	} {
		w := issuer(edJWK("a"))
		set, clock := sleeping(t, w)
		key := keyOf(t, set, "a", "EdDSA")
		w.put(keysURL, says(200, keySet(edJWK("b"), jwk{"kty": "X", "kid": "a"})))
		if test.down {
			w.put(keysURL, down)
			w.put(discoveryURL, down)
		}
		clock.Sleep(test.slept)
		wantAge(t, set, test.state, test.slept)
		wantHeld(t, set, "a", "EdDSA", key, test.held)
		if want := 1 + test.fetches; !test.down || test.state != jwks.StateExpired {
			wantAsked(t, w, keysURL, want)
		}
		want(t, set, "a", "EdDSA", test.expected)
	}
}

// waitingContext calls a function when someone is about to wait for its end.
type waitingContext struct {
	context.Context
	waits func()
}

func (c waitingContext) Done() <-chan struct{} {
	c.waits()
	return c.Context.Done()
}

// A fetch that was under way when the machine fell asleep brings keys that are as old as the sleep.
// A request that came afterwards, and joined it, is not served from them.
func TestKeysOfAFetchThatSleptAreNotServed(t *testing.T) {
	for name, slept := range map[string]time.Duration{
		"keys that are stale when they come":   time.Hour,
		"keys that are expired when they come": 7 * day,
	} {
		t.Run(name, func(t *testing.T) {
			w := issuer(edJWK("a"))
			set, clock := sleeping(t, w)
			want(t, set, "a", "EdDSA", "found")
			before := w.pages[keysURL]
			asked, awake := make(chan struct{}), make(chan struct{})
			w.put(keysURL, func(r *http.Request) (*http.Response, error) {
				close(asked)
				<-awake
				return before(r)
			})
			clock.Sleep(9*time.Minute + 30*time.Second)
			want(t, set, "a", "EdDSA", "found") // and starts the refresh
			<-asked
			w.put(keysURL, says(200, keySet(edJWK("b"), jwk{"kty": "X", "kid": "a"})))
			clock.Sleep(slept)

			var once sync.Once
			ctx := waitingContext{t.Context(), func() { once.Do(func() { close(awake) }) }}
			if got := outcome(set.Keys(ctx, "a", "EdDSA")); got != "not found" {
				t.Errorf("a key that was withdrawn meanwhile: %s", got)
			}
			wantAsked(t, w, keysURL, 3)
		})
	}
}

func TestClockThatIsSetBackChangesNothing(t *testing.T) {
	w := issuer(edJWK("a"))
	set, clock := sleeping(t, w, jwks.WithLifetime(2*time.Hour, 2*time.Hour))
	want(t, set, "a", "EdDSA", "found")
	clock.Sleep(-48 * time.Hour)
	wantAge(t, set, jwks.StateFresh, 0)
	w.put(keysURL, down)
	clock.Pass(time.Hour)
	want(t, set, "a", "EdDSA", "found")
	wantAsked(t, w, keysURL, 1)
	clock.Pass(time.Hour)
	want(t, set, "a", "EdDSA", "found")
	wantAsked(t, w, keysURL, 2)
	wantAge(t, set, jwks.StateStale, 2*time.Hour)
	clock.Pass(22 * time.Hour)
	want(t, set, "a", "EdDSA", "unavailable")
	wantAge(t, set, jwks.StateExpired, 24*time.Hour)
}

func TestClockThatIsSetForwardCostsAFetch(t *testing.T) {
	w := issuer(edJWK("a"))
	set, clock := sleeping(t, w)
	want(t, set, "a", "EdDSA", "found")
	clock.Sleep(1000 * day)
	want(t, set, "a", "EdDSA", "found")
	wantAsked(t, w, keysURL, 2)
	clock.Sleep(-1000 * day)
	for range 7 {
		clock.Pass(time.Minute)
		want(t, set, "a", "EdDSA", "found")
	}
	wantAsked(t, w, keysURL, 2)
}

// Keys of a file reach their maximum age asleep as well.
func TestKeysOfAFileAgeWhileTheMachineSleeps(t *testing.T) {
	file := jwks.WithLastKnownGood(filepath.Join(t.TempDir(), "keys"), 48*time.Hour)
	w := issuer(edJWK("a"))
	first := w.discover(t, file)
	want(t, first, "a", "EdDSA", "found")
	_ = first.Close()
	w.put(keysURL, down)
	set, clock := sleeping(t, w, file)
	want(t, set, "a", "EdDSA", "found")
	clock.Sleep(47 * time.Hour)
	want(t, set, "a", "EdDSA", "found")
	wantAge(t, set, jwks.StateStale, 47*time.Hour)
	clock.Sleep(time.Hour)
	want(t, set, "a", "EdDSA", "unavailable")
	wantAge(t, set, jwks.StateExpired, 48*time.Hour)
}

// The pause after a failure ends while the machine sleeps, and so does the time for which no
// request waits for that issuer.
func TestPausesEndWhileTheMachineSleeps(t *testing.T) {
	w := issuer(edJWK("a"))
	set, clock := sleeping(t, w)
	w.put(discoveryURL, down)
	for n := range 3 {
		want(t, set, "a", "EdDSA", "unavailable")
		wantAsked(t, w, discoveryURL, n+1)
		clock.Sleep(time.Minute)
	}
	w.put(discoveryURL, says(200, metadata(issuerURL, keysURL)))
	want(t, set, "a", "EdDSA", "found")

	w.put(keysURL, down)
	clock.Pass(2 * time.Hour)
	want(t, set, "a", "EdDSA", "found")
	w.put(keysURL, says(200, keySet(edJWK("b"), jwk{"kty": "X", "kid": "a"})))
	clock.Sleep(11 * time.Minute)
	want(t, set, "a", "EdDSA", "not found")
}

// A key id that was not found is searched for again after sleep, and the budget for that is full again.
func TestSearchesAreDueAfterSleep(t *testing.T) {
	w := issuer(edJWK("a"))
	set, clock := sleeping(t, w)
	want(t, set, "a", "EdDSA", "found")
	for n := range 5 {
		want(t, set, fmt.Sprint("forged", n), "EdDSA", "not found")
	}
	wantAsked(t, w, keysURL, 6)

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // the next search is due in 4
	defer cancel()
	if _, err := set.Keys(ctx, "next", "EdDSA"); !errors.As(err, new(*jwks.UnavailableError)) {
		t.Errorf("with an empty budget: error %v", err)
	}
	clock.Sleep(time.Minute)
	w.put(keysURL, says(200, keySet(edJWK("a"), edJWK("next"), edJWK("forged0"))))
	for _, kid := range []string{"forged0", "next"} {
		if _, err := set.Keys(ctx, kid, "EdDSA"); err != nil {
			t.Errorf("%s, after a sleep: %v", kid, err)
		}
	}
}

// What an issuer is asked once a day or once an hour is due after sleep.
func TestQuestionsToTheIssuerAreDueAfterSleep(t *testing.T) {
	w := issuer()
	w.put(keysURL, tagged(`"1"`, keySet(edJWK("a"))))
	set, clock := sleeping(t, w, jwks.WithMaxStaleness(30*day))
	want(t, set, "a", "EdDSA", "found")
	clock.Sleep(23 * time.Hour)
	want(t, set, "a", "EdDSA", "found")
	wantAsked(t, w, discoveryURL, 1)
	if tag := w.last[keysURL].Header.Get("If-None-Match"); tag != `"1"` {
		t.Errorf("asked with the tag %q", tag)
	}
	clock.Sleep(time.Hour)
	want(t, set, "a", "EdDSA", "found")
	wantAsked(t, w, discoveryURL, 2)                                   // where the keys are
	if tag := w.last[keysURL].Header.Get("If-None-Match"); tag != "" { // and what they are, as a whole
		t.Errorf("asked with the tag %q", tag)
	}

	w.put(keysURL, says(404, ""))
	for n := range 3 {
		clock.Sleep(time.Hour)
		want(t, set, "a", "EdDSA", "found")
		wantAsked(t, w, discoveryURL, 3+n) // whether they have moved
	}
}

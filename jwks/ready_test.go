package jwks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

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

// WithColdWait is for requests. A caller of Ready waits as long as the context says.
func TestReadyIgnoresColdWait(t *testing.T) {
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
		w, set := warm(t)
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

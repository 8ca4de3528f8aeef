package jwks_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

const day = 24 * time.Hour

func TestOptionsHaveBounds(t *testing.T) {
	type options = []jwks.Option
	const (
		lifetime  = "WithLifetime("
		staleness = "WithMaxStaleness("
		wait      = "WithColdWait("
		file      = "WithLastKnownGood("
	)
	for name, test := range map[string]struct {
		options
		says string // the beginning of the error; none if the options are taken
	}{
		"lifetime, the widest":        {options{jwks.WithLifetime(time.Second, day)}, ""},
		"lifetime, the shortest":      {options{jwks.WithLifetime(time.Second, time.Second)}, ""},
		"lifetime, the longest":       {options{jwks.WithLifetime(day, day)}, ""},
		"lifetime too short":          {options{jwks.WithLifetime(time.Second-1, day)}, lifetime},
		"lifetime too long":           {options{jwks.WithLifetime(time.Second, day+1)}, lifetime},
		"lifetime of nothing":         {options{jwks.WithLifetime(0, 0)}, lifetime},
		"lifetime from zero":          {options{jwks.WithLifetime(0, time.Hour)}, lifetime},
		"lifetime to zero":            {options{jwks.WithLifetime(time.Hour, 0)}, lifetime},
		"lifetime from below zero":    {options{jwks.WithLifetime(-time.Hour, time.Hour)}, lifetime},
		"lifetime in the wrong order": {options{jwks.WithLifetime(time.Minute+1, time.Minute)}, lifetime},
		"lifetime, the extremes":      {options{jwks.WithLifetime(math.MinInt64, math.MaxInt64)}, lifetime},
		"lifetime twice": {
			options{jwks.WithLifetime(day, day), jwks.WithLifetime(day, day)}, lifetime + "…set more than once",
		},
		"staleness, the default lifetime": {options{jwks.WithMaxStaleness(time.Hour)}, ""},
		"staleness below the default one": {options{jwks.WithMaxStaleness(time.Hour - 1)}, staleness},
		"staleness, the longest":          {options{jwks.WithMaxStaleness(30 * day)}, ""},
		"staleness too long":              {options{jwks.WithMaxStaleness(30*day + 1)}, staleness},
		"staleness, the largest":          {options{jwks.WithMaxStaleness(math.MaxInt64)}, staleness},
		"staleness of zero":               {options{jwks.WithMaxStaleness(0)}, staleness},
		"staleness below zero":            {options{jwks.WithMaxStaleness(-1)}, staleness},
		"staleness twice": {
			options{jwks.WithMaxStaleness(day), jwks.WithMaxStaleness(day)}, staleness + "…set more than once",
		},
		"staleness of the shortest lifetime": {
			options{jwks.WithMaxStaleness(time.Second), jwks.WithLifetime(time.Second, time.Second)}, "",
		},
		"staleness below the lifetime": {
			options{jwks.WithLifetime(time.Second, 2*time.Hour), jwks.WithMaxStaleness(2*time.Hour - 1)},
			staleness + "1h59m59.999999999s): …is shorter than the longest lifetime, 2h0m0s",
		},
		"default staleness, longest lifetime": {options{jwks.WithLifetime(day, day)}, ""},
		"wait of zero":                        {options{jwks.WithColdWait(0)}, ""},
		"wait, the longest":                   {options{jwks.WithColdWait(time.Minute)}, ""},
		"wait too long":                       {options{jwks.WithColdWait(time.Minute + 1)}, wait},
		"wait below zero":                     {options{jwks.WithColdWait(-1)}, wait},
		"wait of zero twice":                  {options{jwks.WithColdWait(0), jwks.WithColdWait(0)}, wait + "…set more than once"},
		"file, the shortest age":              {options{jwks.WithLastKnownGood("f", 1)}, ""},
		"file, the longest age":               {options{jwks.WithLastKnownGood("f", 30*day)}, ""},
		"file, no path":                       {options{jwks.WithLastKnownGood("", day)}, file + "…the path is empty"},
		"file, age of zero":                   {options{jwks.WithLastKnownGood("f", 0)}, file + `"f", 0s…give a maximum age`},
		"file, age below zero":                {options{jwks.WithLastKnownGood("f", -1)}, file + `"f", -1ns…give a maximum age`},
		"file, age too long":                  {options{jwks.WithLastKnownGood("f", 30*day+1)}, file + `"f", 720h…give a maximum age`},
		"file twice": {
			options{jwks.WithLastKnownGood("f", day), jwks.WithLastKnownGood("f", day)}, file + "…set more than once",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, source := range []jwks.Source{
				jwks.Remote(keysURL, test.options...), jwks.Discover(issuerURL, test.options...),
			} {
				set, err := jwks.New(source)
				switch {
				case test.says == "" && err != nil:
					t.Error(err)
				case test.says == "":
					_ = set.Close()
				case set != nil || err == nil || !saysOf(err, test.says):
					t.Errorf("got %v, want an error with %q and what to do", err, test.says)
				}
			}
		})
	}
}

// saysOf reports whether an error begins with the option and its value, and contains what stands behind
// the ellipsis.
func saysOf(err error, says string) bool {
	option, problem, _ := strings.Cut(says, "…")
	return strings.HasPrefix(err.Error(), "jwks: "+option) && strings.Contains(err.Error(), problem)
}

func TestAllErrorsOfTheFetchOptionsAtOnce(t *testing.T) {
	_, err := jwks.New(
		jwks.Remote("ftp://issuer.test", jwks.WithLifetime(0, 2*time.Hour), jwks.WithColdWait(-1), jwks.WithColdWait(0)),
		jwks.WithMaxStaleness(time.Hour), jwks.WithLastKnownGood("", 0), jwks.WithLifetime(2, 1),
	)
	for _, says := range []string{
		"WithLifetime(0s, 2h", "WithLifetime(2ns, 1ns)", "WithColdWait(0s): set more than once",
		"WithMaxStaleness(1h0m0s): is shorter", `WithLastKnownGood("", 0s): the path is empty`,
		`WithLastKnownGood("", 0s): give a maximum age`, `Remote("ftp://issuer.test"): the URL`,
	} {
		if err == nil || !strings.Contains(err.Error(), "jwks: "+says) {
			t.Errorf("%q is missing in: %v", says, err)
		}
	}
}

// What is wrong is wrong for pinned keys, too; what is right means nothing for them.
func TestFetchOptionsAreIgnoredForPinnedKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	set, err := jwks.New(jwks.PublicKeys(edKey.Public()), jwks.WithLifetime(day, day), jwks.WithMaxStaleness(time.Second),
		jwks.WithColdWait(0), jwks.WithLastKnownGood(path, time.Second), jwks.WithPublicAddressesOnly())
	if err != nil {
		t.Fatal(err)
	}
	want(t, set, "a", "EdDSA", "found")
	_ = set.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("pinned keys have a file: %v", err)
	}
	if _, err := jwks.New(jwks.PublicKeys(edKey.Public()), jwks.WithColdWait(-1)); err == nil {
		t.Error("an error is passed over")
	}
}

func TestFetchOptionsOfTheSourceWinOverTheDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own, other := filepath.Join(t.TempDir(), "own"), filepath.Join(t.TempDir(), "other")
		w := issuer(edJWK("a"))
		page := w.pages[keysURL]
		w.put(keysURL, after(3*time.Second, page))
		set, err := jwks.New(
			jwks.Remote(keysURL, jwks.WithLifetime(2*time.Minute, 2*time.Minute), jwks.WithMaxStaleness(5*time.Minute),
				jwks.WithColdWait(4*time.Second), jwks.WithLastKnownGood(own, time.Hour)),
			jwks.WithLifetime(time.Hour, time.Hour), jwks.WithMaxStaleness(2*time.Hour), jwks.WithColdWait(0),
			jwks.WithLastKnownGood(other, time.Hour), jwks.WithHTTPClient(w.client()), jwks.WithLogger(slog.New(slog.DiscardHandler)),
		)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, page)
		<-time.After(3 * time.Minute)
		want(t, set, "a", "EdDSA", "found")
		wantLifetime(t, w, set, 2*time.Minute)
		w.put(keysURL, down)
		<-time.After(5*time.Minute - 1)
		want(t, set, "a", "EdDSA", "found")
		<-time.After(1)
		want(t, set, "a", "EdDSA", "unavailable")
		if _, err := os.Stat(own); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the default's file was written: %v", err)
		}
	})
	_, err := jwks.New(jwks.Remote(keysURL, jwks.WithMaxStaleness(2*time.Hour)), jwks.WithLifetime(time.Hour, 3*time.Hour))
	if err == nil || !strings.Contains(err.Error(), "shorter than the longest lifetime") {
		t.Errorf("the source's age and the default's lifetime: %v", err)
	}
	if _, err := jwks.New(jwks.Remote(keysURL, jwks.WithColdWait(1)), jwks.WithColdWait(2)); err != nil {
		t.Error(err)
	}
	if _, err := jwks.New(jwks.Remote(keysURL, jwks.WithColdWait(1)), jwks.WithColdWait(-1)); err == nil {
		t.Error("the error of a default that does not count is passed over")
	}
}

// wantLifetime lets time pass and sees by the refresh ahead of its end for how long keys are fresh that were asked for
// just now. Afterwards they were asked for just now again.
func wantLifetime(t *testing.T, w *web, set *jwks.Set, lifetime time.Duration) {
	t.Helper()
	fetches := w.count(keysURL)
	<-time.After(lifetime*8/10 - 1)
	want(t, set, "a", "EdDSA", "found")
	wantFetches(t, w, keysURL, fetches)
	<-time.After(lifetime/10 + 1)
	want(t, set, "a", "EdDSA", "found")
	wantFetches(t, w, keysURL, fetches+1)
}

func TestLifetimeBoundsWhatTheIssuerSays(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		shortest, longest time.Duration
		cacheControl      string
		lifetime          time.Duration
	}{
		"says nothing, within":       {s, day, "", 10 * time.Minute},
		"says nothing, all longer":   {20 * time.Minute, day, "", 20 * time.Minute},
		"says nothing, all shorter":  {s, 10 * s, "", 10 * s},
		"says less":                  {30 * s, time.Hour, "max-age=29", 30 * s},
		"says the least":             {30 * s, time.Hour, "max-age=30", 30 * s},
		"says something within":      {30 * s, time.Hour, "max-age=31", 31 * s},
		"says the most":              {30 * s, 2 * time.Hour, "max-age=7200", 2 * time.Hour},
		"says more":                  {30 * s, 2 * time.Hour, "max-age=7201", 2 * time.Hour},
		"says a day and gets it":     {s, day, "max-age=86400", day},
		"says beyond any number":     {s, day, "max-age=99999999999999999999", day},
		"says a second and gets it":  {s, day, "max-age=1", s},
		"says not to store":          {s, day, "no-store", s},
		"nonsense":                   {s, day, "max-age=-1", s},
		"has no say above the bound": {day, day, "max-age=1", day},
		"has no say below the bound": {s, s, "max-age=86400", s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.put(keysURL, says(200, keySet(edJWK("a")), "Cache-Control", test.cacheControl))
				set := w.remote(t, jwks.WithLifetime(test.shortest, test.longest))
				want(t, set, "a", "EdDSA", "found")
				wantLifetime(t, w, set, test.lifetime)
			})
		})
	}
}

func TestMaxStalenessCountsToTheNanosecond(t *testing.T) {
	for name, test := range map[string]struct {
		options []jwks.Option
		age     time.Duration
	}{
		"default":     {nil, day},
		"shorter":     {[]jwks.Option{jwks.WithMaxStaleness(time.Hour)}, time.Hour},
		"longest":     {[]jwks.Option{jwks.WithMaxStaleness(30 * day)}, 30 * day},
		"never stale": {[]jwks.Option{jwks.WithLifetime(day, day)}, day},
		"shortest": {
			[]jwks.Option{jwks.WithMaxStaleness(time.Second), jwks.WithLifetime(time.Second, time.Second)}, time.Second,
		},
		"an odd number": {[]jwks.Option{jwks.WithMaxStaleness(time.Hour + 1)}, time.Hour + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				w.put(keysURL, after(time.Second, w.pages[keysURL]))
				set := w.discover(t, test.options...)
				asked := time.Now() // from then on age counts, not from the answer
				_ = set.Ready(t.Context())
				w.put(keysURL, down)
				<-time.After(max(1, time.Until(asked.Add(test.age-1))))
				if test.age > time.Second {
					want(t, set, "a", "EdDSA", "found")
				}
				<-time.After(max(1, time.Until(asked.Add(test.age))))
				want(t, set, "a", "EdDSA", "unavailable")
				if err := set.Ready(ended(t)); outcome(nil, err) != "unavailable" {
					t.Errorf("Ready: %v", err)
				}
			})
		})
	}
}

// ended is a context that is over.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestColdWaitBoundsTheFirstRequests(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct {
		wait            []jwks.Option
		discovery, keys time.Duration // how long they take; at 5 seconds they fail
		deadline        time.Duration // of the requests
		elapsed         time.Duration
		expected        string
	}{
		"default":             {nil, 4 * s, 4 * s, day, 5 * s, "unavailable"},
		"zero":                {[]jwks.Option{jwks.WithColdWait(0)}, 0, 1, day, 0, "unavailable"},
		"shorter":             {[]jwks.Option{jwks.WithColdWait(s)}, 4 * s, 4 * s, day, s, "unavailable"},
		"as long":             {[]jwks.Option{jwks.WithColdWait(8*s + 1)}, 4 * s, 4 * s, day, 8 * s, "found"},
		"longer":              {[]jwks.Option{jwks.WithColdWait(time.Minute)}, 4 * s, 4 * s, day, 8 * s, "found"},
		"longer than a fetch": {[]jwks.Option{jwks.WithColdWait(time.Minute)}, 4 * s, 6 * s, day, 9 * s, "unavailable"},
		"the request's own":   {[]jwks.Option{jwks.WithColdWait(time.Minute)}, 4 * s, 4 * s, 3 * s, 3 * s, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				discovery, keys := w.pages[discoveryURL], w.pages[keysURL]
				set := w.discover(t, test.wait...)
				for range 2 { // an expired set is as a cold one
					w.put(discoveryURL, after(test.discovery, discovery))
					w.put(keysURL, after(test.keys, keys))
					fetches := w.count(discoveryURL)
					ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
					defer cancel()
					elapsed := took(func() {
						wantAll(t, all(100, func(int) string { return outcome(set.Keys(ctx, "a", "EdDSA")) }), 100, test.expected)
					})
					if elapsed != test.elapsed {
						t.Errorf("answered after %s, want %s", elapsed, test.elapsed)
					}
					wantFetches(t, w, discoveryURL, fetches+1)
					<-time.After(20 * s) // the fetch goes on without them
					if test.keys < 5*s {
						elapsed := took(func() { want(t, set, "a", "EdDSA", "found") })
						if elapsed != 0 {
							t.Errorf("answered after %s", elapsed)
						}
						wantFetches(t, w, discoveryURL, fetches+1)
					}
					w.put(keysURL, keys)
					if err := set.Ready(t.Context()); err != nil {
						t.Error(err)
					}
					<-time.After(day + 20*s)
				}
			})
		})
	}
}

func TestColdWaitIsForColdSetsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t, jwks.WithColdWait(0))
		if err := set.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.put(keysURL, after(time.Second, says(200, keySet(edJWK("b")))))
		if wait := took(func() { want(t, set, "b", "EdDSA", "found") }); wait != time.Second {
			t.Errorf("a new key's search ended after %s", wait)
		}
		<-time.After(time.Hour)
		if wait := took(func() { want(t, set, "b", "EdDSA", "found") }); wait != time.Second {
			t.Errorf("stale keys were refreshed after %s", wait)
		}
	})
}

// The environment's proxy may have a password, and package net/http quotes what it cannot read.
func TestProxyErrorsHideThePassword(t *testing.T) {
	transport := http.DefaultTransport.(*http.Transport)
	before := transport.Proxy
	t.Cleanup(func() { transport.Proxy = before })
	transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New(`invalid proxy "http://u:hunter2@"`) }
	set, err := jwks.New(jwks.Remote("https://issuer.test/keys"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	_, fetched := set.Keys(t.Context(), "a", "EdDSA")
	_, guarded := jwks.New(jwks.Remote("https://issuer.test/keys", jwks.WithPublicAddressesOnly()))
	for _, err := range []error{fetched, guarded} {
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Errorf("the error is %v", err)
		}
	}
}

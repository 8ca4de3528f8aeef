package jwks_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

func TestKeysAreKeptInAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		key := edJWK("a")
		w := issuer(key, jwk{"kty": "X", "kid": "refused"})
		k := keep{t, w, filepath.Join(t.TempDir(), "keys")}
		set := w.discover(t, jwks.WithLastKnownGood(k.path, time.Hour), jwks.WithLogger(log.logger()))
		<-time.After(time.Hour)
		k.wantEntries()
		want(t, set, "a", "EdDSA", "found")
		_ = set.Close() // which waits for the file
		k.wantEntries("keys")

		var content struct {
			Source string
			Loaded time.Time
			JWKS   json.RawMessage
		}
		if err := json.Unmarshal([]byte(k.read()), &content); err != nil {
			t.Fatal(err)
		}
		document := keySet(key, jwk{"kty": "X", "kid": "refused"})
		if content.Source != "issuer "+issuerURL || !content.Loaded.Equal(time.Now()) || string(content.JWKS) != document {
			t.Errorf("the file holds %+v", content)
		}
		if lines := log.lines(""); len(lines) != 1 || !strings.Contains(lines[0], "a published key is not used") {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestFileIsWrittenAfterEachFetchThatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("a"))
		set := k.open()
		loaded := regexp.MustCompile(`"loaded":"[^"]*"`)
		a, b := keySet(edJWK("a")), keySet(edJWK("b"))
		before := k.read()
		for _, step := range []struct {
			page page
			kid  string
			same bool // the file
		}{
			{tagged(`"a"`, a), "a", false},
			{tagged(`"a"`, a), "a", false}, // unchanged, and still as good as new
			{down, "a", true},
			{says(200, `{"keys":[]}`), "a", true},
			{says(500, b), "a", true},
			{tagged(`"b"`, b), "b", false},
			{says(304, ""), "b", false},
		} {
			<-time.After(time.Hour + time.Nanosecond)
			k.w.put(keysURL, step.page)
			want(t, set, step.kid, "EdDSA", "found")
			synctest.Wait()
			now := k.read()
			said := `"loaded":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"`
			if step.same && now != before || !step.same && loaded.FindString(now) != said ||
				!strings.Contains(now, `"`+step.kid+`"`) {
				t.Errorf("at %s the file holds %s", said, now)
			}
			before = now
		}
		_ = set.Close()
		k.wantUsed("b")
	})
}

func TestRestartDuringAnOutage(t *testing.T) {
	for name, test := range map[string]struct {
		change map[string]page
		wait   time.Duration
	}{
		"down":            {map[string]page{discoveryURL: down, keysURL: down}, 0},
		"keys down":       {map[string]page{keysURL: down}, 0},
		"keys gone":       {map[string]page{keysURL: says(404, "")}, 0},
		"status 500":      {map[string]page{discoveryURL: says(500, "")}, 0},
		"no keys":         {map[string]page{keysURL: says(200, `{"keys":[]}`)}, 0},
		"unchanged":       {map[string]page{keysURL: says(304, "")}, 0},            // but a restarted set does not know
		"hanging":         {map[string]page{discoveryURL: hangs}, 5 * time.Second}, // as without a file
		"keys hanging":    {map[string]page{keysURL: hangs}, 5 * time.Second},
		"slow, then down": {map[string]page{keysURL: after(time.Second, down)}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "keys")
				w := issuer(edJWK("a"), jwk{"kty": "X"})
				set := w.discover(t, jwks.WithLastKnownGood(path, 2*time.Hour))
				want(t, set, "a", "EdDSA", "found")
				_ = set.Close()
				asked := time.Now()
				for url, page := range test.change {
					w.put(url, page)
				}
				<-time.After(time.Hour + 1)

				set = w.discover(t, jwks.WithLastKnownGood(path, 2*time.Hour))
				elapsed := took(func() {
					if err := set.Ready(t.Context()); err != nil {
						t.Error(err)
					}
				})
				stats := set.Stats()
				if elapsed != 0 || stats.State != jwks.StateStale || stats.Age != time.Since(asked) ||
					stats.Keys != 1 || stats.Refused != 1 || stats.Fetches != 0 || stats.LastError != "" ||
					!stats.NextAttempt.Equal(time.Now()) {
					t.Errorf("ready after %s: %+v", elapsed, stats)
				}
				elapsed = took(func() {
					wantEach(t, set, 100, "a", "found")
				})
				if elapsed != test.wait {
					t.Errorf("the first requests waited %s, want %s", elapsed, test.wait)
				}
				for range 100 {
					if wait := took(func() { want(t, set, "a", "EdDSA", "found") }); wait != 0 {
						t.Errorf("a later request waited %s", wait)
					}
					<-time.After(100 * time.Millisecond)
				}
				want(t, set, "b", "EdDSA", "unavailable") // it cannot be known
				if stats := set.Stats(); stats.State != jwks.StateStale || stats.Age != time.Since(asked) || stats.Failures == 0 ||
					stats.Failures != stats.Fetches {
					t.Errorf("%+v", stats)
				}
			})
		})
	}
}

// Without a file the same outage is felt: what the file is for.
func TestRestartWithoutAFileIsCold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
		k.w.put(keysURL, hangs)
		var log logs
		set := k.open(jwks.WithLogger(log.logger()))
		wantAfter(t, set, "a", "unavailable", 5*time.Second)
		_ = set.Close()
		k.wantEntries()
		if lines := log.lines("file"); len(lines) != 0 {
			t.Errorf("the first start is nothing to log: %q", lines)
		}
	})
}

func TestMaximumAgeOfTheFileCountsToTheNanosecond(t *testing.T) {
	for _, maxAge := range []time.Duration{time.Second, time.Hour, 30 * day} { // whatever MaxStaleness is
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys")
			w := newWeb()
			w.put(keysURL, after(100*time.Millisecond, says(200, keySet(edJWK("a")))))
			asked := time.Now()
			old := w.remote(t, jwks.WithLastKnownGood(path, maxAge))
			want(t, old, "a", "EdDSA", "found")
			_ = old.Close()
			w.put(keysURL, down)

			var log logs
			inTime := w.remote(t, jwks.WithLastKnownGood(path, maxAge), jwks.WithLogger(log.logger()))
			late := w.remote(t, jwks.WithLastKnownGood(path, maxAge), jwks.WithLogger(log.logger()))
			<-time.After(time.Until(asked.Add(maxAge - 1)))
			want(t, inTime, "a", "EdDSA", "found")
			if stats := inTime.Stats(); stats.State != jwks.StateStale || stats.Age != maxAge-1 {
				t.Errorf("%+v", stats)
			}
			<-time.After(1)
			for state, set := range map[jwks.State]*jwks.Set{jwks.StateExpired: inTime, jwks.StateCold: late} {
				_, err := set.Keys(t.Context(), "a", "EdDSA")
				if pause := retryAfter(t, err); pause > 4*time.Second || !errors.Is(err, errDown) {
					t.Errorf("%s: RetryAfter %s: %v", state, pause, err)
				}
				if stats := set.Stats(); stats.State != state {
					t.Errorf("%+v, want %s", stats, state)
				}
				if err := set.Ready(ended(t)); outcome(nil, err) != "unavailable" {
					t.Errorf("Ready: %v", err)
				}
			}
			_ = late.Close()
			if n := len(log.lines("is not used", "older than "+maxAge.String())); n != 1 {
				t.Errorf("logged %d times: %q", n, log.lines(""))
			}
		})
	}
}

func TestIssuersKeysReplaceThoseOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ takes, coldWait, waits time.Duration }{
			{0, 5 * time.Second, 0},
			{4 * time.Second, 5 * time.Second, 4 * time.Second},
			{4 * time.Second, 3 * time.Second, 3 * time.Second},
			{4 * time.Second, time.Second, 2 * time.Second}, // as for any stale keys
		} {
			k := newKeep(t, edJWK("old"))
			k.w.put(keysURL, after(test.takes, says(200, keySet(edJWK("new")))))
			set := k.open(jwks.WithColdWait(test.coldWait))
			kid, expected := "old", "not found" // it was withdrawn meanwhile
			if test.takes > test.waits {
				expected = "found" // no request waits so long for it
			}
			wait := took(func() {
				wantAll(t, all(50, func(int) string { return outcome(set.Keys(t.Context(), kid, "EdDSA")) }), 50, expected)
			})
			if wait != test.waits {
				t.Errorf("%+v: waited %s", test, wait)
			}
			<-time.After(test.takes - wait)
			k.w.put(keysURL, says(200, keySet(edJWK("new"))))
			wantEach(t, set, 50, "new", "found")
			want(t, set, "old", "EdDSA", "not found")
			_ = set.Close()
			k.wantUsed("new")
		}
	})
}

func TestUnknownKeyIDWithKeysOfTheFile(t *testing.T) {
	for name, test := range map[string]struct {
		page     page
		expected string
		wait     time.Duration
	}{
		"published meanwhile": {says(200, keySet(edJWK("b"))), "found", 0},
		"slowly":              {after(time.Second, says(200, keySet(edJWK("b")))), "found", time.Second},
		"not published":       {after(1, says(200, keySet(edJWK("c")))), "not found", 1},
		"down":                {down, "unavailable", 0},
		"hanging":             {hangs, "unavailable", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKeep(t, edJWK("a"))
				k.w.put(keysURL, test.page)
				fetches := k.w.count(keysURL)
				set := k.open()
				wait := took(func() {
					wantAll(t, all(100, func(int) string { return outcome(set.Keys(t.Context(), "b", "EdDSA")) }), 100, test.expected)
				})
				if wait != test.wait {
					t.Errorf("waited %s, want %s", wait, test.wait)
				}
				wantFetches(t, k.w, keysURL, fetches+1)
			})
		})
	}
}

func TestFileIsReadOnceWhenTheSetIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("old"))
		good := k.read()
		k.write("broken")
		var log logs
		unused, used := k.open(jwks.WithLogger(log.logger())), k.open(jwks.WithLogger(log.logger()))
		k.w.put(keysURL, down)
		<-time.After(day)
		_, _ = unused.Stats(), unused.Close()
		want(t, unused, "old", "EdDSA", "closed")
		if lines := log.lines(""); len(lines) != 0 {
			t.Errorf("a set that is not used logs %q", lines)
		}
		want(t, used, "old", "EdDSA", "unavailable")
		k.write(good) // too late
		for range 10 {
			<-time.After(time.Minute)
			want(t, used, "old", "EdDSA", "unavailable")
		}
		_ = used.Close()
		if lines := log.lines("last known good"); len(lines) != 1 {
			t.Errorf("logged %q", lines)
		}
	})
}

func TestFileThatCannotBeWrittenIsLogged(t *testing.T) {
	t.Parallel()
	failOn := func(t *testing.T) func(error) {
		return func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		path    string
		destroy func(path string) error
		repair  func(path string) error
		left    func(path string) string // what must still be there while it cannot be written
	}{
		"the directory is missing": {
			"sub/keys",
			func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
			func(path string) error { return os.Mkdir(filepath.Dir(path), 0o700) },
			nil,
		},
		"the directory is a file": {
			"sub/keys",
			func(path string) error {
				_ = os.RemoveAll(filepath.Dir(path))
				return os.WriteFile(filepath.Dir(path), nil, 0o600)
			},
			func(path string) error {
				_ = os.Remove(filepath.Dir(path))
				return os.Mkdir(filepath.Dir(path), 0o700)
			},
			nil,
		},
		"a directory is in its place": {
			"sub/keys",
			func(path string) error {
				_ = os.RemoveAll(path)
				return os.MkdirAll(filepath.Join(path, "precious"), 0o700)
			},
			os.RemoveAll,
			func(path string) string { return filepath.Join(path, "precious") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				must := failOn(t)
				var log logs
				k := keep{t, issuer(edJWK("a")), filepath.Join(t.TempDir(), filepath.FromSlash(test.path))}
				must(os.Mkdir(filepath.Dir(k.path), 0o700))
				set := k.open(jwks.WithLogger(log.logger()))
				refresh := func() {
					for range 3 {
						<-time.After(time.Hour)
						want(t, set, "a", "EdDSA", "found")
						synctest.Wait()
					}
				}
				for round := range 2 {
					must(test.destroy(k.path))
					refresh()
					if test.left != nil {
						if _, err := os.Stat(test.left(k.path)); err != nil {
							t.Error(err)
						}
						k.wantEntries("keys")
					}
					if n := len(log.lines("cannot be written", `"level":"WARN"`, k.path)); n != round+1 {
						t.Errorf("logged %d failures, want %d", n, round+1)
					}
					must(test.repair(k.path))
					refresh()
					k.wantEntries("keys")
					if n := len(log.lines("can be written to a file again", `"level":"WARN"`, k.path)); n != round+1 {
						t.Errorf("logged %d recoveries, want %d", n, round+1)
					}
				}
				_ = set.Close()
				k.w.put(keysURL, down)
				k.wantUsed("a")
			})
		})
	}
}

// What cannot be replaced stays as it was.
func TestOldFileStaysWhenItCannotBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("old"))
		long := filepath.Join(filepath.Dir(k.path), strings.Repeat("x", 250)) // there is no room for a temporary name
		if err := os.Rename(k.path, long); err != nil {
			t.Fatal(err)
		}
		k.path = long
		good := k.read()
		var log logs
		k.w.put(keysURL, says(200, keySet(edJWK("new"))))
		set := k.open(jwks.WithLogger(log.logger()))
		want(t, set, "new", "EdDSA", "found")
		_ = set.Close()
		if n := len(log.lines("cannot be written")); n != 1 || k.read() != good {
			t.Errorf("logged %d failures; the file holds %s", n, k.read())
		}
		k.wantEntries(filepath.Base(long))
		k.wantUsed("old")
	})
}

// A log that hangs holds back the first keys' way to the file, and newer ones get there before
// them.
func TestNewestKeysStayInTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep{t, issuer(edJWK("old"), jwk{"kty": "X"}), filepath.Join(t.TempDir(), "keys")}
		release := make(chan struct{})
		set := k.open(jwks.WithLogger(blockingLogger(release)))
		want(t, set, "old", "EdDSA", "found")
		for _, kid := range strings.Fields("new newer newest") {
			k.w.put(keysURL, says(200, keySet(edJWK(kid))))
			<-time.After(time.Hour)
			want(t, set, kid, "EdDSA", "found")
		}
		synctest.Wait()
		before := k.read()
		close(release)
		synctest.Wait()
		if after := k.read(); after != before || !strings.Contains(after, "newest") {
			t.Errorf("the file holds %s", after)
		}
		k.wantEntries("keys")
	})
}

// The same when the set is closed meanwhile.
func TestNewestKeysStayInTheFileOfAClosedSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep{t, issuer(edJWK("withdrawn"), jwk{"kty": "X"}), filepath.Join(t.TempDir(), "keys")}
		release := make(chan struct{})
		set := k.open(jwks.WithLogger(blockingLogger(release)))
		want(t, set, "withdrawn", "EdDSA", "found")
		k.w.put(keysURL, says(200, keySet(edJWK("new"))))
		<-time.After(time.Hour)
		want(t, set, "new", "EdDSA", "found")
		synctest.Wait()
		go set.Close()
		synctest.Wait()
		close(release)
		_ = set.Close()
		k.wantUsed("new")
	})
}

func TestRequestsDoNotWaitForTheLogOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("a"))
		good := k.read()
		release := make(chan struct{})
		for _, content := range []string{good, "broken"} {
			k.write(content)
			set := k.open(jwks.WithLogger(blockingLogger(release)))
			wantAfter(t, set, "a", "found", 0)
		}
		close(release)
	})
}

func TestRemovedFileIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("old"))
		if err := os.Remove(k.path); err != nil {
			t.Fatal(err)
		}
		k.w.put(keysURL, down)
		want(t, k.open(), "old", "EdDSA", "unavailable")
		if _, err := os.Stat(k.path); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

package jwks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// keep is the file of a set, and what a test does with it.
type keep struct {
	*testing.T
	w    *web
	path string
}

// newKeep is a file that a set with this key has written.
func newKeep(t *testing.T, key jwk) keep {
	t.Helper()
	k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
	k.w.put(keysURL, says(200, keySet(key)))
	set := k.open()
	want(t, set, key["kid"].(string), "EdDSA", "found")
	_ = set.Close()
	return k
}

// open makes a set with the file, as at a restart.
func (k keep) open(options ...jwks.Option) *jwks.Set {
	k.Helper()
	return k.w.remote(k.T, append(options, jwks.WithLastKnownGood(k.path, 30*day))...)
}

func (k keep) read() string {
	k.Helper()
	content, err := os.ReadFile(k.path)
	if err != nil {
		k.Error(err)
	}
	return string(content)
}

func (k keep) write(content string) {
	k.Helper()
	if err := os.WriteFile(k.path, []byte(content), 0o600); err != nil {
		k.Error(err)
	}
}

// wantEntries looks at what is in the directory of the file.
func (k keep) wantEntries(names ...string) {
	k.Helper()
	entries, err := os.ReadDir(filepath.Dir(k.path))
	if err != nil {
		k.Error(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	if !slices.Equal(found, names) {
		k.Errorf("the directory holds %q, want %q", found, names)
	}
}

// wantUsed restarts during an outage and expects the key of the file to be used.
func (k keep) wantUsed(kid string) {
	k.Helper()
	k.w.put(keysURL, down)
	var log logs
	set := k.open(jwks.WithLogger(log.logger()))
	want(k.T, set, kid, "EdDSA", "found")
	want(k.T, set, "made-up", "EdDSA", "unavailable")
	_ = set.Close()
	if n := len(log.lines("were read from a file", k.path)); n != 1 {
		k.Errorf("logged %d times that the file was read: %s", n, log.lines(""))
	}
}

// wantNotUsed restarts during an outage and expects that the file is not used, logged once, and left alone.
func (k keep) wantNotUsed(name, says string, secret any) {
	k.Helper()
	k.w.put(keysURL, down)
	var log logs
	set := k.open(jwks.WithLogger(log.logger()))
	for range 3 {
		var got string
		if wait := took(func() { got = outcome(set.Keys(k.Context(), "old", "EdDSA")) }); got != "unavailable" || wait != 0 {
			k.Errorf("%s: %s after %s", name, got, wait)
		}
		<-time.After(5 * time.Second)
	}
	if stats := set.Stats(); stats.State != jwks.StateCold || stats.Keys != 0 || stats.Failures == 0 {
		k.Errorf("%s: %+v", name, stats)
	}
	_ = set.Close()
	all := log.lines("last known good")
	if len(all) != 1 || len(log.lines("is not used", `"level":"WARN"`, k.path, says)) != 1 {
		k.Errorf("%s: logged %q, want one line with %q", name, all, says)
	}
	if text, _ := secret.(string); text != "" && len(log.lines(text)) > 0 {
		k.Errorf("%s: the log has the key in it: %q", name, log.lines(text))
	}
}

// wantReplaced restarts with an issuer that answers: whatever the file holds, its keys are the issuer's from then on.
func (k keep) wantReplaced(name string) {
	k.Helper()
	k.w.put(keysURL, says(200, keySet(edJWK("new"))))
	set := k.open()
	var got string
	if wait := took(func() { got = outcome(set.Keys(k.Context(), "new", "EdDSA")) }); got != "found" || wait != 0 {
		k.Errorf("%s: %s after %s", name, got, wait)
	}
	want(k.T, set, "old", "EdDSA", "not found")
	_ = set.Close()
	k.wantEntries("keys")
	k.wantUsed("new")
}

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
					wantAll(t, all(100, func(int) string { return outcome(set.Keys(t.Context(), "a", "EdDSA")) }), 100, "found")
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
				want(t, set, "b", "EdDSA", "unavailable") // nobody can know
				if stats := set.Stats(); stats.State != jwks.StateStale || stats.Age != time.Since(asked) || stats.Failures == 0 ||
					stats.Failures != stats.Fetches {
					t.Errorf("%+v", stats)
				}
			})
		})
	}
}

// Without a file the same outage is felt: what the file is for.
func TestRestartWithoutAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
		k.w.put(keysURL, hangs)
		var log logs
		set := k.open(jwks.WithLogger(log.logger()))
		if wait := took(func() { want(t, set, "a", "EdDSA", "unavailable") }); wait != 5*time.Second {
			t.Errorf("waited %s", wait)
		}
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
				expected = "found" // nobody waits so long to hear of it
			}
			wait := took(func() {
				wantAll(t, all(50, func(int) string { return outcome(set.Keys(t.Context(), kid, "EdDSA")) }), 50, expected)
			})
			if wait != test.waits {
				t.Errorf("%+v: waited %s", test, wait)
			}
			<-time.After(test.takes - wait)
			k.w.put(keysURL, says(200, keySet(edJWK("new"))))
			wantAll(t, all(50, func(int) string { return outcome(set.Keys(t.Context(), "new", "EdDSA")) }), 50, "found")
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

func TestFilesThatAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("old"))
		good := k.read()
		var indented bytes.Buffer
		if err := json.Indent(&indented, []byte(good), "", "\t"); err != nil {
			t.Fatal(err)
		}
		at := time.Now().UTC().Format(time.RFC3339Nano)
		if !strings.Contains(good, at) {
			t.Fatal("the time is not in the file")
		}
		for _, content := range []string{
			good, strings.TrimSpace(good), "\n\n" + good, indented.String(),
			strings.Replace(good, at, time.Now().In(time.FixedZone("", 3600)).Format(time.RFC3339Nano), 1),
		} {
			<-time.After(time.Minute)
			k.write(content)
			k.wantUsed("old")
			if k.read() != content {
				t.Error("the file was written without new keys")
			}
		}
	})
}

func TestLargestSetIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
		body := keySet(edJWK("old"))
		k.w.put(keysURL, says(200, body+strings.Repeat("\n", 1<<20-len(body))))
		set := k.open()
		want(t, set, "old", "EdDSA", "found")
		_ = set.Close()
		k.wantUsed("old")
	})
}

// A key set that is nested as deep as one can be fits into the file, which is an object around it.
func TestDeepestSetIsKept(t *testing.T) {
	for _, depth := range []int{31, 32} { // strictjson.MaxDepth
		synctest.Test(t, func(t *testing.T) {
			k := keep{t, newWeb(), filepath.Join(t.TempDir(), "keys")}
			inside := depth - 3 // the set, its list of keys, and a key
			deep := json.RawMessage(strings.Repeat("[", inside) + strings.Repeat("]", inside))
			k.w.put(keysURL, says(200, keySet(edJWK("old").with(jwk{"x-deep": deep}))))
			set := k.open()
			want(t, set, "old", "EdDSA", "found")
			_ = set.Close()
			k.wantUsed("old")
		})
	}
}

// Keys that could not be read again do not replace those that can: the file has a bound, and the
// source's name is part of it.
func TestFileThatCouldNotBeReadIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys")
		body := keySet(edJWK("a"))
		long := body + strings.Repeat("\n", 1<<20-len(body))
		var log logs
		for _, page := range []page{says(200, body), says(200, long), down} {
			set, err := jwks.New(jwks.Remote(issuerURL+strings.Repeat("/long", 14_000), jwks.WithLastKnownGood(path, time.Hour)),
				jwks.WithHTTPClient(&http.Client{Transport: everywhere(page)}), jwks.WithLogger(log.logger()))
			if err != nil {
				t.Fatal(err)
			}
			want(t, set, "a", "EdDSA", "found")
			_ = set.Close()
		}
		if n := len(log.lines("cannot be written", "could not be read back: it is longer than")); n != 1 {
			t.Errorf("logged %d failures", n)
		}
	})
}

// everywhere is a network on which all URLs are one page.
type everywhere page

func (p everywhere) RoundTrip(r *http.Request) (*http.Response, error) { return p(r) }

// A source's name may need an escape in JSON.
func TestFileOfAnyURL(t *testing.T) {
	for _, url := range []string{
		issuerURL + "/keys?p=policy&q=<\"'>\\", issuerURL + "/sch\u00fcssel", issuerURL + strings.Repeat("/long", 10_000),
	} {
		path := filepath.Join(t.TempDir(), "keys")
		for _, page := range []page{says(200, keySet(edJWK("a"))), down} {
			set, err := jwks.New(jwks.Remote(url, jwks.WithLastKnownGood(path, time.Hour)),
				jwks.WithHTTPClient(&http.Client{Transport: everywhere(page)}), jwks.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			want(t, set, "a", "EdDSA", "found")
			_ = set.Close()
		}
	}
}

func TestFilesThatAreNotUsed(t *testing.T) {
	key := edJWK("old")
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, key)
		good := k.read()
		loaded := regexp.MustCompile(`"loaded":("[^"]*")`)
		at := loaded.FindStringSubmatch(good)[1]
		replace := func(old, by string) string {
			t.Helper()
			if strings.Count(good, old) != 1 {
				t.Fatalf("%q is %d times in %s", old, strings.Count(good, old), good)
			}
			return strings.Replace(good, old, by, 1)
		}
		const bad = "invalid JSON"
		keys := keySet(key)
		for name, test := range map[string]struct{ content, says string }{
			"empty":                   {"", bad},
			"white space":             {" \n", bad},
			"not JSON":                {"<html>", bad},
			"null":                    {"null", bad},
			"an array":                {"[" + good + "]", bad},
			"an empty object":         {"{}", "another source"},
			"something after it":      {good + "{}", bad},
			"twice":                   {good + good, bad},
			"a byte order mark":       {"\ufeff" + good, bad},
			"not UTF-8":               {replace(`"kid"`, "\"k\xffd\""), bad},
			"zeros":                   {strings.Repeat("\x00", len(good)), bad},
			"zeros at the end":        {good[:len(good)/2] + strings.Repeat("\x00", len(good)/2), bad},
			"the JWK Set alone":       {keys, "another source"},
			"the source twice":        {replace("{\"source\"", "{\"source\":\"https://evil.test\",\"source\""), bad},
			"the time twice":          {replace(`"loaded"`, `"loaded":`+at+`,"loaded"`), bad},
			"the keys twice":          {replace(`"jwks"`, `"jwks":{"keys":[]},"jwks"`), bad},
			"a member of a key twice": {replace(`"kid":`, `"kid":"x","k\u0069d":`), bad},
			"another source":          {replace(keysURL, "https://evil.test/keys"), "another source"},
			"a slash more":            {replace(keysURL, keysURL+"/"), "another source"},
			"another case":            {replace(keysURL, strings.ToUpper(keysURL)), "another source"},
			"no source":               {replace(`"source"`, `"from"`), "another source"},
			"the source in capitals":  {replace(`"source"`, `"Source"`), "another source"},
			"the source in a list":    {replace(`"keys `+keysURL+`"`, `["keys `+keysURL+`"]`), "another source"},
			"an issuer of this name":  {replace("keys "+keysURL, "issuer "+keysURL), "another source"},
			"no time":                 {replace(`"loaded"`, `"when"`), "missing or malformed"},
			"the time in capitals":    {replace(`"loaded"`, `"LOADED"`), "missing or malformed"},
			"an empty time":           {replace(at, `""`), "missing or malformed"},
			"a time that is null":     {replace(at, "null"), "missing or malformed"},
			"a number as the time":    {replace(at, "946684800"), "missing or malformed"},
			"a day as the time":       {replace(at, `"2000-01-01"`), "missing or malformed"},
			"a time without a zone":   {replace(at, `"2000-01-01T00:00:00"`), "missing or malformed"},
			"a time that is none":     {replace(at, `"2000-02-30T00:00:00Z"`), "missing or malformed"},
			"from the future":         {replace(at, `"9999-12-31T23:59:59Z"`), "future"},
			"too old":                 {replace(at, `"1999-12-02T00:00:00Z"`), "older than 720h0m0s"},
			"from the year 0":         {replace(at, `"0000-01-01T00:00:00Z"`), "older than"},
			"no keys":                 {replace(`"jwks"`, `"keys"`), bad},
			"the keys in capitals":    {replace(`"jwks"`, `"JWKS"`), bad},
			"keys that are null":      {replace(keys, "null"), bad},
			"keys in a string":        {replace(keys, fmt.Sprintf("%q", keys)), bad},
			"an empty set":            {replace(keys, `{"keys":[]}`), "no array of keys"},
			"257 keys":                {replace(keys, `{"keys":[`+strings.Repeat("{},", 256)+`{}]}`), "more than 256"},
			"too long":                {good + strings.Repeat(" ", 1<<20+64<<10-len(good)+1), "longer than"},
			"much too long":           {strings.Repeat(" ", 8<<20) + good, "longer than"},
		} {
			k.write(test.content)
			k.wantNotUsed(name, test.says, key["x"])
			if k.read() != test.content {
				t.Errorf("%s: the file was changed", name)
			}
			k.wantReplaced(name)
			k.write(good)
		}

		for i := range len(good) - 1 { // without the last line break it is complete
			k.write(good[:i])
			k.wantNotUsed(fmt.Sprintf("truncated to %d bytes", i), "", key["x"])
		}
		for i := range len(good) {
			if good[i] == '"' {
				k.write(good[:i] + "'" + good[i+1:])
				k.wantNotUsed(fmt.Sprintf("quote %d is another", i), bad, key["x"])
			}
		}
		soon := time.Now().Add(time.Nanosecond).UTC().Format(time.RFC3339Nano)
		k.write(replace(at, `"`+soon+`"`))
		k.wantNotUsed("a nanosecond ahead", "future", key["x"])
	})
}

func TestFileOfAnotherSetIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys")
		a, b := issuer(newJWK("same", edKey.Public())), issuer(edJWK("same"))
		option := jwks.WithLastKnownGood(path, day)
		mine := a.discover(t, option)
		theirs := b.remote(t, option)
		for range 3 {
			<-time.After(time.Hour)
			want(t, mine, "same", "EdDSA", "found")
			synctest.Wait()
			want(t, theirs, "same", "EdDSA", "found") // written last
			synctest.Wait()
		}
		_, _ = mine.Close(), theirs.Close()
		a.put(discoveryURL, down)
		a.put(keysURL, down)
		b.put(keysURL, down)
		var log logs
		want(t, a.discover(t, option, jwks.WithLogger(log.logger())), "same", "EdDSA", "unavailable")
		want(t, b.remote(t, option), "same", "EdDSA", "found")
		synctest.Wait()
		if n := len(log.lines("is not used", "another source")); n != 1 {
			t.Errorf("logged %q", log.lines(""))
		}
	})
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

func TestFileThatCannotBeWritten(t *testing.T) {
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

// A log that hangs holds back the first keys' way to the file, and newer ones get there before them.
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

func TestNobodyWaitsForTheLogOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeep(t, edJWK("a"))
		good := k.read()
		release := make(chan struct{})
		for _, content := range []string{good, "broken"} {
			k.write(content)
			set := k.open(jwks.WithLogger(blockingLogger(release)))
			if wait := took(func() { want(t, set, "a", "EdDSA", "found") }); wait != 0 {
				t.Errorf("waited %s", wait)
			}
		}
		close(release)
	})
}

func TestFileIsGoneWhenItIsGone(t *testing.T) {
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

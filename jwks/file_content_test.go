package jwks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

func TestReadableFilesAreUsed(t *testing.T) {
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

// A source's name may need an escape in JSON.
func TestFileIsUsedForAnyURL(t *testing.T) {
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

func TestBadFilesAreNotUsed(t *testing.T) {
	t.Parallel()
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
			"an empty set":            {replace(keys, `{"keys":[]}`), "an empty array of keys"},
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

package jwks_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

// tagged answers 304 to those who have this entity tag, and otherwise with the keys and the tag.
func tagged(etag, body string, header ...string) page {
	full, unchanged := says(200, body, append(header, "ETag", etag)...), says(304, "", header...)
	return func(r *http.Request) (*http.Response, error) {
		if slices.Equal(r.Header.Values("If-None-Match"), []string{etag}) {
			return unchanged(r)
		}
		return full(r)
	}
}

// wantTag looks at the entity tag that the last request for a URL had; "" is none at all.
func wantTag(t *testing.T, w *web, url, etag string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last[url] == nil {
		t.Errorf("%s was not asked", url)
		return
	}
	sent := w.last[url].Header.Values("If-None-Match")
	if strings.Join(sent, "|") != etag || etag == "" && sent != nil {
		t.Errorf("%s was asked with the tags %q, want %q", url, sent, etag)
	}
}

// untilStale lets so much time pass that the next request waits for a refresh.
func untilStale() { <-time.After(2 * time.Hour) }

func TestEntityTagsAreSentBack(t *testing.T) {
	for name, test := range map[string]struct {
		etag string
		sent bool
	}{
		"strong":                 {`"33a64df551425fcc"`, true},
		"weak":                   {`W/"33a64df551425fcc"`, true},
		"empty":                  {`""`, true},
		"empty and weak":         {`W/""`, true},
		"any visible characters": {`"!#$%&'()*+,-./09:;<=>?@AZ[\]^_` + "`" + `az{|}~"`, true},
		"a KiB":                  {`"` + strings.Repeat("x", 1022) + `"`, true},
		"a weak KiB":             {`W/"` + strings.Repeat("x", 1020) + `"`, true},
		"a byte more":            {`"` + strings.Repeat("x", 1023) + `"`, false},
		"a weak byte more":       {`W/"` + strings.Repeat("x", 1021) + `"`, false},
		"a MiB":                  {`"` + strings.Repeat("x", 1<<20) + `"`, false},
		"none":                   {"", false},
		"without quotes":         {"33a64df551425fcc", false},
		"everything":             {"*", false},
		"a quote alone":          {`"`, false},
		"a weak quote alone":     {`W/"`, false},
		"weak nothing":           {"W/", false},
		"weak in lower case":     {`w/"a"`, false},
		"weak twice":             {`W/W/"a"`, false},
		"no end":                 {`"a`, false},
		"no beginning":           {`a"`, false},
		"two":                    {`"a", "b"`, false},
		"two without a gap":      {`"a""b"`, false},
		"a quote in it":          {`"a"b"`, false},
		"a space in it":          {`"a b"`, false},
		"a tab in it":            {"\"a\tb\"", false},
		"a line break in it":     {"\"a\r\nX-Evil: b\"", false},
		"a NUL in it":            {"\"a\x00b\"", false},
		"a DEL in it":            {"\"a\x7fb\"", false},
		"not ASCII":              {"\"\u00e9\"", false},
		"not UTF-8":              {"\"\xff\"", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer()
				w.put(discoveryURL, tagged(test.etag, metadata(issuerURL, keysURL)))
				w.put(keysURL, tagged(test.etag, keySet(edJWK("a"))))
				set := w.discover(t)
				want(t, set, "a", "EdDSA", "found")
				wantTag(t, w, discoveryURL, "")
				wantTag(t, w, keysURL, "")
				sent := map[bool]string{true: test.etag}[test.sent]
				for range 2 {
					untilStale()
					want(t, set, "a", "EdDSA", "found")
					wantTag(t, w, keysURL, sent)
				}
				<-time.After(2 * day) // the issuer is asked where the keys are, and for all of them
				want(t, set, "a", "EdDSA", "found")
				wantTag(t, w, discoveryURL, "")
				wantTag(t, w, keysURL, "")
				untilStale()
				want(t, set, "a", "EdDSA", "found")
				wantTag(t, w, keysURL, sent)
			})
		})
	}
}

// A cache that is stuck would keep a withdrawn key alive for ever.
func TestUnchangedIsNotBelievedForMoreThanADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		w.put(keysURL, tagged(`"1"`, keySet(edJWK("a"))))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		loaded := time.Now()
		whole := tagged(`"2"`, keySet(edJWK("b")))
		w.put(keysURL, func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") != "" {
				return says(304, "", "ETag", `"2"`)(r)
			}
			return whole(r)
		})
		for time.Since(loaded) < day {
			want(t, set, "a", "EdDSA", "found")
			<-time.After(5 * time.Minute)
		}
		<-time.After(10 * time.Minute)
		want(t, set, "a", "EdDSA", "not found")
		want(t, set, "b", "EdDSA", "found")
	})
}

func TestUnchangedKeysAreFreshAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		body := keySet(edJWK("a"))
		answer := func(header ...string) { w.put(keysURL, tagged(`"1"`, body, header...)) }
		answer("Cache-Control", "max-age=1200")
		set := w.remote(t, jwks.WithMaxStaleness(3*time.Hour))
		want(t, set, "a", "EdDSA", "found")

		// Each answer says for how long the keys that it renews are fresh; the first request after it sees the next one.
		for _, step := range []struct {
			header   []string // of the next answer, which is without a body
			lifetime time.Duration
		}{
			{nil, 20 * time.Minute},
			{nil, 20 * time.Minute}, // as said before
			{[]string{"Cache-Control", "max-age=1800"}, 20 * time.Minute},
			{[]string{"Cache-Control", "no-cache"}, 30 * time.Minute},
			{nil, time.Minute},
			{[]string{"Cache-Control", "public"}, time.Minute},
			{nil, 10 * time.Minute}, // public says nothing of it
			{[]string{"Cache-Control", "max-age=1800", "Age", "600"}, 10 * time.Minute},
			{nil, 20 * time.Minute},
			{[]string{"Age", "1200"}, 30 * time.Minute}, // without Age the answer came from the issuer itself
			{nil, 10 * time.Minute},
		} {
			answer(step.header...)
			wantLifetime(t, w, set, step.lifetime)
			wantTag(t, w, keysURL, `"1"`)
		}

		renewed := time.Now() // by the last answer, and the age counts from it
		w.put(keysURL, down)
		<-time.After(3*time.Hour - 1)
		want(t, set, "a", "EdDSA", "found")
		if age := set.Stats().Age; age != time.Since(renewed) {
			t.Errorf("age %s, want %s", age, time.Since(renewed))
		}
		<-time.After(1)
		want(t, set, "a", "EdDSA", "unavailable")
		if stats := set.Stats(); stats.Fetches-stats.Failures != 12 {
			t.Errorf("%d fetches, %d of them failed, want 12 that did not", stats.Fetches, stats.Failures)
		}
	})
}

// Only who has keys can hear that they did not change.
func TestUnchangedIsAFailureWithoutACondition(t *testing.T) {
	unchanged := says(304, "", "ETag", `"1"`, "Cache-Control", "max-age=3600")
	for name, test := range map[string]struct {
		before  page // of the keys; nil for none
		changed string
	}{
		"keys of a cold set":           {nil, keysURL},
		"discovery of a cold set":      {nil, discoveryURL},
		"keys that have no tag":        {says(200, keySet(edJWK("a"))), keysURL},
		"keys whose tag is not usable": {says(200, keySet(edJWK("a")), "ETag", "1"), keysURL},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				up := w.pages[test.changed]
				set, expected := w.discover(t), "unavailable"
				if test.before != nil {
					w.put(keysURL, test.before)
					want(t, set, "a", "EdDSA", "found")
					expected = "found"
				}
				w.put(test.changed, unchanged)
				untilStale()
				want(t, set, "a", "EdDSA", expected)
				want(t, set, "b", "EdDSA", "unavailable")
				if stats := set.Stats(); stats.Failures == 0 || stats.LastError != "GET "+test.changed+": status 304" {
					t.Errorf("%d failures, the last is %q", stats.Failures, stats.LastError)
				}
				w.put(test.changed, up)
				<-time.After(time.Minute)
				want(t, set, "a", "EdDSA", "found")
				want(t, set, "b", "EdDSA", "not found")
			})
		})
	}
}

func TestEntityTagIsOfTheLastGoodKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		a, b := keySet(edJWK("a")), keySet(edJWK("b"))
		w.put(keysURL, tagged(`"a"`, a))
		set := w.remote(t)
		for _, step := range []struct {
			page page   // that answers
			sent string // the tag of the request
			has  string // the set, afterwards
		}{
			{tagged(`"a"`, a), "", "a"},
			{tagged(`W/"b"`, b), `"a"`, "b"},
			{tagged(`W/"b"`, b), `W/"b"`, "b"},
			{says(500, a, "ETag", `"500"`), `W/"b"`, "b"},
			{says(200, `{"keys":[]}`, "ETag", `"empty"`), `W/"b"`, "b"},
			{says(200, a[1:], "ETag", `"broken"`), `W/"b"`, "b"},
			{down, `W/"b"`, "b"},
			{says(304, "", "ETag", `"other"`), `W/"b"`, "b"}, // what it confirms is what was asked about
			{says(200, a), `W/"b"`, "a"},
			{says(200, b), "", "b"},
			{tagged(`"a"`, a), "", "a"},
			{says(200, b, "ETag", "b"), `"a"`, "b"},
			{tagged(`"a"`, a), "", "a"},
			{tagged(`"a"`, a), `"a"`, "a"},
		} {
			untilStale()
			w.put(keysURL, step.page)
			want(t, set, step.has, "EdDSA", "found")
			wantTag(t, w, keysURL, step.sent)
			for _, kid := range strings.Fields("a b") {
				if kid != step.has && outcome(set.Keys(t.Context(), kid, "EdDSA")) == "found" {
					t.Errorf("%s is found, too", kid)
				}
			}
		}
	})
}

// A tag says something of one URL. At another, the same text may be that of other keys.
func TestEntityTagDoesNotMoveWithTheKeys(t *testing.T) {
	for name, test := range map[string]struct {
		expire bool
		at     page   // the old place
		next   page   // the new one
		has    string // the set
	}{
		"gone, other keys under the same tag": {false, says(404, ""), tagged(`"1"`, keySet(edJWK("b"))), "b"},
		"gone, nothing changed":               {false, says(410, ""), says(304, ""), "a"},
		"expired, other keys":                 {true, says(500, ""), tagged(`"1"`, keySet(edJWK("b"))), "b"},
		"expired, nothing changed":            {true, says(500, ""), says(304, ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer()
				w.put(keysURL, tagged(`"1"`, keySet(edJWK("a"))))
				set := w.discover(t)
				want(t, set, "a", "EdDSA", "found")
				w.put(keysURL, test.at)
				w.put(discoveryURL, says(200, metadata(issuerURL, newURL)))
				w.put(newURL, test.next)
				untilStale()
				if test.expire {
					<-time.After(day)
				}
				for _, kid := range strings.Fields("a b") {
					got := outcome(set.Keys(t.Context(), kid, "EdDSA"))
					if (got == "found") != (kid == test.has) {
						t.Errorf("%s is %s", kid, got)
					}
				}
				wantTag(t, w, newURL, "")

				w.put(newURL, tagged(`"1"`, keySet(edJWK("b"))))
				<-time.After(time.Minute)
				want(t, set, "b", "EdDSA", "found")
				untilStale()
				want(t, set, "b", "EdDSA", "found")
				wantTag(t, w, newURL, `"1"`)
			})
		})
	}
}

// Neither does it follow a redirect, nor is it that of the URL which redirects.
func TestEntityTagDoesNotFollowARedirect(t *testing.T) {
	const first, second = issuerURL + "/first", issuerURL + "/second"
	a, b := tagged(`"1"`, keySet(edJWK("a"))), tagged(`"1"`, keySet(edJWK("b")))
	for name, steps := range map[string][]struct {
		page page // of the URL of the keys
		has  string
		sent string // to it
	}{
		"to another place each time": {{redirects(first), "a", ""}, {redirects(second), "b", ""}, {redirects(first), "a", ""}},
		"to one place":               {{redirects(first), "a", ""}, {redirects(first), "a", ""}},
		"only later":                 {{a, "a", ""}, {redirects(second), "b", `"1"`}},
		"not any more":               {{redirects(first), "a", ""}, {b, "b", ""}, {b, "b", `"1"`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.put(first, a)
				w.put(second, b)
				set := w.remote(t)
				for _, step := range steps {
					w.put(keysURL, step.page)
					untilStale()
					want(t, set, step.has, "EdDSA", "found")
					wantTag(t, w, keysURL, step.sent)
					for _, url := range []string{first, second} {
						if w.count(url) > 0 {
							wantTag(t, w, url, "")
						}
					}
				}
				w.put(keysURL, redirects(first))
				w.put(first, says(304, "")) // it was not asked that
				untilStale()
				want(t, set, "c", "EdDSA", "unavailable")
			})
		})
	}
}

func TestAgeIsTakenOffTheLifetime(t *testing.T) {
	for name, test := range map[string]struct {
		cacheControl, age string
		lifetime          time.Duration
	}{
		"none":                   {"max-age=1800", "", 30 * time.Minute},
		"zero":                   {"max-age=1800", "0", 30 * time.Minute},
		"some":                   {"max-age=1800", "600", 20 * time.Minute},
		"with zeros before it":   {"max-age=1800", "000600", 20 * time.Minute},
		"nearly all":             {"max-age=1800", "1739", 61 * time.Second},
		"all":                    {"max-age=1800", "1800", time.Minute},
		"more":                   {"max-age=1800", "1801", time.Minute},
		"huge":                   {"max-age=1800", "2147483648", time.Minute},
		"beyond any number":      {"max-age=1800", strings.Repeat("9", 100), time.Minute},
		"negative":               {"max-age=1800", "-600", 30 * time.Minute},
		"signed":                 {"max-age=1800", "+600", 30 * time.Minute},
		"nonsense":               {"max-age=1800", "old", 30 * time.Minute},
		"a fraction":             {"max-age=1800", "600.5", 30 * time.Minute},
		"hexadecimal":            {"max-age=1800", "0x258", 30 * time.Minute},
		"with a unit":            {"max-age=1800", "600s", 30 * time.Minute},
		"taken off what is said": {"max-age=7200", "3600", time.Hour},
		"both beyond any number": {"max-age=99999999999999999999", strings.Repeat("9", 100), time.Minute},
		"nothing to take it off": {"", "600", 10 * time.Minute},
		"not to be cached":       {"no-cache", "600", time.Minute},
		"nonsense less an age":   {"max-age=soon", "600", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				header := []string{"Cache-Control", test.cacheControl, "Age", test.age}
				w.put(keysURL, says(200, keySet(edJWK("a")), header...))
				set := w.remote(t)
				want(t, set, "a", "EdDSA", "found")
				wantLifetime(t, w, set, test.lifetime)
			})
		})
	}
}

package jwks_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

func metadata(issuer, keysURL string) string {
	return `{"issuer":"` + issuer + `","jwks_uri":"` + keysURL + `"}`
}

func TestDiscoveryLocations(t *testing.T) {
	const openID, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	for name, test := range map[string]struct {
		issuer   string
		answers  map[string]int // status by location, 404 elsewhere
		asks     []string
		expected string
	}{
		"OpenID": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + openID: 200},
			[]string{"https://issuer.test" + openID},
			"found",
		},
		"a slash at the end is not doubled": {
			"https://issuer.test/",
			map[string]int{"https://issuer.test" + openID: 200},
			[]string{"https://issuer.test" + openID},
			"found",
		},
		"the issuer's path comes first": {
			"https://issuer.test/realms/one",
			map[string]int{"https://issuer.test/realms/one" + openID: 200},
			[]string{"https://issuer.test/realms/one" + openID},
			"found",
		},
		"RFC 8414 after a 404": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + oauth: 200},
			[]string{"https://issuer.test" + openID, "https://issuer.test" + oauth},
			"found",
		},
		"RFC 8414 puts the path last": {
			"https://issuer.test:8443/realms/one/",
			map[string]int{"https://issuer.test:8443" + oauth + "/realms/one": 200},
			[]string{
				"https://issuer.test:8443/realms/one" + openID, "https://issuer.test:8443" + oauth + "/realms/one",
			},
			"found",
		},
		"neither": {
			"https://issuer.test", nil,
			[]string{"https://issuer.test" + openID, "https://issuer.test" + oauth},
			"unavailable",
		},
		"not after a 500": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + openID: 500, "https://issuer.test" + oauth: 200},
			[]string{"https://issuer.test" + openID},
			"unavailable",
		},
		"not after a 401": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + openID: 401, "https://issuer.test" + oauth: 200},
			[]string{"https://issuer.test" + openID},
			"unavailable",
		},
		"not after a 410": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + openID: 410, "https://issuer.test" + oauth: 200},
			[]string{"https://issuer.test" + openID},
			"unavailable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb()
			w.put(keysURL, says(200, keySet(edJWK("a"))))
			for location, status := range test.answers {
				w.put(location, says(status, metadata(test.issuer, keysURL)))
			}
			want(t, open(t, jwks.Discover(test.issuer), w), "a", "EdDSA", test.expected)
			for _, location := range test.asks {
				if n := w.count(location); n != 1 {
					t.Errorf("%d requests for %s, want 1", n, location)
				}
			}
			delete(w.hits, keysURL)
			if len(w.hits) != len(test.asks) {
				t.Errorf("asked %v, want %v", w.hits, test.asks)
			}
		})
	}
}

func TestDiscoveryNotAfterATransportError(t *testing.T) {
	w := issuer(edJWK("a"))
	w.put(issuerURL+"/.well-known/oauth-authorization-server", w.pages[discoveryURL])
	w.put(discoveryURL, down)
	want(t, w.discover(t), "a", "EdDSA", "unavailable")
}

func TestDiscoveryDocumentsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct{ document, says string }{
		"another issuer":           {metadata("https://evil.test", keysURL), `not for the issuer "https://issuer.test"`},
		"a slash more":             {metadata(issuerURL+"/", keysURL), "slash at the end"},
		"another case":             {metadata("https://ISSUER.test", keysURL), "not for the issuer"},
		"no issuer":                {`{"jwks_uri":"` + keysURL + `"}`, "not for the issuer"},
		"an issuer in capitals":    {`{"Issuer":"https://issuer.test","jwks_uri":"` + keysURL + `"}`, "not for the issuer"},
		"an issuer that is a list": {`{"issuer":["https://issuer.test"],"jwks_uri":"` + keysURL + `"}`, "not for the issuer"},
		"two issuers": {
			`{"issuer":"https://evil.test","issuer":"https://issuer.test","jwks_uri":"` + keysURL + `"}`, "twice",
		},
		"no jwks_uri":               {`{"issuer":"https://issuer.test"}`, "names no jwks_uri"},
		"jwks_uri of another type":  {`{"issuer":"https://issuer.test","jwks_uri":{}}`, "names no jwks_uri"},
		"jwks_uri relative":         {metadata(issuerURL, "/keys"), "is not an absolute https URL"},
		"jwks_uri without a host":   {metadata(issuerURL, "https:///keys"), "is not an absolute https URL"},
		"jwks_uri a file":           {metadata(issuerURL, "file:///etc/passwd"), "is not an absolute https URL"},
		"jwks_uri http":             {metadata(issuerURL, "http://issuer.test/keys"), "is not https"},
		"jwks_uri with a user name": {metadata(issuerURL, "https://u:p@issuer.test/keys"), "user name"},
		"not JSON":                  {"<html>", "invalid JSON"},
		"an array":                  {"[" + metadata(issuerURL, keysURL) + "]", "not an object"},
		"nothing":                   {"", "invalid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			w := issuer(edJWK("a"))
			w.put("http://issuer.test/keys", w.pages[keysURL])
			w.put(discoveryURL, says(200, test.document))
			_, err := w.discover(t).Keys(t.Context(), "a", "EdDSA")
			if outcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error with %q", err, test.says)
			}
			if strings.Contains(err.Error(), "evil") || !strings.Contains(err.Error(), discoveryURL) {
				t.Errorf("the error shall name the URL and nothing of the answer: %v", err)
			}
			if len(w.hits) != 1 {
				t.Errorf("went on to %v", w.hits)
			}
		})
	}
}

func TestDiscoveryMayLeadToAnotherOrigin(t *testing.T) {
	w := newWeb()
	w.put(discoveryURL, says(200, metadata(issuerURL, "https://keys.test/v3/certs")))
	w.put("https://keys.test/v3/certs", says(200, keySet(edJWK("a"))))
	want(t, w.discover(t), "a", "EdDSA", "found")
}

func TestInsecureHTTPAppliesToTheDiscoveredURLToo(t *testing.T) {
	w := newWeb()
	w.put(discoveryURL, says(200, metadata(issuerURL, "http://keys.test/keys")))
	w.put("http://keys.test/keys", says(200, keySet(edJWK("a"))))
	want(t, w.discover(t, jwks.InsecureHTTP()), "a", "EdDSA", "found")
}

func TestDiscoveryIsRepeatedUntilItLedToKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		w.put(discoveryURL, says(200, metadata(issuerURL, issuerURL+"/old")))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "unavailable")
		w.put(discoveryURL, says(200, metadata(issuerURL, keysURL)))
		<-time.After(2 * time.Second)
		want(t, set, "a", "EdDSA", "found")
		for range 100 {
			<-time.After(10 * time.Minute)
			want(t, set, "a", "EdDSA", "found")
		}
		wantFetches(t, w, discoveryURL, 2)
	})
}

const newURL = issuerURL + "/new"

// moved is an issuer whose keys were at one place, and are now at another. It has a set that knows the first place.
func moved(t *testing.T, status int, keys ...jwk) (*web, *jwks.Set) {
	t.Helper()
	w := issuer(edJWK("a"))
	set := w.discover(t)
	want(t, set, "a", "EdDSA", "found")
	w.put(keysURL, says(status, "not here any more"))
	w.put(discoveryURL, says(200, metadata(issuerURL, newURL)))
	w.put(newURL, says(200, keySet(keys...)))
	return w, set
}

func TestMovedKeysAreFoundByDiscovery(t *testing.T) {
	for name, need := range map[string]func(*testing.T, *jwks.Set){
		"stale": func(t *testing.T, set *jwks.Set) {
			<-time.After(11 * time.Minute)
			want(t, set, "b", "EdDSA", "found")
		},
		"refresh ahead": func(t *testing.T, set *jwks.Set) {
			<-time.After(9 * time.Minute)
			want(t, set, "a", "EdDSA", "found")
			synctest.Wait()
			want(t, set, "b", "EdDSA", "found")
		},
		"search": func(t *testing.T, set *jwks.Set) { want(t, set, "b", "EdDSA", "found") },
	} {
		for _, status := range []int{404, 410} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, set := moved(t, status, edJWK("b"))
					need(t, set) // in one fetch
					if stats := set.Stats(); stats.Fetches != 2 || stats.Failures != 0 {
						t.Errorf("%+v", stats)
					}
					want(t, set, "a", "EdDSA", "not found")
					for range 10 {
						<-time.After(time.Hour)
						want(t, set, "b", "EdDSA", "found")
					}
					wantFetches(t, w, keysURL, 2) // and never again
					wantFetches(t, w, discoveryURL, 2)
				})
			})
		}
	}
}

func TestOtherFailuresDoNotRepeatDiscovery(t *testing.T) {
	for name, page := range map[string]page{
		"400": says(400, ""), "401": says(401, ""), "403": says(403, ""), "500": says(500, ""), "503": says(503, ""),
		"down": down, "304": says(304, ""),
		"302": redirects("https://issuer.test:8443/"), "no keys": says(200, "{}"), "hangs": hangs,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer(edJWK("a"))
				set := w.discover(t)
				want(t, set, "a", "EdDSA", "found")
				w.put(keysURL, page)
				for range 10 {
					<-time.After(10 * time.Minute)
					want(t, set, "a", "EdDSA", "found")
				}
				wantFetches(t, w, discoveryURL, 1)
			})
		})
	}
}

// Discovery must not become a load of its own when it does not help.
func TestDiscoveryIsRepeatedOnceAnHour(t *testing.T) {
	for name, test := range map[string]struct {
		discovery page
		pause     time.Duration
		says      string // the error
	}{
		"it leads to the same place": {
			says(200, metadata(issuerURL, keysURL)), time.Hour, "GET " + keysURL + ": status 404",
		},
		"it leads to another without keys": {
			says(200, metadata(issuerURL, newURL)), time.Hour, "GET " + newURL + ": status 404",
		},
		"it fails": { // then nothing was learnt, and it is asked sooner
			down, 5 * time.Minute, "GET " + keysURL + ": status 404; and where the keys are now: GET " + discoveryURL + ": connection refused",
		},
		"it leads elsewhere": {
			says(200, metadata(issuerURL, "http://issuer.test/")), 5 * time.Minute,
			"GET " + keysURL + ": status 404; and where the keys are now: the answer of " + discoveryURL + " is not usable",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := moved(t, 404)
				w.put(newURL, says(404, ""))
				var asked []time.Time
				w.put(discoveryURL, func(r *http.Request) (*http.Response, error) {
					asked = append(asked, time.Now())
					return test.discovery(r)
				})
				<-time.After(20 * time.Minute)
				want(t, set, "a", "EdDSA", "found")
				synctest.Wait()
				if text := set.Stats().LastError; !strings.HasPrefix(text, test.says) {
					t.Errorf("the error is %q, want %q", text, test.says)
				}
				wantFetches(t, w, keysURL, 2) // it is not asked again at once
				for range 5 * 360 {
					<-time.After(10 * time.Second)
					want(t, set, "a", "EdDSA", "found")
				}
				synctest.Wait()
				for i, at := range asked[1:] {
					if gap := at.Sub(asked[i]); gap < test.pause || gap > test.pause+70*time.Second { // and the pause after a failure
						t.Errorf("discovery was repeated after %s", gap)
					}
				}
				if n := int(5 * time.Hour / test.pause); len(asked) < n*4/5 || len(asked) > n {
					t.Errorf("discovery was repeated %d times in 5 hours", len(asked))
				}
				if n := w.count(keysURL) + w.count(newURL); n < 200 {
					t.Errorf("%d fetches", n)
				}
				w.put(newURL, says(200, keySet(edJWK("b"))))
				w.put(discoveryURL, says(200, metadata(issuerURL, newURL)))
				<-time.After(2 * time.Hour)
				want(t, set, "b", "EdDSA", "found")
			})
		})
	}
}

// The old place may go on answering: a forgotten copy must not keep a withdrawn key alive.
func TestDiscoveryIsRepeatedEachDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		days := func(part time.Duration) {
			for end := time.Now().Add(part); time.Now().Before(end); <-time.After(time.Minute) {
				want(t, set, "a", "EdDSA", "found")
				synctest.Wait()
			}
		}
		want(t, set, "a", "EdDSA", "found")
		w.put(discoveryURL, down) // which harms nobody who has keys
		days(day - time.Minute)
		wantFetches(t, w, discoveryURL, 1)
		days(20 * time.Minute)
		wantFetches(t, w, discoveryURL, 2)
		w.put(discoveryURL, says(200, metadata(issuerURL, newURL)))
		w.put(newURL, says(200, keySet(edJWK("b"))))
		days(day - 20*time.Minute)
		wantFetches(t, w, discoveryURL, 2)
		<-time.After(40 * time.Minute)
		want(t, set, "a", "EdDSA", "not found")
		want(t, set, "b", "EdDSA", "found")
	})
}

// What discovery has found counts, be it that nothing could be had from there yet.
func TestPlaceFoundByDiscoveryIsRemembered(t *testing.T) {
	for name, page := range map[string]page{
		"down": down, "404": says(404, ""), "500": says(500, ""), "no keys": says(200, "{}"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, set := moved(t, 404)
				w.put(newURL, page)
				<-time.After(20 * time.Minute)
				want(t, set, "a", "EdDSA", "found")
				w.put(newURL, says(200, keySet(edJWK("b"))))
				<-time.After(2 * time.Second)
				want(t, set, "b", "EdDSA", "found")
				want(t, set, "a", "EdDSA", "not found")
				wantFetches(t, w, discoveryURL, 2)
				wantFetches(t, w, keysURL, 2)
			})
		})
	}
}

// Without usable keys there is nothing to lose by asking: each fetch starts where the issuer says.
func TestDiscoveryComesFirstWithoutUsableKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		up := w.pages[keysURL]
		set := w.discover(t)
		for range 2 { // cold, then expired
			before := w.count(discoveryURL)
			for attempt, page := range []page{down, says(404, ""), says(500, ""), says(404, "")} {
				w.put(keysURL, page)
				want(t, set, "a", "EdDSA", "unavailable")
				wantFetches(t, w, discoveryURL, before+attempt+1)
				<-time.After(4 * time.Second)
			}
			w.put(discoveryURL, says(200, metadata(issuerURL, newURL)))
			w.put(newURL, up)
			keys := w.count(keysURL)
			want(t, set, "a", "EdDSA", "found")
			wantFetches(t, w, keysURL, keys)
			w.put(discoveryURL, says(200, metadata(issuerURL, keysURL)))
			<-time.After(day)
		}
	})
}

// A place that never had keys is not the right one, whatever it answers: the issuer is asked again an hour later.
func TestPlaceThatNeverHadKeysIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, set := moved(t, 404)
		w.put(newURL, down)
		<-time.After(20 * time.Minute)
		want(t, set, "a", "EdDSA", "found")
		wantFetches(t, w, newURL, 1)
		w.put(discoveryURL, says(200, metadata(issuerURL, issuerURL+"/newer")))
		w.put(issuerURL+"/newer", says(200, keySet(edJWK("c"))))
		for range 62 {
			want(t, set, "a", "EdDSA", "found")
			wantFetches(t, w, discoveryURL, 2)
			<-time.After(time.Minute - time.Second)
		}
		<-time.After(time.Minute)
		want(t, set, "a", "EdDSA", "found") // starts it
		synctest.Wait()
		want(t, set, "c", "EdDSA", "found")
	})
}

func TestConfiguredURLIsNotDiscovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.remote(t)
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, says(404, ""))
		for range 10 {
			<-time.After(time.Hour)
			want(t, set, "a", "EdDSA", "found")
		}
		<-time.After(day)
		want(t, set, "a", "EdDSA", "unavailable")
		if len(w.hits) != 1 {
			t.Errorf("asked %v", w.hits)
		}
	})
}

func TestIssuerBehindTLSCannotLeadToPlainHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const local = "http://127.0.0.1:8500/keys"
		w := newWeb()
		w.put(discoveryURL, says(200, metadata(issuerURL, local)))
		w.put(local, says(200, keySet(edJWK("a"))))
		want(t, w.discover(t), "a", "EdDSA", "unavailable")
		wantFetches(t, w, local, 0)
		want(t, w.discover(t, jwks.InsecureHTTP()), "a", "EdDSA", "found")
	})
}

// On the goroutine of a fetch nobody recovers a panic, and it would end the process.
func TestPanicOfTheTransportIsAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		page := w.pages[keysURL]
		w.put(keysURL, func(*http.Request) (*http.Response, error) { panic("a transport's bug") })
		set := w.discover(t)
		_, err := set.Keys(t.Context(), "a", "EdDSA")
		if got := outcome(nil, err); got != "unavailable" || !strings.Contains(err.Error(), "panicked: a transport's bug") {
			t.Errorf("%s: %v", got, err)
		}
		w.put(keysURL, page)
		<-time.After(5 * time.Second)
		want(t, set, "a", "EdDSA", "found")
	})
}

// FailNow in a test's transport ends the goroutine of the fetch, and of nothing else.
func TestFetchThatEndsItsGoroutineIsAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		up := w.pages[keysURL]
		w.put(keysURL, func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil })
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "unavailable")
		w.put(keysURL, up)
		<-time.After(4 * time.Second)
		want(t, set, "a", "EdDSA", "found")
	})
}

func TestLongErrorsAreCutInTheLog(t *testing.T) {
	var log logs
	w := issuer(edJWK("a"))
	w.put(keysURL, func(*http.Request) (*http.Response, error) { return nil, errors.New(strings.Repeat("long", 1000)) })
	set := w.discover(t, jwks.WithLogger(log.logger()))
	want(t, set, "a", "EdDSA", "unavailable")
	if err := set.Close(); err != nil { // which waits for the log
		t.Fatal(err)
	}
	if lines := log.lines("longlong"); len(lines) != 1 || len(lines[0]) > 1000 {
		t.Errorf("the log has %d lines of it", len(lines))
	}
}

func TestRequestsSayWhatTheyAccept(t *testing.T) {
	w := issuer(edJWK("a"))
	want(t, w.discover(t), "a", "EdDSA", "found")
	for location, accept := range map[string]string{
		discoveryURL: "application/json",
		keysURL:      "application/jwk-set+json, application/json",
	} {
		r := w.last[location]
		if r.Method != http.MethodGet || r.Header.Get("Accept") != accept {
			t.Errorf("%s %s with Accept %q, want %q", r.Method, location, r.Header.Get("Accept"), accept)
		}
	}
}

func redirects(to string) page { return says(302, "", "Location", to) }

// Rules: key.https.
func TestRedirects(t *testing.T) {
	for name, test := range map[string]struct{ to, expected string }{
		"to another path":           {"/elsewhere", "found"},
		"to the default port":       {"https://issuer.test:443/elsewhere", "found"},
		"in capitals":               {"https://ISSUER.test/elsewhere", "found"},
		"to another host":           {"https://evil.test/elsewhere", "unavailable"},
		"to a subdomain":            {"https://www.issuer.test/elsewhere", "unavailable"},
		"to another port":           {"https://issuer.test:8443/elsewhere", "unavailable"},
		"to http":                   {"http://issuer.test/elsewhere", "unavailable"},
		"to http on the https port": {"http://issuer.test:443/elsewhere", "unavailable"},
		"to loopback":               {"http://127.0.0.1/elsewhere", "unavailable"},
		"to nowhere":                {"", "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			w := issuer()
			w.put(keysURL, redirects(test.to))
			for _, origin := range []string{
				issuerURL, "https://issuer.test:443", "https://ISSUER.test", "https://evil.test", "https://www.issuer.test",
				"https://issuer.test:8443", "http://issuer.test", "http://issuer.test:443", "http://127.0.0.1",
			} {
				w.put(origin+"/elsewhere", says(200, keySet(edJWK("a"))))
			}
			// Even where http is allowed, a redirect is no way there.
			keys, err := w.discover(t, jwks.InsecureHTTP()).Keys(t.Context(), "a", "EdDSA")
			if got := outcome(keys, err); got != test.expected {
				t.Errorf("%s, want %s: %v", got, test.expected, err)
			}
			if err != nil && (!strings.Contains(err.Error(), keysURL) || strings.Contains(err.Error(), "elsewhere")) {
				t.Errorf("the error shall name the URL that was asked, not where the server points: %v", err)
			}
		})
	}
}

func TestAtMostFiveRedirects(t *testing.T) {
	for hops, expected := range map[int]string{5: "found", 6: "unavailable"} {
		w := newWeb()
		at := keysURL
		for range hops {
			w.put(at, redirects(at+"x"))
			at += "x"
		}
		w.put(at, says(200, keySet(edJWK("a"))))
		want(t, w.remote(t), "a", "EdDSA", expected)
	}
}

func TestGivenClientKeepsItsSayAndIsNotChanged(t *testing.T) {
	refused := errors.New("not there")
	var asked []string
	w := newWeb()
	w.put(keysURL, redirects("/elsewhere"))
	w.put(issuerURL+"/elsewhere", redirects("https://evil.test/"))
	client := w.client()
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		asked = append(asked, r.URL.String())
		return refused
	}
	_, err := w.remote(t, jwks.WithHTTPClient(client)).Keys(t.Context(), "a", "EdDSA")
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), keysURL) ||
		len(asked) != 1 || w.count(issuerURL+"/elsewhere") != 0 {
		t.Errorf("the client's CheckRedirect was asked about %v: %v", asked, err)
	}
	if err := client.CheckRedirect(httptest.NewRequest("GET", "/", nil), nil); !errors.Is(err, refused) {
		t.Error("the given client was changed")
	}
}

func TestShorterTimeoutOfTheClientCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.put(keysURL, hangs)
		client := w.client()
		client.Timeout = time.Second
		set := w.remote(t, jwks.WithHTTPClient(client))
		if elapsed := took(func() { want(t, set, "a", "EdDSA", "unavailable") }); elapsed != time.Second {
			t.Errorf("took %s, want 1s", elapsed)
		}
	})
}

func TestFetchEndsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.put(keysURL, hangs)
		set := w.remote(t)
		ctx := t.Context()
		_, err := set.Keys(ctx, "a", "EdDSA") // both bounds are 5s: either error is right
		if outcome(nil, err) != "unavailable" {
			t.Fatal(err)
		}
		synctest.Wait()
		elapsed := took(func() { _, err = set.Keys(ctx, "a", "EdDSA") })
		if elapsed != 0 || !strings.Contains(err.Error(), keysURL) {
			t.Errorf("after %s: %v", elapsed, err)
		}
	})
}

// Over a socket, with the default client, which is allowed http on loopback and keeps no connection.
func TestDefaultClient(t *testing.T) {
	var closed sync.WaitGroup
	closed.Add(2) // the connections of two requests
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed.Done()
		}
	}
	server.Start()
	defer server.Close()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, metadata(server.URL, server.URL+"/keys"))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, keySet(edJWK("a")))
	})
	set, err := jwks.New(jwks.Discover(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	want(t, set, "a", "EdDSA", "found")
	closed.Wait()
}

func TestDefaultClientBoundsTheHeader(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 64<<10))
		_, _ = io.WriteString(w, keySet(edJWK("a")))
	}))
	defer server.Close()
	set, err := jwks.New(jwks.Remote(server.URL), jwks.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	want(t, set, "a", "EdDSA", "unavailable")
}

// offers answers with a GiB that begins like this, and counts the bytes of it that are read.
func offers(begin string, read *int) page {
	return func(r *http.Request) (*http.Response, error) {
		response, err := says(200, "")(r)
		response.ContentLength = 1 << 30
		response.Body = io.NopCloser(io.MultiReader(counted{strings.NewReader(begin), read}, counted{blank{}, read}))
		return response, err
	}
}

type counted struct {
	io.Reader
	read *int
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.read += n
	return n, err
}

type blank struct{}

func (blank) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// wantCheap fetches, expects this error, and that the fetch allocates a few MiB at most.
func wantCheap(t *testing.T, set *jwks.Set, says string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := set.Keys(t.Context(), "made-up", "EdDSA")
	runtime.ReadMemStats(&after)
	if outcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want an error with %q", err, says)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 10<<20 {
		t.Errorf("%d bytes were allocated", total)
	}
}

func TestLargeAnswersCostLittle(t *testing.T) {
	many := make([]jwk, 10_000)
	for i := range many {
		many[i] = jwk{"kty": "OKP", "kid": fmt.Sprint(i)}
	}
	var read int
	const tooLong = "longer than 1048576 bytes"
	for name, test := range map[string]struct {
		url  string
		page page
		says string
	}{
		"keys":        {keysURL, offers(keySet(edJWK("a")), &read), tooLong},
		"nothing":     {keysURL, offers("", &read), tooLong},
		"discovery":   {discoveryURL, offers(metadata(issuerURL, keysURL), &read), tooLong},
		"10,000 keys": {keysURL, says(200, keySet(many...)), "more than 256 keys"},
		"one of them": {keysURL, says(200, keySet(edJWK("a").with(jwk{"kid": strings.Repeat("a", 1<<20)}))), tooLong},
	} {
		t.Run(name, func(t *testing.T) {
			read = 0
			w := issuer(edJWK("a"))
			warm := w.discover(t)
			want(t, warm, "a", "EdDSA", "found")
			w.put(test.url, test.page)
			wantCheap(t, w.discover(t), test.says)
			if read > 1<<20+1 {
				t.Errorf("%d bytes were read", read)
			}
			if test.url == keysURL {
				wantCheap(t, warm, test.says)
				want(t, warm, "a", "EdDSA", "found")
			}
		})
	}
}

// A body of a MiB on the wire, and of a GiB behind it.
func TestCompressedAnswersAreBoundUncompressed(t *testing.T) {
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		mib := make([]byte, 1<<20)
		for range 1 << 10 {
			if _, err := compressed.Write(mib); err != nil {
				return
			}
		}
		_ = compressed.Close()
	}))
	defer server.Close()
	set, err := jwks.New(jwks.Remote(server.URL), jwks.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	wantCheap(t, set, "longer than 1048576 bytes")
	if asked != "gzip" {
		t.Errorf("asked for %q", asked)
	}
}

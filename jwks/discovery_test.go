package jwks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/jwks"
)

func metadata(issuer, keysURL string) string {
	return `{"issuer":"` + issuer + `","jwks_uri":"` + keysURL + `"}`
}

func TestDiscoveryTriesItsLocationsInOrder(t *testing.T) {
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
		"RFC 8414 after a 401": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + openID: 401, "https://issuer.test" + oauth: 200},
			[]string{"https://issuer.test" + openID, "https://issuer.test" + oauth},
			"found",
		},
		"not after a 429": {
			"https://issuer.test",
			map[string]int{"https://issuer.test" + openID: 429, "https://issuer.test" + oauth: 200},
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

func TestDiscoveryEndsAtATransportError(t *testing.T) {
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
			if !strings.Contains(err.Error(), discoveryURL) {
				t.Errorf("the error must name the URL: %v", err)
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

// moved is an issuer whose keys were at one place, and are now at another. It has a set that knows
// the first place.
func moved(t *testing.T, status int, keys ...jwk) (*web, *jwks.Set) {
	t.Helper()
	w, set := warm(t)
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
				w, set := warm(t)
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
		"it fails": { // then nothing was learned, and it is asked sooner
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
		w.put(discoveryURL, down) // which harms no set that has keys
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

// What discovery has found counts, even if no key has come from there yet.
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

// A place that never had keys is not the right one, whatever it answers: the issuer is asked again
// an hour later.
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

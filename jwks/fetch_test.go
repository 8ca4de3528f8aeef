package jwks_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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

func TestMovedKeysAreFoundByDiscovery(t *testing.T) {
	for _, status := range []int{404, 410} {
		synctest.Test(t, func(t *testing.T) {
			w := issuer(edJWK("a"))
			set := w.discover(t)
			want(t, set, "a", "EdDSA", "found")
			w.put(keysURL, says(status, "not here any more"))
			w.put(discoveryURL, says(200, metadata(issuerURL, issuerURL+"/new")))
			w.put(issuerURL+"/new", says(200, keySet(edJWK("b"))))
			<-time.After(11 * time.Minute)
			want(t, set, "b", "EdDSA", "found")
			want(t, set, "a", "EdDSA", "not found")
		})
	}
}

func TestOtherFailuresDoNotRepeatDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := issuer(edJWK("a"))
		set := w.discover(t)
		want(t, set, "a", "EdDSA", "found")
		w.put(keysURL, down)
		for range 10 {
			<-time.After(10 * time.Minute)
			want(t, set, "a", "EdDSA", "found")
		}
		wantFetches(t, w, discoveryURL, 1)
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

func TestLongErrorsAreCutInTheLog(t *testing.T) {
	var log logs
	w := issuer(edJWK("a"))
	w.put(keysURL, func(*http.Request) (*http.Response, error) { return nil, errors.New(strings.Repeat("long", 1000)) })
	set := w.discover(t, jwks.Logger(log.logger()))
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
	_, err := w.remote(t, jwks.HTTPClient(client)).Keys(t.Context(), "a", "EdDSA")
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
		set := w.remote(t, jwks.HTTPClient(client))
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
	set, err := jwks.New(jwks.Remote(server.URL), jwks.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	want(t, set, "a", "EdDSA", "unavailable")
}

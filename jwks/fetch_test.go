package jwks_test

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
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

// Nothing recovers a panic on the goroutine of a fetch, and it would end the process.
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
func TestRedirectsStayWithinTheirOrigin(t *testing.T) {
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
				t.Errorf("the error must name the URL that was asked, not where the server points: %v", err)
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

func TestGivenClientDecidesAndIsNotChanged(t *testing.T) {
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

// Over a socket, with the default client, which is allowed http on loopback and keeps no
// connection.
func TestDefaultClientFetchesOverASocket(t *testing.T) {
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

// The other side, which without a good certificate may be anyone, chooses texts that end up in an
// error: where the keys are, and the names in a certificate.
func TestErrorsAreReadable(t *testing.T) {
	const unreadable = "\x1b[2J\nforged"
	long := strings.Repeat("x", 30_000)
	invalid := x509.HostnameError{Host: "issuer.test", Certificate: &x509.Certificate{DNSNames: []string{unreadable, long}}}
	fails := func(*http.Request) (*http.Response, error) {
		return nil, &tls.CertificateVerificationError{Err: invalid}
	}
	for name, prepare := range map[string]func(w *web){
		"a certificate":     func(w *web) { w.put(discoveryURL, fails) },
		"a URL of the keys": func(w *web) { w.put(discoveryURL, says(200, metadata(issuerURL, issuerURL+"/\u202e\u0085"+long))) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := issuer()
				prepare(w)
				_, err := w.discover(t).Keys(t.Context(), "a", "EdDSA")
				if outcome(nil, err) != "unavailable" {
					t.Fatal(err)
				}
				if text := err.Error(); len(text) > 2000 || strings.ContainsAny(text, "\x1b\n\u202e\u0085") || !strings.Contains(text, "?") {
					t.Errorf("%d bytes: %.600q", len(text), text)
				}
				if found := new(x509.HostnameError); name == "a certificate" && !errors.As(err, found) {
					t.Error("the cause cannot be found")
				}
			})
		})
	}
}

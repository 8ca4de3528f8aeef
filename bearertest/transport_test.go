package bearertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
)

// Every test of this file runs in a bubble. A bubble fails its test when a goroutine is left in it, and its clock moves only
// while everything in it waits: so each of them also shows that the transport settles and leaves nothing behind.

// clientOf returns a client that reaches the handler at https://issuer.test.
func clientOf(handler http.HandlerFunc) *http.Client {
	origin := &url.URL{Scheme: "https", Host: "issuer.test"}
	return &http.Client{Transport: bearertest.NewTransport(origin, handler)}
}

func TestTransportCarriesTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || r.Host != "issuer.test" || r.URL.Path != "/a b" || r.URL.RawQuery != "q=1" ||
				r.Header.Get("X-Question") != "why" || string(body) != "question" {
				t.Errorf("the handler got %s %s %s, %v, %q", r.Method, r.Host, r.URL, r.Header, body)
			}
			w.Header().Set("X-Answer", "because")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "answer")
			w.Header().Set("X-Late", "not sent")
		})
		r := issuertest.Request(t.Context(), http.MethodPost, "https://issuer.test/a%20b?q=1", strings.NewReader("question"))
		r.Header.Set("X-Question", "why")
		got, err := issuertest.Exchange(client, r)
		if err != nil || string(got.Content) != "answer" || got.StatusCode != http.StatusTeapot ||
			got.Header.Get("X-Answer") != "because" || got.Header.Get("X-Late") != "" {
			t.Errorf("the client got %d, %v, %q, %v", got.StatusCode, got.Header, got.Content, err)
		}
	})
}

func TestTransportReachesItsOriginAlone(t *testing.T) {
	for _, address := range []string{
		"https://other.test/", "http://issuer.test/", "https://issuer.test:8443/", "https://issuer.test.example/",
	} {
		t.Run(address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := clientOf(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
				body := &closing{Reader: strings.NewReader("body")}
				_, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodPost, address, body))
				if err == nil || !strings.Contains(err.Error(), "reaches https://issuer.test alone") {
					t.Errorf("error %v, want one that names the origin", err)
				}
				if !body.closed {
					t.Error("the request's body was left open, which http.RoundTripper forbids")
				}
			})
		})
	}
}

// The client of an issuer reaches it at the other origin that Redirect leads to, and nothing else.
func TestTransportReachesTheIssuerElsewhere(t *testing.T) {
	for address, want := range map[string]bool{
		"https://issuer.test/jwks":        true,
		"https://elsewhere.test/jwks":     true,
		"https://Elsewhere.TEST/jwks":     true,
		"http://elsewhere.test/jwks":      false,
		"https://elsewhere.test:444/jwks": false,
		"https://localhost/jwks":          false,
		"https://else.test/jwks":          false,
	} {
		t.Run(address, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				got, err := issuertest.Exchange(issuer.Client(), issuertest.Request(t.Context(), http.MethodGet, address, nil))
				if reached := err == nil && got.StatusCode == http.StatusOK; reached != want {
					t.Errorf("reached: %t, %v", reached, err)
				}
				if err != nil && !strings.Contains(err.Error(), "reaches https://issuer.test alone") {
					t.Errorf("error %v, want one that names the origin", err)
				}
			})
		})
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestTransportStaysInTheProcessOnARedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.test/jwks", http.StatusFound)
		})
		_, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodGet, "https://issuer.test/jwks", nil))
		if err == nil || !strings.Contains(err.Error(), "not https://elsewhere.test") {
			t.Errorf("error %v, want one that names the target", err)
		}
	})
}

// A body is there piece by piece, when the handler sends it: one byte a second takes as many seconds.
func TestTransportStreamsTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "drip"
		client := clientOf(func(w http.ResponseWriter, _ *http.Request) {
			for _, b := range []byte(text) {
				<-time.After(time.Second)
				_, _ = w.Write([]byte{b})
				w.(http.Flusher).Flush()
			}
		})
		start := time.Now()
		response, err := client.Do(issuertest.Request(t.Context(), http.MethodGet, "https://issuer.test/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		for i := range text {
			var b [1]byte
			if _, err := io.ReadFull(response.Body, b[:]); err != nil || b[0] != text[i] {
				t.Fatalf("byte %d is %q, %v", i, b, err)
			}
			if elapsed := time.Since(start); elapsed != time.Duration(i+1)*time.Second {
				t.Errorf("byte %d came after %v", i, elapsed)
			}
		}
		if _, err := response.Body.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after the last byte: %v, want EOF", err)
		}
	})
}

func TestTransportEndsAHangingHandlerWithTheRequest(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hangInBody := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for name, handler := range map[string]http.HandlerFunc{"before the header": hang, "in the body": hangInBody} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := issuertest.Exchange(clientOf(handler), issuertest.Request(ctx, http.MethodGet, "https://issuer.test/", nil))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
					t.Errorf("after %v: %v, want the deadline's error after 5 s", time.Since(start), err)
				}
			})
		})
	}
	t.Run("with the client's timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := clientOf(hang)
			client.Timeout = 2 * time.Second
			start := time.Now()
			_, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodGet, "https://issuer.test/", nil))
			if err == nil || time.Since(start) != 2*time.Second {
				t.Errorf("after %v: %v, want an error after 2 s", time.Since(start), err)
			}
		})
	})
	t.Run("with a cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := issuertest.Exchange(clientOf(hang), issuertest.Request(ctx, http.MethodGet, "https://issuer.test/", nil))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want context.Canceled", err)
			}
		})
	})
}

// A body without end is read as far as its reader likes: closing it ends the handler that writes it.
func TestTransportEndsAnEndlessBodyWhenItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		client := clientOf(func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte("x"), 64<<10)
			for {
				if _, err := w.Write(chunk); err != nil {
					ended <- err
					return
				}
			}
		})
		response, err := client.Do(issuertest.Request(t.Context(), http.MethodGet, "https://issuer.test/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, response.Body, 1<<20); err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		_ = response.Body.Close()
		if err := <-ended; err == nil {
			t.Error("the handler's write succeeded after the body was closed")
		}
	})
}

func TestTransportBreaksOffWithTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half of ")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		got, err := issuertest.Exchange(client, issuertest.Request(t.Context(), http.MethodGet, "https://issuer.test/", nil))
		if string(got.Content) != "half of " || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the body is %q, %v; want an unexpected end", got.Content, err)
		}
	})
}

func TestTransportServesRequestsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOf(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Second)
			w.Header().Set("X-Name", r.Header.Get("X-Name"))
		})
		start := time.Now()
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				name := fmt.Sprint(i)
				r := issuertest.Request(t.Context(), http.MethodGet, "https://issuer.test/", nil)
				r.Header.Set("X-Name", name)
				if got, err := issuertest.Exchange(client, r); got.Header.Get("X-Name") != name {
					t.Errorf("the answer is for %q, %v; want %q", got.Header.Get("X-Name"), err, name)
				}
			})
		}
		group.Wait()
		if elapsed := time.Since(start); elapsed != time.Second {
			t.Errorf("100 requests took %v, want the second that each takes", elapsed)
		}
	})
}

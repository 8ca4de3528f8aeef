package bearertest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// fault is one way of misbehaving, and what there is to be seen of it. An outcome is a text as meet returns it.
type fault struct {
	name                     string
	begin                    func(*bearertest.Issuer)
	keySet, discovery, other string                        // the outcome of a request for each
	after                    func(bytes int) time.Duration // how long an answer of that length takes; nil for no time
	harmless                 bool                          // to a service without keys, too
}

const (
	right   = "right"
	patient = time.Minute // how long a client waits for an answer that does not come
)

// everyFault returns each fault, and first of all the issuer that has none.
func everyFault() []fault {
	at := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	inKeySet := func(name string, begin func(*bearertest.Issuer), keySet string) fault {
		return fault{name: name, begin: begin, keySet: keySet, discovery: right, other: "404"}
	}
	everywhere := func(name string, begin func(*bearertest.Issuer), outcome string) fault {
		return fault{name: name, begin: begin, keySet: outcome, discovery: outcome, other: outcome}
	}
	none := inKeySet("none", (*bearertest.Issuer).Restore, right)
	none.harmless = true
	slow := inKeySet("Slow", func(i *bearertest.Issuer) { i.Slow(7 * time.Second) }, right)
	slow.after = at(7 * time.Second)
	hang := everywhere("Hang", (*bearertest.Issuer).Hang, "no answer")
	hang.after = at(patient)
	drip := inKeySet("Drip", (*bearertest.Issuer).Drip, right)
	drip.after = func(bytes int) time.Duration { return time.Duration(bytes) * time.Second }
	huge := inKeySet("Huge", (*bearertest.Issuer).Huge, "right, and white space after it")
	huge.discovery = huge.keySet
	refuse := inKeySet("Refuse", func(i *bearertest.Issuer) { i.Refuse("invalid_client") }, right)
	refuse.harmless = true
	faults := []fault{
		none, slow, hang, drip, huge,
		everywhere("Down", (*bearertest.Issuer).Down, "503"),
		everywhere("Busy", func(i *bearertest.Issuer) { i.Busy(time.Second) }, "429"),
		everywhere("Mute", (*bearertest.Issuer).Mute, "no answer"),
		refuse,
		everywhere("HTML200", (*bearertest.Issuer).HTML200, "a web page"),
		inKeySet("EmptyKeys", (*bearertest.Issuer).EmptyKeys, `{"keys":[]}`),
		everywhere("Redirect", (*bearertest.Issuer).Redirect, "a redirect elsewhere"),
	}
	for _, kind := range bearertest.Poisons() {
		outcome, known := map[bearertest.Poison]string{
			bearertest.PoisonNullDocument: "null", bearertest.PoisonEmptyDocument: "{}",
		}[kind]
		if !known {
			outcome = "other keys"
		}
		poison := inKeySet("Poison "+string(kind), func(i *bearertest.Issuer) { i.Poison(kind) }, outcome)
		poison.harmless = !kind.InDocument()
		faults = append(faults, poison)
	}
	return faults
}

// meet sends a request, without following a redirect, and says in words what came back. It reads no more than it must
// to know, and closes the body then.
func meet(client *http.Client, r *http.Request, rightAnswer []byte) string {
	client = &http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	response, err := client.Do(r)
	if err != nil {
		return "no answer"
	}
	defer func() { _ = response.Body.Close() }()
	elsewhere := "https://elsewhere.test"
	if r.URL.Scheme == "http" { // over a socket
		elsewhere = "http://localhost:" + r.URL.Port()
	}
	switch {
	case response.StatusCode == http.StatusFound && response.Header.Get("Location") == elsewhere+r.URL.RequestURI():
		return "a redirect elsewhere"
	case response.StatusCode != http.StatusOK:
		return response.Status[:3]
	}
	limit := len(rightAnswer) + 100_000
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)))
	contentType := response.Header.Get("Content-Type")
	after, begins := bytes.CutPrefix(body, rightAnswer)
	switch {
	case err != nil:
		return err.Error()
	case strings.HasPrefix(contentType, "text/html") && bytes.Contains(body, []byte("<p>")):
		return "a web page"
	case !strings.HasPrefix(contentType, "application/"):
		return contentType
	case begins && len(after) == 0:
		return right
	case begins && len(body) == limit && len(bytes.TrimSpace(after)) == 0:
		return "right, and white space after it"
	case len(body) < 20:
		return string(body)
	case bytes.HasPrefix(body, []byte(`{"keys":[`)):
		return "other keys"
	}
	return "something else: " + string(body)
}

// document is what the issuer has to say at a path while nothing is wrong.
func document(tb testing.TB, issuer *bearertest.Issuer, path string) []byte {
	tb.Helper()
	_, _, body := get(tb, issuer.Client(), issuer.URL()+path)
	return body
}

// meets compares what a client meets at each path, and how long it takes, with what the fault promises.
func (f fault) meets(t *testing.T, issuer *bearertest.Issuer, discovery []byte) {
	t.Helper()
	for path, want := range map[string]string{"/jwks": f.keySet, discoveryPath: f.discovery, "/other?a=b": f.other} {
		rightAnswer := map[string][]byte{"/jwks": issuer.KeySet(), discoveryPath: discovery}[path]
		patience := time.Hour
		if want == "no answer" {
			patience = patient
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		start := time.Now()
		r := request(ctx, http.MethodGet, issuer.URL()+path, nil)
		if got := meet(issuer.Client(), r, rightAnswer); got != want {
			t.Errorf("%s: a request for %s meets %q, want %q", f.name, path, got, want)
		}
		if elapsed := time.Since(start); path != "/other?a=b" && (f.after == nil && elapsed != 0 ||
			f.after != nil && elapsed != f.after(len(rightAnswer))) {
			t.Errorf("%s: a request for %s takes %v", f.name, path, elapsed)
		}
		cancel()
	}
}

func TestEveryFaultInTheProcess(t *testing.T) {
	for _, fault := range everyFault() {
		t.Run(fault.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				discovery := document(t, issuer, discoveryPath)
				fetches, requests := issuer.Fetches(), issuer.Requests()
				fault.begin(issuer)
				fault.meets(t, issuer, discovery)
				if issuer.Fetches() != fetches+1 || issuer.Requests() != requests+3 {
					t.Errorf("%d fetches and %d requests are counted, want 1 and 3",
						issuer.Fetches()-fetches, issuer.Requests()-requests)
				}
				if err := verify(issuer.KeySet(), issuer.Token()); err != nil {
					t.Errorf("a token signed meanwhile is refused: %v", err)
				}
				issuer.Restore()
				if err := verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
					t.Errorf("after Restore: %v", err)
				}
			})
		})
	}
}

func TestEveryFaultOverASocket(t *testing.T) {
	for _, fault := range everyFault() {
		t.Run(fault.name, func(t *testing.T) {
			issuer := bearertest.NewServer(t)
			discovery := document(t, issuer, discoveryPath)
			before := issuer.Requests()
			fault.begin(issuer)
			switch {
			case fault.name == "Drip":
				response, err := issuer.Client().Do(request(t.Context(), http.MethodGet, issuer.URL()+"/jwks", nil))
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close() // long before its end
				if response.StatusCode != http.StatusOK || response.ContentLength >= 0 {
					t.Errorf("the answer is %d and %d bytes long", response.StatusCode, response.ContentLength)
				}
			case fault.after != nil:
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					arrived(issuer, before+1)
					cancel()
				}()
				r := request(ctx, http.MethodGet, issuer.URL()+"/jwks", nil)
				if got := meet(issuer.Client(), r, nil); got != "no answer" {
					t.Errorf("a request that is given up meets %q", got)
				}
			default:
				for path, want := range map[string]string{"/jwks": fault.keySet, discoveryPath: fault.discovery} {
					rightAnswer := map[string][]byte{"/jwks": issuer.KeySet(), discoveryPath: discovery}[path]
					r := request(t.Context(), http.MethodGet, issuer.URL()+path, nil)
					if got := meet(issuer.Client(), r, rightAnswer); got != want {
						t.Errorf("a request for %s meets %q, want %q", path, got, want)
					}
				}
			}
			issuer.Restore()
			if err := verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
				t.Errorf("after Restore: %v", err)
			}
		})
	}
}

// arrived returns when so many requests have reached the issuer.
func arrived(issuer *bearertest.Issuer, requests int) {
	for issuer.Requests() < requests {
		runtime.Gosched()
	}
}

func TestALaterFaultTakesThePlaceOfAnEarlierOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		discovery := document(t, issuer, discoveryPath)
		faults := everyFault()
		for _, fault := range slices.Concat(faults, faults[1:]) {
			fault.begin(issuer)
			fault.meets(t, issuer, discovery)
		}
	})
}

func TestARequestMeetsTheFaultThatStoodWhenItCameIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		ask := func(patience time.Duration) string {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return meet(issuer.Client(), request(ctx, http.MethodGet, issuer.URL()+"/jwks", nil), issuer.KeySet())
		}
		begin := func(name string, fault func(), want string, after time.Duration) *sync.WaitGroup {
			fault()
			var group sync.WaitGroup
			start := time.Now()
			group.Go(func() {
				if got := ask(patient); got != want || time.Since(start) != after {
					t.Errorf("%s: the request under way meets %q after %v", name, got, time.Since(start))
				}
			})
			<-time.After(5 * time.Second)
			return &group
		}
		group := begin("Slow", func() { issuer.Slow(10 * time.Second) }, right, 10*time.Second)
		issuer.Down()
		if got := ask(patient); got != "503" {
			t.Errorf("a request after Down meets %q", got)
		}
		group.Wait()
		group = begin("Hang", issuer.Hang, "no answer", patient)
		issuer.Restore()
		if got := ask(patient); got != right {
			t.Errorf("a request after Restore meets %q", got)
		}
		group.Wait()
	})
}

// Nothing is left running when a client goes, whatever it waits for: the bubble fails otherwise. The body of the
// request is there because net/http looks out for the end of a connection only once it was read.
func TestAFaultEndsWithItsClient(t *testing.T) {
	for _, fault := range everyFault() {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			t.Run(fault.name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					issuer := bearertest.NewIssuer()
					fault.begin(issuer)
					ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
					defer cancel()
					var body io.Reader
					if method == http.MethodPost {
						body = bytes.NewReader(make([]byte, 1<<20))
					}
					response, err := issuer.Client().Do(request(ctx, method, issuer.URL()+"/jwks", body))
					if err != nil {
						return // the time is up
					}
					_, _ = io.ReadFull(response.Body, make([]byte, 2)) // as far as that comes
					_ = response.Body.Close()
				})
			})
		}
	}
}

// lasting are the faults under which a request takes longer than a test.
var lasting = map[string]func(*bearertest.Issuer){
	"Slow": func(i *bearertest.Issuer) { i.Slow(time.Hour) },
	"Hang": (*bearertest.Issuer).Hang,
	"Drip": (*bearertest.Issuer).Drip,
	"Huge": (*bearertest.Issuer).Huge,
}

// A server's end does not wait for a client that waits for the server, and leaves no answer behind that looks complete.
func TestNewServerEndsWhileARequestIsUnderWay(t *testing.T) {
	for name, fault := range lasting {
		t.Run(name, func(outer *testing.T) {
			client := &http.Client{Transport: &http.Transport{}}
			ended, late := make(chan error, 1), make(chan error, 1)
			readOn := make(chan struct{})
			outer.Run("a test with a server", func(inner *testing.T) {
				issuer := bearertest.NewServer(inner)
				ask := func() *http.Request {
					return request(outer.Context(), http.MethodGet, issuer.URL()+"/jwks", nil)
				}
				fault(issuer)
				go func() {
					response, err := client.Do(ask())
					if err == nil {
						<-readOn
						_, err = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
					ended <- err
				}()
				arrived(issuer, 1)
				if name == "Huge" {
					blocked("(*Issuer).Huge")
				}
				inner.Cleanup(func() { // runs when the test is over, and before the server is
					_, err := exchange(client, ask())
					late <- err
				})
			})
			if err := <-late; err == nil {
				outer.Error("a request that comes in after the test got a whole answer")
			}
			close(readOn)
			if err := <-ended; err == nil {
				outer.Error("the request under way got a whole answer")
			}
		})
	}
}

// blocked returns when a goroutine that runs the function waits for its connection: a write then has filled every
// buffer.
func blocked(function string) {
	stacks := make([]byte, 1<<20)
	for {
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(stack, function) && strings.Contains(stack, "[IO wait") {
				return
			}
		}
		runtime.Gosched()
	}
}

// The end of a request is no answer, either: an empty one with the status 200 would be.
func TestARequestWithoutAnAnswerIsAborted(t *testing.T) {
	for name, fault := range lasting {
		t.Run(name, func(t *testing.T) {
			issuer := bearertest.NewIssuer()
			fault(issuer)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("the handler ends with %v, want http.ErrAbortHandler", p)
				}
			}()
			issuer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/jwks", nil))
		})
	}
}

// An answer without a body is over with its header: the connection is free for the next request then.
func TestAFaultInTheBodyNeedsABody(t *testing.T) {
	for _, name := range []string{"Drip", "Huge"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				lasting[name](issuer)
				start := time.Now()
				head := &sink{ResponseWriter: httptest.NewRecorder()}
				issuer.ServeHTTP(head, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/jwks", nil))
				if head.written > 1000 || time.Since(start) != 0 {
					t.Errorf("HEAD: %d bytes are written in %v", head.written, time.Since(start))
				}
			})
		})
	}
}

// sink counts what is written to it, and checks that all but the beginning is white space.
type sink struct {
	http.ResponseWriter
	begin          []byte
	written        int
	longest, wrong int
	failAt         int // fails from here on, if not zero
	failed         int // so often
}

// Unwrap lets a handler flush.
func (s *sink) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *sink) Write(p []byte) (int, error) {
	if s.failAt > 0 && s.written >= s.failAt {
		s.failed++
		return 0, errors.New("the client is gone")
	}
	if room := 1000 - len(s.begin); room > 0 {
		s.begin = append(s.begin, p[:min(room, len(p))]...)
		p = p[min(room, len(p)):]
		s.written += len(s.begin)
	}
	s.written += len(p)
	s.longest = max(s.longest, len(p))
	s.wrong += len(p) - bytes.Count(p, []byte(" "))
	return len(p), nil
}

func TestDripIsOneByteASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		issuer.Drip()
		start := time.Now()
		response, err := issuer.Client().Do(request(t.Context(), http.MethodGet, issuer.URL()+"/jwks", nil))
		if err != nil || time.Since(start) != 0 {
			t.Fatalf("the header comes after %v, %v; want it at once", time.Since(start), err)
		}
		defer func() { _ = response.Body.Close() }()
		for n, want := range issuer.KeySet() {
			var b [1]byte
			if _, err := io.ReadFull(response.Body, b[:]); err != nil || b[0] != want {
				t.Fatalf("byte %d is %q, %v; want %q", n, b, err, want)
			}
			if elapsed := time.Since(start); elapsed != time.Duration(n+1)*time.Second {
				t.Fatalf("byte %d comes after %v", n, elapsed)
			}
		}
	})
}

func TestHugeIsJSONToItsEnd(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.Huge()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/jwks", nil)
	whole := &sink{ResponseWriter: httptest.NewRecorder()}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	issuer.ServeHTTP(whole, r)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 || whole.longest > 1<<20 {
		t.Errorf("it takes %d bytes of memory and writes up to %d at once", grown, whole.longest)
	}
	if !bytes.HasPrefix(whole.begin, issuer.KeySet()) || !json.Valid(whole.begin) || whole.wrong > 0 {
		t.Errorf("it begins with %s, and %d bytes after that are no white space", whole.begin, whole.wrong)
	}
	if whole.written < 1<<30 {
		t.Errorf("%d bytes are written, want the right answer and 1 GiB", whole.written)
	}

	broken := &sink{ResponseWriter: httptest.NewRecorder(), failAt: 1 << 20}
	issuer.ServeHTTP(broken, r)
	if broken.failed != 1 {
		t.Errorf("it goes on to write %d times after the first that failed", broken.failed-1)
	}
	// A client that has the right answer is not told that nothing has changed.
	small := httptest.NewRecorder()
	issuer.Restore()
	issuer.ServeHTTP(small, r)
	issuer.Huge()
	r.Header.Set("If-None-Match", small.Header().Get("ETag"))
	again := &sink{ResponseWriter: httptest.NewRecorder(), failAt: 1 << 20}
	if issuer.ServeHTTP(again, r); again.written < 1<<20 {
		t.Errorf("a client that has the keys gets %d bytes", again.written)
	}
}

// Who follows the redirect gets good keys, so that it takes a look at the counters to find out.
func TestRedirectLeadsToTheRightAnswers(t *testing.T) {
	follow := func(t *testing.T, issuer *bearertest.Issuer) {
		t.Helper()
		issuer.Redirect()
		if err := verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
			t.Error(err)
		}
		if issuer.Fetches() != 2 || issuer.Requests() != 4 {
			t.Errorf("%d fetches and %d requests are counted, want 2 and 4", issuer.Fetches(), issuer.Requests())
		}
	}
	t.Run("over a socket", func(t *testing.T) { follow(t, bearertest.NewServer(t)) })
	for url, want := range map[string]string{
		"https://issuer.test":                "https://elsewhere.test",
		"https://login.example.com/a%2Fb/":   "https://elsewhere.test",
		"http://issuer.test:8080/realms":     "http://elsewhere.test:8080",
		"https://elsewhere.test":             "https://issuer.test",
		"HTTPS://Elsewhere.TEST:8443":        "https://issuer.test:8443",
		"http://127.0.0.1:8080/realms/shop":  "http://localhost:8080",
		"http://[::1]:8080":                  "http://localhost:8080",
		"https://localhost":                  "https://127.0.0.1",
		"https://elsewhere.test.example.com": "https://elsewhere.test",
	} {
		t.Run(url, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(bearertest.URL(url))
				follow(t, issuer)
				client := issuer.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				r := request(t.Context(), http.MethodGet, strings.TrimSuffix(url, "/")+"/x%2Fy?q=1", nil)
				got, err := exchange(client, r)
				if location := got.Header.Get("Location"); err != nil || location != want+r.URL.RequestURI() {
					t.Errorf("it leads to %q, %v; want %q", location, err, want+r.URL.RequestURI())
				}
			})
		})
	}
}

// A fault leaves a service that has its keys alone: that is what the comments promise of a good one, and what this
// package is there to show. One without keys answers 503, or works where the fault is one bad key among good ones.
func TestAGoodServiceOutlivesEveryFault(t *testing.T) {
	for _, fault := range everyFault() {
		t.Run(fault.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				newService := func() *bearer.Middleware {
					auth, err := bearer.New(
						bearer.WithIssuer(issuer.URL(), issuer.Audience()),
						bearer.WithHTTPClient(issuer.Client()),
						bearer.WithLogger(slog.New(slog.DiscardHandler)),
					)
					if err != nil {
						t.Fatal(err)
					}
					return auth
				}
				status := func(auth *bearer.Middleware, token string) int {
					_, err := auth.Guard().Verify(t.Context(), token)
					if refusal, ok := errors.AsType[*bearer.Error](err); ok {
						return refusal.StatusCode()
					}
					return http.StatusOK
				}
				warm, cold := newService(), newService()
				defer func() { _, _ = warm.Close(), cold.Close() }()
				if err := warm.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				fault.begin(issuer)
				before := issuer.Fetches()
				for range 3 {
					<-time.After(15 * time.Minute)
					if got := status(warm, issuer.Token()); got != http.StatusOK {
						t.Errorf("with keys: %d, want 200", got)
					}
				}
				if issuer.Fetches() == before {
					t.Error("the service never asked for newer keys")
				}
				want := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[fault.harmless]
				if got := status(cold, issuer.Token()); got != want {
					t.Errorf("without keys: %d, want %d", got, want)
				}
				if got := status(warm, issuer.Sign(bearertest.Claims{"kid": "poison"})); got == http.StatusOK {
					t.Error("a token under the kid poison is accepted")
				}
				issuer.Restore()
				if err := cold.Ready(t.Context()); err != nil || status(cold, issuer.Token()) != http.StatusOK {
					t.Errorf("after Restore: %v", err)
				}
			})
		})
	}
}

// published returns the key set that is served now, as text and as its entries.
func published(tb testing.TB, issuer *bearertest.Issuer) (text []byte, entries []json.RawMessage) {
	tb.Helper()
	text = document(tb, issuer, "/jwks")
	var set struct{ Keys []json.RawMessage }
	_ = json.Unmarshal(text, &set)
	return text, set.Keys
}

// Whether an entry is wrong in the way that its name says, and in no other.
func TestPoisonedEntries(t *testing.T) {
	decoded := func(text string) []byte {
		b, _ := base64.RawURLEncoding.Strict().DecodeString(text)
		return b
	}
	point := func(jwk map[string]string) error {
		raw := slices.Concat([]byte{4}, decoded(jwk["x"]), decoded(jwk["y"]))
		_, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
		return err
	}
	rsaSizes := func(jwk map[string]string) [2]int64 {
		return [2]int64{int64(len(decoded(jwk["n"])) * 8), new(big.Int).SetBytes(decoded(jwk["e"])).Int64()}
	}
	type check = func(jwk map[string]string) bool
	checks := map[bearertest.Poison]check{
		bearertest.PoisonUnknownType: func(jwk map[string]string) bool {
			return jwk["kty"] == "unknown" && jwk["crv"] == "P-256" && point(jwk) == nil
		},
		bearertest.PoisonUnknownCurve: func(jwk map[string]string) bool {
			return jwk["kty"] == "EC" && jwk["crv"] == "unknown" && point(jwk) == nil
		},
		bearertest.PoisonBase64: func(jwk map[string]string) bool {
			rest, broken := strings.CutPrefix(jwk["x"], "!")
			return broken && len(decoded("A"+rest)) == 32 && len(decoded(jwk["y"])) == 32
		},
		bearertest.PoisonShortCoordinate: func(jwk map[string]string) bool {
			return len(decoded(jwk["x"])) == 30 && len(decoded(jwk["y"])) == 32
		},
		bearertest.PoisonOffCurve: func(jwk map[string]string) bool {
			return len(decoded(jwk["x"])) == 32 && len(decoded(jwk["y"])) == 32 && point(jwk) != nil
		},
		bearertest.PoisonWeakRSA:      func(jwk map[string]string) bool { return rsaSizes(jwk) == [2]int64{1024, 65537} },
		bearertest.PoisonEvenExponent: func(jwk map[string]string) bool { return rsaSizes(jwk) == [2]int64{2048, 65536} },
		bearertest.PoisonSmallOrder: func(jwk map[string]string) bool {
			public := ed25519.PublicKey(decoded(jwk["x"]))
			forged := slices.Concat(public, make([]byte, 32))
			return ed25519.Verify(public, []byte("one"), forged) && ed25519.Verify(public, []byte("another"), forged)
		},
		bearertest.PoisonSymmetricKey: func(jwk map[string]string) bool {
			return jwk["kty"] == "oct" && len(decoded(jwk["k"])) == 32 && jwk["alg"] == "HS256"
		},
		bearertest.PoisonEncryptionKey: func(jwk map[string]string) bool {
			return jwk["use"] == "enc" && jwk["kty"] == "EC" && point(jwk) == nil && jwk["d"] == ""
		},
	}
	for kind, good := range checks {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				issuer.Rotate()
				_, want := published(t, issuer)
				issuer.Poison(kind)
				first, entries := published(t, issuer)
				var jwk map[string]string
				if len(entries) != 3 || json.Unmarshal(entries[0], &jwk) != nil ||
					string(entries[1]) != string(want[0]) || string(entries[2]) != string(want[1]) {
					t.Fatalf("the key set is %s, want one entry before the good ones", first)
				}
				forSigning := kind != bearertest.PoisonEncryptionKey
				if jwk["kid"] != "poison" || (jwk["use"] == "sig") != forSigning || !good(jwk) {
					t.Errorf("the entry is %v", jwk)
				}
				if again, _ := published(t, issuer); string(again) != string(first) {
					t.Error("the next answer is another one")
				}
				issuer.Poison(kind)
				again, _ := published(t, issuer)
				if string(again) == string(first) && kind != bearertest.PoisonSmallOrder {
					t.Error("Poison makes the same key twice")
				}
			})
		})
	}
	t.Run(string(bearertest.PoisonNullEntry), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			issuer := bearertest.NewIssuer()
			issuer.Poison(bearertest.PoisonNullEntry)
			text, _ := published(t, issuer)
			if want := strings.Replace(string(issuer.KeySet()), "[", "[null,", 1); string(text) != want {
				t.Errorf("the key set is %s", text)
			}
		})
	})
}

// The keys that need the issuer's algorithm, with each type of key there is. Golang-jwt judges them.
func TestPoisonedEntriesOfTheIssuersAlgorithm(t *testing.T) {
	for _, algorithm := range []string{"ES256", "ES512", "PS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(bearertest.Algorithm(algorithm))
				entry := func(kind bearertest.Poison) (jwk, good map[string]string) {
					issuer.Poison(kind)
					text, entries := published(t, issuer)
					if len(entries) != 2 || json.Unmarshal(entries[0], &jwk) != nil ||
						json.Unmarshal(entries[1], &good) != nil {
						t.Fatalf("%s: the key set is %s", kind, text)
					}
					return jwk, good
				}
				jwk, good := entry(bearertest.PoisonPrivateKey)
				if jwk["kid"] != "poison" || jwk["alg"] != algorithm || !privateFits(jwk) {
					t.Errorf("the private key is %v", jwk)
				}
				if jwk["x"]+jwk["n"] == good["x"]+good["n"] {
					t.Error("the issuer gives its own private key away")
				}
				jwk, good = entry(bearertest.PoisonEncryptionKey)
				if jwk["use"] != "enc" || jwk["kty"] != good["kty"] || jwk["crv"] != good["crv"] {
					t.Errorf("the encryption key is %v", jwk)
				}
				for range 2 { // after a rotation, too
					jwk, good = entry(bearertest.PoisonDuplicateKeyID)
					if jwk["kid"] != issuer.KeyID() || good["kid"] != issuer.KeyID() || jwk["alg"] != algorithm ||
						jwk["x"]+jwk["n"] == good["x"]+good["n"] {
						t.Errorf("the duplicate of %v is %v", good, jwk)
					}
					issuer.RotateWithoutOverlap()
					if text, _ := published(t, issuer); strings.Count(string(text), issuer.KeyID()) != 2 {
						t.Errorf("after a rotation the key set is %s", text)
					}
				}
			})
		})
	}
}

// privateFits reports whether the d of a JWK is the private half of the rest.
func privateFits(jwk map[string]string) bool {
	number := func(name string) *big.Int {
		b, _ := base64.RawURLEncoding.DecodeString(jwk[name])
		return new(big.Int).SetBytes(b)
	}
	d, _ := base64.RawURLEncoding.DecodeString(jwk["d"])
	switch jwk["kty"] {
	case "RSA":
		m := big.NewInt(42)
		c := new(big.Int).Exp(m, number("e"), number("n"))
		return c.Exp(c, number("d"), number("n")).Cmp(m) == 0
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-521": elliptic.P521()}[jwk["crv"]]
		private, err := ecdsa.ParseRawPrivateKey(curve, d)
		if err != nil {
			return false
		}
		point, err := private.PublicKey.Bytes()
		return err == nil && bytes.HasSuffix(point, number("y").Bytes()) && bytes.Contains(point, number("x").Bytes())
	default:
		x := number("x").FillBytes(make([]byte, 32))
		return len(d) == ed25519.SeedSize && bytes.Equal(ed25519.NewKeyFromSeed(d)[32:], x)
	}
}

func TestPoisonedDocuments(t *testing.T) {
	for kind, good := range map[bearertest.Poison]func(text, whole string) bool{
		bearertest.PoisonTruncated: func(text, whole string) bool {
			return strings.HasPrefix(whole, text) && !json.Valid([]byte(text)) && len(text) > 10
		},
		bearertest.PoisonNullDocument:  func(text, _ string) bool { return text == "null" },
		bearertest.PoisonEmptyDocument: func(text, _ string) bool { return text == "{}" },
		bearertest.PoisonDuplicateMember: func(text, whole string) bool {
			before, isLast := strings.CutSuffix(text, ","+whole[1:])
			return isLast && json.Valid([]byte(before+"}")) && strings.Count(before, `"poison"`) == 1
		},
		bearertest.PoisonTooManyKeys: func(text, whole string) bool {
			var set struct {
				Keys []struct{ Kid, Kty, X string }
			}
			if json.Unmarshal([]byte(text), &set) != nil || len(set.Keys) != 10_001 || len(text) >= 1<<20 {
				return false
			}
			kids := make(map[string]bool)
			for _, key := range set.Keys[:10_000] {
				kids[key.Kid] = key.Kty == "OKP" && len(key.X) == 43
			}
			return len(kids) == 10_000 && kids["poison-9999"] && strings.HasSuffix(text, strings.TrimPrefix(whole, `{"keys":[`))
		},
	} {
		for _, algorithm := range []string{"ES256", "RS256"} {
			t.Run(string(kind)+" "+algorithm, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					issuer := bearertest.NewIssuer(bearertest.Algorithm(algorithm))
					issuer.Poison(kind)
					if text := document(t, issuer, "/jwks"); !good(string(text), string(issuer.KeySet())) {
						t.Errorf("the key set is %.200s", text)
					}
				})
			})
		}
	}
}

func TestPoisonsListsEveryKindOnce(t *testing.T) {
	entries := []bearertest.Poison{
		bearertest.PoisonNullEntry, bearertest.PoisonUnknownType, bearertest.PoisonUnknownCurve, bearertest.PoisonBase64,
		bearertest.PoisonShortCoordinate, bearertest.PoisonOffCurve, bearertest.PoisonWeakRSA,
		bearertest.PoisonEvenExponent, bearertest.PoisonSmallOrder, bearertest.PoisonSymmetricKey,
		bearertest.PoisonPrivateKey, bearertest.PoisonEncryptionKey, bearertest.PoisonDuplicateKeyID,
	}
	documents := []bearertest.Poison{
		bearertest.PoisonTruncated, bearertest.PoisonNullDocument, bearertest.PoisonEmptyDocument,
		bearertest.PoisonDuplicateMember, bearertest.PoisonTooManyKeys,
	}
	all := bearertest.Poisons()
	if !slices.Equal(all, slices.Concat(entries, documents)) {
		t.Errorf("Poisons() = %v", all)
	}
	for _, kind := range append(entries, "unknown") {
		if kind.InDocument() {
			t.Errorf("%s is said to be in the whole document", kind)
		}
	}
	for _, kind := range documents {
		if !kind.InDocument() {
			t.Errorf("%s is not said to be in the whole document", kind)
		}
	}
	all[0] = "changed"
	if bearertest.Poisons()[0] == "changed" {
		t.Error("what Poisons returns is shared")
	}
}

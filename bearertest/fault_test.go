package bearertest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
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
	"github.com/bearer-go/bearer/bearertest/internal/issuertest"
)

// expectation is what there is to be seen of a fault. An outcome is a text as meet returns it.
type expectation struct {
	fault                    bearertest.Fault
	keySet, discovery, other string                        // the outcome of a request for each
	after                    func(bytes int) time.Duration // how long an answer of that length takes; nil for no time
	harmless                 bool                          // to a service without keys, too
}

const (
	right   = "right"
	patient = time.Minute // how long a client waits for an answer that does not come
)

// badDocuments are the poisons that leave no good key in the key set.
var badDocuments = []bearertest.Fault{
	bearertest.PoisonTruncated, bearertest.PoisonNullDocument, bearertest.PoisonEmptyDocument,
	bearertest.PoisonDuplicateMember, bearertest.PoisonTooManyKeys,
}

// badEntries are the poisons that leave good keys beside a bad one.
var badEntries = []bearertest.Fault{
	bearertest.PoisonNullEntry, bearertest.PoisonUnknownType, bearertest.PoisonUnknownCurve, bearertest.PoisonBase64,
	bearertest.PoisonShortCoordinate, bearertest.PoisonOffCurve, bearertest.PoisonWeakRSA,
	bearertest.PoisonEvenExponent, bearertest.PoisonSmallOrder, bearertest.PoisonSymmetricKey,
	bearertest.PoisonPrivateKey, bearertest.PoisonEncryptionKey, bearertest.PoisonDuplicateKeyID,
}

func (e expectation) name() string { return cmp.Or(string(e.fault), "none") }

// everyFault returns what is expected of each fault, and first of all of the issuer that has none.
func everyFault() []expectation {
	at := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	inKeySet := func(fault bearertest.Fault, keySet string) expectation {
		return expectation{fault: fault, keySet: keySet, discovery: right, other: "404"}
	}
	everywhere := func(fault bearertest.Fault, outcome string) expectation {
		return expectation{fault: fault, keySet: outcome, discovery: outcome, other: outcome}
	}
	none := inKeySet(bearertest.NoFault, right)
	none.harmless = true
	slow := inKeySet(bearertest.Slow(7*time.Second), right)
	slow.after = at(7 * time.Second)
	hang := everywhere(bearertest.Hang, "no answer")
	hang.after = at(patient)
	drip := inKeySet(bearertest.Drip, right)
	drip.after = func(bytes int) time.Duration { return time.Duration(bytes) * time.Second }
	huge := inKeySet(bearertest.Huge, "right, and white space after it")
	huge.discovery = huge.keySet
	faults := []expectation{
		none, slow, hang, drip, huge,
		everywhere(bearertest.Down, "503"),
		everywhere(bearertest.Busy(time.Second), "429"),
		everywhere(bearertest.Mute, "no answer"),
		everywhere(bearertest.HTML200, "a web page"),
		inKeySet(bearertest.EmptyKeys, `{"keys":[]}`),
		everywhere(bearertest.Redirect, "a redirect elsewhere"),
	}
	for _, kind := range slices.Concat(badEntries, badDocuments) {
		outcome, known := map[bearertest.Fault]string{
			bearertest.PoisonNullDocument: "null", bearertest.PoisonEmptyDocument: "{}",
		}[kind]
		if !known {
			outcome = "other keys"
		}
		poison := inKeySet(kind, outcome)
		poison.harmless = slices.Contains(badEntries, kind)
		faults = append(faults, poison)
	}
	return faults
}

func TestFaultsListsEveryFaultOnce(t *testing.T) {
	want := make(map[bearertest.Fault]bool)
	for _, expected := range everyFault()[1:] {
		want[expected.fault] = true
	}
	delete(want, bearertest.Slow(7*time.Second))
	want[bearertest.Slow(time.Second)] = true
	all := bearertest.Faults()
	for _, fault := range all {
		if !want[fault] {
			t.Errorf("Faults() has %q, once too often", fault)
		}
		delete(want, fault)
	}
	if len(want) > 0 {
		t.Errorf("Faults() = %q, without %v", all, want)
	}
	all[0] = "changed"
	if bearertest.Faults()[0] == "changed" {
		t.Error("what Faults returns is shared")
	}
}

// A fault is a text, so that it can be written to a log and read from a table.
func TestAFaultSaysItsTime(t *testing.T) {
	for fault, want := range map[bearertest.Fault]string{
		bearertest.Slow(1500 * time.Millisecond): "slow 1.5s",
		bearertest.Busy(90 * time.Second):        "busy 1m30s",
	} {
		if string(fault) != want {
			t.Errorf("the text is %q, want %q", fault, want)
		}
	}
}

// meet sends a request, without following a redirect, and says in words what came back. It reads no
// more than it must to know, and closes the body then.
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

// meets compares what a client meets at each path, and how long it takes, with what the fault
// promises.
func (e expectation) meets(t *testing.T, issuer *bearertest.Issuer, discovery []byte) {
	t.Helper()
	for path, want := range map[string]string{"/jwks": e.keySet, discoveryPath: e.discovery, "/other?a=b": e.other} {
		rightAnswer := map[string][]byte{"/jwks": issuer.KeySet(), discoveryPath: discovery}[path]
		patience := time.Hour
		if want == "no answer" {
			patience = patient
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		start := time.Now()
		r := issuertest.Request(ctx, http.MethodGet, issuer.URL()+path, nil)
		if got := meet(issuer.Client(), r, rightAnswer); got != want {
			t.Errorf("%s: a request for %s meets %q, want %q", e.name(), path, got, want)
		}
		if elapsed := time.Since(start); path != "/other?a=b" && (e.after == nil && elapsed != 0 ||
			e.after != nil && elapsed != e.after(len(rightAnswer))) {
			t.Errorf("%s: a request for %s takes %v", e.name(), path, elapsed)
		}
		cancel()
	}
}

func TestEveryFaultInTheProcess(t *testing.T) {
	for _, expected := range everyFault() {
		t.Run(expected.name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				discovery := document(t, issuer, discoveryPath)
				fetches, requests := issuer.Fetches(), issuer.Requests()
				issuer.SetFault(expected.fault)
				expected.meets(t, issuer, discovery)
				if issuer.Fetches() != fetches+1 || issuer.Requests() != requests+3 {
					t.Errorf("%d fetches and %d requests are counted, want 1 and 3",
						issuer.Fetches()-fetches, issuer.Requests()-requests)
				}
				if err := issuertest.Verify(issuer.KeySet(), issuer.Token()); err != nil {
					t.Errorf("a token signed meanwhile is refused: %v", err)
				}
				issuer.SetFault(bearertest.NoFault)
				if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
					t.Errorf("after the fault: %v", err)
				}
			})
		})
	}
}

func TestEveryFaultOverASocket(t *testing.T) {
	for _, expected := range everyFault() {
		t.Run(expected.name(), func(t *testing.T) {
			issuer := bearertest.NewServer(t)
			discovery := document(t, issuer, discoveryPath)
			before := issuer.Requests()
			issuer.SetFault(expected.fault)
			switch {
			case expected.fault == bearertest.Drip:
				response, err := issuer.Client().Do(issuertest.Request(t.Context(), http.MethodGet, issuer.URL()+"/jwks", nil))
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close() // long before its end
				if response.StatusCode != http.StatusOK || response.ContentLength >= 0 {
					t.Errorf("the answer is %d and %d bytes long", response.StatusCode, response.ContentLength)
				}
			case expected.after != nil:
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					arrived(issuer, before+1)
					cancel()
				}()
				r := issuertest.Request(ctx, http.MethodGet, issuer.URL()+"/jwks", nil)
				if got := meet(issuer.Client(), r, nil); got != "no answer" {
					t.Errorf("a request that is given up meets %q", got)
				}
			default:
				for path, want := range map[string]string{"/jwks": expected.keySet, discoveryPath: expected.discovery} {
					rightAnswer := map[string][]byte{"/jwks": issuer.KeySet(), discoveryPath: discovery}[path]
					r := issuertest.Request(t.Context(), http.MethodGet, issuer.URL()+path, nil)
					if got := meet(issuer.Client(), r, rightAnswer); got != want {
						t.Errorf("a request for %s meets %q, want %q", path, got, want)
					}
				}
			}
			issuer.SetFault(bearertest.NoFault)
			if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
				t.Errorf("after the fault: %v", err)
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
		for _, expected := range slices.Concat(faults, faults[1:]) {
			issuer.SetFault(expected.fault)
			expected.meets(t, issuer, discovery)
		}
	})
}

func TestARequestMeetsTheFaultThatStoodWhenItCameIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		ask := func(patience time.Duration) string {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return meet(issuer.Client(), issuertest.Request(ctx, http.MethodGet, issuer.URL()+"/jwks", nil), issuer.KeySet())
		}
		begin := func(fault bearertest.Fault, want string, after time.Duration) *sync.WaitGroup {
			issuer.SetFault(fault)
			var group sync.WaitGroup
			start := time.Now()
			group.Go(func() {
				if got := ask(patient); got != want || time.Since(start) != after {
					t.Errorf("%s: the request under way meets %q after %v", fault, got, time.Since(start))
				}
			})
			<-time.After(5 * time.Second)
			return &group
		}
		group := begin(bearertest.Slow(10*time.Second), right, 10*time.Second)
		issuer.SetFault(bearertest.Down)
		if got := ask(patient); got != "503" {
			t.Errorf("a request after Down meets %q", got)
		}
		group.Wait()
		group = begin(bearertest.Hang, "no answer", patient)
		issuer.SetFault(bearertest.NoFault)
		if got := ask(patient); got != right {
			t.Errorf("a request after the fault meets %q", got)
		}
		group.Wait()
	})
}

// Nothing is left running when a client goes, whatever it waits for: the bubble fails otherwise.
// The body of the request is there because net/http looks out for the end of a connection only once
// it was read.
func TestAFaultEndsWithItsClient(t *testing.T) {
	for _, expected := range everyFault() {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			t.Run(expected.name()+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					issuer := bearertest.NewIssuer()
					issuer.SetFault(expected.fault)
					ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
					defer cancel()
					var body io.Reader
					if method == http.MethodPost {
						body = bytes.NewReader(make([]byte, 1<<20))
					}
					response, err := issuer.Client().Do(issuertest.Request(ctx, method, issuer.URL()+"/jwks", body))
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
var lasting = []bearertest.Fault{
	bearertest.Slow(time.Hour), bearertest.Hang, bearertest.Drip, bearertest.Huge,
}

// A server's end does not wait for a client that waits for the server, and leaves no answer behind
// that looks complete.
func TestNewServerEndsWhileARequestIsUnderWay(t *testing.T) {
	for _, fault := range lasting {
		t.Run(string(fault), func(outer *testing.T) {
			client := &http.Client{Transport: &http.Transport{}}
			ended, late := make(chan error, 1), make(chan error, 1)
			readOn := make(chan struct{})
			outer.Run("a test with a server", func(inner *testing.T) {
				issuer := bearertest.NewServer(inner)
				ask := func() *http.Request {
					return issuertest.Request(outer.Context(), http.MethodGet, issuer.URL()+"/jwks", nil)
				}
				issuer.SetFault(fault)
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
				if fault == bearertest.Huge {
					blocked("(*Issuer).huge")
				}
				inner.Cleanup(func() { // runs when the test is over, and before the server is
					_, err := issuertest.Exchange(client, ask())
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

// blocked returns when a goroutine that runs the function waits for its connection: a write then
// has filled every buffer.
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
	for _, fault := range lasting {
		t.Run(string(fault), func(t *testing.T) {
			issuer := bearertest.NewIssuer()
			issuer.SetFault(fault)
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

// An answer without a body is over with its header: the connection is free for the next request
// then.
func TestAFaultInTheBodyNeedsABody(t *testing.T) {
	for _, fault := range []bearertest.Fault{bearertest.Drip, bearertest.Huge} {
		t.Run(string(fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				issuer.SetFault(fault)
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
		issuer.SetFault(bearertest.Drip)
		start := time.Now()
		response, err := issuer.Client().Do(issuertest.Request(t.Context(), http.MethodGet, issuer.URL()+"/jwks", nil))
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
	issuer.SetFault(bearertest.Huge)
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
	issuer.SetFault(bearertest.NoFault)
	issuer.ServeHTTP(small, r)
	issuer.SetFault(bearertest.Huge)
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
		issuer.SetFault(bearertest.Redirect)
		if err := issuertest.Verify(fetchKeys(t, issuer), issuer.Token()); err != nil {
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
				issuer := bearertest.NewIssuer(bearertest.WithURL(url))
				follow(t, issuer)
				client := issuer.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				r := issuertest.Request(t.Context(), http.MethodGet, strings.TrimSuffix(url, "/")+"/x%2Fy?q=1", nil)
				got, err := issuertest.Exchange(client, r)
				if location := got.Header.Get("Location"); err != nil || location != want+r.URL.RequestURI() {
					t.Errorf("it leads to %q, %v; want %q", location, err, want+r.URL.RequestURI())
				}
			})
		})
	}
}

// A fault leaves a service that has its keys alone: that is what the comments promise of a good
// one, and what this package is there to show. One without keys answers 503, or works where the
// fault is one bad key among good ones.
func TestAGoodServiceOutlivesEveryFault(t *testing.T) {
	for _, expected := range everyFault() {
		t.Run(expected.name(), func(t *testing.T) {
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
				issuer.SetFault(expected.fault)
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
				want := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[expected.harmless]
				if got := status(cold, issuer.Token()); got != want {
					t.Errorf("without keys: %d, want %d", got, want)
				}
				if got := status(warm, issuer.Sign(bearertest.Claims{"kid": "poison"})); got == http.StatusOK {
					t.Error("a token under the kid poison is accepted")
				}
				issuer.SetFault(bearertest.NoFault)
				if err := cold.Ready(t.Context()); err != nil || status(cold, issuer.Token()) != http.StatusOK {
					t.Errorf("after the fault: %v", err)
				}
			})
		})
	}
}

package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// directory is where an application has its customers' issuers, and counts how often it is asked.
type directory struct {
	mu     sync.Mutex
	known  map[string]bearer.Registration
	err    error
	work   func(ctx context.Context, issuer string) // before the answer, or nil
	calls  []time.Time
	issuer []string
}

func (d *directory) find(ctx context.Context, issuer string) (bearer.Registration, bool, error) {
	d.mu.Lock()
	d.calls, d.issuer = append(d.calls, time.Now()), append(d.issuer, issuer)
	work := d.work
	d.mu.Unlock()
	if work != nil {
		work(ctx, issuer)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r, found := d.known[issuer]
	return r, found, d.err
}

// has puts an issuer into the directory, with pinned keys that cannot be compared.
func (d *directory) has(issuers ...*bearertest.Issuer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, i := range issuers {
		keys := bearer.Keys(jwks.Static(i.KeySet()))
		d.known[i.URL()] = bearer.Registration{Audience: i.Audience(), Options: []bearer.IssuerOption{keys}}
	}
}

func (d *directory) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

func (d *directory) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.calls)
}

// withDirectory is a Middleware whose registry looks issuers up.
func withDirectory(t *testing.T, client *http.Client, opts ...bearer.RegistryOption) (*bearer.Middleware, *bearer.Registry, *directory) {
	t.Helper()
	d := &directory{known: make(map[string]bearer.Registration)}
	registry := bearer.NewRegistry(append(opts, bearer.WithLookup(d.find))...)
	if client == nil {
		client = &http.Client{Transport: unreachable{}}
	}
	return mustNew(t, bearer.WithRegistry(registry), bearer.WithHTTPClient(client), quiet()), registry, d
}

// madeUp is a token of an issuer that does not exist.
func madeUp(issuer *bearertest.Issuer, i int) string {
	return issuer.Token(c{"iss": fmt.Sprintf("https://made-up.test/%d", i)})
}

// The lookup's answer decides: found is trusted, not found is 401, and a failure of any kind is 503.
// Rules: issuer.lookup.
func TestLookupDecidesOnUnknownIssuers(t *testing.T) {
	down := fmt.Errorf("the database is down: %w", io.ErrUnexpectedEOF)
	for name, test := range map[string]struct {
		prepare func(*directory, *bearertest.Issuer)
		want    bearer.Reason
		cause   string
	}{
		"found":     {func(d *directory, i *bearertest.Issuer) { d.has(i) }, "", ""},
		"not found": {func(*directory, *bearertest.Issuer) {}, bearer.ReasonUnknownIssuer, "the lookup does not know"},
		"a failure": {func(d *directory, i *bearertest.Issuer) { d.has(i); d.err = down }, bearer.ReasonPolicyUnavailable, "the database is down"},
		"a panic": {func(d *directory, i *bearertest.Issuer) {
			d.has(i)
			d.work = func(context.Context, string) { panic("canary") }
		}, bearer.ReasonPolicyUnavailable, "the lookup panicked"},
		"the end of its goroutine": {func(d *directory, i *bearertest.Issuer) {
			d.has(i)
			d.work = func(context.Context, string) { runtime.Goexit() }
		}, bearer.ReasonPolicyUnavailable, "ended its goroutine"},
		"an answer with mistakes": {func(d *directory, i *bearertest.Issuer) {
			d.known[i.URL()] = bearer.Registration{}
		}, bearer.ReasonPolicyUnavailable, "the audience is empty"},
		"a template": {func(d *directory, i *bearertest.Issuer) {
			opts := []bearer.IssuerOption{bearer.JWKSURL("https://x.test"), bearer.IssuerTemplate("tid", acceptAll)}
			d.known[i.URL()] = bearer.Registration{Audience: "api", Options: opts}
		}, bearer.ReasonPolicyUnavailable, "no templates"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				auth, _, d := withDirectory(t, nil)
				issuer := issuerAt("https://customer.test")
				test.prepare(d, issuer)
				for range 2 {
					_, err := auth.Guard().Verify(t.Context(), issuer.Token())
					if got := reasonOf(t, err); got != test.want || !strings.Contains(causeOf(err), test.cause) {
						t.Errorf("reason %q, cause %q; want %q, %q", got, causeOf(err), test.want, test.cause)
					}
					if test.want == bearer.ReasonPolicyUnavailable && !errors.Is(err, bearer.ErrUnavailable) {
						t.Error("it is no 503")
					}
				}
				if d.err != nil {
					if _, err := auth.Guard().Verify(t.Context(), issuer.Token()); !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("the cause does not wrap the failure: %v", err)
					}
				}
			})
		})
	}
}

// Requests for one issuer share a call, which no request ends.
// Rules: issuer.lookup.
func TestRequestsShareOneLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil)
		issuer := issuerAt("https://customer.test")
		d.has(issuer)
		type key struct{}
		d.work = func(ctx context.Context, _ string) {
			if ctx.Value(key{}) != nil {
				t.Error("the context is a request's")
			}
			<-time.After(time.Second)
		}
		leaving, leave := context.WithCancel(context.WithValue(context.Background(), key{}, 1))
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := auth.Guard().Verify(leaving, issuer.Token())
			if reasonOf(t, err) != bearer.ReasonPolicyUnavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("the client that left: %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() { wantReason(t, auth, issuer.Token(), "") })
		}
		synctest.Wait()
		leave()
		wg.Wait()
		if n := d.count(); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// In no second are there more calls than the rate. Over it an unknown issuer is 401 without a call.
// Rules: issuer.lookup-bounded.
func TestLookupKeepsToItsRate(t *testing.T) {
	for _, rate := range []int{0, 1, 2, 3, 7, 40} {
		synctest.Test(t, func(t *testing.T) {
			var opts []bearer.RegistryOption
			most := 20 // by default
			if rate > 0 {
				opts, most = append(opts, bearer.WithLookupRate(rate)), rate
			}
			auth, _, d := withDirectory(t, nil, opts...)
			issuer := issuerAt("https://customer.test")
			over := 0
			for i := range 3000 {
				_, err := auth.Guard().Verify(t.Context(), madeUp(issuer, i))
				if reasonOf(t, err) != bearer.ReasonUnknownIssuer {
					t.Fatal(err)
				}
				if strings.Contains(causeOf(err), "as often as it may be") {
					over++
				}
				<-time.After(time.Millisecond)
			}
			if over+d.count() != 3000 {
				t.Errorf("%d calls and %d refusals without one, of 3000", d.count(), over)
			}
			share := most - min((most+3)/4, most-1)
			for i := range d.calls {
				if i >= share && d.calls[i].Sub(d.calls[i-share]) < time.Second {
					t.Errorf("rate %d: calls %d and %d are %v apart", most, i-share, i, d.calls[i].Sub(d.calls[i-share]))
				}
			}
			if n := d.count(); n < 3*share || n > 3*share+share {
				t.Errorf("rate %d: %d calls in 3 seconds", most, n)
			}
		})
	}
}

// Made-up issuers cannot use up the calls for those that the lookup found before, however few.
// Rules: issuer.lookup-bounded.
func TestFloodLeavesACallAtALowRate(t *testing.T) {
	for rate := 2; rate <= 8; rate++ {
		synctest.Test(t, func(t *testing.T) {
			auth, _, d := withDirectory(t, nil, bearer.WithLookupRate(rate), bearer.WithLookupLifetime(time.Second))
			issuer := issuerAt("https://customer.test")
			d.has(issuer)
			wantReason(t, auth, issuer.Token(), "")
			<-time.After(time.Second)
			for i := range 20 {
				wantReason(t, auth, madeUp(issuer, i), bearer.ReasonUnknownIssuer)
			}
			wantReason(t, auth, issuer.Token(), "")
		})
	}
}

// Made-up issuers cannot use up the calls for those that the lookup found before.
// Rules: issuer.lookup-bounded.
func TestFloodOfIssuersLeavesCallsForKnownOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil, bearer.WithLookupRate(4), bearer.WithLookupLifetime(10*time.Second))
		issuers := []*bearertest.Issuer{issuerAt("https://one.test"), issuerAt("https://two.test")}
		d.has(issuers...)
		for _, issuer := range issuers {
			wantReason(t, auth, issuer.Token(), "")
		}
		<-time.After(10 * time.Second)
		for i := range 10 {
			wantReason(t, auth, madeUp(issuers[0], i), bearer.ReasonUnknownIssuer)
		}
		if n := d.count(); n != 2+3 {
			t.Errorf("%d calls", n)
		}
		wantReason(t, auth, issuers[0].Token(), "")
		_, err := auth.Guard().Verify(t.Context(), issuers[1].Token())
		if reasonOf(t, err) != bearer.ReasonPolicyUnavailable || !strings.Contains(causeOf(err), "too old") {
			t.Errorf("a known issuer over the rate: %v, %q", err, causeOf(err))
		}
		<-time.After(time.Second)
		wantReason(t, auth, issuers[1].Token(), "")
	})
}

// While the lookup fails, an unknown issuer over the rate is 503, too: the token may be good.
// Rules: issuer.lookup-bounded.
func TestOverTheRateOfAFailingLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil, bearer.WithLookupRate(1))
		issuer := issuerAt("https://customer.test")
		d.err = errors.New("down")
		for i := range 5 {
			wantReason(t, auth, madeUp(issuer, i), bearer.ReasonPolicyUnavailable)
		}
		d.set(func() { d.err = nil })
		<-time.After(time.Second)
		for i := range 5 {
			wantReason(t, auth, madeUp(issuer, i), bearer.ReasonUnknownIssuer)
		}
		if n := d.count(); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

// A lookup that does not return in time has failed. At most 128 run, of which made-up issuers have
// 96: those that the lookup found before have the others.
// Rules: issuer.lookup-bounded.
func TestLookupsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil, bearer.WithLookupRate(1000), bearer.WithLookupLifetime(time.Second))
		issuer, known := issuerAt("https://customer.test"), issuerAt("https://known.test")
		d.has(known)
		wantReason(t, auth, known.Token(), "")
		<-time.After(time.Second)
		release := make(chan struct{})
		d.work = func(_ context.Context, name string) {
			if name != known.URL() {
				<-release
			}
		}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				start := time.Now()
				_, err := auth.Guard().Verify(context.Background(), madeUp(issuer, i))
				switch waited := time.Since(start); reasonOf(t, err) {
				case bearer.ReasonPolicyUnavailable:
					if waited != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("after %v: %v", waited, err)
					}
				case bearer.ReasonUnknownIssuer:
					if waited != 0 {
						t.Errorf("after %v: %v", waited, err)
					}
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := d.count(); n != 1+96 {
			t.Errorf("%d calls run", n-1)
		}
		wantReason(t, auth, madeUp(issuer, 1000), bearer.ReasonPolicyUnavailable) // the last call failed, and none may start
		wantReason(t, auth, known.Token(), "")
		close(release)
		synctest.Wait()
		wantReason(t, auth, madeUp(issuer, 1000), bearer.ReasonUnknownIssuer)
		if n := d.count(); n != 1+96+2 {
			t.Errorf("%d calls", n)
		}
	})
}

// The lookup is asked for what can be an issuer's URL, and for nothing else.
// Rules: issuer.lookup-bounded.
func TestLookupIsAskedForURLsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil)
		issuer := issuerAt("https://customer.test")
		long := "https://long.test/" + strings.Repeat("x", 512-len("https://long.test/"))
		for i, iss := range []string{"https://a.test", "https://a.test:8443/b", "http://127.0.0.1:80/x", long} {
			wantReason(t, auth, issuer.Token(c{"iss": iss}), bearer.ReasonUnknownIssuer)
			if len(d.issuer) != i+1 || d.issuer[i] != iss {
				t.Errorf("asked for %q, want %q", d.issuer, iss)
			}
		}
		asked := d.count()
		for _, iss := range []string{
			"", "a", "a.test", "/x", "http://a.test", "ftp://a.test", "https://", "https://u@a.test", "https://u:p@a.test", "https://a.test/?q",
			"https://a.test/#f", "https://a.test/a b", "https://a.test/\x00", "https://a.test/ä", `https://a.test/"`, `https://a.test/\`,
			"https://a.test/\r\nx", long + "x", strings.Repeat("\x01", 500),
		} {
			wantReason(t, auth, issuer.Token(c{"iss": iss}), bearer.ReasonUnknownIssuer)
		}
		if d.count() != asked {
			t.Errorf("asked for %q", d.issuer[asked:])
		}
	})
}

// No answer counts for longer than is said: not one of 30 seconds that there is no such issuer, and
// not that there is one.
// Rules: issuer.lookup.
func TestAnswersOfTheLookupHaveALifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, registry, d := withDirectory(t, nil)
		issuer, late, added := issuerAt("https://customer.test"), issuerAt("https://late.test"), issuerAt("https://added.test")
		wantReason(t, auth, late.Token(), bearer.ReasonUnknownIssuer)
		wantReason(t, auth, added.Token(), bearer.ReasonUnknownIssuer)
		d.has(late)
		mustAdd(t, registry, added) // and that counts at once
		wantReason(t, auth, added.Token(), "")
		<-time.After(30*time.Second - 1)
		wantReason(t, auth, late.Token(), bearer.ReasonUnknownIssuer)
		<-time.After(1)
		wantReason(t, auth, late.Token(), "")

		d.has(issuer)
		exp := c{"exp": time.Now().Add(time.Hour)}
		token := issuer.Token(exp)
		passed, err := auth.Guard().Authenticate(get("Bearer " + token))
		if err != nil {
			t.Fatal(err)
		}
		d.set(func() { delete(d.known, issuer.URL()) })
		<-time.After(5*time.Minute - 1)
		wantReason(t, auth, token, "")
		if _, err := auth.Guard().Authenticate(passed); err != nil {
			t.Error(err)
		}
		<-time.After(1)
		_, err = auth.Guard().Authenticate(passed)
		if reasonOf(t, err) != bearer.ReasonUnknownIssuer {
			t.Errorf("an inner guard: %v", err)
		}
		wantReason(t, auth, token, bearer.ReasonUnknownIssuer)
		if n := len(auth.Stats().Issuers); n != 2 { // late, and added
			t.Errorf("Stats has %d issuers", n)
		}
		<-time.After(time.Hour)
		wantReason(t, auth, added.Token(), "") // what was added stays
	})
}

// An issuer keeps its keys when the lookup repeats its answer, and is judged by a new one.
// Rules: issuer.lookup.
func TestRepeatedAnswerOfTheLookupKeepsTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := issuerAt("https://customer.test")
		auth, _, d := withDirectory(t, issuer.Client(), bearer.WithLookupLifetime(time.Second))
		answer := func(opts ...bearer.IssuerOption) {
			d.set(func() { d.known[issuer.URL()] = bearer.Registration{Audience: issuer.Audience(), Options: opts} })
		}
		token := issuer.Token(c{"exp": time.Now().Add(time.Hour), "iat": time.Now()})
		for range 5 {
			answer(bearer.Leeway(time.Minute), bearer.RolesClaim("r"))
			wantReason(t, auth, token, "")
			<-time.After(time.Second)
		}
		if calls, fetches := d.count(), issuer.Fetches(); calls != 5 || fetches != 1 {
			t.Errorf("%d calls and %d fetches", calls, fetches)
		}
		answer(bearer.MaxLifetime(time.Minute))
		wantReason(t, auth, token, bearer.ReasonLifetime)
		<-time.After(time.Second)
		answer()
		wantReason(t, auth, token, "")
		d.set(func() { d.err = errors.New("down") })
		wantReason(t, auth, token, "")
		<-time.After(time.Second)
		wantReason(t, auth, token, bearer.ReasonPolicyUnavailable)
	})
}

// After Remove the lookup does not bring an issuer back, even if it was being asked. Add does.
// Rules: issuer.registry.
func TestLookupBringsNoRemovedIssuerBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, registry, d := withDirectory(t, nil)
		issuer := issuerAt("https://customer.test")
		d.has(issuer)
		wantReason(t, auth, issuer.Token(), "")
		registry.Remove(issuer.URL())
		for range 3 {
			wantReason(t, auth, issuer.Token(), bearer.ReasonUnknownIssuer)
			<-time.After(time.Hour)
		}
		if n := d.count(); n != 1 {
			t.Errorf("%d calls", n)
		}
		mustAdd(t, registry, issuer)
		wantReason(t, auth, issuer.Token(), "")

		d.work = func(context.Context, string) { <-time.After(time.Second) }
		for _, test := range []struct {
			url       string
			meanwhile func(*bearertest.Issuer)
			want      bearer.Reason
		}{
			{"https://removed.test", func(i *bearertest.Issuer) { registry.Remove(i.URL()) }, bearer.ReasonUnknownIssuer},
			{"https://added.test", func(i *bearertest.Issuer) { mustAdd(t, registry, i) }, ""},
		} {
			asked := issuerAt(test.url)
			d.has(asked)
			var wg sync.WaitGroup
			wg.Go(func() { wantReason(t, auth, asked.Token(), test.want) })
			synctest.Wait()
			test.meanwhile(asked)
			wg.Wait()
			<-time.After(2 * time.Second)
			wantReason(t, auth, asked.Token(), test.want)
		}
	})
}

// Close ends the lookups.
// Rules: issuer.lookup.
func TestCloseEndsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth, _, d := withDirectory(t, nil)
		issuer := issuerAt("https://customer.test")
		d.work = func(ctx context.Context, _ string) { <-ctx.Done() }
		done := make(chan bearer.Reason)
		go func() {
			_, err := auth.Guard().Verify(context.Background(), issuer.Token())
			done <- reasonOf(t, err)
		}()
		synctest.Wait()
		_ = auth.Close()
		if got := <-done; got != bearer.ReasonClosed {
			t.Errorf("reason %q", got)
		}
	})
}

package bearer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// Unpublished key ids arrive all the time, from attackers or from forgotten clients. A key that the
// issuer then begins to use is found at once, or after a wait if they have spent the budget.
func promiseOfTrickle(t *testing.T) {
	forged := 0
	forge := func(issuer *bearertest.Issuer) string {
		forged++
		return issuer.Sign(c{"kid": fmt.Sprint("forged-", forged)})
	}
	// rotated checks how the first tokens of a new key are answered.
	rotated := func(t *testing.T, auth *bearer.Middleware, token func() string, within time.Duration) {
		t.Helper()
		for range 200 {
			if wait := took(func() {
				if got := status(t, auth, token()); got != 204 {
					t.Errorf("status %d for a good token", got)
				}
			}); wait > within {
				t.Errorf("answered after %s, want at most %s", wait, within)
			}
			<-time.After(200 * time.Millisecond)
		}
	}
	for name, test := range map[string]struct {
		every, lasts, within time.Duration
	}{
		"one forged key id each half minute":      {30 * time.Second, time.Hour, 0},
		"fewer than the issuer is asked about":    {5 * time.Second, time.Hour, 0},
		"as many as the issuer is asked about":    {4 * time.Second, time.Hour, 4 * time.Second},
		"many times as many as it is asked about": {100 * time.Millisecond, time.Minute, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for _, rotate := range []func(*bearertest.Issuer){
				(*bearertest.Issuer).Rotate, (*bearertest.Issuer).RotateWithoutOverlap,
			} {
				synctest.Test(t, func(t *testing.T) {
					issuer, token := newIssuer()
					auth := newWarm(t, issuer)
					var wg sync.WaitGroup
					forge := func() {
						text := forge(issuer)
						wg.Go(func() {
							if got := status(t, auth, text); got != 401 {
								t.Errorf("status %d for a forged key id", got)
							}
						})
					}
					for range 30 { // once; then one after the other, up to the rotation
						forge()
						synctest.Wait()
					}
					for began := time.Now(); time.Since(began) < test.lasts; {
						<-time.After(test.every)
						forge()
						synctest.Wait()
					}
					rotate(issuer)
					rotated(t, auth, token, test.within)
					wg.Wait()
				})
			}
		})
	}
	t.Run("a forgotten client", func(t *testing.T) {
		for phase := range 5 { // of the client's period
			synctest.Test(t, func(t *testing.T) {
				issuer, token := newIssuer()
				auth := newWarm(t, issuer)
				old := issuer.Token() // of a key that will be withdrawn, and it will have expired long since
				wantReason(t, auth, old, "")
				issuer.RotateWithoutOverlap()
				<-time.After(24 * time.Hour)
				for range 32 {
					wantReason(t, auth, old, bearer.ReasonUnknownKey)
					<-time.After(10 * time.Second)
				}
				<-time.After(time.Duration(2*phase) * time.Second)
				issuer.Rotate()
				rotated(t, auth, token, 0)
			})
		}
	})
}

// A service of 32 connections. Of its requests 7 % carry a withdrawn key id.
func promiseOfUnsteady(t *testing.T) {
	const (
		connections = 32
		each        = 2 * time.Second // requests of one connection
		lasts       = 6 * time.Minute
		rotates     = 45 * time.Second
		fails       = 10 * time.Second
		grace       = 5 * time.Second
	)
	for _, at := range []time.Duration{10 * time.Second, 25 * time.Second, 40 * time.Second, 55 * time.Second} { // of each minute
		t.Run(fmt.Sprint("it fails at ", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer, token := newIssuer()
				withdrawn := []string{token()}
				issuer.RotateWithoutOverlap()
				auth := mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience()),
					bearer.WithHTTPClient(&http.Client{Transport: distant{issuer.Client().Transport, 50 * time.Millisecond}}))
				if err := auth.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var mu sync.Mutex // guards what follows, and withdrawn
				var failing bool
				var spoiled bool           // the current key was first published during a failure,
				var excusedUntil time.Time // and until then it need not be known
				served, refused := 0, 0

				var wg sync.WaitGroup
				wg.Go(func() {
					for range lasts / rotates {
						<-time.After(rotates)
						mu.Lock()
						withdrawn = append(withdrawn, token())
						issuer.Rotate()
						spoiled, excusedUntil = failing, time.Time{}
						mu.Unlock()
					}
				})
				wg.Go(func() {
					<-time.After(at + time.Millisecond) // never at the time of a rotation
					for range lasts / time.Minute {
						mu.Lock()
						failing = true
						mu.Unlock()
						issuer.SetFault(bearertest.Down)
						<-time.After(fails)
						issuer.SetFault(bearertest.NoFault)
						mu.Lock()
						failing, excusedUntil = false, time.Now().Add(grace)
						mu.Unlock()
						<-time.After(time.Minute - fails)
					}
				})
				for connection := range connections {
					wg.Go(func() {
						<-time.After(each * time.Duration(2*connection+1) / (2 * connections))
						for n := connection; time.Since(began) < lasts; n++ {
							if n*7%100 < 7 {
								mu.Lock()
								text := withdrawn[n%max(1, len(withdrawn)-1)]
								mu.Unlock()
								if got := status(t, auth, text); got != 401 && got != 503 && got != 204 {
									t.Errorf("status %d for a withdrawn key id", got)
								}
							} else {
								mu.Lock()
								text, sent := token(), time.Now()
								excused := spoiled && (failing || sent.Before(excusedUntil))
								mu.Unlock()
								got := status(t, auth, text)
								mu.Lock()
								switch {
								case got == 204:
									served++
								case got == 503 && excused:
									refused++
								default:
									t.Errorf("after %s: status %d for a good token", sent.Sub(began), got)
								}
								mu.Unlock()
							}
							<-time.After(each)
						}
					})
				}
				wg.Wait()
				if served < connections*int(lasts/each)*8/10 || refused == 0 {
					t.Errorf("%d served, %d refused: the failures were not met", served, refused)
				}
				if n, most := auth.Stats().Issuers[0].Fetches, 5+int(lasts/(4*time.Second)); n > most {
					t.Errorf("%d fetches, want at most %d", n, most)
				}
			})
		})
	}
}

// distant is a transport that adds a delay.
type distant struct {
	next http.RoundTripper
	by   time.Duration
}

func (d distant) RoundTrip(r *http.Request) (*http.Response, error) {
	<-time.After(d.by)
	return d.next.RoundTrip(r)
}

// The same over sockets, one step after another. The time of a step makes no difference.
func TestUnsteadyIssuerIsSurvivedOverSockets(t *testing.T) {
	t.Parallel()
	const connections, requests = 32, 40
	issuer := bearertest.NewServer(t)
	auth := newAuth(t, issuer)
	service := httptest.NewServer(auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })))
	defer service.Close()
	client := service.Client()
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = connections
	send := func(token string) (code int, retryAfter time.Duration) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.URL, http.NoBody)
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		r.Header.Set("Authorization", "Bearer "+token)
		w, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return 0, 0
		}
		_ = w.Body.Close()
		seconds, _ := strconv.Atoi(w.Header.Get("Retry-After"))
		return w.StatusCode, time.Duration(seconds) * time.Second
	}
	withdrawn := issuer.Token()
	issuer.RotateWithoutOverlap()
	// soak sends tokens from all connections, a withdrawn one among a good many.
	soak := func(what string, token string, want int) {
		t.Helper()
		var wg sync.WaitGroup
		var wrong atomic.Int32
		for connection := range connections {
			wg.Go(func() {
				for n := connection; n < connection+requests; n++ {
					if n*7%100 < 7 {
						if got, _ := send(withdrawn); got == 204 {
							t.Errorf("%s: a token of a withdrawn key passes", what)
						}
					} else if got, _ := send(token); got != want {
						wrong.Store(int32(got))
					}
				}
			})
		}
		wg.Wait()
		if got := wrong.Load(); got != 0 {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
	}
	soak("the first key", issuer.Token(), 204)
	issuer.Rotate()
	known := issuer.Token()
	soak("a new key", known, 204)
	issuer.SetFault(bearertest.Down)
	soak("a known key while the issuer fails", known, 204)
	issuer.Rotate()
	soak("a new key while the issuer fails", issuer.Token(), 503)
	soak("a known key after that", known, 204)
	issuer.SetFault(bearertest.NoFault)
	for range 5 { // it says when to come again, and then the key is there
		code, pause := send(issuer.Token())
		if code == 204 {
			break
		}
		if code != 503 || pause < time.Second || pause > 4*time.Second {
			t.Fatalf("status %d, Retry-After %s", code, pause)
		}
		<-time.After(pause)
	}
	soak("that key when the issuer is back", issuer.Token(), 204)
	soak("the key before it", known, 204)
	if n := issuer.Fetches(); n > 20 {
		t.Errorf("%d fetches", n)
	}
}

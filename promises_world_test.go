package bearer_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// many is how many requests come at once.
const many = 200

// status sends a request with a token and returns the answer's status.
func status(t *testing.T, auth *bearer.Middleware, token string) int {
	w, _ := serve(t, auth, inHeader(token))
	if w.Code == 503 {
		checkProblem(t, w, 503, "keys_unavailable")
	}
	return w.Code
}

// wantStatus sends one request and checks its status, and that the answer comes at once.
func wantStatus(t *testing.T, auth *bearer.Middleware, token string, want int) {
	t.Helper()
	if elapsed := took(func() {
		if got := status(t, auth, token); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}); elapsed != 0 {
		t.Errorf("answered after %s, want at once", elapsed)
	}
}

// wantStatuses sends many requests at once and checks their statuses, and that all answers come
// within this time.
func wantStatuses(t *testing.T, auth *bearer.Middleware, token func(i int) string, want int, within time.Duration) {
	t.Helper()
	var mu sync.Mutex
	statuses := make(map[int]int)
	elapsed := took(func() {
		var wg sync.WaitGroup
		for i := range many {
			wg.Go(func() {
				got := status(t, auth, token(i))
				mu.Lock()
				defer mu.Unlock()
				statuses[got]++
			})
		}
		wg.Wait()
	})
	if statuses[want] != many {
		t.Errorf("the statuses of %d requests are %v, want %d", many, statuses, want)
	}
	if elapsed > within {
		t.Errorf("%d requests took %s, want at most %s", many, elapsed, within)
	}
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func always(token string) func(int) string { return func(int) string { return token } }

// passing lets time pass for a service with traffic: one request every half minute, each answered
// at once with this status.
func passing(t *testing.T, d time.Duration, auth *bearer.Middleware, token string, want int) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(max(1, min(30*time.Second, time.Until(end)))) {
		wantStatus(t, auth, token, want)
		synctest.Wait()
	}
}

// refreshed lets time pass until the keys were fetched again. The token is good until then.
func refreshed(t *testing.T, auth *bearer.Middleware, token string) {
	t.Helper()
	passing(t, 8*time.Minute, auth, token, 204)
	<-time.After(time.Minute)       // nine tenths of the lifetime:
	wantStatus(t, auth, token, 204) // this request starts the refresh at the latest, and does not wait for it
	synctest.Wait()
}

// recovered checks that a service accepts tokens again one pause after its issuer's return.
func recovered(t *testing.T, auth *bearer.Middleware, token string) {
	t.Helper()
	w, _ := serve(t, auth, inHeader(token))
	if w.Code == 503 {
		pause, _ := strconv.Atoi(w.Header().Get("Retry-After"))
		if pause < 1 || pause > 4 {
			t.Errorf("Retry-After %d", pause)
		}
		<-time.After(time.Duration(pause) * time.Second)
	}
	if got := status(t, auth, token); got != 204 {
		t.Errorf("status %d one pause after the issuer's return", got)
	}
}

// newIssuer returns an issuer with fast keys, and a token that does not expire during the test.
func newIssuer(opts ...bearertest.IssuerOption) (issuer *bearertest.Issuer, token func() string) {
	issuer = bearertest.NewIssuer(append([]bearertest.IssuerOption{bearertest.WithAlgorithm("EdDSA")}, opts...)...)
	return issuer, func() string { return issuer.Token(c{"exp": time.Now().Add(100 * 24 * time.Hour).Unix()}) }
}

// newWarm makes a service that has the issuer's keys.
func newWarm(t *testing.T, issuer *bearertest.Issuer, opts ...bearer.Option) *bearer.Middleware {
	t.Helper()
	auth := newAuth(t, issuer, opts...)
	if err := auth.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return auth
}

// elsewhere moves the key set of an issuer to another path.
type elsewhere struct {
	issuer *bearertest.Issuer
	mu     sync.Mutex
	path   string // "" is where it was
}

func (e *elsewhere) move(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.path = path
}

func (e *elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	path := e.path
	e.mu.Unlock()
	r = r.Clone(r.Context())
	switch {
	case path != "" && r.URL.Path == "/jwks":
		r.URL.Path = "/gone"
	case path != "" && r.URL.Path == path:
		r.URL.Path = "/jwks"
	}
	response, err := e.issuer.Client().Transport.RoundTrip(r)
	if err == nil && path != "" && strings.HasSuffix(r.URL.Path, "openid-configuration") {
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte("/jwks"), []byte(path), 1)))
	}
	return response, err
}

// renamed gives every key of an issuer the same key id.
type renamed struct{ issuer *bearertest.Issuer }

func (web renamed) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := web.issuer.Client().Transport.RoundTrip(r)
	if err != nil || r.URL.Path != "/jwks" {
		return response, err
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	err = json.NewDecoder(response.Body).Decode(&set)
	_ = response.Body.Close()
	for _, key := range set.Keys {
		key["kid"] = "always this"
	}
	body, _ := json.Marshal(set)
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.Header.Del("ETag")
	return response, err
}

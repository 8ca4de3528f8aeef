package bearer_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

func probe(t *testing.T, auth *bearer.Middleware, method string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	auth.ReadyHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/readyz", nil))
	return w
}

// An instance that gets no traffic before it is ready becomes ready by the probes alone.
func TestReadyHandlerStartsTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		issuer.SetFault(bearertest.Slow(time.Second))
		auth := newAuth(t, issuer)
		for second := range 3 {
			var w *httptest.ResponseRecorder
			if elapsed := took(func() { w = probe(t, auth, http.MethodGet) }); elapsed > 500*time.Millisecond {
				t.Errorf("a probe was answered after %s", elapsed)
			}
			if second < 2 {
				checkProblem(t, w, 503, "keys_unavailable")
				if w.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			} else if w.Code != 200 || w.Body.String() != "ready\n" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%d, %q, %v", w.Code, w.Body, w.Header())
			}
			<-time.After(time.Second)
		}
		if issuer.Fetches() != 1 {
			t.Errorf("%d fetches", issuer.Fetches())
		}
	})
}

// An issuer's outage takes no instance out of service until its keys are too old. A probe reports
// when they are back.
func TestReadyHandlerStaysReadyWhileKeysAreStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := newWarm(t, issuer)
		issuer.SetFault(bearertest.Down)
		<-time.After(23 * time.Hour)
		if w := probe(t, auth, http.MethodHead); w.Code != 200 {
			t.Errorf("status %d while stale", w.Code)
		}
		<-time.After(time.Hour)
		checkProblem(t, probe(t, auth, http.MethodGet), 503, "keys_unavailable")
		issuer.SetFault(bearertest.NoFault)
		<-time.After(4 * time.Second)
		if w := probe(t, auth, http.MethodGet); w.Code != 200 {
			t.Errorf("status %d one pause after the issuer's return", w.Code)
		}
		_ = auth.Close()
		checkProblem(t, probe(t, auth, http.MethodGet), 503, "closed")
	})
}

func TestReadyHandlerAnswersGETAndHEADAlone(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	for _, method := range []string{"POST", "OPTIONS", "DELETE"} {
		if w := probe(t, auth, method); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, %v", method, w.Code, w.Header())
		}
	}
}

func TestStatsDescribeEveryIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := mustNew(t, bearer.WithHTTPClient(issuer.Client()),
			bearer.WithIssuer("https://pinned.example", "a", bearer.Keys(jwks.Static(issuer.KeySet()))),
			bearer.WithIssuer("https://secret.example", "a", bearer.HMACSecret(make([]byte, 32))),
			bearer.WithIssuer(issuer.URL(), issuer.Audience()))
		want := func(state jwks.State, age time.Duration, keys, fetches, failures int) bearer.KeyStats {
			t.Helper()
			all := auth.Stats().Issuers
			if len(all) != 2 || all[0].Issuer != "https://pinned.example" || all[0].State != jwks.StateFresh || all[1].Issuer != issuer.URL() {
				t.Fatalf("%+v", all)
			}
			got := all[1]
			if got.State != state || got.Age != age || got.Keys != keys || got.Fetches != fetches || got.Failures != failures {
				t.Errorf("%+v", got)
			}
			if (got.LastError != "") != (failures > 0) {
				t.Errorf("last error %q after %d failures", got.LastError, failures)
			}
			return got
		}
		want(jwks.StateCold, 0, 0, 0, 0)
		if err := auth.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		want(jwks.StateFresh, 0, 1, 1, 0)
		issuer.SetFault(bearertest.Down)
		<-time.After(time.Hour)
		want(jwks.StateStale, time.Hour, 1, 1, 0)
		if w, _ := serve(t, auth, inHeader(issuer.Token())); w.Code != 204 {
			t.Errorf("status %d", w.Code)
		}
		if got := want(jwks.StateStale, time.Hour, 1, 2, 1); got.NextAttempt.Before(time.Now()) || time.Until(got.NextAttempt) > 2*time.Second {
			t.Errorf("next attempt in %s", time.Until(got.NextAttempt))
		}
		<-time.After(time.Until(start.Add(24 * time.Hour)))
		want(jwks.StateExpired, 24*time.Hour, 1, 2, 1)

		text, err := json.Marshal(auth.Stats()) // as expvar does
		if err != nil || !strings.Contains(string(text), `"state":"expired"`) || !strings.Contains(string(text), `"issuer":"https://issuer.test"`) {
			t.Errorf("%s, %v", text, err)
		}
	})
}

// Stats in JSON have lower-case names, and units where a number needs one.
func TestStatsMarshalToJSONWithUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := newAuth(t, issuer)
		wantReason(t, auth, issuer.Token(), "")
		<-time.After(90 * time.Second)
		text, err := json.Marshal(auth.Stats())
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Issuers []map[string]any }
		if err := json.Unmarshal(text, &got); err != nil || len(got.Issuers) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		for name, want := range map[string]any{
			"issuer": issuer.URL(), "state": "fresh", "age_seconds": 90.0, "keys": 1.0, "refused_keys": 0.0,
			"fetches": 1.0, "failures": 0.0, "fetching": false,
		} {
			if got.Issuers[0][name] != want {
				t.Errorf("%s is %v, want %v, in %s", name, got.Issuers[0][name], want, text)
			}
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(got.Issuers[0]["next_attempt"])); err != nil {
			t.Errorf("next_attempt: %v", err)
		}
		if strings.Contains(string(text), "last_error") {
			t.Errorf("an error without a failure: %s", text)
		}
	})
}

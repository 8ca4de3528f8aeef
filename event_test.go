package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// setupTokens are tokens that are refused because something is not set up right, by the reason.
func setupTokens(issuer *bearertest.Issuer) map[bearer.Reason]string {
	return map[bearer.Reason]string{
		bearer.ReasonUnknownIssuer: issuer.Token(c{"iss": "https://other.example"}),
		bearer.ReasonAlgorithm:     issuer.Sign(c{"alg": "RS384"}),
		bearer.ReasonType:          issuer.Sign(c{"typ": "dpop+jwt"}),
		bearer.ReasonUnknownKey:    issuer.Sign(c{"kid": "other"}),
		bearer.ReasonAudience:      issuer.Token(c{"aud": "other"}),
	}
}

// Refusals of tokens that no request of a kind can avoid, because something is not set up right, are
// logged at Warn: once a minute for each reason, with the number of those in between. All others
// are logged at Debug.
func TestRefusalsThatLookLikeSetupAreLoggedAtWarn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		var log strings.Builder
		auth := newAuth(t, issuer, bearer.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		logged := func(token string, reason bearer.Reason) string {
			t.Helper()
			log.Reset()
			wantReason(t, auth, token, reason)
			return log.String()
		}
		if got := logged(issuer.Token(c{"exp": 1}), bearer.ReasonExpired); got != "" {
			t.Errorf("an expired token is logged at the default level: %s", got)
		}
		for reason, token := range setupTokens(issuer) {
			if got := logged(token, reason); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "reason="+string(reason)) {
				t.Errorf("%s: log %q", reason, got)
			}
			for range 3 {
				if got := logged(token, reason); got != "" {
					t.Errorf("%s, again within a minute: log %q", reason, got)
				}
			}
			<-time.After(time.Minute + time.Second)
			if got := logged(token, reason); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "refused_alike_before=3") {
				t.Errorf("%s, after a minute: log %q", reason, got)
			}
		}
	})
}

// What is held back at Warn is still there at Debug.
func TestEveryRefusalIsLoggedAtDebug(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	var log strings.Builder
	auth := newAuth(t, issuer, bearer.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	for range 3 {
		for reason, token := range setupTokens(issuer) {
			log.Reset()
			wantReason(t, auth, token, reason)
			if !strings.Contains(log.String(), "reason="+string(reason)) {
				t.Errorf("%s: log %q", reason, &log)
			}
		}
	}
}

// A handler that wants no warnings costs no state, and a thousand requests at once are one warning.
func TestWarningsOfManyRequestsAtOnceAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		counter := &countingHandler{}
		auth := newAuth(t, issuer, bearer.WithLogger(slog.New(counter)))
		token := issuer.Token(c{"aud": "other"})
		done := make(chan struct{})
		for range 1000 {
			go func() {
				_, _ = auth.Guard().Verify(t.Context(), token)
				done <- struct{}{}
			}()
		}
		for range 1000 {
			<-done
		}
		if n := counter.n.Load(); n != 1 {
			t.Errorf("%d warnings", n)
		}
	})
}

type countingHandler struct {
	slog.Handler
	n atomic.Int64
}

func (h *countingHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (h *countingHandler) Handle(context.Context, slog.Record) error {
	h.n.Add(1)
	return nil
}

// The observer gets what Error.Unwrap returns, the pattern of the route, and whose token it was.
func TestObserverGetsCauseRouteAndSubject(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	var events []bearer.Event
	auth := newAuth(t, issuer, observing(func(e bearer.Event) { events = append(events, e) }))
	locked := errors.New("tenant acme is locked")
	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", auth.Handler(&spy{}, bearer.Func("tenant", func(*http.Request, *bearer.Claims) error { return locked })))
	mux.Handle("GET /items/{id}", auth.Handler(&spy{}))
	for _, path := range []string{"/orders/1", "/items/1"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+issuer.Token())
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	refused, allowed := events[0], events[1]
	if refused.Route != "GET /orders/{id}" || allowed.Route != "GET /items/{id}" {
		t.Errorf("routes %q and %q", refused.Route, allowed.Route)
	}
	if !errors.Is(refused.Cause, locked) || allowed.Cause != nil {
		t.Errorf("causes %v and %v", refused.Cause, allowed.Cause)
	}
	for _, e := range events {
		if e.Subject != "alice" || e.ClientID != "test-client" {
			t.Errorf("%s: subject %q, client %q", e.Outcome, e.Subject, e.ClientID)
		}
	}
}

// An observer learns once that an issuer's keys cannot be fetched, and once that they can be.
func TestObserverGetsChangesOfKeySets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		var changes []bearer.Event
		var mu sync.Mutex
		auth := newAuth(t, issuer, quiet(), bearer.WithObserver(func(_ context.Context, e bearer.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Outcome == bearer.OutcomeKeysFailing || e.Outcome == bearer.OutcomeKeysWorking {
				changes = append(changes, e)
				panic("of the observer")
			}
		}))
		wantReason(t, auth, issuer.Token(), "")
		issuer.SetFault(bearertest.Down)
		for range 5 {
			<-time.After(10 * time.Minute)
			wantReason(t, auth, issuer.Token(), "")
		}
		<-time.After(24 * time.Hour)
		wantReason(t, auth, issuer.Token(), bearer.ReasonKeysUnavailable)
		issuer.SetFault(bearertest.NoFault)
		<-time.After(2 * time.Minute)
		wantReason(t, auth, issuer.Token(), "")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		var outcomes []bearer.Outcome
		for _, e := range changes {
			outcomes = append(outcomes, e.Outcome)
			if e.Issuer != issuer.URL() || (e.Cause != nil) != (e.Outcome == bearer.OutcomeKeysFailing) {
				t.Errorf("event %+v", e)
			}
		}
		want := []bearer.Outcome{bearer.OutcomeKeysFailing, bearer.OutcomeKeysFailing, bearer.OutcomeKeysWorking} // stale, expired
		if !slices.Equal(outcomes, want) {
			t.Errorf("outcomes %v, want %v", outcomes, want)
		}
	})
}

// Each refusal of a token has a cause that names no value of the token: one KiB of control
// characters in the place at fault does not reach it.
func TestCausesNameNothingThatIsNotVerified(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	hostile := strings.Repeat("\x1b]canary\n", 100)
	parts := strings.Split(issuer.Token(), ".")
	tokens := map[string]struct{ token, want string }{
		"no dots":          {"opaque", "no dots"},
		"two parts":        {"a.b", "three parts"},
		"four parts":       {"a.b.c.d", "more than three parts"},
		"five parts":       {"a.b.c.d.e", "encrypted token"},
		"long, no dots":    {strings.Repeat("a", 5000), "three parts"},
		"empty part":       {"a..", "three parts that are not empty"},
		"header":           {"a!." + parts[1] + "." + parts[2], "header is not base64url"},
		"payload":          {parts[0] + ".a!." + parts[2], "payload is not base64url"},
		"signature":        {parts[0] + "." + parts[1] + ".a!", "signature is not base64url"},
		"no JSON":          {b64(hostile) + "." + parts[1] + "." + parts[2], "one JSON object"},
		"no alg":           {b64(`{"typ":"JWT"}`) + "." + parts[1] + "." + parts[2], "no alg"},
		"crit":             {issuer.Sign(c{"crit": []string{hostile}}), "crit or b64"},
		"alg":              {issuer.Sign(c{"alg": "RS384"}), "signed with RS384, and this issuer's tokens may be signed with"},
		"unknown alg":      {issuer.Sign(c{"alg": hostile}), "signed with an unknown algorithm"},
		"typ":              {issuer.Sign(c{"typ": "logout+jwt"}), "typ is logout+jwt"},
		"unknown typ":      {issuer.Sign(c{"typ": hostile}), "typ is another one"},
		"forged signature": {parts[0] + "." + parts[1] + "." + b64(hostile), "the signature does not verify with the one key that fits"},
	}
	for name, tt := range tokens {
		_, err := auth.Guard().Verify(t.Context(), tt.token)
		cause := errors.Unwrap(err)
		if cause == nil || !strings.Contains(cause.Error(), tt.want) {
			t.Errorf("%s: cause %v, want %q", name, cause, tt.want)
		}
		if text := fmt.Sprint(cause); strings.Contains(text, "canary") || strings.ContainsAny(text, "\x1b\n") {
			t.Errorf("%s: the cause quotes the token: %q", name, text)
		}
	}
}

package bearertest_test

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/internal/reference"
)

// attackedAlgorithms are those whose attacks are shown to succeed. The others differ from them in
// numbers alone.
var attackedAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA", "HS256"}

// attackedIssuer signs tokens with two scopes, of which attackedScope is demanded.
func attackedIssuer(algorithm string) *bearertest.Issuer {
	return bearertest.NewIssuer(
		bearertest.WithAlgorithm(algorithm),
		bearertest.WithDefaultClaims(bearertest.Claims{"scope": "profile " + attackedScope}),
	)
}

const attackedScope = "orders:read"

// protected is what the attacks want to reach.
var protected = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("secret")) })

// newReference is the complete reference for an issuer, which may have published more keys before.
func newReference(issuer *bearertest.Issuer, more ...reference.Key) *reference.Reference {
	config := reference.Config{Issuer: issuer.URL(), Audience: issuer.Audience(), Scope: attackedScope}
	key := reference.Key{ID: issuer.KeyID(), Algorithm: issuer.Algorithm(), Public: issuer.PublicKey()}
	if secrets := issuer.Secrets(); len(secrets) > 0 {
		key.Public, config.Algorithms = secrets[0], []string{issuer.Algorithm()}
	}
	config.Keys = append([]reference.Key{key}, more...)
	return reference.New(config)
}

// newMiddleware is package bearer's guard for an issuer.
func newMiddleware(tb testing.TB, issuer *bearertest.Issuer, opts ...bearer.IssuerOption) *bearer.Middleware {
	tb.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience(), opts...),
		bearer.WithHTTPClient(issuer.Client()),
		bearer.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = auth.Close() })
	return auth
}

// attacked runs Attack with a test of its own and returns what that test failed with.
func attacked(tb testing.TB, handler http.Handler, issuer *bearertest.Issuer, opts ...bearertest.AttackOption) []string {
	tb.Helper()
	c := &collector{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		bearertest.Attack(c, handler, issuer, opts...)
	}()
	<-done
	return c.failures
}

// collector is a test that notes how it fails instead of failing.
type collector struct {
	testing.TB
	failures []string
}

func (c *collector) Errorf(format string, args ...any) {
	c.failures = append(c.failures, fmt.Sprintf(format, args...))
}

func (c *collector) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}

func (c *collector) Fatal(args ...any) { c.Fatalf("%s", fmt.Sprint(args...)) }

// withstands fails the test when an attack on the handler succeeds.
func withstands(t *testing.T, attack bearertest.AttackRun, handler http.Handler) {
	t.Helper()
	if problem := attack.Begin(handler); problem != "" {
		t.Fatal(problem)
	}
	for _, f := range attack.On(handler) {
		t.Error(f)
	}
}

// fallsToAll fails the test unless the handler lets good tokens through and falls to every variant
// of the rule, which it returns.
func fallsToAll(t *testing.T, attack bearertest.AttackRun, handler http.Handler, rule string) []string {
	t.Helper()
	if problem := attack.Begin(handler); problem != "" {
		t.Fatal("a credential without effect proves nothing: ", problem)
	}
	var found []string
	for _, f := range attack.On(handler, rule) {
		found = append(found, f.Variant)
	}
	found = slices.Compact(found) // several problems of one variant follow each other
	if variants := attack.Variants(rule); !slices.Equal(found, variants) {
		t.Errorf("it falls to %q, want to all of %q", found, variants)
	}
	return found
}

// refusing is a handler whose refusals are changed on their way out.
func refusing(next http.Handler, change func(got *httptest.ResponseRecorder, r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := httptest.NewRecorder()
		next.ServeHTTP(got, r)
		if got.Code != http.StatusOK {
			change(got, r)
		}
		maps.Copy(w.Header(), got.Header())
		w.WriteHeader(got.Code)
		_, _ = w.Write(got.Body.Bytes())
	})
}

// sayInChallenge puts what is left of a text into the description.
func sayInChallenge(got *httptest.ResponseRecorder, text string) {
	text = strings.NewReplacer(`"`, "'", `\`, "'").Replace(text[:min(len(text), 1000)])
	got.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="invalid_token", error_description="%s"`, text))
}

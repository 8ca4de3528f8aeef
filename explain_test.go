package bearer_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// resultOf returns how a check of a report ended, or "" if the report does not have it.
func resultOf(r bearer.Report, rule string) bearer.CheckResult {
	for _, check := range r.Checks {
		if check.Rule == rule {
			return check.Result
		}
	}
	return ""
}

// failedOf returns the check that failed, which is the only one.
func failedOf(t *testing.T, r bearer.Report) bearer.Check {
	t.Helper()
	var failed []bearer.Check
	for _, check := range r.Checks {
		if check.Result == bearer.CheckFailed {
			failed = append(failed, check)
		}
	}
	if len(failed) != 1 {
		t.Fatalf("%d checks failed:\n%s", len(failed), r)
	}
	return failed[0]
}

// A report lists every check: those before the one that failed as passed, and those after it as not
// reached.
func TestExplainListsEveryCheckInOrder(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	guard := newAuth(t, issuer).Guard(bearer.Scopes("read"))
	r := guard.Explain(t.Context(), issuer.Token(c{"exp": time.Now().Add(-time.Hour).Unix()}))
	if r.Verdict != bearer.VerdictRefused || r.Reason != bearer.ReasonExpired || r.Token != nil {
		t.Errorf("report:\n%s", r)
	}
	i := slices.IndexFunc(r.Checks, func(c bearer.Check) bool { return c.Result == bearer.CheckFailed })
	if i < 0 || r.Checks[i].Rule != "claims.exp" {
		t.Fatalf("the failed check is number %d:\n%s", i, r)
	}
	for j, check := range r.Checks {
		if want := bearer.CheckPassed; j < i && check.Result != want {
			t.Errorf("%s before it: %s", check.Rule, check.Result)
		} else if want = bearer.CheckNotReached; j > i && check.Result != want {
			t.Errorf("%s after it: %s", check.Rule, check.Result)
		}
	}
	if resultOf(r, "route.scope") != bearer.CheckNotReached {
		t.Errorf("the route:\n%s", r)
	}

	r = guard.Explain(t.Context(), issuer.Token(c{"scope": "read"}))
	if r.Verdict != bearer.VerdictAccepted || r.Reason != "" || r.Issuer != issuer.URL() || r.KeyID != issuer.KeyID() || r.Algorithm != "ES256" {
		t.Errorf("a good token:\n%s", r)
	}
	if r.Token == nil || r.Token.Subject != "alice" || !slices.Equal(r.Token.Scopes, []string{"read"}) {
		t.Errorf("its facts are %+v", r.Token)
	}
	for _, check := range r.Checks {
		if check.Result != bearer.CheckPassed {
			t.Errorf("%s of a good token: %s", check.Rule, check.Result)
		}
	}
}

// The pipeline stands in a report as it stands in docs/rules.md: each rule of a token, in order.
func TestExplainKnowsTheRulesOfTheDocument(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	r := newAuth(t, issuer).Guard(bearer.Scopes("a"), bearer.Roles("b")).Explain(t.Context(), issuer.Token())
	page, err := os.ReadFile("docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range r.Checks {
		if !strings.Contains(string(page), "| `"+check.Rule+"` |") {
			t.Errorf("docs/rules.md does not have %s", check.Rule)
		}
	}
}

// Whatever a cause names as its rule, a report has a place for it.
func TestExplainHasAPlaceForEveryCause(t *testing.T) {
	t.Parallel()
	explained, found := bearer.ExplainedRules(), 0
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`"((?:jws|key|claims|issuer|guard)\.[a-z]+(?:-[a-z]+)*)"`)
	for _, file := range append(files, "jwks/errors.go") {
		if strings.HasSuffix(file, "_test.go") || file == "explain.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range rule.FindAllSubmatch(text, -1) {
			if found++; !slices.Contains(explained, string(match[1])) {
				t.Errorf("%s: a report has no place for %s", file, match[1])
			}
		}
	}
	if found < len(explained) {
		t.Errorf("%d rules were found in the source, and a report has %d", found, len(explained))
	}
}

// What depends on a request or on the application is judged as far as it can be.
func TestExplainJudgesTemplatesAndLeavesAudiencesOfRequests(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	verdictOf := func(answer error, opts ...bearer.IssuerOption) bearer.Report {
		t.Helper()
		opts = append(opts, bearer.Keys(jwks.Static(issuer.KeySet())),
			bearer.IssuerTemplate("tid", func(context.Context, string) error { return answer }))
		audience := issuer.Audience()
		if len(opts) > 2 {
			audience = ""
		}
		guard := mustNew(t, bearer.WithIssuer("https://login.test/{tenant}/v2.0", audience, opts...)).Guard()
		return guard.Explain(t.Context(), issuer.Token(c{"iss": "https://login.test/acme/v2.0", "tid": "acme"}))
	}
	if r := verdictOf(nil); r.Verdict != bearer.VerdictAccepted || resultOf(r, "issuer.template-accept") != bearer.CheckPassed {
		t.Errorf("report:\n%s", r)
	}
	if r := verdictOf(errors.New("no customer")); r.Verdict != bearer.VerdictRefused || failedOf(t, r).Rule != "issuer.template-accept" {
		t.Errorf("report:\n%s", r)
	}
	if r := verdictOf(bearer.ErrUnavailable); r.Verdict != bearer.VerdictUnavailable || failedOf(t, r).Rule != "issuer.template-accept" {
		t.Errorf("report:\n%s", r)
	}
	audience := bearer.AudienceFunc(func(*http.Request) string { t.Error("it was called"); return issuer.Audience() })
	if r := verdictOf(nil, audience); r.Verdict != bearer.VerdictUndecided || resultOf(r, "claims.aud-request") != bearer.CheckNeedsRequest {
		t.Errorf("report:\n%s", r)
	}
}

// Each requirement of a route is a check of its own. A check that needs a request is not made, and
// the token is then never called accepted.
func TestExplainLeavesChecksThatNeedARequest(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	called := false
	tenant := bearer.Func("tenant", func(*http.Request, *bearer.Claims) error { called = true; return nil })
	token := issuer.Token(c{"scope": "read", "roles": []string{"editor"}})
	for _, tt := range []struct {
		name string
		opts []bearer.RouteOption
		want bearer.Verdict
	}{
		{"a function", []bearer.RouteOption{tenant}, bearer.VerdictUndecided},
		{"in a group", []bearer.RouteOption{bearer.All(bearer.Scopes("read"), tenant)}, bearer.VerdictUndecided},
		{"as one of several", []bearer.RouteOption{bearer.Any(tenant, bearer.Scopes("read"))}, bearer.VerdictUndecided},
		{"and a check that fails after it", []bearer.RouteOption{tenant, bearer.Roles("admin")}, bearer.VerdictRefused},
		{"and a check that fails before it", []bearer.RouteOption{bearer.Roles("admin"), tenant}, bearer.VerdictRefused},
		{"none", []bearer.RouteOption{bearer.All(bearer.Scopes("read"), bearer.Roles("editor"))}, bearer.VerdictAccepted},
	} {
		r := auth.Guard(tt.opts...).Explain(t.Context(), token)
		if r.Verdict != tt.want {
			t.Errorf("%s: %s, want %s:\n%s", tt.name, r.Verdict, tt.want, r)
		}
		if tt.want == bearer.VerdictUndecided && !strings.Contains(r.String(), string(bearer.CheckNeedsRequest)) {
			t.Errorf("%s: the report does not say what needs a request:\n%s", tt.name, r)
		}
	}
	if called {
		t.Error("the function was called")
	}
}

// What a guard refuses, Explain does not accept, and it gives the guard's reason.
// Rules: guard.explain.
func TestExplainAcceptsNothingThatTheGuardRefuses(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	guard := auth.Guard(bearer.Scopes("read"))
	tokens := map[string]string{
		"empty": "", "opaque": "opaque", "encrypted": "a.b.c.d.e", "too large": strings.Repeat("a", 20<<10),
		"good":        issuer.Token(c{"scope": "read"}),
		"no scope":    issuer.Token(),
		"foreign":     bearertest.NewIssuer().Token(),
		"future":      issuer.Token(c{"nbf": time.Now().Add(time.Hour).Unix()}),
		"bound":       issuer.Token(c{"cnf": c{"jkt": "x"}}),
		"ID token":    issuer.Sign(c{"typ": "JWT"}, c{"at_hash": "x"}),
		"no exp":      issuer.Token(c{"exp": nil}),
		"claims":      issuer.Token(c{"sub": 1}),
		"no iss":      issuer.Token(c{"iss": nil}),
		"array":       issuer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(`[]`)),
		"crit":        issuer.Sign(c{"crit": []string{"x"}}),
		"empty claim": issuer.SignRaw([]byte(`{"alg":"ES256"}`), nil),
	}
	for reason, token := range setupTokens(issuer) {
		tokens[string(reason)] = token
	}
	for name, token := range tokens {
		_, err := guard.Verify(t.Context(), token)
		r := guard.Explain(t.Context(), token)
		if (err == nil) != (r.Verdict == bearer.VerdictAccepted) || r.Reason != reasonOf(t, err) {
			t.Errorf("%s: the guard says %q, the report says %s %q", name, reasonOf(t, err), r.Verdict, r.Reason)
		}
		if err != nil {
			failedOf(t, r)
		}
	}

	down := bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	if r := newAuth(t, down).Guard().Explain(t.Context(), down.Token()); r.Verdict != bearer.VerdictUnavailable || failedOf(t, r).Rule != "key.available" {
		t.Errorf("while the issuer is down:\n%s", r)
	}
	_ = auth.Close()
	if r := guard.Explain(t.Context(), tokens["good"]); r.Verdict != bearer.VerdictUnavailable || failedOf(t, r).Rule != "guard.closed" {
		t.Errorf("after Close:\n%s", r)
	}
}

// Explaining tokens with unknown key ids fetches nothing, and leaves no log line and no event.
// Rules: guard.explain.
func TestExplainSpendsNoSearch(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	events := 0
	var log strings.Builder
	auth := newAuth(t, issuer,
		observing(func(bearer.Event) { events++ }),
		bearer.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	guard := auth.Guard()
	if r := guard.Explain(t.Context(), issuer.Token()); r.Verdict != bearer.VerdictAccepted {
		t.Fatalf("report:\n%s", r)
	}
	before := issuer.Requests()
	for i := range 20 {
		r := guard.Explain(t.Context(), issuer.Sign(c{"kid": strings.Repeat("k", i+1)}))
		if r.Reason != bearer.ReasonUnknownKey || failedOf(t, r).Rule != "key.kid" {
			t.Fatalf("report:\n%s", r)
		}
	}
	if n := issuer.Requests() - before; n != 0 {
		t.Errorf("%d requests to the issuer", n)
	}
	if events != 0 || log.Len() != 0 {
		t.Errorf("%d events, log %q", events, &log)
	}
	issuer.Rotate()
	wantReason(t, auth, issuer.Token(), "") // the budget is whole
}

// A report is text and JSON. It has no part of a token that was not verified, and never its
// signature.
func TestReportQuotesNothingThatIsNotVerified(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	guard := newAuth(t, issuer).Guard()
	good := issuer.Token(c{"scope": "read"})
	_, signature, _ := strings.Cut(strings.SplitN(good, ".", 2)[1], ".")
	canary := strings.Repeat("canary", 3)
	for name, token := range map[string]string{
		"good": good, "expired": issuer.Token(c{"exp": 1}), "opaque": canary,
		"issuer": issuer.Token(c{"iss": canary}), "kid": issuer.Sign(c{"kid": canary}), "typ": issuer.Sign(c{"typ": canary}),
		"alg": issuer.Sign(c{"alg": canary}), "forged": good[:len(good)-8] + "AAAAAAAA",
	} {
		r := guard.Explain(t.Context(), token)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{r.String(), string(text)} {
			if strings.Contains(form, "canary") || strings.Contains(form, signature) || strings.Contains(form, token) {
				t.Errorf("%s: the report quotes the token:\n%s", name, form)
			}
			if !strings.Contains(form, string(r.Verdict)) || !strings.Contains(form, "claims.aud") {
				t.Errorf("%s: the report lacks its verdict or a rule:\n%s", name, form)
			}
		}
		if !json.Valid(text) || strings.Contains(string(text), `"Rule"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

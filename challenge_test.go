package bearer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// What the client receives, row by row (RFC 6750 section 3, RFC 9470 section 3, RFC 9728 section
// 5.1, RFC 9457).
// Rules: guard.fixed-text.
func TestEverySituationHasItsChallenge(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{"scope": "a"}))
	plain := newAuth(t, issuer)
	full := newAuth(t, issuer, bearer.WithRealm("orders"), bearer.WithResourceMetadata(bearer.ResourceMetadata{Resource: "https://api.example/v1"}))
	down := bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	good := "Bearer " + issuer.Token()
	const metadata = `resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1"`
	scopes := bearer.Scopes("x", "y")
	forbid := bearer.Func("tenant", func(*http.Request, *bearer.Claims) error { return errors.New("secret of the application") })
	pass := bearer.Func("unsure", func(*http.Request, *bearer.Claims) error { return fmt.Errorf("database: %w", bearer.ErrUnavailable) })

	tests := []struct {
		name      string
		auth      *bearer.Middleware
		header    string
		reqs      []bearer.RouteOption
		status    int
		challenge string
		code      string
	}{
		{"no credential", plain, "", nil, 401, `Bearer`, "missing_token"},
		{"no credential, all that is known", full, "", []bearer.RouteOption{scopes}, 401, `Bearer realm="orders", scope="x y", ` + metadata, "missing_token"},
		{"another scheme", plain, "Basic YTpi", nil, 401, `Bearer`, "other_scheme"},
		{"another scheme, all that is known", full, "Basic YTpi", []bearer.RouteOption{scopes}, 401, `Bearer realm="orders", scope="x y", ` + metadata, "other_scheme"},
		{"Bearer without a token", plain, "Bearer", nil, 400, `Bearer error="invalid_request", error_description="The credential is malformed"`, "malformed_request"},
		{"Bearer and a space", plain, "Bearer ", nil, 400, `Bearer error="invalid_request", error_description="The credential is malformed"`, "malformed_request"},
		{"garbage", plain, "Bearer x", nil, 401, `Bearer error="invalid_token", error_description="The access token is malformed"`, "malformed_token"},
		{"invalid token, all that is known", full, "Bearer x", []bearer.RouteOption{scopes}, 401, `Bearer realm="orders", error="invalid_token", error_description="The access token is malformed", ` + metadata, "malformed_token"},
		{"expired", plain, "Bearer " + issuer.Token(c{"exp": 1}), nil, 401, `Bearer error="invalid_token", error_description="The access token expired"`, "token_expired"},
		{"scope", plain, good, []bearer.RouteOption{bearer.Scopes("a", "b")}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="a b"`, "insufficient_scope"},
		{"any scope: its first", plain, good, []bearer.RouteOption{bearer.Any(bearer.Scopes("x"), bearer.Scopes("y"))}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="x"`, "insufficient_scope"},
		{"All: concatenated", plain, good, []bearer.RouteOption{bearer.All(bearer.Scopes("x"), bearer.Any(bearer.Scopes("y"), bearer.Scopes("z")))}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="x y"`, "insufficient_scope"},
		{"Any: the first", plain, good, []bearer.RouteOption{bearer.Any(bearer.Scopes("x"), bearer.Roles("r"))}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="x"`, "insufficient_scope"},
		{"role", plain, good, []bearer.RouteOption{bearer.Roles("admin")}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required role"`, "insufficient_role"},
		{"role, on a route with scopes", plain, good, []bearer.RouteOption{bearer.Scopes("a"), bearer.Roles("admin")}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required role", scope="a"`, "insufficient_role"},
		{"claim", plain, good, []bearer.RouteOption{bearer.HasClaim("tenant", "acme")}, 403, `Bearer error="insufficient_scope", error_description="The access token lacks a required claim"`, "claim_mismatch"},
		{"policy", plain, good, []bearer.RouteOption{forbid}, 403, `Bearer error="insufficient_scope", error_description="Access is not allowed"`, "policy_refused"},
		{"authentication too weak", plain, good, []bearer.RouteOption{bearer.ACR("phr", "mfa")}, 401, `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="phr mfa"`, "authentication_too_weak"},
		{"authentication too old", plain, good, []bearer.RouteOption{bearer.AuthMaxAge(5 * time.Minute)}, 401, `Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required", max_age="300"`, "authentication_too_old"},
		{"authentication, both", plain, good, []bearer.RouteOption{bearer.AuthMaxAge(time.Hour), bearer.ACR("mfa"), bearer.AuthMaxAge(time.Minute)}, 401, `Bearer error="insufficient_user_authentication", error_description="A more recent authentication is required", acr_values="mfa", max_age="60"`, "authentication_too_old"},
		{"undecided", plain, good, []bearer.RouteOption{pass}, 503, ``, "dependency_unavailable"},
		{"issuer down", newAuth(t, down), "Bearer " + down.Token(), nil, 503, ``, "keys_unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := serve(t, tt.auth, get(tt.header), tt.reqs...)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("challenge\n%s, want\n%s", got, tt.challenge)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			retry := w.Header().Get("Retry-After")
			if (tt.status == 503) != regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(retry) {
				t.Errorf("Retry-After %q with status %d", retry, tt.status)
			}
			checkProblem(t, w, tt.status, tt.code)
		})
	}
}

// checkProblem checks every member of a problem+json body (RFC 9457 section 3).
func checkProblem(t testing.TB, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	var problem map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	if problem["title"] != http.StatusText(status) || problem["status"] != float64(status) || problem["code"] != code || problem["detail"] == "" || len(problem) != 4 {
		t.Errorf("problem %v", problem)
	}
}

// No text that goes to a client depends on the request, and every description keeps to RFC 6750's characters.
// Rules: guard.fixed-text.
func TestEveryReasonHasFixedText(t *testing.T) {
	for _, reason := range []bearer.Reason{
		bearer.ReasonClosed, bearer.ReasonMissingToken, bearer.ReasonOtherScheme, bearer.ReasonMultipleTokens, bearer.ReasonMalformedRequest,
		bearer.ReasonTokenTooLarge, bearer.ReasonMalformedToken, bearer.ReasonUnsupportedHeader, bearer.ReasonUnknownIssuer, bearer.ReasonAlgorithm,
		bearer.ReasonType, bearer.ReasonUnknownKey, bearer.ReasonKeysUnavailable, bearer.ReasonSignature, bearer.ReasonMalformedClaims,
		bearer.ReasonNotAccessToken, bearer.ReasonMissingClaim, bearer.ReasonExpired, bearer.ReasonNotYetValid, bearer.ReasonIssuedInFuture,
		bearer.ReasonLifetime, bearer.ReasonAudience, bearer.ReasonSenderConstrained, bearer.ReasonScope, bearer.ReasonRole, bearer.ReasonClaim,
		bearer.ReasonPolicy, bearer.ReasonAuthTooWeak, bearer.ReasonAuthTooOld, bearer.ReasonPolicyUnavailable,
	} {
		e := bearer.Refusal(reason)
		if e.StatusCode() == 500 {
			t.Errorf("%s has no answer", reason)
		}
		if !regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]+$`).MatchString(e.Description()) {
			t.Errorf("%s: description %q", reason, e.Description())
		}
		if (e.StatusCode() == 503) != errors.Is(e, bearer.ErrUnavailable) || (e.StatusCode() == 503) != (e.RetryAfter() > 0) {
			t.Errorf("%s: status %d, Is(ErrUnavailable) %v, RetryAfter %v", reason, e.StatusCode(), errors.Is(e, bearer.ErrUnavailable), e.RetryAfter())
		}
		if !strings.Contains(e.Error(), string(reason)) || !strings.Contains(e.Error(), e.Description()) {
			t.Errorf("error %q", e)
		}
	}
}

// Requests that are refused for one reason share an error, except for what their routes add.
func TestRefusalsOfDifferentRoutesDoNotMix(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	wants := map[string][]bearer.RouteOption{
		"Bearer": nil, `Bearer scope="a"`: {bearer.Scopes("a")}, `Bearer scope="b c"`: {bearer.Scopes("b"), bearer.Any(bearer.Scopes("c"), bearer.Scopes("d"))},
	}
	for range 3 {
		errs := make(map[string]error)
		for want, reqs := range wants {
			_, errs[want] = auth.Guard(reqs...).Authenticate(get(""))
		}
		for want, err := range errs {
			w := httptest.NewRecorder()
			if auth.Guard().WriteError(w, get(""), err); w.Header().Get("WWW-Authenticate") != want {
				t.Errorf("challenge %q, want %q", w.Header().Get("WWW-Authenticate"), want)
			}
		}
	}
}

// A cause belongs to one request. A reason without an answer in the table is still a refusal.
func TestRefusalsAreNeverChanged(t *testing.T) {
	issuer := bearertest.NewIssuer()
	issuer.SetFault(bearertest.Down)
	_, err := newAuth(t, issuer).Guard().Authenticate(get("Bearer " + issuer.Token()))
	shared := bearer.Refusal(bearer.ReasonKeysUnavailable)
	if errors.Unwrap(err) == nil || shared.Unwrap() != nil {
		t.Errorf("the cause is %v, that of other requests %v", errors.Unwrap(err), shared.Unwrap())
	}
	if bearer.Refusal("no such reason") == nil {
		t.Error("a refusal is nil: the request would pass")
	}
}

// WriteError writes and never decides: no error that it is given lets a request pass.
func TestWriteErrorNeverLetsARequestPass(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	for _, err := range []error{nil, errors.New("secret"), (*bearer.Error)(nil), &bearer.Error{}, bearer.Refusal("x")} {
		t.Run(fmt.Sprintf("%T", err), func(t *testing.T) {
			w := httptest.NewRecorder()
			auth.Guard().WriteError(w, get(""), err)
			if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("answer %d %s", w.Code, w.Body)
			}
		})
	}
	wrapped := httptest.NewRecorder()
	auth.Guard().WriteError(wrapped, get(""), fmt.Errorf("wrapped: %w", bearer.Refusal(bearer.ReasonScope)))
	checkProblem(t, wrapped, 403, "insufficient_scope")
}

// An error handler supplies a body and nothing else.
func TestErrorHandlerSuppliesTheBodyAlone(t *testing.T) {
	issuer := bearertest.NewIssuer()
	for name, tt := range map[string]struct {
		f    func(http.ResponseWriter, *http.Request, *bearer.Error)
		body string
		kind string
	}{
		"writes a page": {func(w http.ResponseWriter, _ *http.Request, e *bearer.Error) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, "<h1>%s</h1>", e.Reason())
		}, "<h1>missing_token</h1>", "text/html"},
		"wants another status": {func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
			w.WriteHeader(http.StatusOK)
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("fine"))
		}, "fine", ""},
		"wants another status and writes nothing": {func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
			w.WriteHeader(http.StatusNoContent)
			_, _ = w.Write(nil)
		}, "problem", "application/problem+json"},
		"takes the header away": {func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
			clear(w.Header())
			w.Header().Set("Cache-Control", "public")
			_, _ = w.Write([]byte("x"))
		}, "x", ""},
		"takes the header away and writes nothing": {func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) { clear(w.Header()) }, "problem", "application/problem+json"},
		"writes nothing": {func(http.ResponseWriter, *http.Request, *bearer.Error) {}, "problem", "application/problem+json"},
		"flushes": {func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) {
			_ = http.NewResponseController(w).Flush()
		}, "problem", "application/problem+json"},
	} {
		t.Run(name, func(t *testing.T) {
			auth := newAuth(t, issuer, bearer.WithErrorHandler(tt.f))
			w, _ := serve(t, auth, get(""))
			if w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("answer %d %v", w.Code, w.Header())
			}
			if tt.body == "problem" {
				checkProblem(t, w, 401, "missing_token")
			} else if w.Body.String() != tt.body || w.Header().Get("Content-Type") != tt.kind {
				t.Errorf("body %q of type %q", w.Body, w.Header().Get("Content-Type"))
			}
		})
	}
}

// A middleware outside the guard may have prepared the response for another body, or for encoding.
func TestRefusalDropsTheContentLengthOfOuterMiddleware(t *testing.T) {
	page := bearer.WithErrorHandler(func(w http.ResponseWriter, _ *http.Request, _ *bearer.Error) { _, _ = w.Write([]byte("a page")) })
	for _, opts := range [][]bearer.Option{nil, {page}} {
		auth, w := newAuth(t, bearertest.NewIssuer(), opts...), httptest.NewRecorder()
		w.Header().Set("Content-Length", "7")
		w.Header().Set("Content-Encoding", "gzip")
		auth.Handler(&spy{}).ServeHTTP(w, get(""))
		if w.Header().Get("Content-Length") != "" || w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("header %v", w.Header())
		}
	}
}

// On a real connection a HEAD request is refused like a GET, without a body.
func TestRefusedHEADHasNoBody(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	server := httptest.NewServer(auth.Handler(&spy{}))
	defer server.Close()
	resp, err := server.Client().Head(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("answer %d %v", resp.StatusCode, resp.Header)
	}
}

package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/golang-jwt/jwt/v5"
)

// newAuth returns a Middleware that trusts the issuer in-process.
func newAuth(t testing.TB, issuer *bearertest.Issuer, opts ...bearer.Option) *bearer.Middleware {
	t.Helper()
	opts = append([]bearer.Option{bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client())}, opts...)
	return mustNew(t, opts...)
}

// newTuple is newAuth with options for the issuer.
func newTuple(t testing.TB, issuer *bearertest.Issuer, opts ...bearer.IssuerOption) *bearer.Middleware {
	t.Helper()
	return mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience(), opts...), bearer.WithHTTPClient(issuer.Client()))
}

func mustNew(t testing.TB, opts ...bearer.Option) *bearer.Middleware {
	t.Helper()
	auth, err := bearer.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return auth
}

// observing has f called with the events of requests, and not with those of key sets, which come on
// the goroutines of fetches.
func observing(f func(bearer.Event)) bearer.Option {
	return bearer.WithObserver(func(_ context.Context, e bearer.Event) {
		if e.Outcome != bearer.OutcomeKeysFailing && e.Outcome != bearer.OutcomeKeysWorking {
			f(e)
		}
	})
}

// get makes a request with an Authorization header, or with none when it is "".
func get(authorization string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// spy is a protected handler that records whether it ran, and what it saw.
type spy struct {
	ran     bool
	claims  *bearer.Claims
	request *http.Request
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.ran, s.request = true, r
	s.claims, _ = bearer.FromContext(r.Context())
	w.WriteHeader(http.StatusNoContent)
}

// serve sends a request through a guard, and checks that the inner handler ran if and only if the request was not refused.
func serve(t testing.TB, auth *bearer.Middleware, r *http.Request, reqs ...bearer.RouteOption) (*httptest.ResponseRecorder, *spy) {
	t.Helper()
	inner, w := &spy{}, httptest.NewRecorder()
	auth.Handler(inner, reqs...).ServeHTTP(w, r)
	if refused := w.Code != http.StatusNoContent; inner.ran == refused {
		t.Fatalf("status %d, and the protected handler ran: %v", w.Code, inner.ran)
	}
	return w, inner
}

// reasonOf returns the reason of a refusal, or "" for none.
func reasonOf(t testing.TB, err error) bearer.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var refusal *bearer.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("error is %T, want *bearer.Error", err)
	}
	return refusal.Reason()
}

// wantReason verifies a token and checks why it is refused; "" demands that it is not.
func wantReason(t testing.TB, auth *bearer.Middleware, token string, want bearer.Reason, reqs ...bearer.RouteOption) {
	t.Helper()
	claims, err := auth.Guard(reqs...).Verify(t.Context(), token)
	if got := reasonOf(t, err); got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	if (claims == nil) != (err != nil) {
		t.Errorf("claims %v and error %v: exactly one of the two must be nil", claims, err)
	}
}

// hmacToken signs claims with HMAC, as no issuer of bearertest does.
func hmacToken(t testing.TB, alg string, secret []byte, claims map[string]any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(claims)).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// place puts a token somewhere into a request.
type place func(token string) *http.Request

func inQuery(token string) *http.Request {
	return httptest.NewRequest("GET", "/?a=1&access_token="+token, nil)
}

func inCookie(token string) *http.Request {
	r := get("")
	r.AddCookie(&http.Cookie{Name: "access_token", Value: token})
	return r
}

func inForm(token string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader("a=1&access_token="+token))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func inWebSocket(token string) *http.Request {
	r := get("")
	r.Header.Set("Sec-WebSocket-Protocol", "chat, base64url.bearer.authorization."+b64(token)+", v2")
	return r
}

func inHeader(token string) *http.Request { return get("Bearer " + token) }

var places = map[string]struct {
	put  place
	from bearer.TokenLocation
}{
	"header":    {inHeader, bearer.FromHeader()},
	"query":     {inQuery, bearer.FromQuery()},
	"cookie":    {inCookie, bearer.FromCookie()},
	"form":      {inForm, bearer.FromForm()},
	"websocket": {inWebSocket, bearer.FromWebSocket()},
}

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func TestStreamEndsWithItsToken(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(*bearer.Middleware)
		lasts time.Duration
		want  string
	}{
		"the token expires":      {func(*bearer.Middleware) {}, time.Minute, "event: end\ndata: token_expired\n\n"},
		"the service shuts down": {func(auth *bearer.Middleware) { _ = auth.Close() }, 12 * time.Second, "event: end\ndata: closed\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer()
				auth, err := bearer.New(
					bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Leeway(0)), bearer.WithHTTPClient(issuer.Client()),
				)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = auth.Close() }()
				claims := bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(time.Minute).Unix()}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders/events", nil)
				r.Header.Set("Authorization", "Bearer "+issuer.Token(claims))
				time.AfterFunc(12*time.Second, func() { test.end(auth) })

				began, w := time.Now(), httptest.NewRecorder()
				newHandler(auth).ServeHTTP(w, r)
				if got := time.Since(began); got != test.lasts {
					t.Errorf("the stream lasted %v, want %v", got, test.lasts)
				}
				body := w.Body.String()
				if w.Code != http.StatusOK || !strings.HasSuffix(body, test.want) || !strings.HasPrefix(body, "event: order\n") {
					t.Errorf("status %d, %q", w.Code, body)
				}
			})
		})
	}
}

package main

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func newService(t *testing.T, issuer *bearertest.Issuer, opts ...bearer.IssuerOption) http.Handler {
	t.Helper()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience(), opts...),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return newHandler(auth)
}

func newRequest(ctx context.Context, token string) *http.Request {
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders/events", nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

func TestStreamAdmitsWhoMay(t *testing.T) {
	issuer := bearertest.NewIssuer()
	service := newService(t, issuer)
	down := bearertest.NewIssuer()
	down.SetFault(bearertest.Down)
	for _, test := range []struct {
		name    string
		service http.Handler
		token   string
		status  int
	}{
		{"none", service, "", http.StatusUnauthorized},
		{"expired", service, issuer.Token(bearertest.Claims{"exp": time.Now().Add(-time.Hour)}), http.StatusUnauthorized},
		{"another scope", service, issuer.Token(), http.StatusForbidden},
		{"an issuer that is down", newService(t, down), down.Token(), http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := httptest.NewRecorder()
			test.service.ServeHTTP(response, newRequest(t.Context(), test.token))
			if response.Code != test.status || strings.Contains(response.Body.String(), "order 1") {
				t.Errorf("status %d, want %d: %s", response.Code, test.status, response.Body)
			}
		})
	}
}

// The stream is open as long as its token is good, says why it ends, and ends.
func TestStreamEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		service := newService(t, issuer, bearer.Leeway(0))
		token := issuer.Token(bearertest.Claims{"scope": "orders:read", "exp": time.Now().Add(40 * time.Second)})
		ctx, leave := context.WithTimeout(t.Context(), time.Hour)
		defer leave()
		started := time.Now()
		response := httptest.NewRecorder()
		service.ServeHTTP(response, newRequest(ctx, token))
		if lasted := time.Since(started); lasted != 40*time.Second {
			t.Errorf("it lasted %v", lasted)
		}
		const want = "id: 1\ndata: order 1 for alice\n\n" +
			"id: 2\ndata: order 2 for alice\n\n" +
			"id: 3\ndata: order 3 for alice\n\n" +
			"event: end\ndata: token_expired\n\n"
		if response.Code != http.StatusOK || response.Body.String() != want {
			t.Errorf("status %d: %s", response.Code, response.Body)
		}
	})
}

// A client that leaves ends its stream at once, and gets no reason.
func TestStreamEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		service := newService(t, issuer)
		ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
		defer leave()
		started := time.Now()
		response := httptest.NewRecorder()
		service.ServeHTTP(response, newRequest(ctx, issuer.Token(bearertest.Claims{"scope": "orders:read"})))
		if lasted := time.Since(started); lasted != 20*time.Second || strings.Contains(response.Body.String(), "end") {
			t.Errorf("it lasted %v: %s", lasted, response.Body)
		}
	})
}

// Over a connection an event arrives when it is sent, and not with the end.
func TestEventsArriveAtOnce(t *testing.T) {
	issuer := bearertest.NewIssuer()
	server := httptest.NewServer(newService(t, issuer))
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/orders/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+issuer.Token(bearertest.Claims{"scope": "orders:read"}))
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil || line != "id: 1\n" {
		t.Errorf("line %q, error %v", line, err)
	}
}

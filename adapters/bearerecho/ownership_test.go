package bearerecho_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
)

// What the caller does with its list of requirements after the route was wired does not change the
// route.
func TestRequirementsStayTheCallersOwn(t *testing.T) {
	auth := newAuth(t)
	reqs := []bearer.RouteOption{bearer.Scopes("orders:read")}
	ran := false
	e := echo.New()
	e.GET("/orders", func(echo.Context) error { ran = true; return nil }, bearerecho.Require(auth, reqs...))
	reqs[0] = bearer.Optional()

	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil))
	if w.Code != http.StatusUnauthorized || ran {
		t.Errorf("status %d and the protected handler ran: %t, want 401 and false", w.Code, ran)
	}
}

package bearergin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearergin"
)

// What the caller does with its list of requirements after the route was wired does not change the
// route.
func TestRequirementsStayTheCallersOwn(t *testing.T) {
	_, auth := newAuth(t)
	reqs := []bearer.RouteOption{bearer.Scopes("orders:read")}
	ran := false
	router := gin.New()
	router.GET("/orders", bearergin.Require(auth, reqs...), func(*gin.Context) { ran = true })
	reqs[0] = bearer.Optional()

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil))
	if w.Code != http.StatusUnauthorized || ran {
		t.Errorf("status %d and the protected handler ran: %t, want 401 and false", w.Code, ran)
	}
}

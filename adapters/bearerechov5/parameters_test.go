package bearerechov5_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerechov5"
	"github.com/bearer-go/bearer/bearertest"
)

// Where two parameters of a route have one name, a Func decides on the one that the handler reads.
func TestFuncSeesTheParameterThatTheHandlerReads(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	var decided, handler string
	sees := bearer.Func("sees", func(r *http.Request, _ *bearer.Claims) error {
		decided = r.PathValue("id")
		return nil
	})
	router := echo.New()
	router.GET("/orgs/:id/users/:id", func(c *echo.Context) error { handler = c.Param("id"); return nil }, bearerechov5.Require(auth, sees))

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orgs/theirs/users/mine", nil)
	r.Header.Set("Authorization", "Bearer "+issuer.Token())
	w := httptest.NewRecorder()
	router.ServeHTTP(w, r)
	if w.Code != http.StatusOK || decided != "theirs" || handler != decided {
		t.Errorf("status %d; the Func saw %q and the handler %q, want \"theirs\" twice", w.Code, decided, handler)
	}
}

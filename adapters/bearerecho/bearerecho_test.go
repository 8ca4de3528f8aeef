package bearerecho_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/bearer-go/bearer/bearertest"
)

func TestAdapter(t *testing.T) {
	bearertest.TestAdapter(t, func(auth *bearer.Middleware, app bearertest.App) http.Handler {
		e := echo.New()
		e.HTTPErrorHandler = func(err error, _ echo.Context) { app.OnError(err) }
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) (err error) {
				app.Recover(c.Response(), func() { err = next(c) })
				return err
			}
		})
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				if app.Before(c.Response(), c.Request()) {
					return nil
				}
				return next(c)
			}
		})
		group := e.Group("")
		if app.Group != nil {
			group.Use(bearerecho.Require(auth, app.Group...))
		}
		after := func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				app.After(c.Request())
				return next(c)
			}
		}
		path := app.Path
		if app.Parameter != "" {
			path += "/:" + app.Parameter
		}
		group.Any(path, func(c echo.Context) error {
			claims, ok := bearerecho.Claims(c)
			return app.Handler(claims, ok, c.Response(), c.Request())
		}, bearerecho.Require(auth, app.Route...), after)
		return e
	})
}

func newAuth(t *testing.T) *bearer.Middleware {
	t.Helper()
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return auth
}

func TestRefusalIsNoErrorForEcho(t *testing.T) {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, _ echo.Context) { t.Errorf("Echo's error handler was called with %v", err) }
	e.GET("/orders", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, bearerecho.Require(newAuth(t)))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", w.Code)
	}
}

func TestRequirePanicsOnNilRequirement(t *testing.T) {
	auth := newAuth(t)
	defer func() {
		if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "bearer: ") {
			t.Errorf("the panic is %q, want a text of package bearer when the route is wired", text)
		}
	}()
	bearerecho.Require(auth, nil)
}

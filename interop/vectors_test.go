package interop_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	echov4 "github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/bearer-go/bearer/adapters/bearerechov5"
	"github.com/bearer-go/bearer/adapters/bearergin"
	"github.com/bearer-go/bearer/internal/vectors"
)

// guards mount one guarded handler for every method and path, in each framework.
var guards = map[string]func(auth *bearer.Middleware, inner func(), opts ...bearer.RouteOption) http.Handler{
	"net-http": func(auth *bearer.Middleware, inner func(), opts ...bearer.RouteOption) http.Handler {
		return auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			inner()
			w.WriteHeader(http.StatusNoContent)
		}), opts...)
	},
	"gin": func(auth *bearer.Middleware, inner func(), opts ...bearer.RouteOption) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		router := gin.New()
		router.Any("/*path", bearergin.Require(auth, opts...), func(c *gin.Context) {
			inner()
			c.Status(http.StatusNoContent)
		})
		return router
	},
	"echo-v4": func(auth *bearer.Middleware, inner func(), opts ...bearer.RouteOption) http.Handler {
		e := echov4.New()
		e.Any("/*", func(c echov4.Context) error {
			inner()
			return c.NoContent(http.StatusNoContent)
		}, bearerecho.Require(auth, opts...))
		return e
	},
	"echo-v5": func(auth *bearer.Middleware, inner func(), opts ...bearer.RouteOption) http.Handler {
		e := echov5.New()
		e.Any("/*", func(c *echov5.Context) error {
			inner()
			return c.NoContent(http.StatusNoContent)
		}, bearerechov5.Require(auth, opts...))
		return e
	},
}

// The requests of other projects' test suites get the answers that those suites expect, or the
// answer that a verdict pins, and the same one in every framework.
func TestForeignRequestsInEveryFramework(t *testing.T) {
	for _, c := range vectors.Foreign(t, vectors.LayerHTTP) {
		for framework, guard := range guards {
			t.Run(framework+"/"+c.ID, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					<-time.After(time.Until(time.Unix(c.Now, 0)))
					quiet := bearer.WithLogger(slog.New(slog.DiscardHandler))
					auth, err := bearer.New(append(c.Config.Options(), quiet)...)
					if err != nil {
						c.Check(t, "refused by New", c.Expected.ConfigError)
						return
					}
					defer func() { _ = auth.Close() }()
					checkForeign(t, c, func(inner func()) http.Handler { return guard(auth, inner, c.Config.RouteOptions()...) })
				})
			})
		}
	}
}

// checkForeign sends the case's request through a guard and checks the answer.
func checkForeign(t *testing.T, c vectors.Case, guard func(inner func()) http.Handler) {
	t.Helper()
	r, err := c.ReadRequest()
	if err != nil {
		t.Fatal(err)
	}
	w, ran := httptest.NewRecorder(), false
	guard(func() { ran = true }).ServeHTTP(w, r)
	if ran != (w.Code == http.StatusNoContent) {
		t.Fatalf("status %d, and the handler ran: %v", w.Code, ran)
	}
	answer := "accepted"
	if !ran {
		var problem struct{ Code string }
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Code == "" {
			t.Fatalf("status %d without a code: %s", w.Code, w.Body)
		}
		answer = problem.Code
	}
	want := c.Expected
	challenge := w.Header().Get("WWW-Authenticate")
	c.Check(t, answer, !want.ConfigError && ran == want.Accept && (want.Status == 0 || w.Code == want.Status) &&
		(want.Error == "" || strings.Contains(challenge, `error="`+want.Error+`"`)))
}

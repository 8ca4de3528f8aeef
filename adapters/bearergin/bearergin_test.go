package bearergin_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearergin"
	"github.com/bearer-go/bearer/bearertest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode) // no banner
	m.Run()
}

func TestAdapter(t *testing.T) {
	bearertest.TestAdapter(t, func(auth *bearer.Middleware, app bearertest.App) http.Handler {
		router := gin.New()
		router.Use(func(c *gin.Context) { app.Recover(c.Writer, c.Next) })
		router.Use(func(c *gin.Context) {
			c.Next()
			for _, err := range c.Errors {
				app.OnError(err.Err)
			}
		})
		router.Use(func(c *gin.Context) {
			if app.Before(c.Writer, c.Request) {
				c.Abort()
			}
		})
		group := router.Group("")
		if app.Group != nil {
			group.Use(bearergin.Require(auth, app.Group...))
		}
		after := func(c *gin.Context) { app.After(c.Request) }
		path := app.Path
		if app.Parameter != "" {
			path += "/:" + app.Parameter
		}
		group.Any(path, bearergin.Require(auth, app.Route...), after, func(c *gin.Context) {
			claims, ok := bearergin.Claims(c)
			if err := app.Handler(claims, ok, c.Writer, c.Request); err != nil {
				_ = c.Error(err)
			}
		})
		return router
	})
}

// newAuth returns an issuer and a Middleware that trusts it.
func newAuth(t *testing.T) (*bearertest.Issuer, *bearer.Middleware) {
	t.Helper()
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
		bearer.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return issuer, auth
}

func send(t *testing.T, handler http.Handler, token string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// The reason for this package: what looks like a guard is none.
func TestWrapHIsNoMiddleware(t *testing.T) {
	_, auth := newAuth(t)
	for _, tt := range []struct {
		name  string
		guard gin.HandlerFunc
		runs  bool
	}{
		{"gin.WrapH runs the handler after a 401", gin.WrapH(auth.Handler(http.NotFoundHandler())), true},
		{"Require does not", bearergin.Require(auth), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ran := false
			router := gin.New()
			router.GET("/orders", tt.guard, func(*gin.Context) { ran = true })
			if w := send(t, router, ""); w.Code != http.StatusUnauthorized || ran != tt.runs {
				t.Errorf("status %d and the protected handler ran: %t, want 401 and %t", w.Code, ran, tt.runs)
			}
		})
	}
}

func TestRefusalsInGinsLogDiscloseNothing(t *testing.T) {
	issuer, auth := newAuth(t)
	var log bytes.Buffer
	router := gin.New()
	router.Use(gin.LoggerWithWriter(&log))
	router.GET("/orders", bearergin.Require(auth))

	token := issuer.Token(bearertest.Claims{"aud": "https://other.test", "sub": "mallory"})
	send(t, router, token)

	if want := "bearer: wrong_audience: The access token is not meant for this service"; !strings.Contains(log.String(), want) {
		t.Errorf("Gin's log is %q, want %q in it", log.String(), want)
	}
	for _, secret := range append(strings.Split(token, "."), "mallory", "other.test") {
		if strings.Contains(log.String(), secret) {
			t.Error("Gin's log holds a part of the token")
		}
	}
}

func TestRequirePanicsOnNilRequirement(t *testing.T) {
	_, auth := newAuth(t)
	defer func() {
		if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "bearer: ") {
			t.Errorf("the panic is %q, want a text of package bearer when the route is wired", text)
		}
	}()
	bearergin.Require(auth, nil)
}

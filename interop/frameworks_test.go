package interop_test

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"
	echov4 "github.com/labstack/echo/v4"
	echov5 "github.com/labstack/echo/v5"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/bearer-go/bearer/adapters/bearerechov5"
	"github.com/bearer-go/bearer/adapters/bearergin"
)

// me is what every route answers.
type me struct {
	Subject string
	Scopes  []string
}

func describe(claims *bearer.Claims) me {
	return me{Subject: claims.Subject(), Scopes: claims.Scopes()}
}

// frameworks mount the same API: any good token may see /me, and /orders takes the scope
// orders:read.
var frameworks = map[string]func(*bearer.Middleware) http.Handler{
	"net-http": mountNetHTTP,
	"gin":      mountGin,
	"echo-v4":  mountEchoV4,
	"echo-v5":  mountEchoV5,
}

func mountNetHTTP(auth *bearer.Middleware) http.Handler {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := bearer.FromContext(r.Context())
		_ = json.NewEncoder(w).Encode(describe(claims))
	})
	mux := http.NewServeMux()
	mux.Handle("GET /me", auth.Handler(answer))
	mux.Handle("GET /orders", auth.Handler(answer, bearer.Scopes("orders:read")))
	return mux
}

func mountGin(auth *bearer.Middleware) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	answer := func(c *gin.Context) {
		claims, _ := bearergin.Claims(c)
		c.JSON(http.StatusOK, describe(claims))
	}
	router := gin.New()
	router.GET("/me", bearergin.Require(auth), answer)
	router.GET("/orders", bearergin.Require(auth, bearer.Scopes("orders:read")), answer)
	return router
}

func mountEchoV4(auth *bearer.Middleware) http.Handler {
	answer := func(c echov4.Context) error {
		claims, _ := bearerecho.Claims(c)
		return c.JSON(http.StatusOK, describe(claims))
	}
	e := echov4.New()
	e.GET("/me", answer, bearerecho.Require(auth))
	e.GET("/orders", answer, bearerecho.Require(auth, bearer.Scopes("orders:read")))
	return e
}

func mountEchoV5(auth *bearer.Middleware) http.Handler {
	answer := func(c *echov5.Context) error {
		claims, _ := bearerechov5.Claims(c)
		return c.JSON(http.StatusOK, describe(claims))
	}
	e := echov5.New()
	e.GET("/me", answer, bearerechov5.Require(auth))
	e.GET("/orders", answer, bearerechov5.Require(auth, bearer.Scopes("orders:read")))
	return e
}

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/bearer-go/bearer/adapters/bearergin"
	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
)

// newAPI is the same API three times, once for each framework, and one Middleware guards all of it.
// What a route demands is said where the route is: a scope for /orders, and for /me any valid token
// will do unless the caller says more.
func newAPI(auth *bearer.Middleware, scope string, me ...bearer.RouteOption) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/nethttp/", netHTTPRoutes(auth, scope, me))
	mux.Handle("/gin/", ginRoutes(auth, scope, me))
	mux.Handle("/echo/", echoRoutes(auth, scope, me))
	mux.Handle("GET /readyz", readiness(auth)) // for the load balancer, which has no token
	return mux
}

func netHTTPRoutes(auth *bearer.Middleware, scope string, me []bearer.RouteOption) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/nethttp/me", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, describe(bearer.FromContext(r.Context())))
	}), me...))
	mux.Handle("GET /nethttp/orders", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, someOrders)
	}), bearer.Scopes(scope)))
	return mux
}

func ginRoutes(auth *bearer.Middleware, scope string, me []bearer.RouteOption) http.Handler {
	gin.SetMode(gin.ReleaseMode) // otherwise Gin prints every route
	router := gin.New()
	router.Any("/gin/me", bearergin.Require(auth, me...), func(c *gin.Context) {
		c.JSON(http.StatusOK, describe(bearergin.Claims(c)))
	})
	router.GET("/gin/orders", bearergin.Require(auth, bearer.Scopes(scope)), func(c *gin.Context) {
		c.JSON(http.StatusOK, someOrders)
	})
	return router
}

func echoRoutes(auth *bearer.Middleware, scope string, me []bearer.RouteOption) http.Handler {
	e := echo.New()
	e.Any("/echo/me", func(c echo.Context) error {
		return c.JSON(http.StatusOK, describe(bearerecho.Claims(c)))
	}, bearerecho.Require(auth, me...))
	e.GET("/echo/orders", func(c echo.Context) error {
		return c.JSON(http.StatusOK, someOrders)
	}, bearerecho.Require(auth, bearer.Scopes(scope)))
	return e
}

// profile is what /me says about the token that was sent.
type profile struct {
	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	Audience []string  `json:"audience"`
	Scopes   []string  `json:"scopes"`
	Expires  time.Time `json:"expires"`
}

// describe is written once: claims are the same in every framework. They are absent only on a route
// that is optional, when the client sent no token.
func describe(claims *bearer.Claims, ok bool) any {
	if !ok {
		return map[string]bool{"anonymous": true}
	}
	return profile{
		Issuer:   claims.Issuer(),
		Subject:  claims.Subject(),
		Audience: claims.Audience(),
		Scopes:   append([]string{}, claims.Scopes()...), // [] for none, where nil would be null
		Expires:  claims.Expiry().UTC(),
	}
}

type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

var someOrders = []order{{1, "espresso machine"}, {2, "coffee beans"}}

// readyTimeout is shorter than what a load balancer waits for.
const readyTimeout = 2 * time.Second

// readiness answers 200 as soon as tokens can be verified, and 503 before. Why not is for the log,
// not for the client.
func readiness(auth *bearer.Middleware) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if auth.Ready(ctx) != nil {
			http.Error(w, "not ready: the issuer's keys are not available", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

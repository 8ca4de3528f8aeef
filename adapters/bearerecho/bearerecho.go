// Package bearerecho protects routes of Echo v4 with package bearer. For Echo v5 there is bearerechov5.
//
//	e.Use(middleware.CORS()) // before the guard, see below
//	e.GET("/orders", func(c echo.Context) error {
//		claims, _ := bearerecho.Claims(c)
//		return c.String(http.StatusOK, claims.Subject())
//	}, bearerecho.Require(auth, bearer.Scopes("orders:read")))
//
// A guard stands before a route, as here, or before a group or all routes, with Use; a token that passes several is verified
// once. Everything else is configured on the [bearer.Middleware].
//
// CORS goes before the guard: a preflight carries no token and would be refused, and a browser shows a refusal to its
// script only with CORS headers on it.
//
// A refusal is written as [bearer.Middleware.WriteError] writes it and is no error for Echo, so that its HTTPErrorHandler does not
// answer a second time; [bearer.WithObserver] and [bearer.WithLogger] show it. Errors of the protected handler pass through.
package bearerecho

import (
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/bearer-go/bearer"
)

// Require returns a middleware that lets requests pass which auth lets pass with the requirements, and answers all others.
// Without requirements any good token passes. It panics when a requirement is nil.
func Require(auth *bearer.Middleware, reqs ...bearer.Requirement) echo.MiddlewareFunc {
	reqs = slices.Clone(reqs) // what the caller does with its own list later changes no route
	_ = auth.Require(reqs...) // panics on a nil requirement now, where the route is wired
	passes := func(c echo.Context) bool {
		r, err := auth.Authenticate(c.Request(), reqs...)
		if err != nil {
			auth.WriteError(c.Response(), c.Request(), err)
			return false
		}
		c.SetRequest(r)
		return true
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc { // which Echo calls for each request
		return func(c echo.Context) error {
			if !passes(c) {
				return nil
			}
			return next(c)
		}
	}
}

// Claims returns the claims of the request's verified token. ok is false when the route has no guard, or when the request
// passed a [bearer.Optional] guard without a token. They are in the request's context too: use [bearer.FromContext] with
// c.Request().Context() where Echo is not known.
func Claims(c echo.Context) (claims *bearer.Claims, ok bool) {
	return bearer.FromContext(c.Request().Context())
}

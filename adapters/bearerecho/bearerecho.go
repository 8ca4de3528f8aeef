// Package bearerecho protects routes of Echo v4 with package bearer. For Echo v5 there is
// bearerechov5.
//
//	e.Use(middleware.CORS()) // before the guard, see below
//	e.GET("/orders", func(c echo.Context) error {
//		claims, _ := bearerecho.Claims(c)
//		return c.String(http.StatusOK, claims.Subject())
//	}, bearerecho.Require(auth, bearer.Scopes("orders:read")))
//
// A guard stands before a route, as here, or before a group or all routes, with Use; a token that
// passes several is verified once. Everything else is configured on the [bearer.Middleware].
//
// A [bearer.Func] finds the parameters of the route with r.PathValue, such as r.PathValue("tenant")
// for "/tenants/:tenant", with the values that c.Param returns: of two parameters with one name,
// the first. They are set on the request itself, as http.ServeMux sets its own.
//
// CORS goes before the guard: a preflight carries no token and would be refused, and a browser
// shows a refusal to its script only with CORS headers on it.
//
// A refusal is written as [bearer.Guard.WriteError] writes it and is no error for Echo, so that its
// HTTPErrorHandler does not answer a second time; [bearer.WithObserver] and [bearer.WithLogger]
// show it. Errors of the protected handler pass through.
package bearerecho

import (
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/bearer-go/bearer"
)

// Require returns a middleware for the routes of auth that have these options. It lets requests
// pass that [bearer.Guard.Authenticate] lets through, and answers all others. Without options any
// good token passes. It panics if an option has a mistake, as [bearer.Middleware.Guard] does.
func Require(auth *bearer.Middleware, opts ...bearer.RouteOption) echo.MiddlewareFunc {
	guard := auth.Guard(opts...)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			values := c.ParamValues()
			for i, name := range slices.Backward(c.ParamNames()) { // of two with one name, c.Param returns the first
				if c.Request().PathValue(name) != values[i] { // an outer guard may have set it
					c.Request().SetPathValue(name, values[i])
				}
			}
			r, err := guard.Authenticate(c.Request())
			if err != nil {
				guard.WriteError(c.Response(), c.Request(), err)
				return nil
			}
			c.SetRequest(r)
			return next(c)
		}
	}
}

// Claims returns the claims of the request's verified token. ok is false when the route has no
// guard, or when the request passed a [bearer.Optional] guard without a token. They are in the
// request's context too: use [bearer.FromContext] with c.Request().Context() where Echo is not
// known.
func Claims(c echo.Context) (claims *bearer.Claims, ok bool) {
	return bearer.FromContext(c.Request().Context())
}

// Package bearergin protects routes of Gin with package bearer.
//
//	router.Use(cors.Default()) // before the guard, see below
//	router.GET("/orders", bearergin.Require(auth, bearer.Scopes("orders:read")), func(c *gin.Context) {
//		claims, _ := bearergin.Claims(c)
//		c.JSON(http.StatusOK, gin.H{"subject": claims.Subject()})
//	})
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
// A refusal is written as [bearer.Guard.WriteError] writes it, is added to [gin.Context.Errors] for
// Gin's logger, with a fixed text that holds nothing of the request, and aborts the chain. A
// middleware that answers for c.Errors finds the answer written (c.Writer.Written) and must leave
// it as it is.
//
// [gin.WrapH] makes no middleware of a guard. It has no way to abort, so in
//
//	router.GET("/orders", gin.WrapH(auth.Handler(inner)), orders) // WRONG: orders runs after a 401
//
// the protected handler runs for every request. As the last handler, with the protected one inside,
// it is safe.
//
// [gin.Engine.HandleContext] forgets an abort. A guard of the inner route ends the inner chain
// alone, so the handler that calls HandleContext calls c.Abort after it, or is the last of its own
// chain. A request that was verified in the outer chain counts as verified in the inner one, where
// the requirements of the inner guard are checked.
package bearergin

import (
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/bearer-go/bearer"
)

// Require returns a middleware for the routes of auth that have these options. It lets requests
// pass that [bearer.Guard.Authenticate] lets through, and answers all others and aborts the chain.
// Without options any good token passes. It panics if an option has a mistake, as
// [bearer.Middleware.Guard] does.
//
// A panic of a [bearer.Func], an error handler, an observer or a log handler aborts the chain as
// well. So no handler behind the guard runs when the recovery outside does not abort, such as a
// [gin.CustomRecovery] whose function only writes an answer.
func Require(auth *bearer.Middleware, opts ...bearer.RouteOption) gin.HandlerFunc {
	guard := auth.Guard(opts...)
	return func(c *gin.Context) {
		passed := false
		defer func() {
			if !passed { // also after a panic: when it is recovered outside, Gin calls the next handler
				c.Abort()
			}
		}()
		for _, p := range slices.Backward(c.Params) { // of two with one name, c.Param returns the first
			if c.Request.PathValue(p.Key) != p.Value { // an outer guard may have set it
				c.Request.SetPathValue(p.Key, p.Value)
			}
		}
		r, err := guard.Authenticate(c.Request)
		if err != nil {
			guard.WriteError(c.Writer, c.Request, err)
			_ = c.Error(err) // returns what it was given
			return
		}
		c.Request, passed = r, true
	}
}

// Claims returns the claims of the request's verified token. ok is false when the route has no
// guard, or when the request passed a [bearer.Optional] guard without a token. They are in the
// request's context too: use [bearer.FromContext] with c.Request.Context() where Gin is not known,
// and not with c itself.
func Claims(c *gin.Context) (claims *bearer.Claims, ok bool) {
	return bearer.FromContext(c.Request.Context())
}

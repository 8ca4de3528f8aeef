package bearergin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearergin"
)

// Gin calls the next handler after a panic that was recovered without an abort. The recoveries here
// are Gin's own and the form that error trackers have; bearertest.TestAdapter has the cases for
// every function that can panic.
func TestPanicInTheGuardDoesNotOpenTheRoute(t *testing.T) {
	issuer, auth := newAuth(t)
	bug := bearer.Func("tenant", func(*http.Request, *bearer.Claims) error { panic("a bug") })
	for name, recovery := range map[string]gin.HandlerFunc{
		"a recovery that swallows": func(c *gin.Context) {
			defer func() { _ = recover() }()
			c.Next()
		},
		"a recovery that answers 500": gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) {
			c.JSON(http.StatusInternalServerError, gin.H{"error": "internal"})
		}),
		"gin.Recovery": gin.RecoveryWithWriter(nil),
	} {
		t.Run(name, func(t *testing.T) {
			router := gin.New()
			router.Use(recovery)
			router.GET("/orders", bearergin.Require(auth, bug, bearer.Scopes("admin")), func(c *gin.Context) {
				c.String(http.StatusOK, "the orders")
			})
			if w := send(t, router, issuer.Token()); strings.Contains(w.Body.String(), "the orders") {
				t.Errorf("status %d and body %q: the protected handler ran", w.Code, w.Body)
			}
		})
	}
}

// What the package comment says of HandleContext.
func TestHandleContextForgetsAnAbort(t *testing.T) {
	_, auth := newAuth(t)
	for _, tt := range []struct {
		name  string
		after func(c *gin.Context)
		runs  bool
	}{
		{"what stands behind it runs after a 401", func(*gin.Context) {}, true},
		{"it does not when the chain is aborted again", (*gin.Context).Abort, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inner, behind := false, false
			router := gin.New()
			router.GET("/inner", bearergin.Require(auth), func(*gin.Context) { inner = true })
			router.GET("/orders", func(c *gin.Context) {
				c.Request.URL.Path = "/inner"
				router.HandleContext(c)
				tt.after(c)
			}, func(*gin.Context) { behind = true })
			if w := send(t, router, ""); w.Code != http.StatusUnauthorized || inner || behind != tt.runs {
				t.Errorf("status %d, the guarded handler ran: %t, the one behind HandleContext: %t; want 401, false and %t",
					w.Code, inner, behind, tt.runs)
			}
		})
	}
}

// Command gin protects an API of the Gin framework.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run ./examples/gin
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearergin"
	"github.com/gin-gonic/gin"
)

func main() {
	auth, err := bearer.New(bearer.WithIssuer(os.Getenv("ISSUER"), os.Getenv("AUDIENCE")))
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newHandler(auth), ReadHeaderTimeout: 5 * time.Second}
	log.Printf("serving at http://%s", server.Addr)
	log.Fatal(server.ListenAndServe())
}

func newHandler(auth *bearer.Middleware) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	api := router.Group("/", bearergin.Require(auth)) // every route of the group takes a valid token
	api.GET("/me", me)
	api.GET("/orders", bearergin.Require(auth, bearer.Scopes("orders:read")), orders)
	return router
}

func me(c *gin.Context) {
	claims, _ := bearergin.Claims(c) // behind the guard there are always claims
	c.String(http.StatusOK, "You are %s.\n", claims.Subject())
}

func orders(c *gin.Context) {
	c.String(http.StatusOK, "espresso machine, coffee beans\n")
}

// Command echo protects an API of the Echo framework.
//
//	ISSUER=https://login.example.com AUDIENCE=orders go run ./examples/echo
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/labstack/echo/v4"
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
	e := echo.New()
	api := e.Group("", bearerecho.Require(auth)) // every route of the group takes a valid token
	api.GET("/me", me)
	api.GET("/orders", orders, bearerecho.Require(auth, bearer.Scopes("orders:read")))
	return e
}

func me(c echo.Context) error {
	claims, _ := bearerecho.Claims(c) // behind the guard there are always claims
	return c.String(http.StatusOK, "You are "+claims.Subject()+".\n")
}

func orders(c echo.Context) error {
	return c.String(http.StatusOK, "espresso machine, coffee beans\n")
}

package bearerecho_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v4"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearerecho"
	"github.com/bearer-go/bearer/bearertest"
)

func Example() {
	issuer := bearertest.NewIssuer() // in production, the URL of the login server
	auth, err := bearer.New(
		bearer.WithIssuer(issuer.URL(), issuer.Audience()),
		bearer.WithHTTPClient(issuer.Client()),
	)
	if err != nil {
		panic(err)
	}
	e := echo.New()
	e.GET("/orders", func(c echo.Context) error {
		claims, _ := bearerecho.Claims(c)
		return c.String(http.StatusOK, "the orders of "+claims.Subject())
	}, bearerecho.Require(auth, bearer.Scopes("orders:read")))

	for _, token := range []string{
		issuer.Token(bearertest.Claims{"scope": "orders:read"}),
		issuer.Token(bearertest.Claims{"scope": "profile"}),
	} {
		r := httptest.NewRequest(http.MethodGet, "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 the orders of alice
	// 403 {"title":"Forbidden","status":403,"detail":"The access token lacks a required scope","code":"insufficient_scope"}
}

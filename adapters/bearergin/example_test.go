package bearergin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/adapters/bearergin"
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
	router := gin.New()
	router.GET("/orders", bearergin.Require(auth, bearer.Scopes("orders:read")), func(c *gin.Context) {
		claims, _ := bearergin.Claims(c)
		c.String(http.StatusOK, "the orders of %s", claims.Subject())
	})

	for _, token := range []string{
		issuer.Token(bearertest.Claims{"scope": "orders:read"}),
		issuer.Token(bearertest.Claims{"scope": "profile"}),
	} {
		r := httptest.NewRequest(http.MethodGet, "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 the orders of alice
	// 403 {"title":"Forbidden","status":403,"detail":"The access token lacks a required scope","code":"insufficient_scope"}
}

package bearertest_test

import (
	"net/http"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// No place of tokens opens more than itself: whatever is enabled beside the Authorization header,
// every attack fails.
func TestAttackPassesEveryPlaceOfTokens(t *testing.T) {
	t.Parallel()
	header, cookie := bearer.FromHeader(), bearer.FromCookie("session")
	for name, from := range map[string][]bearer.TokenLocation{
		"a header":                  {header, bearer.FromHeader("X-Goog-IAP-JWT-Assertion")},
		"a header with a scheme":    {header, bearer.FromHeaderScheme("X-Forwarded-Authorization", "Bearer")},
		"another scheme":            {header, bearer.FromHeaderScheme("Authorization", "Token")},
		"an order, the header last": {bearer.FirstOf(cookie, bearer.FromHeader("X-Token"), header)},
		"an order":                  {bearer.FirstOf(header, cookie, bearer.FromForm("session"))},
		"an order and another":      {bearer.FromQuery("session"), bearer.FirstOf(header, cookie)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := bearertest.NewIssuer()
			protected := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			handler := newMiddleware(t, issuer).Handler(protected, bearer.TokensFrom(from...))
			bearertest.Attack(t, handler, issuer)
		})
	}
}

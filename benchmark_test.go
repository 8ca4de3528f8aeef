package bearer_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// What a guard costs beside the bare signature: one request through it, and golang-jwt's verification of the same token's
// signature alone. Read the ratio of the two within one run.
func BenchmarkGuard(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		issuer := bearertest.NewIssuer(bearertest.Algorithm(alg))
		auth := mustNew(b, bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Keys(jwks.Static(issuer.KeySet()))))
		token := issuer.Token(c{"scope": "orders:read"})

		b.Run(alg+"/signature alone", func(b *testing.B) {
			input := token[:strings.LastIndexByte(token, '.')]
			signature, err := base64.RawURLEncoding.DecodeString(token[len(input)+1:])
			if err != nil {
				b.Fatal(err)
			}
			method, key := jwt.GetSigningMethod(alg), issuer.PublicKey()
			b.ReportAllocs()
			for b.Loop() {
				if err := method.Verify(input, signature, key); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/guard", func(b *testing.B) {
			h := auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), bearer.Scopes("orders:read"))
			r, w := inHeader(token), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
			if w.Code != http.StatusOK {
				b.Fatalf("status %d", w.Code)
			}
		})
	}
	b.Run("no token", func(b *testing.B) {
		auth, r := newAuth(b, bearertest.NewIssuer()), get("")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := auth.Authenticate(r); err == nil {
				b.Fatal("not refused")
			}
		}
	})
}

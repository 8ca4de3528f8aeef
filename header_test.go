package bearer_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

// Headers that differ in one byte are not confused.
func TestHeadersThatDifferInOneByteAreToldApart(t *testing.T) {
	auth := newPress().auth(t, bearer.WithoutCache())
	secret := []byte(strings.Repeat("s", 32))
	claims := c{"iss": pressIssuer, "aud": "api", "exp": int64(4102444800)}
	type sample struct {
		token string
		want  bearer.Reason
	}
	var samples []sample
	for i := range 100 {
		kid := fmt.Sprintf("%c", 'A'+i)
		samples = append(
			samples,
			sample{signedBy(c{"alg": "HS256", "kid": kid}, claims, "HS256", secret), ""},
			sample{signedBy(c{"alg": "HS356", "kid": kid}, claims, "HS256", secret), bearer.ReasonAlgorithm},
			sample{signedBy(c{"alg": "HS256", "kid": kid, "typ": "JWT"}, claims, "HS256", secret), ""},
			sample{signedBy(c{"alg": "HS256", "kid": kid, "typ": "JWS"}, claims, "HS256", secret), bearer.ReasonType},
			sample{signedBy(c{"alg": "HS256", "kid": kid, "crit": nil}, claims, "HS256", secret), bearer.ReasonUnsupportedHeader},
			sample{signedBy(c{"alg": "HS256", "kid": kid, "crix": nil}, claims, "HS256", secret), ""},
		)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 2 {
				for i, s := range samples {
					if _, err := auth.Guard().Verify(t.Context(), s.token); reasonOf(t, err) != s.want {
						t.Errorf("token %d: %v, want %q", i, err, s.want)
					}
				}
			}
		})
	}
	wg.Wait()
}

// Each issuer has its own algorithms and types, also for a header that came with a token of another
// issuer.
func TestHeadersAreJudgedByEachIssuer(t *testing.T) {
	secret := []byte(strings.Repeat("s", 64))
	tuple := func(n int, opts ...bearer.IssuerOption) bearer.Option {
		return bearer.WithIssuer(fmt.Sprintf("https://%d.example", n), "api", append(opts, bearer.HMACSecret(secret))...)
	}
	for name, opts := range map[string][]bearer.Option{"with a cache": nil, "without a cache": {bearer.WithoutCache()}} {
		t.Run(name, func(t *testing.T) {
			auth := mustNew(t, append(opts,
				tuple(1, bearer.Algorithms("HS256", "HS512")), tuple(2, bearer.Algorithms("HS512")),
				tuple(3, bearer.Algorithms("HS256", "HS512"), bearer.TokenTypes("at+jwt")), tuple(4, bearer.Algorithms("HS256"), bearer.TokenTypes("x")),
			)...)
			for range 2 {
				for header, wants := range map[string][4]bearer.Reason{
					`{"alg":"HS256","typ":"at+jwt"}`: {"", bearer.ReasonAlgorithm, "", bearer.ReasonType},
					`{"alg":"HS256","typ":"JWT"}`:    {"", bearer.ReasonAlgorithm, bearer.ReasonType, bearer.ReasonType},
					`{"alg":"HS512","typ":"at+jwt"}`: {"", "", "", bearer.ReasonAlgorithm},
					`{"alg":"HS256","typ":"X"}`:      {bearer.ReasonType, bearer.ReasonAlgorithm, bearer.ReasonType, ""},
				} {
					alg := header[8:13]
					for i, want := range wants {
						claims := c{"iss": fmt.Sprintf("https://%d.example", i+1), "aud": "api", "exp": int64(4102444800)}
						members := c{"alg": alg, "typ": header[strings.LastIndex(header, `:"`)+2 : len(header)-2]}
						token := signedBy(members, claims, alg, secret)
						if !strings.HasPrefix(token, b64(header)+".") {
							t.Fatalf("the header of %s is not %s", token, header)
						}
						wantReason(t, auth, token, want)
					}
				}
			}
		})
	}
}

// A member of a wrong type is refused, however long it is.
func TestHeaderMembersOfAWrongTypeAreRefused(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	for _, name := range []string{"alg", "kid", "typ"} {
		for _, length := range []int{0, 1, 100, 4000} {
			for _, value := range []any{make([]int, length), c{"a": strings.Repeat("x", length)}, 1, true} {
				header := c{name: value}
				wantReason(t, auth, issuer.Sign(header), bearer.ReasonMalformedToken)
			}
		}
	}
}

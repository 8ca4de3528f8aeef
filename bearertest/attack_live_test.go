package bearertest_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// The middleware withstands all attacks where the application says who is trusted, and what for.
func TestAttackPassesWhereTheApplicationIsAsked(t *testing.T) {
	t.Parallel()
	const url = "https://login.test/acme/v2.0"
	audience := func(r *http.Request) string {
		if r.Host == "example.com" {
			return "https://api.test"
		}
		return ""
	}
	accept := func(_ context.Context, value string) error {
		if value != "acme" {
			return context.Canceled
		}
		return nil
	}
	for name, options := range map[string]func(*bearertest.Issuer) []bearer.Option{
		"a template": func(issuer *bearertest.Issuer) []bearer.Option {
			return []bearer.Option{bearer.WithIssuer("https://login.test/{tenant}/v2.0", issuer.Audience(),
				bearer.IssuerTemplate("tid", accept), bearer.JWKSURL(url+"/jwks"))}
		},
		"an audience of the request": func(*bearertest.Issuer) []bearer.Option {
			return []bearer.Option{bearer.WithIssuer(url, "", bearer.AudienceFunc(audience))}
		},
		"both": func(*bearertest.Issuer) []bearer.Option {
			return []bearer.Option{bearer.WithIssuer("https://login.test/{tenant}/v2.0", "",
				bearer.IssuerTemplate("tid", accept), bearer.AudienceFunc(audience), bearer.JWKSURL(url+"/jwks"))}
		},
		"a registry": func(issuer *bearertest.Issuer) []bearer.Option {
			registry := bearer.NewRegistry()
			if err := registry.Add(url, issuer.Audience()); err != nil {
				t.Fatal(err)
			}
			return []bearer.Option{bearer.WithRegistry(registry)}
		},
		"a lookup": func(issuer *bearertest.Issuer) []bearer.Option {
			find := func(_ context.Context, name string) (r bearer.Registration, found bool, err error) {
				return bearer.Registration{Audience: issuer.Audience(), Options: []bearer.IssuerOption{bearer.Keys(jwks.Discover(url))}}, name == url, nil
			}
			return []bearer.Option{bearer.WithRegistry(bearer.NewRegistry(bearer.WithLookup(find)))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := bearertest.NewIssuer(bearertest.WithURL(url), bearertest.WithDefaultClaims(bearertest.Claims{"tid": "acme", "scope": attackedScope}))
				auth, err := bearer.New(append(options(issuer), bearer.WithHTTPClient(issuer.Client()))...)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = auth.Close() })
				bearertest.Attack(t, auth.Handler(protected, bearer.Scopes(attackedScope)), issuer)
			})
		})
	}
}

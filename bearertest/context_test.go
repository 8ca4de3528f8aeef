package bearertest_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
)

func TestNewContextHoldsTheClaimsOfAnOrdinaryToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claims, ok := bearer.FromContext(bearertest.NewContext(t.Context(), t, nil))
		if !ok {
			t.Fatal("no claims in the context")
		}
		now := time.Now()
		for name, got := range map[string][2]any{
			"Issuer":    {claims.Issuer(), "https://issuer.test"},
			"Subject":   {claims.Subject(), "alice"},
			"Audience":  {claims.Audience()[0], "https://api.test"},
			"ClientID":  {claims.ClientID(), "test-client"},
			"IssuedAt":  {claims.IssuedAt().Unix(), now.Unix()},
			"Expiry":    {claims.Expiry().Unix(), now.Add(5 * time.Minute).Unix()},
			"Algorithm": {claims.Algorithm(), "HS256"},
			"KeyID":     {claims.KeyID(), ""},
		} {
			if got[0] != got[1] {
				t.Errorf("%s() = %v, want %v", name, got[0], got[1])
			}
		}
		if claims.ID() == "" {
			t.Error("ID() is empty")
		}
	})
}

func TestNewContextTakesClaimsAndTheOptionsThatReadThem(t *testing.T) {
	ctx := bearertest.NewContext(t.Context(), t, bearertest.Claims{
		"iss":          "https://login.example.com/realms/shop",
		"aud":          []string{"orders", "stock"},
		"sub":          nil,
		"scope":        "orders:read orders:write",
		"realm_access": map[string]any{"roles": []string{"clerk"}},
		"tenant":       "north",
	}, bearer.RolesClaim("realm_access.roles"))

	claims, _ := bearer.FromContext(ctx)
	if claims.Issuer() != "https://login.example.com/realms/shop" || claims.Subject() != "" ||
		!slices.Equal(claims.Audience(), []string{"orders", "stock"}) {
		t.Errorf("issuer %q, subject %q, audience %q", claims.Issuer(), claims.Subject(), claims.Audience())
	}
	if !claims.HasScope("orders:write") || !claims.HasRole("clerk") {
		t.Errorf("scopes %q, roles %q", claims.Scopes(), claims.Roles())
	}
	custom, err := bearer.ClaimsAs[struct {
		Tenant string `json:"tenant"`
	}](ctx)
	if err != nil || custom.Tenant != "north" {
		t.Errorf("ClaimsAs = %+v, %v", custom, err)
	}
}

func TestNewContextReadsTheAudienceOfEveryShape(t *testing.T) {
	for name, aud := range map[string]any{
		"a string": "orders", "strings": []string{"orders"}, "any values": []any{"orders"},
	} {
		t.Run(name, func(t *testing.T) {
			claims, _ := bearer.FromContext(bearertest.NewContext(t.Context(), t, bearertest.Claims{"aud": aud}))
			if got := claims.Audience(); !slices.Equal(got, []string{"orders"}) {
				t.Errorf("Audience() = %q", got)
			}
		})
	}
	t.Run("none, for a service that takes any", func(t *testing.T) {
		ctx := bearertest.NewContext(t.Context(), t, bearertest.Claims{"aud": nil}, bearer.InsecureAnyAudience())
		if claims, _ := bearer.FromContext(ctx); len(claims.Audience()) != 0 {
			t.Errorf("Audience() = %q", claims.Audience())
		}
	})
}

func TestNewContextFailsTheTestForClaimsTheMiddlewareWouldRefuse(t *testing.T) {
	for name, test := range map[string]struct {
		claims bearertest.Claims
		opts   []bearer.IssuerOption
		want   string
	}{
		"expired":               {claims: bearertest.Claims{"exp": time.Now().Add(-time.Hour)}, want: "token_expired"},
		"no expiry":             {claims: bearertest.Claims{"exp": nil}, want: "missing_claim"},
		"not yet valid":         {claims: bearertest.Claims{"nbf": time.Now().Add(time.Hour)}, want: "token_not_yet_valid"},
		"no audience":           {claims: bearertest.Claims{"aud": nil}, want: "the audience is empty"},
		"no audience in a list": {claims: bearertest.Claims{"aud": []any{}}, want: "the audience is empty"},
		"no issuer":             {claims: bearertest.Claims{"iss": nil}, want: "WithIssuer"},
		"a subject of no text":  {claims: bearertest.Claims{"sub": 7}, want: "malformed_claims"},
		"options about keys":    {opts: []bearer.IssuerOption{bearer.JWKSURL("https://issuer.test/jwks")}, want: "JWKSURL"},
	} {
		t.Run(name, func(t *testing.T) {
			got := fatal(t, func(tb testing.TB) {
				tb.Helper()
				bearertest.NewContext(t.Context(), tb, test.claims, test.opts...)
			})
			if !strings.HasPrefix(got, "bearertest: NewContext: ") || !strings.Contains(got, test.want) {
				t.Errorf("the test failed with %q, want it to mention %q", got, test.want)
			}
		})
	}
}

// A handler behind a middleware is not a handler alone: claims that did not come with the request must not open it.
func TestNewContextDoesNotOpenAMiddleware(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth, err := bearer.New(bearer.WithIssuer(issuer.URL(), issuer.Audience()), bearer.WithHTTPClient(issuer.Client()))
	if err != nil {
		t.Fatal(err)
	}
	handler := auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
	request := httptest.NewRequestWithContext(bearertest.NewContext(t.Context(), t, nil), http.MethodGet, "/", nil)
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	if response.Code != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", response.Code)
	}
}

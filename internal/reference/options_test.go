package reference_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bearer-go/bearer/internal/reference"
)

// Each option accepts what it is for, and no more.
func TestOptionsOfTheReference(t *testing.T) {
	t.Parallel()
	plain := `{"alg":"EdDSA","kid":"a"}`
	tenant := func(value, claim string) string {
		return `{"iss":"https://issuer.test/` + value + `/v2","tid":"` + claim + `","aud":"https://api.test","exp":2000000060}`
	}
	template := reference.Options{TemplateClaim: "tid", Accept: func(value string) bool { return value != "other" }}
	for name, test := range map[string]struct {
		issuer  string
		options reference.Options
		claims  string
		want    reference.Rule
	}{
		"no iss":            {issuer, reference.Options{NoIssuer: true}, `{"aud":"https://api.test","exp":2000000060}`, ""},
		"an empty iss":      {issuer, reference.Options{NoIssuer: true}, swap(t, goodClaims, `"https://issuer.test"`, `""`), reference.Issuer},
		"an iss of null":    {issuer, reference.Options{NoIssuer: true}, swap(t, goodClaims, `"https://issuer.test"`, `null`), reference.Issuer},
		"an ID token":       {issuer, reference.Options{IDTokens: true}, with(goodClaims, `"at_hash":"x","token_use":"id","typ":"ID"`), ""},
		"an event":          {issuer, reference.Options{IDTokens: true}, with(goodClaims, `"at_hash":"x","events":{}`), reference.OtherTokens},
		"a refresh token":   {issuer, reference.Options{IDTokens: true}, with(goodClaims, `"typ":"Refresh"`), reference.OtherTokens},
		"a claim":           {issuer, reference.Options{AnyPresent: []string{"a", "b"}}, with(goodClaims, `"b":false`), ""},
		"a claim of null":   {issuer, reference.Options{AnyPresent: []string{"a", "b"}}, with(goodClaims, `"b":null`), reference.AnyPresent},
		"another audience":  {issuer, reference.Options{AnyAudience: true}, swap(t, goodClaims, "api.test", "other.test"), ""},
		"no exp":            {issuer, reference.Options{NoExpiry: true}, swap(t, goodClaims, `,"exp":2000000060`, ""), ""},
		"an old exp":        {issuer, reference.Options{NoExpiry: true}, swap(t, goodClaims, "2000000060", "1"), reference.Expiry},
		"a bound token":     {issuer, reference.Options{IgnoreConfirmation: true}, with(goodClaims, `"cnf":{}`), ""},
		"a tenant":          {issuer + "/{tenant}/v2", template, tenant("acme", "acme"), ""},
		"another's claim":   {issuer + "/{tenant}/v2", template, tenant("acme", "beta"), reference.TemplateClaim},
		"one not trusted":   {issuer + "/{tenant}/v2", template, tenant("other", "other"), reference.Accepted},
		"two segments":      {issuer + "/{tenant}/v2", template, tenant("a/b", "a/b"), reference.Template},
		"a directory above": {issuer + "/{tenant}/v2", template, tenant("..", ".."), reference.Template},
	} {
		t.Run(name, func(t *testing.T) {
			judge := reference.New(reference.Config{
				Issuer: test.issuer, Audience: audience, Keys: []reference.Key{named("a", ours)}, Options: test.options,
			})
			judged(t, judge.Verify(sign(ours, plain, test.claims), now), test.want)
		})
	}
}

// The places of tokens, and what a route demands, are those of the options.
func TestPlacesOfTheReference(t *testing.T) {
	t.Parallel()
	claims := func(members string) string {
		return with(swap(t, goodClaims, "2000000060", "4102444799"), members)
	}
	good := sign(ours, goodHeader, claims(`"roles":{"admin":{},"user":null}`))
	places := []reference.Place{{Header: "Authorization", Scheme: "Token"}, {Header: "X-Token"}, {Cookie: "session"}}
	for name, test := range map[string]struct {
		options reference.Options
		headers map[string]string
		want    int
	}{
		"a scheme":           {reference.Options{}, map[string]string{"Authorization": "token " + good}, 204},
		"another scheme":     {reference.Options{}, map[string]string{"Authorization": "Bearer " + good}, 401},
		"a header":           {reference.Options{}, map[string]string{"X-Token": good}, 204},
		"an empty header":    {reference.Options{}, map[string]string{"X-Token": ""}, 400},
		"a cookie":           {reference.Options{}, map[string]string{"Cookie": "a=b; session=" + good}, 204},
		"an empty cookie":    {reference.Options{}, map[string]string{"Cookie": "session="}, 401},
		"two cookies":        {reference.Options{}, map[string]string{"Cookie": "session=" + good + "; session="}, 400},
		"two places":         {reference.Options{}, map[string]string{"X-Token": good, "Cookie": "session=" + good}, 400},
		"the first of two":   {reference.Options{Ordered: true}, map[string]string{"X-Token": good, "Cookie": "session=x"}, 204},
		"a bad first of two": {reference.Options{Ordered: true}, map[string]string{"X-Token": "x", "Cookie": "session=" + good}, 401},
		"no role":            {reference.Options{Role: "admin"}, map[string]string{"X-Token": good}, 403},
		"a role":             {reference.Options{Role: "admin", RolesFromMembers: true}, map[string]string{"X-Token": good}, 204},
		"a role of null":     {reference.Options{Role: "user", RolesFromMembers: true}, map[string]string{"X-Token": good}, 403},
		"another audience":   {reference.Options{AudienceFunc: func(*http.Request) string { return "" }}, map[string]string{"X-Token": good}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Places = places
			judge := reference.New(reference.Config{
				Issuer: issuer, Audience: audience, Keys: []reference.Key{named("a", ours)}, Options: test.options,
			})
			r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			judge.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("status %d, want %d", w.Code, test.want)
			}
		})
	}
}

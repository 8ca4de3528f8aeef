package bearer_test

import (
	"errors"
	"fmt"
	"go/types"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

// Rules: route.scope, route.role, route.claim, route.acr, route.func.
func TestRequirementsDecideByTheClaims(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.WithDefaultClaims(c{
		"scope": "read write", "roles": []string{"editor", "viewer"}, "tenant": "acme", "admin": false, "level": 3,
		"acr": "mfa", "auth_time": time.Now().Add(-time.Minute), "groups": []any{"a", 7, true},
		"realm_access": c{"roles": []string{"nested"}}, "https://example.com/plan": "gold",
	}))
	auth := newAuth(t, issuer)
	yes := bearer.Func("yes", func(*http.Request, *bearer.Claims) error { return nil })
	no := bearer.Func("no", func(*http.Request, *bearer.Claims) error { return errors.New("no") })
	unsure := bearer.Func("unsure", func(*http.Request, *bearer.Claims) error { return bearer.ErrUnavailable })
	tests := []struct {
		name string
		req  bearer.Requirement
		want bearer.Reason
	}{
		{"scope", bearer.Scopes("read"), ""},
		{"scopes", bearer.Scopes("write", "read"), ""},
		{"one scope lacks", bearer.Scopes("read", "delete"), bearer.ReasonScope},
		{"scopes are case-sensitive", bearer.Scopes("Read"), bearer.ReasonScope},
		{"part of a scope", bearer.Scopes("rea"), bearer.ReasonScope},
		{"any scope", bearer.Any(bearer.Scopes("delete"), bearer.Scopes("read")), ""},
		{"none of the scopes", bearer.Any(bearer.Scopes("delete"), bearer.Scopes("x")), bearer.ReasonScope},
		{"role", bearer.Roles("editor", "viewer"), ""},
		{"one role lacks", bearer.Roles("editor", "admin"), bearer.ReasonRole},
		{"any role", bearer.Any(bearer.Roles("admin"), bearer.Roles("viewer")), ""},
		{"none of the roles", bearer.Any(bearer.Roles("admin")), bearer.ReasonRole},
		{"string claim", bearer.HasClaim("tenant", "acme"), ""},
		{"another string", bearer.HasClaim("tenant", "Acme"), bearer.ReasonClaim},
		{"bool claim", bearer.HasClaim("admin", false), ""},
		{"another bool", bearer.HasClaim("admin", true), bearer.ReasonClaim},
		{"a string is no bool", bearer.HasClaim("admin", "false"), bearer.ReasonClaim},
		{"int claim", bearer.HasClaim("level", 3), ""},
		{"another int", bearer.HasClaim("level", 4), bearer.ReasonClaim},
		{"string in an array", bearer.HasClaim("groups", "a"), ""},
		{"int in an array", bearer.HasClaim("groups", 7), ""},
		{"bool in an array", bearer.HasClaim("groups", true), ""},
		{"not in the array", bearer.HasClaim("groups", "b"), bearer.ReasonClaim},
		{"nested claim", bearer.HasClaim("realm_access.roles", "nested"), ""},
		{"name with dots", bearer.HasClaim("https://example.com/plan", "gold"), ""},
		{"an object is no value", bearer.HasClaim("realm_access", "roles"), bearer.ReasonClaim},
		{"absent claim", bearer.HasClaim("x", "y"), bearer.ReasonClaim},
		{"absent nested claim", bearer.HasClaim("tenant.x", "y"), bearer.ReasonClaim},
		{"acr", bearer.ACR("pwd", "mfa"), ""},
		{"another acr", bearer.ACR("phr"), bearer.ReasonAuthTooWeak},
		{"recent authentication", bearer.AuthMaxAge(time.Hour), ""},
		{"old authentication", bearer.AuthMaxAge(30 * time.Second), bearer.ReasonAuthTooOld},
		{"function passes", yes, ""},
		{"function refuses", no, bearer.ReasonPolicy},
		{"function cannot decide", unsure, bearer.ReasonPolicyUnavailable},
		{"all", bearer.All(bearer.Scopes("read"), yes), ""},
		{"all but one", bearer.All(yes, bearer.Roles("x"), no), bearer.ReasonRole},
		{"any", bearer.Any(no, bearer.Scopes("read")), ""},
		{"none of any: the first", bearer.Any(bearer.Roles("x"), no), bearer.ReasonRole},
		{"none of any, one undecided", bearer.Any(no, unsure, bearer.Roles("x")), bearer.ReasonPolicyUnavailable},
		{"any after one undecided", bearer.Any(unsure, yes), ""},
		{"nested groups", bearer.Any(bearer.All(yes, no), bearer.All(yes, bearer.Any(no, yes))), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantReason(t, auth, issuer.Token(), tt.want, tt.req) })
	}
}

// Of several requirements the first says what a client lacks, unless one could not decide.
// Rules: route.any.
func TestAnyAnswersWithWhatTheFirstLacked(t *testing.T) {
	t.Parallel()
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	unsure := bearer.Func("unsure", func(*http.Request, *bearer.Claims) error { return bearer.ErrUnavailable })
	wantReason(t, auth, issuer.Token(), bearer.ReasonRole, bearer.Any(bearer.Roles("x"), bearer.Scopes("y")))
	wantReason(t, auth, issuer.Token(), bearer.ReasonScope, bearer.Any(bearer.Scopes("y"), bearer.Roles("x")))
	wantReason(t, auth, issuer.Token(), bearer.ReasonPolicyUnavailable, bearer.Any(bearer.Scopes("y"), unsure))
	wantReason(t, auth, issuer.Token(c{"scope": "y"}), "", bearer.Any(unsure, bearer.Scopes("y")))
}

// The claims about authentication decide, to the second. Without auth_time the age is unknown.
// Rules: route.auth-age.
func TestAuthMaxAgeCountsToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := bearertest.NewIssuer()
		auth := mustNew(t, bearer.WithIssuer(issuer.URL(), issuer.Audience(), bearer.Keys(jwks.Static(issuer.KeySet()))))
		for age, want := range map[time.Duration]bearer.Reason{
			time.Minute: "", time.Minute + time.Second: bearer.ReasonAuthTooOld,
			-5 * time.Minute: "", -5*time.Minute - time.Second: bearer.ReasonAuthTooOld,
		} {
			wantReason(t, auth, issuer.Token(c{"auth_time": time.Now().Add(-age)}), want, bearer.AuthMaxAge(time.Minute))
		}
		for _, value := range []any{nil, "now", -1, 1e300} {
			wantReason(t, auth, issuer.Token(c{"auth_time": value}), bearer.ReasonAuthTooOld, bearer.AuthMaxAge(time.Minute))
		}
		wantReason(t, auth, issuer.Token(c{"acr": 1}), bearer.ReasonAuthTooWeak, bearer.ACR("1"))
	})
}

// A Func gets the request and the claims. Its error goes to the log alone, where the operator finds
// it.
// Rules: route.func.
func TestFuncDecidesByRequestAndClaims(t *testing.T) {
	issuer := bearertest.NewIssuer()
	auth := newAuth(t, issuer)
	cause := errors.New("wrong tenant")
	tenant := bearer.Func("tenant", func(r *http.Request, claims *bearer.Claims) error {
		if r == nil {
			return errors.New("no request")
		}
		if r.Header.Get("Tenant") != claims.Subject() {
			return cause
		}
		return nil
	})
	r := get("Bearer " + issuer.Token())
	_, err := auth.Guard(tenant).Authenticate(r)
	if !errors.Is(err, cause) || reasonOf(t, err) != bearer.ReasonPolicy || strings.Contains(err.Error(), "tenant") {
		t.Errorf("error %v", err)
	}
	r.Header.Set("Tenant", "alice")
	if _, err := auth.Guard(tenant).Authenticate(r); err != nil {
		t.Error(err)
	}
	_, err = auth.Guard(tenant).Verify(t.Context(), issuer.Token())
	if reasonOf(t, err) != bearer.ReasonPolicy || !strings.Contains(errors.Unwrap(err).Error(), "no request") {
		t.Errorf("error %v", err)
	}
}

// An unset variable must not open a route: a requirement that no token can meet is reported when
// the route is wired.
// Rules: config.no-empty-value.
func TestMistakesInRouteOptionsPanic(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	for name, test := range map[string]struct {
		opt  bearer.RouteOption
		want string // the option named by the error
	}{
		"Scopes of nothing":          {bearer.Scopes(), "Scopes"},
		"Scopes of an empty one":     {bearer.Scopes("a", ""), "Scopes"},
		"Scopes joined":              {bearer.Scopes("a b"), "Scopes"},
		"Scopes with a quote":        {bearer.Scopes(`a"b`), "Scopes"},
		"Roles of nothing":           {bearer.Roles(), "Roles"},
		"Roles of an empty one":      {bearer.Roles(""), "Roles"},
		"HasClaim without a path":    {bearer.HasClaim("", "x"), "HasClaim"},
		"HasClaim of an empty value": {bearer.HasClaim("x", ""), "HasClaim"},
		"HasClaim of nil":            {bearer.HasClaim("x", nil), "HasClaim"},
		"HasClaim of a float":        {bearer.HasClaim("x", 1.5), "HasClaim"},
		"ACR of nothing":             {bearer.ACR(), "ACR"},
		"ACR of an empty one":        {bearer.ACR(""), "ACR"},
		"AuthMaxAge of zero":         {bearer.AuthMaxAge(0), "AuthMaxAge"},
		"AuthMaxAge of a fraction":   {bearer.AuthMaxAge(1500 * time.Millisecond), "AuthMaxAge"},
		"All of nothing":             {bearer.All(), "All"},
		"All of nil":                 {bearer.All(nil), "All"},
		"Any of nothing":             {bearer.Any(), "Any"},
		"Any of nil":                 {bearer.Any(bearer.Scopes("a"), nil), "Any"},
		"a mistake within Any":       {bearer.Any(bearer.All(bearer.Roles(""))), "Roles"},
		"Func without a name":        {bearer.Func("", func(*http.Request, *bearer.Claims) error { return nil }), "Func"},
		"Func without a function":    {bearer.Func("x", nil), "Func"},
		"TokensFrom nowhere":         {bearer.TokensFrom(), "TokensFrom"},
		"TokensFrom an empty source": {bearer.TokensFrom(bearer.TokenLocation{}), "TokensFrom"},
		"TokensFrom an empty cookie": {bearer.TokensFrom(bearer.FromCookie("")), "TokensFrom"},
		"nil":                        {nil, "Guard"},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := auth.NewGuard(bearer.Optional(), test.opt)
			if err == nil || guard != nil {
				t.Fatalf("NewGuard returns %v, %v; want an error alone", guard, err)
			}
			if all := configErrors(t, err); len(all) != 1 || all[0].Option != test.want {
				t.Errorf("mistakes are %v, want one of %s", err, test.want)
			}
			for name, wire := range map[string]func(){
				"Guard":   func() { auth.Guard(test.opt) },
				"Require": func() { auth.Require(test.opt) },
				"Handler": func() { auth.Handler(&spy{}, test.opt) },
			} {
				wantPanic(t, name, "bearer: "+test.want, wire)
			}
		})
	}
	wantPanic(t, "Handler", "bearer: Handler: next is nil", func() { auth.Handler(nil) })
}

// wantPanic fails unless f panics with a text that begins like this.
func wantPanic(t *testing.T, name, beginning string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), beginning) {
			t.Errorf("%s: recovered %v, want a text that begins with %q", name, r, beginning)
		}
	}()
	f()
}

// All mistakes of rules from a file are reported at once.
func TestNewGuardReportsEveryMistakeAtOnce(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	_, err := auth.NewGuard(
		bearer.Scopes("a b", "c d"), bearer.Any(bearer.Roles(""), bearer.ACR()), nil,
		bearer.TokensFrom(bearer.FromHeader()), bearer.TokensFrom(bearer.FromQuery()),
	)
	var options []string
	for _, mistake := range configErrors(t, err) {
		options = append(options, mistake.Option)
	}
	slices.Sort(options)
	if want := []string{"ACR", "Guard", "Roles", "Scopes", "Scopes", "TokensFrom"}; !slices.Equal(options, want) {
		t.Errorf("mistakes in %q, want %q", options, want)
	}
}

// Optional and TokensFrom say something about a whole route and are no requirements, so that
// Any(Optional()), which would require nothing, does not compile.
func TestRouteOptionsAreNoRequirements(t *testing.T) {
	api := apiOf(t, ".")
	requirement, ok := api.Scope().Lookup("Requirement").Type().Underlying().(*types.Interface)
	if !ok {
		t.Fatal("Requirement is no interface")
	}
	option, ok := api.Scope().Lookup("RouteOption").Type().Underlying().(*types.Interface)
	if !ok {
		t.Fatal("RouteOption is no interface")
	}
	for name, want := range map[string]bool{"Optional": false, "TokensFrom": false, "Scopes": true, "All": true, "Func": true} {
		f, ok := api.Scope().Lookup(name).(*types.Func)
		if !ok {
			t.Fatalf("there is no function %s", name)
		}
		returned := f.Signature().Results().At(0).Type()
		if got := types.AssignableTo(returned, api.Scope().Lookup("Requirement").Type()); got != want {
			t.Errorf("%s is a Requirement: %t, want %t", name, got, want)
		}
		if !types.Implements(returned, option) {
			t.Errorf("%s is no RouteOption", name)
		}
	}
	if !types.Implements(requirement, option) {
		t.Error("a Requirement is no RouteOption")
	}
}

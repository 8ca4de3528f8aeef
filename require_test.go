package bearer_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bearer-go/bearer"
	"github.com/bearer-go/bearer/bearertest"
	"github.com/bearer-go/bearer/jwks"
)

func TestRequirements(t *testing.T) {
	issuer := bearertest.NewIssuer(bearertest.DefaultClaims(c{
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
		{"any scope", bearer.AnyScope("delete", "read"), ""},
		{"none of the scopes", bearer.AnyScope("delete", "x"), bearer.ReasonScope},
		{"role", bearer.Roles("editor", "viewer"), ""},
		{"one role lacks", bearer.Roles("editor", "admin"), bearer.ReasonRole},
		{"any role", bearer.AnyRole("admin", "viewer"), ""},
		{"none of the roles", bearer.AnyRole("admin"), bearer.ReasonRole},
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

// What the claims say about authentication decides, to the second; without auth_time nothing is known.
func TestAuthMaxAgeBounds(t *testing.T) {
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

// A Func sees the request and the claims; its error is for the log alone and can be found by the operator.
func TestFunc(t *testing.T) {
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
	_, err := auth.Authenticate(r, tenant)
	if !errors.Is(err, cause) || reasonOf(t, err) != bearer.ReasonPolicy || strings.Contains(err.Error(), "tenant") {
		t.Errorf("error %v", err)
	}
	r.Header.Set("Tenant", "alice")
	if _, err := auth.Authenticate(r, tenant); err != nil {
		t.Error(err)
	}
	_, err = auth.Verify(t.Context(), issuer.Token(), tenant)
	if reasonOf(t, err) != bearer.ReasonPolicy || !strings.Contains(errors.Unwrap(err).Error(), "no request") {
		t.Errorf("error %v", err)
	}
}

// An unset variable must not open a route: what no token can have is refused when the route is wired.
func TestEmptyRequirementsPanic(t *testing.T) {
	auth := newAuth(t, bearertest.NewIssuer())
	for name, f := range map[string]func(){
		"Scopes of nothing":          func() { bearer.Scopes() },
		"Scopes of an empty one":     func() { bearer.Scopes("a", "") },
		"Scopes joined":              func() { bearer.Scopes("a b") },
		"Scopes with a quote":        func() { bearer.Scopes(`a"b`) },
		"AnyScope of nothing":        func() { bearer.AnyScope() },
		"Roles of nothing":           func() { bearer.Roles() },
		"Roles of an empty one":      func() { bearer.Roles("") },
		"AnyRole of nothing":         func() { bearer.AnyRole() },
		"HasClaim without a path":    func() { bearer.HasClaim("", "x") },
		"HasClaim of an empty value": func() { bearer.HasClaim("x", "") },
		"HasClaim of nil":            func() { bearer.HasClaim("x", nil) },
		"HasClaim of a float":        func() { bearer.HasClaim("x", 1.5) },
		"ACR of nothing":             func() { bearer.ACR() },
		"ACR of an empty one":        func() { bearer.ACR("") },
		"AuthMaxAge of zero":         func() { bearer.AuthMaxAge(0) },
		"AuthMaxAge of a fraction":   func() { bearer.AuthMaxAge(1500 * time.Millisecond) },
		"All of nothing":             func() { bearer.All() },
		"All of nil":                 func() { bearer.All(nil) },
		"Any of nothing":             func() { bearer.Any() },
		"Any of Optional":            func() { bearer.Any(bearer.Optional()) },
		"All of TokensFrom":          func() { bearer.All(bearer.TokensFrom(bearer.FromHeader())) },
		"Func without a name":        func() { bearer.Func("", func(*http.Request, *bearer.Claims) error { return nil }) },
		"Func without a function":    func() { bearer.Func("x", nil) },
		"TokensFrom nowhere":         func() { bearer.TokensFrom() },
		"TokensFrom an empty source": func() { bearer.TokensFrom(bearer.TokenSource{}) },
		"TokensFrom an empty cookie": func() { bearer.TokensFrom(bearer.FromCookie("")) },
		"Handler without a handler":  func() { auth.Handler(nil) },
		"Handler with a nil":         func() { auth.Handler(&spy{}, nil) },
		"Require with a nil":         func() { auth.Require(nil) },
		"Authenticate with a nil":    func() { _, _ = auth.Authenticate(get(""), nil) },
		"Verify with a nil":          func() { _, _ = auth.Verify(t.Context(), "x", nil) },
		"TokensFrom twice": func() {
			auth.Require(bearer.TokensFrom(bearer.FromHeader()), bearer.TokensFrom(bearer.FromQuery()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "bearer: ") {
					t.Errorf("recovered %v, want a text of this package", r)
				}
			}()
			f()
		})
	}
}

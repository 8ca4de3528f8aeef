package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bearer-go/bearer/internal/grammar"
	"github.com/bearer-go/bearer/internal/optional"
	"github.com/bearer-go/bearer/internal/strictjson"
)

// A RouteOption says something about one route: what it requires of a token (a [Requirement]),
// where its tokens are ([TokensFrom]), or that it takes requests without one ([Optional]). Give it
// to
// [Middleware.Guard] or its shorthands.
//
// A RouteOption that is made wrongly records its mistakes. [Middleware.Guard] panics with them, as
// [http.ServeMux.Handle] does for a malformed pattern: routes are wired once, at start-up, and an
// unset variable must not open one. [Middleware.NewGuard] returns them, for routes that come from a
// file.
type RouteOption interface {
	// configure adds the option to the rule of a route.
	configure(*routeRule)
}

// A Requirement is what a route requires of a verified token. A list of requirements is one
// Requirement with [All].
type Requirement interface {
	RouteOption
	requirement() *requirement
}

// routeRule is what the options of a route say. It does not change once a guard has it.
type routeRule struct {
	requirements []*requirement
	sources      []TokenLocation // nil: the Middleware's
	places       *places         // what the sources are compiled to
	optional     bool
	staleCookie  bool   // counts as anonymous
	hints        *hints // nil: none
	mistakes     []optional.Mistake
}

// newRouteRule compiles the options of a route, and returns every mistake in them. The places and
// the hints are those of the Middleware.
func newRouteRule(opts []RouteOption, otherwise *places, service *hints) (*routeRule, error) {
	r := new(routeRule)
	for i, opt := range opts {
		if opt == nil {
			r.wrong("Guard", "nil", "option %d is nil; leave it out", i+1)
			continue
		}
		opt.configure(r)
	}
	for _, q := range r.requirements {
		r.mistakes = append(r.mistakes, q.mistakes...)
		if q.hint == nil {
			continue
		}
		if r.hints == nil {
			told := *service
			r.hints = &told
		}
		q.hint(r.hints)
	}
	if told := r.hints; told != nil && len(told.scopes) == 0 && len(told.acr) == 0 && told.maxAge == 0 {
		r.hints = nil
	}
	if r.places = otherwise; r.sources != nil && len(r.mistakes) == 0 {
		r.places = newPlaces(r.sources, service)
	}
	r.checkStaleCookie()
	return r, configErrors(r.mistakes)
}

// checkStaleCookie finds what makes StaleCookieIsAnonymous meaningless.
func (r *routeRule) checkStaleCookie() {
	if !r.staleCookie {
		return
	}
	if !r.optional {
		r.wrong("StaleCookieIsAnonymous", "", "needs Optional, which lets requests without a token pass")
	}
	if !r.takesCookies() {
		r.wrong("StaleCookieIsAnonymous", "", "needs FromCookie among the places of tokens")
	}
}

func (r *routeRule) wrong(option, value, format string, args ...any) {
	r.mistakes = append(r.mistakes, optional.Mistake{
		Option: option, Value: value, Problem: fmt.Sprintf(format, args...),
	})
}

// takesCookies reports whether a cookie is one of the places of tokens.
func (r *routeRule) takesCookies() bool {
	sources := r.sources
	if sources == nil {
		for _, p := range r.places.list {
			sources = append(sources, p.TokenLocation)
		}
	}
	for i := range sources {
		for _, l := range sources[i].each() {
			if l.kind == locationCookie {
				return true
			}
		}
	}
	return false
}

// passesAnonymous reports whether a request without any credential passes: the route is optional
// and requires nothing.
func (r *routeRule) passesAnonymous() bool { return r.optional && len(r.requirements) == 0 }

// check checks the requirements in order and returns the refusal of the first that is not met. The
// request is nil under [Guard.Verify].
func (r *routeRule) check(request *http.Request, c *Claims) *Error {
	for _, q := range r.requirements {
		if err := q.check(request, c); err != nil {
			return err
		}
	}
	return nil
}

// requirement is the only implementation of [Requirement].
type requirement struct {
	rule     string // its id in docs/rules.md
	request  bool   // the check needs a request
	parts    []*requirement
	check    func(*http.Request, *Claims) *Error
	hint     func(*hints) // adds what a challenge tells clients; nil for nothing
	mistakes []optional.Mistake
}

func (q *requirement) configure(r *routeRule)    { r.requirements = append(r.requirements, q) }
func (q *requirement) requirement() *requirement { return q }

func (q *requirement) wrong(option, value, format string, args ...any) {
	q.mistakes = append(q.mistakes, optional.Mistake{
		Option: option, Value: value, Problem: fmt.Sprintf(format, args...),
	})
}

// Scopes requires all of the scopes. Otherwise the answer is 403 insufficient_scope, and its
// challenge names them (RFC 6750 section 3.1). For one of several scopes use [Any].
func Scopes(scopes ...string) Requirement {
	scopes = slices.Clone(scopes)
	lacking := because(ReasonScope, "route.scope", "the route requires the scopes "+optional.Quoted(scopes)+
		", and it was not granted all of them", "ScopeClaim says where an issuer puts them")
	q := &requirement{
		rule: "route.scope",
		check: func(_ *http.Request, c *Claims) *Error {
			if !holdsAll(c.read().scopes, scopes) {
				return lacking
			}
			return nil
		},
		hint: func(h *hints) { h.scopes = appendNew(h.scopes, scopes) },
	}
	q.checkScopes("Scopes", scopes)
	return q
}

// Roles requires all of the roles, as [RolesClaim] finds them. Otherwise the answer is 403. For one
// of several roles use [Any].
func Roles(roles ...string) Requirement {
	roles = slices.Clone(roles)
	lacking := because(ReasonRole, "route.role", "the route requires the roles "+optional.Quoted(roles)+
		", and it does not have all of them", "RolesClaim says where an issuer puts them")
	q := &requirement{rule: "route.role", check: func(_ *http.Request, c *Claims) *Error {
		if !holdsAll(c.read().roles, roles) {
			return lacking
		}
		return nil
	}}
	q.checkValues("Roles", roles)
	return q
}

// holdsAll reports whether the granted values include all of those wanted.
func holdsAll(granted, wanted []string) bool {
	for _, w := range wanted {
		if !slices.Contains(granted, w) {
			return false
		}
	}
	return true
}

// HasClaim requires that the claim at a path equals a value, or is an array that contains it. The
// value is a string that is not empty, a bool or an int. A dot in the path steps into a nested
// object unless a member has the whole name. Otherwise the answer is 403.
//
// Each request reads the claims set up to the claim: without allocations, in time proportional to
// what is read.
func HasClaim(path string, value any) Requirement {
	want, isText := value.(string)
	if !isText {
		want = fmt.Sprint(value) // a bool or an int, as it stands in JSON
	}
	equals := func(raw string) bool {
		if isText {
			return strictjson.Spells(raw, want)
		}
		return raw == want
	}
	lacking := because(ReasonClaim, "route.claim",
		"the route requires that the claim "+strconv.Quote(path)+" equals or contains "+strconv.Quote(want), "")
	q := &requirement{rule: "route.claim", check: func(_ *http.Request, c *Claims) *Error {
		found, ok := find(c.read().payload, path)
		if !ok || !equals(found) && !strictjson.AnyElement(found, equals) {
			return lacking
		}
		return nil
	}}
	if path == "" {
		q.wrong("HasClaim", `""`, "the path is empty; is a variable unset?")
	}
	switch value.(type) {
	case string:
		if want == "" {
			q.wrong("HasClaim", strconv.Quote(path)+`, ""`, "the value is empty; is a variable unset?")
		}
	case bool, int:
	default:
		q.wrong("HasClaim", strconv.Quote(path),
			"a value of type %T cannot be compared; use a string, a bool or an int", value)
	}
	return q
}

// ACR requires that the person authenticated in one of the ways named by authentication context
// class values. Otherwise the answer is 401 insufficient_user_authentication, and its challenge
// names them (RFC 9470 section 3).
func ACR(values ...string) Requirement {
	values = slices.Clone(values)
	lacking := because(ReasonAuthTooWeak, "route.acr",
		"the route requires that acr is one of "+optional.Quoted(values), "")
	q := &requirement{
		rule: "route.acr",
		check: func(_ *http.Request, c *Claims) *Error {
			if !slices.Contains(values, c.read().acr) {
				return lacking
			}
			return nil
		},
		hint: func(h *hints) { h.acr = appendNew(h.acr, values) },
	}
	q.checkScopes("ACR", values)
	return q
}

// AuthMaxAge requires that the person authenticated no longer ago than d, by auth_time. Otherwise,
// and when the token does not say, the answer is 401 insufficient_user_authentication, and its
// challenge has max_age (RFC 9470 section 3). d is at least a second, and whole seconds.
func AuthMaxAge(d time.Duration) Requirement {
	lacking := because(ReasonAuthTooOld, "route.auth-age",
		"the route requires an auth_time at most "+d.String()+" ago, and it has an older one or none", "")
	q := &requirement{
		rule: "route.auth-age",
		check: func(_ *http.Request, c *Claims) *Error {
			at := c.read().authTime
			age := time.Since(at)
			// A person cannot have authenticated in the future, but two clocks may differ.
			if at.IsZero() || age > d || age < -maxLeeway {
				return lacking
			}
			return nil
		},
		hint: func(h *hints) {
			if h.maxAge == 0 || d < h.maxAge {
				h.maxAge = d
			}
		},
	}
	if d < time.Second || d%time.Second != 0 {
		q.wrong("AuthMaxAge", d.String(), "must be whole seconds and at least one")
	}
	return q
}

// All requires all of the requirements, in their order. It makes one Requirement of a list, and
// groups requirements for [Any].
func All(reqs ...Requirement) Requirement {
	q := new(requirement)
	q.group("All", reqs)
	parts := q.parts
	q.check = func(r *http.Request, c *Claims) *Error {
		for _, part := range parts {
			if err := part.check(r, c); err != nil {
				return err
			}
		}
		return nil
	}
	q.hint = func(h *hints) {
		for _, part := range parts {
			if part.hint != nil {
				part.hint(h)
			}
		}
	}
	return q
}

// Any requires one of the requirements. When none is met, the client learns what the first lacked,
// or receives 503 when one of them could not decide. The challenge names what the first requires.
func Any(reqs ...Requirement) Requirement {
	q := &requirement{rule: "route.any"}
	q.group("Any", reqs)
	parts := q.parts
	q.check = func(r *http.Request, c *Claims) *Error {
		var refusal *Error
		for _, part := range parts {
			err := part.check(r, c)
			switch {
			case err == nil:
				return nil
			case refusal == nil || err.StatusCode() == http.StatusServiceUnavailable:
				refusal = err
			}
		}
		return refusal
	}
	if len(parts) > 0 {
		q.hint = parts[0].hint
	}
	return q
}

// Func requires what a function of the application decides, such as a tenant in the path. nil
// passes, an error that matches [ErrUnavailable] is 503, and any other is 403. The text of the
// error is for the log and is never sent. The name identifies the function in the log. r is the
// request as the handler gets it, so a Func that needs a form calls r.ParseForm. r is nil under
// [Guard.Verify].
func Func(name string, f func(r *http.Request, c *Claims) error) Requirement {
	q := &requirement{rule: "route.func", request: true, check: func(r *http.Request, c *Claims) *Error {
		err := f(r, c)
		if err == nil {
			return nil
		}
		cause := fmt.Errorf("requirement %q: %w", name, err)
		if errors.Is(err, ErrUnavailable) {
			return refuseFor(ReasonPolicyUnavailable, cause)
		}
		return refuseFor(ReasonPolicy, cause)
	}}
	if name == "" || f == nil {
		q.wrong("Func", strconv.Quote(name), "needs a name and a function")
	}
	return q
}

// Optional lets a request without any credential pass, without claims. Any Authorization header, a
// second credential or a bad token is refused as always. On a route that requires something, a
// request without a token is 401, so that Optional changes nothing there.
func Optional() RouteOption { return optionalRoute{} }

type optionalRoute struct{}

func (optionalRoute) configure(r *routeRule) { r.optional = true }

// StaleCookieIsAnonymous lets a request pass without claims whose cookie ([FromCookie]) holds a
// token that is refused with 401 and invalid_token, such as an expired one: a browser sends it
// until the cookie expires, and the person is to see the page and can log in again. The route must
// be [Optional], and a route that requires something answers 401 as always. Default: a refused
// token is refused.
//
// Only the token in the cookie is ignored in this way. A 503 stands, because the token may be good,
// and so does a 400. A request with an Authorization header is never anonymous. The [Event] has the
// outcome [OutcomeAnonymous] and the reason of the refusal.
func StaleCookieIsAnonymous() RouteOption { return staleCookie{} }

type staleCookie struct{}

func (staleCookie) configure(r *routeRule) { r.staleCookie = true }

// TokensFrom says where the tokens of this route are, instead of what [WithTokensFrom] says.
func TokensFrom(sources ...TokenLocation) RouteOption { return tokensFrom(slices.Clone(sources)) }

type tokensFrom []TokenLocation

func (t tokensFrom) configure(r *routeRule) {
	for _, err := range checkLocations(t) {
		r.wrong("TokensFrom", "", "%v", err)
	}
	if r.sources != nil {
		r.wrong("TokensFrom", "", "set more than once for one route; name all sources in one")
	}
	r.sources = t
}

// group makes requirements the parts of one, which takes over their mistakes.
func (q *requirement) group(name string, reqs []Requirement) {
	for _, req := range reqs {
		if req == nil {
			q.wrong(name, "nil", "a requirement is nil; leave it out")
			continue
		}
		part := req.requirement()
		q.parts = append(q.parts, part)
		q.request = q.request || part.request
		q.mistakes = append(q.mistakes, part.mistakes...)
	}
	if len(reqs) == 0 {
		q.wrong(name, "", "must not be empty")
	}
}

func (q *requirement) checkValues(name string, values []string) {
	if len(values) == 0 || slices.Contains(values, "") {
		q.wrong(name, optional.Quoted(values), "must not be empty or contain an empty value; is a variable unset?")
	}
}

// checkScopes checks the grammar of RFC 6749 section 3.3, which also keeps the values safe inside a
// challenge.
func (q *requirement) checkScopes(name string, values []string) {
	q.checkValues(name, values)
	for _, v := range values {
		if v != "" && !grammar.IsScopeToken(v) {
			q.wrong(name, optional.Quoted(values),
				"%s is not a scope-token of RFC 6749 section 3.3; give each as its own argument", strconv.Quote(v))
		}
	}
}

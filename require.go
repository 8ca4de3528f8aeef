package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bearer-go/bearer/internal/strictjson"
)

// A Requirement is what one route demands of a verified token. The functions that make one panic when they are given nothing,
// or something that no token can have, as [http.ServeMux.Handle] does for a malformed pattern: routes are wired once, at
// start-up, and an unset variable must not open one.
type Requirement interface {
	// check reports whether claims meet the requirement. r is nil under Middleware.Verify.
	check(r *http.Request, c *Claims) *Error
	// hint adds what a challenge may tell the client of the requirement.
	hint(*hints)
}

// hints are the parameters a route contributes to its challenges.
type hints struct {
	scopes []string      // scope, RFC 6750 section 3
	acr    []string      // acr_values, RFC 9470 section 3
	maxAge time.Duration // max_age, RFC 9470 section 3; 0: not named
}

// route is what a list of requirements says about one route.
type route struct {
	reqs     []Requirement
	sources  []TokenSource // nil: the Middleware's
	optional bool
}

// wired is the route that a list of requirements stands for, for as long as the program runs. It has a copy of the list: what the
// caller does with its own later changes no route.
func wired(reqs []Requirement) route { return routeOf(slices.Clone(reqs)) }

// routeOf is a route for as long as the caller's list does not change: that of one decision.
func routeOf(reqs []Requirement) route {
	rt := route{reqs: reqs}
	for _, req := range reqs {
		switch req := req.(type) {
		case nil:
			panic("bearer: a requirement is nil")
		case optional:
			rt.optional = true
		case tokensFrom:
			if rt.sources != nil {
				panic("bearer: TokensFrom is given twice for one route; name all sources in one")
			}
			rt.sources = req
		}
	}
	return rt
}

// passesAnonymous reports whether a request without any credential may pass: Optional stands alone, or beside TokensFrom.
func (rt *route) passesAnonymous() bool {
	for _, req := range rt.reqs {
		switch req.(type) {
		case optional, tokensFrom:
		default:
			return false
		}
	}
	return rt.optional
}

// check applies the requirements in their order; the first that is not met decides.
func (rt *route) check(r *http.Request, c *Claims) *Error {
	for _, req := range rt.reqs {
		if err := req.check(r, c); err != nil {
			return err
		}
	}
	return nil
}

// Scopes demands all of the scopes. Otherwise the answer is 403 insufficient_scope, and its challenge names them (RFC 6750
// section 3.1).
func Scopes(scopes ...string) Requirement {
	return scopeRequirement{name: "Scopes", scopes: mustScopes("Scopes", scopes), all: true}
}

// AnyScope demands one of the scopes; the challenge names the first.
func AnyScope(scopes ...string) Requirement {
	return scopeRequirement{name: "AnyScope", scopes: mustScopes("AnyScope", scopes)}
}

type scopeRequirement struct {
	name   string
	scopes []string
	all    bool
}

func (s scopeRequirement) check(_ *http.Request, c *Claims) *Error {
	if !hold(c.read().scopes, s.scopes, s.all) {
		return refuse(ReasonScope)
	}
	return nil
}

func (s scopeRequirement) hint(h *hints) {
	if s.all {
		h.scopes = appendNew(h.scopes, s.scopes)
	} else {
		h.scopes = appendNew(h.scopes, s.scopes[:1])
	}
}

// Roles demands all of the roles, as [RolesClaim] finds them. Otherwise the answer is 403.
func Roles(roles ...string) Requirement {
	return roleRequirement{roles: mustValues("Roles", roles), all: true}
}

// AnyRole demands one of the roles.
func AnyRole(roles ...string) Requirement {
	return roleRequirement{roles: mustValues("AnyRole", roles)}
}

type roleRequirement struct {
	roles []string
	all   bool
}

func (q roleRequirement) check(_ *http.Request, c *Claims) *Error {
	if !hold(c.read().roles, q.roles, q.all) {
		return refuse(ReasonRole)
	}
	return nil
}

func (roleRequirement) hint(*hints) {}

// hold reports whether the granted values hold all, or else one, of those wanted.
func hold(granted, wanted []string, all bool) bool {
	for _, w := range wanted {
		if slices.Contains(granted, w) != all {
			return !all
		}
	}
	return all
}

// HasClaim demands that the claim at a path equals a value, or is an array that holds it. The value is a string that is not
// empty, a bool or an int; a dot in the path steps into a nested object unless a member has the whole name. Otherwise the answer is 403.
//
// The claims set is read up to the claim on each request: without allocations, in time proportional to what is read.
func HasClaim(path string, value any) Requirement {
	if path == "" {
		panic("bearer: HasClaim: the path is empty")
	}
	switch value := value.(type) {
	case string:
		if value == "" {
			panic(fmt.Sprintf("bearer: HasClaim(%q): the value is empty; is a variable unset?", path))
		}
	case bool, int:
	default:
		panic(fmt.Sprintf("bearer: HasClaim(%q): a value of type %T cannot be compared; use a string, a bool or an int", path, value))
	}
	text, isText := value.(string)
	if !isText {
		text = fmt.Sprint(value) // a bool or an int, as it stands in JSON
	}
	return claimRequirement{path, text, isText}
}

// claimRequirement looks for a claim in the claims set as it was signed, on each request.
type claimRequirement struct {
	path, want string
	isText     bool // what is wanted is a string
}

func (q claimRequirement) check(_ *http.Request, c *Claims) *Error {
	found, ok := find(c.read().payload, q.path)
	if !ok || !q.equals(found) && !strictjson.AnyElement(found, q.equals) {
		return refuse(ReasonClaim)
	}
	return nil
}

func (q claimRequirement) equals(raw string) bool {
	if q.isText {
		return strictjson.Spells(raw, q.want)
	}
	return raw == q.want
}

func (claimRequirement) hint(*hints) {}

// ACR demands that the person authenticated in one of the ways named by authentication context class values. Otherwise the
// answer is 401 insufficient_user_authentication, and its challenge names them (RFC 9470 section 3).
func ACR(values ...string) Requirement { return acrRequirement(mustScopes("ACR", values)) }

type acrRequirement []string

func (q acrRequirement) check(_ *http.Request, c *Claims) *Error {
	if !slices.Contains(q, c.read().acr) {
		return refuse(ReasonAuthTooWeak)
	}
	return nil
}

func (q acrRequirement) hint(h *hints) { h.acr = appendNew(h.acr, q) }

// AuthMaxAge demands that the person authenticated not longer ago than d, by auth_time. Otherwise, and when the token does
// not say, the answer is 401 insufficient_user_authentication, and its challenge has max_age (RFC 9470 section 3). d is at
// least a second, and whole seconds.
func AuthMaxAge(d time.Duration) Requirement {
	if d < time.Second || d%time.Second != 0 {
		panic(fmt.Sprintf("bearer: AuthMaxAge(%v): must be whole seconds and at least one", d))
	}
	return maxAgeRequirement(d)
}

type maxAgeRequirement time.Duration

func (q maxAgeRequirement) check(_ *http.Request, c *Claims) *Error {
	at := c.read().authTime
	age := time.Since(at)
	// A person cannot have authenticated in the future, but for the difference of two clocks.
	if at.IsZero() || age > time.Duration(q) || age < -maxLeeway {
		return refuse(ReasonAuthTooOld)
	}
	return nil
}

func (q maxAgeRequirement) hint(h *hints) {
	if d := time.Duration(q); h.maxAge == 0 || d < h.maxAge {
		h.maxAge = d
	}
}

// All demands all of the requirements, in their order. It groups them for [Any].
func All(reqs ...Requirement) Requirement { return all(mustRequirements("All", reqs)) }

type all []Requirement

func (q all) check(r *http.Request, c *Claims) *Error { return (&route{reqs: q}).check(r, c) }

func (q all) hint(h *hints) {
	for _, req := range q {
		req.hint(h)
	}
}

// Any demands one of the requirements. When none is met, the client hears what the first lacked, or 503 when one of them
// could not decide.
func Any(reqs ...Requirement) Requirement { return anyOf(mustRequirements("Any", reqs)) }

type anyOf []Requirement

func (q anyOf) check(r *http.Request, c *Claims) *Error {
	var refusal *Error
	for _, req := range q {
		err := req.check(r, c)
		switch {
		case err == nil:
			return nil
		case refusal == nil || err.StatusCode() == http.StatusServiceUnavailable:
			refusal = err
		}
	}
	return refusal
}

func (q anyOf) hint(h *hints) { q[0].hint(h) }

// Func demands what a function of the application decides, such as a tenant in the path. nil passes; an error that matches
// [ErrUnavailable] is 503; any other is 403. The error's text is for the log and never sent; the name says in the log whose it
// is. r is the request as the handler will get it, so a Func that needs a form calls r.ParseForm; r is nil under
// [Middleware.Verify].
func Func(name string, f func(r *http.Request, c *Claims) error) Requirement {
	if name == "" || f == nil {
		panic("bearer: Func: needs a name and a function")
	}
	return funcRequirement{name, f}
}

type funcRequirement struct {
	name string
	f    func(*http.Request, *Claims) error
}

func (q funcRequirement) check(r *http.Request, c *Claims) *Error {
	err := q.f(r, c)
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("requirement %q: %w", q.name, err)
	if errors.Is(err, ErrUnavailable) {
		return refuseFor(ReasonPolicyUnavailable, cause)
	}
	return refuseFor(ReasonPolicy, cause)
}

func (funcRequirement) hint(*hints) {}

// Optional lets a request without any credential pass, without claims. Any Authorization header, a second credential or a bad
// token is refused as ever. Beside another requirement, a request without a token is 401 and one that does not meet it 403,
// so Optional then changes nothing.
func Optional() Requirement { return optional{} }

type optional struct{}

func (optional) check(*http.Request, *Claims) *Error { return nil }
func (optional) hint(*hints)                         {}

// TokensFrom says where tokens are looked for on this route alone, instead of what [WithTokensFrom] says.
func TokensFrom(sources ...TokenSource) Requirement {
	sources = slices.Clone(sources)
	if err := checkSources(sources); err != nil {
		panic("bearer: TokensFrom: " + err.Error())
	}
	return tokensFrom(sources)
}

type tokensFrom []TokenSource

func (tokensFrom) check(*http.Request, *Claims) *Error { return nil }
func (tokensFrom) hint(*hints)                         {}

func mustValues(name string, values []string) []string {
	values = slices.Clone(values)
	if len(values) == 0 || slices.Contains(values, "") {
		panic(fmt.Sprintf("bearer: %s(%s): must not be empty or hold an empty value; is a variable unset?", name, quoted(values)))
	}
	return values
}

// mustScopes checks the grammar of RFC 6749 section 3.3, which also keeps the values safe inside a challenge.
func mustScopes(name string, values []string) []string {
	values = mustValues(name, values)
	for _, v := range values {
		if !isQuotable(v) || strings.Contains(v, " ") {
			panic(fmt.Sprintf("bearer: %s(%q): not a scope-token of RFC 6749 section 3.3; give each as its own argument", name, v))
		}
	}
	return values
}

func mustRequirements(name string, reqs []Requirement) []Requirement {
	reqs = slices.Clone(reqs)
	if len(reqs) == 0 || slices.Contains(reqs, nil) {
		panic("bearer: " + name + ": must not be empty or hold nil")
	}
	for _, req := range reqs {
		switch req.(type) {
		case optional, tokensFrom:
			panic("bearer: " + name + ": Optional and TokensFrom are about the whole route; give them beside " + name)
		}
	}
	return reqs
}

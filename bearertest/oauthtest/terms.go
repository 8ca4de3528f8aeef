package oauthtest

import (
	"net/url"
	"slices"
	"strings"
)

// terms are what a token is to allow, and where.
type terms struct{ scopes, audience []string }

// termsOf reads them from a request. A scope that it does not name is the one in the issuer's
// [bearertest.WithDefaultClaims], if any.
func (s *Server) termsOf(form url.Values) (terms, *refusal) {
	scope := form.Get("scope")
	for _, name := range strings.Split(scope, " ") {
		if scope != "" && (!isVisible(name) || strings.ContainsAny(name, `"\`)) {
			return terms{}, &refusal{"invalid_scope", "the scope is not a list of scopes with one space between them"}
		}
	}
	if scope == "" {
		scope, _ = unverifiedClaims(s.Token())["scope"].(string)
	}
	for _, resource := range form["resource"] {
		if !isAbsolute(resource) {
			return terms{}, &refusal{"invalid_target", "the resource is not an absolute URI without a fragment"}
		}
	}
	return terms{strings.Fields(scope), slices.Concat(form["resource"], form["audience"])}, nil
}

// within returns the terms of a later request of a session (RFC 6749 section 6, RFC 8707 section
// 2.2): what the form leaves out is as granted, and it may name nothing else than was.
func (granted terms) within(s *Server, form url.Values) (terms, *refusal) {
	asked, refused := s.termsOf(form)
	if refused != nil {
		return terms{}, refused
	}
	lacks := func(all []string) func(string) bool {
		return func(one string) bool { return !slices.Contains(all, one) }
	}
	switch {
	case !form.Has("scope"):
		asked.scopes = granted.scopes
	case slices.ContainsFunc(asked.scopes, lacks(granted.scopes)):
		return terms{}, &refusal{"invalid_scope", "the scope is wider than the one that was granted"}
	}
	switch {
	case len(asked.audience) == 0:
		asked.audience = granted.audience
	case len(granted.audience) > 0 && slices.ContainsFunc(asked.audience, lacks(granted.audience)):
		return terms{}, &refusal{"invalid_target", "the resource is not one that was granted"}
	}
	return asked, nil
}

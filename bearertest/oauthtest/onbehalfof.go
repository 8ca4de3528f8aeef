package oauthtest

import (
	"net/url"
	"slices"
	"strings"
)

// useOnBehalfOf is the requested_token_use of Microsoft Entra ID's on-behalf-of flow, a form of the
// grant of RFC 7523 section 2.1.
const useOnBehalfOf = "on_behalf_of"

// tokenOnBehalfOf exchanges an access token of this issuer that is for the client, by its aud, for
// one of the same subject. As there, the service is named by the scopes: "api://billing/read" is
// the scope read of the audience api://billing.
func (s *Server) tokenOnBehalfOf(c *client, form url.Values) (*tokenAnswer, *refusal) {
	if c == nil || c.public() {
		return nil, &refusal{"invalid_client", "the client does not prove who it is"}
	}
	claims := s.ownClaims(form.Get("assertion"))
	subject, _ := claims["sub"].(string)
	switch {
	case subject == "" || s.Revoked(form.Get("assertion")):
		return nil, &refusal{"invalid_grant", "the assertion is not an access token of this issuer that is good"}
	case !names(claims["aud"], c.id):
		return nil, &refusal{"invalid_grant", "the assertion's aud is not the client"}
	case !isTimely(claims, forever):
		return nil, &refusal{"invalid_grant", untimely}
	}
	granted, refused := s.termsOf(form)
	if refused != nil {
		return nil, refused
	}
	for i, scope := range granted.scopes {
		cut := strings.LastIndexByte(scope, '/')
		if cut < 1 {
			return nil, &refusal{"invalid_scope", "a scope does not begin with the service that it is of"}
		}
		granted.audience, granted.scopes[i] = append(granted.audience, scope[:cut]), scope[cut+1:]
	}
	if granted.audience = slices.Compact(granted.audience); len(granted.audience) != 1 {
		return nil, &refusal{"invalid_scope", "the scopes are not those of one service"}
	}
	return s.issue(c.id, subject, granted, nil), nil
}

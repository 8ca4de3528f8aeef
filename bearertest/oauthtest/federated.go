package oauthtest

import (
	"fmt"
	"net/url"

	"github.com/bearer-go/bearer/bearertest"
)

// platform says whose assertions prove a client: those of another issuer about one of its subjects.
type platform struct {
	issuer  *bearertest.Issuer
	subject string
}

// WithFederatedClient registers a client that proves itself with an assertion of another issuer:
// that of the platform that it runs on, such as a Kubernetes cluster (RFC 7523 section 2.2, known
// as workload identity federation). Make the assertions with the issuer's Token. One is signed with
// a key that the issuer publishes then; iss is its URL; sub is the subject; aud is this server's
// URL, or a list that has it; exp is ahead. It may be used for any number of requests, and each
// request names the client (client_id), which nothing in the assertion does.
//
// The rest is as with [WithClient]; it panics without an issuer and without a subject.
func WithFederatedClient(id string, issuer *bearertest.Issuer, subject string, redirectURIs ...string) Option {
	what := fmt.Sprintf("WithFederatedClient(%q)", id)
	if issuer == nil || subject == "" {
		panic(fmt.Sprintf("oauthtest: %s: want the issuer of the assertions, and the subject that they are about", what))
	}
	return register(what, &client{id: id, platform: &platform{issuer, subject}, redirectURIs: redirectURIs})
}

// authenticateFederated judges the assertion in the form, which is to prove this client.
func (s *Server) authenticateFederated(c *client, form url.Values) (*client, *refusal) {
	claims := verifiedClaims(form.Get("client_assertion"), c.platform.issuer.PublicKeys()...)
	switch {
	case claims == nil:
		return nil, &refusal{"invalid_client", "client_assertion is missing, or not signed by the client's platform"}
	case claims["iss"] != c.platform.issuer.URL() || claims["sub"] != c.platform.subject:
		return nil, &refusal{"invalid_client", "the assertion's iss and sub are not those that the client is registered with"}
	case !names(claims["aud"], s.URL()):
		return nil, &refusal{"invalid_client", "the assertion's aud is not the issuer's URL"}
	case !isTimely(claims, forever):
		return nil, &refusal{"invalid_client", "the assertion's exp is missing or past, or its nbf is not past"}
	}
	return c, nil
}
